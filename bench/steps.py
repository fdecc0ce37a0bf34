"""Steps per second of a chain of `true` steps through a real engine, against bare processes.

    PYTHONPATH=. python bench/steps.py [--orders 60] [--nodes 10] [--tasks 8]

A step is a shell job on the engine's own host, from the order's arrival at the node to the next
node: journal, script file, process, exit code, task log, history. Bare processes of the same shell
with the same script are started in the same run, one after another and as many at a time as the
jobs may have tasks; the figure to look at is the ratio to the latter.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.programs import World, wait_for

CHAIN = "steps"
ORDERS_MAX, NODES_MAX, TASKS_MAX = 100_000, 1_000, 64
TIMEOUT_S = 600.0
BARE_S = 3.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=60)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--tasks", type=int, default=8, help="tasks that each job may have")
    arguments = parser.parse_args()
    orders = _within(arguments.orders, ORDERS_MAX)
    nodes = _within(arguments.nodes, NODES_MAX)
    tasks = _within(arguments.tasks, TASKS_MAX)
    with tempfile.TemporaryDirectory(prefix="pointsman-bench-") as name:
        folder = Path(name)
        alone = bare_processes(folder, 1)
        together = bare_processes(folder, tasks)
        steps = engine_steps(folder / "world", orders, nodes, tasks)
    print(f"bare processes, one at a time:      {alone:7.0f}/s")
    print(f"bare processes, {tasks:3} at a time:      {together:7.0f}/s")
    print(f"steps of {orders} orders through {nodes} nodes: {steps:7.0f}/s")
    print(f"a step costs {together / steps:.1f} bare processes, {tasks} at a time")
    print(f"a step costs {alone / steps:.1f} bare processes, one at a time")


def _within(count: int, most: int) -> int:
    return min(max(count, 1), most)


def bare_processes(folder: Path, together: int) -> float:
    """Return how many shells a second run the script `true`, so many at the same time."""
    script = folder / "bare.sh"
    script.write_text("true\n", encoding="utf-8")
    count = running = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < BARE_S or running:
        while running < together and time.perf_counter() - begin < BARE_S:
            os.posix_spawn("/bin/sh", ["sh", str(script)], os.environ)
            running += 1
        os.wait()
        running -= 1
        count += 1
    return count / (time.perf_counter() - begin)


def engine_steps(folder: Path, orders: int, nodes: int, tasks: int) -> float:
    """Return how many steps a second an engine does, from the first order to the last's end."""
    folder.mkdir()
    with World(folder) as world:
        jobs = [f"step{index}" for index in range(nodes)]
        for job in jobs:
            world.write_job(job, "true", f'tasks="{tasks}"')
        world.write_chain(CHAIN, jobs)
        world.start_engine()
        with world.client() as client:
            client.submit(_order("warm"))
            wait_for("the first order's end", _none_left(world))
            begin = time.perf_counter()
            for number in range(orders):
                client.submit(_order(str(number)))
            wait_for("the end of all orders", _none_left(world), TIMEOUT_S)
            elapsed = time.perf_counter() - begin
        done = sum(run["state"] == "done" for run in world.runs(f"/{CHAIN}", 10_000))
        assert done == min(orders + 1, 10_000), "every order has ended well"
        return orders * nodes / elapsed


def _order(order: str) -> AddOrder:
    return AddOrder(order=OrderDefinition(key=order_key(f"/{CHAIN}", order)))


def _none_left(world: World) -> Callable[[], bool]:
    return lambda: world.orders_in(f"/{CHAIN}") == 0


if __name__ == "__main__":
    main()
