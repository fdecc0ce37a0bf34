"""What the mirror remembers beside the state."""

from engine.kernel.events import orders as events
from engine.kernel.ids import EventNumber, JobKey, NodeState, TaskId
from engine.kernel.instants import Instant
from tests.support.world import World, chain, node, shell_job
from tui.mirror import DURATIONS_PER_JOB_MAX, Fact, FinishedTask, Mirror


def mirror_of(world: World) -> Mirror:
    """Return a mirror that has just been filled."""
    mirror = Mirror()
    mirror.reset(world.state, EventNumber(1))
    return mirror


def test_a_finished_run_knows_its_last_task_and_how_it_failed() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    key = world.adds("1")
    world.launches()
    mirror = mirror_of(world)
    task = next(iter(world.state.tasks))
    at = Instant(world.now)
    ended = events.OrderStepEnded(
        order=key,
        task=task,
        state=NodeState("100"),
        transition=events.Transition.ERROR,
        return_code=3,
        at=at,
        error_text="no file",
    )
    mirror.apply(Fact(number=EventNumber(2), at=at, event=ended))
    finished = events.OrderFinished(order=key, state=NodeState("err"), at=at)
    mirror.apply(Fact(number=EventNumber(3), at=at, event=finished))
    run = mirror.runs[-1]
    assert (run.task, run.failed, run.error_text) == (task, True, "no file")
    assert run.failed_at == "100"
    assert mirror.state.orders[key].task is None


def test_a_run_whose_steps_went_well_knows_its_last_task() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    key = world.adds("1")
    world.launches()
    mirror = mirror_of(world)
    task = next(iter(world.state.tasks))
    at = Instant(world.now)
    ended = events.OrderStepEnded(
        order=key,
        task=task,
        state=NodeState("100"),
        transition=events.Transition.SUCCESS,
        return_code=0,
        at=at,
    )
    mirror.apply(Fact(number=EventNumber(2), at=at, event=ended))
    finished = events.OrderFinished(order=key, state=NodeState("end"), at=at)
    mirror.apply(Fact(number=EventNumber(3), at=at, event=finished))
    assert (mirror.runs[-1].task, mirror.runs[-1].failed) == (task, False)


def test_only_the_last_durations_of_a_job_are_kept() -> None:
    mirror = Mirror()
    job = JobKey("/a")

    def ended(number: int) -> FinishedTask:
        return FinishedTask(
            task=TaskId(number),
            job=job,
            order=None,
            state=None,
            agent=None,
            started_at=Instant(0),
            at=Instant(number),
            exit_code=0,
            succeeded=True,
            error_text="",
        )

    newest_first = [ended(number) for number in range(DURATIONS_PER_JOB_MAX + 5, 0, -1)]
    mirror.recall([], newest_first)
    known = mirror.last_durations(job)
    assert known == tuple(range(6, DURATIONS_PER_JOB_MAX + 6))
