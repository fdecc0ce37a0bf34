"""How long an engine takes to come back with 10,000 orders: from its journal, and with a snapshot.

    PYTHONPATH=. python bench/recovery.py [--orders 10000] [--changes 3]

Orders are added to a real engine and each is changed some times, so that the journal holds several
events of every order; then the engine is killed as by `kill -9`. Measured is the time from the
start of the process to its first answer, and what the recovery took of it by the engine's own log.
The start of an engine with an empty journal, in the same run, is what to compare with. The snapshot
is made as the engine makes it, from the state of the killed one.
"""

import argparse
import asyncio
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from engine.codec.snapshot import capture
from engine.kernel.commands import AddOrder, AfterDelay, ModifyOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from engine.kernel.instants import seconds
from engine.service.paths import EnginePaths
from engine.service.recovery import recover
from engine.store.sqlite import SqliteStore
from tests.support.programs import World

CHAIN = "waiting"
ORDERS_MAX, CHANGES_MAX = 1_000_000, 100
LATER = AfterDelay(delay=seconds(86_400))
START_TIMEOUT_S = 600.0
_RECOVERED = re.compile(
    r"Recovered (\d+) orders.*event (\d+) \((\d+) events replayed\) in ([\d.]+)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of the engine."""

    total_s: float
    """From the process to the first answer."""
    recovery_s: float
    """Of these the fold of snapshot and journal."""
    orders: int
    replayed: int


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--changes", type=int, default=3, help="changes of each order")
    arguments = parser.parse_args()
    orders = min(max(arguments.orders, 1), ORDERS_MAX)
    changes = min(max(arguments.changes, 0), CHANGES_MAX)
    with (
        tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name,
        World(Path(name, "world")) as world,
    ):
        world.write_job("job", "true")
        world.write_chain(CHAIN, ["job"])
        measure(world, 0)
        kill(world)
        empty = measure(world, 0)
        fill(world, orders, changes)
        kill(world)
        journal = measure(world, orders)
        kill(world)
        size_mb = asyncio.run(save_snapshot(EnginePaths(world.data))) / 1e6
        snapshot = measure(world, orders)
    show("empty journal", empty, empty)
    show("journal only", journal, empty)
    show(f"snapshot of {size_mb:.1f} MB", snapshot, empty)
    print(
        f"replay: {journal.replayed / max(journal.recovery_s, 0.001):.0f} events/s; with the "
        f"snapshot the recovery takes {snapshot.recovery_s / max(journal.recovery_s, 0.001):.2f} "
        "times as long"
    )


def show(what: str, start: Start, empty: Start) -> None:
    """Print one start."""
    print(
        f"{what:20} {start.orders:7} orders, {start.replayed:7} events replayed: "
        f"recovery {start.recovery_s:5.2f} s, first answer after {start.total_s:5.2f} s "
        f"({start.total_s / empty.total_s:.2f} times the empty start)"
    )


def fill(world: World, orders: int, changes: int) -> None:
    """Add orders for tomorrow and change each of them."""
    keys = [order_key(f"/{CHAIN}", f"order-{number}") for number in range(orders)]
    params = {"account": "100000", "range": "100000-133332", "number_of_orders": "3"}
    world.submit_all(
        [AddOrder(order=OrderDefinition(key=key, params=params), at=LATER) for key in keys]
    )
    for number in range(changes):
        world.submit_all([ModifyOrder(order=key, params={"try": str(number)}) for key in keys])


def measure(world: World, orders: int) -> Start:
    """Start the engine and return how long that took."""
    log = world.folder / "engine.log"
    log.unlink(missing_ok=True)
    begin = time.perf_counter()
    engine = world.start_engine(is_awaited=False)
    world.await_ready(START_TIMEOUT_S)
    total_s = time.perf_counter() - begin
    found = _RECOVERED.search(engine.text)
    assert found is not None, f"the engine says how its recovery went: {engine.text}"
    known, _, replayed, recovery_s = found.groups()
    assert int(known) == orders, "all orders are back"
    return Start(
        total_s=total_s, recovery_s=float(recovery_s), orders=int(known), replayed=int(replayed)
    )


def kill(world: World) -> None:
    """Kill the engine as `kill -9` does."""
    assert world.engine is not None, "the engine runs"
    world.engine.kill()


async def save_snapshot(paths: EnginePaths) -> int:
    """Keep the state of a dead engine as a snapshot; return its size in bytes."""
    store = SqliteStore(paths.journal)
    await store.open()
    try:
        recovered = await recover(store, lambda *_: None, lambda *_: None)
        body = capture(recovered.state).to_bytes()
        await store.save_snapshot(recovered.number, body)
    finally:
        await store.close()
    return len(body)


if __name__ == "__main__":
    main()
