"""A world from a seed: engines, agents, a network, a workload, and what goes wrong.

Faults stop after a while; then everything must come to rest: every key has an end that was told, no
process runs, no agent keeps anything.

    python -m tests.support.protocol.world 17          plays seed 17 and prints its trace
    python -m tests.support.protocol.world 0-20000     plays many and prints those that fail
    python -m tests.support.protocol.world 0-99 gentle with nothing that a task must not survive
"""

import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.agent.ledger import Ledger
from engine.drivers.link_core import Link
from engine.drivers.link_parts import LinkSettings
from engine.kernel.effects import KillMode
from engine.kernel.instants import Duration
from tests.support.protocol.agent_host import AgentHost, LedgerFactory
from tests.support.protocol.checker import Checker, Violation
from tests.support.protocol.clock import Clock
from tests.support.protocol.engine_host import EngineHost, LinkFactory
from tests.support.protocol.network import Faults, Network

TROUBLE_MS = 300_000
STRAYS_MS = 130_000
"""After the faults, until no message of that time is on its way any more."""
REST_MS_MAX = 400_000
"""Longer than the longest delay, the longest lease and the longest task."""
STEP_MS = 20_000
PROFILES = ((10_000, 60_000), (5_000, 10_000), (1_000, 2_000), (2_000, 30_000))


@dataclass
class World:
    """Everything in one place."""

    seed: int
    ledger_factory: LedgerFactory = Ledger
    link_factory: LinkFactory = Link
    lines: list[str] = field(default_factory=list)
    keeps_trace: bool = True
    is_gentle: bool = False
    """Only outages that every task has to survive (I4): one after the other, short enough."""

    def play(self) -> Checker:
        """Play the seed. Raises Violation."""
        self.rng = random.Random(self.seed)
        self.clock = Clock()
        self.checker = Checker(allows_loss=not self.is_gentle)
        self.network = Network(self.clock, self.rng, self._faults())
        self.agents = [
            AgentHost(
                f"agent{number}",
                self.clock,
                self.rng,
                self.checker,
                self.trace,
                self.ledger_factory,
            )
            for number in range(self.rng.randrange(1, 4))
        ]
        period, timeout = self.rng.choice(PROFILES)
        self.engines = [
            EngineHost(
                f"engine{number}",
                self.agents,
                self.clock,
                self.network,
                self.rng,
                self.checker,
                self.trace,
                period=period,
                timeout=timeout,
                settings=LinkSettings(),
                link_factory=self.link_factory,
            )
            for number in range(self.rng.choice((1, 1, 2)))
        ]
        self._workload()
        if self.is_gentle:
            self._gentle_trouble(period, timeout)
        else:
            self._trouble()
        self.clock.run_until(TROUBLE_MS)
        self._peace()
        self.clock.run_until(TROUBLE_MS + STRAYS_MS)
        while not self._is_at_rest() and self.clock.now < TROUBLE_MS + REST_MS_MAX:
            self.clock.run_until(self.clock.now + STEP_MS)
        self._demand_rest()
        return self.checker

    def trace(self, text: str) -> None:
        if self.keeps_trace:
            self.lines.append(f"{self.clock.now / 1000:9.3f} {text}")

    # --- what happens ----------------------------------------------------------------------------

    def _faults(self) -> Faults:
        pick = self.rng.choice
        if self.is_gentle:
            return Faults(duplicate=pick((0, 50)), reset=pick((0, 20)))
        return Faults(
            loss=pick((0, 0, 20, 200)),
            duplicate=pick((0, 50, 300)),
            reset=pick((0, 0, 50)),
            slow=pick((0, 0, 100)),
            very_slow=pick((0, 0, 20, 100)),
        )

    def _workload(self) -> None:
        for number in range(self.rng.randrange(1, 16)):
            engine = self.rng.choice(self.engines)
            at = self.rng.randrange(TROUBLE_MS)
            task = 100 + number
            self.clock.after(at, self._add(engine, task))
            if self.rng.random() < 0.3:
                mode = self.rng.choice(list(KillMode))
                later = at + self.rng.choice((1, 100, 5_000, 60_000))
                self.clock.after(later, self._kill(engine, task, mode))

    def _add(self, engine: EngineHost, task: int) -> Callable[[], None]:
        return lambda: engine.add_task(task)

    def _kill(self, engine: EngineHost, task: int, mode: KillMode) -> Callable[[], None]:
        return lambda: engine.kill_task(task, mode)

    def _trouble(self) -> None:
        kinds = [
            self._cut,
            self._crash_agent,
            self._crash_engine,
            self._power,
            self._suspend,
            self._slow_disk,
        ]
        chosen = [kind for kind in kinds if self.rng.random() < 0.5]
        for kind in chosen:
            for _ in range(self.rng.randrange(1, 5)):
                kind(self.rng.randrange(TROUBLE_MS), self._span())

    def _gentle_trouble(self, period: int, timeout: int) -> None:
        settings = LinkSettings()
        late = period + settings.delay(Duration(period)) + settings.interval(Duration(period))
        longest = (timeout - late) * 8 // 10
        at = self.rng.randrange(5_000)
        while at < TROUBLE_MS:
            span = self.rng.randrange(1, longest)
            self.rng.choice((self._cut, self._crash_agent, self._crash_engine))(at, span)
            at += span + timeout + self.rng.randrange(timeout)

    def _span(self) -> int:
        return self.rng.choice((50, 2_000, 15_000, 50_000, 90_000))

    def _cut(self, at: int, span: int) -> None:
        one, other = self.rng.choice(self.engines).name, self.rng.choice(self.agents).name
        ways = self.rng.choice(([(one, other)], [(other, one)], [(one, other), (other, one)]))
        for way in ways:
            self.clock.after(at, self._cut_way(way))
            self.clock.after(at + span, self._mend_way(way))

    def _cut_way(self, way: tuple[str, str]) -> Callable[[], None]:
        def cut() -> None:
            self.trace(f"cut {way[0]} -> {way[1]}")
            self.network.cut(*way)

        return cut

    def _mend_way(self, way: tuple[str, str]) -> Callable[[], None]:
        def mend() -> None:
            self.trace(f"mend {way[0]} -> {way[1]}")
            self.network.mend(*way)

        return mend

    def _crash_agent(self, at: int, span: int) -> None:
        agent = self.rng.choice(self.agents)
        self.clock.after(at, agent.crash)
        self.clock.after(at + span, agent.start)

    def _crash_engine(self, at: int, span: int) -> None:
        engine = self.rng.choice(self.engines)
        self.clock.after(at, engine.crash)
        self.clock.after(at + span, engine.start)

    def _power(self, at: int, span: int) -> None:
        agent = self.rng.choice(self.agents)
        self.clock.after(at, lambda: agent.power_off() if agent.is_powered else None)
        self.clock.after(at + span, lambda: None if agent.is_powered else agent.power_on())

    def _suspend(self, at: int, span: int) -> None:
        hosts: list[AgentHost | EngineHost] = [*self.agents, *self.engines]
        host = self.rng.choice(hosts)
        self.clock.after(at, host.suspend)
        self.clock.after(at + span, host.resume)

    def _slow_disk(self, at: int, span: int) -> None:
        if self.rng.random() < 0.5:
            agent = self.rng.choice(self.agents)
            self.clock.after(at, lambda: setattr(agent, "disk_ms", 5_000))
            self.clock.after(at + span, lambda: setattr(agent, "disk_ms", 20))
        else:
            engine = self.rng.choice(self.engines)
            self.clock.after(at, lambda: setattr(engine, "commit_ms", 30_000))
            self.clock.after(at + span, lambda: setattr(engine, "commit_ms", 20))

    def _peace(self) -> None:
        self.trace("peace")
        self.network.mend_all()
        for agent in self.agents:
            agent.resume()
            agent.disk_ms = 20
            if not agent.is_powered:
                agent.power_on()
            agent.start()
        for engine in self.engines:
            engine.resume()
            engine.commit_ms = 20
            engine.start()

    def _is_at_rest(self) -> bool:
        return all(agent.is_clean() for agent in self.agents) and not any(
            engine.journal.runs or engine.journal.waiting for engine in self.engines
        )

    def _demand_rest(self) -> None:
        for engine in self.engines:
            if engine.journal.runs or engine.journal.waiting:
                left = [*engine.journal.runs, *engine.journal.waiting]
                raise Violation(f"{engine.name} still waits for {left}")
            self.checker.at_rest(engine.journal.keys)
        for agent in self.agents:
            if not agent.is_clean():
                left = list(agent.disk.runs)
                raise Violation(f"{agent.name} still keeps {left}")


def main(arguments: list[str]) -> int:
    """Play the seeds named on the command line."""
    first, _, last = arguments[0].partition("-")
    seeds = range(int(first), int(last or first) + 1)
    failed = []
    lost = kills = 0
    for seed in seeds:
        world = World(seed, keeps_trace=len(seeds) == 1, is_gentle="gentle" in arguments)
        try:
            checker = world.play()
        except AssertionError as error:
            failed.append(seed)
            world.trace(f"seed {seed}: {error}")
            if len(seeds) > 1:
                sys.stdout.write(f"seed {seed}: {error}" + "\n")
        else:
            lost += checker.lost
            kills += checker.lease_kills
    if len(seeds) == 1:
        sys.stdout.write("\n".join(world.lines) + "\n")
    sys.stdout.write(
        f"{len(seeds)} seeds, {len(failed)} failed, {lost} lost tasks, {kills} lease kills" + "\n"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
