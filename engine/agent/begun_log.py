"""Which execution keys have been begun here: the one thing that must survive a power failure.

A key is on disk before its process is started. If the host dies, the run folders may be missing or
incomplete, but a key that is in the log never runs again; one that is not has never run.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.kernel.ids import ExecutionKey

_REWRITE_LINES = 20_000
"""After so many lines the log is written anew with the keys still open."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when a key was begun."""

    folder: str
    """Name of its run folder."""
    boot: str
    """The life of the host. In the same one, what was written is there: a run folder that is
    missing was never made."""


class BegunLog:
    """An append-only file of keys begun and closed. One writer thread uses it."""

    def __init__(self, file: Path, *, is_durable: bool = True) -> None:
        self._file = file
        self._is_durable = is_durable
        self.open_keys: dict[ExecutionKey, Place] = {}
        self._lines = 0
        self._read()
        self._descriptor = self._rewrite()

    def begin(self, starts: Iterable[tuple[ExecutionKey, Place]]) -> None:
        """Record keys with their places; on disk when this returns."""
        rows = dict(starts)
        self.open_keys.update(rows)
        self._append([_row(key, place) for key, place in rows.items()])
        if self._is_durable:
            os.fdatasync(self._descriptor)

    def close_keys(self, keys: Iterable[ExecutionKey]) -> None:
        """Record that these keys will not be asked for again; losing that is harmless."""
        rows = [["-", key] for key in keys if self.open_keys.pop(key, None) is not None]
        if rows:
            self._append(rows)
        if self._lines > _REWRITE_LINES and self._lines > 2 * len(self.open_keys):
            os.close(self._descriptor)
            self._descriptor = self._rewrite()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _append(self, rows: list[list[str]]) -> None:
        self._lines += len(rows)
        text = "".join(json.dumps(row) + "\n" for row in rows)
        os.write(self._descriptor, text.encode())

    def _read(self) -> None:
        if not self._file.exists():
            return
        for line in self._file.read_text(errors="replace").splitlines():
            try:
                sign, key, *place = json.loads(line)
                if sign == "+":
                    self.open_keys[ExecutionKey(key)] = Place(*place)
                else:
                    self.open_keys.pop(ExecutionKey(key), None)
            except (ValueError, TypeError):
                continue  # the last line of a host that went down while writing it

    def _rewrite(self) -> int:
        fresh = self._file.with_suffix(".new")
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(fresh, flags, 0o600)
        self._lines = len(self.open_keys)
        rows = [_row(key, place) for key, place in self.open_keys.items()]
        os.write(descriptor, "".join(json.dumps(row) + "\n" for row in rows).encode())
        if self._is_durable:
            os.fsync(descriptor)
        fresh.replace(self._file)
        if self._is_durable:
            _sync_folder(self._file.parent)
        return descriptor


def _row(key: ExecutionKey, place: Place) -> list[str]:
    return ["+", key, place.folder, place.boot]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
