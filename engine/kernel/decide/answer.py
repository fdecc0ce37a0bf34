"""What a decision is: events one after the other, and at the end an answer or a refusal."""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.events import Event
from engine.kernel.problems import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The request was carried out."""

    subject: str = ""
    """What it created: an order id, a task id."""


Decision: TypeAlias = Generator[Event, None, Answer | Problem]
"""Yields events; `step` applies each at once. A Problem is returned only before the first event."""
