"""What a view sees: the mirror at one instant, with the signs and the zone to draw it in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo

from engine.kernel.ids import AgentUri, ChainKey, JobKey, name_of
from engine.kernel.instants import Instant
from engine.kernel.state import State
from tui.mirror import AgentPulse, Mirror
from tui.views.glyphs import UNICODE, Glyphs
from tui.views.text import clean


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
    allowed: bool = True
    """Whether this person may change things."""

    @property
    def state(self) -> State:
        """The engine's state as far as the mirror has heard."""
        return self.mirror.state

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
