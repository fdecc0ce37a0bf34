"""Monitors: their order, what they make of a step, node parameters (3.10, 2.9, 9.2)."""

import pytest

from engine.kernel.definitions import (
    ForeignScript,
    Job,
    Monitor,
    MonitorUse,
    NativeScript,
    OnError,
)
from engine.kernel.demands import Run, demand_of
from engine.kernel.effects import ReadNodeSettings
from engine.kernel.events.orders import OrderStepEnded, Transition
from engine.kernel.ids import MonitorPath, NodeState
from engine.kernel.monitors import monitors_of
from engine.kernel.native import CONFIGURATION_MONITOR
from engine.kernel.reports import EndReason, NodeSettingsRead, TaskExited
from engine.kernel.state import Task
from tests.support.world import World, chain, native_job, node, shell_job

CONFIGURATION = MonitorUse(
    name="configuration_monitor",
    ordering=0,
    script=NativeScript(kind=CONFIGURATION_MONITOR, java_class="test"),
)


def script(text: str) -> ForeignScript:
    return ForeignScript(language=text)


def walk(**first: object) -> World:
    return World(
        shell_job("a", **first),
        shell_job("b", **first),
        chain("walk", node("100", "a"), node("200", "b")),
    )


def settings(world: World, **changes: object) -> Task:
    """The service has read the settings of the only task."""
    task = world.task()
    assert task.order is not None
    assert task.key is not None
    order = world.order(task.order)
    values: dict[str, object] = {
        "order_params": order.params,
        "task_params": task.params,
        "xml_payload": "",
    }
    values.update(changes)
    world.does(NodeSettingsRead(key=task.key, **values))  # type: ignore[arg-type]  # by name
    return world.state.tasks.get(task.id, task)


def ends(world: World, code: int, result: bool | None, **changes: object) -> None:
    task = world.launches()
    assert task.key is not None
    values: dict[str, object] = {"signal": None, "reason": EndReason.EXITED, "returned": {}}
    values.update(changes)
    world.does(
        TaskExited(
            key=task.key,
            exit_code=code,
            ended_at=world.now,
            monitored_result=result,
            **values,  # type: ignore[arg-type]  # by name
        )
    )


# --- order ---------------------------------------------------------------------------------------


def test_monitors_come_by_their_ordering_and_then_in_the_order_of_the_document() -> None:
    job = shell_job(
        "a",
        monitors=(
            MonitorUse(name="late", ordering=9, script=script("x")),
            MonitorUse(name="/named", path=MonitorPath("/named")),
            MonitorUse(name="first", script=script("y")),
            MonitorUse(name="/moved", path=MonitorPath("/moved"), ordering=-1),
        ),
    )
    world = World(
        job,
        Monitor(path=MonitorPath("/named"), script=script("z"), ordering=5),
        Monitor(path=MonitorPath("/moved"), script=script("z"), ordering=5),
    )
    names = [monitor.name for monitor in monitors_of(world.state, job)]
    assert names == ["/moved", "first", "/named", "late"]


def test_a_job_with_a_missing_monitor_waits_until_it_is_there() -> None:
    use = MonitorUse(name="/later", path=MonitorPath("/later"))
    world = walk(monitors=(use,))
    world.adds("1")
    assert not world.tasks()
    world.defines(Monitor(path=MonitorPath("/later"), script=CONFIGURATION.script))  # type: ignore[arg-type]
    assert world.tasks()


def test_a_monitor_in_a_language_that_is_not_known_fails_the_start_with_its_name() -> None:
    use = MonitorUse(name="check", script=script("perlscript"))
    world = walk(monitors=(use,))
    world.adds("1")
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, Run)
    assert demand.refusal == (
        "SCHEDULER-199 The engine cannot run the monitor 'check': it is 'perlscript'"
    )


# --- what becomes of a step ----------------------------------------------------------------------

GOES_ON, ERROR, STAYS = "200", "bad", "100"


@pytest.mark.parametrize(
    ("code", "result", "error_line", "stop", "goes_to", "job_stops"),
    [
        # exit code, result of `after`, a line on stderr, stop_on_error -> where the order goes
        (0, True, None, True, GOES_ON, False),
        (0, False, None, True, ERROR, False),
        (0, True, "oops", True, GOES_ON, True),
        (0, True, "oops", False, GOES_ON, False),
        (7, None, None, True, STAYS, True),
        (7, None, None, False, ERROR, False),
        (7, True, None, True, GOES_ON, True),
        (7, True, None, False, GOES_ON, False),
        (7, False, None, True, ERROR, True),
        (7, False, None, False, ERROR, False),
    ],
)
def test_the_result_matrix_of_monitored_shell_jobs(
    code: int,
    result: bool | None,
    error_line: str | None,
    stop: bool,
    goes_to: str,
    job_stops: bool,
) -> None:
    world = World(
        shell_job("a", stop_on_error=stop),
        shell_job("b"),
        shell_job("e"),
        chain("walk", node("100", "a", "200", "bad"), node("200", "b", "end"), node("bad", "e")),
    )
    key = world.adds("1")
    ends(world, code, result, error_line=error_line)
    assert world.order(key).state == goes_to
    job = next(iter(world.state.jobs[key] for key in world.state.jobs if key == "/a"))
    assert job.stopped is job_stops


def test_return_codes_after_monitors_are_those_of_the_original() -> None:
    for code, result, expected in ((99, True, 0), (0, False, 1), (99, False, 99), (0, True, 0)):
        world = walk()
        world.adds("1")
        ends(world, code, result)
        (ended,) = world.happened(OrderStepEnded)
        assert ended.return_code == expected


def test_a_killed_monitored_step_goes_to_the_error_node_and_stops_its_job() -> None:
    world = World(
        shell_job("a", stop_on_error=True),
        shell_job("e"),
        chain("walk", node("100", "a", "end", "bad"), node("bad", "e", "end")),
    )
    key = world.adds("1")
    ends(world, -9, False, signal=9)
    assert world.order(key).state == "bad"
    assert world.happened(OrderStepEnded)[0].transition is Transition.ERROR


def test_on_error_suspend_keeps_a_monitored_failure_at_its_node() -> None:
    world = World(
        shell_job("a", stop_on_error=True),
        chain("walk", node("100", "a", on_error=OnError.SUSPEND)),
    )
    key = world.adds("1")
    ends(world, 1, False)
    assert world.order(key).suspended
    assert world.order(key).state == "100"


# --- node parameters -----------------------------------------------------------------------------


def test_the_process_waits_for_the_settings_and_gets_their_params() -> None:
    world = walk(monitors=(CONFIGURATION,))
    key = world.adds("1", params={"x": "1"})
    asked = demand_of(world.state, world.task())
    assert isinstance(asked, ReadNodeSettings)
    assert (asked.chain, asked.order, asked.state) == ("/walk", "1", "100")
    settings(
        world,
        order_params={"x": "1", "shared": "s", "own": "o"},
        task_params={"t": "2"},
        xml_payload="<settings/>",
        taken_back=("own",),
    )
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, Run)
    environment = demand.run.spec.environment
    assert environment["SCHEDULER_PARAM_OWN"] == "o"
    assert environment["SCHEDULER_PARAM_T"] == "2"
    assert world.order(key).xml_payload == "<settings/>"
    world.ends(returned={"OWN": "changed", "y": "3"})
    assert world.order(key).params == {"x": "1", "shared": "s", "y": "3"}


def test_a_repeated_or_late_answer_about_settings_changes_nothing() -> None:
    world = walk(monitors=(CONFIGURATION,))
    world.adds("1")
    task = settings(world, taken_back=())
    settings(world, order_params={"late": "1"})
    assert task.order is not None
    assert not world.order(task.order).params


def test_unusable_settings_fail_the_step_without_running_the_job() -> None:
    for stop, state in ((True, "100"), (False, "bad")):
        world = World(
            shell_job("a", stop_on_error=stop, monitors=(CONFIGURATION,)),
            shell_job("e"),
            chain("walk", node("100", "a", "end", "bad"), node("bad", "e", "end")),
        )
        key = world.adds("1")
        settings(world, problem="walk.config.xml:1: not well-formed")
        assert world.order(key).state == state
        assert world.happened(OrderStepEnded)[0].error_code == "SCHEDULER-226"


def test_a_failing_step_with_the_configuration_monitor_goes_to_the_error_node() -> None:
    world = World(
        shell_job("a", stop_on_error=True, monitors=(CONFIGURATION,)),
        shell_job("e"),
        chain("walk", node("100", "a", "end", "bad"), node("bad", "e", "end")),
    )
    key = world.adds("1")
    settings(world)
    world.ends(code=1)
    assert world.order(key).state == "bad"
    assert world.state.jobs[next(iter(world.state.jobs))] is not None


def test_params_of_other_nodes_are_passed_in_full_with_monitors_and_on_agents_only() -> None:
    params = {"100/own": "1", "200/other": "2"}
    for monitors in ((), (CONFIGURATION,)):
        world = walk(monitors=monitors)
        world.adds("1", params=params)
        if monitors:
            settings(world)
        demand = demand_of(world.state, world.task())
        assert isinstance(demand, Run)
        environment = demand.run.spec.environment
        assert environment["SCHEDULER_PARAM_OWN"] == "1"
        assert "SCHEDULER_PARAM_OTHER" not in environment
        assert ("SCHEDULER_PARAM_200/OTHER" in environment) is bool(monitors)


def test_a_job_without_orders_needs_no_settings() -> None:
    from engine.kernel.commands import StartJob  # noqa: PLC0415  # only here

    job: Job = shell_job("alone", is_order_job=False, monitors=(CONFIGURATION,))
    world = World(job)
    world.does(StartJob(job=job.key))
    assert isinstance(demand_of(world.state, world.task()), Run)


def test_replaying_gives_the_configured_state() -> None:
    world = walk(monitors=(CONFIGURATION,))
    world.adds("1")
    settings(world, order_params={"a": "1"}, taken_back=("a",))
    assert world.replayed().tasks == world.state.tasks
    assert world.replayed().orders == world.state.orders
    assert NodeState("100") == world.task().state


def test_a_job_of_our_own_code_with_a_foreign_monitor_fails_too() -> None:
    use = MonitorUse(name="check", script=script("perlscript"))
    world = World(
        native_job("a", "ssh", monitors=(use,), stop_on_error=True),
        chain("walk", node("100", "a")),
    )
    key = world.adds("1")
    assert world.order(key).state == "100"
    assert "perlscript" in world.happened(OrderStepEnded)[0].error_text
