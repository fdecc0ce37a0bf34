"""Which execution keys have been begun here: the one thing that must survive a power failure.

A key is on disk before its process is started. If the host dies, the run folders may be missing or
incomplete, but a key that is in the log never runs again; one that is not has never run.

The file is filled with blank lines in advance and written over: then writing through concerns its
data only, and does not wait for the file system's own journal, which is busy with run folders.
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.agent.run_folder import AboutRun, about_codec
from engine.errors import CodecError
from engine.kernel.ids import ExecutionKey

RUNS = "runs"
"""The folder of the run folders, in the data folder."""
BEGUN = "begun"
"""The file of this log, in the data folder."""
_REWRITE_LINES = 20_000
"""After so many lines the log is written anew with the keys still open."""
_ROOM_BYTES = 256 * 1024
_BEGUN = "+"
_CLOSED = "-"


class BegunLog:
    """A file of keys begun and closed. One thread at a time uses it."""

    def __init__(self, file: Path, *, is_durable: bool = True) -> None:
        self._file = file
        self._is_durable = is_durable
        self.open_runs: dict[ExecutionKey, AboutRun] = dict(read_begun(file))
        self._lines = 0
        self._offset = 0
        self._end = 0
        self._descriptor = self._rewrite()

    def begin(self, runs: Iterable[AboutRun]) -> None:
        """Record runs that are about to be started, or to be buried; on disk when this returns."""
        begun = list(runs)
        self.open_runs.update((about.key, about) for about in begun)
        self._append([_row(about) for about in begun])
        if self._is_durable:
            os.fdatasync(self._descriptor)

    def close_keys(self, keys: Iterable[ExecutionKey]) -> None:
        """Record that these keys will not be asked for again; losing that is harmless."""
        rows = [[_CLOSED, key] for key in keys if self.open_runs.pop(key, None) is not None]
        if rows:
            self._append(rows)
        if self._lines > _REWRITE_LINES and self._lines > 2 * len(self.open_runs):
            os.close(self._descriptor)
            self._descriptor = self._rewrite()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, rows: Sequence[Any]) -> None:
        self._lines += len(rows)
        self._offset = self._write(self._descriptor, _encoded(rows), self._offset)

    def _write(self, descriptor: int, data: bytes, offset: int) -> int:
        """Write at an offset, making room behind it first; returns the offset after it."""
        after = offset + len(data)
        if after > self._end:
            end = after + _ROOM_BYTES
            _write_all(descriptor, b"\n" * (end - self._end), self._end)
            self._end = end
        _write_all(descriptor, data, offset)
        return after

    def _rewrite(self) -> int:
        fresh = self._file.with_suffix(".new")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, 0o600)
        self._lines = len(self.open_runs)
        self._end = 0
        rows = [_row(about) for about in self.open_runs.values()]
        self._offset = self._write(descriptor, _encoded(rows), 0)
        if self._is_durable:
            os.fsync(descriptor)
        fresh.replace(self._file)
        if self._is_durable:
            _sync_folder(self._file.parent)
        return descriptor


def read_begun(file: Path) -> Mapping[ExecutionKey, AboutRun]:
    """Return the runs that were begun and not closed; what was said last of a key holds."""
    found: dict[ExecutionKey, AboutRun] = {}
    text = file.read_text(errors="replace") if file.exists() else ""
    for line in text.split("\n"):
        if not line:
            continue
        try:
            sign, content = json.loads(line)
            if sign == _BEGUN:
                about = about_codec.from_builtins(content)
                found[about.key] = about
            else:
                found.pop(ExecutionKey(content), None)
        except (ValueError, TypeError, CodecError):
            continue  # what a host wrote last that went down while writing it
    return found


def _row(about: AboutRun) -> list[Any]:
    return [_BEGUN, about_codec.to_builtins(about)]


def _encoded(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view = view[written:]
        offset += written


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
