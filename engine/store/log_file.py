"""One task log on disk: a text file, and beside it the position up to which it counts.

The text file holds nothing but lines for people. Its companion (`.pos`) says how long the log is,
how many bytes of each output channel are in it, and which incomplete line is being held back. Both
are written for every change, the text first: a process killed in between leaves text that the
position does not know, which the next opening cuts off and the producer sends again. So nothing is
lost and nothing doubled.

The position is kept in two places used in turn, each with a checksum, so one is always whole. A
third place holds the last position that was synced together with the text, for the case that the
machine went down and the file system kept the position but not all of the text.

Synchronous and used from one thread; `engine.store.task_logs` is what the engine talks to.
"""

import contextlib
import os
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from engine.codec.agent_messages import Channel
from engine.kernel.limits import LOG_FILE_BYTES_MAX, LOG_LINE_BYTES_MAX

R = TypeVar("R")

_CHANNELS = (Channel.STDOUT, Channel.STDERR)
_PREFIXES = (b"[stdout] ", b"[stderr] ")

_HEAD = struct.Struct("<4sIQQQQQBBII")
"""Magic, checksum, sequence, size, two offsets, line number, flags, open channel, two lengths."""
_MAGIC = b"PLP1"
_SLOT_BYTES = 20_480
assert _HEAD.size + 2 * LOG_LINE_BYTES_MAX <= _SLOT_BYTES
_SYNCED_SLOT = 2

_NO_CHANNEL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Offsets:
    """How many bytes of each channel a log has taken."""

    stdout: int
    stderr: int

    def of(self, channel: Channel) -> int:
        """Return the offset of one channel."""
        return self.stdout if channel is Channel.STDOUT else self.stderr


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What the companion file says of a log."""

    sequence: int = 0
    size: int = 0
    """Bytes of the text file that count."""
    offsets: tuple[int, int] = (0, 0)
    held: tuple[bytes, bytes] = (b"", b"")
    """Incomplete last lines; counted in `offsets`, not yet in the text."""
    open_channel: int = _NO_CHANNEL
    """The channel in the middle of whose line the text ends."""
    line_number: int = 0
    """The highest number of an engine's line, to know repeats."""
    has_prefixes: bool = True
    is_finished: bool = False
    is_full: bool = False


class LogFile:
    """An open task log."""

    def __init__(self, text_file: Path, *, size_max: int = LOG_FILE_BYTES_MAX) -> None:
        """Open or create the log, cutting off what was written but not recorded."""
        self._size_max = size_max
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._text = os.open(text_file, flags, 0o600)
        try:
            has_companion = companion_of(text_file).exists()
            self._companion = os.open(companion_of(text_file), flags, 0o600)
        except BaseException:
            os.close(self._text)
            raise
        actual = os.fstat(self._text).st_size
        self.position = _last_position(self._companion, actual)
        if not has_companion:
            self.position = Position(size=actual)  # somebody removed it; the text is worth keeping
        elif actual > self.position.size:
            os.ftruncate(self._text, self.position.size)

    def close(self) -> None:
        """Let go of the files."""
        os.close(self._text)
        os.close(self._companion)

    @property
    def offsets(self) -> Offsets:
        """How many bytes of each channel have been taken."""
        return Offsets(stdout=self.position.offsets[0], stderr=self.position.offsets[1])

    def set_prefixes(self, *, has_prefixes: bool) -> None:
        """Say whether lines of output name their channel (agents.md 5.4)."""
        if has_prefixes != self.position.has_prefixes:
            self._write(b"", replace(self.position, has_prefixes=has_prefixes))

    def append_output(self, channel: Channel, offset: int, data: bytes) -> int:
        """Take output that starts at `offset` of its channel; return the channel's new offset.

        What is there already is skipped. A piece that starts later than the channel's end is not
        taken, and the offset does not move: the producer has to begin there.
        """
        index = _CHANNELS.index(channel)
        taken = self.position.offsets[index]
        new = data[taken - offset :] if offset <= taken else b""
        if not new:
            return taken
        pending = self.position.held[index] + new
        end = pending.rfind(b"\n") + 1
        lines, rest = pending[:end], pending[end:]
        position = replace(
            self.position, offsets=_with(self.position.offsets, index, taken + len(new))
        )
        text = b""
        if lines:
            text, position = self._lines(position, index, lines)
        if len(rest) > LOG_LINE_BYTES_MAX:
            piece, position = self._piece(position, index, rest)
            text, rest = text + piece, b""
        self._write_output(text, replace(position, held=_with(position.held, index, rest)))
        return taken + len(new)

    def append_lines(self, text: bytes, number: int = 0) -> None:
        """Add whole lines of the engine; a `number` not higher than the last one is a repeat."""
        if number and number <= self.position.line_number:
            return
        before, position = self._break_line(self.position)
        number = max(number, position.line_number)
        self._write(before + text, replace(position, line_number=number))

    def skip_output(self, channel: Channel, offset: int, note: bytes) -> None:
        """Go on at a later offset, because what lies between is lost; `note` says so in the log."""
        index = _CHANNELS.index(channel)
        if offset <= self.position.offsets[index]:
            return
        text, position = self._flush(self.position, index)
        self._write_output(text, position)
        before, position = self._break_line(self.position)
        offsets = _with(position.offsets, index, offset)
        self._write(before + note, replace(position, offsets=offsets))

    def finish(self) -> None:
        """Write what was held back, sync, and shrink the companion; appending stays possible."""
        position, text = self.position, b""
        for index in range(len(_CHANNELS)):
            piece, position = self._flush(position, index)
            text += piece
        before, position = self._break_line(position)
        self._write_output(text + before, replace(position, is_finished=True))
        if self.position.sequence % 2:
            self._write(b"", self.position)  # the first place is the one that stays
        os.ftruncate(self._text, self.position.size)
        os.fdatasync(self._text)
        os.fdatasync(self._companion)
        os.ftruncate(self._companion, _HEAD.size)

    def sync(self) -> None:
        """Make what was taken survive the end of the machine, not only of the process."""
        os.fdatasync(self._text)
        os.pwrite(self._companion, _pack(self.position), _SYNCED_SLOT * _SLOT_BYTES)
        os.fdatasync(self._companion)

    # --- forming text ----------------------------------------------------------------------------

    def _lines(self, position: Position, index: int, lines: bytes) -> tuple[bytes, Position]:
        """Return whole lines of a channel as they stand in the log."""
        prefix = _PREFIXES[index] if position.has_prefixes else b""
        body = lines[:-1].replace(b"\n", b"\n" + prefix) + b"\n" if prefix else lines
        if position.open_channel == index:
            return body, replace(position, open_channel=_NO_CHANNEL)
        before, position = self._break_line(position)
        return before + prefix + body, position

    def _piece(self, position: Position, index: int, piece: bytes) -> tuple[bytes, Position]:
        """Return a piece of a line too long to be held back."""
        if position.open_channel == index:
            return piece, position
        before, position = self._break_line(position)
        prefix = _PREFIXES[index] if position.has_prefixes else b""
        return before + prefix + piece, replace(position, open_channel=index)

    def _break_line(self, position: Position) -> tuple[bytes, Position]:
        """Return what ends a line of which only pieces are there, so that another can begin."""
        if position.open_channel == _NO_CHANNEL:
            return b"", position
        return b"\n", replace(position, open_channel=_NO_CHANNEL)

    def _flush(self, position: Position, index: int) -> tuple[bytes, Position]:
        held = position.held[index]
        if not held:
            return b"", position
        text, position = self._lines(position, index, held + b"\n")
        return text, replace(position, held=_with(position.held, index, b""))

    # --- writing ---------------------------------------------------------------------------------

    def _write_output(self, text: bytes, position: Position) -> None:
        """Write output, as far as the log may still grow."""
        former = self.position
        if former.is_full:
            self._write(b"", replace(position, open_channel=_NO_CHANNEL))
        elif former.size + len(text) > self._size_max:
            position = replace(position, is_full=True, open_channel=_NO_CHANNEL)
            self._write(self._farewell(former), position)
        else:
            self._write(text, position)

    def _write(self, text: bytes, position: Position) -> None:
        """Write text and position; on any error the log is as it was before."""
        former = self.position
        position = replace(position, size=former.size + len(text), sequence=former.sequence + 1)
        try:
            _write_all(self._text, text, former.size)
            _write_all(self._companion, _pack(position), (position.sequence % 2) * _SLOT_BYTES)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._text, former.size)
            raise
        self.position = position

    def _farewell(self, position: Position) -> bytes:
        before, _ = self._break_line(position)
        note = f"--- the log has reached {self._size_max} bytes; the rest is not kept ---\n"
        return before + note.encode()


def companion_of(text_file: Path) -> Path:
    """Return the file that holds the position of a log."""
    return text_file.with_suffix(".pos")


def recorded_position(text_file: Path) -> Position | None:
    """Return the position of a log without opening it for writing; None without a log."""
    try:
        actual = text_file.stat().st_size
        handle = os.open(companion_of(text_file), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return _last_position(handle, actual)
    finally:
        os.close(handle)


def _last_position(companion: int, text_size: int) -> Position:
    """Return the newest whole position that the text covers."""
    found = [_unpack(os.pread(companion, _SLOT_BYTES, slot * _SLOT_BYTES)) for slot in range(3)]
    covered = [position for position in found if position and position.size <= text_size]
    return max(covered, key=lambda position: position.sequence, default=Position())


def _with(pair: tuple[R, R], index: int, value: R) -> tuple[R, R]:
    return (value, pair[1]) if index == 0 else (pair[0], value)


def _pack(position: Position) -> bytes:
    flags = position.has_prefixes | position.is_finished << 1 | position.is_full << 2
    head = _HEAD.pack(
        _MAGIC,
        0,
        position.sequence,
        position.size,
        *position.offsets,
        position.line_number,
        flags,
        position.open_channel,
        *(len(held) for held in position.held),
    )
    record = head + b"".join(position.held)
    return record[:4] + zlib.crc32(record).to_bytes(4, "little") + record[8:]


def _unpack(record: bytes) -> Position | None:
    """Return a position, None when the record is none or not whole."""
    if len(record) < _HEAD.size or record[:4] != _MAGIC:
        return None
    _, stored, sequence, size, out, err, number, flags, channel, *lengths = _HEAD.unpack_from(
        record
    )
    end = _HEAD.size + sum(lengths)
    if zlib.crc32(record[:4] + bytes(4) + record[8:end]) != stored or end > len(record):
        return None
    middle = _HEAD.size + lengths[0]
    return Position(
        sequence=sequence,
        size=size,
        offsets=(out, err),
        held=(record[_HEAD.size : middle], record[middle:end]),
        open_channel=channel,
        line_number=number,
        has_prefixes=bool(flags & 1),
        is_finished=bool(flags & 2),
        is_full=bool(flags & 4),
    )


def _write_all(handle: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(handle, view, offset)
        view, offset = view[written:], offset + written
