"""What a task does by itself: find an agent, escalate a kill, end a timeout, settle its end."""

from collections.abc import Iterator

from engine.kernel.definitions import NativeScript
from engine.kernel.effects import KillMode
from engine.kernel.events import Event
from engine.kernel.events.orders import OrderStepStarted
from engine.kernel.events.tasks import TaskKillRequested, TaskStarted
from engine.kernel.ids import TaskId
from engine.kernel.instants import Instant
from engine.kernel.progress.agents import assign
from engine.kernel.progress.moves import settle_ended
from engine.kernel.split_sync import sync
from engine.kernel.state import State, Task, TaskStatus
from engine.kernel.step_durations import longer_than_expected

IN_KERNEL = frozenset({"sync"})
"""Native jobs that are decided here, without any work outside."""


def visit_task(state: State, task_id: TaskId, at: Instant) -> Iterator[Event]:
    """Do what the task is due for."""
    task = state.tasks.get(task_id)
    if task is None:
        return
    match task.status:
        case TaskStatus.QUEUED:
            return
        case TaskStatus.STARTING if task.key is None:
            if _runs_in_kernel(state, task):
                yield from _run_in_kernel(state, task, at)
            else:
                yield from assign(state, task_id, at)
        case TaskStatus.WAITING_FOR_AGENT:
            # Visited because it is due or because an agent of its class has come back.
            yield from assign(state, task_id, at)
        case TaskStatus.STARTING | TaskStatus.RUNNING:
            if task.warn_at is not None and task.warn_at <= at:
                yield longer_than_expected(state.jobs[task.job], task)
            yield from _end_in_time(state.tasks[task_id], at)
        case TaskStatus.ENDED:
            yield from settle_ended(state, task_id, at)


def _runs_in_kernel(state: State, task: Task) -> bool:
    script = state.jobs[task.job].definition.script
    return isinstance(script, NativeScript) and script.kind in IN_KERNEL


def _run_in_kernel(state: State, task: Task, at: Instant) -> Iterator[Event]:
    yield TaskStarted(task=task.id, pid=0, at=at)
    if task.order is not None:
        order = state.orders[task.order]
        yield OrderStepStarted(
            order=order.key, task=task.id, state=order.state, step=order.step + 1, at=at
        )
    yield from sync(state, task.id, at)


def _end_in_time(task: Task, at: Instant) -> Iterator[Event]:
    if task.escalate_at is not None and task.escalate_at <= at:
        yield TaskKillRequested(task=task.id, mode=KillMode.KILL)
    elif task.deadline is not None and task.deadline <= at:
        yield TaskKillRequested(
            task=task.id, mode=KillMode.KILL, error_code="SCHEDULER-272", by="timeout"
        )
