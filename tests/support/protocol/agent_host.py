"""An agent's host: its disk, its processes, and the agent program with the real ledger.

It may: kill the agent program at any moment and start it again; go down as a whole and come back
with another boot identity, without its processes, without what was not yet written through to the
disk, and with a clock that starts anew; be suspended; be slow in writing through; take its time for
killing; run a clock that is a little wrong.

It may never: lose what was written through, or, as long as the host itself lives, anything that was
written at all. While the program is away the warden ends tasks whose lease is over, unless the whole
host is suspended.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.agent.ledger import Ledger
from engine.agent.ledger_parts import (
    Action,
    Bury,
    Discard,
    Execution,
    Kill,
    Launch,
    News,
    OutputRange,
    SaveLease,
    SaveSession,
    Terminate,
    event_of,
)
from engine.codec.agent_messages import (
    CommandRequest,
    ExecutionStatus,
    Numbered,
    Refusal,
    SessionAnswer,
    SessionRequest,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.kernel.ids import Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason
from tests.support.protocol.checker import Checker
from tests.support.protocol.clock import Clock, HostClock, Timer

TICK_MS = 400
SWEEP_MS = 10_000
LOOK_MS = 500

LedgerFactory = Callable[..., Ledger]


@dataclass(slots=True)
class Run:
    """One run folder."""

    key: ExecutionKey
    engine: str
    task: TaskId
    timeout: Duration
    boot: str
    begun: TaskBegun | None = None
    output: bytes = b""
    is_alive: bool = False
    exit_code: int | None = None
    reason: EndReason | None = None
    signalled: bool = False
    is_written_through: bool = False
    is_buried: bool = False
    """Only its key is kept."""


@dataclass(slots=True)
class Disk:
    """What survives the program, and mostly the host."""

    runs: dict[ExecutionKey, Run] = field(default_factory=dict)
    sessions: dict[str, Epoch] = field(default_factory=dict)
    leases: dict[str, tuple[str, int]] = field(default_factory=dict)


@dataclass(slots=True)
class Waiter:
    """A session request that waits for news."""

    request: SessionRequest
    respond: Callable[[Any], None]
    broken: Callable[[], None]
    timer: Timer


class AgentHost:
    """One agent, seen from the network."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        rng: random.Random,
        checker: Checker,
        trace: Callable[[str], None],
        ledger_factory: LedgerFactory = Ledger,
    ) -> None:
        self.name = name
        self._clock = clock
        self._rng = rng
        self._checker = checker
        self._trace = trace
        self._make_ledger = ledger_factory
        self.disk = Disk()
        self._boots = 0
        self._lives = 0
        self._is_suspended = False
        self._deferred: list[Callable[[], None]] = []
        self.is_powered = True
        self.disk_ms = 20
        self.ledger: Ledger | None = None
        self._waiters: dict[str, Waiter] = {}
        self._boot()
        self.start()

    # --- the host --------------------------------------------------------------------------------

    def is_up(self) -> bool:
        return self.is_powered

    def is_listening(self) -> bool:
        return self.ledger is not None

    def now(self) -> int:
        return self._host_clock.now()

    def _boot(self) -> None:
        self._boots += 1
        self.boot = f"{self.name}-boot{self._boots}"
        offset = self._rng.randrange(10**6) - self._clock.now
        self._host_clock = HostClock(self._clock, offset, self._rng.randrange(-1, 2))

    def power_off(self) -> None:
        """The host goes down: processes die, what was not written through may be gone."""
        self.crash()
        self.is_powered = False
        self._trace(f"{self.name} power off")
        for run in self.disk.runs.values():
            if run.is_alive:
                run.is_alive = False
                self._checker.ended(run.key, -1)
        for key in [key for key, run in self.disk.runs.items() if not run.is_written_through]:
            if self._rng.random() < 0.5:
                del self.disk.runs[key]

    def power_on(self) -> None:
        self._boot()
        self.is_powered = True
        self._trace(f"{self.name} power on as {self.boot}")
        self.start()

    def suspend(self) -> None:
        self._is_suspended = True
        self._trace(f"{self.name} suspended")
        for run in self.disk.runs.values():
            if run.is_alive:
                self._checker.frozen.add(run.key)

    def resume(self) -> None:
        if not self._is_suspended:
            return
        self._is_suspended = False
        self._trace(f"{self.name} resumed")
        deferred, self._deferred = self._deferred, []
        for work in deferred:
            self._clock.after(0, work)

    def _later(self, delay: int, work: Callable[[], None]) -> None:
        """Do something on this host, which takes a break while the host is suspended."""

        def run() -> None:
            if self._is_suspended:
                self._deferred.append(work)
            else:
                work()

        self._clock.after(delay, run)

    # --- the program -----------------------------------------------------------------------------

    def start(self) -> None:
        """Start the agent program on what the disk holds."""
        if self.ledger is not None or not self.is_powered:
            return
        self._lives += 1
        ledger = self._make_ledger(run=f"{self.name}-life{self._lives}", boot=self.boot)
        self._trace(f"{self.name} starts as {ledger.run}")
        for engine, epoch in self.disk.sessions.items():
            boot, base = self.disk.leases.get(engine, ("", 0))
            ledger.restore_session(engine, epoch, base if boot == self.boot else None)
        self.ledger = ledger
        for key, run in list(self.disk.runs.items()):
            if run.begun is None and run.boot == self.boot:
                # Its supervisor had not come to its first line, and never will.
                del self.disk.runs[key]
                continue
            if run.is_buried:
                ledger.restore_tombstone(run.engine, key, self.now())
                continue
            ledger.restore_execution(
                Execution(
                    key=key,
                    engine=run.engine,
                    task=run.task,
                    job="job",
                    timeout=run.timeout,
                    status=ExecutionStatus.RUNNING,
                    begun=run.begun,
                )
            )
            if not run.is_alive:
                self._tell_end(run)
        self._tick(ledger)
        self._look(ledger)
        self._sweep(ledger)

    def crash(self) -> None:
        """Kill the program; its processes go on."""
        if self.ledger is None:
            return
        self._trace(f"{self.name} program killed")
        self.ledger = None
        for waiter in self._waiters.values():
            waiter.broken()
        self._waiters.clear()
        self._watch()

    def _tick(self, ledger: Ledger) -> None:
        if self.ledger is ledger:
            self._do(ledger.tick(self.now()))
            self._later(TICK_MS, lambda: self._tick(ledger))

    def _sweep(self, ledger: Ledger) -> None:
        if self.ledger is ledger:
            self._do(ledger.sweep(self.now()))
            self._later(SWEEP_MS, lambda: self._sweep(ledger))

    def _look(self, ledger: Ledger) -> None:
        if self.ledger is ledger:
            for run in self.disk.runs.values():
                if run.begun is not None and run.is_alive:
                    self._do(ledger.grew(run.key, len(run.output), 0))
                    self._wake(run.engine)
            self._later(LOOK_MS, lambda: self._look(ledger))

    def _watch(self) -> None:
        """The warden: looks after the leases while the program is away."""
        if self.ledger is not None or not self.is_powered:
            return
        for run in list(self.disk.runs.values()):
            boot, base = self.disk.leases.get(run.engine, ("", 0))
            lease = base if boot == self.boot else -(2**62)
            if run.is_alive and lease + run.timeout <= self.now():
                self._kill(run, EndReason.LEASE_OVER)
        self._later(TICK_MS, self._watch)

    # --- requests --------------------------------------------------------------------------------

    def receive(
        self, request: Any, respond: Callable[[Any], None], broken: Callable[[], None]
    ) -> None:
        if self._is_suspended:
            self._deferred.append(lambda: self.receive(request, respond, broken))
            return
        if self.ledger is None:
            broken()
            return
        if isinstance(request, CommandRequest):
            answer, actions = self.ledger.command(request, self.now())
            self._do(actions)
            respond(answer)
        else:
            self._attend(self.ledger, request, respond, broken)

    def _attend(
        self,
        ledger: Ledger,
        request: SessionRequest,
        respond: Callable[[Any], None],
        broken: Callable[[], None],
    ) -> None:
        reply, actions = ledger.attend(request, self.now())
        self._do(actions)
        older = self._waiters.pop(request.engine, None)
        if older is not None:
            older.timer.cancel()
            older.respond(self._answer(ledger, News()))
        if isinstance(reply, Refusal):
            respond(reply)
        elif reply.is_empty() and request.wait:
            timer = self._clock.after(request.wait, lambda: self._time_out(request.engine, timer))
            self._waiters[request.engine] = Waiter(request, respond, broken, timer)
        else:
            respond(self._answer(ledger, reply))

    def _time_out(self, engine: str, timer: Timer) -> None:
        if self._is_suspended:
            self._deferred.append(lambda: self._time_out(engine, timer))
            return
        waiter = self._waiters.get(engine)
        if waiter is not None and waiter.timer is timer and self.ledger is not None:
            del self._waiters[engine]
            waiter.respond(self._answer(self.ledger, News()))

    def _wake(self, engine: str) -> None:
        waiter = self._waiters.get(engine)
        if waiter is None or self.ledger is None:
            return
        news = self.ledger.news(waiter.request)
        if not news.is_empty():
            waiter.timer.cancel()
            del self._waiters[engine]
            waiter.respond(self._answer(self.ledger, news))

    def _answer(self, ledger: Ledger, news: News) -> SessionAnswer:
        events = []
        for offer in news.offers:
            data = b""
            if isinstance(offer.content, OutputRange):
                part = offer.content
                run = self.disk.runs[part.key]
                data = run.output[part.offset : part.offset + part.length]
            events.append(Numbered(number=offer.number, event=event_of(offer, data)))
        return SessionAnswer(
            run=ledger.run,
            ledger=self.name,
            stamp=ledger.stamp(self.now()),
            executions=news.executions,
            events=tuple(events),
        )

    # --- actions ---------------------------------------------------------------------------------

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Launch():
                    self._launch(action)
                case Terminate():
                    self._terminate(self.disk.runs[action.key])
                case Kill():
                    for key in action.keys:
                        run = self.disk.runs.get(key)
                        if run is not None:
                            self._kill(run, action.reason)
                case Discard():
                    self.disk.runs.pop(action.key, None)
                case Bury():
                    self.disk.runs[action.key].is_buried = True
                case SaveSession():
                    self.disk.sessions[action.engine] = action.epoch
                case SaveLease():
                    self.disk.leases[action.engine] = (self.boot, action.base)

    def _launch(self, action: Launch) -> None:
        run = Run(
            key=action.key,
            engine=action.engine,
            task=action.task,
            timeout=action.timeout,
            boot=self.boot,
        )
        self.disk.runs[action.key] = run
        ledger = self.ledger

        def begin() -> None:
            if self.ledger is ledger and self.disk.runs.get(run.key) is run:
                run.is_written_through = True
                self._begin(run)

        self._later(self._rng.randrange(1, self.disk_ms), begin)

    def _begin(self, run: Run) -> None:
        assert self.ledger is not None
        if not self.ledger.may_start(run.key, self.now()):
            self._do(self.ledger.ended(TaskNotBegun(key=run.key, text=""), (0, 0), self.now()))
            self._wake(run.engine)
            return
        self._trace(f"{self.name} process of {run.key} starts")
        self._checker.started(run.key)
        run.is_alive = True
        run.begun = TaskBegun(key=run.key, pid=self._clock.now, started_at=Instant(1))
        self._do(self.ledger.launched(run.key, run.begun.pid, run.begun.started_at))
        self._wake(run.engine)
        self._later(self._rng.randrange(1_000), lambda: self._write(run))
        length = self._rng.choice((50, 2_000, 20_000, 90_000))
        self._later(self._rng.randrange(1, length), lambda: self._end(run, self._rng.randrange(3)))
        if run.reason is not None:
            self._kill(run, run.reason)

    def _write(self, run: Run) -> None:
        if run.is_alive:
            run.output += f"{len(run.output)} {run.key}\n".encode()
            self._later(self._rng.choice((10, 1_000, 15_000)), lambda: self._write(run))

    def _terminate(self, run: Run) -> None:
        if run.is_alive and not run.signalled:
            run.signalled = True
            if self._rng.random() < 0.7:
                self._later(self._rng.randrange(3_000), lambda: self._end(run, 143))

    def _kill(self, run: Run, reason: EndReason) -> None:
        run.reason = run.reason or reason
        self._later(self._rng.randrange(50), lambda: self._end(run, 137))

    def _end(self, run: Run, exit_code: int) -> None:
        if not run.is_alive or run.boot != self.boot:
            return
        self._trace(f"{self.name} process of {run.key} ends with {exit_code}")
        run.is_alive = False
        run.exit_code = exit_code
        self._checker.ended(run.key, exit_code)
        self._checker.truth(run.key).output = run.output
        if self.ledger is not None:
            self._tell_end(run)

    def _tell_end(self, run: Run) -> None:
        assert self.ledger is not None
        reason = run.reason or (EndReason.KILLED if run.signalled else EndReason.EXITED)
        ending = TaskEnded(
            key=run.key,
            exit_code=run.exit_code,
            signal=None,
            reason=reason,
            ended_at=Instant(1),
        )
        self._do(self.ledger.ended(ending, (len(run.output), 0), self.now()))
        self._wake(run.engine)

    def is_clean(self) -> bool:
        """Return whether nothing of any engine is left here."""
        return self.ledger is not None and not self.disk.runs and not self.ledger.count()
