"""What a waiting order or task waits for, in few words. "Waiting" alone is a defect.

The reasons are the kernel's (`engine.kernel.reasons`); here they become short enough for a column.
"""

import re

from engine.kernel.ids import DEFAULT_CLASS, ClassPath, LockPath, TaskId, name_of
from engine.kernel.instants import NEVER, Instant
from engine.kernel.reasons import (
    Reason,
    ReasonKind,
    first_job_reason,
    first_order_reason,
    first_task_reason,
    order_reasons,
    sentence,
)
from engine.kernel.state import JobState, Order, Task, TaskStatus
from tui.views.durations import clock_text, duration_text
from tui.views.faults import brief
from tui.views.scene import Scene
from tui.views.text import clean

_SYNC = re.compile(r"required: (\d+), waiting: (\d+)")
_WORDS = {
    ReasonKind.FILE_REMOVAL: "its file to be removed",
    ReasonKind.START_BY_HAND: "a start by hand",
    ReasonKind.SCHEDULE: "schedule {name}, which is missing",
    ReasonKind.ENGINE_PAUSED: "the engine, which is paused",
    ReasonKind.CHAIN_MISSING: "its chain, which is missing",
    ReasonKind.CHAIN_STOPPED: "the chain, which is stopped",
    ReasonKind.CHAIN_CHANGES: "the chain, which is about to change",
    ReasonKind.CHAIN_FULL: "the chain: {count} orders",
    ReasonKind.NODE_STOPPED: "the node, which is stopped",
    ReasonKind.NODE_MISSING: "the node, which is missing",
    ReasonKind.JOB_MISSING: "job {name}, which is missing",
    ReasonKind.JOB_STOPPED: "job {name}, which is stopped",
    ReasonKind.JOB_INCOMPLETE: "{name}, which the job needs, missing",
    ReasonKind.JOB_CHANGES: "job {name}, which is about to change",
    ReasonKind.JOB_PAUSES: "job {name}, pausing until {until}",
    ReasonKind.JOB_CLOSED: "job {name}, its period {until}",
    ReasonKind.JOB_BUSY: "job {name} {count}{holders}",
    ReasonKind.LOCK: "lock {name}{holders}",
    ReasonKind.PROCESS_CLASS: "class {name} {count}",
    ReasonKind.AGENT: "an agent of class {name}, again {until}",
    ReasonKind.START: "the start on {agent}",
    ReasonKind.CONNECTION: "agent {agent}, {text}",
    ReasonKind.TURN: "its turn after {name}",
}


def order_waits_for(scene: Scene, order: Order) -> str:
    """Return what an order waits for; empty when it is being worked on."""
    if order.task is not None:
        task = scene.state.tasks.get(order.task)
        return "" if task is None else task_waits_for(scene, task)
    first = first_order_reason(scene.state, order, scene.now)
    if first is None:
        return ""
    match first.kind:
        case ReasonKind.RESUME:
            return _resume(scene, order)
        case ReasonKind.OTHERS:
            return _others(first.text)
        case ReasonKind.START_TIME:
            return _time(scene, first.until)
        case ReasonKind.SETBACK:
            most = f"/{first.limit}" if first.limit else ""
            return f"setback {order.setback_count}{most}, {_time(scene, first.until)}"
        case _:
            return short(scene, first)


def task_waits_for(scene: Scene, task: Task) -> str:
    """Return what a task waits for; empty while it runs in touch."""
    if task.status is TaskStatus.ENDED:
        return "its clean-up"
    first = first_task_reason(scene.state, task, scene.now)
    if first is None:
        return ""
    if first.kind is ReasonKind.START_TIME:
        return _time(scene, first.until)
    return short(scene, first)


def job_obstacle(scene: Scene, job: JobState) -> str:
    """Return what keeps a job from starting another task; empty when nothing does."""
    first = first_job_reason(scene.state, job.key, scene.now)
    return short(scene, first) if first is not None else ""


def all_reasons(scene: Scene, order: Order) -> list[str]:
    """Return everything an order waits for, in whole sentences."""
    return [clean(sentence(reason)) for reason in order_reasons(scene.state, order.key, scene.now)]


def short(scene: Scene, reason: Reason) -> str:
    """Return a reason in few words."""
    words = _WORDS.get(reason.kind)
    if words is None:
        return clean(sentence(reason))
    until = clock_text(reason.until, scene.now, scene.zone) if reason.until is not None else ""
    count = f"{reason.used}/{reason.limit}" if reason.limit is not None else ""
    name = clean(name_of(reason.subject)) if reason.subject else "(default)"
    return words.format(
        name=name,
        agent=agent_name(reason.subject),
        count=count,
        until=until or "soon",
        text=clean(reason.text),
        holders=_holders(reason),
    ).rstrip()


def _holders(reason: Reason) -> str:
    if not reason.holders:
        return ""
    first = reason.holders[0]
    who = f"task {first.task}" if first.order is None else clean(first.order.id)
    more = len(reason.holders) - 1
    return f": {who}" + (f" and {more} more" if more else "")


def _resume(scene: Scene, order: Order) -> str:
    """Return why an order is suspended, since when and by whom, as far as it was heard."""
    if order.last_error:
        return f"a person: {brief(order.last_error)}"
    known = scene.mirror.suspensions.get(order.key)
    reason = known.reason if known is not None else ""
    by = f" by {clean(known.by)}" if known is not None and known.by else ""
    since = f" {duration_text(scene.now - known.at)}" if known is not None else ""
    said = clean(reason if reason and reason != "by command" else order.state_text)
    return f"a person: suspended{since}{by}{', ' if said else ''}{said}"


def _others(text: str) -> str:
    """Return how many of the orders that a sync node waits for have arrived."""
    found = _SYNC.search(text)
    return f"the others: {found[2]} of {found[1]} here" if found else f"the others ({clean(text)})"


def _time(scene: Scene, until: Instant | None) -> str:
    if until is None or until >= NEVER:
        return "a time that is not set"
    left = duration_text(until - scene.now)
    return f"{clock_text(until, scene.now, scene.zone)} (in {left})"


def agent_name(uri: str | None) -> str:
    """Return an agent's address without the scheme; `local` for the engine's own host."""
    if not uri:
        return "local"
    return clean(uri.removeprefix("https://").removeprefix("http://").rstrip("/"))


def holder_text(scene: Scene, task_id: TaskId) -> str:
    """Return who holds something: the order of a task, or the task itself."""
    task = scene.state.tasks.get(task_id)
    if task is not None and task.order is not None:
        return clean(task.order.id)
    return f"task {task_id}"


def lock_text(scene: Scene, lock: LockPath) -> str:
    """Return a lock with its holders."""
    holders = scene.state.lock_holders.get(lock, {})
    names = [holder_text(scene, task) for task in holders]
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    missing = "" if lock in scene.state.locks else ", which is missing"
    return f"lock {clean(name_of(lock))}{f': {names[0]}{more}' if names else ''}{missing}"


def class_text(scene: Scene, path: ClassPath) -> str:
    """Return a process class with its count."""
    found = scene.state.process_classes.get(path)
    used = len(scene.state.class_slots.get(path, ()))
    name = "default" if path == DEFAULT_CLASS else clean(name_of(path))
    if found is None:
        return f"class {name}, which is missing"
    return f"class {name} {used}/{found.definition.max_processes}"
