"""The wall clock of an agent's host may show any time: it never decides anything (agents.md 3.5)."""

import pytest

from engine.kernel.calendar import Period, RunTime
from engine.kernel.definitions import StepDurationLimit
from engine.kernel.ids import job_key
from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.reports import EndReason, TaskExited, TaskLaunched
from engine.kernel.state import Task
from tests.support.world import World, chain, node, shell_job

SKEWS = pytest.mark.parametrize("skew", [seconds(-600), seconds(600)], ids=["behind", "ahead"])
DAY = 24 * 3600


def starts_at_host(world: World, task: Task, skew: Duration) -> None:
    assert task.key is not None
    world.does(TaskLaunched(key=task.key, pid=1, started_at=Instant(world.now + skew)))


def ends_at_host(world: World, task: Task, skew: Duration) -> None:
    assert task.key is not None
    world.does(
        TaskExited(
            key=task.key,
            exit_code=0,
            signal=None,
            reason=EndReason.EXITED,
            ended_at=Instant(world.now + skew),
        )
    )


@SKEWS
def test_the_timeout_of_a_job_counts_by_the_engines_clock(skew: Duration) -> None:
    world = World(shell_job("a", timeout=seconds(15)), chain("walk", node("100", "a")))
    world.adds("1")
    starts_at_host(world, world.task(), skew)
    world.passes(seconds(14))
    assert world.task().kill is None
    world.passes(seconds(1))
    assert world.task().kill is not None


@SKEWS
def test_a_step_is_warned_of_by_the_engines_clock(skew: Duration) -> None:
    limit = StepDurationLimit(duration=seconds(15))
    world = World(shell_job("a", warn_if_longer_than=limit), chain("walk", node("100", "a")))
    world.adds("1")
    starts_at_host(world, world.task(), skew)
    assert world.state.next_due() == world.now + seconds(15)


@SKEWS
def test_a_repeated_job_pauses_as_long_as_it_says(skew: Duration) -> None:
    run_time = RunTime(periods=(Period(begin=0, end=DAY, repeat=seconds(60)),))
    world = World(shell_job("a", is_order_job=False, run_time=run_time))
    starts_at_host(world, world.task(), skew)
    world.passes(seconds(5))
    ends_at_host(world, world.task(), skew)
    assert world.state.jobs[job_key("a")].next_start == world.now + seconds(60)
