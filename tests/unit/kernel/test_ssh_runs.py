"""Runs over SSH in the kernel: remembered, watched by an order, judged by their end."""

from dataclasses import replace

import pytest

from engine.kernel.commands import ApplyDefinitions
from engine.kernel.definitions import Job, OnError
from engine.kernel.demands import SshRun, demand_of
from engine.kernel.effects import RunNative
from engine.kernel.events.orders import OrderAdded, OrderNodeChanged, OrderSetBack
from engine.kernel.events.sessions import SshRunBegun, SshRunEnded, SshRunsForgotten
from engine.kernel.events.tasks import TaskAssigned, TaskEnded
from engine.kernel.ids import OrderId, OrderKey, chain_key
from engine.kernel.instants import Instant, seconds
from engine.kernel.native import SSH, SSH_KILL, SSH_READ_PID
from engine.kernel.reports import EndReason, NativeEnded, TaskExited, TaskLaunched
from engine.kernel.sessions.effects import Before
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.marks import RunEnd
from engine.kernel.state import Task, TaskStatus
from engine.kernel.watchdog import RUN_KEPT_FOR
from tests.support.world import World, chain, native_job, node, setback

LOGIN = {"host": "h", "user": "u", "ssh_password": "[sealed:x]", "command": "run ${host}"}
WATCH = {"runWithWatchdog": "true", "cleanupJobchain": "clean"}


def ssh_job(name: str = "remote", **params: str) -> Job:
    return native_job(name, SSH, params={**LOGIN, **params})


def world_with(*jobs: Job) -> World:
    return World(
        *jobs,
        chain("walk", node("100", jobs[0].path.strip("/"))),
        native_job("read", SSH_READ_PID, **setback((1, 30), (3, 0), most=3)),
        native_job("kill", SSH_KILL, **setback((1, 30), (3, 0), most=3)),
        chain(
            "clean",
            node("Read", "read", on_error=OnError.SETBACK),
            node("Check", "kill", on_error=OnError.SETBACK),
        ),
    )


def exited(world: World, task: Task, **changes: object) -> None:
    report = TaskExited(
        key=task.key or "",  # type: ignore[arg-type]  # it has one
        exit_code=0,
        signal=None,
        reason=EndReason.EXITED,
        ended_at=world.now,
    )
    world.does(replace(report, **changes))  # type: ignore[arg-type]  # by name


def cleanup_task(world: World) -> Task:
    found = [task for task in world.tasks() if task.job in {"/read", "/kill"}]
    return found[0]


def native(world: World, **changes: object) -> None:
    task = cleanup_task(world)
    assert task.key is not None
    report = NativeEnded(key=task.key, succeeded=True)
    world.does(replace(report, **changes))  # type: ignore[arg-type]  # by name


def test_a_run_is_remembered_before_anything_is_sent() -> None:
    world = world_with(ssh_job())
    world.adds("1")
    kinds = [type(event) for event in world.last]
    assert kinds.index(TaskAssigned) < kinds.index(SshRunBegun)
    (run,) = world.state.ssh_runs.values()
    assert run.key == world.task().key
    assert run.parameters == {"host": "h", "user": "u", "password": "[sealed:x]"}
    assert run.end is RunEnd.OPEN


def test_the_demand_holds_the_parameters_of_the_order_and_no_exported_ones() -> None:
    world = world_with(ssh_job())
    world.adds("1", params={"host": "other", "question": "x"})
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, SshRun)
    assert demand.run.parameters["host"] == "other"
    assert demand.run.before is Before.NEVER
    assert not any("PARAM" in name for name in demand.run.environment)
    assert demand.special["SCHEDULER_ORDER_ID"] == "1"
    world.launches()
    launched = demand_of(world.state, world.task())
    assert isinstance(launched, SshRun)
    assert launched.run.before is Before.SURELY


def test_a_run_is_looked_for_where_it_began_whatever_becomes_of_its_order() -> None:
    world = world_with(ssh_job())
    key = world.adds("1")
    world.launches()
    world.modifies(key, params={"host": "elsewhere"})
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, SshRun)
    assert demand.run.parameters["host"] == "h"


def test_how_a_run_without_a_folder_is_known_again_outlives_the_engine() -> None:
    world = world_with(ssh_job())
    world.adds("1")
    task = world.task()
    assert task.key is not None
    record = "v=1 pid=7 pgid=7"
    world.does(TaskLaunched(key=task.key, pid=7, started_at=world.now, record=record))
    (run,) = world.state.ssh_runs.values()
    assert run.record == record
    demand = demand_of(world.state, world.task())
    assert isinstance(demand, SshRun)
    assert (demand.run.before, demand.run.record) == (Before.SURELY, record)


@pytest.mark.parametrize(("code", "end"), [(0, RunEnd.NORMAL), (3, RunEnd.BROKEN)])
def test_how_the_step_ended_decides_what_leftovers_are(code: int, end: RunEnd) -> None:
    world = world_with(ssh_job())
    world.adds("1")
    world.ends(code=code)
    (run,) = world.state.ssh_runs.values()
    assert run.end is end
    assert [event.end for event in world.ever(SshRunEnded)] == [end]


def test_a_tolerated_exit_code_is_a_success_that_return_codes_still_see() -> None:
    world = world_with(ssh_job())
    world.adds("1")
    task = world.launches()
    exited(world, task, exit_code=5, is_tolerated=True)
    (run,) = world.state.ssh_runs.values()
    assert run.end is RunEnd.NORMAL
    assert world.state.jobs[task.job].consecutive_errors == 0


def test_results_of_an_earlier_step_do_not_count_as_those_of_this_one() -> None:
    world = world_with(ssh_job())
    key = world.adds("1", params={"exit_code": "7", "exit_signal": "TERM", "kept": "x"})
    assert world.order(key).params == {"kept": "x"}


def test_old_runs_are_forgotten_and_open_ones_are_not() -> None:
    world = world_with(native_job("remote", SSH, params=LOGIN, tasks=3))
    world.adds("1")
    world.adds("2")
    first, second = world.tasks()
    world.ends(first)
    world.passes(seconds(RUN_KEPT_FOR // 1000 + 60))
    world.adds("3")
    assert world.ever(SshRunsForgotten)[0].tasks == (first.id,)
    assert second.id in world.state.ssh_runs


# --- the watchdog --------------------------------------------------------------------------------


def cleanup_key(world: World) -> OrderKey:
    return next(key for key in world.state.orders if key.chain == chain_key("clean"))


def test_the_watchdog_adds_an_order_that_starts_later_and_holds_no_secret() -> None:
    world = world_with(ssh_job(**WATCH))
    world.adds("1")
    (added,) = [event for event in world.happened(OrderAdded) if event.parent is not None]
    task = next(task for task in world.tasks() if task.job == "/remote")
    assert added.start_at == Instant(world.now + seconds(15))
    assert added.parent == OrderKey(chain_key("walk"), OrderId("1"))
    params = added.definition.params
    assert params["SSH_JOB_TASK_ID"] == str(task.id)
    assert params["SSH_JOB_NAME"] == "/remote"
    assert task.key is not None
    assert params["job_ssh_pid_file_name"] == token_of(task.key)
    assert "password" not in params
    assert added.definition.key.id.isdecimal(), "the engine numbers it"


def test_the_cleanup_chain_may_be_named_by_the_order_or_from_the_job_s_folder() -> None:
    world = World(
        native_job("hosts/remote", SSH, params=LOGIN),
        chain("walk", node("100", "hosts/remote")),
        native_job("kill", SSH_KILL),
        chain("hosts/clean", node("Check", "kill")),
    )
    world.adds("1", params=WATCH)
    assert [key.chain for key in world.state.orders] == ["/walk", "/hosts/clean"]


def test_an_unknown_cleanup_chain_fails_the_step_with_a_sentence() -> None:
    world = world_with(ssh_job(runWithWatchdog="true", cleanupJobchain="nowhere"))
    world.adds("1")
    assert not world.state.ssh_runs
    assert not world.state.orders
    (ended,) = world.ever(TaskEnded)
    assert "nowhere" in ended.error_text
    assert not ended.ran


def test_a_visit_knows_whether_the_very_step_is_still_open() -> None:
    world = world_with(ssh_job(**WATCH))
    world.adds("1")
    world.passes(seconds(15))
    visit = demand_of(world.state, cleanup_task(world))
    assert isinstance(visit, RunNative)
    assert visit.watched is not None
    assert visit.watched.is_open
    world.ends(next(task for task in world.tasks() if task.job == "/remote"))
    visit = demand_of(world.state, cleanup_task(world))
    assert isinstance(visit, RunNative)
    assert visit.watched is not None
    assert not visit.watched.is_open
    assert visit.watched.parameters["password"] == "[sealed:x]"


def test_waiting_for_a_healthy_step_uses_up_no_setback() -> None:
    world = world_with(ssh_job(**WATCH))
    world.adds("1")
    world.passes(seconds(15))
    for _ in range(6):
        native(world, again_after=seconds(30), returned={"ssh_cleanup_memory": "failures=0"})
        order = world.order(cleanup_key(world))
        assert order.setback_count == 0
        assert order.state == "Read"
        assert not world.happened(OrderSetBack)
        assert world.happened(OrderNodeChanged)[0].start_at == Instant(world.now + seconds(30))
        world.passes(seconds(30))
    assert world.order(cleanup_key(world)).params["ssh_cleanup_memory"] == "failures=0"


def test_a_setback_counts_as_the_job_says_and_a_wait_between_keeps_the_count() -> None:
    world = world_with(ssh_job(**WATCH))
    world.adds("1")
    world.passes(seconds(15))
    key = cleanup_key(world)
    native(world, succeeded=False)
    assert world.order(key).setback_count == 1
    world.passes(seconds(30))
    native(world, again_after=seconds(10))
    assert world.order(key).setback_count == 1
    world.passes(seconds(10))
    native(world, succeeded=False)
    assert world.order(key).setback_count == 2


def test_a_final_failure_leads_to_the_error_state_past_all_setbacks() -> None:
    world = world_with(ssh_job(**WATCH))
    world.adds("1")
    world.passes(seconds(15))
    key = cleanup_key(world)
    native(world, succeeded=False, is_final=True, text="host unreachable")
    assert key not in world.state.orders
    assert world.tasks(TaskStatus.STARTING)


def test_scheduler_variables_count_for_the_cleanup_jobs_before_all_others() -> None:
    world = world_with(ssh_job(**WATCH))
    shared = {
        "ssh_job_timeout_kill_after": "5",
        "command": "none",
        "about": "${SCHEDULER_JOB_NAME}",
    }
    world.does(ApplyDefinitions(main=replace(world.state.main, params=shared)))
    world.adds("1", params={"COMMAND": "of the order"})
    world.passes(seconds(15))
    visit = demand_of(world.state, cleanup_task(world))
    assert isinstance(visit, RunNative)
    assert visit.parameters["ssh_job_timeout_kill_after"] == "5"
    assert visit.parameters["about"] == "read"
    assert [text for name, text in visit.parameters.items() if name.lower() == "command"] == [
        "none"
    ], "what to run is no business of the watch"


def test_an_order_that_names_no_known_run_is_set_back() -> None:
    world = world_with(ssh_job())
    world.adds("by hand", chain="clean", params={"SSH_JOB_TASK_ID": "999"})
    visit = demand_of(world.state, cleanup_task(world))
    assert isinstance(visit, RunNative)
    assert visit.watched is None
