"""Virtual time: a heap of moments; nothing waits, time jumps to the next one.

It may never do: run things out of order, or let time stand still while something is due.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class Timer:
    """Something that will happen; `cancel` it if it shall not."""

    work: Callable[[], None] | None

    def cancel(self) -> None:
        self.work = None


class Clock:
    """Milliseconds since the begin of the world."""

    def __init__(self) -> None:
        self.now = 0
        self._heap: list[tuple[int, int, Timer]] = []
        self._count = 0

    def after(self, delay: int, work: Callable[[], None]) -> Timer:
        """Do this later; things due at the same moment happen in the order they were asked for."""
        self._count += 1
        timer = Timer(work)
        heapq.heappush(self._heap, (self.now + max(0, delay), self._count, timer))
        return timer

    def run_until(self, end: int) -> None:
        """Let everything happen that is due until then."""
        while self._heap and self._heap[0][0] <= end:
            self.now, _, timer = heapq.heappop(self._heap)
            if timer.work is not None:
                timer.work()
        self.now = end


@dataclass(frozen=True, slots=True)
class HostClock:
    """The boot-time clock of one host: it starts anywhere and is a little fast or slow."""

    clock: Clock
    offset: int
    per_mille: int

    def now(self) -> int:
        return self.offset + self.clock.now + self.clock.now * self.per_mille // 1000

    def delay_until(self, moment: int) -> int:
        """Return how long to wait in the world's time until this clock shows a moment."""
        return (moment - self.now()) * 1000 // (1000 + self.per_mille) + 1
