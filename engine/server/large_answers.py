"""Large XML answers: made beside the event loop, from a copy of the state that stands still.

Records are frozen, so taking their references is a matter of a millisecond. Everything that costs
time (the indexes of the copy, the elements, the text) is done in a thread, one answer at a time;
meanwhile the engine goes on. Small answers are made at once: a thread would cost more.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from engine.codec.snapshot import Capture, capture
from engine.codec.xml.answers import View, answer_bytes
from engine.codec.xml.deferred import Deferred
from engine.codec.xml.findings import Element
from engine.server.collections import without_full_collections

AT_ONCE_MAX: Final = 200
"""Objects of an answer that is made in the event loop: about ten milliseconds of work."""
ELEMENTS_AT_ONCE_MAX: Final = 2_000
"""Elements of a document that is written in the event loop."""
TEXT_AT_ONCE_MAX: Final = 1_000_000
"""Characters of logs and sources in it."""
TOGETHER_MAX: Final = 2
"""Large answers in the making; others wait, so that memory stays bounded."""


class LargeAnswers:
    """Makes the large answers of one engine."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(TOGETHER_MAX)

    def deferred(self) -> Deferred:
        """Return what keeps the long lists of one answer until its text is written."""
        return Deferred(secrets.token_hex(8))

    async def made(
        self, make: Callable[[View], Element], view: View, objects: int, deferred: Deferred | None
    ) -> Element:
        """Return the answer; `objects` is about how many of them it shows."""
        if objects <= AT_ONCE_MAX:
            return make(view)
        captured = capture(view.state)
        async with self._turns:
            return await asyncio.to_thread(_made, make, view, captured, deferred)

    async def text(
        self,
        document: Element,
        deferred: Deferred,
        *,
        encoding: str = "UTF-8",
        indented: bool = False,
    ) -> bytes:
        """Return a document's text with all that was deferred."""
        if deferred.is_empty and _is_small(document):
            return answer_bytes(document, encoding=encoding, indented=indented)
        async with self._turns:
            return await asyncio.to_thread(_text, document, deferred, encoding, indented)


def _is_small(document: Element) -> bool:
    """Whether writing the document takes no time worth speaking of."""
    characters = 0
    for count, each in enumerate(document.iter()):
        characters += len(each.text or "")
        if count >= ELEMENTS_AT_ONCE_MAX or characters > TEXT_AT_ONCE_MAX:
            return False
    return True


def _made(
    make: Callable[[View], Element], view: View, captured: Capture, deferred: Deferred | None
) -> Element:
    with without_full_collections():
        return make(replace(view, state=captured.to_state(), deferred=deferred))


def _text(document: Element, deferred: Deferred, encoding: str, indented: bool) -> bytes:
    with without_full_collections():
        text = answer_bytes(document, encoding=encoding, indented=indented)
        return b"".join(deferred.pieces(text, encoding, indented=indented))
