"""When orders and jobs start next (schedules.md 7, 8, 12, 13; orders-and-jobs.md 2.4, 3.13).

Overlapping periods: as in the original the period with the earlier begin is looked at first, so a
single start inside a period with `absolute_repeat` is passed over while that period still has a
point to come. `pointsman check` reports overlapping periods.

Three defects of the original are left out (schedules.md 19.2): the grid of `absolute_repeat` is
counted from `begin` everywhere, a `repeat` starts at the begin of each of its periods even if
single starts are pending, and a local time that comes twice is used once. Unlike the original this
engine knows instants after 2038-01-19.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.kernel.calendar.calendars import (
    Calendar,
    CalendarUser,
    Found,
    once_at,
    search,
)
from engine.kernel.calendar.entries import Mode, StartKind
from engine.kernel.ids import SchedulePath
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration, Instant

NO_TIME = Duration(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start that a calendar causes."""

    at: Instant
    kind: StartKind
    let_run: bool = False
    """The task may go on after the end of the period (3.14)."""
    schedule: SchedulePath | None = None
    """The schedule, base or substitute, that caused it; None: an inline run time."""


# --- orders --------------------------------------------------------------------------------------


def first_order_start(calendar: Calendar, now: Instant) -> Instant:
    """Return when an order that has not started yet starts: IMMEDIATELY, an instant, or NEVER.

    For orders that have been added, and after a changed calendar. An order without any calendar
    starts at once and one whose schedule is missing never; neither has a calendar to ask.
    """
    return _order_instant(_first_order_start(calendar, now), now)


def next_order_start(
    calendar: Calendar, now_at_end_of_run: Instant, last_start: Instant | None = None
) -> Instant:
    """Return when an order starts again whose run has just ended.

    Fixed starts are searched after `last_start`, the start of that run; if it is not known, after
    the end. So a run without any duration does not start twice by one start.
    """
    return _order_instant(
        _next_order_start(calendar, now_at_end_of_run, last_start), now_at_end_of_run
    )


def _order_instant(start: Start | None, now: Instant) -> Instant:
    if start is None:
        return NEVER
    return start.at if start.at > now else IMMEDIATELY


def _first_order_start(calendar: Calendar, now: Instant) -> Start | None:
    found = search(calendar, Mode.ANY, now)
    return None if found is None else _start(found, max(found.start, now))


def _next_order_start(
    calendar: Calendar, ended: Instant, last_start: Instant | None
) -> Start | None:
    since = ended + 1 if last_start is None else max(ended, last_start + 1)
    found = search(calendar, Mode.ANY, since)
    if found is None:
        return None
    if found.entry.is_point:
        return _start(found, found.start)  # the first by begin: no other single start is earlier
    if found.entry.kind is StartKind.REPEAT and found.begin <= ended:
        candidate = _repeated_order_start(calendar, found, ended)
    else:
        candidate = _start(found, found.start)
    single = search(calendar, Mode.SINGLE, since)
    if single is not None and (candidate is None or single.start < candidate.at):
        return _start(single, single.start)
    return candidate


def _repeated_order_start(calendar: Calendar, period: Found, ended: Instant) -> Start | None:
    """Return the end of the run plus `repeat`, or what the periods after this one make of it."""
    due = ended + period.entry.interval
    if due < period.end:
        return _start(period, due)
    following = search(calendar, Mode.ANY, period.end)
    if following is None:
        return None
    if following.entry.is_point or following.entry.kind is not StartKind.REPEAT:
        return _start(following, following.start)
    if due >= following.end:
        after = search(calendar, Mode.ANY, following.end)
        return None if after is None else _start(after, max(after.start, following.end))
    if following.begin == period.end and following.entry.interval == period.entry.interval:
        return _start(following, due)
    # A period that overlaps this one has begun already; it is entered when this one ends.
    return _start(following, max(following.start, period.end))


# --- jobs ----------------------------------------------------------------------------------------


def next_job_start(
    calendar: Calendar,
    now: Instant,
    *,
    last_end: Instant | None = None,
    last_start: Instant | None = None,
    once_pending: bool = False,
) -> Start | None:
    """Return when a job starts next by itself, not before `now`; None: never.

    Ask when the job has become active, when its calendar has changed and when its last running task
    has ended. `last_end` is that end and counts for `repeat`; without it a period with `repeat`
    starts at once. Fixed starts are searched from `now`, but after `last_start` (if that is not
    known, after `last_end`). `once_pending`: no task of this job has started since it was loaded.
    Starts by `single_start`, `at` and `absolute_repeat` happen outside of periods too (12).
    """
    starts = (
        _single_job_start(calendar, now, last_end, last_start),
        _once_start(calendar, now) if once_pending else None,
        _repeated_job_start(calendar, now, last_end),
    )
    found = [start for start in starts if start is not None]
    return min(found, key=lambda start: start.at) if found else None


def _single_job_start(
    calendar: Calendar, now: Instant, last_end: Instant | None, last_start: Instant | None
) -> Start | None:
    known = last_end if last_start is None else last_start
    single = search(calendar, Mode.SINGLE, now if known is None else max(now, known + 1))
    return None if single is None else _start(single, single.start, let_run=True)


def _once_start(calendar: Calendar, now: Instant) -> Start | None:
    if not once_at(calendar, now):
        return None
    period = search(calendar, Mode.PERIOD, now)
    if period is None:
        return None
    return Start(
        at=Instant(max(now, period.begin)),
        kind=StartKind.ONCE,
        let_run=period.entry.let_run,
        schedule=period.schedule,
    )


def _repeated_job_start(calendar: Calendar, now: Instant, last_end: Instant | None) -> Start | None:
    idle_since: int = now
    if last_end is not None:
        current = search(calendar, Mode.PERIOD, last_end)
        if (
            current is not None
            and current.begin <= last_end
            and current.entry.kind is StartKind.REPEAT
        ):
            due = last_end + current.entry.interval
            if due < current.end and now < current.end:
                return _start(current, max(now, due))
            idle_since = max(now, current.end)
    turn = search(calendar, Mode.REPEAT, idle_since)
    return None if turn is None else _start(turn, max(turn.begin, idle_since))


def next_fixed_start(calendar: Calendar, instant: Instant) -> Instant:
    """Return the next single start, `at` or grid point from an instant on; NEVER without one."""
    found = search(calendar, Mode.SINGLE, instant)
    return NEVER if found is None else Instant(found.start)


# --- both ----------------------------------------------------------------------------------------


def starts_between(
    calendar: Calendar,
    from_: Instant,
    to: Instant,
    *,
    duration: Duration = NO_TIME,
    first: Instant | None = None,
) -> Iterator[Start]:
    """Yield the starts from `from_` (inclusive) to `to` (exclusive), each as it is asked for.

    Runs are taken to last `duration` each: `repeat` counts from their end, and fixed starts during
    a run are lost. `first` is a start that is known already, for example of a waiting order;
    without it the object is taken as loaded at `from_`, with `once` pending.
    A `repeat` of one second means 86,400 starts a day: limit what you take.
    """
    start = _first_start(calendar, from_) if first is None else known_start(calendar, first)
    while start is not None and start.at < to:
        if start.at >= from_:
            yield start
        start = following_start(calendar, Instant(start.at + duration), start.at)


def known_start(calendar: Calendar, at: Instant) -> Start:
    """Return a start that is planned already, with what the calendar says of it.

    One that it does not explain, such as an order's own `at`, counts as kind `AT`.
    """
    found = start_from(calendar, at)
    return found if found is not None and found.at == at else Start(at=at, kind=StartKind.AT)


def start_from(calendar: Calendar, instant: Instant) -> Start | None:
    """Return the first start from an instant on, whatever was before; `once` does not count."""
    if calendar.user is CalendarUser.ORDER:
        return _first_order_start(calendar, instant)
    return next_job_start(calendar, instant)


def following_start(calendar: Calendar, ended: Instant, last_start: Instant) -> Start | None:
    """Return what comes after a run of an order, or after the last running task of a job."""
    if calendar.user is CalendarUser.ORDER:
        return _next_order_start(calendar, ended, last_start)
    return next_job_start(calendar, ended, last_end=ended, last_start=last_start)


def _first_start(calendar: Calendar, instant: Instant) -> Start | None:
    if calendar.user is CalendarUser.ORDER:
        return _first_order_start(calendar, instant)
    return next_job_start(calendar, instant, once_pending=True)


def _start(found: Found, at: int, *, let_run: bool | None = None) -> Start:
    kind = found.entry.kind
    assert kind is not None, "plain periods start nothing"
    return Start(
        at=Instant(at),
        kind=kind,
        let_run=found.entry.let_run if let_run is None else let_run,
        schedule=found.schedule,
    )
