"""A priority queue whose entries can be changed and withdrawn.

Withdrawn entries stay in the heap until they surface (O(log n) for everything); when they outnumber
the living ones the heap is built anew, so memory stays linear.
"""

import heapq
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar


class Comparable(Protocol):
    """Anything with an order."""

    def __lt__(self, other: "Comparable", /) -> bool: ...


K = TypeVar("K")
P = TypeVar("P")

_DEAD_ENTRIES_MIN = 64


class PriorityQueue(Generic[K, P]):
    """Keys with priorities; the smallest priority comes first.

    Priorities must be comparable; equal ones are served in the order in which they were set.
    """

    __slots__ = ("_heap", "_living", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[P, int, K]] = []
        self._living: dict[K, tuple[P, int]] = {}
        self._serial = 0

    def __len__(self) -> int:
        return len(self._living)

    def __contains__(self, key: K) -> bool:
        return key in self._living

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PriorityQueue):
            return NotImplemented
        return self._priorities() == other._priorities()

    __hash__ = None  # type: ignore[assignment]  # mutable

    def _priorities(self) -> dict[K, P]:
        return {key: priority for key, (priority, _) in self._living.items()}

    def set(self, key: K, priority: P) -> None:
        """Insert the key, or give it a new priority."""
        self._serial += 1
        self._living[key] = (priority, self._serial)
        heapq.heappush(self._heap, (priority, self._serial, key))
        self._compact()

    def discard(self, key: K) -> None:
        """Withdraw the key if it is there."""
        if self._living.pop(key, None) is not None:
            self._compact()

    def first(self) -> tuple[P, K] | None:
        """Return priority and key of the first entry without removing it."""
        heap = self._heap
        while heap:
            priority, serial, key = heap[0]
            found = self._living.get(key)
            if found is not None and found[1] == serial:
                return priority, key
            heapq.heappop(heap)
        return None

    def keys(self) -> Iterator[K]:
        """Iterate over the keys in no particular order."""
        return iter(self._living)

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._living) + _DEAD_ENTRIES_MIN:
            self._heap = [
                (priority, serial, key) for key, (priority, serial) in self._living.items()
            ]
            heapq.heapify(self._heap)
