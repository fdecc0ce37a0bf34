"""Run times as XML again, for answers with `what="run_time"` (schedules.md 2 to 6)."""

from collections.abc import Iterable

from engine.codec.xml.answers import element, given, source_element, xml_fragment, yes
from engine.codec.xml.findings import Element
from engine.kernel.calendar import (
    DayPeriods,
    Holidays,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    WhenHoliday,
)
from engine.kernel.calendar.run_time import DAY_SECONDS
from engine.kernel.definitions import ScheduleFile, Source

_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_WEEKDAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")


def written_run_time(run_time: RunTime, source: Source | None) -> Element:
    """Return `<run_time>` as it was written: in a command, or in the object's file."""
    command = xml_fragment("written", run_time.written)
    file = source_element(source) if command is None else None
    written = None if command is None else command.find("run_time")
    if file is not None:
        written = file.find("*/run_time")
    return run_time_element(run_time) if written is None else written


def run_time_element(run_time: RunTime, tag: str = "run_time") -> Element:
    """Return `<run_time>` with what it says."""
    result = element(
        tag,
        schedule=run_time.schedule,
        let_run=yes(run_time.let_run),
        once=yes(run_time.once),
        time_zone=run_time.time_zone,
        start_time_function=run_time.start_time_function,
    )
    result.extend(periods(run_time.periods))
    result.extend(element("at", at=at.replace("T", " ")) for at in run_time.at)
    result.extend(
        element("date", *periods(each.periods), date=each.date) for each in run_time.dates
    )
    result.extend(_day_rules(run_time))
    result.extend(_month(month) for month in run_time.months)
    if run_time.holidays is not None:
        result.append(_holidays(run_time.holidays))
    return result


def schedule_element(file: ScheduleFile) -> Element:
    """Return `<schedule>` with the attributes and children of its file."""
    schedule = file.schedule
    result = run_time_element(schedule.run_time, "schedule")
    for name, value in (
        ("title", given(schedule.title)),
        ("substitute", schedule.substitute),
        ("valid_from", schedule.valid_from and schedule.valid_from.replace("T", " ")),
        ("valid_to", schedule.valid_to and schedule.valid_to.replace("T", " ")),
    ):
        if value is not None:
            result.set(name, value)
    return result


def periods(every: Iterable[Period]) -> list[Element]:
    """Return `<period>` elements."""
    return [period_element(each) for each in every]


def period_element(period: Period) -> Element:
    """Return `<period>` with the attributes that say something."""
    when = period.when_holiday
    when_holiday = None if when is WhenHoliday.SUPPRESS else when.value
    if period.single_start is not None:
        return element(
            "period", single_start=time_of_day(period.single_start), when_holiday=when_holiday
        )
    return element(
        "period",
        begin=time_of_day(period.begin) if period.begin else None,
        end=time_of_day(period.end) if period.end != DAY_SECONDS else None,
        repeat=period.repeat // 1000 if period.repeat else None,
        absolute_repeat=period.absolute_repeat // 1000 if period.absolute_repeat else None,
        let_run=yes(period.let_run),
        when_holiday=when_holiday,
    )


def time_of_day(seconds: int) -> str:
    """Return `HH:MM:SS`, `24:00:00` for the end of the day."""
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _day_rules(rules: RunTime | Month) -> list[Element]:
    found: list[Element] = []
    if rules.weekdays:
        found.append(element("weekdays", *_days(rules.weekdays)))
    if rules.monthdays or rules.month_weekdays:
        month_weekdays = [_month_weekday(each) for each in rules.month_weekdays]
        found.append(element("monthdays", *_days(rules.monthdays), *month_weekdays))
    if rules.ultimos:
        found.append(element("ultimos", *_days(rules.ultimos)))
    return found


def _days(rules: Iterable[DayPeriods]) -> list[Element]:
    return [
        element("day", *periods(each.periods), day=" ".join(str(day) for day in each.days))
        for each in rules
    ]


def _month_weekday(rule: MonthWeekday) -> Element:
    names = " ".join(_WEEKDAYS[day] for day in rule.weekdays)
    return element("weekday", *periods(rule.periods), day=names, which=rule.which)


def _month(month: Month) -> Element:
    names = " ".join(_MONTHS[number - 1] for number in month.months)
    return element("month", *periods(month.periods), *_day_rules(month), month=names)


def _holidays(holidays: Holidays) -> Element:
    result = element("holidays")
    if holidays.weekdays:
        days = [element("day", day=str(day)) for day in holidays.weekdays]
        result.append(element("weekdays", *days))
    result.extend(element("holiday", date=date) for date in holidays.dates)
    return result
