"""Rows of the journal, whatever events they hold: on their way in, and stored."""

from dataclasses import dataclass

from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event on its way into the journal."""

    at: Instant
    """The time of the step that it belongs to."""
    kind: str
    body: bytes
    cause: str = ""
    """Who or what asked for it: a request's id and origin, or empty for the engine itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of the journal."""

    number: EventNumber
    at: Instant
    kind: str
    body: bytes
    cause: str
