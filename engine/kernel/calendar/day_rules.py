"""Week days, month days, ultimos: the rules that name days of a month (schedules.md 5)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from engine.kernel.calendar.entries import NO_ENTRIES, Choice, DaySet, day_set
from engine.kernel.calendar.run_time import (
    DayPeriods,
    Month,
    MonthWeekday,
    Period,
    RunTime,
)

_Key = TypeVar("_Key")

WEEK = 7
_EVERY_SEVENTH = sum(1 << day for day in range(0, 31, WEEK))


class DayRules:
    """Periods by day of week, day of month, n-th week day and day counted from the month's end."""

    __slots__ = ("_month_weekdays", "_monthdays", "_selections", "_ultimos", "_weekdays")

    def __init__(
        self, rules: RunTime | Month, default: tuple[Period, ...], *, on_every_day: bool
    ) -> None:
        every_day = (DayPeriods(days=tuple(range(WEEK))),) if on_every_day else ()
        self._weekdays = _by_day(every_day or rules.weekdays, default)
        self._monthdays = _by_day(rules.monthdays, default)
        self._month_weekdays = _by_month_weekday(rules.month_weekdays, default)
        self._ultimos = _by_day(rules.ultimos, default)
        self._selections: dict[Choice, _Selection] = {}

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

    def month_bits(self, choice: Choice, first_weekday: int, month_length: int) -> int:
        """Return the days that have one of these entries, bit 0 for the first of the month."""
        selection = self._selections.get(choice)
        if selection is None:
            selection = self._selections[choice] = _Selection(
                weekdays=_having(choice, self._weekdays),
                monthdays=_having(choice, self._monthdays),
                month_weekdays=_having(choice, self._month_weekdays),
                ultimos=_having(choice, self._ultimos),
            )
        return selection.month_bits(first_weekday, month_length)

    def all_sets(self) -> Iterator[DaySet]:
        """Yield the sets of all rules."""
        yield from self._weekdays.values()
        yield from self._monthdays.values()
        yield from self._month_weekdays.values()
        yield from self._ultimos.values()


class _Selection:
    """The days of some rules that have one of the entries that are looked for."""

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
        whole_month = (1 << month_length) - 1
        if len(self._weekdays) == WEEK:
            return whole_month
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
        return bits & whole_month


def default_periods(run_time: RunTime) -> tuple[Period, ...]:
    """Return the periods of days that are named without periods of their own, or of all days."""
    return run_time.periods or (Period(let_run=run_time.let_run),)


def general_rules(run_time: RunTime) -> DayRules:
    """Return the rules outside of months with rules of their own."""
    names_days = bool(run_time.at or run_time.dates or run_time.months or _names_days(run_time))
    return DayRules(run_time, default_periods(run_time), on_every_day=not names_days)


def month_rules(month: Month) -> DayRules:
    """Return the rules of some months; they inherit nothing (E31)."""
    return DayRules(month, month.periods or (Period(),), on_every_day=not _names_days(month))


def _names_days(rules: RunTime | Month) -> bool:
    return bool(rules.weekdays or rules.monthdays or rules.month_weekdays or rules.ultimos)


def _by_day(rules: Iterable[DayPeriods], default: tuple[Period, ...]) -> dict[int, DaySet]:
    named: dict[int, list[tuple[Period, ...]]] = {}
    for rule in rules:
        for day in dict.fromkeys(rule.days):
            named.setdefault(day, []).append(rule.periods)
    return _sets(named, default)


def _by_month_weekday(
    rules: Iterable[MonthWeekday], default: tuple[Period, ...]
) -> dict[tuple[int, int], DaySet]:
    named: dict[tuple[int, int], list[tuple[Period, ...]]] = {}
    for rule in rules:
        for weekday in dict.fromkeys(rule.weekdays):
            named.setdefault((weekday, rule.which), []).append(rule.periods)
    return _sets(named, default)


def _sets(
    named: Mapping[_Key, list[tuple[Period, ...]]], default: tuple[Period, ...]
) -> dict[_Key, DaySet]:
    """Return the sets of the days; days with the same periods share one."""
    shared: dict[tuple[tuple[Period, ...], ...], DaySet] = {}
    found: dict[_Key, DaySet] = {}
    for day, lists in named.items():
        key = tuple(lists)
        if key not in shared:
            shared[key] = day_set(lists, default)
        found[day] = shared[key]
    return found


def _having(choice: Choice, sets: Mapping[_Key, DaySet]) -> tuple[_Key, ...]:
    return tuple(key for key, day in sets.items() if choice.is_in(day))
