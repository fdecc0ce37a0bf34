"""The masks of years never miss a day that has something."""

from datetime import date
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel.calendar.entries import Mode
from engine.kernel.calendar.pattern import Pattern
from tests.support.random_calendars import random_case

_SEEDS = st.integers(min_value=0, max_value=2**48)


@given(seed=_SEEDS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_each_day_with_an_entry_is_found_by_the_masks(seed: int) -> None:
    case = random_case(Random(seed))
    run_time = next((each.run_time for each in case.schedules.values()), case.run_time)
    pattern = Pattern(run_time, case.scheduler_holidays)
    year = 1970 + case.instant // 31_557_600_000
    first, last = date(year, 11, 1).toordinal(), date(year + 2, 3, 1).toordinal()
    for mode in Mode:
        filled = [day for day in range(first, last) if pattern.entries(day, mode)]
        assert [day for day in filled if pattern.next_day(day, mode, day) != day] == []
        assert pattern.next_day(first, mode, last) is not None or not filled


@given(seed=_SEEDS)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_days_found_by_the_masks_have_an_entry_unless_repeats_are_hidden(seed: int) -> None:
    case = random_case(Random(seed))
    run_time = next((each.run_time for each in case.schedules.values()), case.run_time)
    pattern = Pattern(run_time, case.scheduler_holidays)
    year = 1970 + case.instant // 31_557_600_000
    day: int | None = date(year, 1, 1).toordinal()
    last = date(year + 1, 12, 31).toordinal()
    for mode in (Mode.PERIOD, Mode.ANY, Mode.SINGLE):
        day = pattern.next_day(date(year, 1, 1).toordinal(), mode, last)
        while day is not None:
            assert pattern.entries(day, mode) or _loses_its_begin(pattern, day)
            day = pattern.next_day(day + 1, mode, last)


def _loses_its_begin(pattern: Pattern, day: int) -> bool:
    """Whether the day is a holiday that nothing is left of; masks look at each entry alone."""
    return pattern.is_holiday(day) and not pattern.on(day).entries
