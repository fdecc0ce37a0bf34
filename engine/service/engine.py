"""The engine as its HTTP interface sees it: the loop, the feed, the logs and the histories."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from engine.codec.journal import StoredEvent
from engine.codec.snapshot import capture
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.drivers.clock import Clock
from engine.drivers.folder_watch import LiveFolder
from engine.errors import EventsGone
from engine.kernel.commands import ObjectRef, PauseEngine, Request
from engine.kernel.definitions import Include, Text
from engine.kernel.effects import KillMode
from engine.kernel.events import Event
from engine.kernel.events.tasks import TaskCreated
from engine.kernel.ids import AgentUri, EventNumber, HistoryId, JobKey, OrderKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.limits import SNAPSHOT_EVERY_EVENTS
from engine.kernel.params import Params
from engine.kernel.problems import Problem
from engine.kernel.reports import Report
from engine.kernel.state import State, TaskStatus
from engine.server.engine_port import (
    Accepted,
    AgentPulse,
    HistoryQuery,
    LogPart,
    Notice,
    OrderHistoryEntry,
    TaskHistoryEntry,
    TooOld,
)
from engine.service.feed import Feed
from engine.service.histories import Histories
from engine.service.logs import rotate_engine_log
from engine.service.loop import EngineLoop
from engine.service.narration import Narrator
from engine.store.base import Store
from engine.store.task_logs import TaskLogs, log_line

log = logging.getLogger(__name__)

READ_CHUNK = 1_000
"""Events that a stream reads from the journal at a time while it catches up."""


class Engine:
    """What stands between the HTTP interface and the loop; see `EnginePort`."""

    def __init__(
        self,
        loop: EngineLoop,
        store: Store,
        clock: Clock,
        logs: TaskLogs,
        histories: Histories,
        narrator: Narrator,
        live: LiveFolder,
        commands: Context,
    ) -> None:
        self.loop = loop
        self.feed: Feed[Notice] = Feed()
        self.stopping = asyncio.Event()
        """Set when the engine has been told to end."""
        self.restarts = False
        self.stop_timeout: Duration | None = None
        self.aborting = False
        self.obstacle = "the engine is starting"
        """Why requests are not taken just now; empty when they are."""
        self._store = store
        self._clock = clock
        self._logs = logs
        self._histories = histories
        self._narrator = narrator
        self._live = live
        self._commands = commands
        self._context: tuple[Params, Context] | None = None
        """The variables of the scheduler, and what commands are read with while it has them."""
        self._begun: dict[JobKey, int] = {}
        self._pulses: dict[AgentUri, AgentPulse] = {}
        self._snapshot_number = loop.number
        self._saving: asyncio.Task[None] | None = None

    # --- what the HTTP interface asks --------------------------------------------------------

    @property
    def state(self) -> State:
        """The live state."""
        return self.loop.state

    @property
    def number(self) -> EventNumber:
        """The number of the last durable event."""
        return self.loop.number

    def now(self) -> Instant:
        """Return the engine's present time."""
        return self._clock.now()

    async def submit(
        self, request: Request, by: str, also: Request | None = None
    ) -> Accepted | Problem:
        """Carry out a request, and `also` in the same commit; returns when it is durable."""
        return await self.loop.submit(request, by, also)

    async def report(self, reports: Sequence[Report]) -> None:
        """Take over what drivers report; returns when the consequences are durable."""
        answers = [await self.loop.inbox.put(report, "driver") for report in reports]
        await asyncio.gather(*(answer for answer in answers if answer is not None))

    async def settled(self) -> None:
        """Wait until no commit is under way."""
        await self.loop.settled()

    async def check_folders(self) -> None:
        """Look at the live folder now."""
        await self._live.check_now()

    async def look_at_folders(self) -> None:
        """Look at the live folder now; files still have to settle."""
        await self._live.look()

    def why_not_ready(self) -> str:
        """Return why requests are not taken just now; empty when they are."""
        return self.obstacle

    def tasks_begun(self) -> Mapping[JobKey, int]:
        """Return how many tasks of each job have begun in this life of the engine."""
        return self._begun

    def command_context(self) -> Context:
        """Return what XML commands are read with; the scheduler's variables come first."""
        params = self.state.main.params
        if self._context is None or self._context[0] is not params:
            # Kept, because folding all names for each command costs more than reading it.
            variables = Variables(params, dict(os.environ))
            self._context = params, replace(self._commands, environment=variables)
        return self._context[1]

    async def write_live_file(self, file: str, xml: str) -> None:
        """Write a file of the live folder and look at it."""
        await asyncio.to_thread(self._live.write, file, xml)
        await self._live.check_now(file)

    async def remove_live_file(self, ref: ObjectRef) -> bool:
        """Delete the file of an object and look; False when it has none."""
        file = await asyncio.to_thread(self._live.remove, ref)
        if file is None:
            return False
        await self._live.check_now(file)
        return True

    async def abort(self, restart: bool) -> None:
        """End at once: what runs here is killed, and nothing more is journaled."""
        self.restarts = restart
        self.aborting = True
        self.stopping.set()

    async def rotate_logs(self) -> None:
        """Begin a new engine log file."""
        await asyncio.to_thread(rotate_engine_log)

    async def terminate(  # how long tasks may take, not this call
        self, timeout: Duration | None, restart: bool
    ) -> None:
        """Begin an orderly end."""
        self.stop_timeout = timeout
        self.restarts = restart
        self.stopping.set()

    async def snapshot(self) -> tuple[EventNumber, bytes]:
        """Return the state's snapshot with the event number it is as of."""
        await self.loop.settled()
        number, captured = self.loop.number, capture(self.loop.state)
        return number, await asyncio.to_thread(captured.to_bytes)

    async def notices(self, after: EventNumber) -> AsyncIterator[Notice]:
        """Catch up from the journal, then follow live."""
        follower = self.feed.follow()
        try:
            reached = after
            try:
                while reached < self.loop.number:
                    rows = await self._store.read(reached, READ_CHUNK)
                    for row in rows:
                        yield Notice(event=row)
                    if not rows:
                        break
                    reached = rows[-1].number
            except EventsGone as error:
                raise TooOld from error
            for pulse in list(self._pulses.values()):
                yield Notice(pulse=pulse)
            async for notice in follower:
                if notice.event is None:
                    yield notice
                elif notice.event.number > reached:
                    reached = notice.event.number
                    yield notice
            if follower.is_cut_off:
                raise TooOld
        finally:
            self.feed.leave(follower)

    def pulses(self) -> Mapping[AgentUri, AgentPulse]:
        """Return the last sign of life of every agent."""
        return self._pulses

    async def task_log(self, task: TaskId, offset: int, size_bytes_max: int) -> LogPart | None:
        """Return a piece of a task's log; a negative offset counts from the end."""
        # Asked first: what is written while the piece is read must not be taken for read.
        ended = task not in self.state.tasks and self._narrator.has_finished(task)
        if offset < 0:
            head = await self._logs.read(task, 0, 1)
            offset = 0 if head is None else max(0, head.size + offset)
        piece = await self._logs.read(task, offset, size_bytes_max)
        if piece is None:
            return None
        return LogPart(
            text=piece.data.decode("utf-8", "replace"),
            offset=piece.offset,
            next_offset=piece.next_offset,
            complete=ended and piece.next_offset >= piece.size,
        )

    async def order_log(self, about: HistoryId | OrderKey, size_bytes_max: int) -> str:
        """Return what happened in one run of an order, or before its next one: notes, task logs."""
        notes = await self._histories.notes(about)
        texts = [log_line(note.at, note.level, note.text) for note in notes]
        left = size_bytes_max - sum(map(len, texts))
        tasks = [] if isinstance(about, OrderKey) else await self._histories.tasks_of_run(about)
        for task in tasks:
            piece = await self._logs.read(task, 0, max(left, 1))
            if piece is not None and left > 0:
                texts.append(piece.data.decode("utf-8", "replace"))
                left -= piece.next_offset - piece.offset
        return "".join(texts)

    async def task_history(self, query: HistoryQuery) -> Sequence[TaskHistoryEntry]:
        """Return tasks that have started, newest first."""
        return await self._histories.tasks(query)

    async def order_history(self, query: HistoryQuery) -> Sequence[OrderHistoryEntry]:
        """Return runs of orders, newest first."""
        return await self._histories.orders(query)

    async def usual_durations(
        self, subjects: Sequence[OrderKey | JobKey]
    ) -> Mapping[OrderKey | JobKey, Duration]:
        """Return how long the last runs took in the median."""
        return await self._histories.usual_durations(subjects)

    def read_script(self, parts: Sequence[Text | Include]) -> str:
        """Return a script's text with its includes read."""
        return self._live.read_script(parts)

    # --- what the inside tells ---------------------------------------------------------------

    def committed(self, events: Sequence[Event], rows: Sequence[StoredEvent]) -> None:
        """Spread what has become durable."""
        self.feed.publish(Notice(event=row) for row in rows)
        self._narrator.committed(events, rows)
        self._histories.committed(events, rows)
        for event in events:
            if isinstance(event, TaskCreated):
                self._begun[event.job] = self._begun.get(event.job, 0) + 1
        if rows and rows[-1].number - self._snapshot_number >= SNAPSHOT_EVERY_EVENTS:
            self.begin_snapshot()

    def pulse(self, pulse: AgentPulse) -> None:
        """Take over a sign of life of an agent."""
        self._pulses[pulse.agent] = pulse
        self.feed.publish([Notice(pulse=pulse)])

    def begin_snapshot(self) -> None:
        """Save the state behind the loop's back; must be called at rest."""
        if self._saving is not None and not self._saving.done():
            return
        number, captured = self.loop.number, capture(self.state)
        self._snapshot_number = number

        async def save() -> None:
            await self._histories.caught_up()
            body = await asyncio.to_thread(captured.to_bytes)
            await self._store.save_snapshot(number, body)

        self._saving = asyncio.create_task(save(), name="snapshot")

    async def finish_snapshot(self) -> None:
        """Wait for a snapshot that is being saved."""
        if self._saving is not None:
            await self._saving

    # --- the end -----------------------------------------------------------------------------

    async def let_tasks_end(
        self, timeout_s: float | None, kill: Callable[[TaskId, KillMode], Awaitable[None]]
    ) -> None:
        """Start nothing new and wait for what runs; after `timeout_s` kill what is left."""
        await self.submit(PauseEngine(paused=True), "shutdown")
        follower = self.feed.follow()
        try:
            async with asyncio.timeout(timeout_s):
                if self._running():
                    async for _ in follower:
                        if not self._running():
                            break
        except TimeoutError:
            for task in self._running():
                await kill(task, KillMode.KILL)
        finally:
            self.feed.leave(follower)

    def _running(self) -> list[TaskId]:
        busy = {TaskStatus.STARTING, TaskStatus.RUNNING}
        return [task.id for task in self.state.tasks.values() if task.status in busy]
