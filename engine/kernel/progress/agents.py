"""On which agent a task runs: fixed priority or round robin, failed ones left out (agents.md 4)."""

import re
from collections.abc import Iterator
from dataclasses import replace

from engine.kernel.definitions import AgentReference, NativeScript, ProcessClass, Select
from engine.kernel.events import Event
from engine.kernel.events.tasks import TaskAssigned, TaskAwaitsAgent, TaskEnded, TaskWarned
from engine.kernel.ids import LOCAL, AgentUri, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant, later, seconds
from engine.kernel.monitors import foreign_monitors, refusal_of
from engine.kernel.params import value_of
from engine.kernel.reports import AgentStatus
from engine.kernel.state import SINK_JOB, ClassState, State, Task, TaskStatus
from engine.kernel.watchdog import begin_ssh_run, is_ssh

ORDER_AGENT_PARAM = "scheduler.remote_scheduler"
"""Parameter of an order: the agent for its shell jobs, empty for the engine's own host (6.6)."""
RETRY_DELAY_PARAM = "scheduler.remote_scheduler.connect_retry_delay"
RETRY_DELAY = seconds(30)
RETRY_DELAY_MIN = seconds(1)
_ADDRESS = re.compile(r"(https?://)?([^\s/:@?#\[\]]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}")


def retry_delay(state: State) -> Duration:
    """Return how long a failed agent is left out; a parameter of the engine changes it."""
    text = value_of(state.main.params, RETRY_DELAY_PARAM)
    if text is None or not text.strip().isdecimal():
        return RETRY_DELAY
    return max(seconds(int(text)), RETRY_DELAY_MIN)


def assign(state: State, task_id: TaskId, at: Instant) -> Iterator[Event]:
    """Choose where the task runs, or let it wait until an agent may be tried again."""
    task = state.tasks[task_id]
    process_class = state.process_classes.get(task.process_class)
    native = isinstance(state.jobs[task.job].definition.script, NativeScript)
    wanted = _wanted_by_order(state, task)
    if native and wanted is not None and task.job != SINK_JOB:
        text = f"{ORDER_AGENT_PARAM} counts for shell jobs only and is ignored here"
        yield TaskWarned(task=task_id, code="SCHEDULER-484", text=text)
    foreign = foreign_monitors(state, state.jobs[task.job].definition) if native else ()
    if foreign:
        code, _, text = refusal_of(foreign[0]).partition(" ")
        yield _failed(task, at, text, code)
    elif process_class is None:
        yield _failed(task, at, f"There is no process class {task.process_class!r}")
    elif wanted is not None and not native:
        yield from _assign_as_wanted(state, task, process_class, wanted, at)
    elif is_ssh(state, task):
        assigned = _assigned(state, task, LOCAL, process_class.cursor, at)
        problem = yield from begin_ssh_run(state, assigned, at)
        if problem is not None:
            yield _failed(task, at, problem.text)
    elif native or not process_class.definition.agents:
        if task.await_until is not None and not native:
            yield _failed(task, at, f"The process class {task.process_class!r} has no agents left")
        else:
            yield _assigned(state, task, LOCAL, process_class.cursor, at)
    else:
        yield from _choose(state, task, process_class, at)


def _wanted_by_order(state: State, task: Task) -> str | None:
    """Return the address that the order gives for its shell jobs (6.6), None when it gives none."""
    if task.order is None:
        return None
    return value_of(state.orders[task.order].params, ORDER_AGENT_PARAM)


def _assign_as_wanted(
    state: State, task: Task, process_class: ClassState, wanted: str, at: Instant
) -> Iterator[Event]:
    """Run the task where its order says; its process class gives the limit only (js973)."""
    if not wanted.strip():
        yield _assigned(state, task, LOCAL, process_class.cursor, at)
        return
    agent = agent_address(wanted)
    if agent is None:
        text = f"{ORDER_AGENT_PARAM}={wanted!r} is no address such as http://HOST:PORT"
        yield _failed(task, at, text, "SCHEDULER-218")
        return
    definition = replace(process_class.definition, agents=(AgentReference(uri=agent),))
    alone = replace(process_class, definition=definition, cursor=0)
    for event in _choose(state, task, alone, at):
        if isinstance(event, TaskAssigned):
            yield replace(event, cursor=process_class.cursor)
        else:
            yield event


def agent_address(text: str) -> AgentUri | None:
    """Return the agent of an address, `host:port` or `http://host:port`; None for anything else."""
    address = text.strip().rstrip("/")
    if not _ADDRESS.fullmatch(address):
        return None
    return AgentUri(address if "://" in address else f"http://{address}")


def _choose(state: State, task: Task, process_class: ClassState, at: Instant) -> Iterator[Event]:
    definition = process_class.definition
    order = _candidates(process_class)
    for index in order:
        agent = definition.agents[index]
        if not agent.is_usable:
            text = f"{agent.uri!r} is no address of an agent such as http://HOST:PORT"
            yield _failed(task, at, text, "SCHEDULER-218")
            return
        if _is_available(state, process_class, agent, at):
            yield _assigned(state, task, agent.uri, (index + 1) % len(order), at)
            return
    oldest, due = _next_attempt(state, process_class, at)
    if due <= at:
        index = definition.agents.index(oldest)
        yield _assigned(state, task, oldest.uri, (index + 1) % len(order), at)
        return
    since = task.awaits_since if task.awaits_since is not None else at
    text = f"SCHEDULER-489 No agent of the process class {definition.path!r} is reachable"
    if definition.timeout is not None:
        limit = later(since, definition.timeout)
        if limit <= at:
            yield _failed(task, at, f"{text} for {definition.timeout // 1000} s")
            return
        due = min(due, limit)
    if task.status is not TaskStatus.WAITING_FOR_AGENT or task.await_until != due:
        yield TaskAwaitsAgent(task=task.id, until=due, since=since, text=text)


def _candidates(process_class: ClassState) -> list[int]:
    count = len(process_class.definition.agents)
    start = process_class.cursor % count if _is_round_robin(process_class.definition) else 0
    return [(start + offset) % count for offset in range(count)]


def _is_round_robin(definition: ProcessClass) -> bool:
    return definition.select is Select.NEXT


def _is_available(
    state: State, process_class: ClassState, agent: AgentReference, at: Instant
) -> bool:
    """Whether the agent may be tried: one that was lost may again after the delay, too (4.5).

    It may be back long before its session is.
    """
    delay = retry_delay(state)
    failure = process_class.failures.get(agent.uri)
    if failure is not None and at < later(failure.at, delay):
        return False
    known = state.agents.get(agent.uri)
    if known is None or known.status is not AgentStatus.LOST:
        return known is None or known.status is not AgentStatus.TERMINATING
    return at >= later(known.since, delay)


def _next_attempt(
    state: State, process_class: ClassState, at: Instant
) -> tuple[AgentReference, Instant]:
    """Return the agent to be tried next when none is available, and when (agents.md 4.2)."""
    delay = retry_delay(state)

    def attempt_at(agent: AgentReference) -> Instant:
        failure = process_class.failures.get(agent.uri)
        known = state.agents.get(agent.uri)
        since = failure.at if failure is not None else (known.since if known is not None else at)
        return later(since, delay)

    oldest = min(process_class.definition.agents, key=attempt_at)
    return oldest, attempt_at(oldest)


def _assigned(state: State, task: Task, agent: AgentUri, cursor: int, at: Instant) -> TaskAssigned:
    key = ExecutionKey(f"{state.control.engine_id}/{task.id}.{task.attempt + 1}")
    return TaskAssigned(task=task.id, agent=agent, key=key, at=at, cursor=cursor)


def _failed(task: Task, at: Instant, text: str, code: str = "") -> TaskEnded:
    return TaskEnded(
        task=task.id,
        at=at,
        exit_code=1,
        error_code=code or ("SCHEDULER-489" if "489" in text else "SCHEDULER-161"),
        error_text=text,
        ran=False,
        succeeded=False,
    )
