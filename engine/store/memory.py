"""A store in memory: for tests, and as the disk of the simulator.

It holds to the contract of `engine.store.base` without threads and files. The fault model: a write
may be refused (full, read-only), may take as long as the owner of the disk wants, and may be cut
off by the death of the machine, before or after it became durable. What was answered never
disappears by itself; `damage` changes bytes on purpose.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from engine.errors import EventsGone, Fenced, StoreCorrupt, StoreError, StoreUnavailable
from engine.kernel.ids import Epoch, EventNumber
from engine.kernel.limits import READ_EVENTS_MAX, SNAPSHOTS_KEPT
from engine.store.base import NO_EVENT, Bounds, NewEvent, Snapshot, StoredEvent, checksum

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class _Row:
    event: StoredEvent
    checksum: int
    is_torn: bool = False
    """Belongs to a batch of which only a part reached the disk."""


@dataclass(frozen=True, slots=True)
class _SnapshotRow:
    snapshot: Snapshot
    checksum: int


async def _at_once() -> None:
    """Take no time."""


@dataclass(slots=True)
class DiskFaults:
    """What the disk does to writes from now on."""

    refusal: str = ""
    """Not empty: every write is refused with this text (disk full, file system read-only)."""
    before_commit: Callable[[], Awaitable[None]] = _at_once
    """Awaited before a write becomes durable: a slow disk, or the place for a crash."""
    after_commit: Callable[[], Awaitable[None]] = _at_once
    """Awaited between a write becoming durable and its answer."""


@dataclass(slots=True)
class MemoryDisk:
    """What survives the death of an engine; several stores, one after another, use it."""

    faults: DiskFaults = field(default_factory=DiskFaults)
    rows: dict[EventNumber, _Row] = field(default_factory=dict)
    """In ascending order."""
    last: EventNumber = NO_EVENT
    snapshots: dict[EventNumber, _SnapshotRow] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    epoch: Epoch = Epoch(0)
    lives: int = 0
    """Counts crashes; a store of an earlier life can do nothing any more."""
    pending: tuple[NewEvent, ...] = ()
    """The batch being written."""

    def crash(self, *, torn: int = 0) -> None:
        """Let the machine die: what is not durable is lost, waiting calls raise.

        The first `torn` events of the batch being written have reached the disk; the next `open`
        has to put them aside.
        """
        self.lives += 1
        part, self.pending = self.pending[:torn], ()
        for event in part:
            number = EventNumber(self.last + 1)
            self.last = number
            self.rows[number] = replace(_row(number, event), is_torn=True)

    def repair(self) -> None:
        """Put aside what a crash left half."""
        for number in [number for number, row in self.rows.items() if row.is_torn]:
            del self.rows[number]
            self.last = EventNumber(min(self.last, number - 1))

    def damage(self, number: EventNumber) -> None:
        """Change a byte of an event, as a failing disk does."""
        row = self.rows[number]
        self.rows[number] = replace(row, event=replace(row.event, body=row.event.body + b"?"))

    def damage_snapshot(self, number: EventNumber) -> None:
        """Change a byte of a snapshot."""
        row = self.snapshots[number]
        body = row.snapshot.body + b"?"
        self.snapshots[number] = replace(row, snapshot=replace(row.snapshot, body=body))


class MemoryStore:
    """A Store on a MemoryDisk."""

    def __init__(self, disk: MemoryDisk | None = None) -> None:
        self.disk = disk or MemoryDisk()
        self._life: int | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """See Store."""
        self.disk.repair()
        self._life = self.disk.lives

    async def close(self) -> None:
        """See Store."""
        async with self._turn:
            self._life = None

    async def begin_epoch(self) -> Epoch:
        """See Store."""

        def work() -> Epoch:
            self.disk.epoch = Epoch(self.disk.epoch + 1)
            return self.disk.epoch

        return await self._write(work)

    async def append(self, epoch: Epoch, events: Sequence[NewEvent]) -> EventNumber:
        """See Store."""
        batch = tuple(events)

        def work() -> EventNumber:
            if self.disk.epoch != epoch:
                raise Fenced(
                    f"epoch {self.disk.epoch} owns the journal, this engine has epoch {epoch}",
                    own=epoch,
                    newest=self.disk.epoch,
                )
            for event in batch:
                self.disk.last = EventNumber(self.disk.last + 1)
                self.disk.rows[self.disk.last] = _row(self.disk.last, event)
            return self.disk.last

        return await self._write(work, batch)

    async def read(self, after: EventNumber, limit: int) -> list[StoredEvent]:
        """See Store."""
        bounds = await self.bounds()
        if after < bounds.first - 1:
            raise EventsGone(
                f"events up to {bounds.first - 1} are no longer kept, asked for was {after + 1}",
                first=bounds.first,
            )
        last = min(after + min(limit, READ_EVENTS_MAX), bounds.last)
        return [self._event(EventNumber(number)) for number in range(after + 1, last + 1)]

    def _event(self, number: EventNumber) -> StoredEvent:
        row = self.disk.rows.get(number)
        if row is None:
            raise StoreCorrupt(f"event {number} is missing")
        event = row.event
        if row.checksum != checksum(event.at, event.kind, event.cause, event.body, number):
            raise StoreCorrupt(f"event {number} is not as it was written")
        return event

    async def bounds(self) -> Bounds:
        """See Store."""
        self._check_open()
        return Bounds(first=next(iter(self.disk.rows), EventNumber(1)), last=self.disk.last)

    async def save_snapshot(self, number: EventNumber, body: bytes) -> None:
        """See Store."""
        bounds = await self.bounds()

        def work() -> None:
            if not bounds.first - 1 <= number <= bounds.last:
                raise StoreError(f"a snapshot of event {number} does not fit into {bounds}")
            snapshot = Snapshot(number=number, body=body)
            self.disk.snapshots[number] = _SnapshotRow(snapshot, zlib.crc32(body))
            for old in sorted(self.disk.snapshots)[:-SNAPSHOTS_KEPT]:
                del self.disk.snapshots[old]

        await self._write(work)

    async def latest_snapshot(self) -> Snapshot | None:
        """See Store."""
        self._check_open()
        for number in sorted(self.disk.snapshots, reverse=True):
            row = self.disk.snapshots[number]
            if zlib.crc32(row.snapshot.body) == row.checksum:
                return row.snapshot
        if self.disk.snapshots:
            raise StoreCorrupt(f"the snapshots {sorted(self.disk.snapshots)} cannot be read")
        return None

    async def truncate_before(self, number: EventNumber) -> EventNumber:
        """See Store."""

        def work() -> None:
            if self.disk.snapshots:
                until = min(number, min(self.disk.snapshots) + 1, self.disk.last)
                for old in [old for old in self.disk.rows if old < until]:
                    del self.disk.rows[old]

        await self._write(work)
        return (await self.bounds()).first

    async def meta(self, key: str) -> str | None:
        """See Store."""
        self._check_open()
        return self.disk.meta.get(key)

    async def set_meta(self, key: str, value: str) -> None:
        """See Store."""

        def work() -> None:
            self.disk.meta[key] = value

        await self._write(work)

    async def verify(self) -> tuple[str, ...]:
        """See Store."""
        findings = []
        bounds = await self.bounds()
        for number in range(bounds.first, bounds.last + 1):
            try:
                self._event(EventNumber(number))
            except StoreCorrupt as error:
                findings.append(str(error))
        return tuple(findings)

    def _check_open(self) -> None:
        if self._life is None:
            raise StoreUnavailable("the store is not open")
        if self._life != self.disk.lives:
            raise StoreUnavailable("the machine has died")

    async def _write(self, work: Callable[[], R], batch: tuple[NewEvent, ...] = ()) -> R:
        """Carry out one write as the disk pleases."""
        faults = self.disk.faults
        async with self._turn:
            self._check_open()
            self.disk.pending = batch
            await faults.before_commit()
            self._check_open()
            self.disk.pending = ()
            if faults.refusal:
                raise StoreUnavailable(faults.refusal)
            result = work()
            await faults.after_commit()
            self._check_open()
            return result


def _row(number: EventNumber, event: NewEvent) -> _Row:
    stored = StoredEvent(
        number=number, at=event.at, kind=event.kind, body=event.body, cause=event.cause
    )
    return _Row(stored, checksum(event.at, event.kind, event.cause, event.body, number))
