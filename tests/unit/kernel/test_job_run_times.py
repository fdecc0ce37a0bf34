"""When jobs may run and when they start by themselves (schedules.md 12, orders-and-jobs.md 3)."""

from engine.kernel.calendar import DatePeriods, Holidays, LocalDate, LocalTime, RunTime, Schedule
from engine.kernel.commands import (
    ApplyDefinitions,
    InPeriod,
    JobAction,
    ModifyJob,
    ObjectKind,
    ObjectRef,
    StartJob,
)
from engine.kernel.definitions import (
    ErrorDelay,
    Job,
    Lock,
    LockUse,
    MainConfiguration,
    Monitor,
    MonitorUse,
    ScheduleFile,
)
from engine.kernel.events.tasks import Cause, JobPeriodChanged, JobStartPlanned, TaskCreated
from engine.kernel.ids import LockPath, MonitorPath, SchedulePath, job_key
from engine.kernel.instants import FOREVER, Duration, seconds
from engine.kernel.state import JobState, Missed, Task, TaskStatus
from tests.support.timetable import Timetable, moment, period, single
from tests.support.world import SCRIPT, chain, node, shell_job

JOB = job_key("job")
DAYTIME = RunTime(periods=(period("09:00", "17:00"),))


def job(run_time: RunTime | None = None, **changes: object) -> Job:
    return shell_job("job", is_order_job=False, run_time=run_time, **changes)


def minutes(count: float) -> Duration:
    return seconds(count * 60)


def one_minute(_task: Task) -> Duration:
    return minutes(1)


def state_of(world: Timetable) -> JobState:
    return world.state.jobs[JOB]


def schedule(name: str, *periods: object, **changes: object) -> ScheduleFile:
    run_time = RunTime(periods=periods)  # type: ignore[arg-type]  # periods
    path = SchedulePath(f"/{name}")
    return ScheduleFile(
        schedule=Schedule(path=path, run_time=run_time, **changes)  # type: ignore[arg-type]
    )


def uses(name: str) -> RunTime:
    return RunTime(schedule=SchedulePath(f"/{name}"))


# --- single starts -------------------------------------------------------------------------------


def test_a_single_start_needs_no_period() -> None:
    run_time = RunTime(periods=(single("08:00"), period("09:00", "10:00")))
    w = Timetable("2030-01-01 00:00", job(run_time))
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-01 08:00", "2030-01-02 08:00"]
    assert w.ever(TaskCreated)[0].cause is Cause.PERIOD_SINGLE


def test_single_starts_that_pass_while_the_task_runs_are_lost() -> None:
    run_time = RunTime(periods=(single("09:00"), single("09:10"), single("09:30")))
    w = Timetable("2030-01-01 00:00", job(run_time), lasts=lambda _task: minutes(15))
    w.lives_until("2030-01-02 09:05")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:30", "2030-01-02 09:00"]


def test_a_single_start_of_an_order_job_takes_a_waiting_order_outside_of_periods() -> None:
    nine = LocalTime("2030-01-01T09:00:00")
    worker = shell_job("job", run_time=RunTime(at=(nine,)))
    w = Timetable("2030-01-01 08:00", worker, chain("walk", node("1", "job")))
    key = w.adds("x")
    second = w.adds("y")
    w.lives_until("2030-01-01 10:00")
    assert w.starts() == ["2030-01-01 09:00"]
    assert w.runs[0].order == key
    assert key not in w.state.orders
    assert second in w.state.orders


def test_a_single_start_of_an_order_job_without_orders_starts_no_process() -> None:
    worker = shell_job("job", run_time=RunTime(periods=(single("09:00"),)))
    w = Timetable("2030-01-01 08:00", worker, chain("walk", node("1", "job")))
    w.lives_until("2030-01-03 08:00")
    assert w.starts() == []
    assert len(w.ever(TaskCreated)) == 2


def test_a_single_start_that_waits_for_a_lock_is_kept_over_midnight() -> None:
    lock = LockUse(lock=LockPath("/lock"))
    w = Timetable(
        "2030-01-01 23:00",
        Lock(path=LockPath("/lock")),
        shell_job("holder", is_order_job=False, locks=(lock,)),
        job(RunTime(periods=(single("23:50"), period("22:00", "23:59"))), locks=(lock,)),
        lasts=lambda task: minutes(90) if task.job == "/holder" else minutes(1),
    )
    w.does(StartJob(job=job_key("holder")))
    w.lives_until("2030-01-02 12:00")
    assert w.starts("job") == ["2030-01-02 00:30"]


def test_a_single_start_waits_for_a_lock_that_is_not_there_yet() -> None:
    lock = LockUse(lock=LockPath("/lock"))
    w = Timetable("2030-01-01 08:00", job(RunTime(periods=(single("09:00"),)), locks=(lock,)))
    w.lives_until("2030-01-01 12:00")
    w.defines(Lock(path=LockPath("/lock")))
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-01 12:00", "2030-01-02 09:00"]


def test_starts_of_an_incomplete_job_are_not_made_up_when_its_monitor_appears() -> None:
    monitor = MonitorUse(path=MonitorPath("/monitor"))
    w = Timetable("2030-01-01 08:00", job(RunTime(periods=(single("09:00"),)), monitors=(monitor,)))
    w.lives_until("2030-01-01 12:00")
    w.defines(Monitor(path=MonitorPath("/monitor"), script=SCRIPT))
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-02 09:00"]


# --- repeat and absolute_repeat ------------------------------------------------------------------


def test_repeat_counts_from_the_end_of_the_task_and_restarts_with_each_period() -> None:
    run_time = RunTime(periods=(period("09:00", "09:40", repeat=600),))
    w = Timetable("2030-01-01 00:00", job(run_time), lasts=one_minute)
    w.lives_until("2030-01-02 09:05")
    assert w.starts() == [
        "2030-01-01 09:00",
        "2030-01-01 09:11",
        "2030-01-01 09:22",
        "2030-01-01 09:33",
        "2030-01-02 09:00",
    ]


def test_a_job_with_repeat_starts_at_once_when_loaded_inside_the_period() -> None:
    run_time = RunTime(periods=(period(repeat=3600),))
    w = Timetable("2030-01-01 09:05", job(run_time))
    w.lives_until("2030-01-01 09:10")
    assert w.starts() == ["2030-01-01 09:05"]


def test_a_job_with_absolute_repeat_does_not_start_when_loaded() -> None:
    run_time = RunTime(periods=(period(absolute_repeat=13 * 3600),))
    w = Timetable("2030-01-01 09:05", job(run_time))
    w.lives_until("2030-01-02 13:00")
    assert w.starts() == ["2030-01-01 13:00", "2030-01-02 00:00", "2030-01-02 13:00"]


def test_a_changed_file_lets_a_job_with_repeat_start_at_once() -> None:
    run_time = RunTime(periods=(period(repeat=3600),))
    w = Timetable("2030-01-01 09:05", job(run_time))
    w.lives_until("2030-01-01 09:10")
    w.defines(job(run_time, title="changed"))
    w.lives_until("2030-01-01 10:00")
    assert w.starts() == ["2030-01-01 09:05", "2030-01-01 09:10"]


def test_a_repeat_starts_at_the_begin_of_each_period_although_single_starts_are_pending() -> None:
    run_time = RunTime(periods=(period("09:00", "09:30", repeat=600), single("09:15")))
    w = Timetable("2030-01-01 00:00", job(run_time), lasts=one_minute)
    w.lives_until("2030-01-02 09:05")
    assert [start[-5:] for start in w.starts()] == ["09:00", "09:11", "09:15", "09:26", "09:00"]


def test_a_repeat_that_waited_for_a_lock_is_dropped_when_the_period_closes() -> None:
    lock = LockUse(lock=LockPath("/lock"))
    w = Timetable(
        "2030-01-01 08:00",
        Lock(path=LockPath("/lock")),
        shell_job("holder", is_order_job=False, locks=(lock,)),
        job(RunTime(periods=(period("09:00", "10:00", repeat=600),)), locks=(lock,)),
        lasts=lambda task: minutes(150) if task.job == "/holder" else minutes(1),
    )
    w.does(StartJob(job=job_key("holder")))
    w.lives_until("2030-01-02 09:05")
    assert w.starts("job") == ["2030-01-02 09:00"]


# --- once ----------------------------------------------------------------------------------------


def test_once_starts_one_task_at_the_begin_of_the_next_period() -> None:
    run_time = RunTime(once=True, periods=(period("09:00", "10:00"),))
    w = Timetable("2030-01-01 08:30", job(run_time))
    w.lives_until("2030-01-03 00:00")
    assert w.starts() == ["2030-01-01 09:00"]
    assert w.ever(TaskCreated)[0].cause is Cause.PERIOD_ONCE


def test_once_counts_again_for_each_life_of_the_engine() -> None:
    w = Timetable("2030-01-01 08:30", job(RunTime(once=True)))
    w.lives_until("2030-01-01 09:00")
    w.begins_life(3)
    w.lives_until("2030-01-01 10:00")
    assert w.starts() == ["2030-01-01 08:30", "2030-01-01 09:00"]


def test_a_task_that_was_started_before_takes_the_place_of_once() -> None:
    run_time = RunTime(once=True, periods=(period("09:00", "10:00"),))
    w = Timetable("2030-01-01 08:30", job(run_time))
    w.does(StartJob(job=JOB))
    w.lives_until("2030-01-03 00:00")
    assert w.starts() == ["2030-01-01 08:30"]


# --- periods -------------------------------------------------------------------------------------


def test_orders_wait_for_the_period_of_the_job() -> None:
    w = Timetable(
        "2030-01-01 08:00", shell_job("job", run_time=DAYTIME), chain("walk", node("1", "job"))
    )
    w.adds("x")
    w.lives_until("2030-01-01 12:00")
    w.passes(Duration(moment("2030-01-01 17:00") - w.now))
    w.adds("y")
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-02 09:00"]


def test_a_task_goes_on_when_its_period_ends_and_the_next_order_waits() -> None:
    w = Timetable(
        "2030-01-01 16:59",
        shell_job("job", run_time=DAYTIME),
        chain("walk", node("1", "job")),
        lasts=lambda _task: minutes(10),
    )
    first, second = w.adds("x"), w.adds("y")
    w.lives_until("2030-01-01 17:05")
    assert w.order(first).task is not None
    w.lives_until("2030-01-01 18:00")
    assert first not in w.state.orders
    assert w.order(second).task is None
    assert w.starts() == ["2030-01-01 16:59"]


def test_periods_that_touch_are_one_opening() -> None:
    run_time = RunTime(periods=(period("09:00", "12:00"), period("12:00", "17:00")))
    w = Timetable("2030-01-01 08:00", job(run_time))
    w.lives_until("2030-01-01 20:00")
    changes = [(change.is_open, change.until) for change in w.ever(JobPeriodChanged)]
    assert changes == [
        (False, moment("2030-01-01 09:00")),
        (True, moment("2030-01-01 17:00")),
        (False, moment("2030-01-02 09:00")),
    ]


def test_a_job_that_is_always_open_is_looked_at_once_a_week() -> None:
    w = Timetable("2030-01-01 08:00", job(RunTime()))
    w.lives_until("2030-01-29 00:00")
    assert len(w.ever(JobPeriodChanged)) <= 5
    assert len([planned for planned in w.ever(JobStartPlanned) if planned.job == JOB]) == 1
    assert state_of(w).is_open


def test_the_opening_is_known_although_a_start_could_not_happen_before() -> None:
    run_time = RunTime(periods=(single("08:00"), period("09:00", "10:00")))
    w = Timetable("2030-01-01 00:00", job(run_time))
    w.does(ModifyJob(job=JOB, action=JobAction.STOP))
    w.lives_until("2030-01-01 09:30")
    assert state_of(w).is_open
    w.lives_until("2030-01-01 10:30")
    assert not state_of(w).is_open


def test_scheduler_wide_holidays_close_jobs() -> None:
    holidays = Holidays(dates=(LocalDate("2030-01-02"),))
    w = Timetable(
        "2030-01-01 00:00",
        job(RunTime(periods=(single("10:00"),))),
        main=MainConfiguration(holidays=holidays),
    )
    w.lives_until("2030-01-03 12:00")
    assert w.starts() == ["2030-01-01 10:00", "2030-01-03 10:00"]


def test_the_zone_of_the_run_time_counts() -> None:
    run_time = RunTime(periods=(single("12:12"),), time_zone="Pacific/Honolulu")
    w = Timetable("2030-01-01 00:00", job(run_time), zone="Europe/Helsinki")
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-01 00:12", "2030-01-02 00:12"]


# --- stopped, down -------------------------------------------------------------------------------


def test_starts_missed_while_the_job_is_stopped_are_not_made_up() -> None:
    w = Timetable("2030-01-01 00:00", job(RunTime(periods=(single("10:00"),))))
    w.does(ModifyJob(job=JOB, action=JobAction.STOP))
    w.lives_until("2030-01-01 11:00")
    w.does(ModifyJob(job=JOB, action=JobAction.UNSTOP))
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-02 10:00"]


def test_an_unstopped_job_with_repeat_starts_at_once() -> None:
    w = Timetable("2030-01-01 09:00", job(RunTime(periods=(period(repeat=3600),))))
    w.lives_until("2030-01-01 09:10")
    w.does(ModifyJob(job=JOB, action=JobAction.STOP))
    w.does(ModifyJob(job=JOB, action=JobAction.UNSTOP))
    w.lives_until("2030-01-01 09:15")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:10"]


def test_starts_missed_while_the_engine_is_down_are_not_made_up() -> None:
    w = Timetable("2030-01-01 00:00", job(RunTime(periods=(single("10:00"),))))
    w.now = moment("2030-01-01 11:00")
    w.begins_life(3, down_since="2030-01-01 00:00")
    assert state_of(w).missed == Missed(first=moment("2030-01-01 10:00"), count=1, until=w.now)
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-02 10:00"]


def test_a_job_with_repeat_starts_at_once_when_the_engine_starts() -> None:
    w = Timetable("2030-01-01 09:00", job(RunTime(periods=(period(repeat=3600),))))
    w.lives_until("2030-01-01 09:10")
    w.begins_life(3)
    w.lives_until("2030-01-01 09:15")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:10"]


# --- delay_after_error ---------------------------------------------------------------------------


def fail(w: Timetable) -> None:
    w.ends(w.task(), code=1)


def test_after_an_error_only_the_delay_counts() -> None:
    w = Timetable(
        "2030-01-01 09:00",
        job(
            RunTime(periods=(period(repeat=60),)),
            error_delays=(ErrorDelay(count=1, delay=minutes(20)),),
        ),
        lasts=lambda _task: minutes(24 * 60),
    )
    w.lives_until("2030-01-01 09:00")
    fail(w)
    assert state_of(w).next_start == moment("2030-01-01 09:20")
    assert state_of(w).next_start_cause is Cause.DELAY_AFTER_ERROR


def test_a_delay_that_is_over_outside_of_the_period_waits_for_the_next_one() -> None:
    w = Timetable(
        "2030-01-01 16:50",
        job(
            RunTime(periods=(period("09:00", "17:00", repeat=3600 * 12),)),
            error_delays=(ErrorDelay(count=1, delay=minutes(20)),),
        ),
        lasts=lambda _task: FOREVER,
    )
    w.lives_until("2030-01-01 16:50")
    fail(w)
    w.lives_until("2030-01-01 23:00")
    assert w.starts() == ["2030-01-01 16:50"]
    w.lives_until("2030-01-02 10:00")
    assert w.starts() == ["2030-01-01 16:50", "2030-01-02 09:00"]


# --- start_job -----------------------------------------------------------------------------------


def test_a_forced_task_starts_outside_of_periods() -> None:
    w = Timetable("2030-01-01 08:00", job(DAYTIME))
    w.does(StartJob(job=JOB))
    w.lives_until("2030-01-01 08:01")
    assert w.starts() == ["2030-01-01 08:00"]


def test_a_task_without_force_waits_for_the_period() -> None:
    w = Timetable("2030-01-01 08:00", job(DAYTIME))
    w.does(StartJob(job=JOB, force=False))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 09:00"]


def test_a_task_at_the_period_waits_for_it_even_with_force() -> None:
    w = Timetable("2030-01-01 08:00", job(DAYTIME))
    w.does(StartJob(job=JOB, at=InPeriod(), force=True))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 09:00"]


def test_a_task_that_needs_a_period_is_refused_when_none_follows() -> None:
    past = DatePeriods(date=LocalDate("2029-12-31"), periods=(period("09:00", "10:00"),))
    w = Timetable("2030-01-01 08:00", job(RunTime(dates=(past,))))
    for request in (StartJob(job=JOB, force=False), StartJob(job=JOB, at=InPeriod())):
        assert w.refused(request).code == "SCHEDULER-143"
    assert not w.tasks(TaskStatus.QUEUED)


def test_a_forced_task_needs_no_period_ever() -> None:
    past = DatePeriods(date=LocalDate("2029-12-31"), periods=(period("09:00", "10:00"),))
    w = Timetable("2030-01-01 08:00", job(RunTime(dates=(past,))))
    w.does(StartJob(job=JOB))
    w.lives_until("2030-01-01 08:01")
    assert w.starts() == ["2030-01-01 08:00"]


# --- wake ----------------------------------------------------------------------------------------


def test_wake_starts_a_task_outside_of_periods() -> None:
    w = Timetable("2030-01-01 08:00", job(DAYTIME))
    w.does(ModifyJob(job=JOB, action=JobAction.WAKE))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 08:00"]


def test_wake_when_in_period_has_no_effect_outside_of_periods() -> None:
    w = Timetable("2030-01-01 08:00", job(DAYTIME))
    w.does(ModifyJob(job=JOB, action=JobAction.WAKE_WHEN_IN_PERIOD))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == []


def test_wake_when_in_period_adds_a_start_to_those_of_repeat() -> None:
    w = Timetable("2030-01-01 09:00", job(RunTime(periods=(period(repeat=3600),))))
    w.lives_until("2030-01-01 09:10")
    w.does(ModifyJob(job=JOB, action=JobAction.WAKE_WHEN_IN_PERIOD))
    w.lives_until("2030-01-01 09:20")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:10"]
    assert state_of(w).next_start == moment("2030-01-01 10:10")


# --- schedules -----------------------------------------------------------------------------------


def test_a_job_whose_schedule_is_missing_starts_when_it_appears() -> None:
    w = Timetable("2030-01-01 08:00", job(uses("plan")))
    w.does(StartJob(job=JOB))
    w.lives_until("2030-01-01 09:00")
    assert w.starts() == []
    w.defines(schedule("plan", single("10:00")))
    w.lives_until("2030-01-01 12:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 10:00"]


def test_a_removed_schedule_holds_its_users_until_it_comes_back() -> None:
    w = Timetable("2030-01-01 08:00", schedule("plan", single("10:00")), job(uses("plan")))
    w.does(ApplyDefinitions(removed=(ObjectRef(kind=ObjectKind.SCHEDULE, path="/plan"),)))
    w.lives_until("2030-01-01 11:00")
    w.defines(schedule("plan", single("12:00")))
    w.lives_until("2030-01-01 13:00")
    assert w.starts() == ["2030-01-01 12:00"]


def test_a_substitute_cannot_be_used_directly() -> None:
    w = Timetable(
        "2030-01-01 08:00",
        schedule("plan", single("10:00")),
        schedule("other", single("11:00"), substitute=SchedulePath("/plan")),
        job(uses("other")),
    )
    w.lives_until("2030-01-02 00:00")
    assert w.starts() == []


def test_a_substitute_that_appears_replaces_the_starts_of_its_base() -> None:
    w = Timetable("2030-01-01 08:00", schedule("plan", single("10:00")), job(uses("plan")))
    w.defines(
        schedule(
            "other",
            single("11:00"),
            substitute=SchedulePath("/plan"),
            valid_from=LocalTime("2030-01-01T00:00:00"),
            valid_to=LocalTime("2030-01-02T00:00:00"),
        )
    )
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-01 11:00", "2030-01-02 10:00"]


def test_a_changed_schedule_leaves_the_users_of_others_alone() -> None:
    w = Timetable(
        "2030-01-01 09:00",
        schedule("plan", period(repeat=3600)),
        schedule("unrelated", period(repeat=60)),
        job(uses("plan")),
    )
    w.lives_until("2030-01-01 09:10")
    w.defines(schedule("unrelated", period(repeat=120)))
    assert not w.happened(JobStartPlanned)
    w.lives_until("2030-01-01 09:20")
    assert w.starts() == ["2030-01-01 09:00"]
    w.defines(schedule("plan", period(repeat=7200)))
    w.lives_until("2030-01-01 09:30")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-01 09:20"]


def test_a_run_time_given_by_command_replaces_that_of_the_job() -> None:
    w = Timetable("2030-01-01 08:00", job(RunTime(periods=(single("10:00"),))))
    w.does(ModifyJob(job=JOB, run_time=RunTime(periods=(single("09:00"),))))
    w.lives_until("2030-01-02 08:00")
    assert w.starts() == ["2030-01-01 09:00"]
    w.defines(job(RunTime(periods=(single("10:00"),))))
    w.lives_until("2030-01-02 12:00")
    assert w.starts() == ["2030-01-01 09:00", "2030-01-02 10:00"]


def test_all_of_it_comes_out_the_same_from_the_journal() -> None:
    run_time = RunTime(periods=(period("09:00", "09:40", repeat=600), single("08:00")))
    w = Timetable("2030-01-01 00:00", job(run_time), lasts=one_minute)
    w.lives_until("2030-01-02 09:05")
    assert w.replayed().jobs == w.state.jobs
