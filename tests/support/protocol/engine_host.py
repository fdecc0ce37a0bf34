"""An engine's host: its journal, and the life of an engine with real links to its agents.

It may: kill the engine at any moment and start it again in a new epoch; be slow in committing, for
milliseconds or for a minute; be suspended; lose everything that was not committed; run a clock that
is a little wrong.

It may never: lose what was committed, or commit for a life that has ended.

In place of the kernel stands the least that makes demands: tasks that want to run somewhere, another
agent after "not launched: unreachable", nothing more after any other end.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.codec.agent_messages import CommandAnswer, Output, Refusal, SessionAnswer
from engine.drivers.link_core import Link
from engine.drivers.link_parts import (
    Cancel,
    Deliver,
    FailureKind,
    LinkAction,
    LinkSettings,
    SendCommands,
    SendSession,
)
from engine.kernel.effects import KeepAgent, KillMode, ProcessSpec, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration
from engine.kernel.reports import (
    AgentContact,
    LaunchFailure,
    Report,
    TaskLaunched,
    TaskNotLaunched,
)
from tests.support.protocol.agent_host import AgentHost
from tests.support.protocol.checker import Checker
from tests.support.protocol.clock import Clock, HostClock, Timer
from tests.support.protocol.network import Exchange, Network

RETRY_MS = 3_000
ATTEMPTS_MAX = 40

LinkFactory = Callable[..., Link]


@dataclass(slots=True)
class Journal:
    """What is committed."""

    epoch: int = 0
    runs: dict[ExecutionKey, RunProcess] = field(default_factory=dict)
    """Demanded now."""
    waiting: dict[TaskId, int] = field(default_factory=dict)
    """Tasks to be tried again, with the number of their next attempt."""
    logs: dict[TaskId, bytes] = field(default_factory=dict)
    keys: list[ExecutionKey] = field(default_factory=list)


@dataclass(slots=True)
class Life:
    """One life of the engine."""

    epoch: int
    links: dict[str, Link] = field(default_factory=dict)
    timers: dict[str, Timer] = field(default_factory=dict)
    exchanges: dict[tuple[str, int], Exchange] = field(default_factory=dict)
    deliveries: dict[str, list[Deliver]] = field(default_factory=dict)
    is_delivering: set[str] = field(default_factory=set)


class EngineHost:
    """One engine with all agents of the world."""

    def __init__(
        self,
        name: str,
        agents: Sequence[AgentHost],
        clock: Clock,
        network: Network,
        rng: random.Random,
        checker: Checker,
        trace: Callable[[str], None],
        *,
        period: int,
        timeout: int,
        settings: LinkSettings,
        link_factory: LinkFactory = Link,
    ) -> None:
        self.name = name
        self._agents = {agent.name: agent for agent in agents}
        self._clock = clock
        self._host_clock = HostClock(clock, rng.randrange(10**6), rng.randrange(-1, 2))
        self._network = network
        self._rng = rng
        self._checker = checker
        self._trace = trace
        self._period = Duration(period)
        self._timeout = Duration(timeout)
        self._settings = settings
        self._make_link = link_factory
        self._is_suspended = False
        self._deferred: list[Callable[[], None]] = []
        self.commit_ms = 20
        self.journal = Journal()
        self.life: Life | None = None
        self.start()

    # --- life ------------------------------------------------------------------------------------

    def now(self) -> int:
        return self._host_clock.now()

    def start(self) -> None:
        if self.life is not None:
            return
        self.journal.epoch += 1
        life = Life(epoch=self.journal.epoch)
        self.life = life
        self._trace(f"{self.name} starts in epoch {life.epoch}")
        for name in self._agents:
            life.links[name] = self._make_link(
                agent=AgentUri(name),
                engine=self.name,
                epoch=Epoch(life.epoch),
                settings=self._settings,
                at=self.now(),
            )
        self._demand(life, may_be_older=life.epoch > 1)
        for task in list(self.journal.waiting):
            self._retry(task)

    def crash(self) -> None:
        if self.life is None:
            return
        self._trace(f"{self.name} killed")
        for exchange in self.life.exchanges.values():
            exchange.cancel()
        for timer in self.life.timers.values():
            timer.cancel()
        self.life = None

    def suspend(self) -> None:
        self._is_suspended = True
        self._trace(f"{self.name} suspended")

    def resume(self) -> None:
        if self._is_suspended:
            self._is_suspended = False
            self._trace(f"{self.name} resumed")
            deferred, self._deferred = self._deferred, []
            for work in deferred:
                self._clock.after(0, work)

    def _guarded(self, life: Life, work: Callable[[], None]) -> Callable[[], None]:
        """Let something happen only in this life, and not while the host is suspended."""

        def run() -> None:
            if self.life is not life:
                return
            if self._is_suspended:
                self._deferred.append(run)
            else:
                work()

        return run

    # --- the stand-in for the kernel -------------------------------------------------------------

    def add_task(self, number: int) -> None:
        """Somebody wants a task to run."""
        self.journal.waiting[TaskId(number)] = 1
        self._retry(TaskId(number))

    def kill_task(self, number: int, mode: KillMode) -> None:
        """Somebody wants a task to end."""
        for key, run in self.journal.runs.items():
            if run.task == number:
                self._trace(f"{self.name} wants {mode.value} of {key}")
                self.journal.runs[key] = replace(run, kill=mode, may_start=False)
                if self.life is not None:
                    self._demand(self.life)
                return

    def _retry(self, task: TaskId) -> None:
        life = self.life
        if life is None or task not in self.journal.waiting:
            return
        attempt = self.journal.waiting.pop(task)
        names = list(self._agents)
        agent = names[(task + attempt) % len(names)]
        key = ExecutionKey(f"{self.name}/{task}.{attempt}")
        self._trace(f"{self.name} demands {key} at {agent}")
        self.journal.keys.append(key)
        self.journal.runs[key] = RunProcess(
            key=key,
            task=task,
            agent=AgentUri(agent),
            heartbeat_period=self._period,
            heartbeat_timeout=self._timeout,
            spec=ProcessSpec(job="job", script="true", environment={}),
            ledger=agent,  # as long as its disk is never lost
        )
        self._demand(life)

    def _demand(self, life: Life, *, may_be_older: bool = False) -> None:
        for name, link in life.links.items():
            keep = KeepAgent(
                agent=AgentUri(name),
                heartbeat_period=self._period,
                heartbeat_timeout=self._timeout,
            )
            runs = {key: run for key, run in self.journal.runs.items() if run.agent == name}
            self._do(life, name, link.demand(keep, runs, self.now(), may_be_older=may_be_older))

    def _commit(self, items: Sequence[Report | Output]) -> None:
        for item in items:
            if isinstance(item, Output):
                self._store(item)
            elif isinstance(item, AgentContact):
                continue
            elif isinstance(item, TaskLaunched):
                self._checker.launched(item.key, item)
                run = self.journal.runs.get(item.key)
                if run is not None:
                    self.journal.runs[item.key] = replace(run, has_started=True)
            else:
                self._end(item)

    def _store(self, piece: Output) -> None:
        log = self.journal.logs.get(piece.task, b"")
        assert piece.offset <= len(log), "I6: a piece of the log is missing"
        self.journal.logs[piece.task] = (
            log[: piece.offset] + piece.data + log[piece.offset + len(piece.data) :]
        )

    def _end(self, report: Any) -> None:
        run = self.journal.runs.pop(report.key, None)
        if run is None:
            return  # told once more
        log = self.journal.logs.get(run.task, b"")
        self._trace(f"{self.name} commits {type(report).__name__} of {report.key}")
        self._checker.committed(report.key, report, log)
        is_unreachable = (
            isinstance(report, TaskNotLaunched) and report.failure is LaunchFailure.UNREACHABLE
        )
        attempt = int(report.key.rpartition(".")[2]) + 1
        if is_unreachable and run.kill is None and attempt < ATTEMPTS_MAX:
            self.journal.waiting[run.task] = attempt
            self._clock.after(RETRY_MS, lambda: self._retry(run.task))

    # --- the driver's part -----------------------------------------------------------------------

    def _do(self, life: Life, name: str, actions: Sequence[LinkAction]) -> None:
        for action in actions:
            match action:
                case SendSession() | SendCommands():
                    self._send(life, name, action)
                case Cancel():
                    exchange = life.exchanges.pop((name, action.ticket), None)
                    if exchange is not None:
                        exchange.cancel()
                case Deliver():
                    life.deliveries.setdefault(name, []).append(action)
                    self._deliver(life, name)
        timer = life.timers.get(name)
        if timer is not None:
            timer.cancel()
        link = life.links[name]
        delay = max(0, self._host_clock.delay_until(link.wakeup()))
        life.timers[name] = self._clock.after(
            min(delay, 10**9),
            self._guarded(life, lambda: self._do(life, name, link.tick(self.now()))),
        )

    def _send(self, life: Life, name: str, action: SendSession | SendCommands) -> None:
        link = life.links[name]
        ticket = action.ticket
        is_session = isinstance(action, SendSession)

        def take(answer: Any) -> None:
            life.exchanges.pop((name, ticket), None)
            at = self.now()
            match answer:
                case SessionAnswer():
                    actions = link.session_answered(ticket, answer, at)
                case CommandAnswer():
                    actions = link.commands_answered(ticket, answer, at)
                case Refusal() if is_session:
                    actions = link.session_refused(ticket, answer, at)
                case Refusal():
                    actions = link.commands_refused(ticket, answer, at)
                case text:
                    failed = link.session_failed if is_session else link.commands_failed
                    actions = failed(ticket, FailureKind.UNREACHABLE, text, at)
            self._do(life, name, actions)

        def pass_on(answer: Any) -> None:
            self._guarded(life, lambda: take(answer))()

        life.exchanges[name, ticket] = self._network.request(
            self.name, self._agents[name], action.request, action.patience, pass_on, pass_on
        )

    def _deliver(self, life: Life, name: str) -> None:
        if name in life.is_delivering or not life.deliveries.get(name):
            return
        delivery = life.deliveries[name].pop(0)
        life.is_delivering.add(name)

        def done() -> None:
            self._commit(delivery.items)
            life.is_delivering.discard(name)
            link = life.links[name]
            self._do(life, name, link.committed(delivery.mark, self.now()))
            self._demand(life)
            self._deliver(life, name)

        self._clock.after(self._rng.randrange(1, self.commit_ms), self._guarded(life, done))
