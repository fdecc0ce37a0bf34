"""When orders and jobs start by themselves: run times applied to the state's schedules and zone.

The rules of orders are in schedules.md 13 and orders-and-jobs.md 2.4; what becomes of a job's run
time is in `progress.periods`.
"""

from collections.abc import Iterator, Mapping
from datetime import tzinfo
from zoneinfo import ZoneInfo

from engine.kernel import problems
from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    MissingSchedule,
    RunTime,
    Schedule,
    active_schedule,
    calendar_of,
    first_order_start,
    next_fixed_start,
    next_order_start,
    next_period,
    next_period_begin,
)
from engine.kernel.commands import AfterDelay, AtInstant, StartAt
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, later
from engine.kernel.problems import Problem
from engine.kernel.state import JobState, Order, State
from engine.kernel.state import Schedule as StoredSchedule


def zone_of(name: str) -> tzinfo:
    """Return the zone of this name. Names were checked when the definition was read."""
    return ZoneInfo(name)


def order_calendar(state: State, run_time: RunTime) -> Calendar | MissingSchedule:
    """Return an order's calendar."""
    return Calendars(state).of(run_time, CalendarUser.ORDER)


def job_calendar(state: State, run_time: RunTime) -> Calendar | MissingSchedule:
    """Return a job's calendar."""
    return Calendars(state).of(run_time, CalendarUser.JOB)


class Calendars:
    """The calendars of many objects at one moment: users of a named schedule share one.

    Asks the state as it is, so it lives for one step or one answer; with `copied` it keeps what
    it needs and goes on answering as of then.
    """

    def __init__(self, state: State, *, copied: bool = False) -> None:
        self._schedules = _Schedules(dict(state.schedules) if copied else state.schedules)
        self._zone = zone_of(state.main.time_zone or state.control.time_zone)
        self._holidays = state.main.holidays
        self._shared: dict[tuple[SchedulePath, str | None, CalendarUser], _Found] = {}

    def of(self, run_time: RunTime, user: CalendarUser) -> Calendar | MissingSchedule:
        """Return the calendar of a run time."""
        if run_time.schedule is None:
            return self._made(run_time, user)
        key = (run_time.schedule, run_time.time_zone, user)
        found = self._shared.get(key)
        if found is None:
            found = self._shared[key] = self._made(run_time, user)
        return found

    def planned_start(self, run_time: RunTime | None, at: Instant) -> Instant:
        """Return the first start of an order that is placed at `at` and has this run time."""
        if run_time is None:
            return IMMEDIATELY
        calendar = self.of(run_time, CalendarUser.ORDER)
        return NEVER if isinstance(calendar, MissingSchedule) else first_order_start(calendar, at)

    def _made(self, run_time: RunTime, user: CalendarUser) -> Calendar | MissingSchedule:
        return calendar_of(
            run_time, self._schedules, self._zone, self._holidays, zone_of=zone_of, user=user
        )


_Found = Calendar | MissingSchedule


class _Schedules(Mapping[SchedulePath, Schedule]):
    """The state's schedules as the calendar wants them, without a copy for each question."""

    def __init__(self, known: Mapping[SchedulePath, StoredSchedule]) -> None:
        self._known = known

    def __getitem__(self, path: SchedulePath) -> Schedule:
        return self._known[path].file.schedule

    def __iter__(self) -> Iterator[SchedulePath]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


# --- orders --------------------------------------------------------------------------------------


def planned_start(state: State, run_time: RunTime | None, at: Instant) -> Instant:
    """Return the first start of an order that is placed at `at` and has this run time."""
    return Calendars(state).planned_start(run_time, at)


def first_start(
    state: State, definition: OrderDefinition, start: StartAt | None, at: Instant
) -> Instant:
    """Return the first start of an order that is added; an explicit one overrides the run time.

    Two exceptions (schedules.md 13): `at="now"` leaves the decision to a run time, and an order
    whose schedule is missing does not start by `at` either.
    """
    run_time = definition.run_time
    if start is None:
        return planned_start(state, run_time, at)
    is_now = isinstance(start, AfterDelay) and start.delay <= 0
    if run_time is not None and (is_now or schedule_is_missing(state, run_time)):
        return planned_start(state, run_time, at)
    return requested_start(start, at)


def start_of_file(state: State, definition: OrderDefinition, at: Instant) -> Instant:
    """Return the start of an order that is placed because of its file (2.2, 2.4)."""
    start: StartAt | None = None
    if definition.first_start is not None:
        start = AtInstant(at=definition.first_start)
    elif definition.first_delay is not None:
        start = AfterDelay(delay=definition.first_delay)
    return first_start(state, definition, start, at)


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
    if isinstance(calendar, MissingSchedule):
        return NEVER
    return next_order_start(calendar, at, order.started_at)


def start_after_reset(state: State, order: Order, at: Instant) -> Instant:
    """Return the start after a reset: as when placed, but never without a run time (2.14)."""
    run_time = order.definition.run_time if order.run_time is None else order.run_time
    return NEVER if run_time is None else planned_start(state, run_time, at)


def has_begun(order: Order) -> bool:
    """Whether a run of the order has begun, so that its calendar counts from the next one on."""
    return order.touched or order.task is not None or order.started_at is not None


# --- both ----------------------------------------------------------------------------------------


def schedule_is_missing(state: State, run_time: RunTime | None) -> bool:
    """Whether the run time names a schedule that is not there (yet), or a substitute."""
    if run_time is None or run_time.schedule is None:
        return False
    schedule = state.schedules.get(run_time.schedule)
    return schedule is None or schedule.file.schedule.substitute is not None


def refers_to_substitute(state: State, run_time: RunTime | None) -> Problem | None:
    """Return why a command may not give this run time: it names a substitute (10)."""
    if run_time is None or run_time.schedule is None:
        return None
    named = state.schedules.get(run_time.schedule)
    if named is None or named.file.schedule.substitute is None:
        return None
    return problems.schedule_is_substitute(run_time.schedule)


def schedules_of(state: State) -> Mapping[SchedulePath, Schedule]:
    """Return all named schedules as the calendar knows them."""
    return _Schedules(state.schedules)


def active_schedule_of(state: State, run_time: RunTime, user: CalendarUser, at: Instant) -> str:
    """Return the schedule in force, the named one or its substitute; empty without any.

    So it is with an inline run time, and as long as the named schedule is missing.
    """
    calendar = Calendars(state).of(run_time, user)
    if isinstance(calendar, MissingSchedule):
        return ""
    return active_schedule(calendar, at) or ""


def start_ahead(state: State, job: JobState, at: Instant) -> Instant:
    """Return when a job starts something next, by itself or for an order; NEVER: nobody knows.

    What is shown as `next_start_time` (schedules.md 12). While a task runs only fixed starts are
    known; an order waits for a period of the job.
    """
    run_time = job.definition.run_time
    calendar = None if run_time is None else job_calendar(state, run_time)
    if isinstance(calendar, MissingSchedule):
        return NEVER
    start = job.next_start
    if calendar is not None and state.tasks_of_job.get(job.key):
        start = next_fixed_start(calendar, at)
    order_start = _earliest_order_start(state, job)
    if order_start < NEVER:
        order_start = max(order_start, at)
        if calendar is not None:
            order_start = next_period_begin(calendar, order_start)
    starts = (each for each in (start, order_start) if each > at)
    return min(starts, default=NEVER)


def _earliest_order_start(state: State, job: JobState) -> Instant:
    queues = (state.queues.get(node) for node in state.nodes_of_job.get(job.key, ()))
    firsts = (first for queue in queues if queue is not None for first in queue.firsts())
    return min((priority[0] for priority, _ in firsts), default=NEVER)


def never_opens(state: State, job: JobState, from_: Instant) -> bool:
    """Whether no period of the job follows, so that a start that needs one would never happen."""
    run_time = job.definition.run_time
    if run_time is None:
        return False
    calendar = job_calendar(state, run_time)
    return not isinstance(calendar, MissingSchedule) and next_period(calendar, from_) is None
