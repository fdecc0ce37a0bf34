"""Tasks as rows: running and queued ones, and those that ended a short while ago."""

from collections.abc import Iterable

from engine.kernel.ids import JobKey, TaskId, job_key
from engine.kernel.state import Task
from tui.mirror import FinishedTask
from tui.views.causes import CAUSES
from tui.views.durations import clock_text, duration_text, moment_text
from tui.views.faults import brief
from tui.views.gauge import bar
from tui.views.lineup import Place
from tui.views.orders import status_span
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.standing import RANK, TROUBLES, Standing, role_of, standing_of_task
from tui.views.table_view import TableView, key_value
from tui.views.text import Line, Span, clean, line
from tui.views.waits import agent_name, task_waits_for

_ENDED_SHOWN = 50
_BAR = 10

COLUMNS = (
    Column(name="STATUS", width_min=9, width_max=9, priority=0),
    Column(name="TASK", width_min=5, width_max=9, right=True, priority=0),
    Column(name="JOB", cut_middle=True, width_min=8, width_max=30, priority=1),
    Column(name="ORDER", cut_middle=True, width_min=8, width_max=26, priority=2),
    Column(name="STARTED", width_min=8, width_max=11, priority=4),
    Column(name="SO FAR", width_min=6, width_max=8, right=True, priority=2),
    Column(name="USUAL", width_min=5, width_max=8, right=True, priority=5),
    Column(name="", width_min=_BAR, width_max=_BAR, priority=7),
    Column(name="WAITS FOR, ON", width_min=20, width_max=80, priority=1, flexible=True),
)


def task_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return living tasks and the last ended ones; of one job, or on one agent (`@uri`)."""
    ended = list(scene.mirror.ended_tasks)[-_ENDED_SHOWN:]
    if not argument:
        return dict.fromkeys([*scene.state.tasks, *(task.task for task in ended)])
    if argument.startswith("@"):
        agent = argument[1:]
        return dict.fromkeys(
            [
                *(task.id for task in scene.state.tasks.values() if task.agent == agent),
                *(task.task for task in ended if task.agent == agent),
            ]
        )
    job = job_key(argument)
    return dict.fromkeys(
        [
            *(task.id for task in scene.state.tasks.values() if task.job == job),
            *(task.task for task in ended if task.job == job),
        ]
    )


def ended_task(scene: Scene, key: RowKey) -> FinishedTask | None:
    """Return a task that is over and still remembered."""
    by_id = scene.once("ended tasks", lambda s: {task.task: task for task in s.mirror.ended_tasks})
    return by_id.get(TaskId(key)) if isinstance(key, int) else None


def _place(scene: Scene, key: RowKey) -> Place | None:
    """Return where a task stands: the living before those that ended, the last one first."""
    if key in scene.state.tasks:
        return (0, -TaskId(key)) if isinstance(key, int) else None
    ended = ended_task(scene, key)
    return None if ended is None else (1, -ended.task)


def _row(scene: Scene, key: RowKey) -> Row | None:
    task = scene.state.tasks.get(TaskId(key)) if isinstance(key, int) else None
    if task is not None:
        return task_row(scene, task)
    ended = ended_task(scene, key)
    return None if ended is None else _ended_row(scene, ended)


def task_row(scene: Scene, task: Task) -> Row:
    """Return the row of a living task."""
    standing = standing_of_task(scene.state, task)
    so_far = scene.now - task.started_at if task.started_at is not None else None
    usual = scene.mirror.usual(task.job)
    overdue = so_far is not None and usual is not None and so_far > 2 * max(usual, 1000)
    drawn = bar(so_far / usual, _BAR, scene.glyphs) if so_far is not None and usual else ""
    role = "late" if overdue else role_of(standing)
    waits = task_waits_for(scene, task)
    on = f"on {agent_name(task.agent)}" if task.agent is not None else ""
    killing = "being killed" if task.kill is not None and task.outcome is None else ""
    return Row(
        key=task.id,
        cells=(
            status_span(scene, task.id, standing),
            Span(str(task.id)),
            Span(scene.job_name(task.job)),
            Span(clean(task.order.id) if task.order is not None else "-"),
            Span(
                clock_text(task.started_at, scene.now, scene.zone) if task.started_at else "-",
            ),
            Span(duration_text(so_far) if so_far is not None else "-", "late" if overdue else ""),
            Span(duration_text(usual) if usual is not None else "-", "dim"),
            Span(drawn, role),
            Span(killing or waits or on, "late" if killing else "" if waits else "run"),
        ),
        sort={
            "STATUS": RANK[standing],
            "TASK": float(task.id),
            "SO FAR": float(so_far or 0),
            "STARTED": float(task.started_at or 0),
            "USUAL": float(usual or 0),
        },
        facts={
            "job": task.job,
            "status": standing.value,
            "on": agent_name(task.agent),
            "chain": task.order.chain if task.order is not None else "",
            "class": task.process_class,
        },
        place=(0, -task.id),
        trouble=standing in TROUBLES or overdue,
    )


def _ended_row(scene: Scene, task: FinishedTask) -> Row:
    standing = Standing.DONE if task.succeeded else Standing.FAIL
    took = task.at - task.started_at if task.started_at is not None else None
    usual = scene.mirror.usual(task.job)
    on = f" on {agent_name(task.agent)}" if task.agent is not None else ""
    ended = f"ended {clock_text(task.at, scene.now, scene.zone)}{on}"
    said = brief(task.error_text) or ended
    return Row(
        key=task.task,
        cells=(
            status_span(scene, task.task, standing),
            Span(str(task.task)),
            Span(scene.job_name(task.job)),
            Span(clean(task.order.id) if task.order is not None else "-"),
            Span(clock_text(task.started_at, scene.now, scene.zone) if task.started_at else "-"),
            Span(duration_text(took) if took is not None else "-"),
            Span(duration_text(usual) if usual is not None else "-", "dim"),
            Span(f"code {task.exit_code}", "" if task.succeeded else "fail"),
            Span(said, "dim" if task.succeeded else "fail"),
        ),
        sort={
            "STATUS": RANK[standing],
            "TASK": float(task.task),
            "SO FAR": float(took or 0),
            "STARTED": float(task.started_at or 0),
        },
        facts={
            "job": task.job,
            "status": standing.value,
            "on": agent_name(task.agent),
            "chain": task.order.chain if task.order is not None else "",
            "code": str(task.exit_code),
        },
        place=(1, -task.task),
        trouble=not task.succeeded,
    )


def task_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return the lines about one task under the cursor."""
    task = scene.state.tasks.get(TaskId(key)) if isinstance(key, int) else None
    if task is None:
        return _ended_detail(scene, key)
    standing = standing_of_task(scene.state, task)
    facts = [
        key_value("pid", str(task.pid) if task.pid else ""),
        key_value("on", agent_name(task.agent) if task.agent is not None else ""),
        key_value("attempt", str(task.attempt) if task.attempt > 1 else ""),
        key_value("class", clean(task.process_class)),
        key_value("locks", " ".join(clean(use.lock) for use in task.locks)),
        key_value("started by", CAUSES[task.cause]),
    ]
    node = f" · {clean(task.state)}" if task.state else ""
    order = f"{clean(task.order.id)}{node}  " if task.order is not None else ""
    return [
        line(
            Span(f"task {task.id}  ", "bold"),
            f"{scene.job_name(task.job)}  {order}",
            Span(standing.value, role_of(standing)),
            f"  {task_waits_for(scene, task)}",
        ),
        line("  ".join(fact for fact in facts if fact)),
        line(Span(clean(task.await_text), "late")),
    ]


def _ended_detail(scene: Scene, key: RowKey) -> list[Line]:
    ended = ended_task(scene, key)
    if ended is None:
        return []
    return [
        line(
            Span(f"task {ended.task}  ", "bold"),
            f"{scene.job_name(JobKey(ended.job))}  code {ended.exit_code}"
            f"  ended {moment_text(ended.at, scene.zone)}",
        ),
        line(Span(clean(ended.error_text), "fail")),
    ]


VIEW = TableView(
    noun="tasks",
    columns=COLUMNS,
    keys=task_keys,
    row=_row,
    detail=task_detail,
    touched=lambda changes: None if changes.everything else changes.tasks,
    ticks=True,
    place=_place,
    empty_text="no tasks now, and none that has ended is remembered",
)
