"""Kernel events -> histories of orders and tasks (orders-and-jobs.md 2.15, 5.7).

A projector sees every event once, in order, and keeps what it needs to know of open runs itself; it
begins from a state (that of a snapshot). The histories are filled behind the loop's back.
"""

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from engine.codec.journal import StoredEvent
from engine.errors import StoreError
from engine.kernel.definitions import Job
from engine.kernel.events import Event
from engine.kernel.events import definitions as d
from engine.kernel.events import orders as o
from engine.kernel.events import tasks as t
from engine.kernel.ids import (
    ChainKey,
    EventNumber,
    HistoryId,
    JobKey,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
)
from engine.kernel.instants import Duration, Instant, utc_text
from engine.kernel.limits import HISTORY_BACKLOG_MAX, HISTORY_BATCH_MAX, ORDER_NOTES_MAX
from engine.kernel.params import NO_PARAMS, Params
from engine.kernel.signals import signal_name
from engine.kernel.state import State, Task
from engine.server.engine_port import (
    HistoryQuery,
    OrderHistoryEntry,
    OrderStepEntry,
    TaskHistoryEntry,
)
from engine.service.order_messages import Waits, order_of, said_of_order, task_of_run
from engine.store.history import History, Projected
from engine.store.history_records import (
    HistoryFilter,
    HistoryRecord,
    OrderNote,
    OrderNoted,
    OrderNotesDropped,
    OrderRunEnded,
    OrderRunEntry,
    OrderRunStarted,
    OrderStepEnded,
    OrderStepStarted,
    TaskEndedRecord,
    TaskEntry,
    TaskNoted,
    TaskRecorded,
)

log = logging.getLogger(__name__)

_KILLED_UNSTARTED = "SCHEDULER-728"
_NO_STEP = 1 << 31
"""More steps than a task does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenTask:
    job: JobKey
    cause: str
    params: Params
    agent: str = ""
    order: OrderKey | None = None
    is_recorded: bool = False
    started_at: Instant | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenOrder:
    title: str
    parent: str
    state: NodeState
    history: HistoryId | None = None
    step: int = 0
    has_task: bool = False
    """A task has worked on it in this run: its log tells what happens to the order."""
    notes: int = 0
    """So many notes wait for the next run, or more; of a former life one is supposed."""
    state_text: str = ""
    failed: bool = False
    """The last step ended in an error."""


class HistoryProjector:
    """Turns events into history records."""

    def __init__(self, state: State) -> None:
        self._jobs = {key: job.definition.path for key, job in state.jobs.items()}
        self._job_params: dict[JobKey, Params] = {
            key: job.definition.params for key, job in state.jobs.items()
        }
        self._job_waits = Waits()
        self._from_step: dict[JobKey, int] = {}
        """Jobs whose tasks are recorded after so many steps, or never."""
        for job in state.jobs.values():
            self._note_job(job.definition)
        self._chains = {key: chain.definition.path for key, chain in state.chains.items()}
        self._tasks = {
            task.id: _OpenTask(
                job=task.job,
                cause=task.cause.value,
                params=task.params,
                agent=task.agent or "",
                order=task.order,
                is_recorded=_began(task) is not None and not self._from_step.get(task.job, 0),
                started_at=_began(task),
                pid=task.pid,
            )
            for task in state.tasks.values()
        }
        self._orders = {
            order.key: _OpenOrder(
                title=order.title,
                parent="" if order.parent is None else str(order.parent),
                state=order.state,
                history=order.history,
                step=order.step,
                has_task=task_of_run(order) is not None,
                notes=1,
                state_text=order.state_text,
            )
            for order in state.orders.values()
        }

    def records(self, event: Event, at: Instant, cause: str = "") -> Iterator[HistoryRecord]:
        """Yield what an event means for the histories; `cause` is who asked for it."""
        yield from self._noted(event, at, cause)
        match event:
            case d.JobDefined():
                self._jobs[event.job.key] = event.job.path
                self._job_params[event.job.key] = event.job.params
                self._note_job(event.job)
            case d.ChainDefined():
                self._chains[event.chain.key] = event.chain.path
            case t.TaskQueued() | t.TaskCreated():
                self._note_task(event)
            case t.TaskAssigned():
                self._tasks[event.task] = replace(self._tasks[event.task], agent=event.agent)
            case t.TaskAwaitsAgent():
                yield from self._waits(event)
            case t.TaskStarted():
                task = self._tasks[event.task]
                began = task.started_at or event.at
                self._tasks[event.task] = replace(task, started_at=began, pid=event.pid)
                if not self._from_step.get(task.job, 0):
                    yield self._recorded(event.task, began, event.pid)
            case t.TaskEnded():
                yield from self._task_ended(event)
            case t.TaskEndedLate():
                yield TaskNoted(task=event.task, text=late_result(event))
            case t.TaskClosed() | t.TaskRemovedFromQueue():
                self._tasks.pop(event.task, None)
            case _:
                yield from self._order_records(event, at)

    # --- tasks -------------------------------------------------------------------------------

    def _note_job(self, job: Job) -> None:
        """Note from which step on its tasks are recorded: `history`, `history_on_process` (5.7)."""
        after = job.history_from_step
        self._from_step.pop(job.key, None)
        if after != 0:
            self._from_step[job.key] = _NO_STEP if after is None else after

    def _note_task(self, event: t.TaskQueued | t.TaskCreated) -> None:
        if isinstance(event, t.TaskQueued):
            cause = t.Cause.QUEUE if event.start_at <= event.at else t.Cause.QUEUE_AT
            self._tasks[event.task] = _OpenTask(
                job=event.job, cause=cause.value, params=event.params
            )
            return
        params = self._job_params.get(event.job, NO_PARAMS)
        known = self._tasks.get(event.task)
        if known is None:
            known = _OpenTask(job=event.job, cause=event.cause.value, params=params)
        self._tasks[event.task] = replace(known, order=event.order)
        if event.order is not None:
            self._change(event.order, has_task=True, notes=0)

    def _waits(self, event: t.TaskAwaitsAgent) -> Iterator[HistoryRecord]:
        """Record a task from its first attempt on, so that its waiting is seen (agents.md 4.4)."""
        task = self._tasks[event.task]
        if task.started_at is None:
            self._tasks[event.task] = replace(task, agent="", started_at=event.since)
            if not self._from_step.get(task.job, 0):
                yield self._recorded(event.task, event.since, None)

    def _recorded(self, task_id: TaskId, at: Instant, pid: int | None) -> TaskRecorded:
        task = replace(self._tasks[task_id], is_recorded=True)
        self._tasks[task_id] = task
        order = None if task.order is None else self._orders.get(task.order)
        return TaskRecorded(
            task=task_id,
            job=self._jobs.get(task.job, task.job),
            cause=task.cause,
            at=at,
            agent=task.agent,
            pid=pid or None,
            parameters=task.params,
            chain="" if task.order is None else self._chain(task.order.chain),
            order_id=task.order.id if task.order is not None else _NO_ORDER,
            history_id=None if order is None else order.history,
        )

    def _task_ended(self, event: t.TaskEnded) -> Iterator[HistoryRecord]:
        task = self._tasks[event.task]
        if not task.is_recorded:
            if self._from_step.get(task.job, 0) > int(event.ran):
                return
            if not event.ran and (not event.error_code or event.error_code == _KILLED_UNSTARTED):
                return
            yield self._recorded(event.task, task.started_at or event.at, task.pid)
        yield TaskEndedRecord(
            task=event.task,
            at=event.at,
            exit_code=event.exit_code,
            error=bool(event.error_code),
            error_code=event.error_code,
            error_text=event.error_text,
            steps=1 if event.ran else 0,
        )

    # --- orders ------------------------------------------------------------------------------

    def _chain(self, key: ChainKey) -> str:
        return self._chains.get(key, key)

    def _order_records(self, event: Event, at: Instant) -> Iterator[HistoryRecord]:
        match event:
            case o.OrderAdded():
                chain = event.inner_chain or event.definition.key.chain
                key = OrderKey(chain, event.definition.key.id)
                self._orders[key] = _OpenOrder(
                    title=event.definition.title,
                    state=event.state,
                    parent="" if event.parent is None else str(event.parent),
                )
            case o.OrderModified():
                if event.title is not None:
                    self._change(event.order, title=event.title)
            case o.OrderChainChanged():
                yield from self._closed(event.order, event.former_state, at)
                self._orders[OrderKey(event.chain, event.order.id)] = replace(
                    self._orders.pop(event.order),
                    history=None,
                    step=0,
                    state=event.state,
                    has_task=False,
                )
            case o.OrderNodeChanged():
                self._change(event.order, state=event.state)
            case o.OrderStarted():
                self._change(event.order, history=event.history, step=0, failed=False)
                order = self._orders[event.order]
                yield OrderRunStarted(
                    history_id=event.history,
                    chain=self._chain(event.order.chain),
                    order_id=event.order.id,
                    title=order.title,
                    started_at=event.at,
                    parent=order.parent,
                    has_notes=order.notes > 0,
                )
            case o.OrderStateTextSet():
                self._change(event.order, state_text=event.text)
            case o.OrderStepStarted() | o.OrderStepEnded():
                yield from self._step(event)
            case o.OrderFinished():
                yield from self._finished(event)
            case o.OrderReturned():
                yield from self._closed(event.order, event.state, at)
                self._change(event.order, state=event.state, has_task=False)
            case o.OrderRemoved():
                yield from self._removed(event.order, at)
            case _:
                pass

    def _change(self, key: OrderKey, **changes: object) -> None:
        order = self._orders.get(key)
        if order is not None:
            self._orders[key] = replace(order, **changes)  # type: ignore[arg-type]  # by name

    def _step(self, event: o.OrderStepStarted | o.OrderStepEnded) -> Iterator[HistoryRecord]:
        order = self._orders[event.order]
        if order.history is None:
            return
        if isinstance(event, o.OrderStepStarted):
            yield self._step_started(event, order.history, event.step)
            return
        failed = event.transition is not o.Transition.SUCCESS
        step = event.step or order.step
        if step > order.step:  # no process ever worked: the task could not be started
            yield self._step_started(event, order.history, step)
        self._change(event.order, failed=failed)
        if step:
            yield OrderStepEnded(
                history_id=order.history,
                step=step,
                at=event.at,
                error=failed,
                error_code=event.error_code,
                error_text=event.error_text,
            )

    def _step_started(
        self, event: o.OrderStepStarted | o.OrderStepEnded, history: HistoryId, step: int
    ) -> HistoryRecord:
        self._change(event.order, step=step)
        return OrderStepStarted(
            history_id=history, step=step, task=event.task, state=event.state, at=event.at
        )

    def _finished(self, event: o.OrderFinished) -> Iterator[HistoryRecord]:
        order = self._orders[event.order]
        if order.history is None:
            return
        yield OrderRunEnded(
            history_id=order.history,
            state=event.state,
            at=event.at,
            state_text=order.state_text,
            end_is_error=order.failed,
        )
        self._change(event.order, history=None, step=0, state_text="", failed=False)

    def _removed(self, key: OrderKey, at: Instant) -> Iterator[HistoryRecord]:
        order = self._orders.get(key)
        if order is None:
            return
        yield from self._closed(key, order.state, at)
        if order.history is None and not order.has_task and order.notes:
            yield OrderNotesDropped(chain=self._chain(key.chain), order_id=key.id)
        del self._orders[key]

    def _noted(self, event: Event, at: Instant, cause: str) -> Iterator[HistoryRecord]:
        """Yield what is said of an order on which no task has worked yet."""
        if not self._job_waits.is_news(event, at):
            return
        key = order_of(event)
        order = None if key is None else self._orders.get(key)
        if key is None or order is None or isinstance(event, o.OrderRemoved):
            return
        if order.has_task or order.notes >= ORDER_NOTES_MAX:
            return
        said = said_of_order(event, cause)
        if said is None:
            return
        self._change(key, notes=order.notes + 1)
        level, text = said
        yield OrderNoted(
            chain=self._chain(key.chain),
            order_id=key.id,
            history_id=order.history,
            at=at,
            level=level,
            text=text,
        )

    def _closed(self, key: OrderKey, state: NodeState, at: Instant) -> Iterator[HistoryRecord]:
        """A reset or removal ends a run that has not reached an end."""
        order = self._orders.get(key)
        if order is not None and order.history is not None:
            yield OrderRunEnded(
                history_id=order.history, state=state, at=at, state_text=order.state_text
            )
            self._change(key, history=None, step=0)


_NO_ORDER = OrderId("")
LATE_RESULT: Final = "late result"
"""What the error text of a lost task tells of it once it is known how it ended."""


def _began(task: Task) -> Instant | None:
    """Return since when a task stands in the history: the first try to reach an agent counts."""
    return task.awaits_since or task.started_at


def late_result(event: t.TaskEndedLate) -> str:
    """Return what is said of a lost task that ended by itself."""
    how = "" if event.signal is None else f" ({signal_name(event.signal)})"
    return f"{LATE_RESULT}: exit code {event.exit_code}{how} at {utc_text(event.at)}"


# --- filling and reading -------------------------------------------------------------------------


class Histories:
    """The histories of one engine: filled from commits, read by answers."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._projector: HistoryProjector | None = None
        self._applied = EventNumber(0)
        self._queued = EventNumber(0)
        self._queue: asyncio.Queue[list[Projected]] = asyncio.Queue(HISTORY_BACKLOG_MAX)
        self._progress = asyncio.Condition()
        self._behind = False

    async def open(self) -> None:
        """Open the files; what they have already is not applied again."""
        await self._history.open()
        self._applied = await self._history.applied()

    async def close(self) -> None:
        """Let go."""
        await self._history.close()

    def begin(self, state: State) -> None:
        """Begin from a state."""
        self._projector = HistoryProjector(state)

    def seen(self, event: Event, row: StoredEvent) -> None:
        """Take in one replayed event."""
        self.committed([event], [row])

    def committed(self, events: Iterable[Event], rows: Iterable[StoredEvent]) -> None:
        """Take in events that have become durable."""
        assert self._projector is not None, "begin comes first"
        batch: list[Projected] = []
        for event, row in zip(events, rows, strict=True):
            records = list(self._projector.records(event, row.at, row.cause))
            if records and row.number > self._applied:
                batch.append((row.number, records))
        if batch:
            try:
                self._queue.put_nowait(batch)
                self._queued = batch[-1][0]
            except asyncio.QueueFull:
                if not self._behind:
                    log.error(
                        "The histories cannot keep up; `pointsman journal rebuild` mends them"
                    )
                self._behind = True

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            batch = await self._queue.get()
            while not self._queue.empty() and len(batch) < HISTORY_BATCH_MAX:
                batch += self._queue.get_nowait()
            try:
                await self._history.apply_all(batch)
            except StoreError as error:
                log.error("The histories could not be written: %s", error)
            self._applied = batch[-1][0]
            async with self._progress:
                self._progress.notify_all()

    async def caught_up(self) -> None:
        """Wait until everything that has been committed by now is written."""
        target = self._queued
        async with self._progress:
            await self._progress.wait_for(lambda: self._applied >= target)

    async def tasks_of_run(self, history: HistoryId) -> list[TaskId]:
        """Return the tasks that worked on one run of an order, oldest first."""
        entries = await self._history.order_runs(HistoryFilter(history_id=history, limit=1))
        return [step.task for entry in entries for step in entry.steps]

    async def notes(self, about: HistoryId | OrderKey) -> Sequence[OrderNote]:
        """Return what is said of a run, or of an order before its run, outside of task logs."""
        return await self._history.notes(about)

    async def tasks(self, query: HistoryQuery) -> Sequence[TaskHistoryEntry]:
        """Return tasks, newest first."""
        return [_task(entry) for entry in await self._history.tasks(_filter(query))]

    async def orders(self, query: HistoryQuery) -> Sequence[OrderHistoryEntry]:
        """Return runs of orders, newest first."""
        return [_order(entry) for entry in await self._history.order_runs(_filter(query))]

    async def usual_durations(
        self, subjects: Sequence[OrderKey | JobKey]
    ) -> Mapping[OrderKey | JobKey, Duration]:
        """Return how long the last runs took in the median."""
        return await self._history.usual_durations(subjects)


def _filter(query: HistoryQuery) -> HistoryFilter:
    return HistoryFilter(
        job=query.job,
        chain=query.chain,
        order_id=query.order,
        ids=query.ids,
        since=query.since,
        before=query.below,
        after=query.above,
        limit=query.limit,
    )


def _task(entry: TaskEntry) -> TaskHistoryEntry:
    return TaskHistoryEntry(
        task=entry.task,
        job=entry.job,
        cause=entry.cause,
        agent=entry.agent,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        exit_code=entry.exit_code,
        error_code=entry.error_code,
        error_text=entry.error_text,
        steps=entry.steps,
        pid=entry.pid,
        chain=entry.chain,
        order=entry.order_id,
    )


def _order(entry: OrderRunEntry) -> OrderHistoryEntry:
    return OrderHistoryEntry(
        history=entry.history_id,
        chain=entry.chain,
        order=entry.order_id,
        title=entry.title,
        state=entry.state,
        state_text=entry.state_text,
        started_at=entry.started_at,
        ended_at=entry.ended_at,
        parent=entry.parent,
        steps=tuple(
            OrderStepEntry(
                step=step.step,
                task=step.task,
                state=step.state,
                started_at=step.started_at,
                ended_at=step.ended_at,
                error_code=step.error_code,
                error_text=step.error_text,
            )
            for step in entry.steps
        ),
    )
