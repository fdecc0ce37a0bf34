"""Events per second that the journal takes, by batch size and number of callers at a time.

    python bench/journal_append.py [FOLDER]

FOLDER decides which disk is measured; default is a temporary folder. A sync of a small file on the
same disk, measured in the same run, tells what the disk itself allows.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from engine.codec.journal import JOURNAL
from engine.codec.rows import NewEvent
from engine.kernel.events.orders import OrderNodeChanged
from engine.kernel.ids import Epoch, NodeState, order_key
from engine.kernel.instants import Instant
from engine.store.sqlite import SqliteStore

SECONDS = 2.0


def syncs_per_second(folder: Path) -> float:
    """Return how often a block of 4 KiB can be appended and synced."""
    handle = os.open(folder / "sync", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    begin = time.perf_counter()
    count = 0
    while time.perf_counter() - begin < SECONDS / 2:
        os.write(handle, bytes(4096))
        os.fdatasync(handle)
        count += 1
    os.close(handle)
    return count / (time.perf_counter() - begin)


def rows(size: int) -> list[NewEvent]:
    """Return a batch of typical events, encoded."""
    event = OrderNodeChanged(
        order=order_key("/invoices/daily", "inv-2291"),
        state=NodeState("load"),
        former=NodeState("check"),
        start_at=Instant(1_790_000_000_000),
    )
    return [JOURNAL.new_event(event, Instant(1_790_000_000_000), "bench") for _ in range(size)]


async def measure(store: SqliteStore, epoch: Epoch, size: int, callers: int) -> tuple[float, float]:
    """Return events per second and the mean wait of one append in milliseconds."""
    count, waited = 0, 0.0
    end = time.perf_counter() + SECONDS

    async def work() -> None:
        nonlocal count, waited
        while (begin := time.perf_counter()) < end:
            await store.append(epoch, rows(size))
            count += 1
            waited += time.perf_counter() - begin

    begin = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(callers)))
    return count * size / (time.perf_counter() - begin), waited / count * 1000


async def run(folder: Path) -> None:
    """Measure and print."""
    print(f"bare 4 KiB append + fdatasync: {syncs_per_second(folder):,.0f}/s")
    store = SqliteStore(folder / "journal.sqlite")
    await store.open()
    epoch = await store.begin_epoch()
    for callers in (1, 16):
        for size in (1, 10, 100, 1000):
            per_second, wait_ms = await measure(store, epoch, size, callers)
            print(
                f"{callers:3} callers, batches of {size:4}: "
                f"{per_second:9,.0f} events/s, {wait_ms:7.2f} ms an append"
            )
    await store.close()


def main() -> None:
    """Run in the given folder or a temporary one."""
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        asyncio.run(run(Path(folder)))


if __name__ == "__main__":
    main()
