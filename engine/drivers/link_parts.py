"""PURE: the records of the engine's link with an agent: settings, actions, executions, views."""

from dataclasses import dataclass, field
from enum import Enum

from engine.codec.agent_messages import CommandRequest, Output, SessionRequest, TakeOver
from engine.kernel.effects import KillMode, RunProcess
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Duration
from engine.kernel.reports import AgentStatus, Report

Moment = int
"""Milliseconds of the engine's boot-time clock."""
Ticket = int
"""Names one transmission; answers to one that is not open any more are ignored."""
FAR: Moment = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """What can be chosen; the rest follows from period and timeout (agents.md 1.3)."""

    kill_grace: Duration = Duration(2_000)
    """K: time for an agent to kill a task whose lease is over."""
    command_timeout: Duration = Duration(10_000)
    """Patience for the answer to commands, which are all carried out at once."""
    heartbeat_delay: Duration | None = None
    """D; None: derived."""
    repeat_interval: Duration | None = None
    """R; None: derived."""
    take_over: TakeOver = TakeOver.ADOPT

    def delay(self, period: Duration) -> Duration:
        """Return D: how much later than its period an answer may come."""
        return self.heartbeat_delay or Duration(min(2_000, period // 5))

    def interval(self, period: Duration) -> Duration:
        """Return R: the pause between repeats."""
        return self.repeat_interval or Duration(max(100, min(30_000, period // 10)))


class FailureKind(Enum):
    """Why a transmission brought no answer."""

    UNREACHABLE = "unreachable"
    """No connection, a broken one, silence, or 502, 503, 504."""
    REFUSED = "refused"
    """An answer that is an error: a wrong token, a broken certificate, a fault of the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSession:
    """Send this; wait so long for the answer."""

    ticket: Ticket
    request: SessionRequest
    patience: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class SendCommands:
    """Send this on the other connection."""

    ticket: Ticket
    request: CommandRequest
    patience: Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Nobody waits for this transmission any more."""

    ticket: Ticket


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliver:
    """Store this output and have these reports committed, in this order; then call `committed`."""

    mark: int
    items: tuple[Report | Output, ...]


LinkAction = SendSession | SendCommands | Cancel | Deliver


class Phase(Enum):
    """How far a demanded execution has come."""

    NEW = "new"
    """Nothing at the agent that matters."""
    RESERVED = "reserved"
    BEGUN = "begun"
    """The begin was sent, perhaps by an earlier life: it may run, it may have ended."""
    OVER = "over"
    """Its end was reported; waiting for the demand to go."""


@dataclass(slots=True, kw_only=True)
class Execution:
    """One demanded execution."""

    run: RunProcess
    asked_at: Moment
    phase: Phase = Phase.NEW
    ledger: str = ""
    """The agent's memory that would know it if it was begun; empty: none is known."""
    is_confirmed: bool = False
    """The agent has said that it knows the begun execution."""
    is_forgotten: bool = False
    attempts: int = 0
    """Reservations sent."""
    signalled: set[KillMode] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class SentCommands:
    """The command request that is on its way."""

    ticket: Ticket
    reserve: list[ExecutionKey]
    begin: list[ExecutionKey]
    signal: list[tuple[ExecutionKey, KillMode]]
    close: list[ExecutionKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """What there is to see of a link."""

    status: AgentStatus
    run: str
    heard_at: Moment | None
    """The last answer in this life."""
    period: Duration
    timeout: Duration
    running: int
    text: str
