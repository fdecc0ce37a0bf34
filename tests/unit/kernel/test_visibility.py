"""`visible="no"`: hidden until something is enqueued (orders-and-jobs.md 0.6)."""

from engine.kernel.commands import AfterDelay, StartJob
from engine.kernel.definitions import Visible
from engine.kernel.ids import JobKey, chain_key, job_key
from engine.kernel.instants import seconds
from tests.support.world import World, chain, node, shell_job

WALK = chain_key("/walk")
FIRST, SECOND = job_key("/first"), job_key("/second")


def world_of(visible: Visible) -> World:
    return World(
        shell_job("first", visible=visible),
        shell_job("second", visible=visible),
        chain("walk", node("a", "first"), node("b", "second"), visible=visible),
    )


def jobs(world: World) -> dict[JobKey, Visible]:
    return {key: world.state.jobs[key].visible for key in (FIRST, SECOND)}


def test_a_hidden_chain_and_a_hidden_job_are_shown_once_an_order_waits_for_them() -> None:
    world = world_of(Visible.NO)
    assert jobs(world) == {FIRST: Visible.NO, SECOND: Visible.NO}
    assert world.state.chains[WALK].visible is Visible.NO
    world.adds("x", suspended=True)
    assert world.state.chains[WALK].visible is Visible.YES
    assert jobs(world) == {FIRST: Visible.YES, SECOND: Visible.NO}
    world.modifies(next(iter(world.state.orders)), suspended=False)
    world.ends()
    assert jobs(world) == {FIRST: Visible.YES, SECOND: Visible.YES}
    world.ends()
    assert not world.state.orders
    assert jobs(world) == {FIRST: Visible.YES, SECOND: Visible.YES}, "for good"
    assert world.state.chains[WALK].visible is Visible.YES
    assert world.replayed().chains[WALK].visible is Visible.YES


def test_a_hidden_job_is_shown_once_a_task_is_queued() -> None:
    world = world_of(Visible.NO)
    world.does(StartJob(job=FIRST, at=AfterDelay(delay=seconds(60))))
    assert jobs(world) == {FIRST: Visible.YES, SECOND: Visible.NO}


def test_what_is_never_to_be_seen_stays_hidden() -> None:
    world = world_of(Visible.NEVER)
    world.adds("x")
    world.does(StartJob(job=SECOND))
    assert jobs(world) == {FIRST: Visible.NEVER, SECOND: Visible.NEVER}
    assert world.state.chains[WALK].visible is Visible.NEVER
