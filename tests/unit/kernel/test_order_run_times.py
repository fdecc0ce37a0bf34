"""When orders start by themselves (schedules.md 13, orders-and-jobs.md 2.4, 2.14)."""

from dataclasses import replace

from engine.kernel.calendar import Holidays, LocalDate, LocalTime, RunTime, Schedule
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    ApplyDefinitions,
    AtInstant,
    ModifyJob,
    ModifyOrder,
    ObjectKind,
    ObjectRef,
)
from engine.kernel.definitions import MainConfiguration, OrderDefinition, ScheduleFile
from engine.kernel.events.orders import OrderStartPlanned
from engine.kernel.ids import OrderId, OrderKey, SchedulePath, chain_key, job_key
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration, seconds
from engine.kernel.problems import Problem
from engine.kernel.state import Missed, Task
from tests.support.timetable import Timetable, moment, period, single
from tests.support.world import chain, file_source, node, shell_job

WALK = chain("walk", node("1", "work"))
KEY = OrderKey(chain_key("walk"), OrderId("x"))
NOW = AfterDelay()


def minutes(count: float) -> Duration:
    return seconds(count * 60)


def one_minute(_task: Task) -> Duration:
    return minutes(1)


def world(begin: str, *definitions: object, **changes: object) -> Timetable:
    return Timetable(
        begin,
        shell_job("work", tasks=10),
        WALK,
        *definitions,  # type: ignore[arg-type]  # definitions
        **changes,  # type: ignore[arg-type]  # by name
    )


def permanent(run_time: RunTime | None, modified_at: int = 0) -> OrderDefinition:
    source = file_source("walk,x.order.xml", modified_at)
    return OrderDefinition(key=KEY, run_time=run_time, source=source)


def schedule(name: str, *periods: object, at: str | None = None) -> ScheduleFile:
    run_time = RunTime(
        periods=periods,  # type: ignore[arg-type]  # periods
        at=() if at is None else (LocalTime(at),),
    )
    return ScheduleFile(schedule=Schedule(path=SchedulePath(f"/{name}"), run_time=run_time))


def removed(name: str) -> ApplyDefinitions:
    ref = ObjectRef(kind=ObjectKind.SCHEDULE, path=f"/{name}")
    return ApplyDefinitions(removed=(ref,))


def uses(name: str) -> RunTime:
    return RunTime(schedule=SchedulePath(f"/{name}"))


# --- the first start -----------------------------------------------------------------------------


def test_an_order_without_a_run_time_starts_at_once() -> None:
    w = world("2030-01-01 08:00")
    w.adds("x")
    w.lives_until("2030-01-01 08:00")
    assert w.starts() == ["2030-01-01 08:00"]


def test_an_order_with_an_empty_run_time_waits_for_a_command() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", run_time=RunTime())
    w.lives_until("2030-01-02 08:00")
    assert w.order(key).start_at == NEVER
    w.modifies(key, at=NOW)
    w.lives_until("2030-01-02 08:01")
    assert w.starts() == ["2030-01-02 08:00"]


def test_an_order_with_once_and_a_plain_period_never_starts() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", run_time=RunTime(once=True, periods=(period("09:00", "10:00"),)))
    assert w.order(key).start_at == NEVER


def test_an_explicit_start_counts_once_and_then_the_run_time() -> None:
    w = world("2030-01-01 08:00")
    w.adds(
        "x",
        at=AtInstant(at=moment("2030-01-01 09:30")),
        run_time=RunTime(periods=(single("12:00"),)),
    )
    w.lives_until("2030-01-02 13:00")
    assert w.starts() == ["2030-01-01 09:30", "2030-01-01 12:00", "2030-01-02 12:00"]


def test_at_now_leaves_the_decision_to_the_run_time_of_an_added_order() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", at=NOW, run_time=RunTime(periods=(single("12:00"),)))
    assert w.order(key).start_at == moment("2030-01-01 12:00")


def test_the_at_of_a_file_comes_before_its_run_time_whenever_the_order_is_placed() -> None:
    daily = RunTime(periods=(single("09:00"),))
    own = replace(permanent(daily), first_start=moment("2030-01-01 08:30"))
    w = world("2030-01-01 08:00", own)
    w.lives_until("2030-01-01 10:00")
    assert w.starts() == ["2030-01-01 08:30", "2030-01-01 09:00"]
    w.begins_life(3)
    w.lives_until("2030-01-02 10:00")
    # The past is at once, in each life of the engine.
    assert w.starts()[2:] == ["2030-01-01 10:00", "2030-01-02 09:00"]


def test_a_delay_in_a_file_counts_from_each_placing() -> None:
    own = replace(permanent(None), first_delay=seconds(60))
    w = world("2030-01-01 08:00", own)
    w.lives_until("2030-01-01 10:00")
    w.defines(replace(own, title="changed"))
    w.lives_until("2030-01-01 11:00")
    assert w.starts() == ["2030-01-01 08:01", "2030-01-01 10:01"]


def test_a_past_start_is_at_once() -> None:
    w = world("2030-01-01 08:00")
    w.adds("x", at=AtInstant(at=moment("2029-01-01 08:00")), run_time=RunTime())
    w.lives_until("2030-01-01 08:00")
    assert w.starts() == ["2030-01-01 08:00"]


def test_the_scheduler_wide_holidays_do_not_count_for_the_order_itself() -> None:
    main = MainConfiguration(holidays=Holidays(dates=(LocalDate("2030-01-01"),)))
    w = world("2030-01-01 08:00", main=main)
    w.adds("x", run_time=RunTime(periods=(single("10:00"),)))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 10:00"]


def test_the_scheduler_wide_holidays_count_for_orders_of_named_schedules() -> None:
    main = MainConfiguration(holidays=Holidays(dates=(LocalDate("2030-01-01"),)))
    w = world("2030-01-01 08:00", schedule("plan", single("10:00")), main=main)
    w.adds("x", run_time=uses("plan"))
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-02 10:00"]


def test_the_zone_of_the_run_time_counts() -> None:
    w = world("2030-01-01 00:00", zone="Europe/Helsinki")
    w.adds("x", run_time=RunTime(periods=(single("12:12"),), time_zone="Asia/Shanghai"))
    w.lives_until("2030-01-02 00:00")
    assert w.starts() == ["2030-01-01 06:12"]


# --- the next start ------------------------------------------------------------------------------


def test_repeat_counts_from_the_end_of_the_chain_and_goes_on_over_midnight() -> None:
    w = world("2030-01-01 00:00", lasts=one_minute)
    w.adds("x", run_time=RunTime(periods=(period(repeat=5 * 3600),)))
    w.lives_until("2030-01-02 02:00")
    assert [start[-5:] for start in w.starts()] == [
        *("00:00", "05:01", "10:02", "15:03", "20:04", "01:05"),
    ]


def test_a_chain_longer_than_the_period_starts_again_with_the_next_period() -> None:
    w = world("2030-01-01 00:00", lasts=lambda _task: minutes(60))
    w.adds("x", run_time=RunTime(periods=(period("09:00", "09:30", repeat=600),)))
    w.lives_until("2030-01-03 08:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-02 09:00"]


def test_a_passed_single_start_does_not_block_the_repeat() -> None:
    w = world("2030-01-01 08:59:58")
    w.adds(
        "x",
        run_time=RunTime(
            periods=(single("09:00:00"), period("09:00:02", "09:00:13", absolute_repeat=10))
        ),
    )
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == [
        *("2030-01-01 09:00", "2030-01-01 09:00:02", "2030-01-01 09:00:12"),
    ]


def test_starts_missed_while_the_order_runs_are_not_made_up() -> None:
    w = world("2030-01-01 00:00", lasts=lambda _task: minutes(25))
    w.adds("x", run_time=RunTime(periods=(period("09:00", "10:00", absolute_repeat=1200),)))
    w.lives_until("2030-01-02 08:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:40"]


def test_a_run_without_any_duration_does_not_start_twice_by_one_start() -> None:
    w = world("2030-01-01 00:00")
    w.adds("x", run_time=RunTime(at=(LocalTime("2030-01-01T09:00:00"),)))
    w.lives_until("2030-01-02 00:00")
    assert w.starts() == ["2030-01-01 09:00"]
    assert KEY not in w.state.orders


def test_a_start_just_when_the_run_ends_counts() -> None:
    w = world("2030-01-01 00:00", lasts=lambda _task: minutes(30))
    w.adds("x", run_time=RunTime(periods=(single("09:00"), single("09:30"))))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:30"]


# --- schedules -----------------------------------------------------------------------------------


def test_an_order_whose_schedule_is_missing_does_not_start_by_at_either() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", at=AtInstant(at=moment("2030-01-01 08:30")), run_time=uses("plan"))
    w.modifies(key, at=NOW)
    w.lives_until("2030-01-01 09:00")
    assert w.starts() == []
    w.defines(schedule("plan", single("10:00")))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 10:00"]


def test_a_schedule_that_appears_changes_goes_and_comes_back_is_followed() -> None:
    w = world("2030-01-01 08:00", permanent(uses("plan")))
    w.defines(schedule("plan", at="2030-01-01T09:00:00"))
    w.lives_until("2030-01-01 09:10")
    w.defines(schedule("plan", at="2030-01-01T10:00:00"))
    w.lives_until("2030-01-01 10:10")
    w.does(removed("plan"))
    w.defines(schedule("other", at="2030-01-01T10:30:00"))
    w.lives_until("2030-01-01 11:00")
    w.defines(schedule("plan", at="2030-01-01T12:00:00"))
    w.lives_until("2030-01-01 13:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 10:00", "2030-01-01 12:00"]


def test_a_changed_schedule_overrides_a_pending_at() -> None:
    w = world("2030-01-01 08:00", schedule("plan", single("10:00")))
    key = w.adds("x", at=AtInstant(at=moment("2030-01-01 09:00")), run_time=uses("plan"))
    w.defines(schedule("plan", single("11:00")))
    assert w.order(key).start_at == moment("2030-01-01 11:00")


def test_a_changed_schedule_leaves_the_orders_of_others_alone() -> None:
    w = world("2030-01-01 08:00", schedule("plan", single("10:00")), schedule("other"))
    key = w.adds("x", at=AtInstant(at=moment("2030-01-01 09:00")), run_time=uses("plan"))
    w.defines(schedule("other", single("11:00")))
    assert not w.happened(OrderStartPlanned)
    assert w.order(key).start_at == moment("2030-01-01 09:00")


def test_the_new_schedule_counts_from_the_next_run_of_an_order_that_has_begun() -> None:
    w = world(
        "2030-01-01 08:00", schedule("plan", single("10:00")), lasts=lambda _task: minutes(60)
    )
    key = w.adds("x", run_time=uses("plan"))
    w.lives_until("2030-01-01 10:30")
    w.defines(schedule("plan", single("10:40"), single("12:00")))
    assert w.order(key).task is not None
    w.lives_until("2030-01-01 13:00")
    assert w.starts() == ["2030-01-01 10:00", "2030-01-01 12:00"]


def test_an_order_that_runs_while_its_schedule_goes_finishes_its_chain() -> None:
    w = Timetable(
        "2030-01-01 08:00",
        shell_job("one"),
        shell_job("two"),
        chain("walk", node("1", "one"), node("2", "two")),
        schedule("plan", single("10:00")),
        lasts=lambda _task: minutes(60),
    )
    key = w.adds("x", run_time=uses("plan"))
    w.lives_until("2030-01-01 10:30")
    w.does(removed("plan"))
    w.lives_until("2030-01-01 13:00")
    assert [run.job for run in w.runs] == ["/one", "/two"]
    assert w.order(key).start_at == NEVER


def test_a_run_time_given_by_command_plans_the_order_anew() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", at=AtInstant(at=moment("2030-01-01 09:00")))
    w.modifies(key, run_time=RunTime(periods=(single("11:00"),)))
    assert w.order(key).start_at == moment("2030-01-01 11:00")


# --- reset ---------------------------------------------------------------------------------------


def test_a_reset_order_waits_for_the_next_start_of_its_calendar() -> None:
    w = world("2030-01-01 08:00", permanent(RunTime(at=(LocalTime("2030-12-31T12:00:00"),))))
    w.modifies(KEY, at=NOW)
    w.lives_until("2030-01-01 08:01")
    w.modifies(KEY, reset=True)
    assert w.starts() == ["2030-01-01 08:00"]
    assert w.order(KEY).start_at == moment("2030-12-31 12:00")


def test_a_reset_order_with_repeat_starts_at_once() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", run_time=RunTime(periods=(period(repeat=3600),)))
    w.lives_until("2030-01-01 08:10")
    w.modifies(key, reset=True)
    w.lives_until("2030-01-01 08:20")
    assert w.starts() == ["2030-01-01 08:00", "2030-01-01 08:10"]


def test_a_reset_order_without_a_calendar_waits_for_ever() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", at=AtInstant(at=moment("2030-01-01 09:00")))
    w.modifies(key, reset=True)
    assert w.order(key).start_at == NEVER


# --- lives of the engine -------------------------------------------------------------------------


def test_starts_of_permanent_orders_missed_while_the_engine_is_down_are_not_made_up() -> None:
    w = world("2030-01-01 08:00", permanent(RunTime(periods=(single("10:00"),))))
    w.now = moment("2030-01-01 11:00")
    w.begins_life(3)
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-02 10:00"]


def test_a_permanent_order_with_repeat_starts_at_once_in_each_life_of_the_engine() -> None:
    w = world("2030-01-01 08:00", permanent(RunTime(periods=(period(repeat=3600),))))
    w.lives_until("2030-01-01 08:10")
    w.begins_life(3)
    w.lives_until("2030-01-01 08:20")
    assert w.starts() == ["2030-01-01 08:00", "2030-01-01 08:10"]


def test_a_start_that_an_added_order_was_given_is_kept_over_a_downtime() -> None:
    w = world("2030-01-01 08:00")
    w.adds("x", at=AtInstant(at=moment("2030-01-01 09:00")))
    w.now = moment("2030-01-01 11:00")
    w.begins_life(3)
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 11:00"]


def test_calendar_starts_of_added_orders_missed_in_a_downtime_are_noted_and_not_made_up() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", run_time=RunTime(periods=(single("10:00"), single("10:30"))))
    w.now = moment("2030-01-02 11:00")
    w.begins_life(3, down_since="2030-01-01 08:00")
    assert w.order(key).missed == Missed(first=moment("2030-01-01 10:00"), count=4, until=w.now)
    w.lives_until("2030-01-03 10:10")
    assert w.starts() == ["2030-01-03 10:00"]


def test_a_requested_start_of_an_order_with_a_calendar_is_kept_over_a_downtime() -> None:
    w = world("2030-01-01 08:00")
    at = AtInstant(at=moment("2030-01-01 09:00"))
    key = w.adds("x", at=at, run_time=RunTime(periods=(single("10:00"),)))
    w.now = moment("2030-01-01 11:00")
    w.begins_life(3, down_since="2030-01-01 08:00")
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 11:00"]
    assert w.order(key).missed is None


def test_an_order_that_was_due_before_the_downtime_still_starts() -> None:
    w = world("2030-01-01 08:00", shell_job("work", run_time=RunTime(periods=(period("09:00"),))))
    w.adds("x", run_time=RunTime(periods=(single("08:10"),)))
    w.lives_until("2030-01-01 08:20")
    w.now = moment("2030-01-01 08:30")
    w.begins_life(3, down_since="2030-01-01 08:20")
    w.lives_until("2030-01-01 09:30")
    assert w.starts() == ["2030-01-01 09:00"]


def test_a_repeating_order_goes_on_after_a_downtime() -> None:
    w = world("2030-01-01 08:00")
    key = w.adds("x", run_time=RunTime(periods=(period(repeat=3600),)))
    w.lives_until("2030-01-01 08:10")
    w.now = moment("2030-01-01 11:00")
    w.begins_life(3, down_since="2030-01-01 08:10")
    w.lives_until("2030-01-01 11:30")
    assert w.starts() == ["2030-01-01 08:00", "2030-01-01 11:00"]
    assert w.order(key).missed is None


def test_what_starts_once_more_after_the_run_comes_from_the_journal_too() -> None:
    w = world("2030-01-01 00:00", lasts=one_minute)
    w.adds("x", run_time=RunTime(periods=(period(repeat=600),)))
    w.lives_until("2030-01-01 02:05")
    assert w.replayed().orders == w.state.orders
    assert w.order(KEY).start_at not in {IMMEDIATELY, NEVER}


def test_nobody_may_refer_to_a_schedule_that_stands_in_for_another_one() -> None:
    stands_in = ScheduleFile(
        schedule=Schedule(path=SchedulePath("/other"), substitute=SchedulePath("/plan"))
    )
    table = world("2030-01-01 00:00", schedule("plan"), stands_in)
    order = OrderDefinition(key=KEY, run_time=uses("other"))
    added = AddOrder(order=order, at=NOW)
    plain = AddOrder(order=OrderDefinition(key=KEY), at=AfterDelay(delay=minutes(5)))
    for request in (
        added,
        plain,
        ModifyOrder(order=KEY, run_time=uses("other")),
        ModifyJob(job=job_key("/work"), run_time=uses("other")),
    ):
        reply = table.gives(request).reply
        refused = None if request is plain else "SCHEDULER-466"
        assert (reply.code if isinstance(reply, Problem) else None) == refused
