"""The fold of events about the engine itself and its agents."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.events import control as e
from engine.kernel.state import Agent, AgentFailure, State
from engine.kernel.versions import replace


def _epoch_began(state: State, event: e.EpochBegan) -> None:
    state.control = replace(
        state.control,
        epoch=event.epoch,
        engine_id=event.engine_id,
        time_zone=event.time_zone,
        began_at=event.at,
    )
    for job in list(state.jobs.values()):
        state.put_job(replace(job, is_planned=False, last_end=None, once_pending=True))


def _paused_set(state: State, event: e.EnginePausedSet) -> None:
    state.control = replace(state.control, paused=event.paused)


def _agent_status_changed(state: State, event: e.AgentStatusChanged) -> None:
    former = state.agents.get(event.agent)
    if event.ledger and (former is None or not former.ledger):
        for task in list(state.tasks.values()):
            if task.agent == event.agent and not task.key_ledger:
                state.put_task(replace(task, key_ledger=event.ledger))
    state.agents[event.agent] = Agent(
        uri=event.agent,
        status=event.status,
        run_id=event.run_id,
        text=event.text,
        since=event.at,
        ledger=event.ledger,
    )


def _agent_marked_failed(state: State, event: e.AgentMarkedFailed) -> None:
    process_class = state.process_classes.get(event.process_class)
    if process_class is not None:
        failures = dict(process_class.failures)
        failures[event.agent] = AgentFailure(at=event.at, text=event.text)
        state.process_classes[event.process_class] = replace(process_class, failures=failures)


def _agent_mark_cleared(state: State, event: e.AgentMarkCleared) -> None:
    process_class = state.process_classes.get(event.process_class)
    if process_class is not None:
        failures = {u: f for u, f in process_class.failures.items() if u != event.agent}
        state.process_classes[event.process_class] = replace(process_class, failures=failures)


HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    e.EpochBegan: _epoch_began,
    e.EnginePausedSet: _paused_set,
    e.AgentStatusChanged: _agent_status_changed,
    e.AgentMarkedFailed: _agent_marked_failed,
    e.AgentMarkCleared: _agent_mark_cleared,
}
