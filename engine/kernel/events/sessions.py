"""What can happen to runs over SSH, beside what happens to their tasks."""

from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.ids import ExecutionKey, NodeState, OrderKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.params import Params
from engine.kernel.sessions.marks import RunEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRunBegun:
    """A task is about to run commands on a host under this key; nothing has been sent yet."""

    task: TaskId
    key: ExecutionKey
    job: str
    """The job's path."""
    parameters: Params
    """Connection and session; secrets are sealed."""
    at: Instant
    order: OrderKey | None = None
    state: NodeState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRunRecorded:
    """The host has no folder for the run: how it is known again there is kept here."""

    task: TaskId
    record: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRunEnded:
    """The run's task has ended; processes may be left of it."""

    task: TaskId
    end: RunEnd
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRunsForgotten:
    """The oldest runs that are over; what is left of them counts as lost from now on."""

    tasks: tuple[TaskId, ...]


SessionEvent: TypeAlias = SshRunBegun | SshRunRecorded | SshRunEnded | SshRunsForgotten
