"""What `pointsman check` finds suspicious in run times and schedules."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.kernel.calendar import (
    CalendarUser,
    DatePeriods,
    DayPeriods,
    Finding,
    FindingKind,
    Holidays,
    LocalDate,
    LocalTime,
    Month,
    Period,
    RunTime,
    Schedule,
    findings,
    schedule_findings,
    substitution_problem,
)
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import from_datetime, seconds

NOW = from_datetime(datetime(2030, 1, 1, tzinfo=UTC))
BASE = SchedulePath("/base")
OTHER = SchedulePath("/other")
NINE = Period(single_start=32_400)
MORNING = Period(begin=32_400, end=43_200)


def of_run_time(
    run_time: RunTime,
    user: CalendarUser = CalendarUser.JOB,
    config: Holidays | None = None,
    schedules: dict[SchedulePath, Schedule] | None = None,
) -> list[Finding]:
    return list(
        findings(run_time, schedules or {}, UTC, config, zone_of=ZoneInfo, now=NOW, user=user)
    )


def kinds(found: list[Finding]) -> list[FindingKind]:
    return [each.kind for each in found]


def of_substitute(substitute: Schedule, base: RunTime | None = None) -> list[Finding]:
    schedules = {BASE: Schedule(path=BASE, run_time=base or RunTime(periods=(NINE,)))}
    schedules[substitute.path] = substitute
    return list(schedule_findings(substitute, schedules, UTC, None, zone_of=ZoneInfo, now=NOW))


def test_an_ordinary_run_time_has_no_findings() -> None:
    assert of_run_time(RunTime(periods=(NINE,))) == []
    assert of_run_time(RunTime(periods=(NINE,)), CalendarUser.ORDER) == []
    assert of_run_time(RunTime()) == []


@pytest.mark.parametrize(
    "run_time",
    [
        RunTime(),
        RunTime(periods=(MORNING,)),
        RunTime(at=(LocalTime("2029-12-31T12:00:00"),)),
        RunTime(periods=(NINE,), holidays=Holidays(weekdays=(0, 1, 2, 3, 4, 5, 6))),
        RunTime(months=(Month(months=(2,), monthdays=(DayPeriods(days=(30,), periods=(NINE,)),)),)),
    ],
)
def test_an_order_that_never_starts_is_found(run_time: RunTime) -> None:
    assert FindingKind.NEVER_STARTS in kinds(of_run_time(run_time, CalendarUser.ORDER))


def test_a_job_whose_starts_lie_behind_is_found_but_not_one_that_only_allows() -> None:
    past = RunTime(
        dates=(DatePeriods(date=LocalDate("2029-12-31"), periods=(NINE,)),),
        weekdays=(DayPeriods(days=(1,), periods=(MORNING,)),),
    )
    assert kinds(of_run_time(past)) == [FindingKind.NEVER_STARTS]
    assert of_run_time(RunTime(periods=(MORNING,))) == []
    assert of_run_time(RunTime(periods=(MORNING,), once=True)) == []


def test_a_job_with_neither_period_nor_start_is_found() -> None:
    past = RunTime(dates=(DatePeriods(date=LocalDate("2029-12-31"), periods=(NINE, MORNING)),))
    assert FindingKind.NEVER_OPEN in kinds(of_run_time(past))


def test_overlapping_periods_are_found_once_each() -> None:
    late = Period(begin=39_600, end=50_400)
    found = of_run_time(RunTime(periods=(MORNING, late)))
    assert kinds(found) == [FindingKind.OVERLAPPING_PERIODS]
    assert found[0].text == (
        "the period 11:00 to 14:00 overlaps the period 09:00 to 12:00, which is used until its end"
    )


def test_periods_of_different_rules_overlap_on_the_days_that_have_both() -> None:
    run_time = RunTime(
        weekdays=(DayPeriods(days=(1,), periods=(MORNING,)),),
        monthdays=(DayPeriods(days=(7,), periods=(Period(begin=36_000, end=50_400),)),),
    )
    assert kinds(of_run_time(run_time)) == [FindingKind.OVERLAPPING_PERIODS]


def test_periods_that_touch_do_not_overlap() -> None:
    assert of_run_time(RunTime(periods=(MORNING, Period(begin=43_200, end=50_400)))) == []


def test_a_single_start_inside_a_grid_is_found_but_not_one_inside_a_plain_period() -> None:
    grid = Period(begin=28_800, end=36_000, absolute_repeat=seconds(6000))
    found = of_run_time(RunTime(periods=(grid, NINE)))
    assert kinds(found) == [FindingKind.OVERLAPPING_PERIODS]
    assert "09:00 is passed over" in found[0].text
    assert of_run_time(RunTime(periods=(Period(begin=28_800, end=36_000), NINE))) == []


def test_a_period_hidden_by_one_of_the_same_begin_is_found() -> None:
    found = of_run_time(RunTime(periods=(NINE, MORNING)))
    assert kinds(found) == [FindingKind.DROPPED_PERIOD]
    assert found[0].text == (
        "the period 09:00 to 12:00 is dropped: "
        "the single start at 09:00 begins at the same time and comes first"
    )


def test_default_periods_that_no_day_takes_are_found() -> None:
    named = RunTime(periods=(MORNING,), weekdays=(DayPeriods(days=(1,), periods=(NINE,)),))
    assert kinds(of_run_time(named)) == [FindingKind.UNUSED_DEFAULT]
    used = RunTime(periods=(NINE,), weekdays=(DayPeriods(days=(1,)),))
    assert of_run_time(used) == []


def test_holiday_weekdays_that_stay_inherited_are_found_for_jobs() -> None:
    run_time = RunTime(periods=(NINE,), holidays=Holidays(dates=(LocalDate("2030-01-02"),)))
    config = Holidays(weekdays=(0,))
    assert kinds(of_run_time(run_time, config=config)) == [FindingKind.INHERITED_HOLIDAY_WEEKDAYS]
    assert of_run_time(run_time, CalendarUser.ORDER, config) == []


def test_a_start_time_function_is_found() -> None:
    run_time = RunTime(periods=(NINE,), start_time_function="next")
    assert kinds(of_run_time(run_time)) == [FindingKind.START_TIME_FUNCTION]


def test_a_missing_schedule_is_found() -> None:
    found = of_run_time(RunTime(schedule=BASE))
    assert kinds(found) == [FindingKind.MISSING_SCHEDULE]
    assert "SCHEDULER-161" in found[0].text


def test_the_inside_of_a_schedule_is_reported_with_the_schedule_only() -> None:
    base = Schedule(path=BASE, run_time=RunTime(periods=(NINE, MORNING)))
    assert of_run_time(RunTime(schedule=BASE), schedules={BASE: base}) == []
    found = schedule_findings(base, {BASE: base}, UTC, None, zone_of=ZoneInfo, now=NOW)
    assert kinds(list(found)) == [FindingKind.DROPPED_PERIOD]


def test_a_substitute_that_differs_in_the_future_has_no_findings() -> None:
    substitute = Schedule(path=OTHER, substitute=BASE, run_time=RunTime(periods=(MORNING,)))
    assert of_substitute(substitute) == []


@pytest.mark.parametrize(
    ("substitute", "reason"),
    [
        (
            Schedule(path=OTHER, substitute=BASE, valid_to=LocalTime("2029-12-31T00:00:00")),
            "its time is over",
        ),
        (
            Schedule(path=OTHER, substitute=BASE, run_time=RunTime(periods=(NINE,))),
            "says the same as '/base'",
        ),
        (
            Schedule(
                path=OTHER,
                substitute=BASE,
                run_time=RunTime(periods=(MORNING,)),
                valid_from=LocalTime("2030-02-01T20:00:00"),
                valid_to=LocalTime("2030-02-01T22:00:00"),
            ),
            "neither it nor what it substitutes",
        ),
    ],
)
def test_a_substitute_without_effect_is_found(substitute: Schedule, reason: str) -> None:
    found = of_substitute(substitute)
    assert kinds(found) == [FindingKind.NO_EFFECT]
    assert reason in found[0].text


@pytest.mark.parametrize(
    ("schedule", "code"),
    [
        (Schedule(path=OTHER, valid_from=LocalTime("2030-01-01T00:00:00")), "SCHEDULER-467"),
        (Schedule(path=OTHER, substitute=OTHER), "SCHEDULER-486"),
        (
            Schedule(
                path=OTHER,
                substitute=BASE,
                valid_from=LocalTime("2030-01-02T00:00:00"),
                valid_to=LocalTime("2030-01-02T00:00:00"),
            ),
            "SCHEDULER-464",
        ),
        (Schedule(path=OTHER, substitute=SchedulePath("/substitute")), "SCHEDULER-463"),
        (Schedule(path=OTHER, substitute=BASE), "SCHEDULER-465"),
        (Schedule(path=OTHER, substitute=SchedulePath("/nowhere")), "SCHEDULER-161"),
    ],
)
def test_impossible_substitutions_have_the_codes_of_the_original(
    schedule: Schedule, code: str
) -> None:
    substitute = Schedule(path=SchedulePath("/substitute"), substitute=BASE)
    schedules = {each.path: each for each in (Schedule(path=BASE), substitute, schedule)}
    problem = substitution_problem(schedule, schedules)
    assert problem is not None
    assert problem.code == code
    assert substitution_problem(substitute, schedules) is None
