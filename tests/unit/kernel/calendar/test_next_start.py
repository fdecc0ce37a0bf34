"""Next starts of orders and jobs where the worked examples do not reach."""

from datetime import UTC, datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    DatePeriods,
    Holidays,
    LocalDate,
    LocalTime,
    MissingSchedule,
    Period,
    RunTime,
    Schedule,
    StartKind,
    active_schedule,
    calendar_of,
    first_order_start,
    next_job_start,
    next_order_start,
    next_period_begin,
    period_at,
    starts_between,
)
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, from_datetime, seconds

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
BASE = SchedulePath("/base")


def calendar(run_time: RunTime, user: CalendarUser = CalendarUser.ORDER) -> Calendar:
    found = calendar_of(run_time, {}, UTC, None, ZoneInfo, user=user)
    assert isinstance(found, Calendar)
    return found


def job(*periods: Period) -> Calendar:
    return calendar(RunTime(periods=periods), CalendarUser.JOB)


def order(*periods: Period) -> Calendar:
    return calendar(RunTime(periods=periods))


def time(hour: int, minute: int = 0, day: int = 1) -> Instant:
    return from_datetime(datetime(2030, 1, day, hour, minute, tzinfo=UTC))


def period(begin: int, end: int, **repeats: int) -> Period:
    return Period(
        begin=begin * 3600,
        end=end * 3600,
        repeat=seconds(repeats.get("repeat", 0)),
        absolute_repeat=seconds(repeats.get("absolute_repeat", 0)),
        let_run=bool(repeats.get("let_run")),
    )


def single(hour: int) -> Period:
    return Period(single_start=hour * 3600)


# --- orders --------------------------------------------------------------------------------------


def test_a_start_that_is_due_exactly_now_is_immediate() -> None:
    assert first_order_start(order(single(9)), time(9)) == IMMEDIATELY


def test_a_run_without_duration_does_not_start_twice_by_one_single_start() -> None:
    assert next_order_start(order(single(9)), time(9)) == time(9, day=2)


def test_a_start_due_when_the_run_ends_is_immediate_if_the_run_began_earlier() -> None:
    assert next_order_start(order(single(9)), time(9), last_start=time(8)) == IMMEDIATELY


def test_an_order_waits_for_a_repeating_period_that_has_not_begun() -> None:
    assert next_order_start(order(period(9, 12, repeat=600)), time(8)) == time(9)


def test_an_order_keeps_its_interval_only_into_an_equal_period_that_touches() -> None:
    touching = order(period(0, 12, repeat=3600), period(12, 24, repeat=3600))
    assert next_order_start(touching, time(11, 30)) == time(12, 30)
    other_interval = order(period(0, 12, repeat=3600), period(12, 24, repeat=1800))
    assert next_order_start(other_interval, time(11, 30)) == time(12)
    gap = order(period(0, 12, repeat=3600), period(13, 24, repeat=3600))
    assert next_order_start(gap, time(11, 30)) == time(13)


def test_an_interval_longer_than_the_next_period_leads_to_the_one_after() -> None:
    daily = order(period(9, 10, repeat=40 * 3600))
    assert next_order_start(daily, time(9, 30)) == time(9, day=3)


def test_an_overlapping_repeating_period_is_entered_when_the_present_one_ends() -> None:
    overlapping = order(
        period(8, 9, repeat=1800), Period(begin=8 * 3600 + 1800, end=43_200, repeat=seconds(1800))
    )
    assert next_order_start(overlapping, time(8, 40)) == time(9)


def test_a_grid_shorter_than_its_interval_starts_at_its_begin() -> None:
    # The original looks for a multiple counted from midnight and finds none (19.2).
    grid = Period(begin=36_300, end=36_480, absolute_repeat=seconds(600))
    assert first_order_start(order(grid), time(0)) == time(10, 5)
    assert next_order_start(order(grid), time(10, 6)) == time(10, 5, day=2)


def test_the_period_with_the_earlier_begin_is_looked_at_first() -> None:
    # As in the original, the single start is passed over while the grid has a point to come.
    hidden = order(period(8, 10, absolute_repeat=6000), single(9))
    assert first_order_start(hidden, time(8, 30)) == time(9, 40)


def test_absolute_repeat_wins_over_repeat() -> None:
    both = order(period(9, 12, absolute_repeat=3600, repeat=60))
    assert next_order_start(both, time(9, 5)) == time(10)


def test_an_order_with_dates_behind_it_never_starts() -> None:
    past = calendar(
        RunTime(dates=(DatePeriods(date=LocalDate("2029-12-31"), periods=(single(9),)),))
    )
    assert first_order_start(past, time(0)) == NEVER
    assert next_order_start(past, time(0)) == NEVER


def test_a_start_more_than_twenty_years_ahead_is_not_found() -> None:
    far = calendar(RunTime(at=(LocalTime("2050-02-01T00:00:00"),)))
    assert first_order_start(far, time(0)) == NEVER
    year_later = Instant(time(0) + 366 * DAY)
    assert first_order_start(far, year_later) < NEVER


def test_starts_after_2038_are_found() -> None:
    late = calendar(RunTime(at=(LocalTime("2040-02-01T00:00:00"),)))
    assert first_order_start(late, time(0)) == from_datetime(datetime(2040, 2, 1, tzinfo=UTC))


@pytest.mark.parametrize("instant", [IMMEDIATELY, NEVER, Instant(2**60)])
def test_instants_at_the_ends_of_time_are_no_error(instant: Instant) -> None:
    assert first_order_start(order(single(9)), instant) in (Instant(9 * HOUR), NEVER)
    assert next_period_begin(order(period(0, 9)), instant) in (IMMEDIATELY, NEVER)


# --- jobs ----------------------------------------------------------------------------------------


def test_a_job_loaded_inside_a_repeating_period_starts_at_once() -> None:
    start = next_job_start(job(period(9, 12, repeat=600, let_run=1)), time(10))
    assert start is not None
    assert (start.at, start.kind, start.let_run) == (time(10), StartKind.REPEAT, True)


def test_the_repeat_of_a_job_that_could_not_start_in_time_is_due_now() -> None:
    start = next_job_start(
        job(period(9, 12, repeat=600)), time(10), last_end=time(9, 20), last_start=time(9)
    )
    assert start is not None
    assert start.at == time(10)


def test_the_repeat_of_a_period_that_has_ended_is_forgotten() -> None:
    start = next_job_start(
        job(period(9, 10, repeat=600), period(11, 12, repeat=600)), time(10, 30), last_end=time(9)
    )
    assert start is not None
    assert start.at == time(11)


def test_a_fixed_start_due_now_is_found_when_the_job_is_asked_again_long_after_its_last_task() -> (
    None
):
    start = next_job_start(job(period(8, 9), single(9)), time(9), last_end=time(7))
    assert start is not None
    assert start.at == time(9)
    start = next_job_start(job(period(8, 9), single(9)), time(9), last_end=time(9))
    assert start is not None
    assert start.at == time(9, day=2)


def test_a_job_starts_repeatedly_only_while_the_repeating_period_is_its_current_one() -> None:
    overlapping = job(period(8, 10), period(9, 12, repeat=3600))
    start = next_job_start(overlapping, time(8))
    assert start is not None
    assert start.at == time(10)
    assert next_job_start(job(period(8, 12), period(9, 12, repeat=3600)), time(8)) is None


def test_tasks_started_at_fixed_points_may_run_on() -> None:
    start = next_job_start(job(period(9, 12, absolute_repeat=600)), time(9, 1))
    assert start is not None
    assert (start.at, start.kind, start.let_run) == (time(9, 10), StartKind.ABSOLUTE_REPEAT, True)


def test_a_job_with_once_starts_only_while_none_of_its_tasks_has_started() -> None:
    subject = calendar(RunTime(once=True, periods=(period(9, 10),)), CalendarUser.JOB)
    start = next_job_start(subject, time(8), once_pending=True)
    assert start is not None
    assert (start.at, start.kind) == (time(9), StartKind.ONCE)
    assert next_job_start(subject, time(8)) is None


# --- lists ---------------------------------------------------------------------------------------


def test_starts_between_includes_the_first_and_excludes_the_last_instant() -> None:
    found = starts_between(order(single(9)), time(9), time(9, day=3))
    assert [start.at for start in found] == [time(9), time(9, day=2)]


def test_a_known_first_start_is_listed_even_if_the_calendar_does_not_explain_it() -> None:
    found = list(starts_between(order(single(9)), time(0), time(23), first=time(3)))
    assert [(start.at, start.kind) for start in found] == [
        (time(3), StartKind.AT),
        (time(9), StartKind.SINGLE),
    ]


def test_starts_are_worked_out_only_when_they_are_asked_for() -> None:
    endless = starts_between(order(period(0, 24, repeat=1)), time(0), NEVER)
    assert [start.at - time(0) for start in islice(endless, 3)] == [0, 1000, 2000]


def test_fixed_starts_during_a_run_are_lost() -> None:
    found = starts_between(
        order(single(9), single(10)), time(0), time(0, day=3), duration=seconds(5400)
    )
    assert [start.at for start in found] == [time(9), time(9, day=2)]


# --- schedules -----------------------------------------------------------------------------------


def test_a_missing_schedule_is_told() -> None:
    found = calendar_of(RunTime(schedule=BASE), {}, UTC, None, ZoneInfo)
    assert found == MissingSchedule(path=BASE)


def test_a_substitute_cannot_be_referred_to() -> None:
    schedules = {BASE: Schedule(path=BASE, substitute=SchedulePath("/other"))}
    found = calendar_of(RunTime(schedule=BASE), schedules, UTC, None, ZoneInfo)
    assert found == MissingSchedule(path=BASE, is_substitute=True)


def test_the_first_of_overlapping_substitutes_counts() -> None:
    def substitute(name: str, hour: int) -> Schedule:
        return Schedule(
            path=SchedulePath(name),
            substitute=BASE,
            run_time=RunTime(periods=(single(hour),)),
            valid_from=LocalTime("2030-01-02T00:00:00"),
            valid_to=LocalTime("2030-01-03T00:00:00"),
        )

    base = Schedule(path=BASE, run_time=RunTime(periods=(single(9),)))
    schedules = {each.path: each for each in (base, substitute("/b", 10), substitute("/a", 11))}
    found = calendar_of(RunTime(schedule=BASE), schedules, UTC, None, ZoneInfo)
    assert isinstance(found, Calendar)
    starts = starts_between(found, time(0), time(0, day=4))
    assert [(start.at, start.schedule) for start in starts] == [
        (time(9), BASE),
        (time(10, day=2), "/b"),
        (time(9, day=3), BASE),
    ]
    assert active_schedule(found, time(12, day=2)) == "/b"


def test_the_zone_of_the_user_counts_and_not_that_of_the_schedule() -> None:
    schedules = {
        BASE: Schedule(path=BASE, run_time=RunTime(periods=(single(9),), time_zone="Asia/Tokyo"))
    }
    run_time = RunTime(schedule=BASE, time_zone="Europe/Berlin")
    found = calendar_of(run_time, schedules, UTC, None, ZoneInfo)
    assert isinstance(found, Calendar)
    assert first_order_start(found, time(0)) == time(8)


def test_an_order_with_a_named_schedule_observes_the_scheduler_s_holidays() -> None:
    schedules = {BASE: Schedule(path=BASE, run_time=RunTime(periods=(single(9),)))}
    holidays = Holidays(dates=(LocalDate("2030-01-01"),))
    found = calendar_of(
        RunTime(schedule=BASE), schedules, UTC, holidays, ZoneInfo, user=CalendarUser.ORDER
    )
    assert isinstance(found, Calendar)
    assert first_order_start(found, time(0)) == time(9, day=2)


def test_bare_holiday_elements_add_to_the_scheduler_s_holidays() -> None:
    own = Holidays(dates=(LocalDate("2030-01-02"),), adds=True)
    run_time = RunTime(periods=(single(9),), holidays=own)
    config = Holidays(dates=(LocalDate("2030-01-01"),))
    found = calendar_of(run_time, {}, UTC, config, ZoneInfo)
    assert isinstance(found, Calendar)
    assert first_order_start(found, time(0)) == time(9, day=3)


def test_a_period_tells_the_schedule_and_the_rules_it_comes_from() -> None:
    span = period_at(job(period(9, 12, repeat=600, let_run=1)), time(10))
    assert span is not None
    assert (span.begin, span.end) == (time(9), time(12))
    assert (span.repeat, span.absolute_repeat, span.let_run) == (seconds(600), 0, True)
    assert span.schedule is None
