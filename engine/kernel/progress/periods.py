"""A job's run time: periods that open and close, automatic starts (3.13, 3.14, schedules.md 12).

What the calendar says becomes events: until when the job is open, when its next start is. It is
asked again only when something it rests on has changed, so the past is never computed anew. A start
that is due and cannot happen, for want of a lock or a process, stays due: single starts until they
happen, others as long as the job is open. Starts that pass while a task runs, the job is stopped or
the engine is down are not made up: whatever ends these asks the calendar from then on.
"""

from collections.abc import Iterator

from engine.kernel.calendar import (
    Calendar,
    MissingSchedule,
    StartKind,
    next_job_start,
    next_period,
    next_period_begin,
    period_at,
)
from engine.kernel.capacity import (
    Want,
    class_of,
    is_in_period,
    is_incomplete,
    next_order,
)
from engine.kernel.events import Event
from engine.kernel.events.orders import OrderStartPlanned
from engine.kernel.events.tasks import Cause, JobPeriodChanged, JobStartPlanned
from engine.kernel.ids import JobKey, SchedulePath
from engine.kernel.instants import NEVER, Instant
from engine.kernel.plans import Calendars, has_begun, job_calendar
from engine.kernel.state import JobState, State

_CAUSES = {
    StartKind.ONCE: Cause.PERIOD_ONCE,
    StartKind.REPEAT: Cause.PERIOD_REPEAT,
}

_JOINED_PERIODS_MAX = 8
"""Periods that touch count as one opening up to here: a job that is always open, which is day after
day, is looked at once a week instead of every midnight."""


def automatic_want(state: State, job: JobState, at: Instant) -> Want | None:
    """Return the start that the job's run time or a wake command asks for."""
    process_class = class_of(state, job, None)
    running = len(state.tasks_of_job.get(job.key, ()))
    in_period = is_in_period(job, at)
    if job.trigger_files is not None and in_period and not running:
        # Comes before what the run time asks for: several reasons give one task, named after the
        # last one that fits (3.13).
        order = next_order(state, job.key, at) if job.definition.is_order_job else None
        if order is not None:
            process_class = class_of(state, job, order.chain)
        return Want(cause=Cause.DIRECTORY, process_class=process_class, order=order)
    if job.next_start <= at and not running and (in_period or not needs_period(job)):
        order = next_order(state, job.key, at) if job.definition.is_order_job else None
        if order is not None:
            process_class = class_of(state, job, order.chain)
        return Want(cause=job.next_start_cause, process_class=process_class, order=order)
    if job.woken is not None and (in_period or not job.woken_in_period_only):
        order = next_order(state, job.key, at) if job.definition.is_order_job else None
        if order is not None:
            process_class = class_of(state, job, order.chain)
        return Want(cause=job.woken, process_class=process_class, order=order)
    if in_period and running < job.definition.min_tasks and not job.definition.is_order_job:
        return Want(cause=Cause.MIN_TASKS, process_class=process_class)
    return None


def needs_period(job: JobState) -> bool:
    """Whether the planned start has to wait for a period; single starts need none (3.13)."""
    return job.next_start_cause is not Cause.PERIOD_SINGLE


def plan_job(state: State, key: JobKey, at: Instant) -> Iterator[Event]:
    """Ask the job's run time again if that is due."""
    job = state.jobs.get(key)
    if job is None:
        return
    # The single starts of an incomplete job pass.
    is_lost = job.next_start <= at and not needs_period(job) and is_incomplete(state, job)
    if job.is_planned and at < job.open_until and not is_lost:
        return
    run_time = job.definition.run_time
    calendar = None if run_time is None else job_calendar(state, run_time)
    if isinstance(calendar, MissingSchedule):
        calendar = None  # The job is incomplete and starts nothing anyway.
    is_open, until = (True, NEVER) if calendar is None else _opening(calendar, at)
    if (is_open, until) != (job.is_open, job.open_until):
        yield JobPeriodChanged(job=key, is_open=is_open, until=until)
    has_lapsed = job.next_start <= at and needs_period(job) and not is_open
    if job.is_planned and not has_lapsed and not is_lost:
        return
    start_at, cause = _next_start(state, state.jobs[key], calendar, at)
    if start_at <= at and cause is Cause.PERIOD_SINGLE and is_incomplete(state, job):
        start_at, cause = _next_start(state, state.jobs[key], calendar, Instant(at + 1))
    if not job.is_planned or (start_at, cause) != (job.next_start, job.next_start_cause):
        yield JobStartPlanned(job=key, start_at=start_at, cause=cause)


def _opening(calendar: Calendar, at: Instant) -> tuple[bool, Instant]:
    """Return whether the job is open, and until when that stays so."""
    period = period_at(calendar, at)
    if period is None:
        following = next_period(calendar, at)
        return False, NEVER if following is None else following.begin
    end = period.end
    for _ in range(_JOINED_PERIODS_MAX - 1):
        period = period_at(calendar, end)
        if period is None:
            break
        end = period.end
    return True, end


def _next_start(
    state: State, job: JobState, calendar: Calendar | None, at: Instant
) -> tuple[Instant, Cause]:
    if state.tasks_of_job.get(job.key):
        return NEVER, Cause.NONE  # decided when the last of them has ended
    delayed = job.delayed_until if job.restarts else None
    start_at, cause = NEVER, Cause.NONE
    if calendar is not None:
        earliest = at if delayed is None else max(at, delayed)
        start = next_job_start(
            calendar, earliest, last_end=job.last_end, once_pending=job.once_pending
        )
        if start is not None:
            start_at, cause = start.at, _CAUSES.get(start.kind, Cause.PERIOD_SINGLE)
    if delayed is not None:
        # The pause never extends a period: when it is over outside of one, the job waits (3.8).
        retry_at = delayed if calendar is None else next_period_begin(calendar, delayed)
        if retry_at <= start_at:
            return retry_at, Cause.DELAY_AFTER_ERROR
    return start_at, cause


def plan_orders_again(state: State, changed: SchedulePath, at: Instant) -> Iterator[Event]:
    """Plan the users of a changed schedule anew that have not begun; it overrides `at` (2.4)."""
    calendars = Calendars(state)
    for order in list(state.orders.values()):
        if order.run_time is None or order.run_time.schedule != changed:
            continue
        if has_begun(order) or order.blacklisted:
            continue
        start_at = calendars.planned_start(order.run_time, at)
        if start_at != order.start_at:
            yield OrderStartPlanned(order=order.key, start_at=start_at)
