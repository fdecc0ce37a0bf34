"""What drivers tell the kernel: the outcomes of effects.

A report may arrive late, twice, or for a task that has gone; `decide` answers all of these with no
event. The driver keeps a report until the journal has it (agents.md 3.13: acknowledged only then).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from engine.kernel.ids import AgentUri, ChainKey, ExecutionKey, JobKey, OrderKey
from engine.kernel.instants import Duration, Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLaunched:
    """The task's process runs at the agent."""

    key: ExecutionKey
    pid: int
    started_at: Instant
    record: str = ""
    """How a run over SSH is known again on a host that has no folder for such a record."""


class LaunchFailure(Enum):
    """Why a start was not carried out; nothing has run in either case."""

    UNREACHABLE = "unreachable"
    """Refused connection, no answer, 502/503/504: another agent may be tried (agents.md 4.3)."""
    REFUSED = "refused"
    """The agent answered with an error: the task fails at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNotLaunched:
    """The start was not carried out, and certainly never will be under this key."""

    key: ExecutionKey
    failure: LaunchFailure
    text: str


class EndReason(Enum):
    """Why the process is no longer there."""

    EXITED = "exited"
    """By itself (exit code or a signal nobody of us sent)."""
    KILLED = "killed"
    """By a kill the engine asked for."""
    LEASE_OVER = "lease_over"
    """By the agent, out of touch with the engine for the heartbeat timeout."""
    AGENT_STOPPED = "agent_stopped"
    """By the agent's own end (SIGTERM, kill on restart)."""
    TAKEN_OVER = "taken_over"
    """By a new life of the engine, which lets nothing of the former one run on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExited:
    """The task's process has ended and all of its output is in the task log."""

    key: ExecutionKey
    exit_code: int
    """0-255; with a signal: minus its number on the engine's host, 128 plus it on an agent
    (agents.md 5.5)."""
    signal: int | None
    reason: EndReason
    ended_at: Instant
    first_line: str = ""
    """First line of stdout, cut to 100 characters: the state text (orders-and-jobs.md 8.5)."""
    error_line: str | None = None
    """First line of stderr, for jobs whose stderr counts as an error."""
    returned: Mapping[str, str] | None = None
    """Return values; None when the file could not be read (`returned_problem` says why)."""
    returned_problem: str | None = None
    problem: str = ""
    """Why the step counts as failed, for a person, when the exit code does not say it."""
    is_tolerated: bool = False
    """By the job's own rules the step succeeds with whatever exit code (ssh-and-jitl.md 1.7)."""
    monitored_result: bool | None = None
    """What the `after` functions of monitors made of the step; None: there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLost:
    """The agent is out of touch for good, or has forgotten the task: SCHEDULER-202, agents.md 3.10.

    Sent only after the lease plus the kill grace, when the process cannot be running any more.
    """

    key: ExecutionKey
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskExitedLate:
    """A task that had been called lost has ended by itself after all (agents.md 3.5).

    Its order has gone on long ago; only the log and the history are told.
    """

    key: ExecutionKey
    exit_code: int
    signal: int | None
    ended_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeEnded:
    """A native job's code has finished."""

    key: ExecutionKey
    succeeded: bool
    text: str = ""
    """The state text, or the error when it did not succeed."""
    returned: Mapping[str, str] | None = None
    available: tuple[AgentUri, ...] = ()
    """For a split: the agents that answered and are not terminating, in the class's order."""
    again_after: Duration | None = None
    """The order waits at its node for so long and comes again; no setback is used up."""
    is_final: bool = False
    """With a failure: the order goes to its error state whatever its node says of errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettingsRead:
    """What the parameters of an order are for its next step (9.2)."""

    key: ExecutionKey
    order_params: Mapping[str, str]
    """All of them."""
    task_params: Mapping[str, str]
    xml_payload: str
    taken_back: tuple[str, ...] = ()
    """Names that are for this step only."""
    problem: str = ""
    """Why the step cannot begin; empty when it can."""


class AgentStatus(Enum):
    """What the engine knows of an agent."""

    UNKNOWN = "unknown"
    """Not yet asked in this life of the engine."""
    COUPLED = "coupled"
    """The session is alive."""
    DELAYED = "delayed"
    """The heartbeat is late; requests are being repeated."""
    LOST = "lost"
    """Not reachable, or silent for longer than the heartbeat timeout."""
    TERMINATING = "terminating"
    """Reachable, but takes no new tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContact:
    """The status of the session with an agent has changed."""

    agent: AgentUri
    status: AgentStatus
    run_id: str = ""
    """Identity of this life of the agent program, when it is known."""
    text: str = ""
    """Why: the error of a lost agent."""
    ledger: str = ""
    """Identity of the agent's data folder, when it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRead:
    """A look into a directory whose files become orders, or the failure of one."""

    chain: ChainKey
    source: int
    directory: str
    turn: int
    """Of the demand; files of an older turn may have gone with their orders."""
    files: tuple[str, ...] = ()
    """Full paths in the order in which they are taken; not necessarily all of them."""
    gone: tuple[str, ...] = ()
    """Of the paths that the state asked about, those that are no longer there."""
    error: str = ""
    """Why the directory could not be read; empty when it could."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChecked:
    """Whether the file of a finished order is still there."""

    order: OrderKey
    path: str
    exists: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryChanged:
    """What is in the directories that a job watches."""

    job: JobKey
    files: tuple[str, ...]
    """Full paths of all matching files."""
    starts: bool
    """Whether the change is one that starts the job; else only the list of files is new."""


Report = (
    TaskLaunched
    | TaskNotLaunched
    | TaskExited
    | TaskLost
    | TaskExitedLate
    | NativeEnded
    | NodeSettingsRead
    | AgentContact
    | DirectoryRead
    | FileChecked
    | DirectoryChanged
)
