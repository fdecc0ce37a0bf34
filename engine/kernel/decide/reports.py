"""What drivers report: tasks start, end, get lost; agents come and go.

Late, doubled and stray reports are answered without an event, so that repeating is harmless.
"""

from collections.abc import Iterator
from dataclasses import replace

from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.definitions import JobNode, NativeScript
from engine.kernel.effects import KillMode
from engine.kernel.events import Event
from engine.kernel.events.control import AgentMarkCleared, AgentMarkedFailed, AgentStatusChanged
from engine.kernel.events.orders import OrderParamsChanged, OrderStepStarted
from engine.kernel.events.sessions import SshRunRecorded
from engine.kernel.events.tasks import (
    TaskAwaitsAgent,
    TaskConfigured,
    TaskEnded,
    TaskEndedLate,
    TaskParamsChanged,
    TaskStarted,
)
from engine.kernel.ids import ExecutionKey, NodeState, task_of_key
from engine.kernel.instants import Instant, later
from engine.kernel.limits import STATE_TEXT_CHARACTERS_MAX
from engine.kernel.params import Params, merge
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    EndReason,
    LaunchFailure,
    NativeEnded,
    NodeSettingsRead,
    TaskExited,
    TaskExitedLate,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.signals import is_ignored, signal_name
from engine.kernel.split_sync import failed, split
from engine.kernel.state import JobState, State, Task, TaskStatus
from engine.kernel.step_durations import warning_due


def task_of(state: State, key: ExecutionKey) -> Task | None:
    """Return the task that this key is the present attempt of."""
    number = task_of_key(key)
    task = None if number is None else state.tasks.get(number)
    if task is None or task.key != key or task.status is TaskStatus.ENDED:
        return None
    return task


# --- starts --------------------------------------------------------------------------------------


def decide_launched(state: State, report: TaskLaunched, at: Instant) -> Decision:
    """The process runs."""
    task = task_of(state, report.key)
    if task is not None and task.status is TaskStatus.STARTING:
        yield from _begin(state, task, report.pid, report.started_at, at)
        if report.record and task.id in state.ssh_runs:
            yield SshRunRecorded(task=task.id, record=report.record)
    return Answer()


def _begin(state: State, task: Task, pid: int, started_at: Instant, at: Instant) -> Iterator[Event]:
    """Begin the step; `started_at` is its host's time, which may be any other than ours.

    So what is due later counts from `at` (agents.md 3.5: never compare two hosts' wall clocks).
    """
    job = state.jobs[task.job].definition
    deadline = None if job.timeout is None else later(at, job.timeout)
    yield TaskStarted(
        task=task.id,
        pid=pid,
        at=started_at,
        deadline=deadline,
        warn_at=warning_due(state.jobs[task.job], at),
    )
    process_class = state.process_classes.get(task.process_class)
    if process_class is not None and task.agent in process_class.failures:
        assert task.agent is not None
        yield AgentMarkCleared(process_class=task.process_class, agent=task.agent)
    if task.order is not None:
        order = state.orders[task.order]
        yield OrderStepStarted(
            order=order.key,
            task=task.id,
            state=order.state,
            step=order.step + 1,
            at=started_at,
        )


def decide_not_launched(state: State, report: TaskNotLaunched, at: Instant) -> Decision:
    """Nothing ran: try another agent, or fail (agents.md 4.3)."""
    task = task_of(state, report.key)
    if task is None or task.status is not TaskStatus.STARTING:
        return Answer()
    if task.kill is not None:
        yield _ended_unstarted(task, at, "SCHEDULER-728", "The task was killed before it started")
    elif report.failure is LaunchFailure.UNREACHABLE and task.agent:
        yield AgentMarkedFailed(
            process_class=task.process_class, agent=task.agent, at=at, text=report.text
        )
        since = task.awaits_since if task.awaits_since is not None else at
        yield TaskAwaitsAgent(
            task=task.id, until=at, since=since, text=f"SCHEDULER-488 {report.text}"
        )
    else:
        code, _, text = report.text.partition(" ")
        if not code.startswith("SCHEDULER-"):
            code, text = "SCHEDULER-226", report.text
        yield _ended_unstarted(task, at, code, text)
    return Answer()


def decide_settings_read(state: State, report: NodeSettingsRead, at: Instant) -> Decision:
    """The configuration monitor has done its part: the step may begin, or fails without it."""
    task = task_of(state, report.key)
    waits = task is not None and task.status is TaskStatus.STARTING and not task.configured
    if task is None or not waits or task.order is None:
        return Answer()
    if report.problem:
        text = f"The configuration monitor failed: {report.problem}"
        yield _ended_unstarted(task, at, "SCHEDULER-226", text)
        return Answer()
    yield TaskConfigured(
        task=task.id,
        task_params=report.task_params,
        order_params=report.order_params,
        xml_payload=report.xml_payload,
        taken_back=report.taken_back,
    )
    return Answer()


def _ended_unstarted(task: Task, at: Instant, code: str, text: str) -> TaskEnded:
    return TaskEnded(
        task=task.id,
        at=at,
        exit_code=1,
        error_code=code,
        error_text=text,
        state_text=text[:STATE_TEXT_CHARACTERS_MAX],
        ran=False,
        succeeded=False,
    )


# --- ends ----------------------------------------------------------------------------------------


def decide_exited(state: State, report: TaskExited, at: Instant) -> Decision:
    """The process has ended: take over what it returned and say how it went (5.3, 8.4)."""
    task = task_of(state, report.key)
    if task is None:
        return Answer()
    if task.status is TaskStatus.STARTING:
        # The start's own report got lost on the way; the end proves that it ran.
        yield from _begin(state, task, 0, report.ended_at, at)
        task = state.tasks[task.id]
    if report.returned:
        yield from _take_over(state, task, report.returned)
    yield _outcome(state, task, report)
    return Answer()


def _take_over(state: State, task: Task, returned: Params) -> Iterator[Event]:
    if task.order is not None:
        params = merge(state.orders[task.order].params, returned)
        yield OrderParamsChanged(order=task.order, params=params)
    else:
        yield TaskParamsChanged(task=task.id, params=merge(task.params, returned))


def _outcome(state: State, task: Task, report: TaskExited) -> TaskEnded:
    job = state.jobs[task.job]
    code, text = _error_of(job, task, report)
    result = (report.exit_code == 0 or report.is_tolerated) and report.signal is None
    succeeded = result and not code
    # The configuration monitor has an `after` function too, which passes the result on.
    monitored = report.monitored_result is not None or task.configured
    if monitored:
        succeeded = result if report.monitored_result is None else report.monitored_result
    exit_code = report.exit_code
    if code and exit_code == 0:
        exit_code = 1
    return TaskEnded(
        task=task.id,
        at=report.ended_at,
        exit_code=exit_code,
        signal=report.signal,
        error_code=code,
        error_text=text,
        state_text=report.first_line[:STATE_TEXT_CHARACTERS_MAX],
        succeeded=succeeded,
        monitored=monitored,
        tolerated=report.is_tolerated and result and not code,
    )


def _error_of(job: JobState, task: Task, report: TaskExited) -> tuple[str, str]:
    """Return code and text of the task's error, two empty ones when it has none (5.6)."""
    if report.reason is EndReason.LEASE_OVER:
        return "SCHEDULER-202", "The connection to the agent was lost for too long"
    if report.reason is EndReason.AGENT_STOPPED:
        return "SCHEDULER-202", "The agent was stopped and ended the task"
    if report.reason is EndReason.TAKEN_OVER:
        return "SCHEDULER-202", "The engine was restarted and ended the tasks of its former life"
    if task.kill_error == "SCHEDULER-272":
        timeout = job.definition.timeout or 0
        return task.kill_error, f"The task ran longer than its timeout of {timeout // 1000} s"
    if task.kill_error and task.kill is KillMode.KILL:
        return task.kill_error, "The task was killed by command"
    if report.signal is not None:
        if is_ignored(report.signal, job.definition.ignore_signals):
            return "", ""
        if task.kill_error:
            return task.kill_error, "The task was killed by command"
        return "SCHEDULER-279", f"The process was ended by {signal_name(report.signal)}"
    if report.returned_problem is not None:
        code, _, text = report.returned_problem.partition(" ")
        return code, text
    if report.is_tolerated:
        return "", ""
    if report.problem:
        said = f": {report.error_line}" if report.error_line else ""
        return "SCHEDULER-280", f"{report.problem}{said}"
    if report.exit_code != 0:
        return "SCHEDULER-280", f"The process ended with exit code {report.exit_code}"
    if report.error_line is not None:
        return "SCHEDULER-140", f"The task has written to stderr: {report.error_line}"
    return "", ""


def decide_lost(state: State, report: TaskLost, at: Instant) -> Decision:
    """Nobody knows how it went, but it does not run any more (agents.md 3.10)."""
    task = task_of(state, report.key)
    if task is not None:
        yield TaskEnded(
            task=task.id,
            at=at,
            exit_code=1,
            error_code="SCHEDULER-202",
            error_text=report.text,
            succeeded=False,
            ran=task.status is TaskStatus.RUNNING,
        )
    return Answer()


def decide_ended_late(state: State, report: TaskExitedLate, _at: Instant) -> Decision:
    """Write down what became of a task that had been given up."""
    number = task_of_key(report.key)
    if number is not None and number not in state.tasks:
        yield TaskEndedLate(
            task=number, at=report.ended_at, exit_code=report.exit_code, signal=report.signal
        )
    return Answer()


# --- native jobs ---------------------------------------------------------------------------------


def decide_native_ended(state: State, report: NativeEnded, at: Instant) -> Decision:
    """A native job's work is done; a split makes its children now."""
    task = task_of(state, report.key)
    if task is None:
        return Answer()
    if task.status is TaskStatus.STARTING:
        yield from _begin(state, task, 0, at, at)
        task = state.tasks[task.id]
    if report.returned:
        yield from _take_over(state, task, report.returned)
    script = state.jobs[task.job].definition.script
    if report.again_after is not None and task.order is not None:
        yield TaskEnded(
            task=task.id,
            at=at,
            exit_code=0,
            state_text=report.text[:STATE_TEXT_CHARACTERS_MAX],
            moved_to=state.orders[task.order].state,
            waits_for=report.again_after,
        )
    elif not report.succeeded:
        ended = failed(task.id, at, report.text)
        yield replace(ended, moved_to=_error_state(state, task)) if report.is_final else ended
    elif isinstance(script, NativeScript) and script.kind == "split":
        if task.order is None:
            yield failed(task.id, at, "The split job works only for orders of a job chain")
        else:
            yield from split(state, task.id, report.available, at)
    else:
        yield TaskEnded(
            task=task.id,
            at=at,
            exit_code=0,
            state_text=report.text[:STATE_TEXT_CHARACTERS_MAX],
        )
    return Answer()


def _error_state(state: State, task: Task) -> NodeState | None:
    """Return where the task's order goes when it has failed for good."""
    if task.order is None:
        return None
    node = state.node(task.order.chain, state.orders[task.order].state)
    return node.error_state if isinstance(node, JobNode) else None


# --- agents --------------------------------------------------------------------------------------


def decide_agent_contact(state: State, report: AgentContact, at: Instant) -> Decision:
    """The session with an agent stands differently."""
    known = state.agents.get(report.agent)
    ledger = report.ledger or ("" if known is None else known.ledger)
    now = (report.status, report.run_id, ledger)
    same = known is not None and (known.status, known.run_id, known.ledger) == now
    if report.status is AgentStatus.COUPLED and not same:
        # It answers again: nobody has to wait for the end of a retry delay.
        for process_class in list(state.process_classes.values()):
            if report.agent in process_class.failures:
                yield AgentMarkCleared(process_class=process_class.path, agent=report.agent)
    if not same:
        yield AgentStatusChanged(
            agent=report.agent,
            status=report.status,
            run_id=report.run_id or ("" if known is None else known.run_id),
            text=report.text,
            at=at,
            ledger=ledger,
        )
    return Answer()
