"""The fold of events about runs over SSH."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.events import sessions as e
from engine.kernel.ssh_runs import SshRunState
from engine.kernel.state import State
from engine.kernel.versions import replace


def _begun(state: State, event: e.SshRunBegun) -> None:
    state.ssh_runs[event.task] = SshRunState(
        task=event.task,
        key=event.key,
        job=event.job,
        began_at=event.at,
        parameters=event.parameters,
        order=event.order,
        state=event.state,
    )


def _recorded(state: State, event: e.SshRunRecorded) -> None:
    run = state.ssh_runs[event.task]
    state.ssh_runs[event.task] = replace(run, record=event.record)


def _ended(state: State, event: e.SshRunEnded) -> None:
    run = state.ssh_runs[event.task]
    state.ssh_runs[event.task] = replace(run, end=event.end, ended_at=event.at)


def _forgotten(state: State, event: e.SshRunsForgotten) -> None:
    for task in event.tasks:
        del state.ssh_runs[task]


HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    e.SshRunBegun: _begun,
    e.SshRunRecorded: _recorded,
    e.SshRunEnded: _ended,
    e.SshRunsForgotten: _forgotten,
}
