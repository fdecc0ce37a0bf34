"""Run times as definitions: plain records, written as the XML says them (schedules.md 1-6, 9, 10).

Inheritance is already applied: a period carries the attributes it takes from its `run_time`. Local
days and local times are texts, because they mean an instant only together with a zone.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import NewType

from engine.kernel.ids import SchedulePath
from engine.kernel.instants import Duration

LocalDate = NewType("LocalDate", str)
"""A day without a zone, `yyyy-mm-dd`."""

LocalTime = NewType("LocalTime", str)
"""A second without a zone, `yyyy-mm-ddTHH:MM:SS`, hours 00 to 23."""

DAY_SECONDS = 86_400
"""`24:00`, the end of a day of usual length, in seconds of the wall clock."""

NO_REPEAT = Duration(0)


class WhenHoliday(Enum):
    """What becomes of a period whose day is a holiday (schedules.md 6)."""

    SUPPRESS = "suppress"
    IGNORE_HOLIDAY = "ignore_holiday"
    PREVIOUS_NON_HOLIDAY = "previous_non_holiday"
    NEXT_NON_HOLIDAY = "next_non_holiday"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A part of one day that allows something, or a point of it that starts something.

    Times of day are seconds of the wall clock, 0 to 86,400; `end` does not belong to the period.
    """

    begin: int = 0
    end: int = DAY_SECONDS
    single_start: int | None = None
    """Given: a point; `begin`, `end` and both repeats mean nothing then."""
    repeat: Duration = NO_REPEAT
    """From the end of a run to the next start; 0: none."""
    absolute_repeat: Duration = NO_REPEAT
    """Distance of the start points counted from `begin`; 0: none. Wins over `repeat`."""
    let_run: bool = False
    """A task may go on after the end of the period."""
    when_holiday: WhenHoliday = WhenHoliday.SUPPRESS


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPeriods:
    """Days of a week or month, counted as their owner says, with periods of their own."""

    days: tuple[int, ...]
    periods: tuple[Period, ...] = ()
    """Empty: the default periods of the run time (or of the month)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthWeekday:
    """The n-th such weekday of a month: `<weekday day= which=>`."""

    weekdays: tuple[int, ...]
    """0 (Sunday) to 6."""
    which: int
    """1 to 5 from the first day of the month, -1 to -5 from the last."""
    periods: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DatePeriods:
    """One day with periods of its own."""

    date: LocalDate
    periods: tuple[Period, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """Rules that take the place of the general day rules in some months (schedules.md 5.5)."""

    months: tuple[int, ...]
    """1 to 12."""
    periods: tuple[Period, ...] = ()
    """The default of this month; empty: one period from 0:00 to 24:00 that starts nothing."""
    weekdays: tuple[DayPeriods, ...] = ()
    monthdays: tuple[DayPeriods, ...] = ()
    month_weekdays: tuple[MonthWeekday, ...] = ()
    ultimos: tuple[DayPeriods, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Holidays:
    """Days left out of a run time."""

    dates: tuple[LocalDate, ...] = ()
    weekdays: tuple[int, ...] = ()
    """0 (Sunday) to 6."""
    adds: bool = False
    """Written as bare `<holiday>` elements: inherited dates stay instead of being cleared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTime:
    """When something may run and when it starts; without any content always and never.

    With `schedule` only `time_zone` counts of all other fields.
    """

    periods: tuple[Period, ...] = ()
    """The default periods; empty: one from 0:00 to 24:00 that starts nothing."""
    weekdays: tuple[DayPeriods, ...] = ()
    """Days 0 (Sunday) to 6."""
    monthdays: tuple[DayPeriods, ...] = ()
    """Days 1 to 31."""
    month_weekdays: tuple[MonthWeekday, ...] = ()
    ultimos: tuple[DayPeriods, ...] = ()
    """Days 0 (the last of the month) to 30."""
    months: tuple[Month, ...] = ()
    dates: tuple[DatePeriods, ...] = ()
    at: tuple[LocalTime, ...] = ()
    holidays: Holidays | None = None
    once: bool = False
    """Jobs only: one start after loading. Also set by `<at at="now"/>`."""
    let_run: bool = False
    """As the element says; a lone default period takes it over."""
    schedule: SchedulePath | None = None
    time_zone: str | None = None
    start_time_function: str | None = None
    """A script function of releases before 1.8; kept for messages, it starts nothing."""
    written: str = field(default="", compare=False)
    """The XML that it was read from, where no file keeps that: it is shown unchanged (1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A named run time, or with `substitute` a temporary replacement of another one."""

    path: SchedulePath
    title: str = ""
    run_time: RunTime = RunTime()
    substitute: SchedulePath | None = None
    valid_from: LocalTime | None = None
    """Inclusive, local time of the user; None: since ever."""
    valid_to: LocalTime | None = None
    """Exclusive; None: for ever."""
