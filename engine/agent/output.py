"""What a task has said: pieces of its output, its first lines, its return values.

Everything is bytes until here. Text is UTF-8; bytes that are none stay visible as U+FFFD.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FIRST_LINE_CHARACTERS_MAX = 100
"""Of the state text (orders-and-jobs.md 8.5)."""
_FIRST_LINE_BYTES_MAX = 4096
RETURN_VALUES_BYTES_MAX = 10 * 1024 * 1024
"""Of the return-values file (orders-and-jobs.md 8.4)."""


def read_piece(file: Path, offset: int, length: int) -> bytes:
    """Return up to `length` bytes of a file from `offset`; nothing when there is no such file."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, length, offset)
    finally:
        os.close(descriptor)


def size_of(file: Path) -> int:
    """Return a file's size in bytes; 0 when there is no such file."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def first_line(file: Path) -> str | None:
    """Return the first line of a file, cut to 100 characters; None when the file is empty."""
    start = read_piece(file, 0, _FIRST_LINE_BYTES_MAX)
    if not start:
        return None
    line = start.split(b"\n", 1)[0].rstrip(b"\r")
    return line.decode(errors="replace")[:FIRST_LINE_CHARACTERS_MAX]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnValues:
    """What the task has written to its return-values file."""

    values: Mapping[str, str] | None
    """None when the file could not be taken as a whole; `problem` says why."""
    problem: str | None = None


def read_return_values(file: Path) -> ReturnValues:
    """Read `NAME=VALUE` lines (orders-and-jobs.md 8.4); the last one of a name wins."""
    size = size_of(file)
    if size > RETURN_VALUES_BYTES_MAX:
        return ReturnValues(
            values=None,
            problem=f"SCHEDULER-448 The return values are too long: {size} bytes, "
            f"at most {RETURN_VALUES_BYTES_MAX} are allowed",
        )
    if not size:
        return ReturnValues(values={})
    return parse_return_values(read_piece(file, 0, size))


def parse_return_values(content: bytes) -> ReturnValues:
    """Return the values of a file's content, or the problem with the first line that is none."""
    values: dict[str, str] = {}
    for number, line in enumerate(content.decode(errors="replace").split("\n"), start=1):
        text = line.strip()
        if not text:
            continue
        name, separator, value = text.partition("=")
        name = name.strip()
        if not separator or not name:
            return ReturnValues(
                values=None,
                problem=f"SCHEDULER-449 Line {number} of the return values is not NAME=VALUE: "
                f"{text[:FIRST_LINE_CHARACTERS_MAX]!r}",
            )
        values[name] = value.strip()
    return ReturnValues(values=values)
