"""Queues: one whose entries can be changed and withdrawn, and that of the orders at a node.

Withdrawn entries stay in the heap until they surface (O(log n) for everything); when they outnumber
the living ones the heap is built anew, so memory stays linear.
"""

import heapq
from collections.abc import Iterator
from typing import Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from engine.kernel.ids import ChainKey, OrderKey
from engine.kernel.instants import Instant


class Comparable(Protocol):
    """Anything with an order."""

    def __lt__(self, other: "Comparable", /) -> bool: ...


K = TypeVar("K")
P = TypeVar("P")

_DEAD_ENTRIES_MIN = 8


class PriorityQueue(Generic[K, P]):
    """Keys with priorities; the smallest priority comes first.

    Priorities must be comparable; equal ones are served in the order in which they were set.
    """

    __slots__ = ("_heap", "_living", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[P, int, K]] = []
        self._living: dict[K, tuple[P, int, K]] = {}
        """Each key's entry in the heap, the same object: there may be 100,000."""
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
        return {key: entry[0] for key, entry in self._living.items()}

    def set(self, key: K, priority: P) -> None:
        """Insert the key, or give it a new priority."""
        self._serial += 1
        self._living[key] = entry = (priority, self._serial, key)
        heapq.heappush(self._heap, entry)
        self._compact()

    def discard(self, key: K) -> None:
        """Withdraw the key if it is there."""
        if self._living.pop(key, None) is not None:
            self._compact()

    def first(self) -> tuple[P, K] | None:
        """Return priority and key of the first entry without removing it."""
        heap = self._heap
        while heap:
            priority, _, key = entry = heap[0]
            if self._living.get(key) is entry:
                return priority, key
            heapq.heappop(heap)
        return None

    def keys(self) -> Iterator[K]:
        """Iterate over the keys in no particular order."""
        return iter(self._living)

    def in_order(self) -> Iterator[K]:
        """Iterate over the keys as they stand now, smallest priority first.

        Keys that are withdrawn meanwhile are left out; who stops early has paid for what he saw.
        """
        heap = self._heap.copy()
        while heap:
            _, serial, key = heapq.heappop(heap)
            found = self._living.get(key)
            if found is not None and found[1] == serial:
                yield key

    def copy(self) -> "PriorityQueue[K, P]":
        """Return a queue of its own with the same entries."""
        copied: PriorityQueue[K, P] = PriorityQueue()
        copied._heap = self._heap.copy()
        copied._living = self._living.copy()
        copied._serial = self._serial
        return copied

    def _compact(self) -> None:
        if len(self._heap) > 2 * len(self._living) + _DEAD_ENTRIES_MIN:
            self._heap = list(self._living.values())
            heapq.heapify(self._heap)


# --- orders at a node ----------------------------------------------------------------------------

QueuePriority: TypeAlias = tuple[Instant, int, int]
"""Start time, minus priority, place: the order of orders-and-jobs.md 1.7."""

QueuedOrder: TypeAlias = tuple[QueuePriority, OrderKey]


class Lane(NamedTuple):
    """What decides, beside its node, whether an order may go on: the same for all in a lane."""

    touched: bool
    """Its run in this chain has started: `max_orders` lets it go on (1.8)."""
    outer: ChainKey | None = None
    """The super chain it belongs to, which may be stopped or full (1.10)."""
    begun: bool = False
    """Its run in the super chain has started."""


class NodeQueue:
    """The orders at one node: all of them, and those that a job may take, in their order.

    The latter stand in lanes, because a stopped or full chain holds some of them and lets others
    go on: who asks for the next order looks at the first one of each lane only.
    """

    __slots__ = ("all", "lanes")

    def __init__(self) -> None:
        self.all: dict[OrderKey, None] = {}
        self.lanes: dict[Lane, PriorityQueue[OrderKey, QueuePriority]] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, NodeQueue):
            return NotImplemented
        return self.all.keys() == other.all.keys() and self.lanes == other.lanes

    __hash__ = None  # type: ignore[assignment]  # mutable

    def wait(self, key: OrderKey, lane: Lane, priority: QueuePriority) -> None:
        """Let an order wait for a job."""
        self.lanes.setdefault(lane, PriorityQueue()).set(key, priority)

    def drop(self, key: OrderKey) -> None:
        """Forget an order."""
        del self.all[key]
        for lane, waiting in list(self.lanes.items()):
            waiting.discard(key)
            if not waiting:
                del self.lanes[lane]

    def firsts(self) -> Iterator[QueuedOrder]:
        """Iterate over the first order of each lane."""
        for waiting in self.lanes.values():
            first = waiting.first()
            if first is not None:
                yield first
