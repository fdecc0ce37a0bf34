"""Schedules that take the place of others for a time (schedules.md 10)."""

from collections.abc import Mapping
from typing import NamedTuple

from engine.kernel.calendar.local_time import LocalClock
from engine.kernel.calendar.run_time import Schedule
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import NEVER, Instant
from engine.kernel.problems import Problem, unknown_object

SINCE_EVER = Instant(-NEVER)

_FIRST_TIME = ""
_LAST_TIME = "~"
"""Sort before and after every local time."""


class Substitution(NamedTuple):
    """A substitute with the time in which it is in force."""

    begin: Instant
    end: Instant
    schedule: Schedule


def effective_substitutes(
    base: Schedule, schedules: Mapping[SchedulePath, Schedule], clock: LocalClock
) -> list[Substitution]:
    """Return the substitutes that are in force at some time, by begin, in the user's zone."""
    found = [Substitution(*validity(each, clock), each) for each in _accepted(base.path, schedules)]
    return sorted(found, key=lambda each: each.begin)


def validity(schedule: Schedule, clock: LocalClock) -> tuple[Instant, Instant]:
    """Return from when (inclusive) to when (exclusive) a substitute is in force for a user."""
    begin = SINCE_EVER if schedule.valid_from is None else clock.instant_of(schedule.valid_from)
    end = NEVER if schedule.valid_to is None else clock.instant_of(schedule.valid_to)
    return begin, end


def substitution_problem(
    schedule: Schedule, schedules: Mapping[SchedulePath, Schedule]
) -> Problem | None:
    """Return why a schedule cannot substitute what it says, or None.

    Of overlapping substitutes the first in `schedules`, the one loaded first, counts. A schedule
    that names nothing to substitute is fine unless it has a validity.
    """
    problem = validity_problem(schedule)
    if problem is not None or schedule.substitute is None:
        return problem
    base = schedules.get(schedule.substitute)
    if base is None:
        return unknown_object("Schedule", schedule.substitute)
    if base.substitute is not None:
        return Problem(
            code="SCHEDULER-463",
            text=f"The schedule {base.path!r} is a substitute itself and cannot be substituted",
            subject=schedule.path,
        )
    accepted = _accepted(base.path, schedules)
    if schedule.path in (each.path for each in accepted):
        return None
    other = next(each for each in accepted if _overlap(each, schedule))
    return Problem(
        code="SCHEDULER-465",
        text=f"The substitute {other.path!r} of {base.path!r} is valid at the same time",
        subject=schedule.path,
    )


def validity_problem(schedule: Schedule) -> Problem | None:
    """Return what is wrong with a substitution as it is written, whatever other schedules exist."""
    if schedule.substitute is None:
        if schedule.valid_from is None and schedule.valid_to is None:
            return None
        return Problem(
            code="SCHEDULER-467",
            text="The attributes 'valid_from' and 'valid_to' require 'substitute'",
            subject=schedule.path,
        )
    if schedule.substitute == schedule.path:
        return Problem(
            code="SCHEDULER-486",
            text=f"The schedule {schedule.path!r} cannot substitute itself",
            subject=schedule.path,
        )
    begin, end = _validity(schedule)
    if begin >= end:
        return Problem(
            code="SCHEDULER-464",
            text=f"valid_from={begin!r} has to be before valid_to={end!r}",
            subject=schedule.path,
        )
    return None


def _accepted(path: SchedulePath, schedules: Mapping[SchedulePath, Schedule]) -> list[Schedule]:
    accepted: list[Schedule] = []
    for schedule in schedules.values():
        if (
            schedule.substitute == path
            and validity_problem(schedule) is None
            and not any(_overlap(schedule, other) for other in accepted)
        ):
            accepted.append(schedule)
    return accepted


def _overlap(one: Schedule, other: Schedule) -> bool:
    begin, end = _validity(one)
    other_begin, other_end = _validity(other)
    return begin < other_end and other_begin < end


def _validity(schedule: Schedule) -> tuple[str, str]:
    """Return the limits of the validity as texts in the order of time."""
    return schedule.valid_from or _FIRST_TIME, schedule.valid_to or _LAST_TIME
