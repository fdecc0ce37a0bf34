"""An engine behind the port, without drivers: the real kernel, a journal in memory, time by hand.

It never starts a process: tests play the drivers with `report`. It keeps every event, loses none,
and commits at once.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC

from engine.codec.journal import JOURNAL, StoredEvent
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.kernel.commands import ApplyDefinitions, BeginEpoch, ObjectRef, Request
from engine.kernel.definitions import Definition, Include, Text
from engine.kernel.ids import AgentUri, Epoch, EventNumber, HistoryId, JobKey, OrderKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.problems import Problem
from engine.kernel.reports import EndReason, Report, TaskExited, TaskLaunched
from engine.kernel.state import State
from engine.kernel.step import step
from engine.server.engine_port import (
    Accepted,
    AgentPulse,
    EngineStopping,
    HistoryQuery,
    LogPart,
    Notice,
    OrderHistoryEntry,
    TaskHistoryEntry,
    TooOld,
)

NOW = Instant(1_700_000_000_000)
FACTS = EngineFacts(
    version="1.2.3",
    host="testhost",
    pid=4711,
    started_at=NOW,
    live_folder="/etc/live",
    log_file="/var/log/engine.log",
)


class FakeEngine:
    """See the module's docstring."""

    def __init__(self, *definitions: Definition) -> None:
        self._state = State()
        self.rows: list[StoredEvent] = []
        self.oldest = 0
        """Events up to this one are forgotten."""
        self.time = NOW
        self.obstacle = ""
        self.is_stopping = False
        self.terminated: list[tuple[Duration | None, bool]] = []
        self.aborts: list[bool] = []
        self.rotated = 0
        self.looked = 0
        self.live_files: dict[str, str] = {}
        self.removed_files: list[ObjectRef] = []
        self.has_files = True
        self.causes: list[str] = []
        self.logs: dict[int, str] = {}
        self.tasks_past: list[TaskHistoryEntry] = []
        self.orders_past: list[OrderHistoryEntry] = []
        self.durations: dict[OrderKey | JobKey, Duration] = {}
        self.last_pulses: dict[AgentUri, AgentPulse] = {}
        self.variables: dict[str, str] = {}
        self.followed = asyncio.Event()
        """A stream has begun to follow."""
        self.deserted = asyncio.Event()
        """A stream has ended."""
        self._changed = asyncio.Condition()
        self._volatile: list[AgentPulse] = []
        self.step(BeginEpoch(epoch=Epoch(1), engine_id="test"))
        if definitions:
            self.step(ApplyDefinitions(defined=definitions))

    # --- what tests do ---------------------------------------------------------------------------

    def step(self, asked: Request | Report, by: str = "") -> Accepted | Problem:
        """Carry out an input at once."""
        done = step(self._state, asked, self.time)
        for event in done.events:
            new = JOURNAL.new_event(event, self.time, by)
            number = EventNumber(len(self.rows) + 1)
            self.rows.append(
                StoredEvent(number=number, at=new.at, kind=new.kind, body=new.body, cause=new.cause)
            )
        if isinstance(done.reply, Problem):
            return done.reply
        return Accepted(number=self.number, subject=done.reply.subject)

    def launch(self, task: int = 1, pid: int = 100) -> None:
        """Play the driver: the task's process runs."""
        key = self._state.tasks[TaskId(task)].key
        assert key is not None
        self.step(TaskLaunched(key=key, pid=pid, started_at=self.time))

    def end(self, task: int = 1, code: int = 0) -> None:
        """Play the driver: the task's process has ended."""
        key = self._state.tasks[TaskId(task)].key
        assert key is not None
        self.step(
            TaskExited(
                key=key,
                exit_code=code,
                signal=None,
                reason=EndReason.EXITED,
                ended_at=self.time,
                returned={},
            )
        )

    async def tell(self, pulse: AgentPulse | None = None) -> None:
        """Wake the streams; with a pulse for them."""
        async with self._changed:
            if pulse is not None:
                self._volatile.append(pulse)
            self._changed.notify_all()

    async def stop(self) -> None:
        """End all streams and take no more requests."""
        self.is_stopping = True
        await self.tell()

    # --- the port --------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self._state

    @property
    def number(self) -> EventNumber:
        return EventNumber(len(self.rows))

    def now(self) -> Instant:
        return self.time

    async def settled(self) -> None:
        await asyncio.sleep(0)

    def why_not_ready(self) -> str:
        return self.obstacle

    def tasks_begun(self) -> Mapping[JobKey, int]:
        return {}

    def command_context(self) -> Context:
        return Context(zone=UTC, environment=Variables(self._state.main.params, self.variables))

    async def submit(self, request: Request, by: str) -> Accepted | Problem:
        if self.is_stopping:
            raise EngineStopping
        self.causes.append(by)
        done = self.step(request, by)
        await self.tell()
        return done

    async def look_at_folders(self) -> None:
        self.looked += 1

    async def check_folders(self) -> None:
        self.looked += 1

    async def write_live_file(self, file: str, xml: str) -> None:
        self.live_files[file] = xml

    async def remove_live_file(self, ref: ObjectRef) -> bool:
        self.removed_files.append(ref)
        return self.has_files

    async def abort(self, restart: bool) -> None:
        self.aborts.append(restart)

    async def rotate_logs(self) -> None:
        self.rotated += 1

    async def terminate(self, timeout: Duration | None, restart: bool) -> None:
        self.terminated.append((timeout, restart))

    async def snapshot(self) -> tuple[EventNumber, bytes]:
        return self.number, b"snapshot"

    async def notices(self, after: EventNumber) -> AsyncIterator[Notice]:
        if after < self.oldest:
            raise TooOld
        reached, told = int(after), len(self._volatile)
        self.followed.set()
        try:
            while True:
                while reached < len(self.rows):
                    reached += 1
                    yield Notice(event=self.rows[reached - 1])
                while told < len(self._volatile):
                    told += 1
                    yield Notice(pulse=self._volatile[told - 1])
                async with self._changed:
                    if self.is_stopping:
                        return
                    if reached == len(self.rows) and told == len(self._volatile):
                        await self._changed.wait()
        finally:
            self.deserted.set()

    def pulses(self) -> Mapping[AgentUri, AgentPulse]:
        return self.last_pulses

    async def task_log(self, task: TaskId, offset: int, size_bytes_max: int) -> LogPart | None:
        text = self.logs.get(task)
        if text is None:
            return None
        begin = max(0, len(text) + offset) if offset < 0 else min(offset, len(text))
        piece = text[begin : begin + size_bytes_max]
        return LogPart(
            text=piece,
            offset=begin,
            next_offset=begin + len(piece),
            complete=task not in self._state.tasks and begin + len(piece) >= len(text),
        )

    async def order_log(self, about: HistoryId | OrderKey, size_bytes_max: int) -> str:
        return f"log of run {about}"[:size_bytes_max]

    async def task_history(self, query: HistoryQuery) -> Sequence[TaskHistoryEntry]:
        found = [
            entry
            for entry in self.tasks_past
            if (query.job is None or entry.job.casefold() == query.job)
            and (not query.ids or entry.task in query.ids)
            and (query.below is None or entry.task < query.below)
            and (query.above is None or entry.task > query.above)
        ]
        found.sort(key=lambda entry: entry.task)
        kept = found[: query.limit] if query.above is not None else found[-query.limit :]
        return kept[::-1]

    async def order_history(self, query: HistoryQuery) -> Sequence[OrderHistoryEntry]:
        found = [
            entry
            for entry in self.orders_past
            if (query.chain is None or entry.chain.casefold() == query.chain)
            and (query.order is None or entry.order == query.order)
            and (not query.ids or entry.history in query.ids)
        ]
        return sorted(found, key=lambda entry: -entry.history)[: query.limit]

    async def usual_durations(
        self, subjects: Sequence[OrderKey | JobKey]
    ) -> Mapping[OrderKey | JobKey, Duration]:
        return {key: took for key, took in self.durations.items() if key in set(subjects)}

    def read_script(self, parts: Sequence[Text | Include]) -> str:
        return "".join(part.text for part in parts if isinstance(part, Text))
