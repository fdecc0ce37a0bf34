"""Cuts the byte stream of a raw XML connection into requests (xml-commands.md 1.2).

A request ends with the end tag of its root element; no terminator is needed. The scanner keeps its
place, so that a request that comes byte by byte costs no more than one that comes at once.
"""

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

REQUEST_BYTES_MAX: Final = 8 * 1024 * 1024
LINE_BYTES_MAX: Final = 1_000
"""A request that is a bare name is short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One request."""

    xml: bytes
    wants_lines: bool = False
    """It ended with CR LF, as from a person at a terminal: the answer is indented."""


class Signal(Enum):
    """What is no request."""

    LOOK = "look"
    """Lone line feeds: look at the folders; no answer."""
    CLOSE = "close"
    """A lone Ctrl-D."""
    TOO_LARGE = "too_large"
    """The request is larger than allowed; nothing behind it can be understood."""


Frame: TypeAlias = Command | Signal

_CTRL_D: Final = 0x04
_LESS, _GREATER, _SLASH = b"</>"[0], b">"[0], b"/"[0]
_IN_TAG: Final = re.compile(rb"""["'>]""")
_LINE_FEEDS: Final = re.compile(rb"(?:\r?\n)+")
_NO_ELEMENT: Final = b"!?"
_SPECIAL: Final = (
    (b"<!--", b"-->"),
    (b"<![CDATA[", b"]]>"),
    (b"<?", b"?>"),
    (b"<!", b">"),
)
"""Markup that is no element: how it begins and ends."""


class Framer:
    """Collects bytes and gives out requests."""

    def __init__(self, size_max: int = REQUEST_BYTES_MAX) -> None:
        self._buffer = bytearray()
        self._size_max = size_max
        self._restart()

    def feed(self, data: bytes) -> list[Frame]:
        """Return the requests that are complete now."""
        self._buffer += data
        frames: list[Frame] = []
        while True:
            frame = self._next()
            if frame is None:
                return frames
            frames.append(frame)
            if isinstance(frame, Signal) and frame is not Signal.LOOK:
                self._buffer.clear()
                return frames

    def _restart(self) -> None:
        self._at = 0
        self._depth = 0
        self._is_element = False
        """The root element has begun."""
        self._tag_at = 0
        self._quote: int | None = None
        """How far an unfinished tag has been looked through, and the quote that is open there."""

    def _next(self) -> Frame | None:
        if not self._is_element and self._at == 0:
            frame = self._before_request()
            if frame is not None or not self._buffer:
                return frame
            if self._buffer[0] != _LESS:
                return self._line()
        end = self._end_of_root()
        if end is None:
            return Signal.TOO_LARGE if len(self._buffer) > self._size_max else None
        return Signal.TOO_LARGE if end > self._size_max else self._taken(end)

    def _before_request(self) -> Signal | None:
        """Take what may stand before a request; a lone line feed is a signal of its own."""
        buffer = self._buffer
        while buffer:
            if buffer[0] == _CTRL_D:
                return Signal.CLOSE
            lines = _LINE_FEEDS.match(buffer)
            if lines is not None:
                end = lines.end()
                del lines  # it keeps the buffer from being changed
                del buffer[:end]
                return Signal.LOOK
            if buffer[:3] == b"\xef\xbb\xbf":
                del buffer[:3]
            elif buffer[0] in b" \t" or (buffer[0:1] == b"\r" and len(buffer) > 1):
                del buffer[:1]
            else:
                return None
        return None

    def _line(self) -> Frame | None:
        end = self._buffer.find(b"\n", 0, LINE_BYTES_MAX)
        if end < 0:
            return Signal.TOO_LARGE if len(self._buffer) >= LINE_BYTES_MAX else None
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._restart()
        return Command(xml=line.strip(), wants_lines=line.endswith(b"\r"))

    def _taken(self, end: int) -> Command:
        xml = bytes(self._buffer[:end])
        del self._buffer[:end]
        wants_lines = self._buffer[:2] == b"\r\n"
        if wants_lines:
            del self._buffer[:2]
        elif self._buffer[:1] == b"\n":
            del self._buffer[:1]
        self._restart()
        return Command(xml=xml, wants_lines=wants_lines)

    def _end_of_root(self) -> int | None:
        """Go on scanning; return where the root element ends, None if it has not come yet."""
        buffer = self._buffer
        while True:
            start = buffer.find(b"<", self._at)
            if start < 0:
                self._at = len(buffer)
                return None
            self._at = start
            stop = self._end_of_markup(start)
            if stop is None:
                return None
            self._at = stop
            if self._is_element and self._depth == 0:
                return stop

    def _end_of_markup(self, start: int) -> int | None:
        """Return where the markup at `start` ends, and count elements; None if it is not whole."""
        buffer = self._buffer
        if start + 1 == len(buffer):
            return None
        if buffer[start + 1] in _NO_ELEMENT:
            return self._end_of_special(start)
        stop = self._end_of_tag(start + 1)
        if stop is None:
            return None
        if buffer[start + 1] == _SLASH:
            self._depth -= 1
        elif buffer[stop - 2] != _SLASH:
            self._depth += 1
        self._is_element = True
        self._depth = max(self._depth, 0)
        return stop

    def _end_of_special(self, start: int) -> int | None:
        """Return where a comment, a CDATA section or an instruction ends."""
        buffer = self._buffer
        for begin, end in _SPECIAL:
            head = bytes(buffer[start : start + len(begin)])
            if head == begin:
                found = buffer.find(end, max(start + len(begin), self._tag_at))
                # What has been looked through is not looked through again.
                self._tag_at = 0 if found >= 0 else len(buffer) - len(end) + 1
                return None if found < 0 else found + len(end)
            if begin.startswith(head):
                return None  # too short to tell
        raise AssertionError("the list ends with what all begin with")

    def _end_of_tag(self, at: int) -> int | None:
        """Return the place behind the `>` of a tag; those in quotes do not count."""
        place = max(at, self._tag_at)
        while True:
            if self._quote is not None:
                place = self._buffer.find(self._quote, place) + 1
                if place == 0:
                    self._tag_at = len(self._buffer)
                    return None
                self._quote = None
            found = _IN_TAG.search(self._buffer, place)
            if found is None:
                self._tag_at = len(self._buffer)
                return None
            byte = self._buffer[found.start()]
            place = found.end()
            if byte == _GREATER:
                self._tag_at = 0
                return place
            self._quote = byte
