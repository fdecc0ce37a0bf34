"""`kill -9` of a writing process: every answered batch is there, and nothing half."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.codec.agent_messages import Channel
from engine.kernel.ids import TaskId
from engine.store.base import NO_EVENT, StoredEvent
from engine.store.log_file import LogFile
from engine.store.sqlite import SqliteStore
from engine.store.task_logs import TaskLogs

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
CHANCE = random.Random(20261121)

EVENTS = """
import asyncio, sys
from pathlib import Path
from engine.kernel.instants import Instant
from engine.store.base import NewEvent
from engine.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]))
    await store.open()
    epoch = await store.begin_epoch()
    batch = 0

    async def work():
        nonlocal batch
        while True:
            batch += 1
            mine, size = batch, 1 + batch % 7
            rows = [
                NewEvent(at=Instant(i), kind=f"{mine}", body=b"%d of %d" % (i, size), cause="")
                for i in range(size)
            ]
            last = await store.append(epoch, rows)
            print(epoch, mine, last, size, flush=True)

    await asyncio.gather(*(work() for _ in range(8)))

asyncio.run(main())
"""

OUTPUT = """
import asyncio, sys
from pathlib import Path
from engine.codec.agent_messages import Channel
from engine.kernel.ids import TaskId
from engine.store.task_logs import TaskLogs

async def main():
    logs = TaskLogs(Path(sys.argv[1]))
    out = {channel: b"".join(b"%s %06d\\n" % (channel.value.encode(), i) for i in range(100_000))
           for channel in Channel}
    while True:
        for channel in Channel:
            offset = (await logs.output_offsets(TaskId(1))).of(channel)
            await logs.append_output(TaskId(1), channel, max(0, offset - 50),
                                     out[channel][max(0, offset - 50) : offset + 333])
        print("more", flush=True)

asyncio.run(main())
"""


def killed_while_running(program: str, argument: Path) -> list[str]:
    """Run a program, kill it at a moment of chance after its first line, return its lines."""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(argument)], stdout=subprocess.PIPE, cwd=ROOT, text=True
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        assert lines[0], "the program must get so far"
        time.sleep(CHANCE.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    # The last line may be cut; what was not printed whole was perhaps not answered.
    return [line for line in lines if line.endswith("\n")]


async def all_events(store: SqliteStore) -> list[StoredEvent]:
    found: list[StoredEvent] = []
    while piece := await store.read(found[-1].number if found else NO_EVENT, 10_000):
        found += piece
    return found


async def test_answered_batches_survive_and_none_is_half(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    answered: list[tuple[int, ...]] = []
    for _ in range(6):
        lines = killed_while_running(EVENTS, file)
        answered += [tuple(int(part) for part in line.split()) for line in lines]
    store = SqliteStore(file)
    await store.open()
    events = await all_events(store)
    assert [event.number for event in events] == list(range(1, len(events) + 1))
    for _epoch, batch, last, size in answered:
        rows = events[last - size : last]
        assert [(row.kind, row.body) for row in rows] == [
            (str(batch), b"%d of %d" % (i, size)) for i in range(size)
        ]
    position = 0
    while position < len(events):
        size = int(events[position].body.split()[-1])
        rows = events[position : position + size]
        assert [row.body for row in rows] == [b"%d of %d" % (i, size) for i in range(size)]
        position += size
    assert await store.verify() == ()
    assert await store.begin_epoch() == 7
    await store.close()


async def test_output_is_neither_lost_nor_doubled(tmp_path: Path) -> None:
    for _ in range(6):
        killed_while_running(OUTPUT, tmp_path / "logs")
    file = TaskLogs(tmp_path / "logs").file_of(TaskId(1))
    log = LogFile(file)
    taken = log.offsets
    log.finish()
    log.close()
    lines = file.read_bytes().splitlines(keepends=True)
    for channel in Channel:
        prefix = f"[{channel.value}] ".encode()
        expected = b"".join(b"%s %06d\n" % (channel.value.encode(), i) for i in range(100_000))
        found = b"".join(line.removeprefix(prefix) for line in lines if line.startswith(prefix))
        count = taken.of(channel)
        assert count > 0
        assert found.rstrip(b"\n") == expected[:count].rstrip(b"\n")
