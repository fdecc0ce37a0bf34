"""Wall time for the engine. The kernel gets it with every input and never asks for it."""

import time
from typing import Protocol

from engine.kernel.instants import Instant


class Clock(Protocol):
    """Tells the present time; the simulator and tests bring their own."""

    def now(self) -> Instant:
        """Return the present time."""


class SystemClock:
    """The host's clock, never running backwards within one life of the process.

    A clock that is set back must not make what was due no longer due: the last time is repeated
    until the host's clock has caught up.
    """

    def __init__(self) -> None:
        self._last = Instant(0)

    def now(self) -> Instant:
        """Return the present time."""
        self._last = max(self._last, Instant(time.time_ns() // 1_000_000))
        return self._last
