"""Long work in the engine's event loop, a slice at a time (architecture notes, rule 5).

The loop that decides is the loop that answers. What would hold it up is done in slices of some
milliseconds, and everybody else has a turn between two of them.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Final, TypeVar

from engine.server.collections import without_full_collections

SLICE_S: Final = 0.01

T = TypeVar("T")


async def slices(items: Iterable[T], slice_s: float = SLICE_S) -> AsyncIterator[list[T]]:
    """Yield the items in lists, each of which took no longer than a slice to make."""
    source = iter(items)
    with without_full_collections():
        while part := _slice(source, slice_s):
            yield part
            await asyncio.sleep(0)


def _slice(source: Iterator[T], slice_s: float) -> list[T]:
    part: list[T] = []
    end = time.monotonic() + slice_s
    for item in source:
        part.append(item)
        if time.monotonic() > end:
            break
    return part
