"""Week days, month days, ultimos: the rules that name days of a month (schedules.md 5)."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from engine.kernel.calendar.entries import NO_ENTRIES, DaySet, Mode, day_set, merged
from engine.kernel.calendar.run_time import (
    DayPeriods,
    Month,
    MonthWeekday,
    Period,
    RunTime,
    WhenHoliday,
)

_Key = TypeVar("_Key")

WEEK = 7
_EVERY_SEVENTH = sum(1 << day for day in range(0, 31, WEEK))


class DayRules:
    """Periods by day of week, day of month, n-th week day and day counted from the month's end."""

    __slots__ = ("_month_weekdays", "_monthdays", "_selections", "_ultimos", "_weekdays")

    def __init__(self, rules: RunTime | Month, default: DaySet, *, on_every_day: bool) -> None:
        every_day = (DayPeriods(days=tuple(range(WEEK))),) if on_every_day else ()
        self._weekdays = _by_day(every_day or rules.weekdays, default)
        self._monthdays = _by_day(rules.monthdays, default)
        self._month_weekdays = _by_month_weekday(rules.month_weekdays, default)
        self._ultimos = _by_day(rules.ultimos, default)
        self._selections: dict[tuple[Mode, WhenHoliday], _Selection] = {}

    def sets(self, weekday: int, monthday: int, month_length: int) -> list[DaySet]:
        """Return the sets of a day, in the order in which equal begins are preferred."""
        found = [
            self._weekdays.get(weekday, NO_ENTRIES),
            self._monthdays.get(monthday, NO_ENTRIES),
        ]
        if self._month_weekdays:
            from_begin = (monthday - 1) // WEEK + 1
            from_end = -((month_length - monthday) // WEEK + 1)
            found += [
                self._month_weekdays.get((weekday, from_begin), NO_ENTRIES),
                self._month_weekdays.get((weekday, from_end), NO_ENTRIES),
            ]
        if self._ultimos:
            found.append(self._ultimos.get(month_length - monthday, NO_ENTRIES))
        return found

    def month_bits(
        self, mode: Mode, treatment: WhenHoliday, first_weekday: int, month_length: int
    ) -> int:
        """Return the days that a search may stop at, bit 0 for the first day of the month."""
        key = (mode, treatment)
        selection = self._selections.get(key)
        if selection is None:
            selection = self._selections[key] = _Selection(
                weekdays=_serving(self._weekdays, mode, treatment),
                monthdays=_serving(self._monthdays, mode, treatment),
                month_weekdays=_serving(self._month_weekdays, mode, treatment),
                ultimos=_serving(self._ultimos, mode, treatment),
            )
        return selection.month_bits(first_weekday, month_length)

    def may_serve(self, mode: Mode, treatment: WhenHoliday) -> bool:
        """Whether any day of any month can have an entry for this search."""
        return any(
            day.may_serve(mode, treatment)
            for days in (self._weekdays, self._monthdays, self._ultimos)
            for day in days.values()
        ) or any(day.may_serve(mode, treatment) for day in self._month_weekdays.values())


class _Selection:
    """The days of some rules that have something for one kind of search."""

    __slots__ = ("_month_weekdays", "_monthdays", "_ultimos", "_weekdays")

    def __init__(
        self,
        *,
        weekdays: tuple[int, ...],
        monthdays: tuple[int, ...],
        month_weekdays: tuple[tuple[int, int], ...],
        ultimos: tuple[int, ...],
    ) -> None:
        self._weekdays = weekdays
        self._monthdays = sum(1 << (day - 1) for day in monthdays)
        self._month_weekdays = month_weekdays
        self._ultimos = ultimos

    def month_bits(self, first_weekday: int, month_length: int) -> int:
        bits = self._monthdays
        for weekday in self._weekdays:
            bits |= _EVERY_SEVENTH << ((weekday - first_weekday) % WEEK)
        for day in self._ultimos:
            if day < month_length:
                bits |= 1 << (month_length - 1 - day)
        for weekday, which in self._month_weekdays:
            first = (weekday - first_weekday) % WEEK
            if which > 0:
                bits |= 1 << (first + (which - 1) * WEEK)
            else:
                day = first + (month_length - 1 - first) // WEEK * WEEK + (which + 1) * WEEK
                if day >= 0:
                    bits |= 1 << day
        return bits & ((1 << month_length) - 1)


def general_rules(run_time: RunTime) -> tuple[DayRules, DaySet]:
    """Return the rules outside of months with rules of their own, and the default periods."""
    default = day_set(run_time.periods or (Period(let_run=run_time.let_run),))
    names_days = bool(run_time.at or run_time.dates or run_time.months or _names_days(run_time))
    return DayRules(run_time, default, on_every_day=not names_days), default


def month_rules(month: Month) -> DayRules:
    """Return the rules of some months; they inherit nothing (E31)."""
    default = day_set(month.periods or (Period(),))
    return DayRules(month, default, on_every_day=not _names_days(month))


def _names_days(rules: RunTime | Month) -> bool:
    return bool(rules.weekdays or rules.monthdays or rules.month_weekdays or rules.ultimos)


def _by_day(rules: Iterable[DayPeriods], default: DaySet) -> dict[int, DaySet]:
    named: dict[int, list[tuple[Period, ...]]] = {}
    for rule in rules:
        for day in dict.fromkeys(rule.days):
            named.setdefault(day, []).append(rule.periods)
    return {day: merged(lists, default) for day, lists in named.items()}


def _by_month_weekday(
    rules: Iterable[MonthWeekday], default: DaySet
) -> dict[tuple[int, int], DaySet]:
    named: dict[tuple[int, int], list[tuple[Period, ...]]] = {}
    for rule in rules:
        for weekday in dict.fromkeys(rule.weekdays):
            named.setdefault((weekday, rule.which), []).append(rule.periods)
    return {key: merged(lists, default) for key, lists in named.items()}


def _serving(sets: Mapping[_Key, DaySet], mode: Mode, treatment: WhenHoliday) -> tuple[_Key, ...]:
    return tuple(key for key, day in sets.items() if day.may_serve(mode, treatment))
