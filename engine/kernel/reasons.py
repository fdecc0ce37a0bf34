"""Why something does not move: from the state to what it waits for and who holds that.

One function for the cockpit, JSON answers and the command line (orders-and-jobs.md 2.5, obstacles).
An order that is being worked on waits for nothing. The first reason is the one that counts now;
those behind it would hold it up as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from engine.kernel.capacity import (
    at_order_limit,
    at_task_limit,
    class_is_full,
    class_of,
    lock_is_free,
    missing_requisites,
)
from engine.kernel.commands import NodeAction
from engine.kernel.definitions import EndNode, JobNode
from engine.kernel.ids import ClassPath, JobKey, LockPath, OrderKey, TaskId
from engine.kernel.instants import NEVER, Instant, utc_text
from engine.kernel.plans import schedule_is_missing
from engine.kernel.reports import AgentStatus
from engine.kernel.state import ChainState, JobState, Order, State, Task, TaskStatus, job_of_node


class ReasonKind(Enum):
    """What is waited for."""

    RESUME = "resume"
    """Somebody to resume the order."""
    OTHERS = "others"
    """Other orders to arrive at the sync node."""
    FILE_REMOVAL = "file_removal"
    """The file of a finished file order to go."""
    START_BY_HAND = "start_by_hand"
    """Somebody to start it: no start time is planned."""
    START_TIME = "start_time"
    SETBACK = "setback"
    """The end of a setback's delay."""
    SCHEDULE = "schedule"
    """A schedule that does not exist."""
    ENGINE_PAUSED = "engine_paused"
    CHAIN_MISSING = "chain_missing"
    CHAIN_STOPPED = "chain_stopped"
    CHAIN_CHANGES = "chain_changes"
    """The chain's replacement or removal, which waits for running steps."""
    CHAIN_FULL = "chain_full"
    """The chain runs as many orders as `max_orders` allows."""
    NODE_STOPPED = "node_stopped"
    NODE_MISSING = "node_missing"
    JOB_MISSING = "job_missing"
    JOB_STOPPED = "job_stopped"
    JOB_INCOMPLETE = "job_incomplete"
    """An object that the job needs does not exist."""
    JOB_CHANGES = "job_changes"
    JOB_PAUSES = "job_pauses"
    """The delay after errors."""
    JOB_CLOSED = "job_closed"
    """The next period of the job's run time."""
    JOB_BUSY = "job_busy"
    """The job runs as many tasks as it may."""
    LOCK = "lock"
    PROCESS_CLASS = "process_class"
    AGENT = "agent"
    """An agent to be reachable."""
    START = "start"
    """The start of the process, which was asked for."""
    CONNECTION = "connection"
    """The agent that runs it is out of touch."""
    TURN = "turn"
    """Orders that come before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A task that has what is waited for, and the order it works on."""

    task: TaskId
    order: OrderKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One thing that is waited for."""

    kind: ReasonKind
    subject: str = ""
    """The path, name or address of it."""
    until: Instant | None = None
    """When that ends by itself, if that is known."""
    used: int | None = None
    limit: int | None = None
    holders: tuple[Holder, ...] = ()
    text: str = ""
    """What was said of it: an error, a state text."""


# --- orders --------------------------------------------------------------------------------------


def order_reasons(state: State, key: OrderKey, at: Instant) -> tuple[Reason, ...]:
    """Return what an order waits for; empty while it is worked on or does not exist."""
    order = state.find_order(key)
    return () if order is None else tuple(_order_reasons(state, order, at))


def first_order_reason(state: State, order: Order, at: Instant) -> Reason | None:
    """Return the first of `order_reasons`, without the work for the others."""
    return next(_order_reasons(state, order, at), None)


def _order_reasons(state: State, order: Order, at: Instant) -> Iterator[Reason]:
    if order.task is not None:
        task = state.tasks.get(order.task)
        if task is not None:
            yield from _task_reasons(state, task, at)
        return
    if order.blacklisted:
        kind = ReasonKind.FILE_REMOVAL if order.is_file_order else ReasonKind.RESUME
        yield Reason(kind=kind, subject=order.key.id)
        return
    if order.suspended:
        waits_for_others = order.state_text.startswith("required: ")
        kind = ReasonKind.OTHERS if waits_for_others else ReasonKind.RESUME
        yield Reason(kind=kind, text=order.last_error or order.state_text)
    if order.start_at > at:
        yield _start_reason(state, order)
    chain = state.chains.get(order.key.chain)
    if chain is None:
        yield Reason(kind=ReasonKind.CHAIN_MISSING, subject=order.key.chain)
        return
    yield from _chain_reasons(state, chain, order)
    node = state.node(chain.key, order.state)
    if node is None:
        yield Reason(kind=ReasonKind.NODE_MISSING, subject=order.state)
    elif chain.action(order.state) is NodeAction.STOP:
        yield Reason(kind=ReasonKind.NODE_STOPPED, subject=order.state)
    if node is None or isinstance(node, EndNode):
        return
    job_key = job_of_node(node)
    job = None if job_key is None else state.jobs.get(job_key)
    if job is None:
        path = node.job_path if isinstance(node, JobNode) else str(job_key)
        yield Reason(kind=ReasonKind.JOB_MISSING, subject=path)
        return
    yield from _job_reasons(state, job, at, chain)
    yield from _turn(state, order)


def _start_reason(state: State, order: Order) -> Reason:
    if order.start_at >= NEVER:
        if schedule_is_missing(state, order.run_time):
            assert order.run_time is not None
            return Reason(kind=ReasonKind.SCHEDULE, subject=str(order.run_time.schedule))
        return Reason(kind=ReasonKind.START_BY_HAND)
    kind = ReasonKind.SETBACK if order.setback_count else ReasonKind.START_TIME
    return Reason(kind=kind, until=order.start_at, used=order.setback_count or None)


def _chain_reasons(state: State, chain: ChainState, order: Order) -> Iterator[Reason]:
    path = chain.definition.path
    if chain.stopped:
        yield Reason(kind=ReasonKind.CHAIN_STOPPED, subject=path)
    if chain.replacement is not None or chain.removal_held:
        yield Reason(kind=ReasonKind.CHAIN_CHANGES, subject=path)
    if not order.touched and at_order_limit(state, chain):
        yield _full(state, chain)
    outer = None if order.outer is None else state.chains.get(order.outer.chain)
    if outer is not None and outer.stopped:
        yield Reason(kind=ReasonKind.CHAIN_STOPPED, subject=outer.definition.path)
    if outer is not None and not order.lane.begun and at_order_limit(state, outer):
        yield _full(state, outer)


def _full(state: State, chain: ChainState) -> Reason:
    return Reason(
        kind=ReasonKind.CHAIN_FULL,
        subject=chain.definition.path,
        used=state.started_in_chain.get(chain.key, 0),
        limit=chain.definition.max_orders,
    )


def _turn(state: State, order: Order) -> Iterator[Reason]:
    queue = state.queues.get((order.key.chain, order.state))
    waiting = None if queue is None else queue.lanes.get(order.lane)
    first = None if waiting is None else waiting.first()
    if first is not None and first[1] != order.key:
        yield Reason(kind=ReasonKind.TURN, subject=first[1].id)


# --- jobs ----------------------------------------------------------------------------------------


def job_reasons(
    state: State, key: JobKey, at: Instant, chain: ChainState | None = None
) -> tuple[Reason, ...]:
    """Return what keeps a job from starting a task now (`chain`: for an order of this chain)."""
    return tuple(_reasons_of_job(state, key, at, chain))


def first_job_reason(state: State, key: JobKey, at: Instant) -> Reason | None:
    """Return the first of `job_reasons`, without the work for the others."""
    return next(_reasons_of_job(state, key, at, None), None)


def _reasons_of_job(
    state: State, key: JobKey, at: Instant, chain: ChainState | None
) -> Iterator[Reason]:
    job = state.jobs.get(key)
    if job is None:
        yield Reason(kind=ReasonKind.JOB_MISSING, subject=key)
    else:
        yield from _job_reasons(state, job, at, chain)


def _job_reasons(
    state: State, job: JobState, at: Instant, chain: ChainState | None
) -> Iterator[Reason]:
    path = job.definition.path
    if state.control.paused:
        yield Reason(kind=ReasonKind.ENGINE_PAUSED)
    if job.stopped:
        yield Reason(kind=ReasonKind.JOB_STOPPED, subject=path)
    if job.replacement is not None or job.removal_held:
        yield Reason(kind=ReasonKind.JOB_CHANGES, subject=path)
    for kind, missing in missing_requisites(state, job):
        yield Reason(kind=ReasonKind.JOB_INCOMPLETE, subject=missing, text=kind)
    if job.delayed_until is not None and at < job.delayed_until:
        yield Reason(kind=ReasonKind.JOB_PAUSES, subject=path, until=job.delayed_until)
    if not job.is_open:
        until = None if job.open_until >= NEVER else job.open_until
        yield Reason(kind=ReasonKind.JOB_CLOSED, subject=path, until=until)
    if at_task_limit(state, job):
        tasks = state.tasks_of_job.get(job.key, {})
        yield Reason(
            kind=ReasonKind.JOB_BUSY,
            subject=path,
            used=len(tasks),
            limit=job.definition.tasks,
            holders=_holders(state, tasks),
        )
    for use in job.definition.locks:
        if use.lock in state.locks and not lock_is_free(state, use):
            yield _lock_reason(state, use.lock)
    class_path = class_of(state, job, None if chain is None else chain.key)
    if class_path in state.process_classes and class_is_full(state, class_path):
        yield _class_reason(state, class_path)


def _lock_reason(state: State, path: LockPath) -> Reason:
    holders = state.lock_holders.get(path, {})
    limit = None if any(holders.values()) else state.locks[path].definition.max_non_exclusive
    return Reason(
        kind=ReasonKind.LOCK,
        subject=path,
        used=len(holders),
        limit=limit,
        holders=_holders(state, holders),
    )


def _class_reason(state: State, path: ClassPath) -> Reason:
    slots = state.class_slots.get(path, {})
    return Reason(
        kind=ReasonKind.PROCESS_CLASS,
        subject=path,
        used=len(slots),
        limit=state.process_classes[path].definition.max_processes,
        holders=_holders(state, slots),
    )


def _holders(state: State, tasks: dict[TaskId, None] | dict[TaskId, bool]) -> tuple[Holder, ...]:
    return tuple(Holder(task=task, order=state.tasks[task].order) for task in tasks)


# --- tasks ---------------------------------------------------------------------------------------


def task_reasons(state: State, task_id: TaskId, at: Instant) -> tuple[Reason, ...]:
    """Return what a task waits for; empty while its process runs in touch with the engine."""
    task = state.tasks.get(task_id)
    return () if task is None else tuple(_task_reasons(state, task, at))


def first_task_reason(state: State, task: Task, at: Instant) -> Reason | None:
    """Return the first of `task_reasons`, without the work for the others."""
    return next(_task_reasons(state, task, at), None)


def _task_reasons(state: State, task: Task, at: Instant) -> Iterator[Reason]:
    match task.status:
        case TaskStatus.QUEUED:
            if at < task.start_at < NEVER:
                yield Reason(kind=ReasonKind.START_TIME, until=task.start_at)
            yield from _reasons_of_job(state, task.job, at, None)
        case TaskStatus.WAITING_FOR_AGENT:
            yield Reason(
                kind=ReasonKind.AGENT,
                subject=task.process_class,
                until=task.await_until,
                text=task.await_text,
            )
        case TaskStatus.STARTING:
            yield Reason(kind=ReasonKind.START, subject=task.agent or "")
        case TaskStatus.RUNNING:
            agent = None if not task.agent else state.agents.get(task.agent)
            out_of_touch = {AgentStatus.LOST, AgentStatus.DELAYED, AgentStatus.UNKNOWN}
            if agent is not None and agent.status in out_of_touch:
                yield Reason(kind=ReasonKind.CONNECTION, subject=agent.uri, text=agent.status.value)
        case TaskStatus.ENDED:
            return


# --- in words ------------------------------------------------------------------------------------

_SENTENCES = {
    ReasonKind.RESUME: "somebody to resume it",
    ReasonKind.OTHERS: "other orders to arrive",
    ReasonKind.FILE_REMOVAL: "its file to be removed",
    ReasonKind.START_BY_HAND: "somebody to start it: no start is planned",
    ReasonKind.START_TIME: "its start time",
    ReasonKind.SETBACK: "the end of its setback",
    ReasonKind.SCHEDULE: "the schedule {subject}, which is missing",
    ReasonKind.ENGINE_PAUSED: "the engine, which is paused",
    ReasonKind.CHAIN_MISSING: "the job chain {subject}, which is missing",
    ReasonKind.CHAIN_STOPPED: "the job chain {subject}, which is stopped",
    ReasonKind.CHAIN_CHANGES: "the job chain {subject}, which is about to change",
    ReasonKind.CHAIN_FULL: "the job chain {subject}",
    ReasonKind.NODE_STOPPED: "the node {subject}, which is stopped",
    ReasonKind.NODE_MISSING: "the node {subject}, which is missing",
    ReasonKind.JOB_MISSING: "the job {subject}, which is missing",
    ReasonKind.JOB_STOPPED: "the job {subject}, which is stopped",
    ReasonKind.JOB_INCOMPLETE: "{subject}, which the job needs and which is missing",
    ReasonKind.JOB_CHANGES: "the job {subject}, which is about to change",
    ReasonKind.JOB_PAUSES: "the job {subject}, which pauses after errors",
    ReasonKind.JOB_CLOSED: "the next period of the job {subject}",
    ReasonKind.JOB_BUSY: "the job {subject}",
    ReasonKind.LOCK: "the lock {subject}",
    ReasonKind.PROCESS_CLASS: "the process class {subject}",
    ReasonKind.AGENT: "an agent of the process class {subject}",
    ReasonKind.START: "the start of its process",
    ReasonKind.CONNECTION: "the agent {subject}, which is out of touch",
    ReasonKind.TURN: "its turn after the order {subject}",
}


def sentence(reason: Reason) -> str:
    """Return a reason in words: what, how full, who has it, until when."""
    said = _SENTENCES[reason.kind].format(subject=reason.subject or "(default)")
    if reason.limit is not None:
        said += f" ({reason.used} of {reason.limit})"
    if reason.holders:
        first = reason.holders[0]
        who = f"task {first.task}" if first.order is None else f"order {first.order.id}"
        more = len(reason.holders) - 1
        said += f", held by {who}" + (f" and {more} more" if more else "")
    if reason.until is not None and reason.until < NEVER:
        said += f", until {utc_text(reason.until)}"
    if reason.text and reason.kind in {ReasonKind.RESUME, ReasonKind.OTHERS}:
        said += f" ({reason.text})"
    return said
