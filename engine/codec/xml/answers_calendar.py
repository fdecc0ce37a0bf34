"""The answer to `show_calendar`: periods and starts ahead (schedules.md 14)."""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.codec.xml.answers import View, element, moment_in_seconds, yes
from engine.codec.xml.answers_orders import chain_path
from engine.codec.xml.findings import Element
from engine.kernel.calendar import (
    Calendar,
    MissingSchedule,
    PeriodSpan,
    WhenHoliday,
    spans_between,
)
from engine.kernel.capacity import is_incomplete
from engine.kernel.instants import IMMEDIATELY, Instant
from engine.kernel.plans import job_calendar, order_calendar
from engine.kernel.state import JobState, Order, Task

DAY_MS = 86_400_000
SPAN_DAYS = 7
ELEMENTS_MAX = 100_000
"""Periods and queued tasks of one answer, whatever `limit` asks for."""


@dataclass(slots=True)
class _Budget:
    """How many periods and queued tasks may still be shown."""

    left: int

    def take(self) -> bool:
        """Return whether one more may be shown."""
        self.left -= 1
        return self.left >= 0


def calendar_element(
    view: View, *, start: Instant | None, before: Instant | None, limit: int, with_orders: bool
) -> Element:
    """Return `<calendar>` of jobs, and of orders if these were asked for."""
    begin = view.now if start is None else start
    end = Instant(begin - begin % DAY_MS + SPAN_DAYS * DAY_MS + 1000) if before is None else before
    budget = _Budget(min(limit, ELEMENTS_MAX))
    result = element("calendar")
    for job in sorted(view.state.jobs.values(), key=lambda each: each.key):
        result.extend(_job(view, job, begin, end, budget))
    if with_orders:
        for order in sorted(view.state.orders.values(), key=lambda each: each.key):
            result.extend(_order(view, order, begin, end, budget))
    return result


def _job(
    view: View, job: JobState, begin: Instant, end: Instant, budget: _Budget
) -> Iterator[Element]:
    path = job.definition.path
    run_time = job.definition.run_time
    if job.stopped or is_incomplete(view.state, job):
        return  # only what is pending or running
    if run_time is not None:
        calendar = job_calendar(view.state, run_time)
        yield from _periods(calendar, begin, end, budget, {"job": path})
    queue = view.state.queued_tasks.get(job.key)
    if queue is not None:
        tasks = [view.state.tasks[task] for task in queue.keys()]  # noqa: SIM118  # no dictionary
        for task in sorted(tasks, key=lambda each: each.id):
            if _is_between(task, begin, end) and budget.take():
                yield element(
                    "at", at=moment_in_seconds(task.start_at), job=path.lstrip("/"), task=task.id
                )


def _is_between(task: Task, begin: Instant, end: Instant) -> bool:
    return task.start_at > IMMEDIATELY and begin <= task.start_at < end


def _order(
    view: View, order: Order, begin: Instant, end: Instant, budget: _Budget
) -> Iterator[Element]:
    place: dict[str, object] = {
        "job_chain": chain_path(view.state, order.key.chain),
        "order": order.key.id,
    }
    if order.waits_in_queue and order.start_at > IMMEDIATELY and begin <= order.start_at < end:
        setback = "true" if order.setback_count else None
        yield element("at", at=moment_in_seconds(order.start_at), **place, setback=setback)
    if order.run_time is not None:
        calendar = order_calendar(view.state, order.run_time)
        yield from _periods(calendar, begin, end, budget, place)


def _periods(
    calendar: Calendar | MissingSchedule,
    begin: Instant,
    end: Instant,
    budget: _Budget,
    place: dict[str, object],
) -> Iterator[Element]:
    if isinstance(calendar, MissingSchedule):
        return
    for span in spans_between(calendar, begin, end):
        if not budget.take():
            return
        yield _period(span, place)


def _period(span: PeriodSpan, place: dict[str, object]) -> Element:
    if span.is_single:
        start = moment_in_seconds(span.begin)
        return element("period", single_start=start, schedule=span.schedule, **place)
    when = span.when_holiday
    when_holiday = None if when is WhenHoliday.SUPPRESS else when.value
    return element(
        "period",
        begin=moment_in_seconds(span.begin),
        end=moment_in_seconds(span.end),
        let_run=yes(span.let_run),
        repeat=span.repeat // 1000 if span.repeat else None,
        absolute_repeat=span.absolute_repeat // 1000 if span.absolute_repeat else None,
        when_holiday=when_holiday,
        schedule=span.schedule,
        **place,
    )
