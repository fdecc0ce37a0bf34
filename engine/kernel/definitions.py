"""What live folders define: jobs, job chains, orders, process classes, locks, schedules, monitors.

Definitions are valid by construction: the codec has checked the types, resolved relative references
and applied the defaults. Whether the things they refer to exist is a question for the state, since
they may appear later (orders-and-jobs.md 0.3).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from engine.kernel.calendar import Holidays, RunTime, Schedule
from engine.kernel.ids import (
    AgentUri,
    ChainKey,
    ClassPath,
    JobKey,
    LockPath,
    MonitorPath,
    NodeState,
    OrderKey,
    chain_key,
    job_key,
)
from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.params import NO_PARAMS, Params, is_no

DEFAULT_HEARTBEAT_PERIOD = seconds(10)
DEFAULT_HEARTBEAT_TIMEOUT = seconds(60)
DEFAULT_MAX_PROCESSES = 30


class Visible(Enum):
    """Whether listings show the object; no effect on execution (orders-and-jobs.md 0.6)."""

    YES = "yes"
    NO = "no"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The file an object came from; absent for objects of `scheduler.xml` and of commands."""

    file: str
    """Path below the live folder, `folder/name.job.xml`."""
    modified_at: Instant
    """Time stamp of the file, whole seconds count (orders-and-jobs.md chapter 10)."""
    xml: str = ""
    """The text of the element, for answers with `what="source"`."""


# --- scripts -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """Literal script text."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Include:
    """Script text that is read when a task starts (live-folder.md 12)."""

    file: str | None = None
    """Relative to the include path."""
    live_file: str | None = None
    """Absolute from the root of the live folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellScript:
    """A script that a process of its own interprets."""

    parts: tuple[Text | Include, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeScript:
    """A Java class of the original's job library for which the engine has an own implementation."""

    kind: str
    """`split`, `sync`, `file_order_sink`, `ssh`, …: see `engine.kernel.native`."""
    java_class: str
    parts: tuple[Text | Include, ...] = ()
    """The body of the element; an SSH job without commands of its own runs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignScript:
    """A language that the engine cannot run; its tasks fail with a message that names it."""

    language: str
    parts: tuple[Text | Include, ...] = ()
    java_class: str = ""


Script: TypeAlias = ShellScript | NativeScript | ForeignScript


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorUse:
    """A monitor of a job: inline (`script`) or named (`path`)."""

    name: str = "scheduler"
    ordering: int | None = None
    """None: 1, or what the named monitor says."""
    script: Script | None = None
    path: MonitorPath | None = None


# --- jobs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class LockUse:
    """A lock that each task of a job holds while it runs."""

    lock: LockPath
    exclusive: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetbackDelay:
    """From the `count`-th consecutive setback of an order on, wait so long (chapter 4.1)."""

    count: int
    delay: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDelay:
    """From the `count`-th consecutive failed task on, pause the job; None stops it (3.8)."""

    count: int
    delay: Duration | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryWatch:
    """Start the job when this directory changes (3.11)."""

    directory: str
    regex: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCommands:
    """Commands that run after a task's end with one of these codes (3.12)."""

    codes: tuple[str, ...]
    """`success`, `error`, `signal`, signal names, integers."""
    xml: tuple[str, ...]
    """The commands, each as XML text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDurationLimit:
    """A duration, or a percentage of the average of former steps (3.7)."""

    duration: Duration | None = None
    percent: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Something that can run: by orders, by its run time, by command (chapter 3)."""

    path: str
    script: Script
    title: str = ""
    is_order_job: bool = False
    visible: Visible = Visible.YES
    temporary: bool = False
    tasks: int = 1
    min_tasks: int = 0
    timeout: Duration | None = None
    idle_timeout: Duration = seconds(5)
    force_idle_timeout: bool = False
    stop_on_error: bool = True
    ignore_signals: tuple[str, ...] = ()
    priority: str | None = None
    process_class: ClassPath | None = None
    enabled: bool = True
    log_append: bool = False
    stderr_is_error: bool = False
    warn_if_shorter_than: StepDurationLimit | None = None
    warn_if_longer_than: StepDurationLimit | None = None
    description: str = ""
    params: Params = NO_PARAMS
    environment: Mapping[str, str] = NO_PARAMS
    login_user: str | None = None
    locks: tuple[LockUse, ...] = ()
    monitors: tuple[MonitorUse, ...] = ()
    directory_watches: tuple[DirectoryWatch, ...] = ()
    error_delays: tuple[ErrorDelay, ...] = ()
    setback_delays: tuple[SetbackDelay, ...] = ()
    setback_max: int = 0
    """Repetitions before the error state; 0 without `is_maximum` (4.1)."""
    run_time: RunTime | None = None
    """None: one endless period, no automatic start."""
    exit_commands: tuple[ExitCommands, ...] = ()
    settings: Mapping[str, str] = NO_PARAMS
    """Mail and history settings by name (`mail_on_error`, `history`, `log_level`, …)."""
    source: Source | None = None

    @property
    def key(self) -> JobKey:
        """The key of the job: its path in folded spelling."""
        return job_key(self.path)

    @property
    def history_from_step(self) -> int | None:
        """After which step a task is recorded, 0 at its start; None: never (5.7)."""
        if is_no(self.settings.get("history")):
            return None
        after = self.settings.get("history_on_process", "").strip()
        return int(after) if after.isdecimal() else 0


# --- job chains ----------------------------------------------------------------------------------


class OnError(Enum):
    """What a failing step does instead of going to the error node."""

    SUSPEND = "suspend"
    SETBACK = "setback"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeRange:
    """Return codes `first` to `last`, both included."""

    first: int
    last: int

    def __contains__(self, code: int) -> bool:
        return self.first <= code <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedOrder:
    """`<add_order>` of the node order plugin (1.9)."""

    chain: ChainKey
    id: str | None = None
    """None: the id of the current order; `${ORDER_ID}` in it is replaced by that."""
    params: Params = NO_PARAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class OnReturnCodes:
    """One `<on_return_code>` of a node."""

    codes: tuple[CodeRange, ...]
    to_state: NodeState | None = None
    added_orders: tuple[AddedOrder, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobNode:
    """A place in a chain where a job processes orders."""

    state: NodeState
    job: JobKey
    job_path: str
    """The job's path as written, absolute."""
    next_state: NodeState | None = None
    error_state: NodeState | None = None
    """None: a failing order ends with an empty state (1.4.3)."""
    on_error: OnError | None = None
    suspend: bool = False
    delay: Duration = Duration(0)
    on_return_codes: tuple[OnReturnCodes, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkNode:
    """Where file orders end: the file is deleted or moved (1.11.3)."""

    state: NodeState
    remove: bool = False
    move_to: str | None = None
    suspend: bool = False
    delay: Duration = Duration(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedNode:
    """A node of a super chain: another chain (1.10)."""

    state: NodeState
    chain: ChainKey
    chain_path: str
    next_state: NodeState | None = None
    error_state: NodeState | None = None
    suspend: bool = False
    delay: Duration = Duration(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndNode:
    """A node without a job: the order is done."""

    state: NodeState


Node: TypeAlias = JobNode | SinkNode | NestedNode | EndNode


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOrderSource:
    """A directory whose files become orders (1.11.1)."""

    directory: str
    regex: str | None = None
    next_state: NodeState | None = None
    """None: the chain's first node."""
    repeat: Duration | None = seconds(10)
    """None: no periodic look."""
    delay_after_error: Duration | None = None
    alert_when_directory_missing: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A sequence of nodes through which orders go (chapter 1)."""

    path: str
    nodes: tuple[Node, ...]
    """In document order, completed: implicit successors and the implicit end node are in."""
    title: str = ""
    visible: Visible = Visible.YES
    orders_recoverable: bool = True
    distributed: bool = False
    max_orders: int | None = None
    process_class: ClassPath | None = None
    file_watching_process_class: ClassPath | None = None
    file_order_sources: tuple[FileOrderSource, ...] = ()
    source: Source | None = None

    @property
    def key(self) -> ChainKey:
        """The key of the chain: its path in folded spelling."""
        return chain_key(self.path)

    @property
    def is_nested(self) -> bool:
        """Whether the nodes are chains themselves."""
        return any(isinstance(node, NestedNode) for node in self.nodes)


# --- orders --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDefinition:
    """What a file or a command says of an order (2.2)."""

    key: OrderKey
    title: str = ""
    priority: int = 0
    params: Params = NO_PARAMS
    state: NodeState | None = None
    """None: the chain's first node."""
    end_state: NodeState | None = None
    run_time: RunTime | None = None
    first_start: Instant | None = None
    """The `at` of an order file: comes before what the run time says, whenever it is placed."""
    first_delay: Duration | None = None
    """The `at="now+…"` of an order file: so long after it is placed."""
    suspended: bool = False
    xml_payload: str = ""
    web_service: str = ""
    source: Source | None = None
    """Given: a permanent order."""


# --- the rest ------------------------------------------------------------------------------------


class Select(Enum):
    """How a process class chooses among its agents (6.4)."""

    FIRST = "first"
    """Fixed priority: the first one that is not marked failed."""
    NEXT = "next"
    """Round robin."""


_AGENT_ADDRESS = re.compile(
    r"https?://(?:[^\s/:@?#\[\]]+@)?(?:[^\s/:@?#\[\]]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?(?:/[^\s]*)?",
    re.IGNORECASE,
)
_PORT_MAX = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReference:
    """An agent of a process class, with its heartbeat settings (agents.md 1.3)."""

    uri: AgentUri
    heartbeat_period: Duration = DEFAULT_HEARTBEAT_PERIOD
    heartbeat_timeout: Duration = DEFAULT_HEARTBEAT_TIMEOUT

    @property
    def is_usable(self) -> bool:
        """Whether the address can be one of an agent; the tasks of others fail (JS-1187)."""
        return is_agent_address(self.uri)


def is_agent_address(uri: str) -> bool:
    """Tell whether an address is `http://HOST`, `https://HOST`, perhaps with port and path."""
    found = _AGENT_ADDRESS.fullmatch(uri)
    return found is not None and (not found[1] or int(found[1]) <= _PORT_MAX)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessClass:
    """A limit on concurrent tasks and a choice of agents (chapter 6)."""

    path: ClassPath
    max_processes: int = DEFAULT_MAX_PROCESSES
    agents: tuple[AgentReference, ...] = ()
    select: Select = Select.FIRST
    timeout: Duration | None = None
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """Exclusive or shared use of a named thing (chapter 7)."""

    path: LockPath
    max_non_exclusive: int | None = None
    """None: unlimited."""
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """A named monitor: scripts before and after a task or step (3.10)."""

    path: MonitorPath
    script: Script
    ordering: int = 1
    source: Source | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MainConfiguration:
    """What `scheduler.xml` says beside its objects (live-folder.md 10)."""

    scheduler_id: str = ""
    params: Params = NO_PARAMS
    time_zone: str | None = None
    holidays: Holidays | None = None
    include_path: str | None = None
    ignore_process_classes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFile:
    """A schedule with the file it came from."""

    schedule: Schedule
    source: Source | None = None


Definition: TypeAlias = Job | Chain | OrderDefinition | ProcessClass | Lock | Monitor | ScheduleFile
