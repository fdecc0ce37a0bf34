"""Which tasks are written into the history, and when (orders-and-jobs.md 5.7)."""

import pytest

from engine.kernel.commands import StartJob
from engine.kernel.events import Event
from engine.kernel.ids import job_key
from engine.kernel.instants import Instant, seconds
from engine.kernel.reports import LaunchFailure, TaskNotLaunched
from engine.service.histories import HistoryProjector
from engine.store.history_records import TaskEndedRecord, TaskRecorded
from tests.support.world import World, agents_class, shell_job


def world_of(**settings: str) -> World:
    world = World(shell_job("a", is_order_job=False, settings=settings))
    world.does(StartJob(job=job_key("a")))
    return world


def told(projector: HistoryProjector, world: World, events: list[Event]) -> list[str]:
    """Return what the history is told about events."""
    names = {TaskRecorded: "recorded", TaskEndedRecord: "ended"}
    records = [record for event in events for record in projector.records(event, world.now)]
    return [names[type(record)] for record in records if type(record) in names]


@pytest.mark.parametrize(
    ("settings", "at_the_start", "at_the_end"),
    [
        ({}, ["recorded"], ["ended"]),
        ({"history": "yes", "history_on_process": "0"}, ["recorded"], ["ended"]),
        ({"history": "no"}, [], []),
        ({"history_on_process": "1"}, [], ["recorded", "ended"]),
        ({"history_on_process": "2"}, [], []),
    ],
)
def test_settings_say_when_a_task_comes_into_the_history(
    settings: dict[str, str], at_the_start: list[str], at_the_end: list[str]
) -> None:
    world = world_of(**settings)
    projector = HistoryProjector(world.state)
    world.launches()
    assert told(projector, world, list(world.last)) == at_the_start
    again = HistoryProjector(world.state)
    world.ends()
    assert told(projector, world, list(world.last)) == at_the_end
    assert told(again, world, list(world.last)) == at_the_end, "in another life of the engine too"


def test_a_task_that_waits_for_an_agent_stands_in_the_history_from_its_first_try_on() -> None:
    job = shell_job("a", is_order_job=False, process_class="/pc")
    world = World(job, agents_class("pc", "http://one:4445"))
    world.does(StartJob(job=job_key("a")))
    projector, tried_at = HistoryProjector(world.state), world.now
    key = world.task().key
    assert key is not None
    refused = LaunchFailure.UNREACHABLE
    world.does(TaskNotLaunched(key=key, failure=refused, text="connection refused"))
    assert recorded(projector, world) == [(tried_at, None)]
    world.passes(seconds(31))
    assert recorded(projector, world) == [], "once is enough"
    again = HistoryProjector(world.state)
    world.launches(pid=7)
    assert recorded(projector, world) == [(tried_at, 7)], "the waiting belongs to the run"
    assert recorded(again, world) == [(tried_at, 7)], "in another life of the engine too"


def recorded(projector: HistoryProjector, world: World) -> list[tuple[Instant, int | None]]:
    """Return start and process of what the history is told about the last events."""
    records = [record for event in world.last for record in projector.records(event, world.now)]
    return [(each.at, each.pid) for each in records if isinstance(each, TaskRecorded)]
