"""Log files of tasks: output of their processes and lines of the engine.

One thread writes, fed through a queue bounded in bytes: when the disk is slow, `append_output`
waits, and through it the agent. Another thread reads. Appending output is idempotent by channel and
offset, so whatever a connection repeats is written once (`engine.store.log_file` says how this
outlives a crash). The text is UTF-8 as far as the task wrote UTF-8; other bytes stay as they are.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.codec.agent_messages import Channel
from engine.errors import StoreUnavailable
from engine.kernel.ids import TaskId
from engine.kernel.instants import Duration, Instant, utc_text
from engine.kernel.limits import (
    LOG_APPEND_BYTES_MAX,
    LOG_FILE_BYTES_MAX,
    LOG_FOLLOWERS_MAX,
    LOG_HANDLES_MAX,
    LOG_QUEUE_BYTES_MAX,
    LOG_READ_BYTES_MAX,
    LOG_TAIL_LINES_MAX,
    LOG_TIMEOUT_S,
)
from engine.store.log_file import LogFile, Offsets, companion_of, recorded_position

__all__ = ["Channel", "LogPiece", "Offsets", "Retained", "TaskLogs"]

R = TypeVar("R")
Follower = Callable[[TaskId, int], None]
"""Called in the event loop with a task and the new size of its log."""

_JOB_BYTES = 200
"""What a job without data counts in the queue."""
_TASKS_PER_FOLDER = 1000
_TAIL_BLOCK_BYTES = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPiece:
    """A part of a task log, in whole characters and, where possible, whole lines."""

    data: bytes
    offset: int
    """Where it starts."""
    next_offset: int
    """Where to go on reading."""
    size: int
    """Bytes the log has now."""
    is_finished: bool
    """The task has ended and all of its output is in the log."""

    @property
    def text(self) -> str:
        """The piece as text; bytes that are no UTF-8 become surrogates (`surrogateescape`)."""
        return self.data.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What an application of the retention rules did."""

    removed: int
    kept: int
    kept_bytes: int


def log_line(at: Instant, level: str, text: str) -> str:
    """Return a message of the engine as logs have it, each of its lines with time and level."""
    head = f"{utc_text(at)} [{level}] "
    return "".join(f"{head}{line}\n" for line in text.split("\n"))


class TaskLogs:
    """All task logs below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        size_max: int = LOG_FILE_BYTES_MAX,
        handles_max: int = LOG_HANDLES_MAX,
        timeout_s: float = LOG_TIMEOUT_S,
    ) -> None:
        self._folder = folder
        self._size_max = size_max
        self._handles_max = handles_max
        self._timeout_s = timeout_s
        self._open: OrderedDict[TaskId, LogFile] = OrderedDict()
        """Least recently used first; touched by the writing thread only."""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="task log writer")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="task log reader")
        self._waiting_bytes = 0
        self._room = asyncio.Condition()
        self._followers: dict[TaskId, list[Follower]] = {}
        self._follower_count = 0
        self._is_closed = False

    # --- writing ---------------------------------------------------------------------------------

    async def begin(self, task: TaskId, *, has_prefixes: bool = True) -> None:
        """Create the log; `has_prefixes` puts `[stdout] ` and `[stderr] ` before the lines."""
        await self._write(task, lambda log: log.set_prefixes(has_prefixes=has_prefixes))

    async def append_output(self, task: TaskId, channel: Channel, offset: int, data: bytes) -> int:
        """Add output that starts at `offset` of the channel; return the channel's new offset.

        Repeats and overlaps are recognised. A returned offset before `offset` means that the bytes
        between are missing: the producer has to go on there, or `skip_output` gives them up.
        """
        position = offset
        for start in range(0, max(len(data), 1), LOG_APPEND_BYTES_MAX):
            piece = data[start : start + LOG_APPEND_BYTES_MAX]
            position = await self._append(task, channel, offset + start, piece)
        return position

    async def _append(self, task: TaskId, channel: Channel, offset: int, piece: bytes) -> int:
        return await self._write(
            task, lambda log: log.append_output(channel, offset, piece), size=len(piece)
        )

    async def append_line(
        self, task: TaskId, at: Instant, level: str, text: str, *, number: int = 0
    ) -> None:
        """Add a message of the engine, each of its lines with time and level.

        `number` is that of the event it tells of: a message with a number that is not higher than
        the last one is a repeat and left out. 0: always written.
        """
        data = log_line(at, level, text).encode("utf-8", "backslashreplace")
        await self._write(task, lambda log: log.append_lines(data, number), size=len(data))

    async def skip_output(self, task: TaskId, channel: Channel, offset: int) -> None:
        """Give up the output before `offset`, saying so in the log."""
        note = f"--- output on {channel.value} up to byte {offset} is lost ---\n".encode()
        await self._write(task, lambda log: log.skip_output(channel, offset, note))

    async def finish(self, task: TaskId) -> None:
        """The task has ended: write incomplete lines, sync. What comes late is still added."""
        await self._write(task, LogFile.finish)

    async def sync(self, task: TaskId) -> None:
        """Make what was appended survive a power failure, too; it survives kill -9 anyway."""
        await self._write(task, LogFile.sync)

    async def output_offsets(self, task: TaskId) -> Offsets:
        """Return how many bytes of each channel the log has, also after a restart."""
        return await self._write(task, lambda log: log.offsets)

    # --- reading ---------------------------------------------------------------------------------

    async def read(self, task: TaskId, offset: int, size_bytes_max: int) -> LogPiece | None:
        """Return a piece from `offset` on, a negative one from the end; None without a log."""
        size_max = max(1, min(size_bytes_max, LOG_READ_BYTES_MAX))
        return await self._on(
            self._reader, lambda: _if_there(lambda: self._read(task, offset, size_max))
        )

    async def tail(self, task: TaskId, lines: int) -> LogPiece | None:
        """Return the last lines, as far as LOG_READ_BYTES_MAX reaches; None without a log."""
        count = min(lines, LOG_TAIL_LINES_MAX)
        return await self._on(self._reader, lambda: _if_there(lambda: self._tail(task, count)))

    def follow(self, task: TaskId, follower: Follower) -> Callable[[], None]:
        """Have `follower` called whenever the log has grown; returns what ends this."""
        if self._follower_count >= LOG_FOLLOWERS_MAX:
            raise StoreUnavailable(f"{LOG_FOLLOWERS_MAX} logs are being followed already")
        self._follower_count += 1
        self._followers.setdefault(task, []).append(follower)

        def stop() -> None:
            followers = self._followers.get(task, [])
            if follower in followers:
                followers.remove(follower)
                self._follower_count -= 1
                if not followers:
                    del self._followers[task]

        return stop

    # --- keeping and closing ----------------------------------------------------------------------

    async def retain(
        self,
        now: Instant,
        *,
        age_max: Duration | None = None,
        total_bytes_max: int | None = None,
        running: frozenset[TaskId] = frozenset(),
    ) -> Retained:
        """Remove logs last written longer ago than `age_max`, then the oldest above the total.

        Logs of `running` tasks stay.
        """
        found = await self._on(self._reader, self._all_logs)
        candidates = sorted(log for log in found if log[1] not in running)
        total = sum(size for _, _, size in found)
        removed = 0
        for written_at, task, size in candidates:
            is_old = age_max is not None and written_at + age_max < now
            is_too_much = total_bytes_max is not None and total > total_bytes_max
            if not is_old and not is_too_much:
                break
            await self.remove(task)
            total -= size
            removed += 1
        return Retained(removed=removed, kept=len(found) - removed, kept_bytes=total)

    async def remove(self, task: TaskId) -> None:
        """Remove a log; one that is not there is no error."""
        await self._on(self._writer, lambda: self._remove(task))

    async def close(self) -> None:
        """Finish what was asked for and close all files; a second call does nothing."""
        if self._is_closed:
            return
        self._is_closed = True
        self._writer.submit(self._close_all)
        await asyncio.to_thread(self._writer.shutdown)
        await asyncio.to_thread(self._reader.shutdown)

    # --- in the loop ------------------------------------------------------------------------------

    async def _write(self, task: TaskId, work: Callable[[LogFile], R], size: int = 0) -> R:
        size += _JOB_BYTES
        async with self._room:
            await self._room.wait_for(
                lambda: not self._waiting_bytes or self._waiting_bytes + size <= LOG_QUEUE_BYTES_MAX
            )
            self._waiting_bytes += size
        try:
            result, before, after = await self._on(self._writer, lambda: self._work(task, work))
        finally:
            self._waiting_bytes -= size
            async with self._room:
                self._room.notify_all()
        if after != before:
            for follower in tuple(self._followers.get(task, ())):
                follower(task, after)
        return result

    async def _on(self, thread: ThreadPoolExecutor, work: Callable[[], R]) -> R:
        if self._is_closed:
            raise StoreUnavailable(f"the task logs in {self._folder} are not open")
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.get_running_loop().run_in_executor(thread, work)
        except TimeoutError:
            raise StoreUnavailable(
                f"{self._folder}: no answer from the disk within {self._timeout_s:g} s"
            ) from None
        except OSError as error:
            raise StoreUnavailable(f"task log {error.filename or ''}: {error.strerror}") from error

    # --- on the writing thread --------------------------------------------------------------------

    def _work(self, task: TaskId, work: Callable[[LogFile], R]) -> tuple[R, int, int]:
        log = self._opened(task)
        before = log.position.size
        try:
            return work(log), before, log.position.size
        except OSError:
            # After a fault what the disk has is looked at anew.
            del self._open[task]
            log.close()
            raise

    def _opened(self, task: TaskId) -> LogFile:
        log = self._open.get(task)
        if log is None:
            file = self.file_of(task)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            while len(self._open) >= self._handles_max:
                self._open.popitem(last=False)[1].close()
            log = self._open[task] = LogFile(file, size_max=self._size_max)
        self._open.move_to_end(task)
        return log

    def _remove(self, task: TaskId) -> None:
        log = self._open.pop(task, None)
        if log is not None:
            log.close()
        file = self.file_of(task)
        file.unlink(missing_ok=True)
        companion_of(file).unlink(missing_ok=True)

    def _close_all(self) -> None:
        for log in self._open.values():
            log.close()
        self._open.clear()

    # --- on the reading thread --------------------------------------------------------------------

    def file_of(self, task: TaskId) -> Path:
        """Return the file with the log's text."""
        return self._folder / f"{task // _TASKS_PER_FOLDER:06d}" / f"task-{task}.log"

    def _size(self, task: TaskId) -> tuple[int, bool]:
        """Return how much of the text counts, and whether the log is finished."""
        file = self.file_of(task)
        size = file.stat().st_size
        position = recorded_position(file)
        return (size, True) if position is None else (position.size, position.is_finished)

    def _read(self, task: TaskId, offset: int, size_max: int) -> LogPiece:
        size, is_finished = self._size(task)
        start = max(0, size + offset) if offset < 0 else min(offset, size)
        wanted = min(size_max, size - start)
        data = self._bytes(task, start, wanted)
        if start + len(data) < size:
            data = _whole(data)
        return LogPiece(
            data=data,
            offset=start,
            next_offset=start + len(data),
            size=size,
            is_finished=is_finished,
        )

    def _tail(self, task: TaskId, count: int) -> LogPiece:
        size, is_finished = self._size(task)
        start, data = size, b""
        floor = max(0, size - LOG_READ_BYTES_MAX)
        # The newline at the very end belongs to the last line.
        while start > floor and data[:-1].count(b"\n") < count:
            block = max(floor, start - _TAIL_BLOCK_BYTES)
            data = self._bytes(task, block, start - block) + data
            start = block
        cut = _start_of_last_lines(data, count)
        return LogPiece(
            data=data[cut:],
            offset=start + cut,
            next_offset=start + len(data),
            size=size,
            is_finished=is_finished,
        )

    def _bytes(self, task: TaskId, offset: int, size: int) -> bytes:
        handle = os.open(self.file_of(task), os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(handle, size, offset)
        finally:
            os.close(handle)

    def _all_logs(self) -> list[tuple[Instant, TaskId, int]]:
        """Return last change, task and size of every log."""
        logs = []
        for file in self._folder.glob("*/task-*.log"):
            number = file.stem.removeprefix("task-")
            if number.isdigit():
                stat = file.stat()
                written_at = Instant(stat.st_mtime_ns // 1_000_000)
                logs.append((written_at, TaskId(int(number)), stat.st_size))
        return logs


def _if_there(work: Callable[[], R]) -> R | None:
    """Carry out a read of a log that retention may remove at any moment."""
    try:
        return work()
    except FileNotFoundError:
        return None


def _whole(data: bytes) -> bytes:
    """Cut a piece after its last line, or else after its last whole character."""
    end = data.rfind(b"\n") + 1
    if end:
        return data[:end]
    for length in range(len(data) - 1, max(len(data) - 4, 0), -1):
        if data[length] & 0xC0 == 0xC0:  # the first byte of a character of several
            return data[:length] or data
        if data[length] < 0x80:
            break
    return data


def _start_of_last_lines(data: bytes, count: int) -> int:
    if count <= 0:
        return len(data)
    position = len(data) - 1 if data.endswith(b"\n") else len(data)
    for _ in range(count):
        position = data.rfind(b"\n", 0, position)
        if position < 0:
            return 0
    return position + 1
