"""Tasks on the engine's own host, with real processes and the least of an engine around them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.drivers.local import LocalDriver
from engine.kernel.effects import ProcessSpec, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration
from engine.kernel.reports import Report, TaskExited
from tests.support.agent_program import until

pytestmark = pytest.mark.anyio

TASKS = 40


def a_run(number: int, script: str) -> RunProcess:
    return RunProcess(
        key=ExecutionKey(f"e/{number}.1"),
        task=TaskId(number),
        agent=AgentUri(""),
        heartbeat_period=Duration(10_000),
        heartbeat_timeout=Duration(60_000),
        spec=ProcessSpec(job="j", script=script, environment={}),
    )


async def test_an_end_is_told_only_when_all_that_was_said_before_is_stored(tmp_path: Path) -> None:
    """However slow the log is, and whatever ends while it is being written."""
    stored: defaultdict[int, bytes] = defaultdict(bytes)
    at_the_end: dict[ExecutionKey, bytes] = {}

    async def output(task: TaskId, _channel: str, offset: int, data: bytes) -> None:
        await asyncio.sleep(0.01)
        assert offset == len(stored[task])
        stored[task] += data

    async def report(reports: Sequence[Report]) -> None:
        for each in reports:
            if isinstance(each, TaskExited):
                assert each.key not in at_the_end
                number = int(each.key.removeprefix("e/").removesuffix(".1"))
                at_the_end[each.key] = stored[number]

    driver = LocalDriver(
        engine_id="e",
        epoch=Epoch(1),
        folder=tmp_path / "local",
        report=report,
        output=output,
        output_offsets=lambda _task: (0, 0),
    )
    driver.demands([], [a_run(number, f"echo words of {number}") for number in range(TASKS)])
    work = asyncio.create_task(driver.run())
    try:
        await until(lambda: len(at_the_end) == TASKS, "all ends", patience_s=60)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert at_the_end == {
        ExecutionKey(f"e/{number}.1"): f"words of {number}\n".encode() for number in range(TASKS)
    }
