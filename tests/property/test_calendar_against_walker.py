"""Random calendars against a walk through their time, minute by minute.

Always the same examples, unless `POINTSMAN_CALENDAR_EXAMPLES=5000` asks for so many; which ones
these are, `--hypothesis-seed=N` decides then.
"""

import os
from itertools import takewhile
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    calendar_of,
    first_order_start,
    is_in_period,
    next_period,
    period_at,
    starts_between,
)
from engine.kernel.instants import IMMEDIATELY, Instant
from tests.support.calendar_users import first_order_start as walked_first_order_start
from tests.support.calendar_users import job_starts, order_starts
from tests.support.calendar_walker import DAY, Walk
from tests.support.random_calendars import Case, random_case

_ASKED_FOR = os.environ.get("POINTSMAN_CALENDAR_EXAMPLES")
_EXAMPLES = int(_ASKED_FOR or "150")
pytestmark = pytest.mark.timeout(120 if _ASKED_FOR is None else 0)
_COMPARED_DAYS = 5
_MARGIN_DAYS = 3
"""The longest repeat plus a day: what lies behind it has no effect on the days compared."""
_MINUTE_MS = 60_000

_many = settings(
    max_examples=_EXAMPLES,
    deadline=None,
    derandomize=_ASKED_FOR is None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
_seeds = st.integers(min_value=0, max_value=2**48)


@given(seed=_seeds)
@_many
def test_starts_and_periods_are_those_of_a_walk_through_all_minutes(seed: int) -> None:
    case = random_case(Random(seed))
    calendar = _calendar(case)
    first = case.instant // _MINUTE_MS
    compared = first + _COMPARED_DAYS * DAY
    walk = Walk(case, first, compared + _MARGIN_DAYS * DAY)
    assert _periods(calendar, first, compared) == _walked_periods(walk, first, compared)
    duration = case.duration // _MINUTE_MS
    if case.user is CalendarUser.ORDER:
        walked = order_starts(walk, first, duration)
        _compare_first_order_start(calendar, walk, first, compared)
    else:
        walked = job_starts(walk, first, duration)
    starts = starts_between(calendar, case.instant, _instant(compared), duration=case.duration)
    expected = list(takewhile(lambda minute: minute < compared, walked))
    assert [_minute(start.at) for start in starts] == expected


@given(seed=_seeds)
@settings(_many, max_examples=max(20, _EXAMPLES // 10))
def test_every_minute_agrees_on_being_inside_a_period(seed: int) -> None:
    case = random_case(Random(seed))
    calendar = _calendar(case)
    first = case.instant // _MINUTE_MS
    walk = Walk(case, first, first + 3 * DAY)
    for minute in range(first, first + DAY + DAY // 4, 3):
        walked = walk.search("period", minute)
        inside = walked is not None and walked.begin <= minute
        assert is_in_period(calendar, _instant(minute)) == inside
        span = period_at(calendar, _instant(minute))
        assert (span is not None) == inside


def _calendar(case: Case) -> Calendar:
    calendar = calendar_of(
        case.run_time,
        case.schedules,
        ZoneInfo(case.zone),
        case.scheduler_holidays,
        ZoneInfo,
        user=case.user,
    )
    assert isinstance(calendar, Calendar)
    return calendar


def _periods(calendar: Calendar, first: int, last: int) -> list[tuple[object, ...]]:
    """Return the periods one after another, each from the end of the one before."""
    found: list[tuple[object, ...]] = []
    minute = first
    while (span := next_period(calendar, _instant(minute))) is not None:
        if _minute(span.begin) >= last:
            break
        interval = _minute(span.repeat or span.absolute_repeat)
        found.append(
            (_minute(span.begin), _minute(span.end), interval, span.let_run, span.schedule)
        )
        minute = _minute(span.end)
    return found


def _walked_periods(walk: Walk, first: int, last: int) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    minute = first
    while (one := walk.search("period", minute)) is not None and one.begin < last:
        found.append((one.begin, one.end, one.interval, one.let_run, one.schedule))
        minute = one.end
    return found


def _compare_first_order_start(calendar: Calendar, walk: Walk, first: int, last: int) -> None:
    for minute in range(first, last, 577):
        start = first_order_start(calendar, _instant(minute))
        found = minute if start == IMMEDIATELY else min(start, _instant(last)) // _MINUTE_MS
        walked = walked_first_order_start(walk, minute)
        assert found == min(last if walked is None else walked, last)


def _instant(minute: int) -> Instant:
    return Instant(minute * _MINUTE_MS)


def _minute(instant: int) -> int:
    assert instant % _MINUTE_MS == 0
    return instant // _MINUTE_MS
