"""How much runs at once, where, and who comes first (orders-and-jobs.md 3, 6, 7; agents.md 4)."""

from collections.abc import Iterator

import pytest

from engine.kernel import progress
from engine.kernel.capacity import is_incomplete
from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    JobAction,
    KillTask,
    ModifyChain,
    ModifyJob,
    ModifyOrder,
    ObjectKind,
    ObjectRef,
    PauseEngine,
    RemoveOrder,
    StartJob,
)
from engine.kernel.definitions import Lock, LockUse, Monitor, MonitorUse, ProcessClass, Select
from engine.kernel.demands import agent_demands, environment_of
from engine.kernel.effects import KillMode
from engine.kernel.events import Event
from engine.kernel.events.control import AgentMarkCleared, AgentMarkedFailed
from engine.kernel.events.orders import OrderFinished, OrderStepEnded, Transition
from engine.kernel.events.tasks import TaskAssigned, TaskAwaitsAgent, TaskEnded
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    JobKey,
    LockPath,
    MonitorPath,
    NodeState,
    OrderId,
    OrderKey,
    chain_key,
    job_key,
)
from engine.kernel.instants import FOREVER, Instant, seconds
from engine.kernel.progress.starts import visit_job
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    EndReason,
    LaunchFailure,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.state import State, Task, TaskStatus
from tests.support.world import SCRIPT, World, agents_class, chain, node, shell_job

Y = OrderKey(chain_key("/two"), OrderId("y"))
A, B, C = "http://a:1", "http://b:1", "http://c:1"


def one_node(*definitions: object, **job: object) -> World:
    return World(
        *definitions,  # type: ignore[arg-type]  # definitions of any kind
        shell_job("a", **job),
        chain("walk", node("100", "a")),
    )


# --- tasks of a job ------------------------------------------------------------------------------


def test_a_job_runs_as_many_tasks_at_once_as_it_says() -> None:
    world = one_node(tasks=2)
    for number in range(4):
        world.adds(str(number))
    assert len(world.tasks()) == 2
    world.ends(world.tasks()[0])
    assert len(world.tasks()) == 2


def test_a_job_with_no_tasks_starts_nothing() -> None:
    world = one_node(tasks=0)
    world.adds("1")
    assert not world.tasks()


def test_a_stopped_job_starts_nothing_until_it_is_unstopped() -> None:
    world = one_node()
    world.does(ModifyJob(job=job_key("a"), action=JobAction.STOP))
    world.adds("1")
    assert not world.tasks()
    world.does(ModifyJob(job=job_key("a"), action=JobAction.UNSTOP))
    assert world.tasks()


def test_starting_a_stopped_job_unstops_it() -> None:
    world = one_node(is_order_job=False)
    world.does(ModifyJob(job=job_key("a"), action=JobAction.STOP))
    world.does(StartJob(job=job_key("a"), params={"x": "1"}))
    assert world.task().params == {"x": "1"}
    assert not world.state.jobs[job_key("a")].stopped


def test_a_queued_task_waits_for_its_time() -> None:
    world = one_node(is_order_job=False)
    world.does(StartJob(job=job_key("a"), at=AfterDelay(delay=seconds(10))))
    assert world.task().status is TaskStatus.QUEUED
    world.passes(seconds(10))
    assert world.task().status is TaskStatus.STARTING


def test_a_stopped_chain_starts_no_step_and_running_ones_finish() -> None:
    world = World(shell_job("a"), shell_job("b"), chain("walk", node("100", "a"), node("200", "b")))
    key = world.adds("1")
    world.launches()
    world.does(ModifyChain(chain=key.chain, stopped=True))
    world.ends()
    assert world.order(key).state == "200"
    assert not world.tasks()
    world.does(ModifyChain(chain=key.chain, stopped=False))
    assert world.tasks()


def test_a_paused_engine_starts_nothing_new() -> None:
    world = one_node()
    world.does(PauseEngine(paused=True))
    world.adds("1")
    assert not world.tasks()
    world.does(PauseEngine(paused=False))
    assert world.tasks()


# --- process classes -----------------------------------------------------------------------------


def few(count: int) -> ProcessClass:
    return ProcessClass(path=ClassPath("/few"), max_processes=count)


def two_jobs_of_one_class() -> World:
    return World(
        few(1),
        shell_job("a", process_class=ClassPath("/few"), tasks=5),
        shell_job("b", process_class=ClassPath("/few"), tasks=5),
        chain("walk", node("100", "a")),
        chain("other", node("100", "b")),
    )


def test_a_class_never_has_more_processes_than_it_allows() -> None:
    world = two_jobs_of_one_class()
    for number in range(3):
        world.adds(str(number))
        world.adds(str(number), "other")
    assert len(world.tasks()) == 1


def test_jobs_that_wait_for_a_class_come_in_the_order_in_which_they_began_to_wait() -> None:
    world = two_jobs_of_one_class()
    world.adds("1")
    world.adds("1", "other")
    world.adds("2")
    jobs = []
    while world.tasks():
        jobs.append(world.task().job)
        world.ends()
    assert jobs == ["/a", "/b", "/a"]


def test_raising_the_limit_lets_waiting_jobs_start_at_once() -> None:
    world = two_jobs_of_one_class()
    world.adds("1")
    world.adds("1", "other")
    world.defines(few(2))
    assert len(world.tasks()) == 2


def test_a_missing_class_of_the_chain_sends_the_order_to_its_error_node() -> None:
    world = World(
        shell_job("a"), chain("walk", node("100", "a"), process_class=ClassPath("/missing"))
    )
    world.adds("1")
    assert world.happened(OrderFinished)[0].state == "error"


def test_a_job_whose_class_is_missing_waits_for_it() -> None:
    world = one_node(process_class=ClassPath("/few"))
    world.adds("1")
    assert not world.tasks()
    world.defines(few(1))
    assert world.tasks()


# --- agents --------------------------------------------------------------------------------------


def on_agents(select: Select, **changes: object) -> World:
    return World(
        agents_class("agents", A, B, C, select=select),
        shell_job("a", process_class=ClassPath("/agents"), tasks=9, **changes),
        chain("walk", node("100", "a")),
    )


def chosen(world: World) -> list[str]:
    return [event.agent for event in world.ever(TaskAssigned)]


def unreachable(world: World, task: Task) -> None:
    assert task.key is not None
    world.does(TaskNotLaunched(key=task.key, failure=LaunchFailure.UNREACHABLE, text="refused"))


def test_round_robin_takes_one_agent_after_the_other() -> None:
    world = on_agents(Select.NEXT)
    for number in range(5):
        world.adds(str(number))
    assert chosen(world) == [A, B, C, A, B]


def test_fixed_priority_takes_the_first_agent() -> None:
    world = on_agents(Select.FIRST)
    for number in range(3):
        world.adds(str(number))
    assert chosen(world) == [A, A, A]


def test_an_unreachable_agent_is_marked_and_left_out_for_the_retry_delay() -> None:
    world = on_agents(Select.FIRST)
    world.adds("1")
    unreachable(world, world.task())
    assert world.happened(AgentMarkedFailed)[0].agent == A
    assert world.task().agent == B
    world.adds("2")
    assert chosen(world) == [A, B, B]
    world.passes(seconds(30))
    world.adds("3")
    assert chosen(world)[-1] == A


def test_a_successful_start_clears_the_mark() -> None:
    world = on_agents(Select.FIRST)
    world.adds("1")
    unreachable(world, world.task())
    world.passes(seconds(30))
    world.adds("2")
    world.launches(world.tasks()[1])
    assert world.happened(AgentMarkCleared)[0].agent == A


def test_agents_known_to_be_lost_or_terminating_are_skipped() -> None:
    world = on_agents(Select.NEXT)
    for agent, status in ((A, AgentStatus.LOST), (B, AgentStatus.TERMINATING)):
        world.does(AgentContact(agent=AgentUri(agent), status=status))
    world.adds("1")
    world.adds("2")
    assert chosen(world) == [C, C]
    world.passes(seconds(29))
    world.adds("3")
    world.passes(seconds(1))
    world.adds("4")
    assert chosen(world)[2:] == [C, A], "a lost one is tried again after the retry delay"


def test_a_task_waits_while_no_agent_is_reachable_and_starts_when_one_comes_back() -> None:
    world = on_agents(Select.FIRST)
    world.adds("1")
    for _ in (A, B, C):
        unreachable(world, world.task())
    assert world.task().status is TaskStatus.WAITING_FOR_AGENT
    assert "SCHEDULER-489" in world.happened(TaskAwaitsAgent)[-1].text
    world.does(AgentContact(agent=AgentUri(B), status=AgentStatus.LOST))
    world.does(AgentContact(agent=AgentUri(B), status=AgentStatus.COUPLED))
    assert (world.task().status, world.task().agent) == (TaskStatus.STARTING, B)


def test_the_timeout_of_the_class_ends_the_waiting_with_an_error() -> None:
    world = World(
        ProcessClass(
            path=ClassPath("/agents"),
            agents=agents_class("x", A).agents,
            timeout=seconds(2),
        ),
        shell_job("a", process_class=ClassPath("/agents")),
        chain("walk", node("100", "a")),
    )
    world.adds("1")
    unreachable(world, world.task())
    world.passes(seconds(2))
    assert world.ever(OrderFinished)[0].state == "error"


def test_a_refused_start_fails_the_task_at_once() -> None:
    world = on_agents(Select.FIRST)
    world.adds("1")
    task = world.task()
    assert task.key is not None
    world.does(
        TaskNotLaunched(
            key=task.key, failure=LaunchFailure.REFUSED, text="SCHEDULER-399 no such include"
        )
    )
    assert world.happened(TaskEnded)[0].error_code == "SCHEDULER-399"
    assert world.happened(OrderFinished)[0].state == "error"


def test_a_lost_task_gives_202_and_the_error_transition() -> None:
    world = on_agents(Select.FIRST)
    world.adds("1")
    task = world.launches()
    assert task.key is not None
    world.does(TaskLost(key=task.key, text="silent for 62 s"))
    assert world.happened(TaskEnded)[0].error_code == "SCHEDULER-202"
    assert world.happened(OrderStepEnded)[0].transition is Transition.ERROR


def test_reports_for_a_former_attempt_change_nothing() -> None:
    world = on_agents(Select.FIRST)
    world.adds("1")
    former = world.task()
    unreachable(world, former)
    events = len(world.journal)
    unreachable(world, former)
    assert len(world.journal) == events


def test_one_agent_of_several_classes_is_asked_at_the_shortest_period() -> None:
    world = World(agents_class("one", A), agents_class("two", A, B))
    demands = {demand.agent: demand for demand in agent_demands(world.state)}
    assert set(demands) == {A, B}
    assert demands[AgentUri(A)].heartbeat_period == seconds(10)


# --- killing -------------------------------------------------------------------------------------


def test_a_kill_is_demanded_and_the_end_is_an_error_that_names_it() -> None:
    world = one_node()
    world.adds("1")
    task = world.launches()
    world.does(KillTask(task=task.id, immediately=True))
    assert world.task().kill is KillMode.KILL
    world.ends(code=-9, signal=9, reason=EndReason.KILLED)
    assert world.happened(TaskEnded)[0].error_code == "SCHEDULER-728"


def test_a_kill_with_a_timeout_terminates_first_and_kills_later() -> None:
    world = one_node()
    world.adds("1")
    task = world.launches()
    world.does(KillTask(task=task.id, immediately=True, timeout=seconds(5)))
    assert world.task().kill is KillMode.TERMINATE
    world.passes(seconds(5))
    assert world.task().kill is KillMode.KILL


def test_a_kill_that_never_escalates_only_terminates() -> None:
    world = one_node()
    world.adds("1")
    task = world.launches()
    world.does(KillTask(task=task.id, immediately=True, timeout=FOREVER))
    world.passes(seconds(10_000))
    assert world.task().kill is KillMode.TERMINATE


def test_a_timeout_without_immediately_is_refused() -> None:
    world = one_node()
    world.adds("1")
    problem = world.refused(KillTask(task=world.task().id, timeout=seconds(5)))
    assert problem.code == "SCHEDULER-467"


def test_the_timeout_of_a_job_kills_its_task_with_an_error_of_its_own() -> None:
    world = one_node(timeout=seconds(3))
    world.adds("1")
    world.launches()
    world.passes(seconds(3))
    assert world.task().kill is KillMode.KILL
    world.ends(code=-9, signal=9, reason=EndReason.KILLED)
    assert world.happened(TaskEnded)[0].error_code == "SCHEDULER-272"


def test_a_signal_that_the_job_ignores_is_no_error_but_no_success_either() -> None:
    world = one_node(ignore_signals=("SIGTERM",), stop_on_error=True)
    world.adds("1")
    world.ends(code=-15, signal=15)
    assert world.happened(TaskEnded)[0].error_code == ""
    assert world.happened(OrderFinished)[0].state == "error"
    assert not world.state.jobs[job_key("a")].stopped


# --- locks ---------------------------------------------------------------------------------------


def use(path: str, *, exclusive: bool = True) -> tuple[LockUse, ...]:
    return (LockUse(lock=LockPath(path), exclusive=exclusive),)


def lock_world(limit: int | None = None) -> World:
    return World(
        Lock(path=LockPath("/door"), max_non_exclusive=limit),
        shell_job("writer", locks=use("/door"), tasks=3),
        shell_job("reader", locks=use("/door", exclusive=False), tasks=9),
        chain("writing", node("1", "writer")),
        chain("reading", node("1", "reader")),
    )


def test_an_exclusive_lock_lets_one_task_run() -> None:
    world = lock_world()
    world.adds("1", "writing")
    world.adds("2", "writing")
    assert len(world.tasks()) == 1


def test_shared_users_run_together_up_to_the_limit() -> None:
    world = lock_world(limit=2)
    for number in range(4):
        world.adds(str(number), "reading")
    assert len(world.tasks()) == 2
    world.defines(Lock(path=LockPath("/door"), max_non_exclusive=3))
    assert len(world.tasks()) == 3


def test_a_waiting_exclusive_user_is_not_passed_by_shared_ones_for_ever() -> None:
    world = lock_world()
    world.adds("1", "reading")
    world.adds("1", "writing")
    world.adds("2", "reading")
    assert [task.job for task in world.tasks()] == ["/reader"]
    world.ends()
    assert [task.job for task in world.tasks()] == ["/writer"]


def test_a_freed_lock_visits_those_who_may_go_on_and_nobody_behind_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = [f"w{number}" for number in range(30)]
    world = World(
        Lock(path=LockPath("/door")),
        *(shell_job(name, is_order_job=False, locks=use("/door")) for name in names),
    )
    for name in names:
        world.does(StartJob(job=job_key(f"/{name}")))
    visited: list[str] = []

    def recorded(state: State, key: JobKey, at: Instant) -> Iterator[Event]:
        visited.append(key)
        return visit_job(state, key, at)

    monkeypatch.setattr(progress, "visit_job", recorded)
    for name in names[:-1]:
        visited.clear()
        world.ends(world.tasks(TaskStatus.STARTING)[0])
        assert set(visited) <= {f"/{name}", f"/{names[names.index(name) + 1]}"}
    assert [task.job for task in world.tasks()] == [f"/{names[-1]}"]


def test_shared_users_that_come_free_go_on_together_up_to_the_first_exclusive_one() -> None:
    readers = [
        shell_job(f"r{number}", is_order_job=False, locks=use("/door", exclusive=False))
        for number in range(3)
    ]
    writers = [
        shell_job(name, is_order_job=False, locks=use("/door")) for name in ("before", "behind")
    ]
    world = World(Lock(path=LockPath("/door")), *readers, *writers)
    for name in ("before", "r0", "r1", "behind", "r2"):
        world.does(StartJob(job=job_key(f"/{name}")))
    world.ends(world.tasks(TaskStatus.STARTING)[0])
    started = [task.job for task in world.tasks(TaskStatus.STARTING)]
    assert started == ["/r0", "/r1"]


def test_several_locks_are_had_together_or_not_at_all() -> None:
    world = World(
        Lock(path=LockPath("/one")),
        Lock(path=LockPath("/two")),
        shell_job("first", locks=use("/one")),
        shell_job("both", locks=use("/one") + use("/two")),
        shell_job("second", locks=use("/two")),
        chain("c1", node("1", "first")),
        chain("c2", node("1", "both")),
        chain("c3", node("1", "second")),
    )
    world.adds("x", "c1")
    world.adds("x", "c2")
    assert [task.job for task in world.tasks()] == ["/first"]
    assert not world.state.lock_holders.get(LockPath("/two"))
    world.ends()
    assert [task.job for task in world.tasks()] == ["/both"]


def test_a_job_waits_for_a_lock_that_does_not_exist_yet() -> None:
    world = World(shell_job("a", locks=use("/door")), chain("walk", node("100", "a")))
    world.adds("1")
    assert not world.tasks()
    world.defines(Lock(path=LockPath("/door")))
    assert world.tasks()


# --- what a process is told ----------------------------------------------------------------------


def test_order_parameters_win_over_those_of_the_job_in_any_spelling() -> None:
    world = one_node(params={"Colour": "job", "only": "job"}, environment={"HOME_OF": "x"})
    world.adds("1", params={"COLOUR": "order", "100/special": "node", "200/other": "no"})
    environment = environment_of(world.state, world.task())
    assert environment["SCHEDULER_PARAM_COLOUR"] == "order"
    assert environment["SCHEDULER_PARAM_ONLY"] == "job"
    assert environment["SCHEDULER_PARAM_SPECIAL"] == "node"
    assert "SCHEDULER_PARAM_OTHER" not in environment
    assert environment["HOME_OF"] == "x"
    assert environment["SCHEDULER_JOB_NAME"] == "a"
    assert environment["SCHEDULER_ORDER_STATE"] == "100"
    assert environment["SCHEDULER_JOB_CHAIN"] == "walk"


def test_a_job_without_its_class_or_lock_is_active_and_without_a_monitor_incomplete() -> None:
    world = World(
        shell_job("of_class", is_order_job=False, process_class=ClassPath("/c")),
        shell_job("of_lock", is_order_job=False, locks=(LockUse(lock=LockPath("/l")),)),
        shell_job("of_monitor", monitors=(MonitorUse(path=MonitorPath("/m")),)),
    )
    found = {
        name: is_incomplete(world.state, world.state.jobs[job_key(f"/{name}")])
        for name in ("of_class", "of_lock", "of_monitor")
    }
    assert found == {"of_class": False, "of_lock": False, "of_monitor": True}
    for name in found:
        world.does(StartJob(job=job_key(f"/{name}")))
    assert {task.status for task in world.tasks()} == {TaskStatus.QUEUED}
    world.defines(ProcessClass(path=ClassPath("/c")), Lock(path=LockPath("/l")))
    started = [task.job for task in world.tasks() if task.status is not TaskStatus.QUEUED]
    assert started == [job_key("/of_class"), job_key("/of_lock")]


def test_who_can_never_share_a_lock_keeps_nobody_from_having_it_alone() -> None:
    lock = LockPath("/l")
    world = World(
        shell_job("shared", is_order_job=False, locks=(LockUse(lock=lock, exclusive=False),)),
        shell_job("alone", is_order_job=False, locks=(LockUse(lock=lock),)),
        Lock(path=lock, max_non_exclusive=0),
    )
    world.does(StartJob(job=job_key("/shared")))
    world.does(StartJob(job=job_key("/alone")))
    assert [task.status for task in world.tasks()] == [TaskStatus.QUEUED, TaskStatus.STARTING]
    world.ends(world.tasks()[1])
    world.defines(Lock(path=lock, max_non_exclusive=1))
    assert world.task().status is TaskStatus.STARTING


def test_a_job_whose_only_order_goes_waits_for_nothing_any_more() -> None:
    world = World(
        shell_job("first", process_class=ClassPath("/c")),
        shell_job("second", process_class=ClassPath("/c")),
        chain("one", node("100", "first")),
        chain("two", node("100", "second"), node("200", "missing")),
        ProcessClass(path=ClassPath("/c"), max_processes=1),
    )
    world.adds("x", "one")
    elsewhere = ModifyOrder(order=Y, state=NodeState("200"))
    for changes in (ModifyOrder(order=Y, suspended=True), RemoveOrder(order=Y), elsewhere):
        world.adds("y", "two")
        assert world.state.jobs[job_key("/second")].wait is not None
        world.does(changes)
        assert world.state.jobs[job_key("/second")].wait is None


def test_a_job_does_not_wait_for_a_chain_that_is_about_to_change() -> None:
    taken = LockUse(lock=LockPath("/l"))
    world = World(
        shell_job("holder", is_order_job=False, locks=(taken,)),
        shell_job("slow"),
        shell_job("waiting", locks=(taken,)),
        chain("two", node("100", "slow"), node("200", "waiting")),
        Lock(path=LockPath("/l")),
    )
    world.does(StartJob(job=job_key("/holder")))
    world.adds("x", "two")
    world.adds("y", "two", state=NodeState("200"))
    assert world.state.jobs[job_key("/waiting")].wait is not None
    world.defines(chain("two", node("100", "slow")))
    assert world.state.jobs[job_key("/waiting")].wait is None


def test_a_job_does_not_wait_for_orders_that_their_full_chain_holds() -> None:
    world = World(
        shell_job("holder", is_order_job=False, process_class=ClassPath("/c")),
        shell_job("waiting", process_class=ClassPath("/c")),
        shell_job("free"),
        chain("two", node("100", "waiting"), node("200", "free"), max_orders=1),
        ProcessClass(path=ClassPath("/c"), max_processes=1),
    )
    world.does(StartJob(job=job_key("/holder")))
    world.adds("x", "two")
    assert world.state.jobs[job_key("/waiting")].wait is not None
    world.adds("y", "two", state=NodeState("200"))
    assert world.state.jobs[job_key("/waiting")].wait is None


@pytest.mark.parametrize("kind", [ObjectKind.MONITOR, ObjectKind.LOCK])
def test_a_job_that_lacks_something_gives_its_place_in_the_queues_back(kind: ObjectKind) -> None:
    taken, other = LockUse(lock=LockPath("/l")), LockUse(lock=LockPath("/gone"))
    world = World(
        shell_job("holder", is_order_job=False, locks=(taken,)),
        shell_job(
            "waiting",
            is_order_job=False,
            locks=(taken, other),
            monitors=(MonitorUse(path=MonitorPath("/gone")),),
        ),
        Lock(path=LockPath("/l")),
        Lock(path=LockPath("/gone")),
        Monitor(path=MonitorPath("/gone"), script=SCRIPT),
    )
    world.does(StartJob(job=job_key("/holder")))
    world.does(StartJob(job=job_key("/waiting")))
    assert world.state.jobs[job_key("/waiting")].wait is not None
    world.does(ApplyDefinitions(removed=(ObjectRef(kind=kind, path="/gone"),)))
    assert world.state.jobs[job_key("/waiting")].wait is None
