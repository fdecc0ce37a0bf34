"""A run time made searchable: its schedules found, its substitutes in place, its zone known."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from enum import Enum
from typing import NamedTuple

from engine.kernel.calendar.entries import Entry, Mode, StartKind
from engine.kernel.calendar.local_time import LocalClock, clock_of
from engine.kernel.calendar.pattern import Pattern, pattern_of
from engine.kernel.calendar.run_time import (
    NO_REPEAT,
    Holidays,
    RunTime,
    Schedule,
    WhenHoliday,
)
from engine.kernel.calendar.substitutes import SINCE_EVER, effective_substitutes
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import NEVER, Duration, Instant

SEARCHED_DAYS_MAX = 20 * 366
"""A start further ahead is not found (schedules.md 7)."""

_LAST_INSTANT = Instant(250_000_000_000_000)
"""Some time in the year 9892: the wall calendar ends soon after."""


class CalendarUser(Enum):
    """Whose calendar it is: inline calendars of orders ignore the scheduler's holidays (E75)."""

    JOB = "job"
    ORDER = "order"


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingSchedule:
    """The named schedule is not there, or is a substitute, which nobody may refer to."""

    path: SchedulePath
    is_substitute: bool = False
    """SCHEDULER-466 instead of SCHEDULER-161."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodSpan:
    """A period as instants."""

    begin: Instant
    end: Instant
    """Does not belong to the period. Single starts end where they begin."""
    is_single: bool = False
    repeat: Duration = NO_REPEAT
    absolute_repeat: Duration = NO_REPEAT
    let_run: bool = False
    when_holiday: WhenHoliday = WhenHoliday.SUPPRESS
    schedule: SchedulePath | None = None
    """The schedule, base or substitute, that this period is from; None: an inline run time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A stretch of time in which one schedule, base or substitute, is in force."""

    begin: Instant
    end: Instant
    pattern: Pattern
    once: bool
    schedule: SchedulePath | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calendar:
    """What `calendar_of` found; ask the functions of this package. Not for journals."""

    segments: tuple[Segment, ...]
    clock: LocalClock
    user: CalendarUser


class Found(NamedTuple):
    """A match of a search."""

    begin: int
    """Of the period, cut to the time in which its schedule is in force."""
    end: int
    start: int
    """What it starts first at or after the instant of the search; not before `begin`."""
    entry: Entry
    schedule: SchedulePath | None


def calendar_of(
    run_time: RunTime,
    schedules: Mapping[SchedulePath, Schedule],
    zone: tzinfo,
    scheduler_holidays: Holidays | None,
    zone_of: Callable[[str], tzinfo],
    *,
    user: CalendarUser = CalendarUser.JOB,
) -> Calendar | MissingSchedule:
    """Make a run time searchable.

    `zone` is the scheduler's, `zone_of` finds the one that the run time names; what it raises for
    an unknown name comes through (codecs refuse such names). Schedules are taken as they are now:
    make the calendar anew when one changes. Substitutes that are not allowed have no effect.
    """
    clock = clock_of(zone if run_time.time_zone is None else zone_of(run_time.time_zone))
    if run_time.schedule is None:
        holidays = scheduler_holidays if user is CalendarUser.JOB else None
        segment = _segment(run_time, holidays, None, SINCE_EVER, NEVER)
        return Calendar(segments=(segment,), clock=clock, user=user)
    base = schedules.get(run_time.schedule)
    if base is None:
        return MissingSchedule(path=run_time.schedule)
    if base.substitute is not None:
        return MissingSchedule(path=run_time.schedule, is_substitute=True)
    segments = []
    reached = SINCE_EVER
    for begin, end, substitute in effective_substitutes(base, schedules, clock):
        if begin > reached:
            segments.append(_segment(base.run_time, scheduler_holidays, base.path, reached, begin))
        segments.append(
            _segment(substitute.run_time, scheduler_holidays, substitute.path, begin, end)
        )
        reached = end
    if reached < NEVER:
        segments.append(_segment(base.run_time, scheduler_holidays, base.path, reached, NEVER))
    return Calendar(segments=tuple(segments), clock=clock, user=user)


def search(calendar: Calendar, mode: Mode, instant: int, before: int = NEVER) -> Found | None:
    """Return the first match by begin at or after an instant (schedules.md 7), or None.

    `before` limits the begins that are looked at.
    """
    if instant >= _LAST_INSTANT:
        return None
    last_day = calendar.clock.day_of(instant) + SEARCHED_DAYS_MAX
    for segment in calendar.segments:
        if segment.end > instant and segment.begin < before:
            if segment.begin > instant and calendar.clock.day_of(segment.begin) > last_day:
                break
            found = _search_segment(segment, calendar.clock, mode, instant, before, last_day)
            if found is not None:
                return found
    return None


def is_in_period(calendar: Calendar, instant: Instant) -> bool:
    """Whether the calendar allows running at an instant."""
    found = search(calendar, Mode.PERIOD, instant)
    return found is not None and found.begin <= instant


def period_at(calendar: Calendar, instant: Instant) -> PeriodSpan | None:
    """Return the period that an instant lies in; of several the one with the earliest begin."""
    found = search(calendar, Mode.PERIOD, instant)
    return span_of(found) if found is not None and found.begin <= instant else None


def next_period(calendar: Calendar, instant: Instant) -> PeriodSpan | None:
    """Return the period that an instant lies in, otherwise the next one."""
    found = search(calendar, Mode.PERIOD, instant)
    return None if found is None else span_of(found)


def next_period_begin(calendar: Calendar, instant: Instant) -> Instant:
    """Return the first instant from this one on that lies in a period: this one or a begin."""
    found = search(calendar, Mode.PERIOD, instant)
    return NEVER if found is None else Instant(max(instant, found.begin))


def once_at(calendar: Calendar, instant: Instant) -> bool:
    """Whether the schedule in force at an instant has `once` (schedules.md 10)."""
    return any(each.once for each in calendar.segments if each.begin <= instant < each.end)


def active_schedule(calendar: Calendar, instant: Instant) -> SchedulePath | None:
    """Return the schedule in force at an instant; None for an inline run time."""
    for segment in calendar.segments:
        if segment.begin <= instant < segment.end:
            return segment.schedule
    return None


def spans_between(calendar: Calendar, from_: Instant, before: Instant) -> Iterator[PeriodSpan]:
    """Yield what `show_calendar` lists: starting periods, repeats not expanded (schedules.md 14).

    A period that contains `from_` comes with its true begin, a single start exactly then does not.
    """
    listed: Instant | None = None
    instant = from_
    while True:
        found = search(calendar, Mode.ANY, instant, before)
        if found is None or found.begin >= before:
            return
        if found.end > from_ and found.begin != listed:
            listed = Instant(found.begin)
            yield span_of(found)
        instant = Instant(found.begin + 1000 if found.entry.is_point else found.end)


def span_of(found: Found) -> PeriodSpan:
    """Return a match as the record that others see."""
    entry = found.entry
    return PeriodSpan(
        begin=Instant(found.begin),
        end=Instant(found.end),
        is_single=entry.is_point,
        repeat=entry.interval if entry.kind is StartKind.REPEAT else NO_REPEAT,
        absolute_repeat=(entry.interval if entry.kind is StartKind.ABSOLUTE_REPEAT else NO_REPEAT),
        let_run=entry.let_run,
        when_holiday=entry.when_holiday,
        schedule=found.schedule,
    )


def _segment(
    run_time: RunTime,
    holidays: Holidays | None,
    path: SchedulePath | None,
    begin: Instant,
    end: Instant,
) -> Segment:
    return Segment(
        begin=begin,
        end=end,
        pattern=pattern_of(run_time, holidays),
        once=run_time.once,
        schedule=path,
    )


def _search_segment(
    segment: Segment, clock: LocalClock, mode: Mode, instant: int, before: int, last_day: int
) -> Found | None:
    earliest = max(instant, segment.begin)
    latest = min(segment.end, before)
    if latest < _LAST_INSTANT:
        last_day = min(last_day, clock.day_of(latest))
    # A single start at 24:00 belongs to the day before.
    day = segment.pattern.next_day(clock.day_of(earliest - 1), mode, last_day)
    while day is not None:
        for entry in segment.pattern.entries(day, mode):
            begin = clock.instant(day, entry.begin)
            if begin >= latest:
                return None
            if entry.is_point:
                if begin >= earliest:
                    return Found(begin, begin, begin, entry, segment.schedule)
                continue
            found = _match(entry, begin, clock.instant(day, entry.end), segment, mode, earliest)
            if found is not None:
                return found
        day = segment.pattern.next_day(day + 1, mode, last_day)
    return None


def _match(
    entry: Entry, begin: Instant, end: Instant, segment: Segment, mode: Mode, earliest: int
) -> Found | None:
    cut_begin, cut_end = max(begin, segment.begin), min(end, segment.end)
    if cut_end <= earliest or cut_end <= cut_begin:
        return None
    start: int = cut_begin
    if entry.kind is StartKind.ABSOLUTE_REPEAT and mode is not Mode.PERIOD:
        missed = max(0, earliest - begin)
        start = begin + -(-missed // entry.interval) * entry.interval
        if start >= cut_end:
            return None
    return Found(cut_begin, cut_end, start, entry, segment.schedule)
