"""Long work in slices, with a turn for everybody else between two of them."""

import asyncio

import pytest

from engine.server.slices import slices

pytestmark = pytest.mark.anyio


async def test_others_have_a_turn_after_each_slice() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    parts = [part async for part in slices(range(5), slice_s=0.0)]
    counting.cancel()
    assert [item for part in parts for item in part] == [0, 1, 2, 3, 4]
    assert turns >= len(parts) - 1


async def test_what_takes_no_time_is_one_slice_and_nothing_is_none() -> None:
    assert [part async for part in slices("abc", slice_s=60.0)] == [["a", "b", "c"]]
    assert [part async for part in slices("")] == []
