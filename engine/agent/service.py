"""The agent without its HTTP interface: connects the pure ledger with the host's processes."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from engine.agent.host import FoundRun, Start, TaskHost
from engine.agent.ledger import Ledger
from engine.agent.ledger_parts import (
    Action,
    Bury,
    Discard,
    Execution,
    Kill,
    Launch,
    Moment,
    News,
    Offer,
    OutputRange,
    SaveLease,
    SaveSession,
    Terminate,
    event_of,
)
from engine.agent.session_files import LeaseRecord, SessionFiles, SessionRecord
from engine.codec.agent_messages import (
    CommandAnswer,
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
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Instant
from engine.kernel.reports import EndReason

log = logging.getLogger(__name__)

TICK_S = 0.2
"""Between looks at the leases."""
SWEEP_MS = 10_000
WAIT_S_MAX = 3600.0
"""No request waits longer, whatever its engine asks for."""


def boot_time() -> Moment:
    """Return the boot-time clock in milliseconds: it goes on while the host sleeps."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


@dataclass(slots=True)
class _Line:
    """Who waits for news of one engine."""

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    turn: int = 0
    """Counts session requests: an older one still waiting gives way to a newer one."""


class AgentService:
    """Answers requests and carries out what the ledger decides. One event loop uses it."""

    def __init__(
        self,
        ledger: Ledger,
        files: SessionFiles,
        ledger_id: str,
        *,
        clock: Callable[[], Moment] = boot_time,
        tick_s: float = TICK_S,
    ) -> None:
        """`clock` is the host's boot-time clock; the simulator brings its own."""
        self.ledger = ledger
        self._clock = clock
        self._tick_s = tick_s
        self.ledger_id = ledger_id
        self._files = files
        self._lines: dict[str, _Line] = {}
        self.host: TaskHost
        self.quiet = asyncio.Event()
        """Set when no process runs, after `terminate`."""
        self.on_first_launch: Callable[[], None] | None = None

    # --- life ------------------------------------------------------------------------------------

    def restore_sessions(self) -> None:
        """Take up the sessions on disk."""
        for record, lease in self._files.read():
            base = lease.base if lease is not None and lease.boot == self.ledger.boot else None
            self.ledger.restore_session(record.engine, record.epoch, base)

    def restore_runs(self, found: Iterable[FoundRun]) -> None:
        """Take up the runs a former life of this program has left."""
        for run in found:
            if run.about.is_buried:
                self.ledger.restore_tombstone(run.about.engine, run.key, self._clock())
                continue
            begun = None
            if run.pid is not None:
                begun = TaskBegun(key=run.key, pid=run.pid, started_at=run.about.began_at)
            self.ledger.restore_execution(
                Execution(
                    key=run.key,
                    engine=run.about.engine,
                    task=run.about.task,
                    job=run.about.job,
                    timeout=run.about.timeout,
                    status=ExecutionStatus.RUNNING,
                    begun=begun,
                )
            )

    async def run(self) -> None:
        """Watch leases and retention until cancelled."""
        sweep_at = self._clock()
        while True:
            at = self._clock()
            self._do(self.ledger.tick(at))
            if at >= sweep_at:
                sweep_at = at + min(SWEEP_MS, self.ledger.retention)
                self._do(self.ledger.sweep(at))
            await asyncio.sleep(self._tick_s)

    # --- requests --------------------------------------------------------------------------------

    async def session(self, request: SessionRequest) -> SessionAnswer | Refusal:
        """Answer a session request: at once with news, after its wait with a heartbeat."""
        line = self._lines.setdefault(request.engine, _Line())
        line.turn += 1
        turn = line.turn
        line.wake.set()
        line.wake = asyncio.Event()
        reply, actions = self.ledger.attend(request, self._clock())
        self._do(actions)
        if isinstance(reply, Refusal):
            return reply
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(request.wait / 1000, WAIT_S_MAX)
        was_terminating = self.ledger.is_terminating
        while reply.is_empty() and turn == line.turn:
            wake = line.wake
            try:
                async with asyncio.timeout_at(deadline):
                    await wake.wait()
            except TimeoutError:
                break
            if turn != line.turn or self.ledger.is_terminating != was_terminating:
                break
            wake.clear()
            reply = self.ledger.news(request)
        return self._answer(reply)

    def command(self, request: CommandRequest) -> CommandAnswer | Refusal:
        """Carry out commands."""
        reply, actions = self.ledger.command(request, self._clock())
        self._do(actions)
        return reply

    def _answer(self, news: News) -> SessionAnswer:
        return SessionAnswer(
            run=self.ledger.run,
            ledger=self.ledger_id,
            stamp=self.ledger.stamp(self._clock()),
            is_terminating=self.ledger.is_terminating,
            executions=news.executions,
            events=tuple(self._numbered(offer) for offer in news.offers),
        )

    def _numbered(self, offer: Offer) -> Numbered:
        data = b""
        if isinstance(offer.content, OutputRange):
            part = offer.content
            data = self.host.read(part.key, part.channel, part.offset, part.length)
        return Numbered(number=offer.number, event=event_of(offer, data))

    # --- the program's end -----------------------------------------------------------------------

    def terminate(self) -> None:
        """Take no new tasks, and let the engines know."""
        self.ledger.terminate()
        for engine in self._lines:
            self._tell(engine)
        self._look_quiet()

    def send_all(self, *, kill: bool) -> None:
        """Send SIGTERM to all programs, or kill all trees."""
        keys = self.ledger.running()
        if kill:
            self.host.kill(keys, EndReason.AGENT_STOPPED)
            return
        for key in keys:
            self.host.terminate(key, EndReason.AGENT_STOPPED)

    # --- what the host tells (HostListener) ------------------------------------------------------

    def may_start(self, key: ExecutionKey) -> bool:
        """Return whether the ledger still wants it."""
        return self.ledger.may_start(key, self._clock())

    def launched(self, key: ExecutionKey, pid: int, started_at: Instant) -> None:
        """Pass on that a program runs."""
        self._do(self.ledger.launched(key, pid, started_at))
        self._tell_of(key)

    def not_launched(self, key: ExecutionKey, text: str) -> None:
        """Pass on that a program could not be started."""
        self._end(TaskNotBegun(key=key, text=text), (0, 0))

    def grew(self, key: ExecutionKey, stdout: int, stderr: int) -> None:
        """Pass on that there is more output."""
        self._do(self.ledger.grew(key, stdout, stderr))
        self._tell_of(key)

    def ended(self, ending: TaskEnded, stdout: int, stderr: int) -> None:
        """Pass on that a program is over."""
        self._end(ending, (stdout, stderr))

    def _end(self, ending: TaskEnded | TaskNotBegun, sizes: Sequence[int]) -> None:
        engine = self.ledger.engine_of(ending.key)
        self._do(self.ledger.ended(ending, sizes, self._clock()))
        self._tell(engine)
        self._look_quiet()

    def _look_quiet(self) -> None:
        if self.ledger.is_terminating and not self.host.live_count():
            self.quiet.set()

    def _tell_of(self, key: ExecutionKey) -> None:
        self._tell(self.ledger.engine_of(key))

    def _tell(self, engine: str) -> None:
        line = self._lines.get(engine)
        if line is not None:
            line.wake.set()

    def _first_launch(self) -> None:
        if self.on_first_launch is not None:
            self.on_first_launch()
            self.on_first_launch = None

    # --- actions ---------------------------------------------------------------------------------

    def _do(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Launch():
                    self._first_launch()
                    self.host.begin(
                        Start(
                            key=action.key,
                            engine=action.engine,
                            task=action.task,
                            timeout=action.timeout,
                            spec=action.spec,
                        )
                    )
                case Terminate():
                    self.host.terminate(action.key, EndReason.KILLED)
                case Kill():
                    log.info("Killing %d task(s): %s", len(action.keys), action.reason.value)
                    self.host.kill(action.keys, action.reason)
                case Discard():
                    self.host.discard(action.key)
                case Bury():
                    log.warning(
                        "Nobody has asked for the result of task %s; it is dropped", action.key
                    )
                    self.host.bury(action.key)
                case SaveSession():
                    self._files.save(SessionRecord(engine=action.engine, epoch=action.epoch))
                case SaveLease():
                    lease = LeaseRecord(boot=self.ledger.boot, base=action.base)
                    self._files.save_lease(action.engine, lease)
