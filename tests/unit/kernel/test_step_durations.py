"""Steps that are shorter or longer than expected (orders-and-jobs.md 3.7)."""

from engine.kernel.commands import StartJob
from engine.kernel.definitions import StepDurationLimit
from engine.kernel.events.tasks import TaskWarned
from engine.kernel.ids import JobKey
from engine.kernel.instants import seconds
from tests.support.world import World, shell_job

THREE_SECONDS = StepDurationLimit(duration=seconds(3))
HALF_MORE = StepDurationLimit(percent=150)
HALF = StepDurationLimit(percent=50)


def world_with(**limits: StepDurationLimit) -> World:
    return World(shell_job("a", is_order_job=False, **limits))


def runs(world: World, duration: float) -> None:
    """Let a task run so many seconds."""
    world.does(StartJob(job=JobKey("/a")))
    world.launches()
    world.passes(seconds(duration))
    world.ends()


def codes(world: World) -> list[str]:
    return [event.code for event in world.ever(TaskWarned)]


def test_a_step_that_goes_on_too_long_is_warned_of_once_while_it_runs() -> None:
    world = world_with(warn_if_longer_than=THREE_SECONDS)
    world.does(StartJob(job=JobKey("/a")))
    world.launches()
    world.passes(seconds(2.9))
    assert not codes(world)
    world.passes(seconds(0.1))
    assert codes(world) == ["SCHEDULER-712"]
    world.passes(seconds(100))
    world.ends()
    assert codes(world) == ["SCHEDULER-712"]


def test_the_timeout_still_counts_after_the_warning() -> None:
    world = World(
        shell_job("a", is_order_job=False, warn_if_longer_than=THREE_SECONDS, timeout=seconds(3))
    )
    world.does(StartJob(job=JobKey("/a")))
    world.launches()
    world.passes(seconds(3))
    assert codes(world) == ["SCHEDULER-712"]
    assert world.task().kill_error == "SCHEDULER-272"


def test_a_step_that_ends_too_soon_is_warned_of_at_its_end() -> None:
    world = world_with(warn_if_shorter_than=THREE_SECONDS)
    runs(world, 2.5)
    (warning,) = world.ever(TaskWarned)
    assert (warning.code, warning.text) == ("SCHEDULER-711", "The step took 2.5 s, less than 3 s")
    runs(world, 3)
    assert len(codes(world)) == 1


def test_percentages_mean_the_average_of_all_former_steps() -> None:
    world = world_with(warn_if_longer_than=HALF_MORE, warn_if_shorter_than=HALF)
    runs(world, 9)
    runs(world, 11)
    assert not codes(world)
    runs(world, 4)
    assert codes(world) == ["SCHEDULER-711"]
    # The average is now 8 seconds.
    runs(world, 12.5)
    assert codes(world) == ["SCHEDULER-711", "SCHEDULER-712"]


def test_without_former_steps_percentages_mean_nothing() -> None:
    world = world_with(warn_if_longer_than=HALF_MORE, warn_if_shorter_than=HALF)
    runs(world, 100)
    assert not codes(world)


def test_averages_survive_a_restart() -> None:
    world = world_with(warn_if_longer_than=HALF_MORE)
    runs(world, 8)
    job = world.replayed().jobs[JobKey("/a")]
    assert (job.steps_measured, job.time_measured) == (1, seconds(8))
