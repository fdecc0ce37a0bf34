"""Which task starts next: queues, process classes, locks (3.13, 6.3, 7.3)."""

from collections.abc import Iterator

from engine.kernel.capacity import (
    Want,
    class_lets_in,
    is_held,
    is_in_period,
    locks_let_in,
    order_want,
    queued_want,
)
from engine.kernel.definitions import JobNode, OnError
from engine.kernel.events import Event
from engine.kernel.events.orders import (
    OrderStarted,
    OrderStartPlanned,
    OrderStateTextSet,
    OrderSuspended,
)
from engine.kernel.events.tasks import (
    Cause,
    JobAwaitsLocks,
    JobAwaitsProcess,
    JobErrorsCounted,
    JobStartPlanned,
    JobWaitEnded,
    JobWoken,
    TaskCreated,
    TaskEnded,
)
from engine.kernel.ids import HistoryId, JobKey, OrderKey, TaskId
from engine.kernel.instants import IMMEDIATELY, Instant, later, seconds
from engine.kernel.progress.periods import automatic_want, plan_job
from engine.kernel.state import JobState, State
from engine.kernel.travel import advance, on_error_of

REFUSED_AGAIN = seconds(1)
"""How long an order that no process class takes waits at the node it was sent on to."""


def visit_job(state: State, key: JobKey, at: Instant) -> Iterator[Event]:
    """Start as many tasks of the job as may start now."""
    job = state.jobs.get(key)
    if job is None:
        return
    if job.delayed_until is not None and job.delayed_until <= at:
        yield from plan_job(state, key, at)
        planned = state.jobs[key]
        yield JobErrorsCounted(job=key, consecutive=planned.consecutive_errors)
        if planned.restarts:
            yield JobStartPlanned(
                job=key, start_at=planned.next_start, cause=planned.next_start_cause
            )
    yield from plan_job(state, key, at)
    while (job := state.jobs.get(key)) is not None:
        want = None if is_held(state, job, at) else next_want(state, job, at)
        if want is None:
            if job.wait is not None:
                yield JobWaitEnded(job=key)
            return
        if want.order is not None and want.process_class not in state.process_classes:
            yield from _refuse_order(state, want.order, want.process_class, at)
            continue
        if not locks_let_in(state, job):
            yield from _await_locks(state, job, want)
            return
        if not class_lets_in(state, want.process_class, key):
            if job.wait is None or job.wait.process_class != want.process_class:
                yield JobAwaitsProcess(job=key, process_class=want.process_class, order=want.order)
            return
        if job.wait is not None and job.wait.process_class in {None, want.process_class}:
            yield JobWaitEnded(job=key)
        yield from _start(state, key, want, at)
        yield from plan_job(state, key, at)


def next_want(state: State, job: JobState, at: Instant) -> Want | None:
    """Return what the job starts next, in the order of 3.13."""
    in_period = is_in_period(job, at)
    queued = queued_want(state, job, at, in_period=in_period)
    if queued is not None:
        return queued
    automatic = automatic_want(state, job, at)
    if automatic is not None:
        return automatic
    return order_want(state, job, at) if in_period else None


def _await_locks(state: State, job: JobState, want: Want) -> Iterator[Event]:
    locks = tuple(use.lock for use in job.definition.locks)
    if job.wait is None or job.wait.locks != locks:
        place = 1 + max(len(state.lock_waiters.get(lock, ())) for lock in locks)
        yield JobAwaitsLocks(job=job.key, locks=locks, order=want.order, place=place)


def _start(state: State, key: JobKey, want: Want, at: Instant) -> Iterator[Event]:
    job = state.jobs[key]
    if want.order is not None and not state.orders[want.order].touched:
        history = HistoryId(state.control.last_history + 1)
        yield OrderStarted(order=want.order, history=history, at=at)
    if job.woken is not None and want.queued is None and want.cause is job.woken:
        yield JobWoken(job=key, cause=Cause.NONE, in_period_only=False)
    task = want.queued or TaskId(state.control.last_task + 1)
    yield TaskCreated(
        task=task,
        job=key,
        cause=want.cause,
        process_class=want.process_class,
        at=at,
        locks=job.definition.locks,
        order=want.order,
        state=None if want.order is None else state.orders[want.order].state,
        trigger_files=(job.trigger_files or ()) if want.cause is Cause.DIRECTORY else (),
    )
    if job.definition.is_order_job and want.order is None:
        # A task that was started for another reason asks for an order and finds none (3.1).
        yield TaskEnded(task=task, at=at, exit_code=0, ran=False)


def _refuse_order(
    state: State, order: OrderKey, process_class: str, at: Instant
) -> Iterator[Event]:
    """A chain's process class is missing: its order takes the error branch (2.9)."""
    standing = state.orders[order]
    node = state.node(order.chain, standing.state)
    if not standing.touched:
        history = HistoryId(state.control.last_history + 1)
        yield OrderStarted(order=order, history=history, at=at)
    yield OrderStateTextSet(
        order=order, text=f"SCHEDULER-161 There is no process class {process_class!r}"
    )
    if on_error_of(node) is OnError.SUSPEND:
        yield OrderSuspended(order=order, reason="its process class is missing")
        return
    # No setback: nothing has run that could run better the next time.
    error_state = node.error_state if isinstance(node, JobNode) else None
    yield from advance(state, order, None, error_state, at)
    moved = state.orders.get(order)
    if moved is not None and moved.touched and moved.start_at == IMMEDIATELY:
        # A chain whose nodes lead back to each other must not keep the engine busy with it.
        yield OrderStartPlanned(order=order, start_at=later(at, REFUSED_AGAIN))
