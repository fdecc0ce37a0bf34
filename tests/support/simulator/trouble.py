"""What goes wrong in a world, and when: drawn from the seed before anything happens.

Three kinds of worlds. In a *rough* one everything may happen. In a *gentle* one only outages that
every task has to survive (I4), one after the other and short enough. In a *neighbourly* one all of it
happens to the first engine and its connections, and nothing to the second, whose tasks must not
notice (I5).
"""

import random
from collections.abc import Callable
from enum import Enum
from functools import partial

from engine.agent.ledger import TIMEOUTS_KEPT
from engine.drivers.link_parts import LinkSettings
from engine.kernel.instants import Duration
from tests.support.protocol.clock import Clock
from tests.support.protocol.network import Faults, Network
from tests.support.simulator.agent_machine import AgentMachine
from tests.support.simulator.book import Book
from tests.support.simulator.engine_machine import EngineMachine
from tests.support.simulator.wire import Proxy

SLOW_MS = 20_000
"""The longest a stalled commit takes."""
ABSENCE_TIMEOUTS = 5 + TIMEOUTS_KEPT
"""For so many heartbeat timeouts an engine is away until nobody keeps anything for it: one until the
leases are over, one for the results, one until somebody looks, and some more."""


class Kind(Enum):
    """Kinds of worlds."""

    ROUGH = "rough"
    GENTLE = "gentle"
    NEIGHBOURLY = "neighbourly"

    @staticmethod
    def of_seed(seed: int) -> "Kind":
        return {3: Kind.GENTLE, 7: Kind.NEIGHBOURLY}.get(seed % 8, Kind.ROUGH)


class WorldNetwork(Network):
    """A network whose slowness has the measure of the leases in its world."""

    timeout = 10_000

    def _delay(self) -> int:
        if self._happens(self.faults.very_slow):
            return self._rng.randrange(2 * self.timeout)
        if self._happens(self.faults.slow):
            return self._rng.randrange(self.timeout // 2)
        return self._rng.randrange(1, 30)


def draw_faults(rng: random.Random, kind: Kind) -> Faults:
    """Return how bad the network is."""
    pick = rng.choice
    if kind is not Kind.ROUGH:
        return Faults(duplicate=pick((0, 50)), reset=pick((0, 20)))
    return Faults(
        loss=pick((0, 0, 20, 200)),
        duplicate=pick((0, 50, 300)),
        reset=pick((0, 0, 50)),
        slow=pick((0, 0, 100)),
        very_slow=pick((0, 0, 20, 100)),
    )


def draw_proxy(rng: random.Random, kind: Kind) -> Proxy:
    """Return how often something else answers."""
    if kind is not Kind.ROUGH:
        return Proxy()
    return Proxy(unavailable=rng.choice((0, 0, 30)), error=rng.choice((0, 0, 0, 10)))


class Trouble:
    """Plans the faults of one world."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        book: Book,
        network: Network,
        engines: list[EngineMachine],
        agents: list[AgentMachine],
        timeout: int,
        until: int,
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._book = book
        self._network = network
        self._engines = engines
        self._agents = agents
        self._timeout = timeout
        self._until = until

    # --- plans -----------------------------------------------------------------------------------

    def plan(self, kind: Kind, period: int) -> None:
        """Draw what happens when."""
        match kind:
            case Kind.ROUGH:
                self._plan_rough()
            case Kind.GENTLE:
                self._plan_gentle(period)
            case Kind.NEIGHBOURLY:
                self._plan_neighbourly()

    def _plan_rough(self) -> None:
        kinds = [
            self._cut,
            self._kill_agent,
            self._stop_agent,
            self._kill_engine,
            self._power,
            self._sleep,
            self._slow_disk,
            self._full_disk,
            self._set_clock,
        ]
        for kind in kinds:
            if self._rng.random() < 0.5:
                for _ in range(self._rng.randrange(1, 4)):
                    kind(self._rng.randrange(self._until), self._span())
        if len(self._agents) > 1 and self._rng.random() < 0.2:
            scrapped = self._rng.choice(self._agents)
            self._clock.after(self._rng.randrange(self._until), scrapped.scrap)

    def _plan_gentle(self, period: int) -> None:
        settings = LinkSettings()
        late = period + settings.delay(Duration(period)) + settings.interval(Duration(period))
        longest = (self._timeout - late) * 8 // 10
        at = self._rng.randrange(5_000)
        while at < self._until:
            span = self._rng.randrange(1, longest)
            self._rng.choice((self._cut, self._kill_agent, self._kill_engine))(at, span)
            at += span + self._timeout + self._rng.randrange(self._timeout)

    def _plan_neighbourly(self) -> None:
        self._engines = self._engines[:1]
        for _ in range(self._rng.randrange(2, 8)):
            kind = self._rng.choice((self._cut, self._kill_engine, self._sleep_engine))
            kind(self._rng.randrange(self._until), self._span())

    def plan_deaths(self, rng: random.Random) -> None:
        """Let engines die in the middle of commits, where it matters most what comes first."""
        at = 0
        while at < self._until:
            at += rng.randrange(10_000)
            work = partial(
                rng.choice(self._engines).die_at_commit,
                rng.randrange(6),
                is_durable=rng.random() < 0.7,
            )
            self._clock.after(at, work)

    def plan_absences(self, rng: random.Random) -> None:
        """Let somebody be away for long just after a start, while nobody else knows of it yet."""
        kinds = (*[self._engine_is_forgotten] * 2, self._agent_forgets, self._loss_on_its_way)
        for _ in range(rng.randrange(1, 6)):
            work = partial(rng.choice(kinds), rng)
            at = rng.randrange(self._until // 2)
            self._clock.after(at, partial(self._book.at_next_start.append, work))

    def _engine_is_forgotten(self, rng: random.Random, engine: str, _: str) -> None:
        """The engine is away for longer than results are kept."""
        machine = self._engine(engine)
        at = rng.choice((1, 20, 200, 1_000))
        away = ABSENCE_TIMEOUTS * self._timeout - rng.randrange(self._timeout)
        self._clock.after(at, partial(machine.stay_away, away))

    def _agent_forgets(self, rng: random.Random, engine: str, agent: str) -> None:
        """The agent is set up anew, the engine starts again before and after they have spoken."""
        machine, host = self._engine(engine), self._agent(agent)
        at = 0
        for _ in range(rng.randrange(1, 4)):
            at += rng.choice((1, 20, 200, 1_000))
            self._clock.after(at, machine.kill)
            at += rng.choice((1, 20, 500))
            self._clock.after(at, machine.start)
        self._clock.after(rng.choice((1, 20, 200)), host.come_back_empty)

    def _loss_on_its_way(self, rng: random.Random, engine: str, agent: str) -> None:
        """The agent is back when its tasks are lost, and the engine dies before it has that."""
        machine, host = self._engine(engine), self._agent(agent)
        machine.slow_down(SLOW_MS)
        away = self._timeout + LinkSettings().kill_grace
        is_cut = rng.random() < 0.5
        if is_cut:
            self._cut_off(engine, agent)
        else:
            host.kill()
        back = away + rng.randrange(2_000)
        self._clock.after(back, partial(self._join, engine, agent) if is_cut else host.start)
        dies = partial(machine.die_at_commit, rng.randrange(3), is_durable=False)
        self._clock.after(rng.randrange(back), dies)
        self._clock.after(back + SLOW_MS, lambda: machine.slow_down(0))

    def _cut_off(self, one: str, other: str) -> None:
        self._book.trace(f"cut {one} - {other}")
        self._network.cut(one, other)
        self._network.cut(other, one)

    def _join(self, one: str, other: str) -> None:
        self._book.trace(f"mend {one} - {other}")
        self._network.mend(one, other)
        self._network.mend(other, one)

    def _engine(self, name: str) -> EngineMachine:
        return next(each for each in self._engines if each.name == name)

    def _agent(self, name: str) -> AgentMachine:
        return next(each for each in self._agents if each.name == name)

    def _span(self) -> int:
        timeout = self._timeout
        return self._rng.choice((50, 2_000, timeout // 2, timeout + 3_000, 2 * timeout))

    # --- faults ----------------------------------------------------------------------------------

    def _cut(self, at: int, span: int) -> None:
        one, other = self._rng.choice(self._engines).name, self._rng.choice(self._agents).name
        ways = self._rng.choice(([(one, other)], [(other, one)], [(one, other), (other, one)]))
        for way in ways:
            self._at(at, f"cut {way[0]} -> {way[1]}", partial(self._network.cut, *way))
            self._at(at + span, f"mend {way[0]} -> {way[1]}", partial(self._network.mend, *way))

    def _kill_agent(self, at: int, span: int) -> None:
        agent = self._rng.choice(self._agents)
        self._clock.after(at, agent.kill)
        self._clock.after(at + span, agent.start)

    def _stop_agent(self, at: int, _: int) -> None:
        self._clock.after(at, self._rng.choice(self._agents).stop)

    def _kill_engine(self, at: int, span: int) -> None:
        engine = self._rng.choice(self._engines)
        self._clock.after(at, engine.kill)
        self._clock.after(at + span, engine.start)

    def _power(self, at: int, span: int) -> None:
        agent = self._rng.choice(self._agents)
        self._clock.after(at, agent.power_off)
        self._clock.after(at + span, agent.power_on)

    def _sleep(self, at: int, span: int) -> None:
        if self._rng.random() < 0.5:
            self._sleep_engine(at, span)
        else:
            agent = self._rng.choice(self._agents)
            self._clock.after(at, agent.fall_asleep)
            self._at(at + span, f"{agent.name} wakes up", agent.wake_up)

    def _sleep_engine(self, at: int, span: int) -> None:
        engine = self._rng.choice(self._engines)
        self._at(at, f"{engine.name} falls asleep", engine.fall_asleep)
        if self._rng.random() < 0.3:
            self._clock.after(at + span // 2, engine.usurp)
        self._at(at + span, f"{engine.name} wakes up", engine.wake_up)

    def _slow_disk(self, at: int, span: int) -> None:
        if self._rng.random() < 0.3:
            disk = self._rng.choice(self._agents).processes
            self._at(at, "slow disk of an agent", lambda: setattr(disk, "disk_ms", 5_000))
            self._at(at + span, "", lambda: setattr(disk, "disk_ms", 20))
        else:
            engine = self._rng.choice(self._engines)
            slow = self._rng.choice((1_000, SLOW_MS))
            self._at(at, f"slow disk of {engine.name}", lambda: engine.slow_down(slow))
            self._at(at + span, "", lambda: engine.slow_down(0))

    def _full_disk(self, at: int, span: int) -> None:
        engine = self._rng.choice(self._engines)
        faults = engine.disk.faults
        self._at(at, f"full disk of {engine.name}", lambda: setattr(faults, "refusal", "full"))
        self._at(at + span, "", lambda: setattr(faults, "refusal", ""))

    def _set_clock(self, at: int, _: int) -> None:
        by = self._rng.randrange(-60_000, 60_000)
        machines = [*self._agents, *(engine.host for engine in self._engines)]
        machine = self._rng.choice(machines)
        self._book.set_clocks.add(machine.name)
        self._at(at, f"clock of {machine.name} set by {by}", lambda: machine.set_wall_clock(by))

    def _at(self, at: int, text: str, work: Callable[[], None]) -> None:
        def run() -> None:
            if text:
                self._book.trace(text)
            work()

        self._clock.after(at, run)

    # --- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """Mend everything."""
        self._book.trace("peace")
        self._book.at_next_start.clear()
        self._network.mend_all()
        for agent in self._agents:
            agent.wake_up()
            agent.processes.disk_ms = 20
            agent.processes.is_calm = True
            agent.power_on()
            agent.start()
        for engine in self._engines:
            engine.disk.faults.refusal = ""
            engine.slow_down(0)
            engine.wake_up()
            engine.come_back()
