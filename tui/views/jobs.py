"""Jobs as rows: whether they may start tasks, what holds them up, how long they usually take."""

from collections.abc import Iterable

from engine.kernel.ids import JobKey
from engine.kernel.instants import NEVER
from engine.kernel.state import JobState, Order
from tui.views.durations import clock_text, duration_text
from tui.views.gauge import curve
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.standing import Standing, standing_of_order
from tui.views.table_view import TableView, key_value
from tui.views.text import Line, Span, clean, line
from tui.views.waits import class_text, job_obstacle, order_waits_for

_CURVE = 12

COLUMNS = (
    Column(name="JOB", cut_middle=True, width_min=10, width_max=36, priority=0),
    Column(name="STATUS", width_min=9, width_max=9, priority=0),
    Column(name="TASKS", width_min=5, right=True, priority=2),
    Column(name="ORDERS", width_min=6, right=True, priority=2),
    Column(name="NEXT", width_min=8, width_max=12, priority=4),
    Column(name="USUAL", width_min=5, right=True, priority=4),
    Column(name="LAST RUNS", width_min=_CURVE, width_max=_CURVE, priority=6),
    Column(name="OBSTACLE", width_min=24, width_max=60, priority=1, flexible=True),
    Column(name="TITLE", width_min=8, width_max=40, priority=8, wide_only=True),
)


def status_of_job(scene: Scene, job: JobState) -> tuple[str, str]:
    """Return in one word how a job stands, and its role."""
    if not job.enabled:
        return "disabled", "held"
    if job.stopped:
        return "stopped", "fail"
    if job.delayed_until is not None and job.delayed_until > scene.now:
        return "pauses", "retry"
    if scene.state.tasks_of_job.get(job.key):
        return "runs", "run"
    first = first_waiting(scene, job.key)
    is_due = first is not None and standing_of_order(scene.state, first, scene.now) in _DUE
    return ("waits", "wait") if is_due else ("idle", "dim")


_DUE = frozenset({Standing.WAITS, Standing.SETBACK})
_LOOKED_AT_MAX = 50
"""So many orders of a long queue are asked what they wait for."""


def first_waiting(scene: Scene, job: JobKey) -> Order | None:
    """Return an order without a task at one of the job's nodes; one that could go on first."""
    state = scene.state
    first: Order | None = None
    looked_at = 0
    for node in state.nodes_of_job.get(job, ()):
        queue = state.queues.get(node)
        for key in () if queue is None else queue.all:
            order = state.orders[key]
            if order.task is not None:
                continue
            if standing_of_order(state, order, scene.now) in _DUE:
                return order
            first = first or order
            looked_at += 1
            if looked_at >= _LOOKED_AT_MAX:
                return first
    return first


def orders_waiting(scene: Scene, job: JobKey) -> int:
    """Return how many orders stand at the job's nodes without a task."""
    state = scene.state
    count = 0
    for node in state.nodes_of_job.get(job, ()):
        queue = state.queues.get(node)
        if queue is not None:
            count += sum(1 for key in queue.all if state.orders[key].task is None)
    return count


def job_row(scene: Scene, key: RowKey) -> Row | None:
    """Return the row of a job."""
    job = scene.state.jobs.get(JobKey(str(key)))
    if job is None:
        return None
    word, role = status_of_job(scene, job)
    running = len(scene.state.tasks_of_job.get(job.key, ()))
    queued = scene.state.queued_tasks.get(job.key)
    waiting = orders_waiting(scene, job.key)
    usual = scene.mirror.usual(job.key)
    last = scene.mirror.last_durations(job.key)[-_CURVE:]
    obstacle = _obstacle(scene, job, word, is_wanted=bool(waiting or queued))
    stopped_with_orders = word in {"stopped", "disabled"} and waiting > 0
    return Row(
        key=job.key,
        cells=(
            Span(scene.job_name(job.key)),
            Span(word, role),
            Span(f"{running}/{job.definition.tasks}", "run" if running else "dim"),
            Span(str(waiting) if waiting else "-", "" if waiting else "dim"),
            Span(clock_text(job.next_start, scene.now, scene.zone) or "-"),
            Span(duration_text(usual) if usual is not None else "-", "dim"),
            Span(curve(last, scene.glyphs) if last else "", "dim"),
            Span(obstacle),
            Span(clean(job.definition.title), "dim"),
        ),
        sort={
            "TASKS": float(running),
            "ORDERS": float(waiting),
            "NEXT": float(job.next_start),
            "USUAL": float(usual or 0),
        },
        facts={"path": job.definition.path, "order": "yes" if job.definition.is_order_job else ""},
        place=(job.key,),
        trouble=stopped_with_orders,
    )


def _obstacle(scene: Scene, job: JobState, word: str, *, is_wanted: bool) -> str:
    """Return what keeps the job from its next task, else what an order at it waits for."""
    if word == "stopped":
        return "stopped: <u> lets it go on"
    if not is_wanted and word != "pauses":
        return ""
    found = job_obstacle(scene, job) if word != "runs" else ""
    if found:
        return found
    order = first_waiting(scene, job.key)
    said = order_waits_for(scene, order) if order is not None else ""
    return f"{clean(order.key.id)}: {said}" if order is not None and said else ""


def job_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return the lines about one job under the cursor."""
    job = scene.state.jobs.get(JobKey(str(key)))
    if job is None:
        return []
    definition = job.definition
    nodes = scene.state.nodes_of_job.get(job.key, ())
    places = " ".join(f"{scene.chain_name(chain)}/{clean(node)}" for chain, node in nodes)
    facts = [
        class_text(scene, definition.process_class) if definition.process_class is not None else "",
        key_value("locks", " ".join(clean(use.lock) for use in definition.locks)),
        key_value("errors in a row", str(job.consecutive_errors or "")),
        key_value("next", clock_text(job.next_start, scene.now, scene.zone))
        if job.next_start < NEVER
        else "",
        key_value("said", clean(job.state_text)),
    ]
    return [
        line(Span(f"{clean(definition.path)}  ", "bold"), Span(clean(definition.title), "dim")),
        line(f"works at {places}" if places else Span("at no node: runs by itself", "dim")),
        line("  ".join(fact for fact in facts if fact)),
    ]


def job_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return all jobs."""
    _ = argument
    return scene.state.jobs


VIEW = TableView(
    noun="jobs",
    columns=COLUMNS,
    keys=job_keys,
    row=job_row,
    detail=job_detail,
    touched=lambda changes: None if changes.everything or changes.orders else changes.jobs,
    ticks=True,
    place=lambda scene, key: (str(key),) if key in scene.state.jobs else None,
    holds=lambda scene, _argument, key: key in scene.state.jobs,
    empty_text="no jobs: the engine has no definitions yet",
)
