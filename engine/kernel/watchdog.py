"""What belongs to a run over SSH beside its task: its record, and the order that watches it.

The record is made before anything is sent, so that whatever runs on a host under its token is known
here after every crash. With `runWithWatchdog` an order in the cleanup chain shows the supervision
and can be set back, suspended or reset by hand; it refers to the run by its task and holds no
secret (ssh-and-jitl.md 2.2, 2.10.5, 2.11).
"""

from collections.abc import Generator, Iterator
from typing import assert_never

from engine.kernel.adding import add_order
from engine.kernel.commands import AddOrder, AfterDelay
from engine.kernel.definitions import Job, JobNode, NativeScript, NestedNode, OrderDefinition
from engine.kernel.effects import WatchedRun
from engine.kernel.events import Event
from engine.kernel.events.orders import OrderParamsChanged
from engine.kernel.events.sessions import SshRunBegun, SshRunEnded, SshRunsForgotten
from engine.kernel.events.tasks import TaskAssigned, TaskParamsChanged
from engine.kernel.ids import ChainKey, OrderId, OrderKey, TaskId, chain_key, folder_of, name_of
from engine.kernel.instants import Instant, later, seconds
from engine.kernel.limits import SSH_RUNS_LOOKED_AT_MAX, SSH_RUNS_MAX
from engine.kernel.native import SSH, SSH_KILL, SSH_READ_PID
from engine.kernel.params import NO_PARAMS, Params, value_of, without
from engine.kernel.problems import Problem
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.marks import RunEnd
from engine.kernel.sessions.parameters import TRUE_TEXTS, fold
from engine.kernel.sessions.resolution import (
    connection_of,
    resolved,
    substituted,
    without_secrets,
)
from engine.kernel.state import State, Task, TaskStatus

CLEANUP_DELAY = seconds(15)
"""From the run's beginning to the first step of its cleanup order (2.2)."""
RUN_KEPT_FOR = seconds(30 * 24 * 3600)
"""As long as the directory of a run may stay on its host (2.10.5)."""

TASK_PARAM = "SSH_JOB_TASK_ID"
NAME_PARAM = "SSH_JOB_NAME"
FILE_PARAM = "job_ssh_pid_file_name"
"""Parameters of the cleanup order; the last one holds the run's token now."""

RESULT_PARAMS = ("exit_code", "exit_signal")
"""What an earlier step has left is no result of this one (1.4)."""

CLEANUP_KINDS = frozenset({SSH_READ_PID, SSH_KILL})


def is_ssh(state: State, task: Task) -> bool:
    """Whether a task runs commands over SSH."""
    script = state.jobs[task.job].definition.script
    return isinstance(script, NativeScript) and script.kind == SSH


def ssh_parameters(state: State, task: Task) -> dict[str, str]:
    """Return the parameters of an SSH task by the rules of 1.2, placeholders not yet replaced."""
    order = None if task.order is None else state.orders[task.order]
    return resolved(
        (task.params, NO_PARAMS if order is None else order.params),
        job=state.jobs[task.job].definition.path,
        node=None if order is None else order.state,
    )


def cleanup_parameters(state: State, task: Task) -> dict[str, str]:
    """Return those of a cleanup task: scheduler variables count, too, before all others (1.2)."""
    order = None if task.order is None else state.orders[task.order]
    sources = (state.main.params, task.params, NO_PARAMS if order is None else order.params)
    job = state.jobs[task.job].definition.path
    found = resolved(sources, job=job, node=None if order is None else order.state)
    return substituted(found, special_variables(state, task))


def special_variables(state: State, task: Task) -> dict[str, str]:
    """Return what placeholders may name beside parameters, as far as the state knows (1.2)."""
    job = state.jobs[task.job].definition
    values = {
        "SCHEDULER_ID": state.main.scheduler_id or state.control.engine_id,
        "SCHEDULER_JOB_NAME": name_of(job.path),
        "SCHEDULER_JOB_FOLDER": folder_of(job.path),
        "SCHEDULER_JOB_PATH": job.path,
        "SCHEDULER_JOB_TITLE": job.title,
        "SCHEDULER_TASK_ID": str(task.id),
        "SCHEDULER_SUPERVISOR_HOST": "",
        "SCHEDULER_SUPERVISOR_PORT": "",
    }
    if task.order is None:
        return values
    order = state.orders[task.order]
    chain = state.chains[order.key.chain].definition
    node = state.node(order.key.chain, order.state)
    following: tuple[str | None, str | None] = (None, None)
    if isinstance(node, JobNode | NestedNode):
        following = (node.next_state, node.error_state)
    return values | {
        "SCHEDULER_ORDER_ID": order.key.id,
        "SCHEDULER_JOB_CHAIN": name_of(chain.path),
        "SCHEDULER_JOB_CHAIN_NAME": name_of(chain.path),
        "SCHEDULER_JOB_CHAIN_PATH": chain.path,
        "SCHEDULER_JOB_CHAIN_TITLE": chain.title,
        "SCHEDULER_NODE_NAME": order.state,
        "SCHEDULER_NEXT_NODE_NAME": following[0] or "",
        "SCHEDULER_NEXT_ERROR_NODE_NAME": following[1] or "",
    }


# --- the beginning -------------------------------------------------------------------------------


def begin_ssh_run(
    state: State, assigned: TaskAssigned, at: Instant
) -> Generator[Event, None, Problem | None]:
    """Remember a run that is about to be sent to its host, and let an order watch it.

    Returns why the task cannot begin, without any event.
    """
    task = state.tasks[assigned.task]
    params = substituted(ssh_parameters(state, task), special_variables(state, task))
    connection = connection_of(params)
    if is_on(connection, "runWithWatchdog"):
        problem = yield from _add_watchdog(state, task, assigned, connection, at)
        if problem is not None:
            return problem
    yield from _clear_results(state, task)
    yield assigned
    yield from _forget_oldest(state, at)
    yield SshRunBegun(
        task=task.id,
        key=assigned.key,
        job=state.jobs[task.job].definition.path,
        parameters=connection,
        at=at,
        order=task.order,
        state=task.state,
    )
    return None


def is_on(connection: Params, name: str) -> bool:
    """Whether a switch of the SSH job is on (1.2, rule 6)."""
    wanted = fold(name)
    text = next((value for key, value in connection.items() if fold(key) == wanted), "")
    return text.strip().casefold() in TRUE_TEXTS


def _add_watchdog(
    state: State, task: Task, assigned: TaskAssigned, connection: Params, at: Instant
) -> Generator[Event, None, Problem | None]:
    """Add the cleanup order before there is a connection (2.2)."""
    job = state.jobs[task.job].definition
    name = value_of(connection, "cleanupJobchain") or ""
    chain = find_chain(state, name, folder_of(job.path))
    if chain is None:
        text = f"There is no job chain {name!r} for the cleanup (cleanupJobchain)"
        return Problem(code="SCHEDULER-161", text=text, subject=name)
    params = without_secrets(connection) | {
        TASK_PARAM: str(task.id),
        NAME_PARAM: job.path,
        FILE_PARAM: token_of(assigned.key),
    }
    order = OrderDefinition(
        key=OrderKey(chain, OrderId("")),
        title=f"Cleanup of task {task.id} of {job.path}",
        params=params,
    )
    request = AddOrder(order=order, at=AfterDelay(delay=CLEANUP_DELAY), parent=task.order)
    placed = yield from add_order(state, request, at)
    return placed if isinstance(placed, Problem) else None


def cleanup_chain_of(job: Job) -> str | None:
    """Return the cleanup chain that a job names by itself; None when it has no watchdog."""
    if not isinstance(job.script, NativeScript) or job.script.kind != SSH:
        return None
    connection = connection_of(job.params)
    name = (value_of(connection, "cleanupJobchain") or "").strip().strip("/")
    return name if name and is_on(connection, "runWithWatchdog") and "${" not in name else None


def find_chain(state: State, name: str, folder: str) -> ChainKey | None:
    """Return the cleanup chain of this name: from the live root, then from the job's folder."""
    for path in (f"/{name.strip().strip('/')}", f"{folder.rstrip('/')}/{name.strip().strip('/')}"):
        key = chain_key(path)
        if name.strip() and key in state.chains:
            return key
    return None


def _clear_results(state: State, task: Task) -> Iterator[Event]:
    if task.order is not None:
        params = state.orders[task.order].params
        kept = without(params, *RESULT_PARAMS)
        if len(kept) < len(params):
            yield OrderParamsChanged(order=task.order, params=kept)
    kept = without(task.params, *RESULT_PARAMS)
    if len(kept) < len(task.params):
        yield TaskParamsChanged(task=task.id, params=kept)


def _forget_oldest(state: State, at: Instant) -> Iterator[Event]:
    """Keep the number of remembered runs bounded; open ones stay."""
    over: list[TaskId] = []
    surplus = len(state.ssh_runs) + 1 - SSH_RUNS_MAX
    for count, run in enumerate(state.ssh_runs.values()):
        if count >= SSH_RUNS_LOOKED_AT_MAX:
            break
        if run.ended_at is None:
            continue
        if len(over) >= surplus and later(run.ended_at, RUN_KEPT_FOR) > at:
            break
        over.append(run.task)
    if over:
        yield SshRunsForgotten(tasks=tuple(over))


# --- the end -------------------------------------------------------------------------------------


def end_ssh_run(state: State, task: Task, at: Instant) -> Iterator[Event]:
    """Note how the step of a run has ended: what is left of it is judged by that (3.2)."""
    run = state.ssh_runs.get(task.id)
    if run is None or run.end is not RunEnd.OPEN:
        return
    assert task.outcome is not None, "only an ended task is settled"
    end = RunEnd.NORMAL if task.outcome.succeeded else RunEnd.BROKEN
    yield SshRunEnded(task=task.id, end=end, at=at)


# --- the cleanup jobs ----------------------------------------------------------------------------


def watched_run(state: State, params: Params) -> WatchedRun | None:
    """Return the run a cleanup order is about, None when this engine does not know it."""
    text = (value_of(params, TASK_PARAM) or "").strip()
    run = state.ssh_runs.get(TaskId(int(text))) if _is_number(text) else None
    if run is None:
        return None
    task = state.tasks.get(run.task)
    return WatchedRun(
        key=run.key,
        task=run.task,
        job=run.job,
        order="" if run.order is None else str(run.order),
        state=run.state or "",
        began_at=run.began_at,
        parameters=run.parameters,
        is_open=task is not None and task.key == run.key and _is_under_way(task.status),
    )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


def _is_under_way(status: TaskStatus) -> bool:
    match status:
        case TaskStatus.STARTING | TaskStatus.RUNNING:
            return True
        case TaskStatus.QUEUED | TaskStatus.WAITING_FOR_AGENT | TaskStatus.ENDED:
            return False
        case _:
            assert_never(status)
