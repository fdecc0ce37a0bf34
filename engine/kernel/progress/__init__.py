"""What may happen by itself, after a request or because time has passed.

`step` keeps an agenda of subjects that an event may have affected, visits them in order and applies
each event before it asks for the next; so the cost of a step does not grow with the number of
orders that stand elsewhere.
"""

from collections.abc import Iterator
from typing import assert_never

from engine.kernel.capacity import lock_candidates
from engine.kernel.events import Event
from engine.kernel.ids import OrderKey
from engine.kernel.instants import Instant
from engine.kernel.progress.affected import (
    ChainSubject,
    ClassSubject,
    FileSubject,
    JobSubject,
    LockQueueSubject,
    LockSubject,
    ScheduleSubject,
    Subject,
    TaskSubject,
    affected_by,
)
from engine.kernel.progress.definitions import (
    settle_chain,
    settle_class,
    settle_job,
    settle_lock,
    settle_order_file,
)
from engine.kernel.progress.periods import plan_orders_again
from engine.kernel.progress.starts import visit_job
from engine.kernel.progress.tasks import visit_task
from engine.kernel.state import State, job_of_node

__all__ = ["Subject", "affected_by", "due_subjects", "visit"]


def visit(state: State, subject: Subject, at: Instant) -> Iterator[Event]:
    """Yield what happens to the subject now; the caller applies each event at once."""
    match subject:
        case JobSubject():
            yield from settle_job(state, subject.job)
            yield from visit_job(state, subject.job, at)
        case TaskSubject():
            yield from visit_task(state, subject.task, at)
        case ChainSubject():
            yield from settle_chain(state, subject.chain)
        case ClassSubject():
            yield from settle_class(state, subject.process_class)
        case LockSubject():
            yield from settle_lock(state, subject.lock)
        case LockQueueSubject():
            for job in lock_candidates(state, subject.lock):
                yield from visit_job(state, job, at)
        case FileSubject():
            yield from settle_order_file(state, subject.order, at)
        case ScheduleSubject():
            yield from plan_orders_again(state, subject.schedule, at)
        case _:
            assert_never(subject)


def due_subjects(state: State, at: Instant) -> Iterator[Subject]:
    """Yield the subjects whose time has come, and take their timers off.

    A timer is an index: the truth is the start time in the record, which `visit` compares again.
    """
    while (first := state.timers.first()) is not None and first[0] <= at:
        subject = first[1]
        state.timers.discard(subject)
        if isinstance(subject, OrderKey):
            order = state.orders[subject]
            node = state.node(subject.chain, order.state)
            job = None if node is None else job_of_node(node)
            if job is not None:
                yield JobSubject(job)
        elif isinstance(subject, str):
            state.watch_job_after(subject, at)
            yield JobSubject(subject)
        else:
            task = state.tasks[subject]
            yield TaskSubject(subject) if task.holds_slot else JobSubject(task.job)
