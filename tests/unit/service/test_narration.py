"""What task logs say beside the output of the process."""

import asyncio
from typing import cast

from engine.codec.journal import JOURNAL, StoredEvent
from engine.kernel.events import Event
from engine.kernel.ids import EventNumber, TaskId
from engine.kernel.instants import Instant
from engine.service.narration import Narrator
from engine.store.task_logs import TaskLogs
from tests.support.world import World, chain, node, shell_job


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
