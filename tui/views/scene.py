"""What a view sees: the mirror at one instant, with the signs and the zone to draw it in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Any, TypeVar

from engine.kernel.ids import AgentUri, ChainKey, JobKey, name_of
from engine.kernel.instants import Instant
from engine.kernel.state import State
from tui.engine_watch import EngineLook
from tui.mirror import AgentPulse, Mirror
from tui.views.glyphs import UNICODE, Glyphs
from tui.views.text import clean

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything a view may look at. Built anew for each drawing; nobody keeps it."""

    mirror: Mirror
    now: Instant
    """The engine's time."""
    glyphs: Glyphs = UNICODE
    zone: tzinfo = UTC
    asked: Mapping[object, str] = field(default_factory=dict)
    """Subjects of requests whose events have not arrived yet, with what was asked."""
    engines: tuple[EngineLook, ...] = ()
    """All engines that this cockpit knows."""
    is_production: bool = False
    aside: Mapping[str, Instant] = field(default_factory=dict)
    """Entries of *needs a person* that were put aside, and until when."""
    allowed: bool = True
    """Whether this person may change things."""
    memo: dict[str, Any] = field(default_factory=dict)
    """What was worked out once for this drawing."""

    def once(self, name: str, work: Callable[["Scene"], T]) -> T:
        """Return what `work` finds, worked out at most once for this drawing."""
        if name not in self.memo:
            self.memo[name] = work(self)
        found: T = self.memo[name]
        return found

    @property
    def state(self) -> State:
        """The engine's state as far as the mirror has heard."""
        return self.mirror.state

    @property
    def engine_name(self) -> str:
        """What the engine calls itself."""
        return clean(self.state.main.scheduler_id or self.state.control.engine_id or "engine")

    def pulse(self, agent: AgentUri) -> AgentPulse | None:
        """Return the last sign of life of an agent."""
        return self.mirror.pulses.get(agent)

    def job_name(self, key: JobKey) -> str:
        """Return the last part of a job's path as written in its file."""
        job = self.state.jobs.get(key)
        return clean(name_of(key if job is None else job.definition.path))

    def chain_name(self, key: ChainKey) -> str:
        """Return the shortest name of a chain that no other chain has."""
        return clean(self.mirror.chain_name(key))
