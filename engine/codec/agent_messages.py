"""What engine and agent say to each other, as plain records (agents.md 3.13).

Both pure cores (`engine.agent.ledger`, `engine.drivers.link_core`) speak in these; their bytes are
made in `engine.codec.agent_wire`. One long *session* request per engine and agent carries the
heartbeat, the acknowledgments and the events; *command* requests carry what must not wait for it.

Nothing here has an identity of its own that must arrive once: requests say where the engine stands
and what it wants, so a repeated, reordered or late request is answered by the state of things.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from engine.kernel.effects import KillMode, ProcessSpec
from engine.kernel.ids import Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

SessionNumber = int
"""Number of an event within one life of the agent program; the first one is 1."""


class Channel(Enum):
    """The two output streams of a task."""

    STDOUT = "stdout"
    STDERR = "stderr"


class TakeOver(Enum):
    """What a new life of the engine does with tasks that its former life has begun."""

    ADOPT = "adopt"
    KILL = "kill"


class ExecutionStatus(Enum):
    """What the agent knows of an execution key."""

    RESERVED = "reserved"
    """Everything is there, nothing has run."""
    RUNNING = "running"
    """Begun: its process runs, or is about to."""
    ENDED = "ended"
    """Its process has ended; the result is kept until it is closed."""
    FORGOTTEN = "forgotten"
    """Begun once and ended; its result was kept for as long as promised, and then dropped."""
    GONE = "gone"
    """Not known: never reserved, expired before it was begun, or closed. Nothing runs."""
    UNAVAILABLE = "unavailable"
    """The agent takes no new tasks (it ends, or is full); nothing has run."""
    REFUSED = "refused"
    """The agent cannot carry it out; nothing has run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Keep everything needed to run this task; nothing runs yet."""

    key: ExecutionKey
    task: TaskId
    timeout: Duration
    """The task's lease: out of touch for so long, the agent kills it."""
    spec: ProcessSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """End this task; each mode is carried out once."""

    key: ExecutionKey
    kill: KillMode


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRequest:
    """Several commands in one request; those for one key are carried out in the fields' order."""

    engine: str
    epoch: Epoch
    run: str
    """The life of the agent this is meant for; another one refuses it."""
    number: int
    """Grows with every request of an epoch. A lower one than the last is refused, so that a request
    delayed in the network cannot repeat what has been closed since."""
    stamp: str
    """The last stamp received: acknowledges that answer (the lease, agents.md 3.5)."""
    reserve: tuple[Reserve, ...] = ()
    begin: tuple[ExecutionKey, ...] = ()
    signal: tuple[Signal, ...] = ()
    close: tuple[ExecutionKey, ...] = ()
    """Forget these; what still runs of them is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What has become of a key after the commands of a request."""

    key: ExecutionKey
    status: ExecutionStatus
    text: str = ""
    """Why, when it is `REFUSED` or `UNAVAILABLE`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandAnswer:
    """One outcome for each key that was named."""

    run: str
    stamp: str
    outcomes: tuple[Outcome, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRequest:
    """Where the engine stands; answered at once when there is news, else after `wait`."""

    engine: str
    epoch: Epoch
    run: str = ""
    """The agent's life the engine knows; with another one the numbers below mean nothing."""
    stamp: str = ""
    """The last stamp received, which acknowledges that answer; empty before the first."""
    seen: SessionNumber = 0
    """The last event received; later ones are wanted."""
    ack: SessionNumber = 0
    """The last event whose consequences the engine's journal has committed."""
    take: int = 0
    """Bytes of output wanted at most; 0: no events at all for now, only the heartbeat."""
    wait: Duration = Duration(0)
    take_over: TakeOver = TakeOver.ADOPT


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskBegun:
    """The task's process runs."""

    key: ExecutionKey
    pid: int
    started_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskNotBegun:
    """The process could not be started; nothing has run."""

    key: ExecutionKey
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A piece of a task's output, as bytes."""

    key: ExecutionKey
    task: TaskId
    channel: Channel
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnded:
    """The process has ended; all of its output has been told before."""

    key: ExecutionKey
    exit_code: int | None
    """128 plus the signal's number when it died of one; None when the host went down with it."""
    signal: int | None
    reason: EndReason
    ended_at: Instant
    first_line: str = ""
    error_line: str | None = None
    returned: Mapping[str, str] | None = None
    returned_problem: str | None = None


Event = TaskBegun | TaskNotBegun | Output | TaskEnded


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """An event with its place in the session."""

    number: SessionNumber
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An execution of this engine that the agent has."""

    key: ExecutionKey
    status: ExecutionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAnswer:
    """News from the agent; without any it is a heartbeat."""

    run: str
    """Identity of this life of the agent program."""
    ledger: str
    """Identity of the agent's data folder: the same one still knows what it has begun before."""
    stamp: str
    """To be sent back: proves that this answer has arrived."""
    is_terminating: bool = False
    executions: tuple[Known, ...] | None = None
    """All executions of this engine, when the request showed another run or a new epoch."""
    events: tuple[Numbered, ...] = ()


class RefusalReason(Enum):
    """Why a request was not answered."""

    OLD_EPOCH = "old epoch"
    """A newer life of the engine has taken the session over."""
    OTHER_RUN = "other run"
    """The request was meant for an earlier life of the agent, or the session is not open yet."""
    EXPIRED = "expired"
    """A command request with a lower number than the last one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A request that had no effect."""

    reason: RefusalReason
    run: str
    epoch: Epoch
    """The newest epoch the agent has seen of this engine."""
