"""Long answers without the interpreter's search for cycles.

What thousands of objects allocate lets Python look for cycles in everything there is, several
times, and each time the engine, all of its threads, would stand still for some tenths of a second.
Answers hold no cycles; what others leave waits until afterwards.
"""

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_POSTPONED: Final = 1_000_000

_guard = threading.Lock()
_answers = 0
"""Answers in the making, in any thread."""


@contextmanager
def without_full_collections() -> Iterator[None]:
    """Put off full collections until the last of those who ask for it has ended."""
    _count(+1)
    try:
        yield
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _answers  # noqa: PLW0603  # one process, one collector
    with _guard:
        young, middle, old = gc.get_threshold()
        if change > 0 and _answers == 0:
            gc.set_threshold(young, middle, old * _POSTPONED)
        _answers += change
        if _answers == 0:
            gc.set_threshold(young, middle, max(1, old // _POSTPONED))
