"""What drivers can be asked to do: the values of `demands(state)`.

Every effect carries a key that makes repeating it harmless. Drivers compare the demands with the
world, do the difference and report what happened as an input (`engine.kernel.commands`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from engine.kernel.definitions import DirectoryWatch
from engine.kernel.ids import AgentUri, ChainKey, ExecutionKey, JobKey, OrderKey, TaskId
from engine.kernel.instants import Duration, Instant


class KillMode(Enum):
    """How hard a task is ended (orders-and-jobs.md 5.5)."""

    TERMINATE = "terminate"
    """SIGTERM to the script's own process only."""
    KILL = "kill"
    """The kill script, then SIGKILL to the whole process tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """Everything an agent (or the engine's own host) needs to run one shell task.

    `environment` holds what the engine knows (job environment, SCHEDULER_* variables, parameters
    with their prefix; later wins already applied). The host adds its own variables below and above
    as agents.md 5.2 says: SCHEDULER_HOST, SCHEDULER_HTTP_PORT, SCHEDULER_RETURN_VALUES,
    SCHEDULER_TASKSTART_*.
    """

    job: str
    """The job's path as written, for file names and listings."""
    script: str
    """Script text with includes already read; trimmed by the host."""
    environment: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    login_user: str | None = None
    priority: str | None = None
    """The job's `priority` attribute: nice value or a name such as `below_normal`."""
    stderr_is_error: bool = False
    """`stderr_log_level="error"`: any line on stderr makes the task fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProcess:
    """Have this task's process running at this agent; started at most once per key."""

    key: ExecutionKey
    task: TaskId
    agent: AgentUri
    """Empty: the engine's own host."""
    heartbeat_period: Duration
    heartbeat_timeout: Duration
    """The lease of the task: an agent out of touch for so long kills it (agents.md 3.5)."""
    spec: ProcessSpec
    kill: KillMode | None = None
    """Set as soon as the task shall end; the driver signals once per mode."""
    may_start: bool = True
    """False: a task that is to be killed before it was started must not start any more."""
    refusal: str = ""
    """Why it may not, when it is not being killed."""
    ledger: str = field(default="", compare=False)
    """The memory of the agent to which an earlier life of the engine may have sent the start."""
    has_started: bool = field(default=False, compare=False)
    """The journal has its start: a host that does not know it has lost it, and must not start it.

    These two are not compared: they matter to who takes the task over from an earlier life of the
    engine, and who has started it in this life need not be told again.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedRun:
    """A run over SSH that a cleanup order is about (ssh-and-jitl.md 2.4, 2.5)."""

    key: ExecutionKey
    task: TaskId
    job: str
    order: str
    """`/chain,order`; empty for a task without an order."""
    state: str
    began_at: Instant
    parameters: Mapping[str, str]
    """Connection and session, under the documented names."""
    is_open: bool
    """This very step is still being processed; once False it stays so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNative:
    """Have this native job running inside the engine; its kind selects the code."""

    key: ExecutionKey
    task: TaskId
    kind: str
    parameters: Mapping[str, str]
    agents: tuple[AgentUri, ...] = ()
    """For a split: the agents of the next job's process class, to be asked if they are there.
    For a sink: the agent that has the file; none for the engine's own host."""
    watched: WatchedRun | None = None
    """For the jobs of a cleanup chain; None: no such run is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepAgent:
    """Hold a session with this agent, idle or not, so that its health is always known."""

    agent: AgentUri
    heartbeat_period: Duration
    heartbeat_timeout: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetExecution:
    """The journal has this execution's end: the agent may drop what it keeps of it."""

    key: ExecutionKey
    agent: AgentUri


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadNodeSettings:
    """Work out an order's parameters from `*.config.xml` before its step begins (9.2)."""

    key: ExecutionKey
    task: TaskId
    chain: str
    """The chain's path; its folder and its name lead to the file."""
    order: str
    state: str
    order_params: Mapping[str, str]
    task_params: Mapping[str, str]
    engine_params: Mapping[str, str]
    xml_payload: str
    has_own_settings: bool
    """The order was added with its settings in `xml_payload`: no file is looked for."""


# --- files ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchDirectory:
    """Look for files that become orders: demanded only while a job can take one (1.11.1)."""

    chain: ChainKey
    source: int
    """Which of the chain's sources."""
    directory: str
    regex: str | None
    """Searched in the bare file name; None: every file."""
    repeat: Duration
    """Between two looks that found nothing."""
    delay_after_error: Duration
    agent: AgentUri
    """Empty: the engine's own host."""
    room: int
    """So many files can be taken now."""
    turn: int
    """Goes up with every file order that has gone; a report names the turn it was made in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFile:
    """See whether the file of a finished order is still there (1.11.2)."""

    order: OrderKey
    path: str
    agent: AgentUri
    """Empty: the engine's own host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchForJob:
    """Watch directories of the engine's host whose changes start a job (3.11)."""

    job: JobKey
    watches: tuple[DirectoryWatch, ...]
    version: Instant | None = None
    """Time stamp of the job's file: a changed one begins to watch anew."""
    awaits_start: bool = False
    """A change was reported and no task has started for it: the list of files is kept up to date.
    """
