"""The audit of signals to remote processes: a file that only grows, a JSON object a line.

A record is on the disk before anybody hears of its outcome. A line that a crash has cut off is left
out when the file is read; nothing is ever rewritten (ssh-and-jitl.md 3.4).
"""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from engine.codec.records import codec_for
from engine.errors import CodecError
from engine.kernel.sessions.browser import AuditRecord

_RECORDS: Final = codec_for(AuditRecord)
_BLOCK_BYTES: Final = 64 * 1024
LINE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A longer line is no record of ours."""


class AuditFile:
    """Appends records and reads the last ones."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._turn = asyncio.Lock()

    async def append(self, record: AuditRecord) -> None:
        """Keep a record; returns when the disk has it. Raises OSError."""
        async with self._turn:
            await asyncio.to_thread(self._append, _RECORDS.to_json(record) + b"\n")

    async def last(self, count: int) -> list[AuditRecord]:
        """Return the last records, newest first. Raises OSError."""
        return await asyncio.to_thread(self._last, count)

    def _append(self, line: bytes) -> None:
        descriptor = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            os.write(descriptor, line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _last(self, count: int) -> list[AuditRecord]:
        found: list[AuditRecord] = []
        if not self._file.exists():
            return found
        for line in self._lines_backwards():
            if len(found) == count:
                break
            try:
                found.append(_RECORDS.from_json(line))
            except CodecError:
                continue
        return found

    def _lines_backwards(self) -> Iterator[bytes]:
        with self._file.open("rb") as file:
            left = file.seek(0, os.SEEK_END)
            rest = b""
            while left > 0 and len(rest) <= LINE_BYTES_MAX:
                size = min(_BLOCK_BYTES, left)
                left -= size
                file.seek(left)
                rest = file.read(size) + rest
                lines = rest.split(b"\n")
                rest = lines[0]
                yield from (line for line in reversed(lines[1:]) if line)
            if rest and not left:
                yield rest
