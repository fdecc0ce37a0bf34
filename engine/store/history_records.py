"""What the histories are told and what they answer: neutral records, without kernel or SQL.

The columns follow orders-and-jobs.md 2.15 (orders and their steps) and 5.7 (tasks).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.ids import HistoryId, NodeState, OrderId, TaskId
from engine.kernel.instants import Instant

# --- in ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRunStarted:
    """The first step of a run begins."""

    history_id: HistoryId
    chain: str
    """The chain's path as written."""
    order_id: OrderId
    title: str
    started_at: Instant
    parent: str = ""
    """The order it is a child of, `CHAIN,ID`."""
    has_notes: bool = True
    """There may be notes that wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStepStarted:
    """A task works on the order."""

    history_id: HistoryId
    step: int
    """Counted from 1."""
    task: TaskId
    state: NodeState
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStepEnded:
    """The order has left the task."""

    history_id: HistoryId
    step: int
    at: Instant
    error: bool = False
    error_code: str = ""
    error_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRunEnded:
    """The run is over."""

    history_id: HistoryId
    state: NodeState
    at: Instant
    state_text: str = ""
    end_is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNoted:
    """Something came to be known of a task that is over; its error text gets it added."""

    task: TaskId
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecorded:
    """A task runs, or has tried to; telling it again replaces what was told."""

    task: TaskId
    job: str
    """The job's path as written."""
    cause: str
    at: Instant
    agent: str = ""
    """Empty: the engine's own host."""
    pid: int | None = None
    parameters: Mapping[str, str]
    chain: str = ""
    order_id: OrderId = OrderId("")
    history_id: HistoryId | None = None
    """The run of the order that it was started for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEndedRecord:
    """A task has ended."""

    task: TaskId
    at: Instant
    exit_code: int
    error: bool = False
    error_code: str = ""
    error_text: str = ""
    steps: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNoted:
    """Something happened to an order before the first step of a run, when no task tells of it."""

    chain: str
    order_id: OrderId
    history_id: HistoryId | None
    """None: the run has not begun; the note is taken over by the next one."""
    at: Instant
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNotesDropped:
    """The order has gone before a run began: nobody asks for its notes any more."""

    chain: str
    order_id: OrderId


HistoryRecord: TypeAlias = (
    OrderRunStarted
    | OrderStepStarted
    | OrderStepEnded
    | OrderRunEnded
    | TaskRecorded
    | TaskEndedRecord
    | TaskNoted
    | OrderNoted
    | OrderNotesDropped
)

# --- out -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """Which rows are wanted; what is absent does not filter. Paths compare case-insensitively."""

    job: str | None = None
    chain: str | None = None
    order_id: str | None = None
    ids: tuple[int, ...] = ()
    """Task numbers or history ids."""
    history_id: HistoryId | None = None
    """Tasks of this run."""
    since: Instant | None = None
    """Started then or later."""
    before: int | None = None
    """Only ids below this one."""
    after: int | None = None
    """Only ids above this one, the nearest first in line for `limit`."""
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEntry:
    """A task in the history."""

    task: TaskId
    job: str
    cause: str
    agent: str
    pid: int | None
    started_at: Instant
    ended_at: Instant | None
    """None: it is still running."""
    exit_code: int | None
    error: bool
    error_code: str
    error_text: str
    steps: int
    parameters: Mapping[str, str]
    chain: str
    order_id: OrderId
    history_id: HistoryId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStepEntry:
    """A step of a run in the history."""

    history_id: HistoryId
    step: int
    task: TaskId
    state: NodeState
    started_at: Instant
    ended_at: Instant | None
    error: bool
    error_code: str
    error_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderNote:
    """A message about an order from before the first step of a run."""

    at: Instant
    level: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRunEntry:
    """A run of an order in the history."""

    history_id: HistoryId
    chain: str
    order_id: OrderId
    title: str
    parent: str
    started_at: Instant
    ended_at: Instant | None
    state: NodeState
    """The last node; while it runs, the node of the last step."""
    state_text: str
    end_is_error: bool
    steps: tuple[OrderStepEntry, ...]
