"""What a downtime of the engine means for the jobs and orders of a folder: a section of `check`.

The engine makes up no missed start (orders-and-jobs.md chapter 10), and some things start with the
engine itself. Whoever plans a maintenance window wants to know which is which.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TypeAlias

from engine.kernel.calendar import Calendar, CalendarUser, RunTime, next_fixed_start
from engine.kernel.calendar.calendars import once_at, search
from engine.kernel.calendar.entries import Mode
from engine.kernel.definitions import Definition, Job, OrderDefinition
from engine.kernel.instants import NEVER, Instant, to_datetime

_LOOKED_AT_MAX = 40
"""Starts that are looked at; who has no more of them has a last one."""
_OBJECTS_SHOWN_MAX = 10


class DowntimeRule(Enum):
    """What happens to a start that falls into a downtime."""

    NOT_MADE_UP = "not_made_up"
    LOST_FOR_GOOD = "lost_for_good"
    AT_ONCE = "at_once"
    WITH_THE_ENGINE = "with_the_engine"

    @property
    def text(self) -> str:
        """Return it as a sentence about some objects."""
        return _TEXTS[self]


_TEXTS = {
    DowntimeRule.NOT_MADE_UP: "Starts missed while the engine is down are not made up; "
    "the next one after the downtime counts",
    DowntimeRule.LOST_FOR_GOOD: "These have few starts left; one that the engine misses "
    "is not made up, and after the last one nothing starts any more",
    DowntimeRule.AT_ONCE: "These repeat: they start at once when the engine starts within "
    "one of their periods, whenever they ran before",
    DowntimeRule.WITH_THE_ENGINE: "These start each time the engine starts",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DowntimeNote:
    """One rule and to whom it applies."""

    rule: DowntimeRule
    objects: tuple[str, ...]

    def __str__(self) -> str:
        """Return it for a person, with the first of the objects."""
        shown = ", ".join(self.objects[:_OBJECTS_SHOWN_MAX])
        more = len(self.objects) - _OBJECTS_SHOWN_MAX
        return f"{self.rule.text}: {shown}{f' and {more} more' if more > 0 else ''}"


Calendars: TypeAlias = Callable[[RunTime, CalendarUser], Calendar | None]
"""Makes the calendar of a run time; None when its schedule is missing."""


def downtime_notes(
    definitions: Iterable[Definition], calendars: Calendars, now: Instant
) -> list[DowntimeNote]:
    """Return what matters in this folder; nothing about what starts by commands only."""
    found: dict[DowntimeRule, list[str]] = {rule: [] for rule in DowntimeRule}
    for definition in definitions:
        for rule, name in _rules(definition, calendars, now):
            found[rule].append(name)
    return [
        DowntimeNote(rule=rule, objects=tuple(sorted(names)))
        for rule, names in found.items()
        if names
    ]


def _rules(
    definition: Definition, calendars: Calendars, now: Instant
) -> Iterator[tuple[DowntimeRule, str]]:
    match definition:
        case OrderDefinition(run_time=None):
            yield DowntimeRule.WITH_THE_ENGINE, f"order {definition.key}"
        case OrderDefinition(run_time=RunTime() as run_time):
            calendar = calendars(run_time, CalendarUser.ORDER)
            yield from _rules_of_calendar(calendar, f"order {definition.key}", now)
        case Job(run_time=RunTime() as run_time):
            calendar = calendars(run_time, CalendarUser.JOB)
            yield from _rules_of_calendar(calendar, f"job {definition.path}", now)
        case _:
            return


def _rules_of_calendar(
    calendar: Calendar | None, name: str, now: Instant
) -> Iterator[tuple[DowntimeRule, str]]:
    if calendar is None:
        return
    if calendar.user is CalendarUser.JOB and once_at(calendar, now):
        yield DowntimeRule.WITH_THE_ENGINE, name
    if search(calendar, Mode.REPEAT, now) is not None:
        yield DowntimeRule.AT_ONCE, name
    fixed = list(islice(_fixed_starts(calendar, now), _LOOKED_AT_MAX))
    if len(fixed) == _LOOKED_AT_MAX:
        yield DowntimeRule.NOT_MADE_UP, name
    elif fixed:
        last = to_datetime(fixed[-1]).date().isoformat()
        yield DowntimeRule.LOST_FOR_GOOD, f"{name} (until {last})"


def _fixed_starts(calendar: Calendar, now: Instant) -> Iterator[Instant]:
    """Yield the single starts and the points of grids that lie ahead."""
    start = next_fixed_start(calendar, now)
    while start < NEVER:
        yield start
        start = next_fixed_start(calendar, Instant(start + 1))
