"""What the engine says in task logs: kernel events as messages with the original's codes.

Messages go through one queue, so that they stand in a log in the order of the events; each carries
its event number, so that an event told again after a crash is not written twice.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from engine.codec.journal import StoredEvent
from engine.errors import StoreError
from engine.kernel.events import Event
from engine.kernel.events import files as f
from engine.kernel.events import orders as o
from engine.kernel.events import tasks as t
from engine.kernel.ids import NodeState, OrderKey, TaskId
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, utc_text
from engine.kernel.limits import NARRATION_LINES_MAX
from engine.kernel.signals import signal_name
from engine.kernel.state import State
from engine.service.histories import late_result
from engine.store.task_logs import TaskLogs

log = logging.getLogger(__name__)


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
        self._task_of_order: dict[OrderKey, TaskId] = {}
        self._unfinished = {task.id for task in state.tasks.values() if task.holds_slot}
        """Tasks of which something may still have to be said."""
        self._locks = {task.id: task.locks for task in state.tasks.values() if task.locks}
        self._lost = 0

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
                self._forget(event.task)
            case _:
                task = self._task_of(event)
                said = None if task is None else _said(event)
                if task is not None and said is not None:
                    yield _line(task, row, *said)

    def _task_of(self, event: Event) -> TaskId | None:
        task = getattr(event, "task", None)
        if task is not None:
            return TaskId(task)
        order = getattr(event, "order", None)
        return None if order is None else self._task_of_order.get(order)

    def _released(self, task: TaskId) -> Iterator[str]:
        for use in self._locks.pop(task, ()):
            others = len(self._state.lock_holders.get(use.lock, ()))
            if others:
                yield f"SCHEDULER-857 The lock {use.lock} is released, {others} tasks still hold it"
            else:
                yield f"SCHEDULER-856 The lock {use.lock} is released and free"

    def _forget(self, task: TaskId) -> None:
        for order in [key for key, known in self._task_of_order.items() if known == task]:
            del self._task_of_order[order]


def _line(task: TaskId, row: StoredEvent, level: str, text: str) -> Line:
    return Line(task=task, at=row.at, level=level, text=text, number=row.number)


def _created(event: t.TaskCreated, job: str) -> Iterator[str]:
    yield f"SCHEDULER-930 Task {event.task} of the job {job}, cause: {event.cause.value}"
    if event.order is not None:
        yield f"SCHEDULER-842 The task processes the order {event.order} at {event.state}"
    for use in event.locks:
        how = "exclusively" if use.exclusive else "shared"
        yield f"SCHEDULER-855 The lock {use.lock} is held {how}"


def _said(event: Event) -> tuple[str, str] | None:
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
            return _said_of_order(event)


def _passed(skipped: tuple[NodeState, ...]) -> Iterator[str]:
    for state in skipped:
        yield f"SCHEDULER-859 The node {state} is skipped"


def _next(start_at: Instant) -> str:
    if start_at >= NEVER:
        return ", without a start time"
    return " and starts at once" if start_at <= IMMEDIATELY else f", until {utc_text(start_at)}"


def _said_of_order(event: Event) -> tuple[str, str] | None:
    match event:
        case o.OrderStepEnded():
            if event.transition is o.Transition.KEEP:
                text = f"SCHEDULER-845 The order stays at {event.state}: its job stops"
                return "warn", text
            result = event.transition.value
            text = f"SCHEDULER-843 The step at {event.state} has ended: {result}"
            if event.transition is o.Transition.ERROR and event.error_code:
                text += "\nSCHEDULER-846 The order takes the way of an error, as its task has one"
            return "info", text
        case o.OrderSetBack():
            when = utc_text(event.start_at) if 0 < event.start_at < NEVER else "at once"
            return "warn", f"SCHEDULER-946 Set back for the {event.count}. time, again {when}"
        case o.OrderNodeChanged():
            text = "\n".join((*_passed(event.skipped), f"The order goes to the node {event.state}"))
            if IMMEDIATELY < event.start_at < NEVER:
                text += f"\nSCHEDULER-938 The order waits until {utc_text(event.start_at)}"
            return "info", text
        case o.OrderChainChanged():
            left = f"SCHEDULER-863 The order comes from the job chain {event.order.chain}"
            return "info", f"SCHEDULER-862 The order enters the job chain {event.chain}\n{left}"
        case o.OrderSuspended():
            reason = f": {event.reason}" if event.reason else ""
            return "info", f"SCHEDULER-991 The order is suspended{reason}"
        case o.OrderResumed():
            return "info", "SCHEDULER-992 The order is not suspended any more"
        case o.OrderReplacementHeld():
            return "info", "SCHEDULER-942 A new order of this id waits for the end of this step"
        case f.OrderFileStays():
            text = f"SCHEDULER-340 The order has ended, but its file {event.path} is still there"
            return "error", text
        case o.OrderReturned():
            return (
                "info",
                f"SCHEDULER-944 The order is at {event.state} again{_next(event.start_at)}",
            )
        case o.OrderRemoved():
            return "info", "SCHEDULER-945 The order has gone from its job chain"
        case o.OrderFinished():
            end = f"The order has reached its end at {event.state or 'no node'}"
            if event.at_end_state:
                end = f"SCHEDULER-704 {end}: that is its end state"
            return "info", "\n".join((*_passed(event.skipped), end))
        case _:
            return None
