"""Run times without any clock: definition + instant + zone -> next start (schedules.md).

`calendar_of` makes a `RunTime` searchable; the other functions ask the `Calendar`. What daylight
saving does is told in a table in `local_time`. Nothing here reads a clock: instants come in.
"""

from engine.kernel.calendar.calendars import (
    Calendar,
    CalendarUser,
    MissingSchedule,
    PeriodSpan,
    active_schedule,
    calendar_of,
    is_in_period,
    next_period,
    next_period_begin,
    period_at,
    spans_between,
)
from engine.kernel.calendar.entries import StartKind
from engine.kernel.calendar.lint import Finding, FindingKind, findings, schedule_findings
from engine.kernel.calendar.next_start import (
    Start,
    first_order_start,
    following_start,
    known_start,
    next_fixed_start,
    next_job_start,
    next_order_start,
    start_from,
    starts_between,
)
from engine.kernel.calendar.run_time import (
    DAY_SECONDS,
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
from engine.kernel.calendar.substitutes import substitution_problem

__all__ = [
    "DAY_SECONDS",
    "Calendar",
    "CalendarUser",
    "DatePeriods",
    "DayPeriods",
    "Finding",
    "FindingKind",
    "Holidays",
    "LocalDate",
    "LocalTime",
    "MissingSchedule",
    "Month",
    "MonthWeekday",
    "Period",
    "PeriodSpan",
    "RunTime",
    "Schedule",
    "Start",
    "StartKind",
    "WhenHoliday",
    "active_schedule",
    "calendar_of",
    "findings",
    "first_order_start",
    "following_start",
    "is_in_period",
    "known_start",
    "next_fixed_start",
    "next_job_start",
    "next_order_start",
    "next_period",
    "next_period_begin",
    "period_at",
    "schedule_findings",
    "spans_between",
    "start_from",
    "starts_between",
    "substitution_problem",
]
