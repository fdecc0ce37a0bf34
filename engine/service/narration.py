"""What the engine says in task logs: kernel events as messages with the original's codes.

Messages go through one queue, so that they stand in a log in the order of the events; each carries
its event number, so that an event told again after a crash is not written twice.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from engine.codec.journal import StoredEvent
from engine.errors import StoreError
from engine.kernel.events import Event
from engine.kernel.events import files as f
from engine.kernel.events import orders as o
from engine.kernel.events import tasks as t
from engine.kernel.ids import JobKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.limits import NARRATION_LINES_MAX
from engine.kernel.signals import signal_name
from engine.kernel.state import State
from engine.service.histories import late_result
from engine.service.order_messages import Waits, order_of, said_of_order, task_of_run
from engine.store.task_logs import TaskLogs

log = logging.getLogger(__name__)

RETOLD_MAX = 5_000
"""Messages that are told again after a start: those of the last events before it. What had been
written is known by its number; what an engine that was killed had not come to is made up for."""
_KEPT_TOLD_MAX = 100
"""Orders that are told of a job that goes on; it takes them one after the other anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A task's log begins."""

    task: TaskId
    has_prefixes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A message."""

    task: TaskId
    at: Instant
    level: str
    text: str
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """A task's log ends."""

    task: TaskId


Entry: TypeAlias = Begin | Line | Finish


class Narrator:
    """Turns committed events into messages and writes them behind the loop's back."""

    def __init__(self, state: State, logs: TaskLogs) -> None:
        self._state = state
        self._logs = logs
        self._queue: asyncio.Queue[Entry] = asyncio.Queue()
        self._retold: deque[Entry] = deque(maxlen=RETOLD_MAX)
        self._task_of_order = {
            order.key: task
            for order in state.orders.values()
            if (task := task_of_run(order)) is not None
        }
        """The last task of each run that is not over: what happens after it is told there, too."""
        self._unfinished = {task.id for task in state.tasks.values() if task.holds_slot}
        """Tasks of which something may still have to be said."""
        self._locks = {task.id: task.locks for task in state.tasks.values() if task.locks}
        self._job_waits = Waits()
        self._lost = 0

    def seen(self, event: Event, row: StoredEvent) -> None:
        """Take in one replayed event, after the state has."""
        self._retold.extend(self._entries(event, row))

    def tell_again(self) -> None:
        """Queue the messages of the last replayed events, before any new ones."""
        self._unfinished = {task.id for task in self._state.tasks.values() if task.holds_slot}
        self._unfinished |= {entry.task for entry in self._retold if isinstance(entry, Finish)}
        while self._retold:
            self._queue.put_nowait(self._retold.popleft())

    def committed(self, events: Iterable[Event], rows: Iterable[StoredEvent]) -> None:
        """Queue the messages for these events."""
        for event, row in zip(events, rows, strict=True):
            for entry in self._entries(event, row):
                if self._queue.qsize() < NARRATION_LINES_MAX:
                    self._queue.put_nowait(entry)
                else:
                    self._lost += 1
                    self._unfinished.discard(entry.task)

    def has_finished(self, task: TaskId) -> bool:
        """Whether everything that is said of an ended task is in its log."""
        return task not in self._unfinished

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            entry = await self._queue.get()
            try:
                await self._write(entry)
            except StoreError as error:
                log.error("A task log could not be written: %s", error)
            finally:
                if isinstance(entry, Finish):
                    self._unfinished.discard(entry.task)
                self._queue.task_done()
            if self._lost:
                lost, self._lost = self._lost, 0
                log.error("%d messages to task logs were left out: the disk is too slow", lost)

    async def written(self) -> None:
        """Wait until everything queued so far is in the logs."""
        await self._queue.join()

    async def _write(self, entry: Entry) -> None:
        match entry:
            case Begin():
                await self._logs.begin(entry.task, has_prefixes=entry.has_prefixes)
            case Line():
                await self._logs.append_line(
                    entry.task, entry.at, entry.level, entry.text, number=entry.number
                )
            case Finish():
                await self._logs.finish(entry.task)

    # --- what is said ------------------------------------------------------------------------

    def _entries(self, event: Event, row: StoredEvent) -> Iterator[Entry]:
        match event:
            case t.TaskCreated():
                self._unfinished.add(event.task)
                job = self._state.jobs.get(event.job)
                yield Begin(
                    task=event.task,
                    has_prefixes=job is None or not job.definition.stderr_is_error,
                )
                # One message: a second one with the same event number would count as a repeat.
                text = "\n".join(_created(event, job.definition.path if job else event.job))
                yield _line(event.task, row, "info", text)
                if event.locks:
                    self._locks[event.task] = event.locks
                if event.order is not None:
                    self._task_of_order[event.order] = event.task
            case t.TaskClosed():
                released = "\n".join(self._released(event.task))
                if released:
                    yield _line(event.task, row, "info", released)
                yield Finish(task=event.task)
            case t.JobUnstopped():
                job = self._state.jobs.get(event.job)
                path = event.job if job is None else job.definition.path
                for kept in islice(self._kept_at(event.job), _KEPT_TOLD_MAX):
                    yield _line(kept, row, "info", f"SCHEDULER-931 The job {path} goes on")
            case _ if self._job_waits.is_news(event, row.at):
                task = self._task_of(event)
                said = None if task is None else _said(event, row.cause)
                if task is not None and said is not None:
                    yield _line(task, row, *said)
                self._note_end(event)
            case _:
                pass

    def _task_of(self, event: Event) -> TaskId | None:
        task = getattr(event, "task", None)
        if task is not None:
            return TaskId(task)
        order = order_of(event)
        return None if order is None else self._task_of_order.get(order)

    def _note_end(self, event: Event) -> None:
        """With a run's end, what follows belongs to the next one."""
        match event:
            case o.OrderAdded() | o.OrderReturned() | o.OrderChainChanged() | o.OrderRemoved():
                order = order_of(event)
                if order is not None:
                    self._task_of_order.pop(order, None)
            case _:
                pass

    def _kept_at(self, job: JobKey) -> Iterator[TaskId]:
        """Yield the last tasks of orders that stayed when the job stopped (2.9)."""
        nodes = self._state.nodes_of_job.get(job, {})
        for order, task in self._task_of_order.items():
            standing = self._state.orders.get(order)
            if standing is not None and (order.chain, standing.state) in nodes:
                yield task

    def _released(self, task: TaskId) -> Iterator[str]:
        for use in self._locks.pop(task, ()):
            others = len(self._state.lock_holders.get(use.lock, ()))
            if others:
                yield f"SCHEDULER-857 The lock {use.lock} is released, {others} tasks still hold it"
            else:
                yield f"SCHEDULER-856 The lock {use.lock} is released and free"


def _line(task: TaskId, row: StoredEvent, level: str, text: str) -> Line:
    return Line(task=task, at=row.at, level=level, text=text, number=row.number)


def _created(event: t.TaskCreated, job: str) -> Iterator[str]:
    yield f"SCHEDULER-930 Task {event.task} of the job {job}, cause: {event.cause.value}"
    if event.order is not None:
        yield f"SCHEDULER-842 The task processes the order {event.order} at {event.state}"
    for use in event.locks:
        how = "exclusively" if use.exclusive else "shared"
        yield f"SCHEDULER-855 The lock {use.lock} is held {how}"


def _said(event: Event, cause: str) -> tuple[str, str] | None:
    """Return level and text of the message for an event, None when it needs none."""
    match event:
        case t.TaskAssigned():
            if not event.agent:
                return None
            return "info", f"SCHEDULER-726 The task runs on the agent {event.agent}"
        case t.TaskAwaitsAgent():
            return "warn", event.text
        case t.TaskStarted():
            return ("info", f"The process {event.pid} runs") if event.pid else None
        case t.TaskKillRequested():
            why = event.error_code or "SCHEDULER-728"
            return "warn", f"{why} The task is told to end ({event.mode.value})"
        case t.TaskWarned():
            return "warn", f"{event.code} {event.text}"
        case t.TaskEndedLate():
            return "warn", f"The lost task has ended after all, {late_result(event)}"
        case t.JobStopped():
            return "warn", f"SCHEDULER-978 The job stops after this error: {event.reason}"
        case t.JobErrorsCounted():
            return "info", "SCHEDULER-977 The job does not stop because of this error"
        case f.ExitCommandsChosen():
            count, code = len(event.commands), event.exit_code
            return "info", f"SCHEDULER-328 {count} on-exit command(s) for the exit code {code}"
        case f.ExitCommandCarriedOut():
            if not event.problem:
                return None
            return "error", f"SCHEDULER-327 An on-exit command has failed: {event.problem}"
        case t.TaskConfigured():
            names = ", ".join(event.taken_back) or "none"
            return "info", f"The configuration monitor has set parameters for this step: {names}"
        case t.TaskEnded():
            if event.error_code:
                return "error", f"{event.error_code} {event.error_text}"
            if event.signal is not None:
                name = signal_name(event.signal)
                return "warn", (
                    f"SCHEDULER-279 The process was ended by {name}\n"
                    "SCHEDULER-973 The job ignores this signal and does not stop"
                )
            return "info", f"The task has ended, exit code {event.exit_code}"
        case _:
            return said_of_order(event, cause)
