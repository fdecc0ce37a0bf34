"""What can be asked of the engine, by XML, JSON, command line, file or the passing of time.

Requests are parsed and typed; names are absolute. `decide` answers each with events or a problem.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from engine.kernel.calendar import RunTime
from engine.kernel.definitions import Definition, MainConfiguration, OrderDefinition
from engine.kernel.ids import ChainKey, Epoch, JobKey, NodeState, OrderKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.params import NO_PARAMS, Params


@dataclass(frozen=True, slots=True, kw_only=True)
class AtInstant:
    """At a point in time; the past means immediately."""

    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterDelay:
    """So long after the request is carried out (`now`, `now+60`)."""

    delay: Duration = Duration(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InPeriod:
    """As soon as a period of the job's run time allows (`at="period"`)."""


StartAt: TypeAlias = AtInstant | AfterDelay


# --- orders --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AddOrder:
    """Place an order (2.3). An empty id in the key asks for a generated one."""

    order: OrderDefinition
    at: StartAt | None = None
    replace: bool = True
    parent: OrderKey | None = None
    """The order that this one is a child of, for display."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyOrder:
    """Change an order (2.13); absent fields stay. Evaluated in the order of the fields."""

    order: OrderKey
    reset: bool = False
    run_time: RunTime | None = None
    params: Params = NO_PARAMS
    xml_payload: str | None = None
    priority: int | None = None
    state: NodeState | None = None
    end_state: NodeState | None = None
    at: StartAt | None = None
    end_setback: bool = False
    """`setback="no"`: start at once, keep the counter."""
    suspended: bool | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveOrder:
    """Remove an order; one in a task goes after its step."""

    order: OrderKey


# --- jobs and tasks ------------------------------------------------------------------------------


class JobAction(Enum):
    """`<modify_job cmd=…>` (3.5)."""

    STOP = "stop"
    UNSTOP = "unstop"
    DISABLE = "disable"
    ENABLE = "enable"
    START = "start"
    WAKE = "wake"
    WAKE_WHEN_IN_PERIOD = "wake_when_in_period"
    END = "end"
    SUSPEND = "suspend"
    CONTINUE = "continue"
    REREAD = "reread"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyJob:
    """Stop, unstop, wake … a job, or replace its run time."""

    job: JobKey
    action: JobAction | None = None
    run_time: RunTime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob:
    """Queue a task of a job."""

    job: JobKey
    at: StartAt | InPeriod = AfterDelay()
    name: str = ""
    force: bool = True
    """Outside of periods too, and unstop a stopped job."""
    params: Params = NO_PARAMS
    environment: Mapping[str, str] = NO_PARAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class KillTask:
    """End a task (5.5)."""

    task: TaskId
    job: JobKey | None = None
    """When given, the task must be one of this job."""
    immediately: bool = False
    timeout: Duration | None = None
    """With `immediately`: SIGTERM first, SIGKILL so much later; `FOREVER`: SIGTERM only."""


# --- chains --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyChain:
    """Stop or resume a chain as a whole."""

    chain: ChainKey
    stopped: bool


class NodeAction(Enum):
    """What happens to orders at a node (1.5)."""

    PROCESS = "process"
    STOP = "stop"
    NEXT_STATE = "next_state"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyNode:
    """Stop, skip or process a node."""

    chain: ChainKey
    state: NodeState
    action: NodeAction


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveChain:
    """Remove a chain when none of its orders is in a task."""

    chain: ChainKey


# --- the engine itself ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseEngine:
    """Start nothing new; what runs goes on (5.5)."""

    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginEpoch:
    """The first input of each life of the engine: settle what the life before left open."""

    epoch: Epoch
    engine_id: str
    time_zone: str = "UTC"
    """Name of the zone in which local times are meant when nothing else is said."""
    down_since: Instant | None = None
    """When the life before wrote its last event; None: there was none, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Time has passed; something may be due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmExitCommand:
    """The service has carried out one of a task's on-exit commands (3.12)."""

    task: TaskId
    index: int
    problem: str = ""
    """Why the command was refused; empty when it was not."""


class ObjectKind(Enum):
    """The kinds of objects that files define."""

    JOB = "job"
    CHAIN = "job_chain"
    ORDER = "order"
    PROCESS_CLASS = "process_class"
    LOCK = "lock"
    SCHEDULE = "schedule"
    MONITOR = "monitor"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectRef:
    """Names an object: its absolute path, for orders `CHAIN PATH,ID`."""

    kind: ObjectKind
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFile:
    """A definition file that cannot be used; the object's former version stays active."""

    object: ObjectRef
    file: str
    """Path below the live folder."""
    findings: tuple[str, ...]
    """Each a sentence with line and column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyDefinitions:
    """What one look at the live folder and `scheduler.xml` found, as the difference to before.

    After a start `complete` is set: objects that are known and not named here have gone.
    """

    defined: tuple[Definition, ...] = ()
    removed: tuple[ObjectRef, ...] = ()
    broken: tuple[BrokenFile, ...] = ()
    main: MainConfiguration | None = None
    complete: bool = False


Request: TypeAlias = (
    AddOrder
    | ModifyOrder
    | RemoveOrder
    | ModifyJob
    | StartJob
    | KillTask
    | ModifyChain
    | ModifyNode
    | RemoveChain
    | PauseEngine
    | BeginEpoch
    | ConfirmExitCommand
    | Tick
    | ApplyDefinitions
)
