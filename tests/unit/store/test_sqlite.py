"""What only the SQLite store can meet: files, faults of the disk, other programs."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.errors import StoreCorrupt, StoreError, StoreUnavailable
from engine.kernel.instants import Instant
from engine.kernel.limits import STORE_GROUP_MAX, STORE_QUEUE_MAX
from engine.store.base import NO_EVENT, NewEvent
from engine.store.faults import translated
from engine.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def events(*bodies: bytes) -> list[NewEvent]:
    return [NewEvent(at=Instant(1), kind="Happened", body=body) for body in bodies]


async def bodies(store: SqliteStore) -> list[bytes]:
    return [event.body for event in await store.read(NO_EVENT, 1000)]


def modes(folder: Path) -> set[int]:
    return {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "journal.sqlite")
    await opened.open()
    yield opened
    await opened.close()


async def test_the_files_are_for_the_owner_only(tmp_path: Path, store: SqliteStore) -> None:
    await store.append(await store.begin_epoch(), events(b"a"))
    assert modes(tmp_path) == {0o600}


async def test_every_commit_is_synced(store: SqliteStore) -> None:
    found = await store._writer.run(
        lambda connection: [
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous")
        ]
    )
    assert found == ["wal", 2]


async def test_the_reading_connection_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store._reader.run(lambda connection: connection.execute("DELETE FROM meta"))


async def test_a_disk_that_is_full_leaves_nothing_of_the_batch(store: SqliteStore) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events(b"a"))
    connection = store._writer._connection
    assert connection is not None
    await store._writer.run(lambda connection: connection.execute("SELECT 1"))
    limit = await store._writer.run(
        lambda connection: connection.execute("PRAGMA page_count").fetchone()[0]
    )
    # The limit belongs to the connection; after the fault the writer takes a new one.
    await store._writer.run(lambda connection: connection.execute(f"PRAGMA max_page_count={limit}"))
    with pytest.raises(StoreUnavailable, match="full"):
        await store.append(epoch, events(b"small", b"x" * 100_000))
    assert await bodies(store) == [b"a"]
    assert await store.append(epoch, events(b"b")) == 2


async def test_a_commit_that_fails_leaves_nothing_of_its_group(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = await store.begin_epoch()

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO meta (key, value) VALUES ('epoch', '9')")

    results = await asyncio.gather(
        store.append(epoch, events(b"a")),
        store._writer.run(fail),
        store.append(epoch, events(b"b")),
        return_exceptions=True,
    )
    assert all(isinstance(result, StoreCorrupt) for result in results)
    assert await bodies(store) == []
    assert await store.append(epoch, events(b"c")) == 1


async def test_a_bug_in_one_job_is_its_own_affair(store: SqliteStore) -> None:
    epoch = await store.begin_epoch()

    def bug(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM meta")
        raise ZeroDivisionError

    results = await asyncio.gather(
        store._writer.run(bug), store.append(epoch, events(b"a")), return_exceptions=True
    )
    assert isinstance(results[0], ZeroDivisionError)
    assert results[1] == 1


async def test_jobs_that_wait_share_a_transaction(store: SqliteStore) -> None:
    epoch = await store.begin_epoch()
    groups: list[int] = []
    carry_out = store._writer._in_one_transaction

    def counted(connection: sqlite3.Connection, group: list[object]) -> list[object]:
        groups.append(len(group))
        return carry_out(connection, group)  # type: ignore[arg-type,return-value]

    store._writer._in_one_transaction = counted  # type: ignore[method-assign,assignment]
    await asyncio.gather(*(store.append(epoch, events(b"x")) for _ in range(200)))
    assert sum(groups) == 200
    assert len(groups) < 100
    assert max(groups) <= STORE_GROUP_MAX


async def test_callers_beyond_the_queue_wait_for_room(store: SqliteStore) -> None:
    epoch = await store.begin_epoch()
    count = STORE_QUEUE_MAX * 2
    waiting = [asyncio.create_task(store.append(epoch, events(b"x"))) for _ in range(count)]
    await asyncio.sleep(0)
    assert store._writer._room.locked()
    assert await asyncio.gather(*waiting) == list(range(1, count + 1))


async def test_a_caller_that_gives_up_does_not_stop_the_others(store: SqliteStore) -> None:
    epoch = await store.begin_epoch()
    waiting = asyncio.create_task(store.append(epoch, events(b"a")))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await store.append(epoch, events(b"b"))
    assert (await bodies(store))[-1] == b"b"


async def test_a_disk_that_hangs_is_reported(tmp_path: Path, store: SqliteStore) -> None:
    patience_s, store._writer._timeout_s = store._writer._timeout_s, 0.1
    other = sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="no answer from the disk"):
        await store.begin_epoch()
    other.execute("ROLLBACK")
    other.close()
    store._writer._timeout_s = patience_s
    await store.append(await store.begin_epoch(), events(b"a"))


async def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    file.write_bytes(b"rubbish" * 1000)
    with pytest.raises(StoreCorrupt):
        await SqliteStore(file).open()


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE other (x)")
    connection.commit()
    connection.close()
    with pytest.raises(StoreCorrupt, match="another program"):
        await SqliteStore(file).open()


async def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path, store: SqliteStore) -> None:
    await store.close()
    file = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(file)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(StoreError, match="newer release"):
        await SqliteStore(file).open()


async def test_damaged_pages_are_corrupt(tmp_path: Path, store: SqliteStore) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events(*(b"x" * 1000 for _ in range(200))))
    await store.close()
    file = tmp_path / "journal.sqlite"
    with file.open("r+b") as raw:
        raw.seek(20 * 4096)
        raw.write(b"\xff" * 40_000)
    again = SqliteStore(file)
    await again.open()
    with pytest.raises(StoreCorrupt):
        await again.read(NO_EVENT, 1000)
    assert await again.verify()
    await again.close()


async def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        await SqliteStore(tmp_path / "missing" / "journal.sqlite").open()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_file_is_reported(tmp_path: Path, store: SqliteStore) -> None:
    await store.close()
    (tmp_path / "journal.sqlite").chmod(0o400)
    with pytest.raises(StoreUnavailable):
        await SqliteStore(tmp_path / "journal.sqlite").open()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SQLITE_FULL", StoreUnavailable),
        ("SQLITE_IOERR_FSYNC", StoreUnavailable),
        ("SQLITE_READONLY_DBMOVED", StoreUnavailable),
        ("SQLITE_CORRUPT_INDEX", StoreCorrupt),
        ("SQLITE_NOTADB", StoreCorrupt),
        ("SQLITE_CONSTRAINT_PRIMARYKEY", StoreCorrupt),
        ("SQLITE_ERROR", StoreError),
    ],
)
def test_errors_of_sqlite_are_told_apart(name: str, expected: type[StoreError]) -> None:
    error = sqlite3.OperationalError("something")
    error.sqlite_errorname = name
    assert type(translated(error, "journal")) is expected
