"""The plan of the day: what starts between two instants, what is late, what was missed.

`PlanBasis.of` takes what is needed out of the state: references to frozen records, so it is quick
and stays as it is while the engine goes on. `plan` then works lazily, in the order of time, on no
more than what is taken from it. Durations come from outside, from the histories: a `repeat` counts
from the end of a run, and fixed starts during a run are lost, so they decide about later starts.

A plan knows calendars, not circumstances: an order may have to wait for the period of its job, for
a lock or for a process. Jobs and chains that are stopped, suspended and blacklisted orders start
nothing and are left out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple, TypeAlias

from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    MissingSchedule,
    Start,
    StartKind,
    following_start,
    known_start,
    start_from,
)
from engine.kernel.events.tasks import Cause
from engine.kernel.ids import ChainKey, JobKey, OrderKey, SchedulePath, TaskId
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration, Instant
from engine.kernel.plans import Calendars, has_begun
from engine.kernel.state import JobState, Missed, Order, State, Task

LEAD_MS = 25 * 3_600_000
"""A plan of a later time begins so long before it: a period lies within one day, and each of them
begins its repeats anew. Only where periods touch nobody knows so early when a repeat comes."""


class PlanStatus(Enum):
    """How a planned start stands."""

    PLANNED = "planned"
    LATE = "late"
    """Its time has passed and it has not begun: it waits for something else."""
    MISSED = "missed"
    """It passed while the engine was down and is not made up."""


class PlanKind(Enum):
    """Why something starts."""

    SINGLE_START = "single_start"
    AT = "at"
    REPEAT = "repeat"
    ABSOLUTE_REPEAT = "absolute_repeat"
    ONCE = "once"
    DELAY_AFTER_ERROR = "delay_after_error"
    QUEUE = "queue"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry:
    """One start of a job or an order."""

    at: Instant
    status: PlanStatus
    kind: PlanKind
    path: str
    """Of the job, or of the order's chain."""
    order: str | None = None
    """The order's id; None: a job."""
    title: str = ""
    task: TaskId | None = None
    """A queued task."""
    schedule: SchedulePath | None = None
    """The named schedule, base or substitute, that says so."""
    duration: Duration | None = None
    """How long it probably takes; None: it has never run."""
    count: int = 1
    """More than one: so many starts were missed, this one and later ones."""

    @property
    def end(self) -> Instant | None:
        """Return when it probably ends; None: nobody knows, or it does not happen."""
        if self.duration is None or self.status is PlanStatus.MISSED:
            return None
        return Instant(self.at + self.duration)


PlannedSubject: TypeAlias = OrderKey | JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanBasis:
    """What a plan is made of, as of one moment."""

    now: Instant
    calendars: Calendars
    jobs: tuple[JobState, ...]
    orders: tuple[Order, ...]
    tasks: tuple[Task, ...]
    """Queued ones."""
    running: Mapping[JobKey, Instant]
    """Since when jobs run that do."""
    chain_paths: Mapping[ChainKey, str]
    job_paths: Mapping[JobKey, str]

    @classmethod
    def of(cls, state: State, now: Instant) -> "PlanBasis":
        """Take it out of the state; the cost is one look at each order and job."""
        chains = {key: chain for key, chain in state.chains.items() if not chain.stopped}
        jobs = tuple(
            job
            for job in state.jobs.values()
            if not job.stopped and (job.definition.run_time or job.next_start < NEVER)
        )
        queues = [state.queued_tasks.get(job.key) for job in state.jobs.values() if not job.stopped]
        return cls(
            now=now,
            calendars=Calendars(state, copied=True),
            jobs=jobs,
            orders=tuple(
                order
                for order in state.orders.values()
                if not order.suspended
                and not order.blacklisted
                and order.key.chain in chains
                and (order.run_time is not None or IMMEDIATELY < order.start_at < NEVER)
            ),
            tasks=tuple(
                state.tasks[task]
                for queue in queues
                if queue is not None
                for task in queue.keys()  # noqa: SIM118  # not a dict
            ),
            running={
                job.key: min(task.started_at or now for task in state.running_tasks(job.key))
                for job in jobs
                if state.tasks_of_job.get(job.key)
            },
            chain_paths={key: chain.definition.path for key, chain in chains.items()},
            job_paths={key: job.definition.path for key, job in state.jobs.items()},
        )

    @property
    def subjects(self) -> list[PlannedSubject]:
        """Whose durations the plan would like to know."""
        queued = {task.job for task in self.tasks}
        return [*(order.key for order in self.orders), *(job.key for job in self.jobs), *queued]


def plan(
    basis: PlanBasis,
    from_: Instant,
    to: Instant,
    durations: Mapping[PlannedSubject, Duration],
) -> Iterator[PlanEntry | None]:
    """Yield the starts from `from_` (inclusive) to `to` (exclusive) in the order of time.

    What is late is listed whenever it should have begun, if now lies between the two. Yields None
    while it works without having found the next entry, so that the caller can look at its clock.
    """
    lines: list[_Line] = []
    for number, entries in enumerate(_lines(basis, _Window(from_, to, basis.now), durations)):
        yield None
        for first in entries:
            if first is not None:
                lines.append((first.at, number, first, entries))
                break
            yield None
    heapify(lines)
    while lines:
        _, number, entry, entries = lines[0]
        yield entry
        following = next(filter(None, entries), None)
        if following is None:
            heappop(lines)
        else:
            heapreplace(lines, (following.at, number, following, entries))


# --- one subject ---------------------------------------------------------------------------------

_Entries: TypeAlias = Iterator[PlanEntry | None]
_Line: TypeAlias = tuple[Instant, int, PlanEntry, _Entries]

_KINDS = {
    StartKind.SINGLE: PlanKind.SINGLE_START,
    StartKind.AT: PlanKind.AT,
    StartKind.REPEAT: PlanKind.REPEAT,
    StartKind.ABSOLUTE_REPEAT: PlanKind.ABSOLUTE_REPEAT,
    StartKind.ONCE: PlanKind.ONCE,
}
_KINDS_OF_CAUSES = {
    Cause.PERIOD_ONCE: PlanKind.ONCE,
    Cause.PERIOD_REPEAT: PlanKind.REPEAT,
    Cause.DELAY_AFTER_ERROR: PlanKind.DELAY_AFTER_ERROR,
}


class _Window(NamedTuple):
    from_: Instant
    to: Instant
    now: Instant

    def has(self, at: Instant) -> bool:
        return self.from_ <= at < self.to

    def has_now(self) -> bool:
        return self.has(self.now)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Planned:
    """One job or order and what is known of its starts."""

    entry: PlanEntry
    """What its entries have in common."""
    calendar: Calendar | None
    missed: Missed | None = None
    since: Instant | None = None
    """When the present run began; None: none has."""
    start_at: Instant = NEVER
    """The next start, if no run has begun; may lie in the past."""
    kind: PlanKind | None = None
    """Why it starts next; None: the calendar says it."""


def _lines(
    basis: PlanBasis, window: _Window, durations: Mapping[PlannedSubject, Duration]
) -> Iterator[_Entries]:
    """Yield for each subject its own starts, in the order of time."""
    for job in basis.jobs:
        yield _entries(_planned_job(basis, job, durations.get(job.key)), window)
    for task in basis.tasks:
        yield _entries(_planned_task(basis, task, durations.get(task.job)), window)
    for order in basis.orders:
        yield _entries(_planned_order(basis, order, durations.get(order.key)), window)


def _planned_job(basis: PlanBasis, job: JobState, duration: Duration | None) -> _Planned:
    run_time = job.definition.run_time
    calendar = None if run_time is None else basis.calendars.of(run_time, CalendarUser.JOB)
    entry = _common(job.definition.path, job.definition.title, duration)
    if isinstance(calendar, MissingSchedule):
        return _Planned(entry=entry, calendar=None)
    return _Planned(
        entry=entry,
        calendar=calendar,
        missed=job.missed,
        since=basis.running.get(job.key),
        start_at=job.next_start,
        kind=_KINDS_OF_CAUSES.get(job.next_start_cause),
    )


def _planned_task(basis: PlanBasis, task: Task, duration: Duration | None) -> _Planned:
    entry = _common(basis.job_paths.get(task.job, task.job), task.name, duration)
    return _Planned(
        entry=replace(entry, task=task.id),
        calendar=None,
        start_at=max(task.start_at, task.created_at),
        kind=PlanKind.QUEUE,
    )


def _planned_order(basis: PlanBasis, order: Order, duration: Duration | None) -> _Planned:
    calendar = None
    path = basis.chain_paths.get(order.key.chain, order.key.chain)
    entry = replace(_common(path, order.title, duration), order=order.key.id)
    if order.run_time is not None:
        calendar = basis.calendars.of(order.run_time, CalendarUser.ORDER)
    if isinstance(calendar, MissingSchedule):
        return _Planned(entry=entry, calendar=None)
    begun = has_begun(order)
    start_at = order.start_at
    if start_at == IMMEDIATELY:
        start_at = basis.now
    return _Planned(
        entry=entry,
        calendar=calendar,
        missed=order.missed,
        since=(order.started_at or basis.now) if begun else None,
        start_at=start_at,
        kind=PlanKind.AT if calendar is None else None,
    )


def _common(path: str, title: str, duration: Duration | None) -> PlanEntry:
    return PlanEntry(
        at=NEVER,
        status=PlanStatus.PLANNED,
        kind=PlanKind.AT,
        path=path,
        title=title,
        duration=duration,
    )


def _entries(planned: _Planned, window: _Window) -> _Entries:
    missed, calendar, start_at = planned.missed, planned.calendar, planned.start_at
    if missed is not None and window.has(missed.first):
        found = _entry(planned, missed.first, PlanStatus.MISSED)
        yield replace(found, count=missed.count)
    lasts = planned.entry.duration or Duration(0)
    if planned.since is not None:
        end = Instant(max(window.now, planned.since + lasts))
        following = None if calendar is None else following_start(calendar, end, planned.since)
        yield from _from_start(planned, following, window)
        return
    if start_at == NEVER:
        return
    if start_at < window.now:
        if window.has_now():
            yield _entry(planned, start_at, PlanStatus.LATE)
        end = Instant(window.now + lasts)
        following = None if calendar is None else following_start(calendar, end, window.now)
        yield from _from_start(planned, following, window)
        return
    if window.has(start_at):
        yield _entry(planned, start_at, PlanStatus.PLANNED)
    if calendar is not None:
        following = following_start(calendar, Instant(start_at + lasts), start_at)
        yield from _from_start(planned, following, window)


def _entry(planned: _Planned, at: Instant, status: PlanStatus) -> PlanEntry:
    """Return an entry for a start that is already planned."""
    start = None if planned.calendar is None else known_start(planned.calendar, at)
    return replace(
        planned.entry,
        at=at,
        status=status,
        kind=planned.kind or (PlanKind.AT if start is None else _KINDS[start.kind]),
        schedule=None if start is None else start.schedule,
    )


def _from_start(planned: _Planned, start: Start | None, window: _Window) -> _Entries:
    """Yield this start and those after it; None for one before the window."""
    lasts = planned.entry.duration or Duration(0)
    calendar = planned.calendar
    entrance = Instant(window.from_ - LEAD_MS)
    if start is not None and calendar is not None and start.at < entrance:
        start = start_from(calendar, entrance)
    while start is not None and start.at < window.to:
        if start.at < window.from_:
            yield None
        else:
            yield replace(
                planned.entry, at=start.at, kind=_KINDS[start.kind], schedule=start.schedule
            )
        assert calendar is not None, "starts come from it"
        start = following_start(calendar, Instant(start.at + lasts), start.at)
