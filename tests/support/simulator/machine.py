"""A host: its clocks, and what happens to everything on it when it is asleep.

It may: be asleep for any time, run a clock that is a per mille fast or slow, start its boot-time
clock anywhere, and have its wall clock set forwards and backwards by a minute.

It may never: do anything while it is asleep.
"""

import random
from collections.abc import Callable

from engine.kernel.instants import Instant
from tests.support.protocol.clock import Clock

BEGIN = 1_700_000_000_000
"""Wall time, in milliseconds, at which every world begins."""


class Machine:
    """One host."""

    def __init__(self, name: str, clock: Clock, rng: random.Random) -> None:
        self.name = name
        self.clock = clock
        self.rng = rng
        self.is_asleep = False
        self._deferred: list[Callable[[], None]] = []
        self._fell_asleep_at = 0
        self._slept = 0
        self._wall_offset = 0
        self._set_clocks()

    def _set_clocks(self) -> None:
        """Begin a new life of the host."""
        self._offset = self.rng.randrange(10**6) - self.clock.now
        self._per_mille = self.rng.randrange(-1, 2)
        self._begin = self.boot_time()
        self._slept = 0

    def boot_time(self) -> int:
        """Return the boot-time clock, which goes on while the host is asleep."""
        now = self.clock.now
        return self._offset + now + now * self._per_mille // 1000

    def uptime(self) -> int:
        """Return the time the host has been awake."""
        return self.boot_time() - self._begin - self._slept

    def wall_time(self) -> Instant:
        return Instant(BEGIN + self.clock.now + self._wall_offset)

    def set_wall_clock(self, by_ms: int) -> None:
        self._wall_offset += by_ms

    def wait(self, delay_ms: int, work: Callable[[], None]) -> None:
        """Do this after so much time of the host's clock, and not while it is asleep."""
        if delay_ms and self._per_mille:
            delay_ms = delay_ms * 1000 // (1000 + self._per_mille) + 1

        def run() -> None:
            if self.is_asleep:
                self._deferred.append(work)
            else:
                work()

        self.clock.after(delay_ms, run)

    def fall_asleep(self) -> None:
        if not self.is_asleep:
            self.is_asleep = True
            self._fell_asleep_at = self.boot_time()

    def wake_up(self) -> None:
        if self.is_asleep:
            self.is_asleep = False
            self._slept += self.boot_time() - self._fell_asleep_at
            deferred, self._deferred = self._deferred, []
            for work in deferred:
                self.clock.after(0, work)
