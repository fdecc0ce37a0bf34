"""What is suspicious in a run time although it is allowed: findings of `pointsman check`."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, tzinfo
from enum import Enum

from engine.kernel.calendar.calendars import (
    Calendar,
    CalendarUser,
    MissingSchedule,
    calendar_of,
    once_at,
    search,
)
from engine.kernel.calendar.entries import Entry, Mode, StartKind, entry_of
from engine.kernel.calendar.local_time import clock_of
from engine.kernel.calendar.pattern import pattern_of
from engine.kernel.calendar.run_time import (
    Holidays,
    Month,
    Period,
    RunTime,
    Schedule,
)
from engine.kernel.calendar.substitutes import substitution_problem, validity
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import Instant

_DAYS_COMPARED = 366


class FindingKind(Enum):
    """What a finding is about."""

    NEVER_STARTS = "never_starts"
    NEVER_OPEN = "never_open"
    OVERLAPPING_PERIODS = "overlapping_periods"
    DROPPED_PERIOD = "dropped_period"
    UNUSED_DEFAULT = "unused_default"
    INHERITED_HOLIDAY_WEEKDAYS = "inherited_holiday_weekdays"
    NO_EFFECT = "no_effect"
    MISSING_SCHEDULE = "missing_schedule"
    START_TIME_FUNCTION = "start_time_function"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One suspicion, with a sentence for a person."""

    kind: FindingKind
    text: str


def findings(
    run_time: RunTime,
    schedules: Mapping[SchedulePath, Schedule],
    zone: tzinfo,
    scheduler_holidays: Holidays | None,
    *,
    zone_of: Callable[[str], tzinfo],
    now: Instant,
    user: CalendarUser = CalendarUser.JOB,
) -> tuple[Finding, ...]:
    """Return what is suspicious in the run time of a job or order, seen from `now`.

    A job whose run time only allows is fine; one whose starts all lie behind is not. Nothing is
    said of the inside of a referenced schedule: `schedule_findings` does that, once for all users.
    """
    calendar = calendar_of(
        run_time, schedules, zone, scheduler_holidays, zone_of=zone_of, user=user
    )
    if isinstance(calendar, MissingSchedule):
        return (_missing(calendar),)
    if run_time.schedule is not None:
        return tuple(_empty(run_time, calendar, now))
    return (*_inner(run_time, scheduler_holidays, user, now), *_empty(run_time, calendar, now))


def schedule_findings(
    schedule: Schedule,
    schedules: Mapping[SchedulePath, Schedule],
    zone: tzinfo,
    scheduler_holidays: Holidays | None,
    *,
    zone_of: Callable[[str], tzinfo],
    now: Instant,
) -> tuple[Finding, ...]:
    """Return what is suspicious in a schedule itself, substitutes included."""
    found = list(_inner(schedule.run_time, scheduler_holidays, CalendarUser.JOB, now))
    problem = substitution_problem(schedule, schedules)
    if problem is not None:
        found.append(Finding(kind=FindingKind.NO_EFFECT, text=f"No effect: {problem}"))
    elif schedule.substitute is not None:
        plain = [
            calendar_of(run_time, {}, zone, scheduler_holidays, zone_of=zone_of)
            for run_time in (schedule.run_time, schedules[schedule.substitute].run_time)
        ]
        found += _substitution(schedule, plain, now)
    return tuple(found)


def _missing(missing: MissingSchedule) -> Finding:
    text = (
        f"SCHEDULER-466 The schedule {missing.path!r} is a substitute and cannot be referred to"
        if missing.is_substitute
        else f"SCHEDULER-161 There is no schedule {missing.path!r}: nothing starts until it appears"
    )
    return Finding(kind=FindingKind.MISSING_SCHEDULE, text=text)


def _empty(run_time: RunTime, calendar: Calendar, now: Instant) -> Iterator[Finding]:
    starts = search(calendar, Mode.ANY, now) is not None
    opens = search(calendar, Mode.PERIOD, now) is not None
    if calendar.user is CalendarUser.ORDER:
        if not starts:
            yield Finding(
                kind=FindingKind.NEVER_STARTS,
                text="The order never starts by itself: no single_start, at or repeat lies ahead",
            )
        return
    if not starts and not opens:
        yield Finding(
            kind=FindingKind.NEVER_OPEN,
            text="Neither a period nor a start of the job lies ahead: it runs for commands only",
        )
    elif not starts and not once_at(calendar, now) and _names_starts(run_time):
        yield Finding(
            kind=FindingKind.NEVER_STARTS,
            text="The job never starts by itself: no start of its run time lies ahead",
        )


def _inner(
    run_time: RunTime, scheduler_holidays: Holidays | None, user: CalendarUser, now: Instant
) -> Iterator[Finding]:
    if run_time.start_time_function is not None:
        yield Finding(
            kind=FindingKind.START_TIME_FUNCTION,
            text=f"start_time_function={run_time.start_time_function!r} starts nothing: "
            "it needs a script language, and JobScheduler has ignored it since 1.8",
        )
    yield from _dropped(run_time)
    yield from _overlaps(run_time, clock_of(UTC).day_of(now))
    if run_time.periods and not _default_is_used(run_time):
        yield Finding(
            kind=FindingKind.UNUSED_DEFAULT,
            text="The periods directly in the run time have no effect: with at, date, weekdays, "
            "monthdays, ultimos or month they count only for days without periods of their own",
        )
    if (
        user is CalendarUser.JOB
        and run_time.holidays is not None
        and not run_time.holidays.adds
        and scheduler_holidays is not None
        and scheduler_holidays.weekdays
    ):
        yield Finding(
            kind=FindingKind.INHERITED_HOLIDAY_WEEKDAYS,
            text="<holidays> replaces the dates of the scheduler's holidays, "
            "but their week days remain holidays",
        )


def _substitution(
    schedule: Schedule, calendars: list[Calendar | MissingSchedule], now: Instant
) -> Iterator[Finding]:
    """Look at the time of validity with the calendars of the substitute and of its base."""
    own, base = calendars
    assert isinstance(own, Calendar), "a schedule refers to no other one"
    assert isinstance(base, Calendar), "a schedule refers to no other one"
    begin, end = validity(schedule, own.clock)
    begin = max(begin, now)
    if begin >= end:
        reason = f"its time is over since valid_to={schedule.valid_to!r}"
    elif own.segments[0].pattern is base.segments[0].pattern:
        reason = f"it says the same as {schedule.substitute!r}"
    elif not any(
        search(calendar, mode, begin, end)
        for calendar in (own, base)
        for mode in (Mode.PERIOD, Mode.ANY)
    ):
        reason = "neither it nor what it substitutes has a period in its time"
    else:
        return
    yield Finding(
        kind=FindingKind.NO_EFFECT, text=f"The substitute {schedule.path!r} has no effect: {reason}"
    )


def _names_starts(run_time: RunTime) -> bool:
    return bool(run_time.at) or any(
        entry_of(period).kind is not None for periods in _lists(run_time) for period in periods
    )


def _default_is_used(run_time: RunTime) -> bool:
    """Whether some day takes the periods of the run time itself."""
    named = [
        rule.periods
        for rules in (run_time.weekdays, run_time.monthdays, run_time.ultimos)
        for rule in rules
    ]
    named += [rule.periods for rule in run_time.month_weekdays]
    named += [rule.periods for rule in run_time.dates]
    if named:
        return not all(named)
    return not (run_time.at or run_time.months)


def _dropped(run_time: RunTime) -> Iterator[Finding]:
    """Find periods that another one of the same day and begin hides (E34, E35)."""
    seen: set[tuple[Period, Period]] = set()
    for periods in _lists(run_time):
        kept: dict[int, Period] = {}
        for period in periods:
            first = kept.setdefault(entry_of(period).begin, period)
            if first != period and (first, period) not in seen:
                seen.add((first, period))
                yield Finding(
                    kind=FindingKind.DROPPED_PERIOD,
                    text=f"{_name(entry_of(period))} is dropped: "
                    f"{_name(entry_of(first))} begins at the same time and comes first",
                )


def _overlaps(run_time: RunTime, today: int) -> Iterator[Finding]:
    """Find overlapping periods of the days of one year and of all dates."""
    pattern = pattern_of(run_time, None)
    dates = (date.fromisoformat(rule.date).toordinal() for rule in run_time.dates)
    looked_at: set[tuple[Entry, ...]] = set()
    seen: set[tuple[Entry, Entry]] = set()
    for day in (*range(today, today + _DAYS_COMPARED), *dates):
        entries = pattern.on(day).entries
        if entries in looked_at:
            continue
        looked_at.add(entries)
        for pair in _overlapping(entries):
            if pair not in seen:
                seen.add(pair)
                yield _overlap(*pair)


def _overlapping(entries: tuple[Entry, ...]) -> Iterator[tuple[Entry, Entry]]:
    open_periods: list[Entry] = []
    for entry in entries:
        open_periods = [each for each in open_periods if each.end > entry.begin]
        for each in open_periods:
            if not entry.is_point or each.kind is StartKind.ABSOLUTE_REPEAT:
                yield each, entry
        if not entry.is_point:
            open_periods.append(entry)


def _overlap(first: Entry, second: Entry) -> Finding:
    if second.is_point:
        text = f"{_name(second)} is passed over while {_name(first)} has a point to come"
    else:
        text = f"{_name(second)} overlaps {_name(first)}, which is used until its end"
    return Finding(kind=FindingKind.OVERLAPPING_PERIODS, text=text)


def _lists(run_time: RunTime) -> Iterator[tuple[Period, ...]]:
    """Yield the periods that are written for a day or as a default, those of one day together."""
    yield run_time.periods
    yield from _together((rule.date, rule.periods) for rule in run_time.dates)
    yield from (month.periods for month in run_time.months)
    scopes: tuple[RunTime | Month, ...] = (run_time, *run_time.months)
    for rules in scopes:
        for days in (rules.weekdays, rules.monthdays, rules.ultimos):
            yield from _together((day, rule.periods) for rule in days for day in rule.days)
        yield from _together(
            ((day, rule.which), rule.periods)
            for rule in rules.month_weekdays
            for day in rule.weekdays
        )


def _together(
    named: Iterable[tuple[Hashable, tuple[Period, ...]]],
) -> Iterator[tuple[Period, ...]]:
    gathered: dict[Hashable, tuple[Period, ...]] = {}
    for name, periods in named:
        gathered[name] = gathered.get(name, ()) + periods
    yield from gathered.values()


def _name(entry: Entry) -> str:
    if entry.is_point:
        return f"the single start at {_clock(entry.begin)}"
    return f"the period {_clock(entry.begin)} to {_clock(entry.end)}"


def _clock(second: int) -> str:
    hours, rest = divmod(second, 3600)
    text = f"{hours:02d}:{rest // 60:02d}"
    return f"{text}:{rest % 60:02d}" if rest % 60 else text
