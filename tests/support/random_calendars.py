"""Random run times, schedules and zones, for property tests and the bench.

All times are whole minutes. The definitions are dense around the day they are made for, so that a
walk of some days meets single starts, repeats, holidays, moved periods and substitutes.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from engine.kernel.calendar import (
    CalendarUser,
    DatePeriods,
    DayPeriods,
    Holidays,
    LocalDate,
    LocalTime,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    Schedule,
    WhenHoliday,
)
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import Duration, Instant, from_datetime

ZONES = (
    "UTC",
    "Europe/Berlin",
    "Europe/Helsinki",
    "Europe/London",
    "Europe/Moscow",  # changed its offset for good in 2011 and 2014
    "Europe/Istanbul",  # gave up switching in 2016
    "America/New_York",
    "America/St_Johns",  # half an hour, and until 2011 a switch at 0:01
    "America/Havana",  # midnight comes twice
    "America/Sao_Paulo",  # midnight was skipped
    "America/Caracas",  # moved by half an hour in 2007 and 2016
    "America/Santiago",
    "America/Nuuk",
    "Atlantic/Azores",
    "Africa/Casablanca",  # four switches a year, around Ramadan
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Asia/Shanghai",
    "Asia/Gaza",
    "Asia/Pyongyang",
    "Antarctica/Troll",  # two hours at once
    "Australia/Sydney",
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Pacific/Auckland",
    "Pacific/Apia",  # left out 2011-12-30
    "Pacific/Chatham",
    "Pacific/Honolulu",
)
BASE = SchedulePath("/base")
_HOUR = 60
_DAY = 24 * _HOUR
_MINUTE_MS = 60_000
_REPEATS = (1, 5, 7, 10, 30, 45, 60, 90, 180, 300, 480, 700, 1500)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Everything that a calendar is made of, and an instant to ask about."""

    run_time: RunTime
    schedules: dict[SchedulePath, Schedule]
    zone: str
    scheduler_holidays: Holidays | None
    user: CalendarUser
    instant: Instant
    duration: Duration


def random_case(rng: Random) -> Case:
    """Return a definition for some day of the years 2000 to 2040."""
    zone = rng.choice(ZONES)
    begin = _random_moment(rng, ZoneInfo(zone))
    around = begin.astimezone(ZoneInfo(zone)).date() + timedelta(days=rng.randint(0, 3))
    schedules: dict[SchedulePath, Schedule] = {}
    run_time = random_run_time(rng, around)
    if rng.random() < 0.3:
        schedules[BASE] = Schedule(path=BASE, run_time=run_time)
        for number in range(rng.choice((0, 1, 1, 2))):
            path = SchedulePath(f"/substitute{number}")
            schedules[path] = _random_substitute(rng, path, around)
        run_time = RunTime(schedule=BASE)
    return Case(
        run_time=run_time,
        schedules=schedules,
        zone=zone,
        scheduler_holidays=_random_holidays(rng, around) if rng.random() < 0.4 else None,
        user=rng.choice((CalendarUser.JOB, CalendarUser.ORDER)),
        instant=from_datetime(begin),
        duration=Duration(rng.choice((0, 1, 4, 30, 100, 600)) * _MINUTE_MS),
    )


def random_run_time(rng: Random, around: date) -> RunTime:
    """Return a run time that has something to say about the days around a day."""
    kinds = rng.sample(
        ("weekdays", "monthdays", "month_weekdays", "ultimos", "months", "dates", "at"),
        k=rng.choice((0, 0, 1, 1, 1, 2, 2, 3)),
    )
    rules = _random_days(rng, around, kinds)
    return RunTime(
        periods=_random_periods(rng, rng.choice((0, 1, 1, 2, 3))),
        weekdays=rules.weekdays,
        monthdays=rules.monthdays,
        month_weekdays=rules.month_weekdays,
        ultimos=rules.ultimos,
        months=_random_months(rng, around) if "months" in kinds else (),
        dates=tuple(
            DatePeriods(date=_near(rng, around), periods=_random_periods(rng, rng.randint(0, 2)))
            for _ in range(rng.randint(1, 4) if "dates" in kinds else 0)
        ),
        at=tuple(
            _local_time(rng, around) for _ in range(rng.randint(1, 3) if "at" in kinds else 0)
        ),
        holidays=_random_holidays(rng, around) if rng.random() < 0.5 else None,
        once=rng.random() < 0.1,
    )


def _random_moment(rng: Random, zone: ZoneInfo) -> datetime:
    """Return a minute, often shortly before the zone's clocks change."""
    year = rng.randint(2000, 2040)
    moment = datetime(year, 1, 1, tzinfo=UTC) + timedelta(minutes=rng.randrange(365 * _DAY))
    if rng.random() < 0.5:
        switches = _switches(zone, year)
        if switches:
            moment = rng.choice(switches) - timedelta(minutes=rng.randrange(2 * _DAY))
    return moment


def _switches(zone: ZoneInfo, year: int) -> list[datetime]:
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in range(0, 8760, 6)]
    offsets = [moment.astimezone(zone).utcoffset() for moment in hours]
    return [
        after
        for after, one, other in zip(hours[1:], offsets, offsets[1:], strict=False)
        if one != other
    ]


def _random_days(rng: Random, around: date, kinds: list[str]) -> Month:
    def days_of(kind: str, first: int, last: int, likely: int) -> tuple[DayPeriods, ...]:
        count = rng.randint(1, 3) if kind in kinds else 0
        return tuple(
            DayPeriods(
                days=tuple(
                    likely if rng.random() < 0.3 else rng.randint(first, last)
                    for _ in range(rng.randint(1, 4))
                ),
                periods=_random_periods(rng, rng.choice((0, 1, 1, 2, 3))),
            )
            for _ in range(count)
        )

    return Month(
        months=(around.month,),
        weekdays=days_of("weekdays", 0, 6, around.isoweekday() % 7),
        monthdays=days_of("monthdays", 1, 31, around.day),
        ultimos=days_of("ultimos", 0, 30, max(0, 29 - around.day)),
        month_weekdays=tuple(
            MonthWeekday(
                weekdays=tuple({rng.randint(0, 6) for _ in range(3)}),
                which=rng.choice((1, 2, 3, 4, 5, -1, -2, -3, -4, -5)),
                periods=_random_periods(rng, rng.randint(0, 2)),
            )
            for _ in range(rng.randint(1, 4) if "month_weekdays" in kinds else 0)
        ),
    )


def _random_months(rng: Random, around: date) -> tuple[Month, ...]:
    numbers = {around.month, (around + timedelta(days=10)).month, rng.randint(1, 12)}
    chosen = rng.sample(sorted(numbers), k=rng.randint(1, len(numbers)))
    kinds = rng.sample(
        ("weekdays", "monthdays", "month_weekdays", "ultimos"), k=rng.choice((0, 1, 1, 2))
    )
    rules = _random_days(rng, around, kinds)
    return (
        replace(
            rules, months=tuple(chosen), periods=_random_periods(rng, rng.choice((0, 1, 1, 2)))
        ),
    )


def _random_periods(rng: Random, count: int) -> tuple[Period, ...]:
    return tuple(_random_period(rng) for _ in range(count))


def _random_period(rng: Random) -> Period:
    treatment = rng.choice((WhenHoliday.SUPPRESS, *WhenHoliday))
    begin, end = sorted((_minute(rng), _minute(rng)))
    if rng.random() < 0.4:
        return Period(single_start=begin * 60, when_holiday=treatment)
    period = Period(
        begin=0 if rng.random() < 0.2 else begin * 60,
        end=_DAY * 60 if rng.random() < 0.3 else end * 60,
        let_run=rng.random() < 0.3,
        when_holiday=treatment,
    )
    kind = rng.random()
    interval = Duration(rng.choice(_REPEATS) * _MINUTE_MS)
    if kind < 0.35:
        return replace(period, repeat=interval)
    if kind < 0.7:
        return replace(period, absolute_repeat=interval)
    return period


def _minute(rng: Random) -> int:
    """Return a minute of the day, half of the time one of those that switches touch."""
    if rng.random() < 0.5:
        return rng.choice((0, 1, 30, 60, 90, 119, 120, 135, 150, 165, 180, 210, 240, 1380, _DAY))
    return rng.randint(0, _DAY)


def _near(rng: Random, around: date) -> LocalDate:
    return LocalDate((around + timedelta(days=rng.randint(-4, 12))).isoformat())


def _local_time(rng: Random, around: date) -> LocalTime:
    minute = min(_minute(rng), _DAY - 1)
    return LocalTime(f"{_near(rng, around)}T{minute // 60:02d}:{minute % 60:02d}:00")


def _random_holidays(rng: Random, around: date) -> Holidays:
    first = around + timedelta(days=rng.randint(-24, 6))
    length = rng.choice((0, 1, 2, 3, 19, 20, 21, 22))
    series = [LocalDate((first + timedelta(days=step)).isoformat()) for step in range(length)]
    single = [_near(rng, around) for _ in range(rng.randint(0, 3))]
    weekdays = rng.choice(((), (6, 0), (0,), (1, 2, 3, 4, 5), tuple(range(7))))
    return Holidays(
        dates=tuple(dict.fromkeys(series + single)),
        weekdays=weekdays if rng.random() < 0.6 else (),
        adds=rng.random() < 0.3,
    )


def _random_substitute(rng: Random, path: SchedulePath, around: date) -> Schedule:
    begin, end = sorted((_local_time(rng, around), _local_time(rng, around)))
    return Schedule(
        path=path,
        run_time=random_run_time(rng, around),
        substitute=BASE,
        valid_from=None if rng.random() < 0.2 else begin,
        valid_to=None if rng.random() < 0.2 else end,
    )
