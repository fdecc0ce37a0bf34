"""When orders start by themselves: run times applied to the state's schedules and zone (2.4)."""

from datetime import tzinfo
from zoneinfo import ZoneInfo

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    MissingSchedule,
    RunTime,
    calendar_of,
    first_order_start,
    next_order_start,
)
from engine.kernel.commands import AfterDelay, AtInstant, StartAt
from engine.kernel.definitions import OrderDefinition
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, later
from engine.kernel.state import Order, State


def zone_of(name: str) -> tzinfo:
    """Return the zone of this name. Names were checked when the definition was read."""
    return ZoneInfo(name)


def order_calendar(state: State, run_time: RunTime) -> Calendar | MissingSchedule:
    """Return an order's calendar; the scheduler-wide holidays do not count for orders (2.4)."""
    return calendar_of(
        run_time,
        {path: schedule.file.schedule for path, schedule in state.schedules.items()},
        zone_of(state.main.time_zone or state.control.time_zone),
        None,
        zone_of=zone_of,
        user=CalendarUser.ORDER,
    )


def job_calendar(state: State, run_time: RunTime) -> Calendar | MissingSchedule:
    """Return a job's calendar; the scheduler-wide holidays count (schedules.md 6)."""
    return calendar_of(
        run_time,
        {path: schedule.file.schedule for path, schedule in state.schedules.items()},
        zone_of(state.main.time_zone or state.control.time_zone),
        state.main.holidays,
        zone_of=zone_of,
        user=CalendarUser.JOB,
    )


def planned_start(state: State, run_time: RunTime | None, at: Instant) -> Instant:
    """Return the first start of an order that is placed at `at` and has this run time."""
    if run_time is None:
        return IMMEDIATELY
    calendar = order_calendar(state, run_time)
    return NEVER if isinstance(calendar, MissingSchedule) else first_order_start(calendar, at)


def first_start(
    state: State, definition: OrderDefinition, start: StartAt | None, at: Instant
) -> Instant:
    """Return the first start; an explicit one overrides the run time (2.2)."""
    if start is None:
        return planned_start(state, definition.run_time, at)
    return requested_start(start, at)


def requested_start(start: StartAt, at: Instant) -> Instant:
    """Return the instant a request names; the past means immediately."""
    match start:
        case AtInstant():
            return IMMEDIATELY if start.at <= at else start.at
        case AfterDelay():
            return IMMEDIATELY if start.delay <= 0 else later(at, start.delay)


def next_start(state: State, order: Order, at: Instant) -> Instant:
    """Return the start after a run that ends at `at`; NEVER without one (2.4)."""
    if order.run_time is None:
        return NEVER
    calendar = order_calendar(state, order.run_time)
    return NEVER if isinstance(calendar, MissingSchedule) else next_order_start(calendar, at)


def start_after_reset(state: State, order: Order, at: Instant) -> Instant:
    """Return the start after a reset: as when placed, but never without a run time (2.14)."""
    run_time = order.definition.run_time if order.run_time is None else order.run_time
    return NEVER if run_time is None else planned_start(state, run_time, at)


def schedule_is_missing(state: State, run_time: RunTime | None) -> bool:
    """Whether the run time names a schedule that does not exist (yet)."""
    if run_time is None or run_time.schedule is None:
        return False
    return run_time.schedule not in state.schedules
