"""The Store protocol: what the engine may rely on, whatever keeps the journal.

The contract, in words; `tests/contract/test_store.py` holds every implementation to it.

* **Order.** Events have numbers without gaps, from 1. `append` gives its events the next ones.
* **All or nothing.** The events of one `append` become durable together. When `append` returns,
  they survive the death of the process and of the machine. When it raises, none of them is
  readable; should the machine die in that very moment, all of them or none are there afterwards.
* **Fencing.** `begin_epoch` makes every older epoch powerless: its appends raise `Fenced` and leave
  nothing. The check and the write are one transaction.
* **What was written is what is read.** A row that changed on the way is `StoreCorrupt`, never a
  different event. Missing rows in the middle are `StoreCorrupt` as well.
* **Retention.** `truncate_before` never removes what recovery from a kept snapshot needs. Reading
  what has been removed raises `EventsGone`.
* **Errors.** `StoreUnavailable` (full, read-only, hung: later it may work), `StoreCorrupt` (stop),
  `Fenced` (stop acting). Nothing else escapes.
* **Cancelling** a waiting call leaves open whether it is carried out.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.codec.rows import NewEvent, StoredEvent
from engine.kernel.ids import Epoch, EventNumber
from engine.kernel.instants import Instant

__all__ = [
    "NO_EVENT",
    "Bounds",
    "NewEvent",
    "Snapshot",
    "Store",
    "StoredEvent",
    "checksum",
]

NO_EVENT = EventNumber(0)
"""The number before the first event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The state as of an event."""

    number: EventNumber
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Which events are readable: `first` to `last`; an empty journal has first 1, last 0."""

    first: EventNumber
    last: EventNumber


class Store(Protocol):
    """Where the journal lives. Used from one asyncio loop."""

    async def open(self) -> None:
        """Prepare for use, creating what is missing; puts aside what a crash left half."""

    async def close(self) -> None:
        """Finish what was asked for, then let go; a second call does nothing."""

    async def begin_epoch(self) -> Epoch:
        """Return the next epoch, durable: the caller is the only one whose appends count now."""

    async def append(self, epoch: Epoch, events: Sequence[NewEvent]) -> EventNumber:
        """Make the events durable and return the number of the last one.

        Without events: return the number of the last event there is.
        """

    async def read(self, after: EventNumber, limit: int) -> list[StoredEvent]:
        """Return the events that follow `after`, at most `limit` (and READ_EVENTS_MAX)."""

    async def bounds(self) -> Bounds:
        """Return which events are readable."""

    async def save_snapshot(self, number: EventNumber, body: bytes) -> None:
        """Keep the state as of an event of the journal; older snapshots beyond two are dropped."""

    async def latest_snapshot(self) -> Snapshot | None:
        """Return the newest snapshot that can be read, None when there never was one."""

    async def truncate_before(self, number: EventNumber) -> EventNumber:
        """Remove events before `number` as far as no snapshot needs them; return the new first.

        The last event always stays, since numbering goes on from it.
        """

    async def meta(self, key: str) -> str | None:
        """Return a durable value such as the engine's id."""

    async def set_meta(self, key: str, value: str) -> None:
        """Set a durable value."""

    async def verify(self) -> tuple[str, ...]:
        """Read everything and return what is wrong, a sentence each; for `engine check`."""


def checksum(at: Instant, kind: str, cause: str, body: bytes, number: EventNumber) -> int:
    """Return what is stored beside an event to notice that it changed."""
    head = f"{number} {at} {kind} {cause}".encode("utf-8", "surrogatepass")
    return zlib.crc32(head, zlib.crc32(body))
