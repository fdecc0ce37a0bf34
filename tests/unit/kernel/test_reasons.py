"""What an order or task waits for, and who has it."""

from engine.kernel.commands import (
    JobAction,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    NodeAction,
    PauseEngine,
)
from engine.kernel.definitions import Lock, LockUse, OnError
from engine.kernel.ids import LockPath, NodeState, OrderKey, job_key
from engine.kernel.instants import seconds
from engine.kernel.reasons import (
    Reason,
    ReasonKind,
    first_job_reason,
    first_order_reason,
    first_task_reason,
    job_reasons,
    order_reasons,
    sentence,
    task_reasons,
)
from tests.support.world import World, chain, node, setback, shell_job


def first(world: World, key: OrderKey) -> Reason:
    return order_reasons(world.state, key, world.now)[0]


def test_an_order_being_worked_on_waits_for_nothing_once_its_process_runs() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    key = world.adds("1")
    assert first(world, key).kind is ReasonKind.START
    world.launches()
    assert order_reasons(world.state, key, world.now) == ()


def test_each_obstacle_is_named() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    busy = world.adds("busy")
    key = world.adds("waiting")
    reason = first(world, key)
    assert (reason.kind, reason.used, reason.limit) == (ReasonKind.JOB_BUSY, 1, 1)
    assert reason.holders[0].order == busy
    assert sentence(reason) == "the job /a (1 of 1), held by order busy"
    world.does(PauseEngine(paused=True))
    assert first(world, key).kind is ReasonKind.ENGINE_PAUSED
    world.does(PauseEngine(paused=False))
    world.does(ModifyJob(job=job_key("a"), action=JobAction.STOP))
    assert first(world, key).kind is ReasonKind.JOB_STOPPED
    stop = NodeAction.STOP
    world.does(ModifyNode(chain=key.chain, state=NodeState("100"), action=stop))
    assert first(world, key).kind is ReasonKind.NODE_STOPPED
    world.does(ModifyChain(chain=key.chain, stopped=True))
    assert first(world, key).kind is ReasonKind.CHAIN_STOPPED
    world.modifies(key, suspended=True)
    assert first(world, key).kind is ReasonKind.RESUME


def test_a_lock_is_named_with_its_holder() -> None:
    use = (LockUse(lock=LockPath("/door")),)
    world = World(
        Lock(path=LockPath("/door")),
        shell_job("a", locks=use),
        shell_job("b", locks=use),
        chain("walk", node("100", "a")),
        chain("other", node("100", "b")),
    )
    world.adds("1")
    key = world.adds("2", "other")
    assert sentence(first(world, key)) == "the lock /door, held by order 1"


def test_a_setback_says_until_when() -> None:
    world = World(
        shell_job("a", **setback((1, 10), most=3)),
        chain("walk", node("100", "a", on_error=OnError.SETBACK)),
    )
    key = world.adds("1")
    world.ends(code=1)
    reason = first(world, key)
    assert (reason.kind, reason.until) == (ReasonKind.SETBACK, world.now + seconds(10))


def test_a_missing_job_and_a_full_chain_are_named() -> None:
    world = World(chain("walk", node("100", "nobody"), max_orders=1))
    first_order = world.adds("1")
    assert first(world, first_order).kind is ReasonKind.JOB_MISSING
    world.defines(shell_job("nobody"))
    second = world.adds("2")
    assert first(world, second).kind is ReasonKind.CHAIN_FULL


def test_every_kind_has_words() -> None:
    for kind in ReasonKind:
        assert sentence(Reason(kind=kind, subject="/x"))


def test_the_first_reason_alone_is_the_first_of_all() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    state, at = world.state, world.now
    for key in [world.adds("busy"), world.adds("waiting"), world.adds("last")]:
        assert first_order_reason(state, state.orders[key], at) == first(world, key)
    for task in state.tasks.values():
        assert first_task_reason(state, task, at) == task_reasons(state, task.id, at)[0]
    for job in (job_key("/a"), job_key("/missing")):
        assert first_job_reason(state, job, at) == job_reasons(state, job, at)[0]
    world.launches()
    running = next(iter(state.tasks.values()))
    assert first_task_reason(state, running, at) is None
