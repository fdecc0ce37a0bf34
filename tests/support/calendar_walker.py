"""A second, slow reading of schedules.md: walks minute by minute and knows no shortcuts.

It shares nothing with `engine.kernel.calendar` but the records of definitions. Wall clocks are
watched, not converted: a local time has come at the first minute at which the highest time shown so
far reaches it. That alone yields the rules for clocks that go forward or back.
"""

import calendar as month_table
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from math import ceil
from typing import Literal, NamedTuple, TypeAlias
from zoneinfo import ZoneInfo

from engine.kernel.calendar import (
    CalendarUser,
    DayPeriods,
    Holidays,
    LocalTime,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    Schedule,
    WhenHoliday,
)
from engine.kernel.ids import SchedulePath
from tests.support.random_calendars import Case

Mode: TypeAlias = Literal["period", "any", "single"]
DAY = 24 * 60
BRIDGED = 20
_BEGIN_OF_TIME = datetime.fromisoformat("0001-01-01")
_END_OF_TIME = datetime.fromisoformat("9999-12-31")


@dataclass(frozen=True, kw_only=True)
class Walked:
    """A period or point with the minutes (since 1970, UTC) at which it opened and closed."""

    begin: int
    end: int
    grid_from: int
    """Begin before it was cut by a substitution."""
    kind: str
    """`plain`, `repeat`, `absolute_repeat`, `single_start` or `at`."""
    interval: int
    let_run: bool
    schedule: SchedulePath | None

    @property
    def is_point(self) -> bool:
        return self.kind in ("single_start", "at")

    def matches(self, mode: Mode, minute: float) -> bool:
        """Whether a search from a minute on takes this one (schedules.md 7)."""
        if self.is_point:
            return mode != "period" and self.begin >= minute
        if mode == "period":
            return minute < self.end
        if self.kind == "absolute_repeat":
            return self.first_point(minute) is not None
        return mode == "any" and self.kind == "repeat" and minute < self.end

    def first_point(self, minute: float) -> int | None:
        wanted = max(minute, self.begin)
        points = range(self.grid_from, self.end, self.interval)
        passed = ceil((wanted - self.grid_from) / self.interval)
        return points[passed] if passed < len(points) else None

    def start(self, minute: float) -> int:
        """Return what it starts first from a minute on."""
        if self.kind == "absolute_repeat":
            point = self.first_point(minute)
            assert point is not None
            return point
        return self.begin


class _InForce(NamedTuple):
    """From which minute to which a schedule counts."""

    begin: int
    end: int
    run_time: RunTime
    holidays: Holidays
    schedule: SchedulePath | None


class Walk:
    """Everything that happens from some days before a minute until `last`, in order of begin."""

    def __init__(self, case: Case, first: int, last: int) -> None:
        self.last = last
        self._first = first - 2 * DAY
        self.shown = _walk_the_clock(ZoneInfo(case.zone), self._first, last)
        in_force = self._in_force(case)
        self.once = next(each.run_time.once for each in in_force if first < each.end)
        self.walked = list(self._collect(in_force))

    def search(self, mode: Mode, minute: float) -> Walked | None:
        return next((one for one in self.walked if one.matches(mode, minute)), None)

    def forget_before(self, minute: int) -> None:
        """Drop what no search from a minute on can find."""
        self.walked = [one for one in self.walked if one.end >= minute]

    def _collect(self, in_force: list[_InForce]) -> Iterator[Walked]:
        for stretch in in_force:
            days = _Days(stretch.run_time, stretch.holidays)
            day = self.shown[stretch.begin - self._first].date() - timedelta(days=1)
            while day <= self.shown[stretch.end - self._first].date():
                for kind, period in days.on(day):
                    yield from self._happen(day, kind, period, stretch)
                day += timedelta(days=1)

    def _in_force(self, case: Case) -> list[_InForce]:
        config = case.scheduler_holidays
        path = case.run_time.schedule
        if path is None:
            inherited = config if case.user is CalendarUser.JOB else None
            holidays = _holidays(case.run_time, inherited)
            return [_InForce(self._first, self.last, case.run_time, holidays, None)]
        substitutes = _allowed_substitutes(path, case.schedules)
        owners = [
            next((one.path for one in substitutes if _is_valid(one, shown)), path)
            for shown in self.shown[:-1]
        ]
        result = []
        begin = 0
        for offset in range(1, len(owners) + 1):
            owner = owners[begin]
            if offset == len(owners) or owners[offset] != owner:
                run_time = case.schedules[owner].run_time
                holidays = _holidays(run_time, config)
                result.append(
                    _InForce(self._first + begin, self._first + offset, run_time, holidays, owner)
                )
                begin = offset
        return result

    def _minute_of(self, local: datetime) -> int:
        """Return the first minute at which the clock had shown at least this time."""
        low, high = 0, len(self.shown)
        while low < high:
            middle = (low + high) // 2
            if self.shown[middle] >= local:
                high = middle
            else:
                low = middle + 1
        return self._first + low

    def _happen(self, day: date, kind: str, period: Period, stretch: _InForce) -> Iterator[Walked]:
        midnight = datetime.combine(day, datetime.min.time())
        if period.single_start is not None:
            minute = self._minute_of(midnight + timedelta(seconds=period.single_start))
            if stretch.begin <= minute < stretch.end:
                yield Walked(
                    begin=minute,
                    end=minute,
                    grid_from=minute,
                    kind=kind,
                    interval=0,
                    let_run=True,
                    schedule=stretch.schedule,
                )
            return
        grid_from = self._minute_of(midnight + timedelta(seconds=period.begin))
        begin = max(grid_from, stretch.begin)
        end = min(self._minute_of(midnight + timedelta(seconds=period.end)), stretch.end)
        if begin < end:
            yield Walked(
                begin=begin,
                end=end,
                grid_from=grid_from,
                kind=kind,
                interval=(period.absolute_repeat or period.repeat) // 60_000,
                let_run=period.let_run,
                schedule=stretch.schedule,
            )


def _walk_the_clock(zone: ZoneInfo, first: int, last: int) -> list[datetime]:
    """Return the highest local time shown up to each minute from `first` to `last`."""
    shown: list[datetime] = []
    highest = _BEGIN_OF_TIME
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=first - 180)
    for minute in range(first - 180, last + 1):
        local = moment.astimezone(zone).replace(tzinfo=None, fold=0)
        highest = max(highest, local)
        if minute >= first:
            shown.append(highest)
        moment += timedelta(minutes=1)
    return shown


class _Days:
    """The periods of each day, worked out from the definition every time."""

    def __init__(self, run_time: RunTime, holidays: Holidays) -> None:
        self._run_time = run_time
        self._holidays = {date.fromisoformat(day) for day in holidays.dates}
        self._weekdays = set(holidays.weekdays)

    def on(self, day: date) -> list[tuple[str, Period]]:
        """Return the periods of a day by begin; those of equal begin as sections 6 and 7 say."""
        found: list[tuple[str, Period]] = []
        for at in sorted(self._run_time.at):
            moment = datetime.fromisoformat(at)
            if moment.date() == day:
                found.append(("at", Period(single_start=moment.hour * 3600 + moment.minute * 60)))
        own = self._own(day)
        if self._is_holiday(day):
            found += _treated(own, WhenHoliday.IGNORE_HOLIDAY)
        else:
            found += own
            for step in range(1, BRIDGED + 1):
                before = day - timedelta(days=step)
                if not self._is_holiday(before):
                    break
                found += _treated(self._own(before), WhenHoliday.NEXT_NON_HOLIDAY)
            for step in range(1, BRIDGED + 1):
                after = day + timedelta(days=step)
                if not self._is_holiday(after):
                    break
                found += _treated(self._own(after), WhenHoliday.PREVIOUS_NON_HOLIDAY)
        return sorted(found, key=lambda each: _begin(each[1]))

    def _is_holiday(self, day: date) -> bool:
        return day in self._holidays or day.isoweekday() % 7 in self._weekdays

    def _own(self, day: date) -> list[tuple[str, Period]]:
        run_time = self._run_time
        default = run_time.periods or (Period(let_run=run_time.let_run),)
        groups: list[list[Period]] = []
        dated = [rule.periods or default for rule in run_time.dates if rule.date == str(day)]
        groups.append([period for periods in dated for period in periods])
        month = next((each for each in run_time.months if day.month in each.months), None)
        if month is not None:
            groups += _rule_groups(month, month.periods or (Period(),), day, every_day=True)
        else:
            nothing_named = not (run_time.at or run_time.dates or run_time.months)
            groups += _rule_groups(run_time, default, day, every_day=nothing_named)
        return [
            (_kind(period), period) for group in groups for period in _with_unique_begins(group)
        ]


def _rule_groups(
    rules: RunTime | Month, default: Sequence[Period], day: date, *, every_day: bool
) -> list[list[Period]]:
    if not (rules.weekdays or rules.monthdays or rules.month_weekdays or rules.ultimos):
        return [list(default)] if every_day else []
    weekday = day.isoweekday() % 7
    length = month_table.monthrange(day.year, day.month)[1]
    from_begin = (day.day + 6) // 7
    from_end = -((length - day.day) // 7 + 1)
    return [
        _of_day(rules.weekdays, weekday, default),
        _of_day(rules.monthdays, day.day, default),
        _of_month_weekday(rules.month_weekdays, weekday, from_begin, default),
        _of_month_weekday(rules.month_weekdays, weekday, from_end, default),
        _of_day(rules.ultimos, length - day.day, default),
    ]


def _of_day(rules: Iterable[DayPeriods], day: int, default: Sequence[Period]) -> list[Period]:
    return [period for rule in rules if day in rule.days for period in (rule.periods or default)]


def _of_month_weekday(
    rules: Iterable[MonthWeekday], weekday: int, which: int, default: Sequence[Period]
) -> list[Period]:
    return [
        period
        for rule in rules
        if rule.which == which and weekday in rule.weekdays
        for period in (rule.periods or default)
    ]


def _with_unique_begins(periods: Iterable[Period]) -> list[Period]:
    kept: list[Period] = []
    for period in periods:
        if all(_begin(period) != _begin(each) for each in kept):
            kept.append(period)
    return sorted(kept, key=_begin)


def _begin(period: Period) -> int:
    return period.begin if period.single_start is None else period.single_start


def _kind(period: Period) -> str:
    if period.single_start is not None:
        return "single_start"
    if period.absolute_repeat:
        return "absolute_repeat"
    return "repeat" if period.repeat else "plain"


def _treated(
    periods: Iterable[tuple[str, Period]], treatment: WhenHoliday
) -> list[tuple[str, Period]]:
    return [each for each in periods if each[1].when_holiday is treatment]


def _holidays(run_time: RunTime, inherited: Holidays | None) -> Holidays:
    own = run_time.holidays
    base = inherited or Holidays()
    if own is None:
        return base
    dates = base.dates + own.dates if own.adds else own.dates
    return replace(base, dates=dates, weekdays=base.weekdays + own.weekdays)


def _allowed_substitutes(
    base: SchedulePath, schedules: dict[SchedulePath, Schedule]
) -> list[Schedule]:
    allowed: list[Schedule] = []
    for schedule in schedules.values():
        if schedule.substitute != base:
            continue
        begin, end = _limits(schedule)
        if begin < end and not any(
            begin < _limits(other)[1] and _limits(other)[0] < end for other in allowed
        ):
            allowed.append(schedule)
    return allowed


def _limits(schedule: Schedule) -> tuple[datetime, datetime]:
    return (
        _moment(schedule.valid_from) or _BEGIN_OF_TIME,
        _moment(schedule.valid_to) or _END_OF_TIME,
    )


def _moment(local: LocalTime | None) -> datetime | None:
    return None if local is None else datetime.fromisoformat(local)


def _is_valid(schedule: Schedule, shown: datetime) -> bool:
    begin, end = _limits(schedule)
    return begin <= shown < end
