"""What a job may start now, and what keeps it from starting more.

One place for these rules: `progress` starts tasks by them, `reasons` explains waiting by them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.commands import NodeAction
from engine.kernel.definitions import LockUse, NativeScript
from engine.kernel.events.tasks import Cause
from engine.kernel.ids import (
    DEFAULT_CLASS,
    ChainKey,
    ClassPath,
    JobKey,
    LockPath,
    MonitorPath,
    NodeState,
    OrderKey,
    SchedulePath,
    TaskId,
)
from engine.kernel.instants import Instant
from engine.kernel.params import is_yes, value_of
from engine.kernel.plans import has_begun, schedule_is_missing
from engine.kernel.queues import Lane, PriorityQueue, QueuedOrder, QueuePriority
from engine.kernel.state import ChainState, JobState, State

# --- what is missing -----------------------------------------------------------------------------

Requisite: TypeAlias = ClassPath | LockPath | SchedulePath | MonitorPath


def missing_requisites(state: State, job: JobState) -> Iterator[tuple[str, str]]:
    """Yield kind and path of the objects a job needs and that do not exist (0.3)."""
    definition = job.definition
    if definition.process_class and definition.process_class not in state.process_classes:
        yield "process_class", definition.process_class
    for use in definition.locks:
        if use.lock not in state.locks:
            yield "lock", use.lock
    for monitor in definition.monitors:
        if monitor.path is not None and monitor.path not in state.monitors:
            yield "monitor", monitor.path
    run_time = definition.run_time
    if run_time is not None and schedule_is_missing(state, run_time):
        yield "schedule", str(run_time.schedule)


def is_incomplete(state: State, job: JobState) -> bool:
    """Whether the job is not active for want of its schedule or a monitor (live-folder.md 7.2).

    Without its process class or a lock it is active and waits, as for one that is full or held.
    """
    waited_for = {"process_class", "lock"}
    return any(kind not in waited_for for kind, _ in missing_requisites(state, job))


# --- the job as a whole --------------------------------------------------------------------------


def is_held(state: State, job: JobState, at: Instant) -> bool:
    """Whether the job starts nothing at all now, whatever waits."""
    return (
        state.control.paused
        or job.stopped
        or job.replacement is not None
        or job.removal_held
        or at_task_limit(state, job)
        or any(True for _ in missing_requisites(state, job))
    )


def is_in_period(job: JobState, at: Instant) -> bool:
    """Whether the run time lets the job start; a pause after errors counts as no period (3.8)."""
    return job.is_open and (job.delayed_until is None or at >= job.delayed_until)


def at_task_limit(state: State, job: JobState) -> bool:
    """Whether as many tasks run as `tasks` allows."""
    return len(state.tasks_of_job.get(job.key, ())) >= job.definition.tasks


# --- orders --------------------------------------------------------------------------------------


def chain_serves(chain: ChainState, node: NodeState) -> bool:
    """Whether orders of this chain may do a step at this node."""
    return (
        not chain.stopped
        and chain.replacement is None
        and not chain.removal_held
        and chain.action(node) is NodeAction.PROCESS
    )


def at_order_limit(state: State, chain: ChainState) -> bool:
    """Whether only orders that have started may go on (1.8)."""
    limit = chain.definition.max_orders
    return limit is not None and state.started_in_chain.get(chain.key, 0) >= limit


def next_order(state: State, job: JobKey, at: Instant) -> OrderKey | None:
    """Return the order that the job takes next: start time, priority, arrival (1.7).

    A job runs tasks in the process classes of several chains side by side: orders whose class has
    no slot now are passed by those of other classes (6.6, js1464).
    """
    waiting = sorted(_first_orders(state, job, at))
    for _, key in waiting:
        if class_lets_in(state, class_of(state, state.jobs[job], key.chain), job):
            return key
    return waiting[0][1] if waiting else None


def _first_orders(state: State, job: JobKey, at: Instant) -> Iterator[QueuedOrder]:
    """Yield the first startable order of each node of the job."""
    for chain_key, node in state.nodes_of_job.get(job, ()):
        queue = state.queues.get((chain_key, node))
        if queue is None:
            continue
        chain = state.chains[chain_key]
        if not chain_serves(chain, node):
            continue
        for lane, waiting in queue.lanes.items():
            if not _lane_is_open(state, chain, lane):
                continue
            first = waiting.first()
            if first is not None and first[0][0] <= at and _lacks_schedule(state, first[1]):
                first = _first_with_schedule(state, waiting)
            if first is not None and first[0][0] <= at:
                yield first


def _lane_is_open(state: State, chain: ChainState, lane: Lane) -> bool:
    """Whether stopped and full chains let the orders of a lane go on (1.5, 1.8, js1207)."""
    if not lane.touched and at_order_limit(state, chain):
        return False
    outer = None if lane.outer is None else state.chains.get(lane.outer)
    return outer is None or (not outer.stopped and (lane.begun or not at_order_limit(state, outer)))


def _lacks_schedule(state: State, key: OrderKey) -> bool:
    """Whether the named schedule of an order that has not begun is missing (js1031)."""
    order = state.orders[key]
    return schedule_is_missing(state, order.run_time) and not has_begun(order)


def _first_with_schedule(
    state: State, entries: PriorityQueue[OrderKey, QueuePriority]
) -> QueuedOrder | None:
    """Return the first order that lacks no schedule; looks at all that wait here.

    Orders without their schedule have no start time either, so that this is hardly ever needed.
    """
    found = [
        ((order.start_at, -order.priority, order.place), key)
        for key in entries.keys()  # noqa: SIM118  # not a dict
        if not _lacks_schedule(state, key)
        for order in (state.orders[key],)
    ]
    return min(found) if found else None


# --- what a job would start ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A task that the job would start, if locks and process class allow."""

    cause: Cause
    process_class: ClassPath
    order: OrderKey | None = None
    queued: TaskId | None = None


def class_of(state: State, job: JobState, chain: ChainKey | None) -> ClassPath:
    """Return the class a task belongs to: the job's before the chain's (6.6)."""
    if isinstance(job.definition.script, NativeScript):
        return job.definition.process_class or DEFAULT_CLASS
    if job.definition.process_class:
        return job.definition.process_class
    if chain is not None:
        return state.chains[chain].definition.process_class or DEFAULT_CLASS
    return DEFAULT_CLASS


def queued_want(state: State, job: JobState, at: Instant, *, in_period: bool) -> Want | None:
    """Return the start of the first queued task that is due; forced ones overtake (3.5)."""
    queue = state.queued_tasks.get(job.key)
    if queue is None:
        return None
    first = queue.first()
    if first is None or first[0][0] > at:
        return None
    task = state.tasks[first[1]]
    if not in_period and (task.in_period or not task.force):
        due = [
            other
            for other in (state.tasks[key] for key in queue.keys())  # noqa: SIM118  # not a dict
            if other.start_at <= at and other.force and not other.in_period
        ]
        if not due:
            return None
        task = min(due, key=lambda other: (other.start_at, other.id))
    order = next_order(state, job.key, at) if job.definition.is_order_job else None
    chain = None if order is None else order.chain
    return Want(
        cause=task.cause,
        process_class=class_of(state, job, chain),
        queued=task.id,
        order=order,
    )


def order_want(state: State, job: JobState, at: Instant) -> Want | None:
    """Return the start for the next order, if one is there."""
    order = next_order(state, job.key, at)
    if order is None:
        return None
    return Want(cause=Cause.ORDER, process_class=class_of(state, job, order.chain), order=order)


# --- process classes -----------------------------------------------------------------------------


def class_is_full(state: State, path: ClassPath) -> bool:
    """Whether the class runs as many tasks as it may."""
    if state.main.ignore_process_classes:
        return False
    process_class = state.process_classes.get(path)
    if process_class is None or process_class.removal_held:
        return True
    return len(state.class_slots.get(path, ())) >= process_class.definition.max_processes


def class_lets_in(state: State, path: ClassPath, job: JobKey) -> bool:
    """Whether the job may take a slot: one is free, and nobody came earlier (6.3)."""
    if class_is_full(state, path):
        return False
    waiters = state.class_waiters.get(path)
    first = None if waiters is None else waiters.first()
    return first is None or first[1] == job or state.main.ignore_process_classes


# --- locks ---------------------------------------------------------------------------------------


ORIGINAL_LOCK_QUEUES = "pointsman.locks.original_queues"
"""Parameter of the engine: `yes` lets waiting jobs pass each other as the original did (7.3)."""


def lock_is_free(state: State, use: LockUse) -> bool:
    """Whether the lock's holders leave room for this use (7.2); one on its way out has none."""
    holders = state.lock_holders.get(use.lock, {})
    lock = state.locks[use.lock]
    if lock.removal_held:
        return False
    if use.exclusive:
        return not holders
    limit = lock.definition.max_non_exclusive
    if limit is not None and len(holders) >= limit:
        return False
    return not any(holders.values())


def has_turn(state: State, use: LockUse, job: JobKey, *, same_mode_only: bool = False) -> bool:
    """Whether nobody waits for the lock longer whom this use would pass unfairly.

    Fair by design, where the original let shared users pass a waiting exclusive one for ever (7.3):
    only shared users may pass shared users. With `same_mode_only` each mode has its own queue, in
    which nobody passes anybody: the original's way.
    """
    waiters = state.lock_waiters.get(use.lock)
    if waiters is None:
        return True
    for other in waiters.in_order():
        if other == job:
            return True
        is_exclusive = _uses_exclusively(state, other, use.lock)
        if not is_exclusive and state.locks[use.lock].definition.max_non_exclusive == 0:
            continue  # it waits for a change of the lock, nobody passes it
        if same_mode_only:
            if is_exclusive == use.exclusive:
                return False
        elif use.exclusive or is_exclusive:
            return False
    return True


def lock_candidates(state: State, path: LockPath) -> Iterator[JobKey]:
    """Yield the jobs that may go on now that a lock has changed, first come, first served.

    Asked step by step while those before are visited: behind one that has taken the lock, or that
    nobody may pass, nobody needs a visit, so that a release costs the same however many wait.
    """
    waiters = state.lock_waiters.get(path)
    if waiters is None:
        return
    original = is_yes(value_of(state.main.params, ORIGINAL_LOCK_QUEUES))
    for job in waiters.in_order():
        if path not in state.locks:
            return
        use = LockUse(lock=path, exclusive=_uses_exclusively(state, job, path))
        if lock_is_free(state, use):
            yield job
        if original or (not use.exclusive and state.locks[path].definition.max_non_exclusive == 0):
            continue
        if not lock_is_free(state, use) or (use.exclusive and job in waiters):
            return


def _uses_exclusively(state: State, job: JobKey, lock: LockPath) -> bool:
    return any(use.exclusive for use in state.jobs[job].definition.locks if use.lock == lock)


def locks_let_in(state: State, job: JobState) -> bool:
    """Whether all of the job's locks can be had together, and it is its turn."""
    uses = job.definition.locks
    if not all(lock_is_free(state, use) for use in uses):
        return False
    if is_yes(value_of(state.main.params, ORIGINAL_LOCK_QUEUES)):
        # The original is content with the turn at one of the locks.
        turns = [has_turn(state, use, job.key, same_mode_only=True) for use in uses]
        return any(turns) or not uses
    return all(has_turn(state, use, job.key) for use in uses)
