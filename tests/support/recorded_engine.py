"""An engine for cockpit tests: it plays events, answers requests, and can be away.

It folds its events with the real `evolve`, so a test can only tell stories that the kernel allows.
What a request does is decided by the test (`on_ask`), never guessed here.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from engine.codec.snapshot import snapshot_bytes, state_from_snapshot
from engine.kernel.commands import Request
from engine.kernel.events import Event
from engine.kernel.evolve import evolve
from engine.kernel.ids import AgentUri, EventNumber, JobKey, OrderKey, TaskId
from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.problems import Problem
from engine.kernel.reports import AgentStatus
from engine.kernel.state import State
from tests.support.remote_hosts import RecordedHosts
from tui.answers import Person, Trial
from tui.client import Accepted, EngineAway, LogLines, LogPart, LogWish, Overview, Snapshot
from tui.mirror import AgentPulse, Fact, FinishedRun, FinishedTask
from tui.remote import AuditLine, HostLook, SignalAnswer, SignalAsked

NOON = Instant(1_793_966_400_000)
"""2026-11-06 12:00:00 UTC."""


class RecordedEngine:
    """An `EngineClient` without an engine."""

    address = "recorded"

    def __init__(self) -> None:
        self.state = State()
        self.number = EventNumber(0)
        self.time = NOON
        self.asked: list[Request] = []
        self.logs: dict[TaskId, str] = {}
        self.finished_logs: set[TaskId] = set()
        self.wishes: list[LogWish] = []
        self.known_pulses: dict[AgentUri, AgentPulse] = {}
        self.runs: list[FinishedRun] = []
        self.tasks: list[FinishedTask] = []
        self.older_tasks: list[FinishedTask] = []
        self.order_logs: dict[OrderKey, str] = {}
        self.on_ask: Callable[[Request], Sequence[Event] | Problem] = lambda _request: ()
        self.reasons: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.tried: list[Request] = []
        self.on_try: Callable[[Request], Trial] = lambda _request: Trial()
        self.person: Person | None = Person(name="local", role="admin")
        self.snapshots = 0
        self.hosts = RecordedHosts(self.now)
        self.is_away = False
        self._facts: list[Fact] = []
        self._streams: list[asyncio.Queue[Fact | AgentPulse | None]] = []

    # --- the story ---------------------------------------------------------------------------

    def now(self) -> Instant:
        """Return the story's time."""
        return self.time

    def wait(self, seconds_: float) -> None:
        """Let time pass."""
        self.time = Instant(self.time + seconds(seconds_))

    def play(self, *events: Event, cause: str = "") -> None:
        """Let these events happen now."""
        for event in events:
            evolve(self.state, event)
            self.number = EventNumber(self.number + 1)
            fact = Fact(number=self.number, at=self.time, event=event, cause=cause)
            self._facts.append(fact)
            for stream in self._streams:
                stream.put_nowait(fact)

    def pulse(
        self,
        agent: str,
        status: AgentStatus = AgentStatus.COUPLED,
        *,
        heard_ago_s: float | None = 0,
        period_s: float = 10,
        timeout_s: float = 60,
        text: str = "",
    ) -> None:
        """Let an agent be heard of."""
        heard = None if heard_ago_s is None else Instant(self.time - seconds(heard_ago_s))
        pulse = AgentPulse(
            agent=AgentUri(agent),
            status=status,
            heard_at=heard,
            heartbeat_period=seconds(period_s),
            heartbeat_timeout=seconds(timeout_s),
            round_trip=Duration(3),
            run_id="a1b2c3",
            text=text,
        )
        self.known_pulses[pulse.agent] = pulse
        for stream in self._streams:
            stream.put_nowait(pulse)

    def write(self, task: int, text: str, *, complete: bool = False) -> None:
        """Let a task write into its log."""
        key = TaskId(task)
        self.logs[key] = self.logs.get(key, "") + text
        if complete:
            self.finished_logs.add(key)

    def go_away(self) -> None:
        """Break every stream and refuse new ones."""
        self.is_away = True
        for stream in self._streams:
            stream.put_nowait(None)

    def come_back(self) -> None:
        """Answer again."""
        self.is_away = False

    # --- EngineClient ------------------------------------------------------------------------

    async def snapshot(self) -> Snapshot:
        """Return a copy of the state."""
        self._check()
        self.snapshots += 1
        return Snapshot(state=state_from_snapshot(snapshot_bytes(self.state)), number=self.number)

    async def pulses(self) -> tuple[Instant, list[AgentPulse]]:
        """Return time and last signs of life."""
        self._check()
        return self.time, list(self.known_pulses.values())

    async def notices(self, after: EventNumber) -> AsyncGenerator[Fact | AgentPulse, None]:
        """Follow the story."""
        self._check()
        stream: asyncio.Queue[Fact | AgentPulse | None] = asyncio.Queue()
        # What was heard between the asking for pulses and the stream is not lost.
        for pulse in self.known_pulses.values():
            stream.put_nowait(pulse)
        for fact in self._facts:
            if fact.number > after:
                stream.put_nowait(fact)
        self._streams.append(stream)
        try:
            while True:
                notice = await stream.get()
                if notice is None:
                    raise EngineAway("connection refused")
                yield notice
        finally:
            self._streams.remove(stream)

    async def ask(self, request: Request, reason: str = "") -> Accepted | Problem:
        """Note the request; answer as the test wants it."""
        self._check()
        self.asked.append(request)
        self.reasons.append(reason)
        await self.may_answer.wait()
        done = self.on_ask(request)
        if isinstance(done, Problem):
            return done
        self.play(*done)
        return Accepted(number=self.number, subject="")

    async def try_request(self, request: Request) -> Trial:
        """Answer as the test wants it."""
        self._check()
        self.tried.append(request)
        return self.on_try(request)

    async def me(self) -> Person | None:
        """Return who asks."""
        self._check()
        return self.person

    async def task_log(self, task: TaskId, offset: int, limit: int) -> LogPart | None:
        """Return a piece of what `write` has written."""
        self._check()
        if task not in self.logs:
            return None
        data = self.logs[task].encode()
        start = max(len(data) + offset, 0) if offset < 0 else min(offset, len(data))
        piece = data[start : start + limit]
        return LogPart(
            text=piece.decode(),
            offset=start,
            next_offset=start + len(piece),
            complete=task in self.finished_logs,
        )

    async def log_lines(self, task: TaskId, wish: LogWish) -> LogLines | None:
        """Return the lines that have one of the words; times are the real engine's business."""
        self._check()
        self.wishes.append(wish)
        if task not in self.logs:
            return None
        data = self.logs[task].encode()
        lines = data[wish.offset :].decode().splitlines()
        words, without = wish.words.casefold().split("|"), wish.without.casefold().split("|")
        found = [
            line
            for line in lines
            if any(word in line.casefold() for word in words)
            and not any(word and word in line.casefold() for word in without)
        ]
        return LogLines(
            lines=tuple(found[-wish.limit :]),
            matched=len(found),
            total=len(lines),
            next_offset=len(data),
            at_end=True,
            complete=task in self.finished_logs,
        )

    async def past_runs(self) -> list[FinishedRun]:
        """Return the runs of before."""
        self._check()
        return list(self.runs)

    async def past_tasks(
        self, *, order: OrderKey | None = None, job: JobKey | None = None
    ) -> list[FinishedTask]:
        """Return the tasks of before; those of long ago only to who asks for an order or a job."""
        self._check()
        if order is None and job is None:
            return list(self.tasks)
        found = [*self.tasks, *self.older_tasks]
        return [one for one in found if order in {None, one.order} and job in {None, one.job}]

    async def order_log(self, order: OrderKey) -> str:
        """Return what happened to an order."""
        self._check()
        return self.order_logs.get(order, "")

    async def overview(self) -> Overview:
        """Return the engine at a glance."""
        self._check()
        return Overview(
            engine_id=self.state.main.scheduler_id,
            version="1.2.3",
            running=0,
            orders=len(self.state.orders),
            is_paused=False,
        )

    async def processes(self) -> list[HostLook] | None:
        """Return the hosts."""
        self._check()
        return self.hosts.listed()

    async def host_processes(
        self, host: str, *, everyone: bool = False, refresh: bool = False
    ) -> HostLook | None:
        """Return a host with its processes."""
        _ = (everyone, refresh)
        self._check()
        return self.hosts.detailed(host)

    async def signal(self, asked: SignalAsked) -> SignalAnswer:
        """Answer as the test wants it."""
        self._check()
        return self.hosts.signal(asked)

    async def process_audit(self, limit: int) -> list[AuditLine]:
        """Return what was done."""
        self._check()
        return self.hosts.attempts(limit)

    async def close(self) -> None:
        """Nothing to let go of."""

    def _check(self) -> None:
        if self.is_away:
            raise EngineAway("connection refused")
