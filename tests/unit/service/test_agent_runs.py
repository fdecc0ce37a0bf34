"""Whose the tasks on agents are, as the browser of processes is told."""

import pytest

from engine.kernel.events.tasks import Cause, TaskAssigned, TaskEnded
from engine.kernel.ids import AgentUri, ExecutionKey, TaskId, job_key
from engine.kernel.instants import Instant
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.marks import RunEnd
from engine.kernel.state import State, Task, TaskStatus
from engine.service import agent_runs
from engine.service.agent_runs import AgentRuns

AGENT = AgentUri("http://a:4445")
KEY = ExecutionKey("e/1.1")


def state_with(agent: AgentUri, key: ExecutionKey = KEY, number: int = 1) -> State:
    state = State()
    state.tasks[TaskId(number)] = Task(
        id=TaskId(number),
        job=job_key("/j"),
        status=TaskStatus.STARTING,
        cause=Cause.ORDER,
        created_at=Instant(1),
        agent=agent,
        key=key,
    )
    return state


def assigned(key: ExecutionKey = KEY) -> TaskAssigned:
    return TaskAssigned(task=TaskId(1), agent=AGENT, key=key, at=Instant(1))


def ended(code: str = "") -> TaskEnded:
    return TaskEnded(task=TaskId(1), at=Instant(2), exit_code=1, error_code=code)


def test_a_task_is_open_until_its_end() -> None:
    runs = AgentRuns(state_with(AGENT))
    token = token_of(KEY)
    assert runs.known[token].end is RunEnd.OPEN
    assert runs.agent_of(token) == AGENT
    runs.committed([ended()])
    assert runs.known[token].end is RunEnd.NORMAL


@pytest.mark.parametrize("code", ["SCHEDULER-202", "SCHEDULER-728", "SCHEDULER-272"])
def test_what_a_lost_or_killed_task_has_left_are_orphans(code: str) -> None:
    runs = AgentRuns(state_with(AGENT))
    runs.committed([ended(code)])
    assert runs.known[token_of(KEY)].end is RunEnd.BROKEN


def test_tasks_of_the_engines_own_host_are_no_concern() -> None:
    runs = AgentRuns(state_with(AgentUri("")))
    runs.committed([assigned(), ended()])
    assert not runs.known


def test_a_start_that_went_elsewhere_is_forgotten() -> None:
    state = state_with(AGENT)
    runs = AgentRuns(state)
    state.tasks.update(state_with(AgentUri("http://b:1"), ExecutionKey("e/1.2")).tasks)
    runs.committed([assigned(ExecutionKey("e/1.2"))])
    assert list(runs.known) == [token_of(ExecutionKey("e/1.2"))]


def test_only_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_runs, "REMEMBERED_MAX", 2)
    state = State()
    runs = AgentRuns(state)
    for attempt in range(4):
        key = ExecutionKey(f"e/1.{attempt}")
        state.tasks.update(state_with(AGENT, key).tasks)
        runs.committed([assigned(key), ended()])
    assert list(runs.known) == [token_of(ExecutionKey(f"e/1.{attempt}")) for attempt in (2, 3)]
