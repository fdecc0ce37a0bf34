"""What a step costs beside 10,000 waiting orders, against 10; and what orders need of memory.

    PYTHONPATH=. python bench/waiting_orders.py [--many 10000] [--rounds 3] [--add 100000]

Two engines do the same steps in turns. In one a few orders wait, in the other many, of three kinds
in equal parts: planned for later at the very node where the steps are done, ready for a job that is
stopped, and suspended. Compared are the time a step takes and the processor time that the engine
itself spends on it, the best of all rounds each; the first is what issue and reader care about, the
second does not depend on what else the machine does. `--add` goes on adding orders to the engine
with many, in equal parts, and prints how many a second it takes and what becomes of its memory.
"""

import argparse
import tempfile
import time
from pathlib import Path

import psutil

from engine.kernel.commands import AddOrder, AfterDelay, JobAction, ModifyJob
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import job_key, order_key
from engine.kernel.instants import seconds
from tests.support.programs import World, wait_for

CHAIN, BLOCKED = "steps", "blocked"
WAITING_MAX, ADD_MAX, ROUNDS_MAX = 1_000_000, 1_000_000, 100
NODES, ORDERS, TASKS = 5, 40, 4
LATER = AfterDelay(delay=seconds(86_400))
TIMEOUT_S = 600.0
PARTS = 5


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--few", type=int, default=10)
    parser.add_argument("--many", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--add", type=int, default=0, help="add so many orders more")
    arguments = parser.parse_args()
    few, many = (max(0, min(count, WAITING_MAX)) for count in (arguments.few, arguments.many))
    with (
        tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name,
        World(Path(name, "few")) as calm,
        World(Path(name, "many")) as crowded,
    ):
        for world in (calm, crowded):
            prepare(world)
        empty = memory(crowded)
        fill(calm, few)
        rate = fill(crowded, many)
        print(f"{many} orders added at {rate:.0f}/s over 8 connections")
        print(f"memory of the engine: {empty:.0f} MB empty, {memory(crowded):.0f} MB with them")
        compare(calm, crowded, few, many, max(1, min(arguments.rounds, ROUNDS_MAX)))
        if arguments.add > 0:
            grow(crowded, many, min(arguments.add, ADD_MAX))


def compare(calm: World, crowded: World, few: int, many: int, rounds: int) -> None:
    """Let both engines do steps in turns and print the ratios."""
    walls: dict[int, list[float]] = {few: [], many: []}
    processors: dict[int, list[float]] = {few: [], many: []}
    for number in range(rounds):
        for world, count in ((calm, few), (crowded, many)):
            wall, processor = steps(world, number)
            walls[count].append(wall)
            processors[count].append(processor)
    for what, samples in (("time", walls), ("processor time", processors)):
        best_few, best_many = min(samples[few]), min(samples[many])
        print(
            f"{what} of a step: {best_few * 1000:.2f} ms beside {few} waiting orders, "
            f"{best_many * 1000:.2f} ms beside {many}: {best_many / best_few:.2f} times"
        )


def prepare(world: World) -> None:
    """Start an engine with a chain for the steps and one whose job is stopped."""
    jobs = [f"step{index}" for index in range(NODES)]
    for job in jobs:
        world.write_job(job, "true", f'tasks="{TASKS}"')
    world.write_job("stopped", "true")
    world.write_chain(CHAIN, jobs)
    world.write_chain(BLOCKED, ["stopped"])
    world.start_engine()
    with world.client() as client:
        client.submit(ModifyJob(job=job_key("/stopped"), action=JobAction.STOP))


def fill(world: World, count: int, first: int = 0) -> float:
    """Add so many waiting orders and return how many a second were taken."""
    requests = [waiting_order(number) for number in range(first, first + count)]
    begin = time.perf_counter()
    world.submit_all(requests)
    return count / (time.perf_counter() - begin)


def waiting_order(number: int) -> AddOrder:
    """Return one of the three kinds of waiting orders."""
    order = f"waiting-{number}"
    match number % 3:
        case 0:
            key = order_key(f"/{CHAIN}", order)
            return AddOrder(order=OrderDefinition(key=key), at=LATER)
        case 1:
            return AddOrder(order=OrderDefinition(key=order_key(f"/{BLOCKED}", order)))
        case _:
            key = order_key(f"/{BLOCKED}", order)
            return AddOrder(order=OrderDefinition(key=key, suspended=True))


def steps(world: World, number: int) -> tuple[float, float]:
    """Let orders run through; return time and the engine's processor time of a step in seconds."""
    before = world.orders_in(f"/{CHAIN}")
    keys = [order_key(f"/{CHAIN}", f"{number}-{index}") for index in range(ORDERS)]
    spent, begin = processor_time(world), time.perf_counter()
    world.submit_all([AddOrder(order=OrderDefinition(key=key)) for key in keys])
    wait_for("the end of all orders", lambda: world.orders_in(f"/{CHAIN}") == before, TIMEOUT_S)
    count = ORDERS * NODES
    return (time.perf_counter() - begin) / count, (processor_time(world) - spent) / count


def grow(world: World, first: int, count: int) -> None:
    """Add orders in parts and print rate and memory of each."""
    part = max(1, count // PARTS)
    for index in range(PARTS):
        rate = fill(world, part, first + index * part)
        print(
            f"{first + (index + 1) * part:8} orders waiting: {rate:5.0f}/s added, "
            f"{memory(world):5.0f} MB"
        )


def processor_time(world: World) -> float:
    """Return the seconds of processor time that the engine, without its tasks, has spent."""
    times = _process(world).cpu_times()
    return float(times.user + times.system)


def memory(world: World) -> float:
    """Return the engine's resident memory in MB."""
    return float(_process(world).memory_info().rss) / 1e6


def _process(world: World) -> psutil.Process:
    assert world.engine is not None, "the engine runs"
    return psutil.Process(world.engine.process.pid)


if __name__ == "__main__":
    main()
