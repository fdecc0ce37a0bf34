"""Run times without any clock: definition + instant + zone -> next start (schedules.md)."""

from engine.kernel.calendar.run_time import (
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

__all__ = [
    "DatePeriods",
    "DayPeriods",
    "Holidays",
    "LocalDate",
    "LocalTime",
    "Month",
    "MonthWeekday",
    "Period",
    "RunTime",
    "Schedule",
    "WhenHoliday",
]
