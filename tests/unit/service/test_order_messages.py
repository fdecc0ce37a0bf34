"""What happens to an order before its first step: kept by the histories, until a run has it."""

from engine.kernel.commands import ModifyOrder, RemoveOrder
from engine.kernel.definitions import Lock, LockUse
from engine.kernel.ids import LockPath, OrderId, OrderKey, chain_key
from engine.kernel.instants import Instant
from engine.kernel.reports import LaunchFailure, TaskNotLaunched
from engine.kernel.state import TaskStatus
from engine.service.histories import HistoryProjector
from engine.store.history_records import (
    HistoryRecord,
    OrderNoted,
    OrderNotesDropped,
    OrderRunEnded,
    OrderRunStarted,
    OrderStepEnded,
    OrderStepStarted,
)
from tests.support.world import World, chain, node, shell_job


class Told:
    """A world whose histories are told everything from the beginning."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._projector = HistoryProjector(World().state)
        self._told = 0
        self.records: list[HistoryRecord] = []
        self.catch_up()

    def catch_up(self) -> list[HistoryRecord]:
        """Tell what has happened since the last time; return what it means."""
        new = self.world.journal[self._told :]
        self._told += len(new)
        found = [
            record
            for event in new
            for record in self._projector.records(event, self.world.now, "ada")
        ]
        self.records += found
        return found

    def notes(self) -> list[str]:
        """Return what the new events say of orders."""
        return [record.text for record in self.catch_up() if isinstance(record, OrderNoted)]


def walk(**job: object) -> World:
    return World(
        Lock(path=LockPath("/door")),
        shell_job("a", **job),
        chain("walk", node("100", "a"), node("200", "a")),
    )


def state_at_end(records: list[HistoryRecord]) -> str:
    [ended] = [record for record in records if isinstance(record, OrderRunEnded)]
    return ended.state


def test_what_happens_before_the_first_step_is_noted_with_who_asked() -> None:
    told = Told(walk())
    key = told.world.adds("1", suspended=True)
    told.world.modifies(key, title="new", priority=3)
    told.world.modifies(key, suspended=False)
    said = "\n".join(told.notes())
    assert "The order is changed: title: by command of ada" in said
    assert "SCHEDULER-992" in said
    told.world.modifies(key, suspended=True)
    assert told.notes() == [], "a task works on it: its log has the rest"


def test_a_wait_for_a_lock_is_noted_with_the_place_at_the_order_that_waits() -> None:
    told = Told(walk(locks=(LockUse(lock=LockPath("/door")),), tasks=2))
    told.world.adds("1")
    told.notes()
    key = told.world.adds("2")
    [record] = [each for each in told.catch_up() if isinstance(each, OrderNoted)]
    assert (record.order_id, record.history_id) == (key.id, None)
    assert record.text == "SCHEDULER-860 The job /a waits for its locks: /door, place 1"


def removed_at_its_second_node(world: World, key: OrderKey) -> None:
    world.ends()
    world.does(ModifyOrder(order=key, suspended=True))
    world.ends()
    world.does(RemoveOrder(order=key))


def test_the_history_of_a_removed_order_has_its_last_node() -> None:
    told = Told(World(shell_job("a"), chain("walk", *(node(each, "a") for each in "123"))))
    key = told.world.adds("x")
    removed_at_its_second_node(told.world, key)
    records = told.catch_up()
    assert state_at_end(records) == "3"
    assert not [each for each in records if isinstance(each, OrderNotesDropped)]


def test_the_history_of_a_replaced_order_has_its_last_node() -> None:
    told = Told(World(shell_job("a"), chain("walk", node("1", "a"), node("2", "a", delay=60_000))))
    told.world.adds("x")
    told.world.ends()
    told.world.adds("x")
    assert state_at_end(told.catch_up()) == "2"


def test_an_order_that_goes_before_its_run_takes_its_notes_with_it() -> None:
    told = Told(walk())
    key = told.world.adds("1", suspended=True)
    told.world.modifies(key, title="noted")
    told.world.does(RemoveOrder(order=key))
    dropped = [each for each in told.catch_up() if isinstance(each, OrderNotesDropped)]
    assert [(each.chain, each.order_id) for each in dropped] == [("/walk", key.id)]


def test_a_run_takes_over_notes_only_where_there_may_be_some() -> None:
    told = Told(walk())
    plain, planned = told.world.adds("1"), told.world.adds("2", suspended=True)
    told.world.modifies(planned, title="noted")
    told.world.modifies(planned, suspended=False)
    told.world.ends()
    records = told.catch_up()
    begun = {each.order_id: each for each in records if isinstance(each, OrderRunStarted)}
    assert (begun[plain.id].has_notes, begun[planned.id].has_notes) == (False, True)


def test_notes_of_a_former_life_of_the_engine_are_taken_over() -> None:
    world = walk()
    world.adds("1", suspended=True)
    projector = HistoryProjector(world.state)
    world.modifies(OrderKey(chain_key("/walk"), OrderId("1")), suspended=False)
    records = [each for event in world.last for each in projector.records(event, world.now)]
    assert [each.has_notes for each in records if isinstance(each, OrderRunStarted)] == [True]


def test_a_busy_job_does_not_tell_each_order_that_it_waits() -> None:
    told = Told(walk(tasks=2, locks=(LockUse(lock=LockPath("/door")),)))
    for number in range(4):
        told.world.adds(str(number))
    assert [each for each in told.notes() if "SCHEDULER-860" in each], "the first one that waits"
    told.world.now = Instant(told.world.now + 1000)
    told.world.ends(told.world.tasks(TaskStatus.STARTING)[0])
    assert told.notes() == []


def test_a_step_whose_task_could_not_be_started_is_a_step_of_its_own() -> None:
    world = walk()
    told = Told(world)
    world.adds("o", "/walk")
    world.launches()
    world.ends()
    key = world.task().key
    assert key is not None
    refused = TaskNotLaunched(key=key, failure=LaunchFailure.REFUSED, text="no such shell")
    world.does(refused)
    steps = [
        (type(each), each.step, each.state if isinstance(each, OrderStepStarted) else each.error)
        for each in told.catch_up()
        if isinstance(each, OrderStepStarted | OrderStepEnded)
    ]
    assert steps == [
        (OrderStepStarted, 1, "100"),
        (OrderStepEnded, 1, False),
        (OrderStepStarted, 2, "200"),
        (OrderStepEnded, 2, True),
    ]
