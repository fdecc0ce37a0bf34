"""One thread, one connection, one transaction for all jobs that wait.

SQLite before 3.51.3 can damage a database in WAL mode when two connections write or checkpoint at
the same time, so each database file has exactly one writer, and everybody else reads. What arrives
while a transaction is being synced shares the next one (group commit): the disk sets the pace, not
the number of callers.
"""

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from engine.errors import StoreUnavailable
from engine.kernel.limits import STORE_GROUP_MAX, STORE_QUEUE_MAX, STORE_TIMEOUT_S
from engine.store.faults import translated

R = TypeVar("R")
Work = Callable[[sqlite3.Connection], R]
"""Runs inside a transaction on the writer's thread; must only use the connection."""


@dataclass(frozen=True, slots=True)
class _Job:
    work: Work[Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    job: _Job
    result: Any = None
    error: BaseException | None = None


class Writer:
    """The thread that owns the writing connection of one SQLite file."""

    def __init__(
        self,
        file: Path,
        connect: Callable[[], sqlite3.Connection],
        *,
        timeout_s: float = STORE_TIMEOUT_S,
    ) -> None:
        self._file = file
        self._connect = connect
        self._timeout_s = timeout_s
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(STORE_QUEUE_MAX)
        self._connection: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def start(self) -> None:
        """Start the thread and open the connection; raises what opening raises."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._run, name=f"writer of {self._file.name}", daemon=True
        )
        self._thread.start()
        try:
            await self.run(lambda _connection: None)
        except BaseException:
            await self.stop()
            raise

    async def run(self, work: Work[R]) -> R:
        """Return what `work` returned, once its transaction is durable.

        A StoreError (or a bug) raised by `work` undoes this job only. An error of SQLite, then or
        at the commit, undoes all jobs of the transaction.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._room.acquire()
                return cast("R", await asyncio.shield(self._hand_over(work)))
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._file}: no answer from the disk within {self._timeout_s:g} s; "
                "whether the last change was written shows after a restart"
            ) from None

    async def stop(self) -> None:
        """Carry out what was asked for, close the connection, end the thread."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.put(None)
        await asyncio.to_thread(thread.join, self._timeout_s)

    def _hand_over(self, work: Work[Any]) -> asyncio.Future[Any]:
        if self._thread is None:
            self._room.release()
            raise StoreUnavailable(f"{self._file} is not open")
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(self._answered)
        self._queue.put(_Job(work, answer))
        return answer

    def _answered(self, answer: asyncio.Future[Any]) -> None:
        self._room.release()
        if not answer.cancelled():
            answer.exception()  # looked at, in case the caller has given up

    # --- on the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        stopping = False
        while not stopping:
            group, stopping = self._take()
            if group:
                self._hand_back(self._carry_out(group))
        self._drop_connection()

    def _take(self) -> tuple[list[_Job], bool]:
        """Wait for a job and return it with all that have come meanwhile."""
        group: list[_Job] = []
        job = self._queue.get()
        while job is not None:
            group.append(job)
            if len(group) >= STORE_GROUP_MAX:
                return group, False
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _carry_out(self, group: list[_Job]) -> list[_Outcome]:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return self._in_one_transaction(self._connection, group)
        except sqlite3.Error as error:
            failure: Exception = translated(error, self._file)
        except OSError as error:
            failure = StoreUnavailable(f"{self._file}: {error}")
        except Exception as error:  # noqa: BLE001 - the thread lives on, its callers get the error
            failure = error
        # After a fault the connection's view is not trusted: the next job gets a new one.
        self._drop_connection()
        return [_Outcome(job, error=failure) for job in group]

    def _in_one_transaction(
        self, connection: sqlite3.Connection, group: list[_Job]
    ) -> list[_Outcome]:
        connection.execute("BEGIN IMMEDIATE")
        outcomes = [self._in_savepoint(connection, job) for job in group]
        connection.execute("COMMIT")
        return outcomes

    def _in_savepoint(self, connection: sqlite3.Connection, job: _Job) -> _Outcome:
        connection.execute("SAVEPOINT job")
        try:
            outcome = _Outcome(job, result=job.work(connection))
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - a job's error is its caller's, not this thread's
            connection.execute("ROLLBACK TO job")
            outcome = _Outcome(job, error=error)
        connection.execute("RELEASE job")
        return outcome

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        with contextlib.suppress(sqlite3.Error):
            connection.close()

    def _hand_back(self, outcomes: list[_Outcome]) -> None:
        assert self._loop is not None, "the thread runs only after start"
        with contextlib.suppress(RuntimeError):  # the loop has gone: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, outcomes)


def _settle(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        answer = outcome.job.answer
        if answer.done():
            continue
        if outcome.error is None:
            answer.set_result(outcome.result)
        else:
            answer.set_exception(outcome.error)
