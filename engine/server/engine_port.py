"""What the HTTP interface needs of the engine it stands before.

Handlers translate, put a request in, wait, translate back. Handlers run in the engine's event loop,
so reading `state` without an `await` in between sees the state as it is between two steps.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.codec.journal import StoredEvent
from engine.codec.xml.reading import Context
from engine.kernel.commands import ObjectRef, Request
from engine.kernel.definitions import Include, Text
from engine.kernel.ids import AgentUri, EventNumber, HistoryId, JobKey, OrderKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.problems import Problem
from engine.kernel.reports import AgentStatus
from engine.kernel.state import State


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A request was carried out and its events are durable."""

    number: EventNumber
    """The journal's last event number with it."""
    subject: str = ""
    """What it created: the order id of AddOrder, the task id of StartJob."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPulse:
    """A sign of life, or of its absence; not journaled, for gauges."""

    agent: AgentUri
    status: AgentStatus
    heard_at: Instant | None
    """When the last answer of the agent arrived; None: never in this life of the engine."""
    heartbeat_period: Duration
    heartbeat_timeout: Duration
    round_trip: Duration | None = None
    tasks: int = 0
    run_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A piece of a task's log."""

    text: str
    offset: int
    next_offset: int
    complete: bool
    """Whether the task has ended and nothing will be added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What a stream delivers: an event of the journal, or a volatile pulse."""

    event: StoredEvent | None = None
    pulse: AgentPulse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentView:
    """What an agent answers when it is asked about itself."""

    status: int
    content_type: str
    body: bytes


class AgentViews(Protocol):
    """Asks agents about themselves, for clients that cannot reach them."""

    async def get(self, agent: AgentUri, path: str) -> AgentView:
        """Return an agent's answer. Raises EngineError with a sentence when there is none."""
        ...


class EngineStopping(Exception):  # the term of the field
    """The engine is shutting down and takes no more requests."""


class TooOld(Exception):  # a condition of the stream, not an error of ours
    """The asked-for event is no longer in the journal; begin with a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Filters of the history; absent ones do not filter. Newest first."""

    job: str | None = None
    chain: str | None = None
    order: str | None = None
    ids: tuple[int, ...] = ()
    since: Instant | None = None
    below: int | None = None
    """Only ids (task ids, history ids) smaller than this one."""
    above: int | None = None
    """Only ids greater than this one, and of these the smallest (newest first all the same)."""
    limit: int = 100


class EnginePort(Protocol):
    """The engine as its HTTP interface sees it."""

    @property
    def state(self) -> State:
        """The live state; never keep it over an `await`, never change it."""
        ...

    @property
    def number(self) -> EventNumber:
        """The number of the last durable event; `state` is as of this event."""
        ...

    def now(self) -> Instant:
        """Return the engine's present time."""
        ...

    def why_not_ready(self) -> str:
        """Return why requests are not taken just now; empty when they are."""
        ...

    def tasks_begun(self) -> Mapping[JobKey, int]:
        """Return how many tasks of each job have begun in this life of the engine."""
        ...

    async def submit(self, request: Request, by: str) -> Accepted | Problem:
        """Carry out a request; returns when its events are durable. Raises EngineStopping."""
        ...

    async def settled(self) -> None:
        """Wait until no commit is under way; right afterwards `state` is durable."""
        ...

    def command_context(self) -> Context:
        """Return what XML commands are read with: zone, variables, included files."""
        ...

    async def check_folders(self) -> None:
        """Look at the live folder now; returns when the changes are in effect."""
        ...

    async def look_at_folders(self) -> None:
        """Look at the live folder now, as `check_folders` does; files still have to settle."""
        ...

    async def write_live_file(self, file: str, xml: str) -> None:
        """Write a file of the live folder and look at it. Raises OSError with a sentence."""
        ...

    async def remove_live_file(self, ref: ObjectRef) -> bool:
        """Delete the file of an object and look; False when it has none. Raises OSError."""
        ...

    async def abort(self, restart: bool) -> None:
        """End at once: what runs here is killed, and nothing more is journaled."""
        ...

    async def rotate_logs(self) -> None:
        """Begin a new engine log file."""
        ...

    async def terminate(self, timeout: Duration | None, restart: bool) -> None:
        """Begin an orderly end: running tasks may finish (killed after `timeout`)."""
        ...

    async def snapshot(self) -> tuple[EventNumber, bytes]:
        """Return the state's snapshot with the event number it is as of, all of it durable."""
        ...

    def notices(self, after: EventNumber) -> AsyncIterator[Notice]:
        """Catch up from the journal, then follow live. Raises TooOld. Ends at shutdown."""
        ...

    def pulses(self) -> Mapping[AgentUri, AgentPulse]:
        """Return the last sign of life of every agent."""
        ...

    async def task_log(self, task: TaskId, offset: int, size_bytes_max: int) -> LogPart | None:
        """Return a piece of a task's log; a negative offset counts from the end."""
        ...

    async def order_log(self, about: HistoryId | OrderKey, size_bytes_max: int) -> str:
        """Return all that happened in one run of an order, in its sequence.

        That is what was said of it before its first step, and the logs of its tasks, in which the
        messages between the steps stand, too. Of an order whose run has not begun: by its key.
        """
        ...

    async def task_history(self, query: HistoryQuery) -> Sequence["TaskHistoryEntry"]:
        """Return tasks that have started, newest first."""
        ...

    async def order_history(self, query: HistoryQuery) -> Sequence["OrderHistoryEntry"]:
        """Return runs of orders, newest first."""
        ...

    async def usual_durations(
        self, subjects: Sequence[OrderKey | JobKey]
    ) -> Mapping[OrderKey | JobKey, Duration]:
        """Return how long the last runs of orders, tasks of jobs, took in the median."""
        ...

    def read_script(self, parts: Sequence[Text | Include]) -> str:
        """Return a script's text with its includes read, for answers that show the source."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskHistoryEntry:
    """One task in the history."""

    task: TaskId
    job: str
    cause: str
    agent: str
    started_at: Instant
    ended_at: Instant | None
    exit_code: int | None
    error_code: str
    error_text: str
    steps: int
    pid: int | None
    chain: str = ""
    order: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderStepEntry:
    """One step of a run of an order."""

    step: int
    task: TaskId
    state: str
    started_at: Instant
    ended_at: Instant | None
    error_code: str
    error_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderHistoryEntry:
    """One run of an order in the history."""

    history: HistoryId
    chain: str
    order: str
    title: str
    state: str
    state_text: str
    started_at: Instant
    ended_at: Instant | None
    parent: str = ""
    steps: tuple[OrderStepEntry, ...] = ()
