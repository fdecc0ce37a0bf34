"""Orders flow while agents and the engine are killed, frozen and cut off, again and again.

    PYTHONPATH=. python bench/chaos.py [--orders 2000] [--seconds 600] [--seed 1]

Each order runs a step on one of three agents, which appends the order's id to a file, and then a
step on the engine's own host that notes how it went. At the end every order must have been noted
once, as done or as failed. Each id must be in the agents' file exactly once when the order is done;
more often only when one of its tasks was reported lost (SCHEDULER-202). An order that has failed,
has failed because of an agent here: its task must have SCHEDULER-202 in the history and in its log.
What is printed: what was done to the programs, and the counts.
"""

import argparse
import contextlib
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.programs import World, free_port
from tests.support.wires import Wire

AGENTS = 3
AT_ONCE = 20
PERIOD_S, TIMEOUT_S = 1, 6
REST_S_MAX = 300.0
ORDERS_MAX = 100_000
LOST = "SCHEDULER-202"
CHAIN = """
<job_chain>
  <job_chain_node state="work" job="work" next_state="well" error_state="badly"/>
  <job_chain_node state="well" job="well" next_state="done" error_state="done"/>
  <job_chain_node state="badly" job="badly" next_state="failed" error_state="failed"/>
  <job_chain_node state="done"/>
  <job_chain_node state="failed"/>
</job_chain>
"""


# --- the trouble -------------------------------------------------------------------------------


@dataclass
class Chaos:
    """Does things to the programs of a world."""

    world: World
    ports: list[int]
    wires: list[Wire]
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)
    _later: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def go_on(self, seconds: float) -> None:
        """Make trouble for so long, then repair everything."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._repair(time.monotonic())
            self.chance.choice((self._kill_agent, self._kill_engine, self._cut, self._freeze))()
            time.sleep(self.chance.uniform(0.5, 4.0))
        while self._later:
            self._repair(float("inf"))

    def _repair(self, now: float) -> None:
        due = [work for moment, work in self._later if moment <= now]
        self._later = [(moment, work) for moment, work in self._later if moment > now]
        for work in due:
            work()

    def _after(self, longest: float, work: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + self.chance.uniform(0.1, longest), work))

    def _kill_agent(self) -> None:
        port = self.chance.choice(self.ports)
        agent = self.world.agents[port]
        if agent.process.poll() is None:
            self.done["agent killed"] += 1
            agent.kill()
            self._after(10.0, lambda: self._start_agent(port))

    def _start_agent(self, port: int) -> None:
        self.world.start_agent(port)

    def _kill_engine(self) -> None:
        engine = self.world.engine
        if engine is not None and engine.process.poll() is None:
            self.done["engine killed"] += 1
            engine.kill()
            self._after(6.0, self._start_engine)

    def _start_engine(self) -> None:
        self.world.start_engine(is_awaited=False)

    def _cut(self) -> None:
        wire = self.chance.choice(self.wires)
        self.done["cable cut"] += 1
        wire.cut()
        self._after(12.0, wire.mend)

    def _freeze(self) -> None:
        agent = self.world.agents[self.chance.choice(self.ports)]
        if agent.process.poll() is None:
            pid = agent.process.pid
            self.done["agent frozen"] += 1
            agent.send(signal.SIGSTOP)
            self._after(3.0, lambda: _continue(pid))


def _continue(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


# --- the flow ----------------------------------------------------------------------------------


def main() -> int:
    """Run the chaos and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    orders = min(max(chosen.orders, 1), ORDERS_MAX)
    with (
        tempfile.TemporaryDirectory(prefix="pointsman-chaos-") as name,
        World(Path(name, "world")) as world,
    ):
        ports = [free_port() for _ in range(AGENTS)]
        wires = [Wire(port) for port in ports]
        define(world, wires, pause_s=0.6 * chosen.seconds * AT_ONCE / orders)
        for port in ports:
            world.start_agent(port)
        world.start_engine()
        world.await_agents(AGENTS)
        ids = [f"order-{number}" for number in range(orders)]
        world.submit_all(
            [AddOrder(order=OrderDefinition(key=order_key("/flow", each))) for each in ids]
        )
        chaos = Chaos(world, ports, wires, random.Random(chosen.seed))
        began = time.monotonic()
        chaos.go_on(chosen.seconds)
        world.await_ready(120.0)
        await_rest(world)
        print(f"{orders} orders in {time.monotonic() - began:.0f} s, seed {chosen.seed}")
        print(", ".join(f"{what} {count} times" for what, count in sorted(chaos.done.items())))
        return judge(world, ids)


def define(world: World, wires: list[Wire], pause_s: float) -> None:
    """Write the live folder."""
    folder = world.folder
    agents = "".join(
        f'<remote_scheduler remote_scheduler="http://127.0.0.1:{wire.port}"'
        f' http_heartbeat_period="{PERIOD_S}" http_heartbeat_timeout="{TIMEOUT_S}"/>'
        for wire in wires
    )
    world.write(
        "agents.process_class.xml",
        f'<process_class max_processes="{AT_ONCE}">'
        f'<remote_schedulers select="next">{agents}</remote_schedulers></process_class>',
    )
    world.write_job(
        "work",
        f'echo "$SCHEDULER_ORDER_ID" >> {folder}/effects; sleep {pause_s:.2f}',
        f'process_class="agents" tasks="{AT_ONCE}"',
    )
    for name in ("well", "badly"):
        world.write_job(name, f'echo "$SCHEDULER_ORDER_ID" >> {folder}/{name}', 'tasks="5"')
    world.write("flow.job_chain.xml", CHAIN)


def await_rest(world: World) -> None:
    """Wait until no order is left."""
    deadline = time.monotonic() + REST_S_MAX
    while left := world.orders_in("/flow"):
        assert time.monotonic() < deadline, f"{left} orders do not end"
        time.sleep(0.5)


def lost_tasks(world: World, failed: Iterable[str]) -> tuple[set[str], list[str]]:
    """Return the orders whose task was reported lost, and what is wrong about the others."""
    lost, complaints = set(), []
    for order in failed:
        rows = world.get("/api/history/tasks", chain="/flow", order=order, job="/work")["tasks"]
        codes = [str(row["error_code"]) for row in rows]
        logs = [world.task_log(int(row["task"])) for row in rows]
        if LOST in codes and all(LOST in log for log in logs):
            lost.add(order)
        else:
            complaints.append(f"{order} has failed with {codes}, its logs are {logs}")
    return lost, complaints


def judge(world: World, ids: list[str]) -> int:
    """Compare what was noted with what must be."""
    folder = world.folder
    effects, well, badly = (
        Counter((folder / name).read_text().split() if (folder / name).exists() else [])
        for name in ("effects", "well", "badly")
    )
    doubled = [each for each, count in effects.items() if count > 1]
    reported, complaints = lost_tasks(world, {**badly, **dict.fromkeys(doubled)})
    complaints += [
        f"{each} took effect {effects[each]} times" for each in doubled if each not in reported
    ]
    for each in ids:
        noted = well[each] + badly[each]
        if noted != 1:
            complaints.append(f"{each} was noted {noted} times")
        if well[each] and effects[each] != 1:
            complaints.append(f"{each} is done and took effect {effects[each]} times")
    lost = sum(effects[each] for each in badly)
    print(f"{len(well)} done, {len(badly)} failed; of the failed {lost} had taken effect")
    print(f"{len(reported)} reported lost with {LOST}, {len(doubled)} took effect more than once")
    print("\n".join(complaints) if complaints else "every effect once, every order ended once")
    return 1 if complaints else 0


if __name__ == "__main__":
    raise SystemExit(main())
