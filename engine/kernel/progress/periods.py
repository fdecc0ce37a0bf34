"""A job's run time: periods that open and close, automatic starts (3.13, 3.14)."""

from collections.abc import Iterator

from engine.kernel.capacity import Want, class_of
from engine.kernel.events import Event
from engine.kernel.events.tasks import Cause
from engine.kernel.ids import JobKey
from engine.kernel.instants import Instant
from engine.kernel.state import JobState, State


def in_period(state: State, job: JobState, at: Instant) -> bool:
    """Whether the job's run time lets it work now; without a run time it always may."""
    return True


def automatic_want(state: State, job: JobState, at: Instant, *, in_period: bool) -> Want | None:
    """Return the start that the job's run time or a wake command asks for."""
    process_class = class_of(state, job, None)
    if job.next_start <= at:
        return Want(cause=job.next_start_cause, process_class=process_class)
    if job.woken is not None and (in_period or not job.woken_in_period_only):
        return Want(cause=job.woken, process_class=process_class)
    running = len(state.tasks_of_job.get(job.key, ()))
    if in_period and running < job.definition.min_tasks:
        return Want(cause=Cause.MIN_TASKS, process_class=process_class)
    return None


def plan_next_start(state: State, key: JobKey, at: Instant) -> Iterator[Event]:
    """Work out the job's next automatic start when none is planned."""
    yield from ()
