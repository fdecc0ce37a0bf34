"""What can happen to a task and to its job's readiness (orders-and-jobs.md chapters 3 and 5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from engine.kernel.calendar import RunTime
from engine.kernel.definitions import LockUse
from engine.kernel.effects import KillMode
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    ExecutionKey,
    JobKey,
    LockPath,
    NodeState,
    OrderKey,
    TaskId,
)
from engine.kernel.instants import Duration, Instant
from engine.kernel.params import NO_PARAMS, Params


class Cause(Enum):
    """Why a task was started (3.13)."""

    NONE = "none"
    PERIOD_ONCE = "period_once"
    PERIOD_SINGLE = "period_single"
    PERIOD_REPEAT = "period_repeat"
    QUEUE = "queue"
    QUEUE_AT = "queue_at"
    DIRECTORY = "directory"
    SIGNAL = "signal"
    DELAY_AFTER_ERROR = "delay_after_error"
    ORDER = "order"
    WAKE = "wake"
    MIN_TASKS = "min_tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskQueued:
    """`start_job` has put a task into the job's queue."""

    task: TaskId
    job: JobKey
    start_at: Instant
    at: Instant
    name: str = ""
    force: bool = True
    in_period: bool = False
    """`at="period"`: starts only within a period, forced or not."""
    params: Params = NO_PARAMS
    environment: Mapping[str, str] = NO_PARAMS


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRemovedFromQueue:
    """A queued task will not start."""

    task: TaskId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCreated:
    """A task exists: it holds its locks, a slot of its process class and its order."""

    task: TaskId
    job: JobKey
    cause: Cause
    process_class: ClassPath
    at: Instant
    locks: tuple[LockUse, ...] = ()
    order: OrderKey | None = None
    state: NodeState | None = None
    trigger_files: tuple[str, ...] = ()
    """For a start by directory: the files that caused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAssigned:
    """An agent (or the engine's own host) was chosen to run the task under this key."""

    task: TaskId
    agent: AgentUri
    key: ExecutionKey
    at: Instant
    cursor: int = 0
    """Where the round robin of the class goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskAwaitsAgent:
    """No agent of the class is reachable; the next attempt comes at `until` (agents.md 4.4)."""

    task: TaskId
    until: Instant
    since: Instant
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskConfigured:
    """Node parameters were put into the order for its step; the process may start (9.2)."""

    task: TaskId
    task_params: Params
    order_params: Params
    xml_payload: str
    taken_back: tuple[str, ...] = ()
    """Names that leave the order again after the step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskStarted:
    """The process runs."""

    task: TaskId
    pid: int
    at: Instant
    deadline: Instant | None = None
    """When the job's `timeout` is over (SCHEDULER-272)."""
    warn_at: Instant | None = None
    """When the step will have lasted longer than expected (SCHEDULER-712)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKillRequested:
    """The task shall end; drivers see it as a demand."""

    task: TaskId
    mode: KillMode
    escalate_at: Instant | None = None
    """When a TERMINATE becomes a KILL; None: never."""
    error_code: str = ""
    """Why, if that is an error of its own (SCHEDULER-272 timeout)."""
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskParamsChanged:
    """The task's whole parameter set (return values of a task without an order)."""

    task: TaskId
    params: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """The process has ended, was lost or could not be started; the result is known."""

    task: TaskId
    at: Instant
    exit_code: int
    signal: int | None = None
    error_code: str = ""
    """Empty: no error. Else the SCHEDULER code of the error that counts."""
    error_text: str = ""
    state_text: str = ""
    ran: bool = True
    """False: no process ever ran (start failure, killed while waiting)."""
    kept: bool = False
    """The order stays because the job stops, whatever the result (2.9, JS-973)."""
    succeeded: bool = True
    """The result after monitors: whether the success branch is taken."""
    monitored: bool = False
    """Monitors have decided: an error stops the job and does not keep the order (2.9)."""
    moved_to: NodeState | None = None
    """The job itself has sent its order to this node (2.7, case C)."""
    suspends: bool = False
    """The job itself suspends its order where it stands (the sync job)."""
    sets_back_for: Duration | None = None
    """The job itself sets its order back for so long (the sync job)."""
    waits_for: Duration | None = None
    """The order waits at its node for so long, without a setback (the SSH cleanup jobs)."""
    tolerated: bool = False
    """A success whatever the exit code, which is still the step's return code (SSH jobs)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClosed:
    """Locks and slot are released, the task is history."""

    task: TaskId
    job: JobKey
    at: Instant | None = None
    """By the engine's clock, unlike the end of the process; None in the first journals."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEndedLate:
    """A closed task that had been lost did end by itself; nothing follows (agents.md 3.5)."""

    task: TaskId
    at: Instant
    exit_code: int
    signal: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWarned:
    """The step is shorter or longer than expected (3.7)."""

    task: TaskId
    code: str
    text: str


# --- jobs ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStopped:
    """The job starts nothing until it is unstopped."""

    job: JobKey
    persistent: bool = True
    """False: only until the reason (a pending replacement) is gone."""
    reason: str = ""
    task: TaskId | None = None
    """The failed task that has stopped it (SCHEDULER-978)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobUnstopped:
    """The job may start tasks again."""

    job: JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnabledSet:
    """`enable` and `disable`: shown, and remembered over file changes."""

    job: JobKey
    enabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobErrorsCounted:
    """So many tasks in a row have failed; the job pauses until `delayed_until` (3.8)."""

    job: JobKey
    consecutive: int
    delayed_until: Instant | None = None
    restarts: bool = False
    """A task starts by itself when the pause is over (jobs with an automatic start)."""
    task: TaskId | None = None
    """The failed task, if its error neither stops nor pauses the job (SCHEDULER-977)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAwaitsProcess:
    """The job has something to start and waits for a slot of the class (6.3)."""

    job: JobKey
    process_class: ClassPath
    order: OrderKey | None = None
    """The order that the task is to be started for, in whose log this is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAwaitsLocks:
    """The job has something to start and waits for its locks (7.3)."""

    job: JobKey
    locks: tuple[LockPath, ...]
    order: OrderKey | None = None
    """The order that the task is to be started for, in whose log this is said."""
    place: int = 0
    """The job's place in the longest of the queues that it joins; 0: not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWaitEnded:
    """The job waits for no slot and no lock any more."""

    job: JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStartPlanned:
    """The next automatic start of a job by its run time; NEVER: none."""

    job: JobKey
    start_at: Instant
    cause: Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPeriodChanged:
    """A period of the job's run time has opened or closed; it stays so until `until`."""

    job: JobKey
    is_open: bool
    until: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRunTimeReplaced:
    """`modify_job` with a run time: it counts until the job's file is read again."""

    job: JobKey
    run_time: RunTime


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStartsMissed:
    """The job was to start while the engine was down; that is not made up (chapter 10)."""

    job: JobKey
    first: Instant
    count: int
    """How many starts its calendar had in that time."""
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWoken:
    """`wake` and `wake_when_in_period`: start a task as soon as the job may."""

    job: JobKey
    cause: Cause
    in_period_only: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStateTextSet:
    """The one line that the last task said of itself."""

    job: JobKey
    text: str


TaskEvent: TypeAlias = (
    TaskQueued
    | TaskRemovedFromQueue
    | TaskCreated
    | TaskAssigned
    | TaskAwaitsAgent
    | TaskConfigured
    | TaskStarted
    | TaskKillRequested
    | TaskParamsChanged
    | TaskEnded
    | TaskClosed
    | TaskEndedLate
    | TaskWarned
)

JobEvent: TypeAlias = (
    JobStopped
    | JobUnstopped
    | JobEnabledSet
    | JobErrorsCounted
    | JobAwaitsProcess
    | JobAwaitsLocks
    | JobWaitEnded
    | JobStartPlanned
    | JobPeriodChanged
    | JobRunTimeReplaced
    | JobStartsMissed
    | JobWoken
    | JobStateTextSet
)
