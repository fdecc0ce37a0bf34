"""The journal in one SQLite file: the store of a lone engine.

One thread writes and checkpoints (`engine.store.writer`), another one reads through a connection
that cannot write. WAL with `synchronous=FULL`: every commit is synced before `append` returns. Two
processes must never have a store open on one file: whoever opens it holds `engine.store.lease`.
"""

import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path

from engine.errors import EventsGone, Fenced, StoreCorrupt, StoreError
from engine.kernel.ids import Epoch, EventNumber
from engine.kernel.limits import (
    READ_EVENTS_MAX,
    SNAPSHOTS_KEPT,
    STORE_TIMEOUT_S,
    TRUNCATE_EVENTS_MAX,
)
from engine.store.base import Bounds, NewEvent, Snapshot, StoredEvent, checksum
from engine.store.connections import ReadingThread, connect_to_write, prepare_schema
from engine.store.sql import statements
from engine.store.writer import Writer

APPLICATION_ID = 0x504F494E
"""Marks the file as ours (`POIN`)."""
SCHEMA_VERSION = 1

_SQL = statements("journal_sqlite.sql")
_EPOCH = "epoch"


class SqliteStore:
    """A Store in the file `file`; its folder must exist."""

    def __init__(self, file: Path, *, timeout_s: float = STORE_TIMEOUT_S) -> None:
        self._file = file
        self._timeout_s = timeout_s
        self._writer = Writer(file, lambda: connect_to_write(file), timeout_s=timeout_s)
        self._reader = ReadingThread(file, timeout_s=timeout_s)

    async def open(self) -> None:
        """See Store. Raises StoreCorrupt for a file that is no journal of this release."""
        await self._writer.start()
        try:
            await self._writer.run(self._prepare)
        except BaseException:
            await self._writer.stop()
            raise

    async def close(self) -> None:
        """See Store."""
        await self._reader.close()
        await self._writer.stop()

    async def begin_epoch(self) -> Epoch:
        """See Store."""

        def work(connection: sqlite3.Connection) -> Epoch:
            epoch = Epoch(_epoch(connection) + 1)
            connection.execute(_SQL["set_meta"], (_EPOCH, str(epoch)))
            return epoch

        return await self._writer.run(work)

    async def append(self, epoch: Epoch, events: Sequence[NewEvent]) -> EventNumber:
        """See Store."""

        def work(connection: sqlite3.Connection) -> EventNumber:
            newest = _epoch(connection)
            if newest != epoch:
                raise Fenced(
                    f"epoch {newest} owns the journal {self._file}, this engine has epoch {epoch}",
                    own=epoch,
                    newest=newest,
                )
            last = _number(connection, "last_number")
            connection.executemany(
                _SQL["append"],
                [_row(EventNumber(last + 1 + i), epoch, event) for i, event in enumerate(events)],
            )
            return EventNumber(last + len(events))

        return await self._writer.run(work)

    async def read(self, after: EventNumber, limit: int) -> list[StoredEvent]:
        """See Store."""
        return await self._reader.run(
            lambda connection: self._read(connection, after, min(limit, READ_EVENTS_MAX))
        )

    async def bounds(self) -> Bounds:
        """See Store."""
        return await self._reader.run(_bounds)

    async def save_snapshot(self, number: EventNumber, body: bytes) -> None:
        """See Store."""

        def work(connection: sqlite3.Connection) -> None:
            bounds = _bounds(connection)
            if not bounds.first - 1 <= number <= bounds.last:
                raise StoreError(f"a snapshot of event {number} does not fit into {bounds}")
            connection.execute(_SQL["save_snapshot"], (number, zlib.crc32(body), body))
            connection.execute(_SQL["drop_old_snapshots"], (SNAPSHOTS_KEPT,))

        await self._writer.run(work)

    async def latest_snapshot(self) -> Snapshot | None:
        """See Store."""
        return await self._reader.run(self._latest_snapshot)

    async def truncate_before(self, number: EventNumber) -> EventNumber:
        """See Store. Works in pieces, so that appends get their turn."""
        while True:
            first, is_done = await self._writer.run(
                lambda connection: _truncate(connection, number)
            )
            if is_done:
                return first

    async def meta(self, key: str) -> str | None:
        """See Store."""
        return await self._reader.run(lambda connection: _meta(connection, key))

    async def set_meta(self, key: str, value: str) -> None:
        """See Store."""
        assert key != _EPOCH, "epochs are begun, not set"
        await self._writer.run(lambda connection: _set_meta(connection, key, value))

    async def verify(self) -> tuple[str, ...]:
        """See Store."""
        findings: list[str] = []
        try:
            findings += await self._reader.run(_integrity)
            after = EventNumber((await self.bounds()).first - 1)
            while events := await self.read(after, READ_EVENTS_MAX):
                after = events[-1].number
            await self.latest_snapshot()
        except StoreCorrupt as error:
            findings.append(str(error))
        return tuple(findings)

    # --- on the threads --------------------------------------------------------------------------

    def _prepare(self, connection: sqlite3.Connection) -> None:
        prepare_schema(connection, self._file, _SQL["schema"], APPLICATION_ID, SCHEMA_VERSION)

    def _read(
        self, connection: sqlite3.Connection, after: EventNumber, limit: int
    ) -> list[StoredEvent]:
        rows = connection.execute(_SQL["read"], (after, limit)).fetchall()
        events: list[StoredEvent] = []
        expected = after
        for number, at, kind, cause, stored_checksum, body in rows:
            expected = EventNumber(expected + 1)
            if number != expected:
                self._complain_about_gap(connection, after, expected, number)
            if stored_checksum != checksum(at, kind, cause, body, number):
                raise StoreCorrupt(f"{self._file}: event {number} is not as it was written")
            events.append(StoredEvent(number=number, at=at, kind=kind, body=body, cause=cause))
        return events

    def _complain_about_gap(
        self, connection: sqlite3.Connection, after: EventNumber, expected: int, number: int
    ) -> None:
        [has_older] = connection.execute(_SQL["has_up_to"], (after,)).fetchone()
        if expected == after + 1 and not has_older:
            raise EventsGone(
                f"events up to {number - 1} are no longer kept, asked for was {expected}",
                first=number,
            )
        raise StoreCorrupt(f"{self._file}: events {expected} to {number - 1} are missing")

    def _latest_snapshot(self, connection: sqlite3.Connection) -> Snapshot | None:
        numbers = [number for (number,) in connection.execute(_SQL["snapshot_numbers"])]
        for number in numbers:
            stored_checksum, body = connection.execute(_SQL["snapshot"], (number,)).fetchone()
            if stored_checksum == zlib.crc32(body):
                return Snapshot(number=number, body=body)
        if numbers:
            raise StoreCorrupt(
                f"{self._file}: the snapshots {numbers} are not as they were written"
            )
        return None


def _row(number: EventNumber, epoch: Epoch, event: NewEvent) -> tuple[object, ...]:
    # A name with bytes that are no text must not keep an event out of the journal.
    cause = event.cause.encode("utf-8", "backslashreplace").decode("utf-8")
    guard = checksum(event.at, event.kind, cause, event.body, number)
    return (number, event.at, event.kind, cause, epoch, guard, event.body)


def _number(connection: sqlite3.Connection, statement: str) -> EventNumber:
    [number] = connection.execute(_SQL[statement]).fetchone()
    return EventNumber(number)


def _bounds(connection: sqlite3.Connection) -> Bounds:
    last = _number(connection, "last_number")
    [first] = connection.execute(_SQL["first_number"]).fetchone()
    return Bounds(first=EventNumber(1 if first is None else first), last=last)


def _epoch(connection: sqlite3.Connection) -> int:
    return int(_meta(connection, _EPOCH) or 0)


def _meta(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute(_SQL["meta"], (key,)).fetchone()
    return None if row is None else str(row[0])


def _set_meta(connection: sqlite3.Connection, key: str, value: str) -> None:
    connection.execute(_SQL["set_meta"], (key, value))


def _truncate(connection: sqlite3.Connection, number: EventNumber) -> tuple[EventNumber, bool]:
    bounds = _bounds(connection)
    kept = [row[0] for row in connection.execute(_SQL["snapshot_numbers"])]
    needed = min(kept) + 1 if kept else bounds.first
    until = min(number, needed, bounds.last)
    if until <= bounds.first:
        return bounds.first, True
    piece = min(until, bounds.first + TRUNCATE_EVENTS_MAX)
    connection.execute(_SQL["delete_between"], (bounds.first, piece))
    return EventNumber(piece), piece == until


def _integrity(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute("PRAGMA integrity_check(100)").fetchall()
    return [text for (text,) in rows if text != "ok"]
