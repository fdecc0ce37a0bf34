"""Which tasks are written into the history, and when (orders-and-jobs.md 5.7)."""

import pytest

from engine.kernel.commands import StartJob
from engine.kernel.events import Event
from engine.kernel.ids import job_key
from engine.service.histories import HistoryProjector
from engine.store.history_records import TaskEndedRecord, TaskRecorded
from tests.support.world import World, shell_job


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
