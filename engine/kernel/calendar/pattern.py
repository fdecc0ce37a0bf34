"""Which periods a day has, after holidays: a run time without zone and instant (schedules.md 5, 6).

Two ways lead to the answers. `entries` works out one day exactly. `next_day` finds the next day
that is worth it with bit masks of whole years, so that a run time without any start in the next
twenty years costs microseconds and not 7,320 looks at days.
"""

from calendar import isleap
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import assert_never

from engine.kernel.calendar.day_rules import WEEK, default_periods, general_rules, month_rules
from engine.kernel.calendar.entries import (
    NO_ENTRIES,
    Choice,
    DaySet,
    Entry,
    Mode,
    StartKind,
    choices,
    day_set,
    entry_of,
    union,
)
from engine.kernel.calendar.local_time import split_local_time
from engine.kernel.calendar.run_time import Holidays, LocalDate, Period, RunTime, WhenHoliday

BRIDGED_DAYS_MAX = 20
"""So many holidays in a row are crossed by a moved period (E71, E72)."""

_DAYS_KEPT_MAX = 64
_YEARS_KEPT_MAX = 128
_MARGIN = (1 << BRIDGED_DAYS_MAX) - 1
_EVERY_SEVENTH = sum(1 << day for day in range(0, 366, WEEK))
_MONTH_LENGTHS = {
    365: (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
    366: (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31),
}
_BESIDE = (-1, 0, 1)
_POINT_MODES = frozenset({Mode.ANY, Mode.SINGLE})
_MOVED_ON = WhenHoliday.NEXT_NON_HOLIDAY
_MOVED_BACK = WhenHoliday.PREVIOUS_NON_HOLIDAY


class Pattern:
    """The days of one run time with the holidays that apply to it. Days are ordinals."""

    __slots__ = (
        "_at",
        "_at_bits",
        "_date_bits",
        "_dates",
        "_holiday_date_bits",
        "_holiday_weekdays",
        "_holidays",
        "_recent",
        "_ruled_bits",
        "_rules",
        "_wanted",
        "_year_bits",
    )

    def __init__(self, run_time: RunTime, inherited: Holidays | None) -> None:
        self._rules = [general_rules(run_time)] * 13
        for month in reversed(run_time.months):
            rules = month_rules(month)
            for number in month.months:
                self._rules[number] = rules
        self._dates = _dates_of(run_time)
        self._at = _points_of(run_time)
        self._at_bits = _bits_by_year(self._at)
        holidays = effective_holidays(run_time.holidays, inherited)
        self._holidays = frozenset(_ordinal(day) for day in holidays.dates)
        self._holiday_date_bits = _bits_by_year(self._holidays)
        self._holiday_weekdays = frozenset(holidays.weekdays)
        self._wanted: dict[Mode, list[tuple[Choice, list[Choice]]]] = {}
        self._date_bits: dict[Choice, dict[int, int]] = {}
        self._ruled_bits: dict[tuple[Choice, int, int], int] = {}
        self._year_bits: dict[int, int] = {}
        self._recent: dict[int, tuple[Entry, ...]] = {}

    def entries(self, day: int, mode: Mode) -> tuple[Entry, ...]:
        """Return what a search in this mode sees on a day, by begin."""
        key = day * len(Mode) + mode
        found = self._recent.get(key)
        if found is None:
            if len(self._recent) >= _DAYS_KEPT_MAX:
                self._recent.clear()
            found = self._recent[key] = self.on(day).view(mode)
        return found

    def next_day(self, day: int, mode: Mode, last: int) -> int | None:
        """Return the first day from `day` to `last` at which a search may find something.

        That it really does is for `entries` to say.
        """
        if not self._choices(mode) and not (self._at and mode in _POINT_MODES):
            return None
        year = date.fromordinal(day).year
        while True:
            first = _first_day(year)
            bits = self._bits(year, mode)
            if day > first:
                bits = bits >> (day - first) << (day - first)
            if bits:
                found = first + (bits & -bits).bit_length() - 1
                return found if found <= last else None
            year += 1
            if _first_day(year) > last:
                return None

    def is_holiday(self, day: int) -> bool:
        """Whether a day is left out by the holidays that apply."""
        return day in self._holidays or day % WEEK in self._holiday_weekdays

    def on(self, day: int) -> DaySet:
        """Return everything a day has: `at`, its own periods, periods moved here from holidays."""
        own = self._own(day)
        seconds = self._at.get(day)
        points = NO_ENTRIES if seconds is None else _point_set(seconds)
        if not self._holidays and not self._holiday_weekdays:
            return union((points, own))
        if self.is_holiday(day):
            return union((points, own.only(WhenHoliday.IGNORE_HOLIDAY)))
        moved_on = [
            self._own(day - step).only(_MOVED_ON) for step in self._holidays_beside(day, -1)
        ]
        moved_back = [
            self._own(day + step).only(_MOVED_BACK) for step in self._holidays_beside(day, 1)
        ]
        return union((points, own, *moved_on, *moved_back))

    def _holidays_beside(self, day: int, direction: int) -> Iterator[int]:
        """Yield the distances of the holidays that follow or precede a day without a gap."""
        for step in range(1, BRIDGED_DAYS_MAX + 1):
            if not self.is_holiday(day + direction * step):
                return
            yield step

    def _own(self, day: int) -> DaySet:
        """Return the periods that belong to a day, whether it is a holiday or not."""
        shown = date.fromordinal(day)
        year_length = _year_length(shown.year)
        length = _MONTH_LENGTHS[year_length][shown.month]
        sets = self._rules[shown.month].sets(day % WEEK, shown.day, length)
        dated = self._dates.get(day)
        if dated is not None:
            sets.insert(0, dated)
        return union(sets)

    def _choices(self, mode: Mode) -> list[tuple[Choice, list[Choice]]]:
        """Return what this mode looks for among the rules and dates."""
        found = self._wanted.get(mode)
        if found is None:
            sets = [each for rules in dict.fromkeys(self._rules) for each in rules.all_sets()]
            sets += self._dates.values()
            entries = (entry for each in dict.fromkeys(sets) for entry in each.entries)
            found = self._wanted[mode] = choices(entries, mode)
        return found

    # --- years as masks: bit 0 is the first of January -------------------------------------------

    def _bits(self, year: int, mode: Mode) -> int:
        key = year * len(Mode) + mode
        found = self._year_bits.get(key)
        if found is None:
            if len(self._year_bits) >= _YEARS_KEPT_MAX:
                self._year_bits.clear()
            found = self._year_bits[key] = self._worked_out_bits(year, mode)
        return found

    def _worked_out_bits(self, year: int, mode: Mode) -> int:
        holidays = None
        if self._holidays or self._holiday_weekdays:
            holidays = _with_margins(year, [self._holiday_bits(year + step) for step in _BESIDE])
        bits = 0
        for wanted, hiders in self._choices(mode):
            found = self._effective_bits(year, wanted, holidays)
            for hider in hiders:
                found &= ~self._effective_bits(year, hider, holidays)
            bits |= found
        if mode in _POINT_MODES:
            bits |= self._at_bits.get(year, 0)
        return bits

    def _effective_bits(self, year: int, choice: Choice, holidays: int | None) -> int:
        """Return the days that have a chosen entry once holidays have had their effect."""
        if holidays is None:
            return self._own_bits(year, choice)
        own = _with_margins(year, [self._own_bits(year + step, choice) for step in _BESIDE])
        bits = _after_holidays(own, holidays, choice.treatment)
        return bits >> BRIDGED_DAYS_MAX & ((1 << _year_length(year)) - 1)

    def _own_bits(self, year: int, choice: Choice) -> int:
        """Return the days that have a chosen entry of their own, before holidays."""
        dated = self._date_bits.get(choice)
        if dated is None:
            dated = self._date_bits[choice] = _bits_by_year(
                day for day, found in self._dates.items() if choice.is_in(found)
            )
        key = (choice, _first_day(year) % WEEK, _year_length(year))
        ruled = self._ruled_bits.get(key)
        if ruled is None:
            ruled = self._ruled_bits[key] = self._bits_of_rules(*key)
        return ruled | dated.get(year, 0)

    def _bits_of_rules(self, choice: Choice, first_weekday: int, year_length: int) -> int:
        bits = begin = 0
        for month, length in enumerate(_MONTH_LENGTHS[year_length]):
            if month:
                weekday = (first_weekday + begin) % WEEK
                bits |= self._rules[month].month_bits(choice, weekday, length) << begin
                begin += length
        return bits

    def _holiday_bits(self, year: int) -> int:
        first_weekday = _first_day(year) % WEEK
        bits = self._holiday_date_bits.get(year, 0)
        for weekday in self._holiday_weekdays:
            bits |= _EVERY_SEVENTH << ((weekday - first_weekday) % WEEK)
        return bits & ((1 << _year_length(year)) - 1)


@lru_cache(maxsize=4096)
def pattern_of(run_time: RunTime, inherited: Holidays | None) -> Pattern:
    """Return the pattern of a run time; equal ones share it, with all that it has worked out."""
    return Pattern(run_time, inherited)


def effective_holidays(own: Holidays | None, inherited: Holidays | None) -> Holidays:
    """Return the holidays that apply to a run time (schedules.md 6).

    Its own `<holidays>` clear the inherited dates, but inherited week days stay (E76).
    """
    if own is None:
        return inherited or Holidays()
    if inherited is None:
        return own
    return Holidays(
        dates=inherited.dates + own.dates if own.adds else own.dates,
        weekdays=inherited.weekdays + own.weekdays,
    )


def _dates_of(run_time: RunTime) -> dict[int, DaySet]:
    named: dict[int, tuple[tuple[Period, ...], ...]] = {}
    for rule in run_time.dates:
        day = _ordinal(rule.date)
        named[day] = (*named.get(day, ()), rule.periods)
    # Calendars of the web interface are long lists of dates with equal periods.
    default = default_periods(run_time)
    sets = {lists: day_set(lists, default) for lists in dict.fromkeys(named.values())}
    return {day: sets[lists] for day, lists in named.items()}


def _points_of(run_time: RunTime) -> dict[int, list[int]]:
    """Return the seconds of each day that `at` names."""
    points: dict[int, list[int]] = {}
    for local in run_time.at:
        day, second = split_local_time(local)
        points.setdefault(day, []).append(second)
    return points


def _point_set(seconds: list[int]) -> DaySet:
    return DaySet(
        tuple(
            entry_of(Period(single_start=second), StartKind.AT) for second in sorted(set(seconds))
        )
    )


def _after_holidays(own: int, holidays: int, treatment: WhenHoliday) -> int:
    """Return on which days the entries of these days are, once holidays have moved them."""
    match treatment:
        case WhenHoliday.IGNORE_HOLIDAY:
            return own
        case WhenHoliday.SUPPRESS:
            return own & ~holidays
        case WhenHoliday.NEXT_NON_HOLIDAY:
            return own & ~holidays | _moved(own & holidays, holidays, forward=True)
        case WhenHoliday.PREVIOUS_NON_HOLIDAY:
            return own & ~holidays | _moved(own & holidays, holidays, forward=False)
        case _:
            assert_never(treatment)


def _moved(moving: int, holidays: int, *, forward: bool) -> int:
    arrived = 0
    for _ in range(BRIDGED_DAYS_MAX):
        if not moving:
            break
        moving = moving << 1 if forward else moving >> 1
        arrived |= moving & ~holidays
        moving &= holidays
    return arrived


def _with_margins(year: int, three_years: list[int]) -> int:
    """Return a year's bits with the days before and after it that a move can cross."""
    before, bits, after = three_years
    length = _year_length(year)
    return (
        before >> (_year_length(year - 1) - BRIDGED_DAYS_MAX)
        | bits << BRIDGED_DAYS_MAX
        | (after & _MARGIN) << (BRIDGED_DAYS_MAX + length)
    )


def _bits_by_year(days: Iterable[int]) -> dict[int, int]:
    bits: dict[int, int] = {}
    for day in days:
        year = date.fromordinal(day).year
        bits[year] = bits.get(year, 0) | 1 << (day - _first_day(year))
    return bits


def _ordinal(day: LocalDate) -> int:
    return date.fromisoformat(day).toordinal()


@lru_cache(maxsize=512)
def _first_day(year: int) -> int:
    return date(year, 1, 1).toordinal()


def _year_length(year: int) -> int:
    return 366 if isleap(year) else 365
