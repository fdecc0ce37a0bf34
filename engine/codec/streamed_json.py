"""JSON that is written piece by piece, so that a long answer neither blocks nor fills the memory.

`Parts` is an object and `Rows` a list whose content is made only when it is written; both may hold
each other. Everything else is written at once.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.codec.records import dump_json

Json: TypeAlias = dict[str, Any]
Write: TypeAlias = Callable[[Any], bytes]


class Parts(dict[str, Any]):
    """An object with members that are written piece by piece."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A list whose items are made while it is written; None is a step without an item."""

    items: Iterable[Json | None]


def pieces(value: object, write: Write = dump_json) -> Iterator[bytes]:
    """Yield a value's JSON in pieces; an empty one where nothing is to be written yet."""
    match value:
        case Rows(items):
            yield from _list(items, write)
        case Parts():
            yield from _object(value, write)
        case _:
            yield write(value)


def _list(items: Iterable[Json | None], write: Write) -> Iterator[bytes]:
    opening = b"["
    for item in items:
        if item is None:
            yield b""
            continue
        yield opening
        opening = b","
        yield from pieces(item, write)
    yield b"[]" if opening == b"[" else b"]"


def _object(members: Parts, write: Write) -> Iterator[bytes]:
    opening = b"{"
    for name, value in members.items():
        yield opening + write(name) + b":"
        opening = b","
        yield from pieces(value, write)
    yield b"{}" if opening == b"{" else b"}"
