"""The plan of the day: what starts, what is late, what was missed."""

from datetime import UTC, datetime
from itertools import islice

from engine.kernel.calendar import LocalTime, RunTime, Schedule
from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    AtInstant,
    JobAction,
    ModifyJob,
    ObjectKind,
    ObjectRef,
    PauseEngine,
    StartJob,
)
from engine.kernel.daily_plan import (
    PlanBasis,
    PlanEntry,
    PlanKind,
    PlannedSubject,
    PlanStatus,
    plan,
)
from engine.kernel.definitions import ScheduleFile
from engine.kernel.ids import OrderId, OrderKey, SchedulePath, chain_key, job_key
from engine.kernel.instants import Duration, Instant, seconds
from tests.support.timetable import Timetable, moment, period, single
from tests.support.world import chain, node, shell_job

KEY = OrderKey(chain_key("walk"), OrderId("x"))


def minutes(count: float) -> Duration:
    return seconds(count * 60)


def world(*definitions: object, begin: str = "2030-01-01 08:00") -> Timetable:
    w = Timetable(
        begin,
        shell_job("work", tasks=10),
        chain("walk", node("1", "work")),
        *definitions,  # type: ignore[arg-type]  # definitions
        lasts=lambda _task: minutes(30),
    )
    w.lives_until(w.now)
    return w


def planned(
    w: Timetable,
    from_: str = "2030-01-01",
    to: str = "2030-01-02",
    durations: dict[PlannedSubject, Duration] | None = None,
) -> list[PlanEntry]:
    basis = PlanBasis.of(w.state, w.now)
    entries = plan(basis, moment(from_), moment(to), durations or {})
    return [entry for entry in entries if entry is not None]


def shown(entries: list[PlanEntry]) -> list[tuple[str, str, str]]:
    return [
        (
            datetime.fromtimestamp(entry.at / 1000, UTC).strftime("%d %H:%M"),
            f"{entry.path},{entry.order}" if entry.order else entry.path,
            entry.kind.value,
        )
        for entry in entries
    ]


def test_starts_of_orders_and_jobs_come_in_the_order_of_time() -> None:
    w = world(
        shell_job("j", is_order_job=False, run_time=RunTime(periods=(single("11:00"),))),
    )
    w.adds("x", run_time=RunTime(periods=(single("10:00"), single("12:00"))))
    w.adds("y", run_time=RunTime(periods=(period("09:30", "13:00", absolute_repeat=5400),)))
    assert shown(planned(w)) == [
        ("01 09:30", "/walk,y", "absolute_repeat"),
        ("01 10:00", "/walk,x", "single_start"),
        ("01 11:00", "/j", "single_start"),
        ("01 11:00", "/walk,y", "absolute_repeat"),
        ("01 12:00", "/walk,x", "single_start"),
        ("01 12:30", "/walk,y", "absolute_repeat"),
    ]


def test_the_first_instant_is_included_and_the_last_is_not() -> None:
    w = world()
    w.adds("x", run_time=RunTime(periods=(single("10:00"),)))
    found = planned(w, "2030-01-02 10:00", "2030-01-04 10:00")
    assert [entry.at for entry in found] == [
        moment("2030-01-02 10:00"),
        moment("2030-01-03 10:00"),
    ]


def test_a_repeat_counts_from_the_expected_end() -> None:
    w = world()
    w.adds("x", run_time=RunTime(periods=(period("09:00", "12:00", repeat=1800),)))
    found = planned(w, durations={KEY: minutes(30)})
    assert [name for name, _, _ in shown(found)] == ["01 09:00", "01 10:00", "01 11:00"]
    assert found[0].end == moment("2030-01-01 09:30")
    assert found[0].duration == minutes(30)


def test_fixed_starts_during_an_expected_run_are_left_out() -> None:
    w = world()
    w.adds("x", run_time=RunTime(periods=(single("09:00"), single("09:10"), single("10:00"))))
    found = planned(w, durations={KEY: minutes(20)})
    assert [name for name, _, _ in shown(found)] == ["01 09:00", "01 10:00"]


def test_a_running_order_goes_on_after_its_expected_end() -> None:
    w = world()
    w.adds("x", run_time=RunTime(periods=(period("08:00", "12:00", repeat=3600),)))
    w.lives_until("2030-01-01 08:10")
    found = planned(w, durations={KEY: minutes(30)})
    assert shown(found)[0] == ("01 09:30", "/walk,x", "repeat")


def test_a_running_job_goes_on_after_its_expected_end() -> None:
    run_time = RunTime(periods=(period("08:00", "12:00", repeat=3600),))
    w = world(shell_job("j", is_order_job=False, run_time=run_time))
    w.lives_until("2030-01-01 08:10")
    found = planned(w, durations={job_key("j"): minutes(30)})
    assert shown(found)[0] == ("01 09:30", "/j", "repeat")


def test_an_order_that_should_have_begun_is_late() -> None:
    w = world(shell_job("work", run_time=RunTime(periods=(period("11:00", "12:00"),))))
    w.adds("x", run_time=RunTime(periods=(single("09:00"),)))
    w.lives_until("2030-01-01 10:00")
    (late,) = planned(w)
    assert (late.at, late.status) == (moment("2030-01-01 09:00"), PlanStatus.LATE)


def test_what_is_late_is_listed_although_it_was_planned_before() -> None:
    w = world(shell_job("work", run_time=RunTime(periods=(period("11:00", "12:00"),))))
    w.adds("x", at=AtInstant(at=moment("2030-01-01 23:00")))
    w.lives_until("2030-01-02 10:00")
    (late,) = planned(w, "2030-01-02", "2030-01-03")
    assert (late.at, late.status) == (moment("2030-01-01 23:00"), PlanStatus.LATE)
    assert not planned(w, "2030-01-03", "2030-01-04")


def test_a_job_that_should_have_begun_is_late() -> None:
    w = world(shell_job("j", is_order_job=False, run_time=RunTime(periods=(single("09:00"),))))
    w.does(PauseEngine(paused=True))
    w.lives_until("2030-01-01 10:00")
    late, *rest = planned(w)
    assert (late.path, late.status) == ("/j", PlanStatus.LATE)
    assert not rest


def test_missed_starts_are_told_with_their_number() -> None:
    w = world(shell_job("j", is_order_job=False, run_time=RunTime(periods=(single("10:00"),))))
    w.adds("x", run_time=RunTime(periods=(single("09:00"), single("09:30"))))
    w.now = moment("2030-01-01 11:00")
    w.begins_life(3, down_since="2030-01-01 08:00")
    found = planned(w)
    assert [(entry.path, entry.status, entry.count) for entry in found] == [
        ("/walk", PlanStatus.MISSED, 2),
        ("/j", PlanStatus.MISSED, 1),
    ]
    assert found[0].end is None


def test_an_order_with_a_start_time_and_no_run_time_is_in_it_once() -> None:
    w = world()
    w.adds("x", at=AtInstant(at=moment("2030-01-01 09:00")))
    w.adds("y")
    assert shown(planned(w)) == [("01 09:00", "/walk,x", "at")]


def test_a_start_that_the_calendar_does_not_explain_is_an_at() -> None:
    w = world()
    w.adds(
        "x",
        at=AtInstant(at=moment("2030-01-01 09:00")),
        run_time=RunTime(periods=(single("10:00"),)),
    )
    assert [kind for _, _, kind in shown(planned(w))] == ["at", "single_start"]


def test_queued_tasks_are_in_it() -> None:
    w = world(shell_job("j", is_order_job=False))
    w.does(StartJob(job=job_key("j"), at=AfterDelay(delay=minutes(60))))
    (entry,) = planned(w)
    assert (entry.kind, entry.path, entry.task) == (PlanKind.QUEUE, "/j", 1)
    assert entry.at == moment("2030-01-01 09:00")


def test_what_starts_nothing_is_left_out() -> None:
    run_time = RunTime(periods=(single("10:00"),))
    w = world(shell_job("j", is_order_job=False, run_time=run_time))
    w.adds("never", run_time=RunTime())
    w.adds("missing", run_time=RunTime(schedule=SchedulePath("/missing")))
    held = w.adds("held", run_time=run_time)
    w.modifies(held, suspended=True)
    w.does(ModifyJob(job=job_key("j"), action=JobAction.STOP))
    assert not planned(w)


def test_the_schedule_that_causes_a_start_is_told() -> None:
    path = SchedulePath("/base")
    base = Schedule(path=path, run_time=RunTime(periods=(single("10:00"),)))
    other = Schedule(
        path=SchedulePath("/other"),
        run_time=RunTime(periods=(single("11:00"),)),
        substitute=path,
        valid_from=LocalTime("2030-01-02T00:00:00"),
    )
    w = world(ScheduleFile(schedule=base), ScheduleFile(schedule=other))
    w.adds("x", run_time=RunTime(schedule=path))
    found = planned(w, "2030-01-01", "2030-01-03")
    assert [entry.schedule for entry in found] == ["/base", "/other"]


def test_a_plan_stays_as_it_was_while_the_engine_goes_on() -> None:
    path = SchedulePath("/base")
    base = Schedule(path=path, run_time=RunTime(periods=(single("10:00"),)))
    w = world(ScheduleFile(schedule=base))
    w.adds("x", run_time=RunTime(schedule=path))
    entries = plan(PlanBasis.of(w.state, w.now), moment("2030-01-01"), moment("2030-01-03"), {})
    w.does(ApplyDefinitions(removed=(ObjectRef(kind=ObjectKind.SCHEDULE, path="/base"),)))
    assert len([entry for entry in entries if entry is not None]) == 2


def test_it_is_lazy_and_lets_the_caller_look_at_the_clock() -> None:
    w = world()
    w.adds("x", run_time=RunTime(periods=(period(repeat=1),)))
    far = plan(PlanBasis.of(w.state, w.now), moment("2031-01-01"), moment("2032-01-01"), {})
    assert list(islice(far, 50)) == [None] * 50


def test_a_plan_of_a_far_year_is_not_worked_out_from_today() -> None:
    w = world()
    w.adds("x", run_time=RunTime(periods=(period("09:00", "10:00", repeat=1),)))
    far = plan(PlanBasis.of(w.state, w.now), moment("2035-01-01"), moment("2035-01-02"), {})
    steps = 0
    for entry in far:
        steps += 1
        if entry is not None:
            assert entry.at == moment("2035-01-01 09:00")
            break
    assert steps < 2 * 3600


def test_it_says_what_the_engine_then_does() -> None:
    w = world(
        shell_job(
            "j", is_order_job=False, run_time=RunTime(periods=(period("10:00", "14:00", 1200),))
        )
    )
    w.adds("x", run_time=RunTime(periods=(single("09:00"), single("13:30"))))
    w.adds("y", run_time=RunTime(periods=(period("08:30", "24:00", repeat=7200),)))
    durations: dict[PlannedSubject, Duration] = dict.fromkeys(
        (KEY, OrderKey(chain_key("walk"), OrderId("y")), job_key("j")), minutes(30)
    )
    expected = [
        (entry.at, entry.order or entry.path)
        for entry in planned(w, to="2030-01-03", durations=durations)
    ]
    w.lives_until(Instant(moment("2030-01-03") - 1))
    happened = [(run.at, run.order.id if run.order else run.job) for run in w.runs]
    assert sorted(expected) == sorted(happened)
