"""The journal of a stopped engine: verified, and histories made again from it."""

import asyncio
from pathlib import Path

import pytest

from engine.codec.journal import JOURNAL
from engine.errors import AlreadyRunning, StoreUnavailable
from engine.kernel.ids import EventNumber
from engine.kernel.state import State
from engine.service import journal_tools
from engine.service.histories import Histories
from engine.service.paths import EnginePaths
from engine.store.history import History
from engine.store.history_records import HistoryFilter
from engine.store.lease import FolderLock
from engine.store.sqlite import SqliteStore
from tests.support.world import World, chain, node, shell_job

pytestmark = pytest.mark.anyio


async def journal_of(world: World, data: Path) -> None:
    store = SqliteStore(EnginePaths(data).journal)
    await store.open()
    epoch = await store.begin_epoch()
    await store.append(epoch, [JOURNAL.new_event(event, world.now) for event in world.journal])
    await store.close()


def walked() -> World:
    world = World(shell_job("a"), shell_job("b"), chain("walk", node("1", "a"), node("2", "b")))
    for number in range(3):
        world.adds(str(number))
    for code in (0, 0, 3, 0, 0):
        world.ends(world.tasks()[0], code=code)
    return world


async def test_a_sound_journal_verifies_and_says_what_is_in_it(tmp_path: Path) -> None:
    world = walked()
    await journal_of(world, tmp_path)
    facts = await journal_tools.verify(tmp_path)
    assert facts.problems == ()
    assert facts.last == len(world.journal)
    assert facts.orders == len(world.state.orders)


async def test_histories_made_again_equal_those_that_grew_with_the_events(tmp_path: Path) -> None:
    world = walked()
    await journal_of(world, tmp_path)
    await journal_tools.rebuild_histories(tmp_path)
    rebuilt = History(EnginePaths(tmp_path).histories)
    await rebuilt.open()
    grown_file = tmp_path / "grown.sqlite3"
    grown = await _grown(world, grown_file, tmp_path)
    every = HistoryFilter(limit=100)
    assert await rebuilt.order_runs(every) == await grown.order_runs(every)
    assert await rebuilt.tasks(every) == await grown.tasks(every)
    assert len(await rebuilt.tasks(every)) >= 5
    await rebuilt.close()
    await grown.close()


async def _grown(world: World, file: Path, data: Path) -> History:
    history = History(file)
    histories = Histories(history)
    await histories.open()
    histories.begin(State())
    async with journal_tools.opened(data) as store:
        rows = await store.read(EventNumber(0), 10_000)
    writing = asyncio.create_task(histories.run())
    for row in rows:
        histories.committed([JOURNAL.event_of(row)], [row])
    await histories.caught_up()
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert world.journal
    return history


async def test_a_running_engine_is_left_alone(tmp_path: Path) -> None:
    await journal_of(walked(), tmp_path)
    lock = FolderLock(EnginePaths(tmp_path).lock)
    lock.acquire()
    with pytest.raises(AlreadyRunning):
        await journal_tools.verify(tmp_path)
    lock.release()


async def test_a_folder_without_a_journal_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="there is no journal"):
        await journal_tools.verify(tmp_path)
