"""The tasks on agents as the browser of processes sees them: hosts, and whose a process is.

Open tasks follow from the state; of those that are over the last ones are remembered, as long as
this life of the engine lasts. What is older shows as lost, which needs a confirmation to be ended.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from engine.kernel.demands import agent_demands
from engine.kernel.events import Event
from engine.kernel.events import definitions as d
from engine.kernel.events import tasks as t
from engine.kernel.ids import AgentUri, TaskId
from engine.kernel.sessions.identity import RunToken, token_of
from engine.kernel.sessions.marks import KnownRun, RunEnd
from engine.kernel.sessions.parameters import AgentLogin, Target
from engine.kernel.state import State, Task

REMEMBERED_MAX: Final = 20_000
"""Runs that are over."""
_PORTS: Final = {"http": 80, "https": 443}


_BROKEN: Final = frozenset({"SCHEDULER-202", "SCHEDULER-272", "SCHEDULER-728"})
"""Lost, too long, killed: what still runs of such a task was not meant to."""


class AgentRuns:
    """The runs of this engine on agents by their tokens."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: dict[RunToken, KnownRun] = {}
        self._agents: dict[RunToken, AgentUri] = {}
        self._open: dict[TaskId, RunToken] = {}
        self._over: deque[RunToken] = deque()
        """Those that have ended, oldest first."""
        for task in state.tasks.values():
            self._put(task)

    @property
    def known(self) -> Mapping[RunToken, KnownRun]:
        """All runs, open and over."""
        return MappingProxyType(self._known)

    def agent_of(self, token: RunToken) -> AgentUri | None:
        """Return the agent on which a run is or was."""
        return self._agents.get(token)

    def committed(self, events: Iterable[Event]) -> bool:
        """Take in what has happened; returns whether there may be other agents now."""
        changed = False
        for event in events:
            match event:
                case t.TaskAssigned():
                    task = self._state.tasks.get(event.task)
                    if task is not None:
                        self._put(task)
                case t.TaskEnded():
                    self._end(event)
                case d.ProcessClassDefined() | d.ProcessClassRemoved():
                    changed = True
                case _:
                    pass
        return changed

    def _put(self, task: Task) -> None:
        if task.key is None or not task.agent or task.outcome is not None:
            return
        token = token_of(task.key)
        former = self._open.get(task.id)
        if former is not None and former != token:
            self._forget(former)  # a start that was not carried out there
        self._open[task.id] = token
        self._agents[token] = task.agent
        self._known[token] = KnownRun(
            token=token,
            key=task.key,
            task=task.id,
            job=task.job,
            end=RunEnd.OPEN,
            order="" if task.order is None else str(task.order),
            state=task.state or "",
        )

    def _end(self, event: t.TaskEnded) -> None:
        token = self._open.pop(event.task, None)
        if token is None:
            return
        end = RunEnd.BROKEN if event.error_code in _BROKEN else RunEnd.NORMAL
        self._known[token] = replace(self._known[token], end=end)
        self._over.append(token)
        if len(self._over) > REMEMBERED_MAX:
            self._forget(self._over.popleft())

    def _forget(self, token: RunToken) -> None:
        self._known.pop(token, None)
        self._agents.pop(token, None)


def agent_hosts(state: State) -> Iterator[tuple[AgentUri, str, Target]]:
    """Yield the agents of all process classes with a name and an address to show.

    The name is one segment of a path, so the address as process classes write it will not do.
    """
    for keep in agent_demands(state):
        parts = urlsplit(keep.agent)
        host = parts.hostname or ""
        port = parts.port or _PORTS.get(parts.scheme, 0)
        yield (
            keep.agent,
            f"agent@{host}:{port}",
            Target(host=host, user="agent", port=port, login=AgentLogin()),
        )
