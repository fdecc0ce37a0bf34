"""The fold: the only code that writes state, and it only records (architecture notes, rule 2)."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.events import Event
from engine.kernel.evolve import control, definitions, files, orders, sessions, tasks
from engine.kernel.state import State

HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    **orders.HANDLERS,
    **tasks.HANDLERS,
    **files.HANDLERS,
    **sessions.HANDLERS,
    **definitions.HANDLERS,
    **control.HANDLERS,
}


def evolve(state: State, event: Event) -> None:
    """Record one event in the state. A violated expectation is an AssertionError: a bug."""
    HANDLERS[type(event)](state, event)
