"""What task logs say beside the output of the process."""

import asyncio
from typing import cast

from engine.codec.journal import JOURNAL, StoredEvent
from engine.kernel.commands import (
    JobAction,
    ModifyJob,
    ModifyNode,
    NodeAction,
    PauseEngine,
    RemoveOrder,
)
from engine.kernel.definitions import Chain, EndNode, Lock, LockUse, NestedNode, OnError
from engine.kernel.events import Event
from engine.kernel.events.tasks import TaskCreated
from engine.kernel.evolve import evolve
from engine.kernel.ids import EventNumber, LockPath, NodeState, TaskId, chain_key, job_key
from engine.kernel.instants import Instant
from engine.kernel.state import State
from engine.service.narration import Narrator
from engine.store.task_logs import TaskLogs
from tests.support.world import World, chain, native_job, node, setback, shell_job


class Written:
    """Takes what is written, in place of files."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def begin(self, task: TaskId, **_how: bool) -> None:
        self.lines.append(f"begin {task}")

    async def append_line(
        self, _task: TaskId, _at: Instant, level: str, text: str, **_number: int
    ) -> None:
        self.lines += [f"{level} {line}" for line in text.splitlines()]

    async def finish(self, task: TaskId) -> None:
        self.lines.append(f"finish {task}")


def told(world: World, events: list[Event]) -> list[str]:
    """Return what is written about events."""

    async def tell() -> list[str]:
        written = Written()
        narrator = Narrator(world.state, cast("TaskLogs", written))
        rows = []
        for number, event in enumerate(events, start=1):
            kind, body = JOURNAL.encode(event)
            rows.append(
                StoredEvent(
                    number=EventNumber(number), at=world.now, kind=kind, body=body, cause=""
                )
            )
        narrator.committed(events, rows)
        writing = asyncio.create_task(narrator.run())
        async with asyncio.timeout(10):
            await narrator.written()
        writing.cancel()
        return written.lines

    return asyncio.run(tell())


def test_a_log_tells_the_life_of_an_order_in_a_task() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    world.adds("1")
    world.ends()
    lines = told(world, world.journal)
    assert lines[0] == "begin 1"
    assert lines[-1] == "finish 1"
    for said in ("SCHEDULER-930", "SCHEDULER-842", "SCHEDULER-843", "SCHEDULER-945"):
        assert any(said in line for line in lines), said


def test_a_log_goes_on_telling_of_the_order_after_its_task_until_the_run_is_over() -> None:
    world = World(
        shell_job("a"), shell_job("b", tasks=0), chain("walk", node("1", "a"), node("2", "b"))
    )
    key = world.adds("1")
    world.ends()
    world.modifies(key, suspended=True)
    world.modifies(key, suspended=False)
    world.does(RemoveOrder(order=key))
    lines = told(world, world.journal)
    after = lines[lines.index("finish 1") + 1 :]
    assert [line.split()[1] for line in after] == [
        "SCHEDULER-991",
        "SCHEDULER-992",
        "SCHEDULER-945",
    ]


def test_a_log_tells_an_order_that_stayed_that_its_job_goes_on() -> None:
    world = World(shell_job("a", stop_on_error=True), chain("walk", node("1", "a")))
    world.adds("1")
    world.ends(code=1)
    begun = len(world.journal)
    world.does(ModifyJob(job=job_key("/a"), action=JobAction.UNSTOP))
    world.does(PauseEngine(paused=True))
    assert "SCHEDULER-845" in "\n".join(told(world, world.journal[:begun]))
    assert "info SCHEDULER-931 The job /a goes on" in told(world, world.journal)


def test_an_ignored_signal_is_a_warning_with_its_name() -> None:
    world = World(
        shell_job("a", ignore_signals=("all",)), chain("walk", node("100", "a", error_state="end"))
    )
    world.adds("1")
    world.ends(code=-15, signal=15)
    lines = told(world, world.journal)
    warnings = [line for line in lines if line.startswith("warn SCHEDULER-279")]
    assert len(warnings) == 1
    assert "SIGTERM" in warnings[0]


def codes(world: World) -> list[str]:
    """Return the codes of the original that stand in all task logs, in their order."""
    found = (line.split()[1] for line in told(world, world.journal) if " " in line)
    return [code.removeprefix("SCHEDULER-") for code in found if code.startswith("SCHEDULER-")]


def test_an_error_says_whether_it_stops_the_job_and_what_becomes_of_the_order() -> None:
    stopping = World(shell_job("a", stop_on_error=True), chain("walk", node("100", "a")))
    stopping.adds("1")
    stopping.ends(code=3)
    assert codes(stopping)[2:] == ["280", "845", "978"]
    going_on = World(shell_job("a"), chain("walk", node("100", "a")))
    going_on.adds("1")
    going_on.ends(code=3)
    assert codes(going_on)[2:] == ["280", "843", "846", "945", "977"]


def test_the_end_state_and_skipped_nodes_are_named() -> None:
    nodes = [node(state, "a") for state in ("100", "200", "300")]
    world = World(shell_job("a"), chain("walk", *nodes))
    walk = chain_key("walk")
    skip = NodeAction.NEXT_STATE
    world.does(ModifyNode(chain=walk, state=NodeState("200"), action=skip))
    world.adds("1", end_state=NodeState("300"))
    world.ends()
    world.ends()
    assert [code for code in codes(world) if code in {"859", "704"}] == ["859", "704"]


def test_a_setback_too_many_is_told_with_what_follows() -> None:
    world = World(
        shell_job("a", **setback((1, 0), most=1)),
        chain("walk", node("100", "a", on_error=OnError.SETBACK)),
    )
    world.adds("1")
    world.ends(code=1)
    world.ends(code=1)
    assert [code for code in codes(world) if code.startswith("94")] == ["946", "947", "943", "945"]


def test_locks_are_told_when_they_are_taken_and_given_back() -> None:
    shared = LockUse(lock=LockPath("/l"), exclusive=False)
    job = shell_job("a", locks=(shared,), tasks=2)
    world = World(job, chain("walk", node("100", "a")), Lock(path=LockPath("/l")))
    world.adds("1")
    assert "855" in codes(world)
    world.ends()
    assert "856" in codes(world)


def test_jobs_of_our_own_code_say_that_they_ignore_the_orders_agent() -> None:
    world = World(native_job("a", "split"), chain("walk", node("100", "a")))
    world.adds("1", params={"scheduler.remote_scheduler": "elsewhere:4445"})
    assert codes(world)[-1] == "484"


def test_the_way_from_one_inner_chain_to_the_next_is_told() -> None:
    def inner(state: str, name: str, following: str) -> NestedNode:
        return NestedNode(
            state=NodeState(state),
            chain=chain_key(name),
            chain_path=f"/{name}",
            next_state=NodeState(following),
        )

    nodes = (inner("one", "first", "two"), inner("two", "second", "done"))
    end = EndNode(state=NodeState("done"))
    world = World(
        shell_job("a"),
        chain("first", node("100", "a")),
        chain("second", node("100", "a")),
        Chain(path="/super", nodes=(*nodes, end)),
    )
    world.adds("1", "super")
    world.ends()
    assert [code for code in codes(world) if code in {"862", "863"}] == ["862", "863"]


def test_what_a_killed_engine_had_not_come_to_is_told_by_its_next_life() -> None:
    world = World(shell_job("a"), chain("walk", node("100", "a")))
    world.adds("1")
    world.ends()
    written = Written()

    async def recover() -> None:
        state = State()
        narrator = Narrator(state, cast("TaskLogs", written))
        for number, event in enumerate(world.journal, start=1):
            kind, body = JOURNAL.encode(event)
            evolve(state, event)
            row = StoredEvent(
                number=EventNumber(number), at=world.now, kind=kind, body=body, cause=""
            )
            narrator.seen(event, row)
        narrator.tell_again()
        task = next(event.task for event in world.journal if isinstance(event, TaskCreated))
        assert not narrator.has_finished(task)
        writing = asyncio.create_task(narrator.run())
        async with asyncio.timeout(10):
            await narrator.written()
        assert narrator.has_finished(task)
        writing.cancel()

    asyncio.run(recover())
    assert written.lines == told(world, world.journal)
