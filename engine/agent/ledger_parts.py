"""PURE: the records of the agent's ledger: what it asks the outside for, what it keeps."""

from collections import deque
from dataclasses import dataclass, field

from engine.codec.agent_messages import (
    Channel,
    Event,
    ExecutionStatus,
    Known,
    Output,
    SessionNumber,
    TaskBegun,
    TaskEnded,
    TaskNotBegun,
)
from engine.kernel.effects import KillMode, ProcessSpec
from engine.kernel.ids import Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration
from engine.kernel.reports import EndReason

Moment = int
"""Milliseconds of the host's boot-time clock."""
NO_LEASE: Moment = -(2**62)
ENDLESS = Duration(2**62)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Start this process; it is on record first."""

    key: ExecutionKey
    engine: str
    task: TaskId
    timeout: Duration
    spec: ProcessSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminate:
    """Send SIGTERM to the program."""

    key: ExecutionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Kill these programs with their descendants."""

    keys: tuple[ExecutionKey, ...]
    reason: EndReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Remove what is kept of a run that has ended."""

    key: ExecutionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Bury:
    """Remove what is kept of a run that has ended, except its key."""

    key: ExecutionKey


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveSession:
    """Write down the epoch of a session, before the request is answered."""

    engine: str
    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class SaveLease:
    """Write down what the lease counts from, for a later life of this program."""

    engine: str
    base: Moment


Action = Launch | Terminate | Kill | Discard | Bury | SaveSession | SaveLease


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputRange:
    """A piece of output that is still in its file."""

    key: ExecutionKey
    task: TaskId
    channel: Channel
    offset: int
    length: int


Content = OutputRange | TaskBegun | TaskNotBegun | TaskEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An event with its number, its output not yet read."""

    number: SessionNumber
    content: Content


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What a session request is answered with; empty: a heartbeat."""

    executions: tuple[Known, ...] | None = None
    offers: tuple[Offer, ...] = ()

    def is_empty(self) -> bool:
        """Return whether there is nothing to say."""
        return self.executions is None and not self.offers


@dataclass(slots=True, kw_only=True)
class Execution:
    """One key of one engine."""

    key: ExecutionKey
    engine: str
    task: TaskId
    job: str
    timeout: Duration
    status: ExecutionStatus
    spec: ProcessSpec | None = None
    """Only while reserved."""
    reserved_until: Moment = 0
    begun: TaskBegun | None = None
    is_begun_offered: bool = False
    is_begun_acknowledged: bool = False
    """The engine's journal has its start. Not known any more in the agent's next life."""
    sizes: list[int] = field(default_factory=lambda: [0, 0])
    offered: list[int] = field(default_factory=lambda: [0, 0])
    """Bytes of stdout and stderr that have a number."""
    acknowledged: list[int] = field(default_factory=lambda: [0, 0])
    ended: TaskEnded | TaskNotBegun | None = None
    ended_at: Moment = 0
    is_end_offered: bool = False
    killed: set[KillMode] = field(default_factory=set)
    is_killed: bool = False
    """The whole tree was, for whatever reason."""
    is_closed: bool = False
    """Nobody wants its result; it goes as soon as its process has gone."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One engine."""

    engine: str
    epoch: Epoch
    base: Moment = NO_LEASE
    """The lease counts from here: the latest stamp that came back."""
    number: SessionNumber = 0
    command: int = 0
    executions: dict[ExecutionKey, Execution] = field(default_factory=dict)
    offers: deque[Offer] = field(default_factory=deque)
    """Numbered and not acknowledged."""
    news: dict[ExecutionKey, None] = field(default_factory=dict)
    """Executions that have something without a number yet, oldest first."""
    tombstones: dict[ExecutionKey, Moment] = field(default_factory=dict)
    """Keys whose results were kept too long, oldest first, with when that was."""
    heard_at: Moment = NO_LEASE
    shortest_timeout: Duration = ENDLESS
    """Of the executions begun; never longer than the truth."""


def event_of(offer: Offer, data: bytes) -> Event:
    """Return the event of an offer; `data` is the output it stands for, when it is output."""
    content = offer.content
    if not isinstance(content, OutputRange):
        return content
    return Output(
        key=content.key,
        task=content.task,
        channel=content.channel,
        offset=content.offset,
        data=data,
    )
