"""What the state remembers of runs over SSH: whose a token on a host is, and how to get there.

A run is remembered from before its first byte is sent until long after its end, because processes
may outlive both its connection and its step (ssh-and-jitl.md 2.10.1, 3.2).
"""

from dataclasses import dataclass

from engine.kernel.ids import ExecutionKey, NodeState, OrderKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.params import Params
from engine.kernel.sessions.marks import RunEnd


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRunState:
    """A run over SSH, open or over."""

    task: TaskId
    key: ExecutionKey
    """Its token follows from this: `engine.kernel.sessions.identity.token_of`."""
    job: str
    """The job's path."""
    began_at: Instant
    parameters: Params
    """Connection and session, under the documented names; secrets are sealed."""
    order: OrderKey | None = None
    state: NodeState | None = None
    """The order's node."""
    record: str = ""
    """How it is known again on a host without a folder for it; empty where there is one."""
    end: RunEnd = RunEnd.OPEN
    ended_at: Instant | None = None
