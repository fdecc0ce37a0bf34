"""The next starts of orders and jobs, soonest first."""

from collections.abc import Iterable

from engine.kernel.ids import JobKey, OrderKey
from engine.kernel.instants import NEVER, Instant
from tui.views.causes import CAUSES
from tui.views.durations import clock_text, duration_text
from tui.views.jobs import job_detail
from tui.views.orders import next_start_of, order_detail
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.views.text import Line, Span, clean

COLUMNS = (
    Column(name="TIME", width_min=8, width_max=12, priority=0),
    Column(name="IN", width_min=6, right=True, priority=0),
    Column(name="KIND", width_min=7, width_max=8, priority=3),
    Column(name="NAME", width_min=10, width_max=40, priority=0),
    Column(name="CHAIN", width_min=8, width_max=30, priority=2),
    Column(name="WHY", width_min=10, width_max=40, priority=4, flexible=True),
)


def upcoming(scene: Scene) -> list[tuple[Instant, OrderKey | JobKey]]:
    """Return what starts by itself, soonest first."""
    state = scene.state
    found: list[tuple[Instant, OrderKey | JobKey]] = [
        (next_start_of(order), order.key)
        for order in state.orders.values()
        if scene.now < next_start_of(order) < NEVER
    ]
    found += [
        (job.next_start, job.key)
        for job in state.jobs.values()
        if scene.now < job.next_start < NEVER
    ]
    return sorted(found, key=lambda entry: (entry[0], str(entry[1])))


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    return [key for _, key in upcoming(scene)]


def _row(scene: Scene, key: RowKey) -> Row | None:
    if isinstance(key, OrderKey):
        order = scene.state.orders.get(key)
        if order is None:
            return None
        start, chain = next_start_of(order), scene.chain_name(key.chain)
        name, kind = clean(key.id), "order"
        why = "tried again" if order.setback_count else "its start time"
    else:
        job = scene.state.jobs.get(JobKey(str(key)))
        if job is None:
            return None
        start, chain = job.next_start, ""
        name, kind = scene.job_name(job.key), "job"
        why = CAUSES[job.next_start_cause]
    return Row(
        key=key,
        cells=(
            Span(clock_text(start, scene.now, scene.zone)),
            Span(duration_text(start - scene.now)),
            Span(kind, "dim"),
            Span(name),
            Span(chain),
            Span(why, "dim"),
        ),
        sort={"TIME": float(start), "IN": float(start)},
        place=(start, str(key)),
    )


def _detail(scene: Scene, key: RowKey) -> list[Line]:
    return order_detail(scene, key) if isinstance(key, OrderKey) else job_detail(scene, key)


VIEW = TableView(
    noun="plan",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=_detail,
    touched=lambda changes: None if changes.everything else [*changes.orders, *changes.jobs],
    ticks=True,
    comes_and_goes=True,
    empty_text="nothing starts by itself",
)
