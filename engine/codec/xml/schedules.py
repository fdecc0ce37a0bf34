"""`<run_time>`, `<schedule>` and `<holidays>` become calendar records (schedules.md 2 to 6, 9, 10).

Each reader reports what it finds wrong and goes on without it. It also checks which elements and
attributes stand where. Inheritance of period attributes is applied here and nowhere else.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import TypeAlias, TypeVar
from zoneinfo import ZoneInfo

from engine.codec.xml import schedule_values as values
from engine.codec.xml.references import PathError, resolved
from engine.codec.xml.schedule_grammar import Element, Report, check_calendar, children, tag
from engine.kernel.calendar import (
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
from engine.kernel.calendar.run_time import NO_REPEAT
from engine.kernel.calendar.substitutes import validity_problem
from engine.kernel.ids import SchedulePath, folder_of
from engine.kernel.instants import Duration

NESTED_INCLUDES_MAX = 10
"""So deep may `<holidays>` include one another: SCHEDULER-390."""

Include: TypeAlias = Callable[[Element], Element | None]
"""Finds the root element of what an `<include>` names; None when it has reported a failure."""

Value = TypeVar("Value")
Other = TypeVar("Other")

_PERIOD_ATTRIBUTES = ("begin", "end", "single_start", "repeat", "let_run", "when_holiday")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Inherited:
    """What the periods of a run time take from it; begin and end are not among it (4)."""

    repeat: Duration = NO_REPEAT
    let_run: bool = False
    when_holiday: WhenHoliday = WhenHoliday.SUPPRESS
    is_single: bool = False
    """An oddity of the original: children with `begin` only become single starts (19.1)."""


_NOTHING_INHERITED = _Inherited()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Days:
    weekdays: tuple[DayPeriods, ...]
    monthdays: tuple[DayPeriods, ...]
    month_weekdays: tuple[MonthWeekday, ...]
    ultimos: tuple[DayPeriods, ...]


def read_run_time(
    element: Element,
    report: Report,
    *,
    include: Include,
    folder: str = "/",
    zone_of: Callable[[str], tzinfo] = ZoneInfo,
) -> RunTime:
    """Return what a `<run_time>` says; a relative `schedule` starts in `folder`.

    `zone_of` is asked only whether a zone exists.
    """
    check_calendar(element, report)
    reader = _Reader(report, include)
    run_time = reader.run_time(element)
    path = reader.path(element, "schedule", folder)
    zone = reader.zone(element, zone_of)
    if path is not None:
        # Whatever else is written has no meaning beside a reference (1).
        return RunTime(schedule=path, time_zone=zone)
    return replace(run_time, time_zone=zone)


def read_schedule(
    element: Element, path: SchedulePath, report: Report, *, include: Include
) -> Schedule:
    """Return the schedule that a file's root or an element of `<schedules>` defines.

    `path` is its own; a relative `substitute` starts in its folder. A zone or a reference in a
    schedule has no meaning: the zone of the user counts.
    """
    check_calendar(element, report)
    reader = _Reader(report, include)
    if element.get("name") is not None and element.get("time_zone") is not None:
        report(element, "A schedule with a name cannot have a time_zone; its user's counts")
    schedule = Schedule(
        path=path,
        title=str(element.get("title", "")),
        run_time=reader.run_time(element),
        substitute=reader.path(element, "substitute", folder_of(path)),
        valid_from=reader.value(element, "valid_from", values.local_time, None),
        valid_to=reader.value(element, "valid_to", values.local_time, None),
    )
    problem = validity_problem(schedule)
    if problem is not None:
        report(element, str(problem))
    return schedule


def read_holidays(element: Element, report: Report, *, include: Include) -> Holidays:
    """Return what a `<holidays>` element says, includes resolved."""
    check_calendar(element, report)
    return _Reader(report, include).holidays(element)


def read_scheduler_holidays(
    config: Element, report: Report, *, include: Include
) -> Holidays | None:
    """Return the holidays of `<config>`, written as `<holidays>` or as bare `<holiday>`s."""
    for child in children(config):
        if tag(child) in ("holidays", "holiday"):
            check_calendar(child, report)
    return _Reader(report, include).own_holidays(config)


class _Reader:
    """Reads the parts of one calendar."""

    def __init__(self, report: Report, include: Include) -> None:
        self._report = report
        self._include = include
        self._reported: set[tuple[Element, str]] = set()

    def report(self, element: Element, text: str) -> None:
        """Report a problem once, also if an attribute is read for several uses."""
        if (element, text) not in self._reported:
            self._reported.add((element, text))
            self._report(element, text)

    def value(
        self, element: Element, name: str, read: Callable[[str], Value], default: Other
    ) -> Value | Other:
        """Return an attribute's value, the default if it is missing or wrong."""
        text = element.get(name)
        if text is None:
            return default
        try:
            return read(str(text))
        except ValueError as error:
            code, blank, rest = str(error).partition(" ")
            known = code.startswith("SCHEDULER-")
            self.report(element, f"{code}{blank}{name}: {rest}" if known else f"{name}: {error}")
            return default

    def path(self, element: Element, name: str, folder: str) -> SchedulePath | None:
        """Return the absolute form of the path of a schedule; None when there is none."""
        text = str(element.get(name, "")).strip()
        if not text:
            return None
        try:
            return SchedulePath(resolved(text, folder))
        except PathError as error:
            self.report(element, f"SCHEDULER-461 {name}: {error}")
            return None

    def zone(self, element: Element, zone_of: Callable[[str], tzinfo]) -> str | None:
        """Return the name of the zone, if there is one that exists."""
        name = element.get("time_zone")
        if name is None:
            return None
        try:
            zone_of(str(name))
        except (LookupError, ValueError, OSError):
            self.report(element, f"time_zone: there is no time zone {str(name)!r}")
            return None
        return str(name)

    def run_time(self, element: Element) -> RunTime:
        """Return the calendar of an element, without reference and zone."""
        function = element.get("start_time_function")
        if function is not None:
            self.report(
                element,
                f"start_time_function={str(function)!r} is not possible: functions that compute "
                "start times need a script language; write the starts as periods or dates",
            )
        inherited = _Inherited(
            repeat=self.value(element, "repeat", values.interval, NO_REPEAT),
            let_run=self.value(element, "let_run", values.yes_no, False),
            when_holiday=self.value(
                element, "when_holiday", values.when_holiday, WhenHoliday.SUPPRESS
            ),
            is_single=element.get("single_start") is not None,
        )
        periods = self._periods(element, inherited)
        if not periods and any(element.get(name) is not None for name in _PERIOD_ATTRIBUTES):
            periods = self._valid((self._period(element, _NOTHING_INHERITED),))
        points = self._points(element)
        days = self._days(element, inherited)
        return RunTime(
            periods=periods,
            weekdays=days.weekdays,
            monthdays=days.monthdays,
            month_weekdays=days.month_weekdays,
            ultimos=days.ultimos,
            months=self._months(element),
            dates=self._dates(element, inherited),
            at=tuple(point for point in points if point is not None),
            holidays=self.own_holidays(element),
            once=self.value(element, "once", values.yes_no, False) or None in points,
            let_run=inherited.let_run,
            start_time_function=None if function is None else str(function),
        )

    def own_holidays(self, element: Element) -> Holidays | None:
        """Return the holidays written in an element: `<holidays>`, or bare `<holiday>` elements."""
        holidays = element.find("holidays")
        if holidays is not None:
            return self.holidays(holidays)
        dates = self._holiday_dates(element)
        return Holidays(dates=dates, adds=True) if dates else None

    def holidays(self, element: Element, depth: int = 0) -> Holidays:
        """Return what a `<holidays>` element and the documents that it includes say."""
        dates = list(self._holiday_dates(element))
        weekdays: list[int] = []
        for child in children(element):
            if tag(child) == "weekdays":
                for day in child.iterchildren("day"):
                    weekdays += self.value(day, "day", values.weekdays, ())
            elif tag(child) == "include":
                included = self._included(child, depth)
                dates += included.dates
                weekdays += included.weekdays
        return Holidays(dates=tuple(dict.fromkeys(dates)), weekdays=tuple(dict.fromkeys(weekdays)))

    def _included(self, element: Element, depth: int) -> Holidays:
        if depth >= NESTED_INCLUDES_MAX:
            self.report(
                element, f"SCHEDULER-390 <include> is nested more than {NESTED_INCLUDES_MAX} times"
            )
            return Holidays()
        root = self._include(element)
        if root is None:
            return Holidays()
        if tag(root) != "holidays":
            self.report(
                element,
                f"SCHEDULER-319 The included document has the root <{tag(root)}>, "
                "it has to be <holidays>",
            )
            return Holidays()
        # What is wrong inside is reported at the include: the other document has its own lines.
        reader = _Reader(lambda _, text: self.report(element, _wrapped(text)), self._include)
        check_calendar(root, reader.report)
        return reader.holidays(root, depth + 1)

    def _holiday_dates(self, element: Element) -> tuple[LocalDate, ...]:
        dates = (
            self.value(holiday, "date", values.local_date, None)
            for holiday in element.iterchildren("holiday")
        )
        return tuple(day for day in dates if day is not None)

    def _points(self, element: Element) -> list[LocalTime | None]:
        """Return the times of `<at>`; None stands for `now`, which is another way to say `once`."""
        points: list[LocalTime | None] = []
        for at in element.iterchildren("at"):
            if str(at.get("at", "")).strip() == "now":
                points.append(None)
            else:
                point = self.value(at, "at", values.local_time, None)
                points += [] if point is None else [point]
        return points

    def _dates(self, element: Element, inherited: _Inherited) -> tuple[DatePeriods, ...]:
        found = []
        for date in element.iterchildren("date"):
            day = self.value(date, "date", values.local_date, None)
            if day is not None:
                found.append(DatePeriods(date=day, periods=self._periods(date, inherited)))
        return tuple(found)

    def _months(self, element: Element) -> tuple[Month, ...]:
        found: list[Month] = []
        named: set[int] = set()
        for month in element.iterchildren("month"):
            numbers = self.value(month, "month", values.months, ())
            for number in numbers:
                if number in named:
                    self.report(month, f"SCHEDULER-443 The month {number} is named twice")
                named.add(number)
            days = self._days(month, _NOTHING_INHERITED)
            if numbers:
                found.append(
                    Month(
                        months=numbers,
                        periods=self._periods(month, _NOTHING_INHERITED),
                        weekdays=days.weekdays,
                        monthdays=days.monthdays,
                        month_weekdays=days.month_weekdays,
                        ultimos=days.ultimos,
                    )
                )
        return tuple(found)

    def _days(self, element: Element, inherited: _Inherited) -> _Days:
        return _Days(
            weekdays=self._numbered_days(element, "weekdays", values.weekdays, inherited),
            monthdays=self._numbered_days(element, "monthdays", values.monthdays, inherited),
            month_weekdays=self._month_weekdays(element, inherited),
            ultimos=self._numbered_days(element, "ultimos", values.ultimos, inherited),
        )

    def _numbered_days(
        self,
        element: Element,
        group: str,
        read: Callable[[str], tuple[int, ...]],
        inherited: _Inherited,
    ) -> tuple[DayPeriods, ...]:
        found = []
        for day in element.iterfind(f"{group}/day"):
            days = self.value(day, "day", read, ())
            if days:
                found.append(DayPeriods(days=days, periods=self._periods(day, inherited)))
        return tuple(found)

    def _month_weekdays(self, element: Element, inherited: _Inherited) -> tuple[MonthWeekday, ...]:
        found = []
        named: set[tuple[int, int]] = set()
        for weekday in element.iterfind("monthdays/weekday"):
            days = self.value(weekday, "day", values.weekdays, ())
            which = self.value(weekday, "which", values.which, None)
            if which is None or not days:
                continue
            for day in days:
                if (day, which) in named:
                    self.report(
                        weekday, f"SCHEDULER-446 The week day with which={which} is named twice"
                    )
                named.add((day, which))
            periods = self._periods(weekday, inherited)
            found.append(MonthWeekday(weekdays=days, which=which, periods=periods))
        return tuple(found)

    def _periods(self, element: Element, inherited: _Inherited) -> tuple[Period, ...]:
        return self._valid(
            self._period(period, inherited) for period in element.iterchildren("period")
        )

    def _valid(self, periods: Iterable[Period | None]) -> tuple[Period, ...]:
        return tuple(period for period in periods if period is not None)

    def _period(self, element: Element, inherited: _Inherited) -> Period | None:
        begin = self.value(element, "begin", values.time_of_day, 0)
        end = self.value(element, "end", values.time_of_day, DAY_SECONDS)
        single_start = self.value(element, "single_start", values.time_of_day, None)
        if element.get("single_start") is None and inherited.is_single:
            single_start = begin
        if single_start is None and begin > end:
            self.report(element, "SCHEDULER-104 The period ends before it begins")
            return None
        grid = self.value(element, "absolute_repeat", values.grid_interval, NO_REPEAT)
        if tag(element) != "period":
            grid = NO_REPEAT
        repeat = self.value(element, "repeat", values.interval, inherited.repeat)
        return Period(
            begin=begin,
            end=end,
            single_start=single_start,
            repeat=NO_REPEAT if grid else repeat,
            absolute_repeat=grid,
            let_run=self.value(element, "let_run", values.yes_no, inherited.let_run),
            when_holiday=self.value(
                element, "when_holiday", values.when_holiday, inherited.when_holiday
            ),
        )


def _wrapped(text: str) -> str:
    return f"SCHEDULER-399 In the included document: {text}"
