"""Definitions that come, change and go while they are used (orders-and-jobs.md 0.4)."""

from dataclasses import replace

from engine.kernel.calendar import RunTime
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    ApplyDefinitions,
    BrokenFile,
    JobAction,
    ModifyJob,
    ModifyOrder,
    ObjectKind,
    ObjectRef,
    StartJob,
)
from engine.kernel.definitions import (
    Chain,
    EndNode,
    ErrorDelay,
    FileOrderSource,
    Lock,
    LockUse,
    OrderDefinition,
    ProcessClass,
)
from engine.kernel.events.definitions import JobRemoved, LockRemoved, ProcessClassRemoved
from engine.kernel.events.orders import OrderFinished, OrderRemoved
from engine.kernel.events.tasks import TaskRemovedFromQueue
from engine.kernel.ids import (
    ClassPath,
    LockPath,
    NodeState,
    OrderId,
    OrderKey,
    SchedulePath,
    chain_key,
    job_key,
)
from engine.kernel.instants import NEVER, seconds
from tests.support.world import World, chain, file_source, node, shell_job

WALK = chain("walk", node("100", "a"), node("200", "b"))
P = OrderKey(chain_key("/walk"), OrderId("p"))


def permanent(modified_at: int = 0, **changes: object) -> OrderDefinition:
    source = file_source("walk,p.order.xml", modified_at)
    return OrderDefinition(key=P, source=source, **changes)  # type: ignore[arg-type]  # by name


def walk(*more: object, **first: object) -> World:
    return World(shell_job("a", **first), shell_job("b"), WALK, *more)  # type: ignore[arg-type]


def gone(kind: ObjectKind, path: str) -> ApplyDefinitions:
    return ApplyDefinitions(removed=(ObjectRef(kind=kind, path=path),))


# --- jobs ----------------------------------------------------------------------------------------


def test_a_removed_job_takes_its_queue_along() -> None:
    world = World(shell_job("alone", is_order_job=False))
    world.does(StartJob(job=job_key("/alone"), at=AfterDelay(delay=seconds(60))))
    world.does(gone(ObjectKind.JOB, "/alone"))
    assert world.happened(TaskRemovedFromQueue)
    assert world.happened(JobRemoved)
    assert not world.tasks()


def test_a_job_to_be_removed_waits_for_its_task_and_refuses_starts() -> None:
    world = World(shell_job("alone", is_order_job=False))
    world.does(StartJob(job=job_key("/alone")))
    world.does(StartJob(job=job_key("/alone")))
    world.does(ModifyJob(job=job_key("/alone"), action=JobAction.REMOVE))
    assert job_key("/alone") in world.state.jobs
    assert world.refused(StartJob(job=job_key("/alone"))).code == "SCHEDULER-230"
    world.ends(world.tasks()[0])
    assert job_key("/alone") not in world.state.jobs


def test_a_temporary_job_goes_after_its_first_task() -> None:
    world = World(shell_job("once", is_order_job=False, temporary=True))
    world.does(StartJob(job=job_key("/once")))
    world.ends()
    assert world.happened(JobRemoved)
    assert job_key("/once") not in world.state.jobs


def test_queued_tasks_get_the_params_that_the_job_has_when_they_start() -> None:
    job = shell_job("alone", is_order_job=False, params={"a": "1", "b": "1"})
    world = World(job)
    start = StartJob(job=job.key, at=AfterDelay(delay=seconds(9)), params={"B": "2"})
    world.does(start)
    world.defines(replace(job, params={"a": "3", "b": "3"}))
    world.passes(seconds(9))
    assert world.task().params == {"a": "3", "b": "2"}


# --- chains --------------------------------------------------------------------------------------


def test_orders_go_to_the_node_of_the_same_name_in_the_new_chain() -> None:
    world = walk()
    key = world.adds("1", suspended=True)
    world.modifies(key, state=NodeState("200"))
    world.defines(chain("walk", node("150", "a"), node("200", "a")))
    assert world.order(key).state == "200"
    assert world.order(key).suspended


def test_a_chain_in_use_is_replaced_after_the_step() -> None:
    world = walk()
    world.adds("1")
    world.defines(chain("walk", node("100", "a"), node("200", "b"), title="new"))
    assert world.state.chains[chain_key("/walk")].replacement is not None
    world.ends()
    assert world.state.chains[chain_key("/walk")].definition.title == "new"


def test_an_untouched_permanent_order_goes_to_the_new_first_node() -> None:
    world = walk(permanent(run_time=RunTime()))
    assert world.order(P).state == "100"
    world.defines(chain("walk", node("50", "a"), node("200", "b")))
    assert world.order(P).state == "50"
    assert world.order(P).start_at == NEVER
    world.modifies(P, at=AfterDelay())
    world.ends()
    world.ends()
    assert world.order(P).state == "50"


def test_a_started_order_whose_initial_node_has_gone_returns_to_the_new_first_node() -> None:
    world = walk(permanent(run_time=RunTime()))
    world.does(ModifyJob(job=job_key("/b"), action=JobAction.STOP))
    world.modifies(P, at=AfterDelay())
    world.ends()
    world.defines(chain("walk", node("50", "a"), node("200", "b")))
    assert world.order(P).state == "200", "its run goes on"
    world.does(ModifyJob(job=job_key("/b"), action=JobAction.UNSTOP))
    world.ends()
    assert world.happened(OrderFinished)[0].state == "end"
    assert world.order(P).state == "50"
    assert world.order(P).initial_state == "50"


def test_orders_of_a_chain_that_is_not_recoverable_do_not_outlive_its_replacement() -> None:
    world = walk()
    key = world.adds("1", suspended=True)
    world.defines(chain("walk", node("100", "a"), node("200", "b"), title="again"))
    assert key in world.state.orders
    world.defines(chain("walk", node("100", "a"), orders_recoverable=False))
    assert key not in world.state.orders
    world.defines(WALK)
    assert key not in world.state.orders


# --- orders --------------------------------------------------------------------------------------


def test_a_changed_file_waits_for_the_end_of_the_run() -> None:
    world = walk(permanent(run_time=RunTime()))
    world.modifies(P, at=AfterDelay())
    world.defines(permanent(1, title="new", run_time=RunTime()))
    world.ends()
    assert world.order(P).title == ""
    world.ends()
    assert world.order(P).title == "new"


def test_a_changed_file_counts_after_a_reset() -> None:
    world = walk(permanent(run_time=RunTime()), stop_on_error=True)
    world.modifies(P, at=AfterDelay())
    world.ends(code=1)
    world.defines(permanent(1, title="new", run_time=RunTime()))
    assert world.order(P).title == ""
    world.modifies(P, reset=True)
    assert world.order(P).title == "new"


def test_a_suspended_order_stays_suspended_when_its_file_changes() -> None:
    world = walk(permanent(run_time=RunTime()))
    world.modifies(P, suspended=True)
    world.defines(permanent(1, title="new", run_time=RunTime()))
    assert world.order(P).title == "new"
    assert world.order(P).suspended


def test_a_command_replaces_a_permanent_order_until_its_file_is_read_again() -> None:
    world = walk(permanent(run_time=RunTime()))
    world.does(AddOrder(order=OrderDefinition(key=P, title="by command", suspended=True)))
    assert world.order(P).title == "by command"
    assert not world.order(P).is_permanent
    world.defines(permanent(1, title="by file", run_time=RunTime()))
    assert world.order(P).title == "by file"
    assert world.order(P).is_permanent


def test_a_file_replaces_an_order_in_a_task_after_its_step() -> None:
    world = walk()
    world.adds("p")
    world.defines(permanent(title="by file", run_time=RunTime()))
    assert not world.order(P).is_permanent
    world.ends()
    assert world.order(P).title == "by file"
    assert world.order(P).state == "100"


def test_the_order_of_a_removed_file_goes_after_its_run() -> None:
    world = walk(permanent(run_time=RunTime()))
    world.modifies(P, at=AfterDelay())
    world.does(gone(ObjectKind.ORDER, "/walk,p"))
    world.ends()
    assert P in world.state.orders
    world.ends()
    assert world.happened(OrderFinished)
    assert world.happened(OrderRemoved)


def test_changed_params_stay_for_the_next_run_unless_the_engine_is_told_otherwise() -> None:
    for keep, expected in ((None, "2"), ("true", "2"), ("false", "1")):
        world = walk(permanent(run_time=RunTime(), params={"x": "1"}))
        if keep is not None:
            name = "scheduler.order.keep_order_content_on_reschedule"
            main = replace(world.state.main, params={name: keep})
            world.does(ApplyDefinitions(main=main))
        world.modifies(P, at=AfterDelay())
        world.ends(returned={"x": "2"})
        assert world.order(P).params["x"] == "2"
        world.ends()
        assert world.order(P).params["x"] == expected


def test_an_order_whose_schedule_is_missing_does_not_start_even_at_a_given_time() -> None:
    run_time = RunTime(schedule=SchedulePath("/later"))
    world = walk()
    world.adds("1", run_time=run_time, at=AfterDelay(delay=seconds(5)))
    key = world.adds("2", run_time=run_time)
    world.modifies(key, at=AfterDelay())
    world.adds("3")
    world.passes(seconds(60))
    assert [task.order.id for task in world.tasks() if task.order] == ["3"]


# --- process classes and locks -------------------------------------------------------------------


def small(name: str, most: int = 1) -> ProcessClass:
    return ProcessClass(path=ClassPath(f"/{name}"), max_processes=most)


def test_a_process_class_goes_when_its_last_task_has_ended_and_takes_no_new_ones() -> None:
    world = walk(small("few", 5), process_class=ClassPath("/few"), tasks=3)
    world.adds("1")
    world.does(gone(ObjectKind.PROCESS_CLASS, "/few"))
    assert not world.happened(ProcessClassRemoved)
    world.adds("2")
    assert len(world.tasks()) == 1
    world.ends()
    assert world.happened(ProcessClassRemoved)
    assert len(world.tasks()) == 1, "the first order is at the next node, the second one waits"
    world.defines(small("few", 5))
    assert len(world.tasks()) == 2


def test_a_process_class_stays_while_a_file_order_source_needs_it() -> None:
    watching = replace(
        WALK,
        process_class=ClassPath("/watch"),
        file_order_sources=(FileOrderSource(directory="/tmp/in"),),  # a name
    )
    world = World(shell_job("a"), shell_job("b"), watching, small("watch"))
    world.does(gone(ObjectKind.PROCESS_CLASS, "/watch"))
    assert ClassPath("/watch") in world.state.process_classes
    world.defines(WALK)
    assert ClassPath("/watch") not in world.state.process_classes


def test_orders_of_a_chain_whose_class_has_gone_take_the_error_branch() -> None:
    few = replace(WALK, process_class=ClassPath("/few"))
    world = World(shell_job("a"), shell_job("b"), few, small("few"))
    world.adds("1")
    world.adds("2")
    world.does(gone(ObjectKind.PROCESS_CLASS, "/few"))
    assert not world.ever(OrderFinished)
    world.ends()
    assert [event.state for event in world.happened(OrderFinished)] == ["error", "error"]


def test_nodes_that_lead_back_to_each_other_do_not_keep_the_engine_busy() -> None:
    circle = replace(
        chain("walk", node("100", "a", error_state="200"), node("200", "b", error_state="100")),
        process_class=ClassPath("/missing"),
    )
    world = World(shell_job("a"), shell_job("b"), circle)
    key = world.adds("1")
    world.passes(seconds(3))
    assert key in world.state.orders


def test_a_job_runs_the_orders_of_several_process_classes_side_by_side() -> None:
    chains = [
        replace(chain(name, node("100", "a")), process_class=ClassPath(f"/{name}"))
        for name in ("one", "two")
    ]
    world = World(shell_job("a", tasks=2), *chains, small("one"), small("two"))
    world.adds("1", "one")
    world.adds("2", "one")
    world.adds("3", "two")
    assert sorted(task.order.id for task in world.tasks() if task.order) == ["1", "3"]
    world.ends(world.tasks()[1])
    assert [task.order.id for task in world.tasks() if task.order] == ["1"]
    world.ends(world.tasks()[0])
    assert [task.order.id for task in world.tasks() if task.order] == ["2"]


def test_a_lock_goes_when_its_holder_has_ended_and_nobody_gets_it_before() -> None:
    use = (LockUse(lock=LockPath("/l"), exclusive=False),)
    world = walk(Lock(path=LockPath("/l")), locks=use, tasks=2)
    world.adds("1")
    world.does(gone(ObjectKind.LOCK, "/l"))
    world.adds("2")
    assert len(world.tasks()) == 1
    world.ends()
    assert world.happened(LockRemoved)
    assert world.order(OrderKey(P.chain, OrderId("2"))).task is None


def test_a_raised_maximum_lets_waiting_shared_users_start() -> None:
    use = (LockUse(lock=LockPath("/l"), exclusive=False),)
    world = walk(Lock(path=LockPath("/l"), max_non_exclusive=1), locks=use, tasks=3)
    world.adds("1")
    world.adds("2")
    assert len(world.tasks()) == 1
    world.defines(Lock(path=LockPath("/l"), max_non_exclusive=2))
    assert len(world.tasks()) == 2


def test_shared_users_pass_a_waiting_exclusive_one_only_when_the_old_way_is_wanted() -> None:
    for params, passes in (({}, False), ({"pointsman.locks.original_queues": "yes"}, True)):
        shared = (LockUse(lock=LockPath("/l"), exclusive=False),)
        exclusive = (LockUse(lock=LockPath("/l")),)
        world = World(
            Lock(path=LockPath("/l")),
            shell_job("s", is_order_job=False, locks=shared, tasks=9),
            shell_job("t", is_order_job=False, locks=shared, tasks=9),
            shell_job("x", is_order_job=False, locks=exclusive),
        )
        world.does(ApplyDefinitions(main=replace(world.state.main, params=params)))
        for name in ("s", "x", "t"):
            world.does(StartJob(job=job_key(f"/{name}")))
        assert {str(task.job) for task in world.tasks() if task.holds_slot} == (
            {"/s", "/t"} if passes else {"/s"}
        )


def test_the_pause_after_an_error_does_not_hold_forced_starts() -> None:
    delays = (ErrorDelay(count=1, delay=seconds(60)),)
    world = walk(error_delays=delays)
    key = world.adds("1")
    world.ends(code=1)
    assert key not in world.state.orders
    world.adds("2")
    assert not world.tasks(), "the orders wait for the end of the pause"
    world.does(StartJob(job=job_key("/a")))
    assert len(world.tasks()) == 1
    world.ends()
    world.passes(seconds(60))


def test_a_chain_without_nodes_takes_no_orders() -> None:
    world = World(
        Chain(path="/none", nodes=()), Chain(path="/e", nodes=(EndNode(state=NodeState("e")),))
    )
    for name in ("/none", "/e"):
        order = OrderDefinition(key=OrderKey(chain_key(name), OrderId("1")))
        assert world.refused(AddOrder(order=order)).code == "SCHEDULER-438"


def test_modifying_an_unknown_order_is_refused() -> None:
    world = walk()
    assert world.refused(ModifyOrder(order=P, title="x")).code == "SCHEDULER-162"


# --- broken files --------------------------------------------------------------------------------


def broken_job(path: str) -> ApplyDefinitions:
    named = ObjectRef(kind=ObjectKind.JOB, path=path)
    return ApplyDefinitions(
        broken=(BrokenFile(object=named, file=f"{path[1:]}.job.xml", findings=("bad",)),)
    )


def test_a_job_whose_file_is_broken_is_not_initialised_rather_than_unknown() -> None:
    world = World()
    world.does(broken_job("/Odd"))
    assert world.refused(StartJob(job=job_key("/Odd"))).code == "SCHEDULER-396"
    assert world.refused(StartJob(job=job_key("/none"))).code == "SCHEDULER-161"


def test_the_error_of_a_file_goes_however_its_name_is_spelled() -> None:
    world = World()
    world.does(broken_job("/Odd"))
    world.defines(shell_job("Odd"))
    assert not world.state.broken
    world.does(broken_job("/Odd"))
    world.does(gone(ObjectKind.JOB, "/Odd"))
    assert not world.state.broken


def test_a_broken_file_is_no_removal_at_a_start_however_its_name_is_spelled() -> None:
    world = World(shell_job("Odd"))
    world.does(replace(broken_job("/Odd"), complete=True))
    assert job_key("/Odd") in world.state.jobs


def test_an_order_that_ends_with_its_step_is_replaced_all_the_same() -> None:
    world = walk()
    key = world.adds("1")
    world.ends()
    world.does(AddOrder(order=OrderDefinition(key=key, title="new")))
    assert world.order(key).title == ""
    world.ends()
    assert world.happened(OrderFinished)
    assert world.order(key).title == "new"
    assert world.order(key).state == "100"


def test_a_permanent_order_that_ends_with_its_step_is_replaced_by_a_command() -> None:
    world = walk(permanent(run_time=RunTime()))
    world.modifies(P, at=AfterDelay())
    world.ends()
    world.does(AddOrder(order=OrderDefinition(key=P, title="new", suspended=True)))
    world.ends()
    assert world.order(P).title == "new"
    assert world.order(P).suspended
    assert not world.order(P).is_permanent


def test_a_chain_that_is_being_removed_takes_no_orders() -> None:
    world = walk()
    world.adds("1")
    world.does(gone(ObjectKind.CHAIN, "/walk"))
    key = OrderKey(chain_key("/walk"), OrderId("2"))
    assert world.refused(AddOrder(order=OrderDefinition(key=key))).code == "SCHEDULER-353"
