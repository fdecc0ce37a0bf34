"""Locks and process classes: who holds them, who waits for them in order of arrival."""

from collections.abc import Iterable

from engine.kernel.ids import DEFAULT_CLASS, ClassPath, JobKey, LockPath, TaskId
from engine.kernel.queues import PriorityQueue
from tui.views.gauge import bar
from tui.views.jobs import first_waiting
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView, everything
from tui.views.text import Line, Span, clean, line
from tui.views.waits import agent_name, holder_text

_BAR = 12
_NAMES_MAX = 5

LOCK_COLUMNS = (
    Column(name="LOCK", width_min=10, width_max=36, priority=0),
    Column(name="STATUS", width_min=10, width_max=12, priority=0),
    Column(name="HELD", width_min=5, right=True, priority=1),
    Column(name="HOLDERS", width_min=14, width_max=50, priority=1),
    Column(name="WAITING, IN ORDER", width_min=16, width_max=80, priority=2, flexible=True),
)

CLASS_COLUMNS = (
    Column(name="CLASS", width_min=10, width_max=36, priority=0),
    Column(name="USED", width_min=6, right=True, priority=0),
    Column(name="", width_min=_BAR, width_max=_BAR, priority=5),
    Column(name="AGENTS", width_min=6, width_max=30, priority=2),
    Column(name="SELECT", width_min=6, priority=6),
    Column(name="HOLDERS", width_min=14, width_max=50, priority=3),
    Column(name="WAITING, IN ORDER", width_min=16, width_max=80, priority=1, flexible=True),
)


def _few(names: list[str], between: str = " ") -> str:
    more = f" +{len(names) - _NAMES_MAX}" if len(names) > _NAMES_MAX else ""
    return between.join(names[:_NAMES_MAX]) + more


def waiting_jobs(scene: Scene, queue: PriorityQueue[JobKey, int] | None) -> list[str]:
    """Return the jobs of a queue by name, first come first."""
    if queue is None:
        return []
    places = {
        key: job.wait.place
        for key in queue.keys()  # noqa: SIM118  # not a dictionary
        if (job := scene.state.jobs.get(key)) is not None and job.wait is not None
    }
    return [_waiter(scene, key) for key in sorted(places, key=lambda key: places[key])]


def _waiter(scene: Scene, job: JobKey) -> str:
    """Return a job that waits, with the order for which it does."""
    order = first_waiting(scene, job)
    return f"{scene.job_name(job)}{f' ({clean(order.key.id)})' if order is not None else ''}"


def lock_row(scene: Scene, key: RowKey) -> Row | None:
    """Return the row of a lock."""
    lock = LockPath(str(key))
    known = scene.state.locks.get(lock)
    holders = scene.state.lock_holders.get(lock, {})
    waiters = waiting_jobs(scene, scene.state.lock_waiters.get(lock))
    exclusive = any(holders.values())
    word, role = (
        ("exclusive", "run") if exclusive else ("shared", "run") if holders else ("free", "dim")
    )
    if known is None:
        word, role = "missing", "fail"
    most = known.definition.max_non_exclusive if known is not None else None
    held = f"{len(holders)}/{most}" if most is not None and not exclusive else str(len(holders))
    return Row(
        key=lock,
        cells=(
            Span(clean(lock)),
            Span(word, role),
            Span(held if holders else "-", "" if holders else "dim"),
            Span(_few([holder_text(scene, task) for task in holders])),
            Span(_few(waiters), "wait" if waiters else ""),
        ),
        sort={"HELD": float(len(holders))},
        facts={"status": word},
        place=(-len(waiters), -len(holders), str(lock)),
        trouble=known is None,
    )


def lock_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return all locks, those that are only waited for or held among them."""
    _ = argument
    state = scene.state
    return {**state.locks, **state.lock_holders, **state.lock_waiters}


def lock_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return who holds the lock, task by task."""
    lock = LockPath(str(key))
    holders = scene.state.lock_holders.get(lock, {})
    waiters = waiting_jobs(scene, scene.state.lock_waiters.get(lock))
    known = scene.state.locks.get(lock)
    if known is None:
        first = Span("no file defines this lock; jobs that use it wait", "fail")
    else:
        most = known.definition.max_non_exclusive
        first = Span("one holder at a time" if most == 0 else _shared_by(most), "dim")
    held = [_holder(scene, task_id, holders[task_id]) for task_id in holders]
    return [
        line(Span(f"{clean(lock)}  ", "bold"), first),
        line(f"held by {_few(held, ', ')}" if held else Span("nobody holds it", "dim")),
        _waiting_line(waiters),
    ]


def _shared_by(most: int | None) -> str:
    return "any number may share it" if most is None else f"at most {most} may share it"


def _holder(scene: Scene, task_id: TaskId, exclusive: bool | None = None) -> str:
    """Return who holds something, in which job and task, and how."""
    task = scene.state.tasks.get(task_id)
    how = "" if exclusive is None else ", alone" if exclusive else ", shared"
    job = f"{scene.job_name(task.job)} " if task is not None else ""
    return f"{holder_text(scene, task_id)} ({job}task {task_id}{how})"


def _waiting_line(waiters: list[str]) -> Line:
    if not waiters:
        return line(Span("nothing waits for it", "dim"))
    return line(f"waiting, in order: {_few(waiters, ', ')}")


def class_row(scene: Scene, key: RowKey) -> Row | None:
    """Return the row of a process class."""
    path = ClassPath(str(key))
    known = scene.state.process_classes.get(path)
    tasks = scene.state.class_slots.get(path, {})
    waiters = waiting_jobs(scene, scene.state.class_waiters.get(path))
    most = known.definition.max_processes if known is not None else 0
    name = "(default)" if path == DEFAULT_CLASS else clean(path)
    is_full = bool(most) and len(tasks) >= most
    agents = [agent_name(each.uri) for each in known.definition.agents] if known else []
    marked = len(known.failures) if known is not None else 0
    count = f"{len(agents) - marked} of {len(agents)}" if marked else str(len(agents))
    return Row(
        key=path,
        cells=(
            Span(name),
            Span(f"{len(tasks)}/{most}" if known else "missing", "late" if is_full else ""),
            Span(bar(len(tasks) / most if most else 0, _BAR, scene.glyphs), "run"),
            Span(count if agents else "local", "late" if marked else "" if agents else "dim"),
            Span(known.definition.select.value if known is not None and agents else "-", "dim"),
            Span(_few([holder_text(scene, task) for task in tasks])),
            Span(_few(waiters), "wait" if waiters else ""),
        ),
        sort={"USED": float(len(tasks)), "AGENTS": float(len(agents))},
        facts={"agents": " ".join(agents)},
        place=(-len(waiters), -len(tasks), str(path)),
        trouble=known is None or marked > 0,
    )


def class_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return all process classes, those that are only used or waited for among them."""
    _ = argument
    state = scene.state
    return {**state.process_classes, **state.class_slots, **state.class_waiters}


def class_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return agents and failure marks of a process class."""
    path = ClassPath(str(key))
    known = scene.state.process_classes.get(path)
    if known is None:
        return [line(Span("no file defines this class; jobs that use it wait", "fail"))]
    agents = " ".join(agent_name(reference.uri) for reference in known.definition.agents)
    name = "(default)" if path == DEFAULT_CLASS else clean(path)
    where = f"on {agents}" if agents else "on the engine's own host"
    lines = [line(Span(f"{name}  ", "bold"), where)]
    for uri, failure in known.failures.items():
        lines.append(line(Span(f"{agent_name(uri)} left out: {clean(failure.text)}", "late")))
    held = [_holder(scene, task) for task in scene.state.class_slots.get(path, {})]
    lines.append(line(f"used by {_few(held, ', ')}" if held else Span("nobody uses it", "dim")))
    lines.append(_waiting_line(waiting_jobs(scene, scene.state.class_waiters.get(path))))
    return lines


LOCKS = TableView(
    noun="locks",
    columns=LOCK_COLUMNS,
    keys=lock_keys,
    row=lock_row,
    detail=lock_detail,
    touched=everything,
    empty_text="no locks are defined",
)

CLASSES = TableView(
    noun="classes",
    columns=CLASS_COLUMNS,
    keys=class_keys,
    row=class_row,
    detail=class_detail,
    touched=everything,
    empty_text="no process classes",
)
