"""What a long search for garbage leaves is not looked at again, until the next day."""

import asyncio
import gc

import pytest

from engine.service.garbage import short_collections

pytestmark = pytest.mark.anyio


async def test_what_a_long_search_leaves_is_left_out_of_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.service.garbage.LONG_S", 0)
    before = gc.get_freeze_count()
    with short_collections():
        gc.collect()
        await asyncio.sleep(0)
        assert gc.get_freeze_count() > before
    assert gc.get_freeze_count() == 0


async def test_a_short_search_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.service.garbage.LONG_S", 3600)
    before = gc.get_freeze_count()
    with short_collections():
        gc.collect()
        await asyncio.sleep(0)
        assert gc.get_freeze_count() == before


async def test_after_a_day_everything_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.service.garbage.LONG_S", 3600)
    monkeypatch.setattr("engine.service.garbage.ALL_AGAIN_S", 0.01)
    with short_collections():
        gc.freeze()
        async with asyncio.timeout(60):
            while gc.get_freeze_count():  # noqa: ASYNC110  # the interpreter tells nobody
                await asyncio.sleep(0.01)
