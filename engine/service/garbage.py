"""Short searches for garbage in a process that keeps a lot for long.

Python looks for unreachable cycles among all objects now and then, and nothing else happens
meanwhile: for a second, when sessions with 10,000 agents are open, so that heartbeats of that
second come late. What a long search has left over is alive and will stay so, as a rule: it is taken
out of the next ones. Once a day everything is looked at again, for cycles that have died since.
"""

import asyncio
import gc
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LONG_S = 0.05
"""A search that takes so long is worth a shorter one next time."""
ALL_AGAIN_S = 24 * 3600.0
_FULL = 2
"""The generation of everything."""


@contextmanager
def short_collections() -> Iterator[None]:
    """Keep searches short as long as the block lasts; in the thread of an event loop."""
    searches = _Searches(asyncio.get_running_loop())
    gc.callbacks.append(searches.told)
    try:
        yield
    finally:
        gc.callbacks.remove(searches.told)
        searches.end()


class _Searches:
    """Sees how long each full search takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began = 0.0
        self._timer = loop.call_later(ALL_AGAIN_S, self._look_at_all)

    def told(self, phase: str, search: Mapping[str, int]) -> None:
        """Take note of a search; called by the interpreter, in any thread."""
        if search["generation"] != _FULL:
            return
        if phase == "start":
            self._began = time.perf_counter()
        elif time.perf_counter() - self._began > LONG_S and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(gc.freeze)

    def end(self) -> None:
        """Leave everything as it was."""
        self._timer.cancel()
        gc.unfreeze()

    def _look_at_all(self) -> None:
        gc.unfreeze()
        self._timer = self._loop.call_later(ALL_AGAIN_S, self._look_at_all)
