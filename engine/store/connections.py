"""How the engine opens its SQLite files: one connection writes, one thread reads."""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from engine.errors import StoreCorrupt, StoreError, StoreUnavailable
from engine.kernel.limits import STORE_TIMEOUT_S
from engine.store.faults import translated

R = TypeVar("R")


def connect_to_write(file: Path) -> sqlite3.Connection:
    """Open the one connection that writes and checkpoints, creating the file for its owner only."""
    try:
        _create(file)
    except OSError as error:
        raise StoreUnavailable(f"{file}: {error.strerror}") from error
    connection = sqlite3.connect(file, isolation_level=None, timeout=5.0)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        # The WAL file shrinks again after a burst.
        connection.execute("PRAGMA journal_size_limit=67108864")
    except BaseException:
        connection.close()
        raise
    return connection


def _create(file: Path) -> None:
    try:
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.close(handle)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # SQLite syncs the file, not the fact that it exists
    finally:
        os.close(folder)


def prepare_schema(
    connection: sqlite3.Connection, file: Path, schema: str, application_id: int, version: int
) -> None:
    """Create the tables of a new file, inside a transaction; refuse files that are not ours."""
    [found_id] = connection.execute("PRAGMA application_id").fetchone()
    [found_version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and found_id != application_id:
        raise StoreCorrupt(f"{file} is a database of another program")
    if found_version > version:
        raise StoreError(
            f"{file} was written by a newer release (format {found_version}, known is {version})"
        )
    for statement in schema.split(";"):
        if statement.strip():
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id={application_id}")
    connection.execute(f"PRAGMA user_version={version}")


class ReadingThread:
    """A thread with a connection that cannot write; opened at the first use."""

    def __init__(self, file: Path, *, timeout_s: float = STORE_TIMEOUT_S) -> None:
        self._file = file
        self._timeout_s = timeout_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=f"reader of {file.name}")
        self._connection: sqlite3.Connection | None = None
        self._is_closed = False

    async def run(self, work: Callable[[sqlite3.Connection], R]) -> R:
        """Return what `work` returned; it sees one state of the file from begin to end."""
        if self._is_closed:
            raise StoreUnavailable(f"{self._file} is not open")
        future = asyncio.get_running_loop().run_in_executor(self._pool, self._carry_out, work)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await future
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._file}: no answer from the disk within {self._timeout_s:g} s"
            ) from None

    async def close(self) -> None:
        """Let go of the connection and the thread."""
        if self._is_closed:
            return
        self._is_closed = True
        self._pool.submit(self._drop_connection)
        await asyncio.to_thread(self._pool.shutdown)

    def _carry_out(self, work: Callable[[sqlite3.Connection], R]) -> R:
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.execute("BEGIN")
            try:
                return work(self._connection)
            finally:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            self._drop_connection()
            raise translated(error, self._file) from error

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"{self._file.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0
        )
        connection.execute("PRAGMA query_only=ON")
        return connection

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()
