"""What was due while the engine was down (orders-and-jobs.md chapter 10).

Starts that a run time has caused are not made up: jobs and orders go on with the next one. A start
that somebody asked for by `at` is kept and happens at once. What was missed is noted, once for each
job and order: the plan of the day shows it.
"""

from collections.abc import Iterator
from itertools import islice

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    MissingSchedule,
    StartKind,
    first_order_start,
    starts_between,
)
from engine.kernel.events import Event
from engine.kernel.events.orders import OrderStartPlanned, OrderStartsMissed
from engine.kernel.events.tasks import Cause, JobStartsMissed
from engine.kernel.instants import Instant
from engine.kernel.plans import Calendars, has_begun
from engine.kernel.state import Order, State

COUNTED_MAX = 1_000
"""Missed starts are counted up to here."""


def note_missed(state: State, since: Instant, at: Instant) -> Iterator[Event]:
    """Note starts planned after `since`, when the engine went down, up to now.

    Only the next start of each job and order is known from the journal; the calendar says how many
    more there were.
    """
    calendars = Calendars(state)
    for job in list(state.jobs.values()):
        is_fixed = job.next_start_cause is Cause.PERIOD_SINGLE
        if not is_fixed or job.stopped or not since < job.next_start <= at:
            continue
        calendar = None
        if job.definition.run_time is not None:
            calendar = calendars.of(job.definition.run_time, CalendarUser.JOB)
        if isinstance(calendar, Calendar):
            count = _count(calendar, job.next_start, at)
            yield JobStartsMissed(job=job.key, first=job.next_start, count=count, at=at)
    for order in list(state.orders.values()):
        if since < order.start_at <= at:
            yield from _of_order(order, calendars, at)


def _of_order(order: Order, calendars: Calendars, at: Instant) -> Iterator[Event]:
    if order.run_time is None or has_begun(order) or order.blacklisted:
        return
    calendar = calendars.of(order.run_time, CalendarUser.ORDER)
    if isinstance(calendar, MissingSchedule):
        return
    start = next(starts_between(calendar, order.start_at, Instant(order.start_at + 1)), None)
    if start is None or start.kind is StartKind.REPEAT:
        return  # asked for by `at`, or a repeat, which goes on at once
    if not order.suspended:
        count = _count(calendar, order.start_at, at)
        yield OrderStartsMissed(order=order.key, first=order.start_at, count=count, at=at)
    yield OrderStartPlanned(order=order.key, start_at=first_order_start(calendar, at))


def _count(calendar: Calendar, first: Instant, at: Instant) -> int:
    return sum(1 for _ in islice(starts_between(calendar, first, Instant(at + 1)), COUNTED_MAX))
