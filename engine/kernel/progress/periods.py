"""A job's run time: periods that open and close, automatic starts (3.13, 3.14, schedules.md 12).

What the calendar says becomes events: until when a period is open, when the next start is. It is
asked again only when something it rests on has changed, so the past is never computed anew.
"""

from collections.abc import Iterator

from engine.kernel.calendar import (
    Calendar,
    MissingSchedule,
    StartKind,
    next_job_start,
    next_period,
    period_at,
)
from engine.kernel.capacity import Want, class_of, next_order
from engine.kernel.events import Event
from engine.kernel.events.orders import OrderStartPlanned
from engine.kernel.events.tasks import Cause, JobPeriodChanged, JobStartPlanned
from engine.kernel.ids import JobKey
from engine.kernel.instants import NEVER, Instant
from engine.kernel.plans import job_calendar, planned_start
from engine.kernel.state import JobState, State

_CAUSES = {
    StartKind.ONCE: Cause.PERIOD_ONCE,
    StartKind.REPEAT: Cause.PERIOD_REPEAT,
}


def automatic_want(state: State, job: JobState, at: Instant) -> Want | None:
    """Return the start that the job's run time or a wake command asks for."""
    process_class = class_of(state, job, None)
    running = len(state.tasks_of_job.get(job.key, ()))
    if job.trigger_files is not None and job.is_open and not running:
        # Comes before what the run time asks for: several reasons give one task, named after the
        # last one that fits (3.13).
        order = next_order(state, job.key, at) if job.definition.is_order_job else None
        if order is not None:
            process_class = class_of(state, job, order.chain)
        return Want(cause=Cause.DIRECTORY, process_class=process_class, order=order)
    if job.next_start <= at and not running:
        order = next_order(state, job.key, at) if job.definition.is_order_job else None
        if order is not None:
            process_class = class_of(state, job, order.chain)
        return Want(cause=job.next_start_cause, process_class=process_class, order=order)
    if job.woken is not None and (job.is_open or not job.woken_in_period_only):
        return Want(cause=job.woken, process_class=process_class)
    if job.is_open and running < job.definition.min_tasks:
        return Want(cause=Cause.MIN_TASKS, process_class=process_class)
    return None


def plan_job(state: State, key: JobKey, at: Instant) -> Iterator[Event]:
    """Ask the job's run time again if that is due."""
    job = state.jobs.get(key)
    if job is None or (job.is_planned and at < job.open_until):
        return
    run_time = job.definition.run_time
    calendar = None if run_time is None else job_calendar(state, run_time)
    if calendar is None or isinstance(calendar, MissingSchedule):
        # A job whose schedule is missing is incomplete and starts nothing anyway.
        if not job.is_open or job.open_until != NEVER:
            yield JobPeriodChanged(job=key, is_open=True, until=NEVER)
        yield from _plan_start(state, key, None, at)
        return
    is_open, until = _opening(calendar, at)
    if (is_open, until) != (job.is_open, job.open_until):
        yield JobPeriodChanged(job=key, is_open=is_open, until=until)
    yield from _plan_start(state, key, calendar, at)


def _opening(calendar: Calendar, at: Instant) -> tuple[bool, Instant]:
    """Return whether a period is open, and until when that stays so."""
    period = period_at(calendar, at)
    if period is not None and not period.is_single:
        return True, period.end
    following = next_period(calendar, at)
    return False, NEVER if following is None else max(following.begin, Instant(at + 1))


def _plan_start(
    state: State, key: JobKey, calendar: Calendar | None, at: Instant
) -> Iterator[Event]:
    job = state.jobs[key]
    start_at, cause = NEVER, Cause.NONE
    if state.tasks_of_job.get(key):
        pass  # decided when the last of them has ended
    elif job.restarts and job.delayed_until is not None:
        start_at, cause = job.delayed_until, Cause.DELAY_AFTER_ERROR
    elif calendar is not None:
        start = next_job_start(calendar, at, last_end=job.last_end, once_pending=job.once_pending)
        if start is not None:
            start_at, cause = start.at, _CAUSES.get(start.kind, Cause.PERIOD_SINGLE)
    if not job.is_planned or (start_at, cause) != (job.next_start, job.next_start_cause):
        yield JobStartPlanned(job=key, start_at=start_at, cause=cause)


def plan_orders_again(state: State, at: Instant) -> Iterator[Event]:
    """Plan orders that have not started, since a schedule has changed; it overrides `at` (2.4)."""
    for order in list(state.orders.values()):
        uses = order.run_time is not None and order.run_time.schedule is not None
        if not uses or order.touched or order.task is not None or order.blacklisted:
            continue
        start_at = planned_start(state, order.run_time, at)
        if start_at != order.start_at:
            yield OrderStartPlanned(order=order.key, start_at=start_at)
