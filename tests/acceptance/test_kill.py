"""`kill -9` of the engine, again and again, while orders flow: nothing lost, nothing twice."""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.programs import World, wait_for

CHAIN = "/flow"
JOBS = ("one", "two", "three")
LIVES = 10
MOMENT_S_MAX = 1.0
WAITING_MAX = 25

pytestmark = pytest.mark.timeout(240)


class Source:
    """Adds orders one by one, as long as the engine answers."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._number = 0
        self.promised: list[str] = []
        """Orders that the engine has accepted."""
        self.doubtful: list[str] = []
        """Orders whose answer was lost with the engine."""

    @contextlib.contextmanager
    def flowing(self) -> Iterator[None]:
        """Add orders beside what is done inside; the engine dies in there."""
        thread = threading.Thread(target=self._add_until_it_dies, name="orders")
        thread.start()
        yield
        thread.join(30)
        assert not thread.is_alive()

    def _add_until_it_dies(self) -> None:
        while True:
            self._number += 1
            order = f"order-{self._number}"
            try:
                if self._world.orders_in(CHAIN) >= WAITING_MAX:
                    time.sleep(0.01)
                    continue
            except (OSError, http.client.HTTPException):
                return
            key = order_key(CHAIN, order)
            try:
                self._world.submit_all([AddOrder(order=OrderDefinition(key=key))], 1)
            except (OSError, http.client.HTTPException):
                self.doubtful.append(order)
                return
            self.promised.append(order)


def test_orders_survive_every_kill_and_each_step_starts_once(world: World) -> None:
    starts = world.folder / "starts"
    world.environment["STARTS"] = str(starts)
    for job in JOBS:
        script = 'echo "$SCHEDULER_ORDER_ID $SCHEDULER_ORDER_STATE" >> "$STARTS"'
        world.write_job(job, script, 'tasks="3"')
    world.write_chain(CHAIN.strip("/"), JOBS)
    source = Source(world)
    chance = random.Random(20260114)
    for _ in range(LIVES):
        engine = world.start_engine()
        with source.flowing():
            # Not a wait for something: the moment of the kill is what is tried.
            time.sleep(chance.uniform(0.05, MOMENT_S_MAX))
            engine.kill()
    unready = world.start_engine(is_awaited=False)
    time.sleep(chance.uniform(0.3, MOMENT_S_MAX))
    unready.kill()
    world.start_engine()
    wait_for("the end of all orders", lambda: world.orders_in(CHAIN) == 0, 90)

    assert len(source.promised) > LIVES, "orders have flowed"
    started = Counter(starts.read_text().splitlines())
    twice = {line: count for line, count in started.items() if count > 1}
    assert twice == {}
    states = [str(index) for index in range(1, len(JOBS) + 1)]
    for order in source.promised:
        missing = [state for state in states if not started[f"{order} {state}"]]
        assert missing == [], f"{order} was accepted"
    for order in source.doubtful:
        assert sum(started[f"{order} {state}"] for state in states) in {0, len(states)}
    orders = {line.partition(" ")[0] for line in started}
    assert orders <= {*source.promised, *source.doubtful}
    runs = Counter((run["order"], run["state"]) for run in world.runs(CHAIN, 10_000))
    assert runs == {(order, "done"): 1 for order in orders}, "the history agrees"
