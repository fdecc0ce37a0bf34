"""Commands that are no business of the kernel: questions, and changes of the engine around it.

Records like those of `engine.kernel.commands`, parsed and typed, with absolute names. Texts of
`what` and `subsystems` stay as written: `answers.parse_what` reads them.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from engine.kernel.commands import ObjectRef
from engine.kernel.definitions import Definition, Job
from engine.kernel.ids import ChainKey, HistoryId, JobKey, OrderId, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.params import Params

CALENDAR_LIMIT = 100
HISTORY_LENGTH = 10
HISTORY_LENGTH_MAX = 1000


class Permission(Enum):
    """What a command needs, what a client may (xml-commands.md 1.6); each has all before it."""

    NONE = 0
    SIGNAL = 1
    INFO = 2
    NO_ADD = 3
    ALL = 4

    def includes(self, needed: "Permission") -> bool:
        """Tell whether a client of this level may do what needs another level."""
        return self.value >= needed.value


# --- questions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowState:
    """`<show_state>` and `<s>`."""

    what: str = ""
    subsystems: str = ""
    path: str = "/"
    max_orders: int | None = None
    max_order_history: int = 0
    max_task_history: int = HISTORY_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobs:
    """`<show_jobs>`: the jobs of the root folder."""

    what: str = ""
    max_orders: int | None = None
    max_task_history: int = HISTORY_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJob:
    """`<show_job>`; with `chain` only that chain's orders and order tasks."""

    job: JobKey
    chain: ChainKey | None = None
    what: str = ""
    max_orders: int | None = None
    max_task_history: int = HISTORY_LENGTH


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobChains:
    """`<show_job_chains>`: the chains of the root folder, with their jobs."""

    what: str = ""
    max_orders: int | None = None
    max_order_history: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowJobChain:
    """`<show_job_chain>`."""

    chain: ChainKey
    what: str = ""
    max_orders: int | None = None
    max_order_history: int | None = None
    """None: not given, so that `what="order_history"` decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowOrder:
    """`<show_order>`: a present order, else the newest or the named run of the history."""

    chain: ChainKey
    order: OrderId | None = None
    history_id: HistoryId | None = None
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowTask:
    """`<show_task>`: a present task, else its run in the history."""

    task: TaskId
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowHistory:
    """`<show_history>`: runs of a job; both counts missing: the last ten."""

    job: JobKey
    id: TaskId | None = None
    previous: int | None = None
    """So many before `id`, newest first."""
    following: int | None = None
    """So many after `id`."""
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowCalendar:
    """`<show_calendar>` (schedules.md 14)."""

    start: Instant | None = None
    """`from`; None: now."""
    before: Instant | None = None
    limit: int = CALENDAR_LIMIT
    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowProcessClasses:
    """`<show_process_classes>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubsystemShow:
    """`<subsystem.show>`."""

    what: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWhy:
    """`<job.why>`: what keeps this job from starting."""

    job: JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamGet:
    """`<param.get>`: one scheduler variable."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamsGet:
    """`<params.get>`: all scheduler variables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCategoriesShow:
    """`<scheduler_log.log_categories.show>`."""


# --- changes around the kernel -------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class SetParams:
    """`<param>`, `<params>`: set scheduler variables; those not named stay."""

    params: Params


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCategorySet:
    """`<scheduler_log.log_categories.set>`."""

    category: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogCategoriesReset:
    """`<scheduler_log.log_categories.reset>`."""

    delay: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckFolders:
    """`<check_folders>`: look at the live folder now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """A command that is accepted and means nothing here, such as `<licence.use>`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifyHotFolder:
    """`<modify_hot_folder>`: write a file of the live folder, then look at it."""

    object: ObjectRef
    file: str
    """Path below the live folder."""
    xml: str
    """The element without its name, to become the file's content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveObject:
    """`<lock.remove>`, `<process_class.remove>`, `<schedule.remove>`: the object and its file."""

    object: ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class DefineNew:
    """An object that must not exist yet: `replace="no"`."""

    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class AddJobs:
    """`<add_jobs>`: new temporary jobs that start at once (SCHEDULER-141 when one exists)."""

    jobs: tuple[Job, ...]


class SpoolerAction(Enum):
    """`<modify_spooler cmd=…>` without pause and continue, which are the kernel's business."""

    RELOAD = "reload"
    ROTATE_LOGS = "rotate_logs"
    TERMINATE = "terminate"
    TERMINATE_AND_RESTART = "terminate_and_restart"
    LET_RUN_TERMINATE_AND_RESTART = "let_run_terminate_and_restart"
    ABORT_IMMEDIATELY = "abort_immediately"
    ABORT_IMMEDIATELY_AND_RESTART = "abort_immediately_and_restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModifySpooler:
    """`<modify_spooler>`: end, restart or reload the engine."""

    action: SpoolerAction
    timeout: Duration | None = None
    """So long running tasks may go on; None: as long as they need."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """`<terminate>`: end the engine orderly."""

    restart: bool = False
    all_schedulers: bool = False
    timeout: Duration | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishEvent:
    """`<publish_event>`: a custom event for the event stream."""

    json: str


Query: TypeAlias = (
    ShowState
    | ShowJobs
    | ShowJob
    | ShowJobChains
    | ShowJobChain
    | ShowOrder
    | ShowTask
    | ShowHistory
    | ShowCalendar
    | ShowProcessClasses
    | SubsystemShow
    | JobWhy
    | ParamGet
    | ParamsGet
    | LogCategoriesShow
)
"""Changes nothing."""

Operation: TypeAlias = (
    SetParams
    | LogCategorySet
    | LogCategoriesReset
    | CheckFolders
    | Ignored
    | ModifyHotFolder
    | RemoveObject
    | DefineNew
    | AddJobs
    | ModifySpooler
    | Terminate
    | PublishEvent
)
"""Changes something that is not, or not only, the kernel's state."""
