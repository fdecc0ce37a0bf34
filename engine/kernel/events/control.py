"""What can happen to the engine itself and to its agents."""

from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.ids import AgentUri, ClassPath, Epoch
from engine.kernel.instants import Instant
from engine.kernel.reports import AgentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochBegan:
    """The engine has begun a new life on this journal."""

    epoch: Epoch
    engine_id: str
    time_zone: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginePausedSet:
    """The engine starts nothing new, or does again."""

    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatusChanged:
    """The session with an agent stands differently."""

    agent: AgentUri
    status: AgentStatus
    run_id: str
    text: str
    at: Instant
    ledger: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMarkedFailed:
    """A start on the agent failed; the class leaves it out for the retry delay (agents.md 4.1)."""

    process_class: ClassPath
    agent: AgentUri
    at: Instant
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMarkCleared:
    """A start on the agent succeeded."""

    process_class: ClassPath
    agent: AgentUri


ControlEvent: TypeAlias = (
    EpochBegan | EnginePausedSet | AgentStatusChanged | AgentMarkedFailed | AgentMarkCleared
)
