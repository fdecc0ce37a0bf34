"""Bars and small curves in one role each."""

from collections.abc import Collection

from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import AgentStatus
from tui.mirror import AgentPulse
from tui.views.glyphs import Glyphs
from tui.views.text import Line, Span

LATE_MARGIN = Duration(1_000)
"""A heartbeat may be so much later than its period before the gauge turns."""


def bar(part: float, width: int, glyphs: Glyphs) -> str:
    """Return a bar of which `part` (0 to 1) is full."""
    filled = round(min(max(part, 0.0), 1.0) * width)
    return glyphs.full * filled + glyphs.empty * (width - filled)


def curve(values: Collection[float], glyphs: Glyphs, most: float | None = None) -> str:
    """Return one sign a value, its height relative to the largest."""
    top = max(values, default=0.0) if most is None else most
    steps = len(glyphs.curve) - 1
    if top <= 0:
        return glyphs.curve[0] * len(values)
    return "".join(
        glyphs.curve[0 if value <= 0 else max(1, min(steps, round(value / top * steps)))]
        for value in values
    )


def standing_of_agent(status: AgentStatus, pulse: AgentPulse | None, now: Instant) -> AgentStatus:
    """Return how an agent stands now: a silent one is late before anybody has said so.

    The engine tells when its own patience ends; the age of the last heartbeat tells earlier.
    """
    if pulse is None or status is AgentStatus.LOST:
        return status
    if pulse.heard_at is None:
        return pulse.status
    age = now - pulse.heard_at
    if age > pulse.heartbeat_timeout:
        return AgentStatus.LOST
    if age > pulse.heartbeat_period + LATE_MARGIN and pulse.status is AgentStatus.COUPLED:
        return AgentStatus.DELAYED
    return pulse.status


def lease_bar(pulse: AgentPulse, now: Instant, width: int, glyphs: Glyphs, role: str) -> Line:
    """Return what is left of the heartbeat timeout; the mark is where a beat is late."""
    if pulse.heard_at is None:
        return (Span(glyphs.empty * width, "dim"),)
    timeout = max(pulse.heartbeat_timeout, 1)
    left = 1 - (now - pulse.heard_at) / timeout
    filled = round(min(max(left, 0.0), 1.0) * width)
    late_at = round((1 - (pulse.heartbeat_period + LATE_MARGIN) / timeout) * width)
    empty = glyphs.empty * (width - filled)
    if filled < late_at < width:
        at = late_at - filled
        empty = empty[:at] + glyphs.limit + empty[at + 1 :]
    return (Span(glyphs.full * filled, role), Span(empty, "dim"))
