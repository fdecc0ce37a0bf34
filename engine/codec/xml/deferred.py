"""Parts of an answer that are made when it is written, one element after the other.

A tree of ten thousand orders is expensive as a tree: each level that takes it up walks through all
of it, and nothing else can run meanwhile. So a long list leaves a mark in the tree, and its
elements are made, written and forgotten one by one when the text of the answer gets there.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias

from lxml import etree

from engine.codec.xml.findings import Element

DEFERRED_MIN: Final = 50
"""Shorter lists are not worth it."""

_MARK: Final = re.compile(rb"<\?deferred ([0-9A-Za-z]+)-(\d+)\?>")

Make: TypeAlias = Callable[[], Element]


class Deferred:
    """The deferred parts of one answer; `nonce` must be what no client can foresee."""

    def __init__(self, nonce: str) -> None:
        self._nonce = nonce
        self._parts: list[Iterable[Make]] = []

    @property
    def is_empty(self) -> bool:
        """Whether the tree has everything in it."""
        return not self._parts

    def mark(self, makes: Iterable[Make]) -> Element:
        """Return what stands in the tree for these elements."""
        self._parts.append(makes)
        text = f"{self._nonce}-{len(self._parts) - 1}"
        mark: Element = etree.ProcessingInstruction("deferred", text)
        return mark

    def pieces(self, text: bytes, encoding: str, *, indented: bool = False) -> Iterator[bytes]:
        """Yield the text of a document with the elements in place of their marks."""
        position = 0
        for found in _MARK.finditer(text):
            if found[1].decode() != self._nonce:
                continue
            yield text[position : found.start()]
            position = found.end()
            for make in self._parts[int(found[2])]:
                made = make()
                if indented:
                    etree.indent(made)
                    made.tail = "\n"
                written = etree.tostring(made, encoding=encoding, xml_declaration=False)
                assert isinstance(written, bytes), "with an encoding there are bytes"
                yield from self.pieces(written, encoding, indented=indented)
        yield text[position:]


def appended(parent: Element, deferred: Deferred | None, makes: Sequence[Make]) -> None:
    """Append elements to their parent: now, or when there are many and it may be done, later."""
    if deferred is None or len(makes) < DEFERRED_MIN:
        parent.extend([make() for make in makes])
    else:
        parent.append(deferred.mark(makes))
