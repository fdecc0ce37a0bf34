"""Delay and loss between an engine and its agents: a proxy of the tests' own stands between them.

Timeline b) of agents.md 3.9, and orders that flow while answers are late and connections swallow
what they were given. Every task appends a line to one file when it starts; no line appears twice.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.programs import World, free_port, wait_for
from tests.support.wires import Weather, Wire

AGENTS = 3
SLOW = "slow"
"""Chain and class of the first agent with a period long enough to be late within its delay."""
FAST = "fast"
SLOW_PERIOD_S = 4
COUNT = 12
NUMBERS = [str(number) for number in range(1, COUNT + 1)]

pytestmark = pytest.mark.timeout(240)


class Wired:
    """An engine whose agents are at the other ends of wires."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ports = [free_port() for _ in range(AGENTS)]
        self.wires = [Wire(port, seed) for seed, port in enumerate(self.ports)]
        self.effects = world.folder / "effects"

    def define(self) -> None:
        """Write the live folder."""
        script = (
            f'echo "$SCHEDULER_ORDER_ID" >> {self.effects}\n'
            f"n=1; while [ $n -le {COUNT} ]; do echo $n; n=$((n + 1)); sleep $PAUSE; done"
        )
        self._class(SLOW, self.wires[:1], f'period="{SLOW_PERIOD_S}"', 'timeout="24"')
        self._class(FAST, self.wires, 'period="1"', 'timeout="6"')
        self.world.write_job(
            SLOW, script.replace("$PAUSE", "0.5"), f'process_class="{SLOW}" tasks="5"'
        )
        self.world.write_job(
            FAST, script.replace("$PAUSE", "0.1"), f'process_class="{FAST}" tasks="12"'
        )
        for name in (SLOW, FAST):
            self.world.write_chain(name, [name])

    def _class(self, name: str, wires: Sequence[Wire], period: str, timeout: str) -> None:
        agents = "".join(
            f'<remote_scheduler remote_scheduler="http://127.0.0.1:{wire.port}"'
            f" http_heartbeat_{period} http_heartbeat_{timeout}/>"
            for wire in wires
        )
        self.world.write(
            f"{name}.process_class.xml",
            f'<process_class><remote_schedulers select="next">{agents}</remote_schedulers>'
            "</process_class>",
        )

    def send(self, chain: str, count: int) -> list[str]:
        """Add orders; returns their names."""
        names = [f"{chain}-{number}" for number in range(count)]
        keys = [order_key(f"/{chain}", name) for name in names]
        self.world.submit_all([AddOrder(order=OrderDefinition(key=key)) for key in keys])
        return names

    def starts(self) -> Counter[str]:
        """Return how often the task of each order has started."""
        return Counter(self.effects.read_text().split() if self.effects.exists() else [])

    def statuses_since(self, number: int) -> set[str]:
        """Return what was told of agents after an event."""
        last = int(self.world.get("/api/overview")["number"])
        found = set()
        for fact in self.world.facts(number):
            if fact["kind"] == "AgentStatusChanged":
                found.add(str(fact["body"]["status"]))
            if int(fact["number"]) >= last:
                break
        return found


@pytest.fixture
def wired(tmp_path: Path) -> Iterator[Wired]:
    with World(tmp_path / "world") as world:
        wired = Wired(world)
        wired.define()
        for port in wired.ports:
            world.start_agent(port)
        world.start_engine()
        world.await_agents(AGENTS)
        yield wired
        world.end()
        for wire in wired.wires:
            wire.close()


def outcome(world: World, chain: str, order: str) -> tuple[Any, list[str]]:
    """Return exit code and output of an order's only task."""
    rows = world.get("/api/history/tasks", chain=f"/{chain}", order=order)["tasks"]
    assert len(rows) == 1
    return rows[0]["exit_code"], said(world, rows[0]["task"])


def said(world: World, task: int) -> list[str]:
    """Return what a task has printed."""
    lines = world.task_log(task).splitlines()
    return [line.partition("[stdout] ")[2] for line in lines if "[stdout] " in line]


def test_b_an_answer_within_the_allowed_delay_changes_nothing(wired: Wired) -> None:
    number = int(wired.world.get("/api/overview")["number"])
    wired.wires[0].change(Weather(delay_s=0.1))
    (order,) = wired.send(SLOW, 1)
    wait_for("the order to end", lambda: wired.world.orders_in(f"/{SLOW}") == 0)
    code, printed = outcome(wired.world, SLOW, order)
    assert code == 0
    assert printed == NUMBERS
    assert wired.starts() == {order: 1}
    assert wired.statuses_since(number) <= {"coupled"}, "nobody was called late"


def test_b_an_answer_after_the_allowed_delay_is_asked_for_again_and_starts_nothing(
    wired: Wired,
) -> None:
    number = int(wired.world.get("/api/overview")["number"])
    for wire in wired.wires:
        wire.change(Weather(delay_s=0.3))
    order = wired.send(FAST, 1)[0]
    wait_for("the order to end", lambda: wired.world.orders_in(f"/{FAST}") == 0)
    code, printed = outcome(wired.world, FAST, order)
    assert code == 0
    assert printed == NUMBERS
    assert wired.starts() == {order: 1}
    assert "delayed" in wired.statuses_since(number)


def test_orders_flow_over_wires_that_lose_and_delay_and_none_starts_twice(wired: Wired) -> None:
    for wire in wired.wires:
        wire.change(Weather(jitter_s=0.2, loss=0.05))
    names = wired.send(FAST, 24)
    wait_for("all orders to end", lambda: wired.world.orders_in(f"/{FAST}") == 0, 90)
    for wire in wired.wires:
        wire.change(Weather())
    starts = wired.starts()
    assert max(starts.values()) == 1
    for name in names:
        rows = wired.world.get("/api/history/tasks", chain=f"/{FAST}", order=name)["tasks"]
        last = rows[0]
        if last["exit_code"] == 0:
            assert starts[name] == 1
            assert said(wired.world, last["task"]) == NUMBERS
        else:
            assert last["error_code"] == "SCHEDULER-202"
    assert sum(wire.lost for wire in wired.wires) > 0, "something was lost"
