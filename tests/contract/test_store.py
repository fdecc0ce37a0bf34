"""The contract of `engine.store.base`, for every store."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from engine.errors import EventsGone, Fenced, StoreCorrupt, StoreError, StoreUnavailable
from engine.kernel.ids import Epoch, EventNumber
from engine.kernel.instants import Instant
from engine.kernel.limits import READ_EVENTS_MAX, TRUNCATE_EVENTS_MAX
from engine.store.base import NO_EVENT, Bounds, NewEvent, Store
from engine.store.memory import MemoryDisk, MemoryStore
from engine.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


class Disk(Protocol):
    """Where stores live, one after another, and what can happen to it."""

    def store(self) -> Store: ...
    def damage(self, number: int) -> None: ...
    def remove(self, number: int) -> None: ...
    def damage_snapshot(self, number: int) -> None: ...


class InMemory:
    def __init__(self, _folder: Path) -> None:
        self.disk = MemoryDisk()

    def store(self) -> Store:
        return MemoryStore(self.disk)

    def damage(self, number: int) -> None:
        self.disk.damage(EventNumber(number))

    def remove(self, number: int) -> None:
        del self.disk.rows[EventNumber(number)]

    def damage_snapshot(self, number: int) -> None:
        self.disk.damage_snapshot(EventNumber(number))


class InSqlite:
    def __init__(self, folder: Path) -> None:
        self.file = folder / "journal.sqlite"

    def store(self) -> Store:
        return SqliteStore(self.file)

    def damage(self, number: int) -> None:
        self._change("UPDATE events SET body = CAST(body || '?' AS BLOB) WHERE number = ?", number)

    def remove(self, number: int) -> None:
        self._change("DELETE FROM events WHERE number = ?", number)

    def damage_snapshot(self, number: int) -> None:
        self._change(
            "UPDATE snapshots SET body = CAST(body || '?' AS BLOB) WHERE number = ?", number
        )

    def _change(self, statement: str, number: int) -> None:
        connection = sqlite3.connect(self.file)
        with connection:
            connection.execute(statement, (number,))
        connection.close()


@pytest.fixture(params=[InMemory, InSqlite])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Disk:
    made: Disk = request.param(tmp_path)
    return made


@pytest.fixture
async def store(disk: Disk) -> AsyncIterator[Store]:
    opened = disk.store()
    await opened.open()
    yield opened
    await opened.close()


def events(*bodies: str, cause: str = "") -> list[NewEvent]:
    return [
        NewEvent(at=Instant(1000 + i), kind="Happened", body=body.encode(), cause=cause)
        for i, body in enumerate(bodies)
    ]


async def bodies(store: Store, after: int = 0) -> list[str]:
    return [event.body.decode() for event in await store.read(EventNumber(after), 1000)]


async def test_an_empty_journal_has_no_events(store: Store) -> None:
    assert await store.bounds() == Bounds(first=EventNumber(1), last=NO_EVENT)
    assert await store.read(NO_EVENT, 10) == []
    assert await store.latest_snapshot() is None


async def test_events_come_back_as_they_were_in_their_order(store: Store) -> None:
    epoch = await store.begin_epoch()
    assert await store.append(epoch, events("a", "b", cause="request 7 by ann")) == 2
    assert await store.append(epoch, events("c")) == 3
    read = await store.read(NO_EVENT, 10)
    assert [event.number for event in read] == [1, 2, 3]
    assert [event.body for event in read] == [b"a", b"b", b"c"]
    assert read[1].cause == "request 7 by ann"
    assert read[1].at == 1001
    assert read[1].kind == "Happened"


async def test_reading_starts_after_a_number_and_stops_at_the_limit(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b", "c", "d"))
    assert [event.number for event in await store.read(EventNumber(1), 2)] == [2, 3]
    assert await store.read(EventNumber(4), 2) == []
    assert await store.read(EventNumber(9), 2) == []


async def test_a_read_returns_no_more_than_the_general_limit(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events(*"x" * (READ_EVENTS_MAX + 1)))
    assert len(await store.read(NO_EVENT, READ_EVENTS_MAX * 2)) == READ_EVENTS_MAX


async def test_an_empty_append_returns_the_last_number(store: Store) -> None:
    epoch = await store.begin_epoch()
    assert await store.append(epoch, []) == 0
    await store.append(epoch, events("a"))
    assert await store.append(epoch, []) == 1


async def test_everything_is_there_after_opening_again(disk: Disk, store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b"))
    await store.save_snapshot(EventNumber(1), b"state")
    await store.set_meta("engine", "e-1")
    await store.close()
    again = disk.store()
    await again.open()
    assert await bodies(again) == ["a", "b"]
    snapshot = await again.latest_snapshot()
    assert snapshot is not None
    assert (snapshot.number, snapshot.body) == (1, b"state")
    assert await again.meta("engine") == "e-1"
    assert await again.begin_epoch() == epoch + 1
    await again.close()


async def test_a_new_epoch_makes_the_old_one_powerless(store: Store) -> None:
    old = await store.begin_epoch()
    await store.append(old, events("a"))
    new = await store.begin_epoch()
    with pytest.raises(Fenced) as caught:
        await store.append(old, events("b"))
    assert (caught.value.own, caught.value.newest) == (old, new)
    assert await store.append(new, events("c")) == 2
    assert await bodies(store) == ["a", "c"]


async def test_an_epoch_that_was_never_begun_is_refused(store: Store) -> None:
    with pytest.raises(Fenced):
        await store.append(Epoch(1), events("a"))


async def test_a_refused_append_does_not_harm_those_waiting_with_it(store: Store) -> None:
    old = await store.begin_epoch()
    new = await store.begin_epoch()
    results = await asyncio.gather(
        store.append(new, events("a")),
        store.append(old, events("never")),
        store.append(new, events("b")),
        return_exceptions=True,
    )
    assert isinstance(results[1], Fenced)
    assert [results[0], results[2]] == [1, 2]
    assert await bodies(store) == ["a", "b"]


async def test_appends_at_the_same_time_keep_their_order_and_their_batches(store: Store) -> None:
    epoch = await store.begin_epoch()
    numbers = await asyncio.gather(
        *(store.append(epoch, events(f"{i}.0", f"{i}.1")) for i in range(100))
    )
    assert numbers == [2 * i + 2 for i in range(100)]
    assert await bodies(store) == [f"{i}.{j}" for i in range(100) for j in range(2)]


async def test_a_changed_event_is_noticed(disk: Disk, store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b", "c"))
    disk.damage(2)
    assert await bodies(store, after=2) == ["c"]
    with pytest.raises(StoreCorrupt, match="event 2 is not as it was written"):
        await store.read(NO_EVENT, 10)
    assert any("event 2" in finding for finding in await store.verify())


async def test_a_missing_event_is_noticed(disk: Disk, store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b", "c", "d"))
    disk.remove(3)
    for after in (0, 2):
        with pytest.raises(StoreCorrupt, match="missing"):
            await store.read(EventNumber(after), 10)


async def test_a_sound_journal_has_no_findings(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b", "c", "d"))
    assert await store.verify() == ()


async def test_the_newest_snapshot_is_found_and_old_ones_are_dropped(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events(*"abcdefgh"))
    for number in (2, 4, 6):
        await store.save_snapshot(EventNumber(number), f"state {number}".encode())
    found = await store.latest_snapshot()
    assert found is not None
    assert (found.number, found.body) == (6, b"state 6")
    # 4 and 6 are kept: everything up to 4 may go, not more.
    assert await store.truncate_before(EventNumber(8)) == 5


async def test_a_snapshot_that_cannot_be_read_gives_way_to_the_one_before(
    disk: Disk, store: Store
) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events(*"abcdefgh"))
    await store.save_snapshot(EventNumber(2), b"old")
    await store.save_snapshot(EventNumber(5), b"new")
    await store.truncate_before(EventNumber(8))
    disk.damage_snapshot(5)
    found = await store.latest_snapshot()
    assert found is not None
    assert (found.number, found.body) == (2, b"old")
    assert await bodies(store, after=2) == list("cdefgh")
    disk.damage_snapshot(2)
    with pytest.raises(StoreCorrupt):
        await store.latest_snapshot()


async def test_a_snapshot_of_an_event_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.save_snapshot(EventNumber(1), b"state")


async def test_nothing_is_removed_without_a_snapshot(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b"))
    assert await store.truncate_before(EventNumber(2)) == 1
    assert await bodies(store) == ["a", "b"]


async def test_reading_what_has_been_removed_says_so(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events(*"abcdef"))
    await store.save_snapshot(EventNumber(4), b"state")
    assert await store.truncate_before(EventNumber(4)) == 4
    with pytest.raises(EventsGone) as caught:
        await store.read(EventNumber(1), 10)
    assert caught.value.first == 4
    assert await bodies(store, after=3) == ["d", "e", "f"]
    assert await store.bounds() == Bounds(first=EventNumber(4), last=EventNumber(6))


async def test_the_last_event_stays_and_numbering_goes_on(disk: Disk, store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", "b", "c"))
    await store.save_snapshot(EventNumber(3), b"state")
    assert await store.truncate_before(EventNumber(99)) == 3
    await store.close()
    again = disk.store()
    await again.open()
    assert await again.append(epoch, events("d")) == 4
    await again.close()


async def test_retention_works_through_more_events_than_one_piece(store: Store) -> None:
    epoch = await store.begin_epoch()
    last = await store.append(epoch, events(*"x" * (TRUNCATE_EVENTS_MAX * 2 + 10)))
    await store.save_snapshot(last, b"state")
    assert await store.truncate_before(last) == last


async def test_meta_values_are_kept_and_replaced(store: Store) -> None:
    assert await store.meta("engine") is None
    await store.set_meta("engine", "one")
    await store.set_meta("engine", "two")
    assert await store.meta("engine") == "two"


async def test_a_cause_that_is_no_text_does_not_keep_an_event_out(store: Store) -> None:
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a", cause="job caf\udce9"))
    assert (await store.read(NO_EVENT, 1))[0].cause.startswith("job caf")


async def test_a_closed_store_refuses(disk: Disk) -> None:
    store = disk.store()
    with pytest.raises(StoreUnavailable):
        await store.begin_epoch()
    await store.open()
    epoch = await store.begin_epoch()
    await store.close()
    await store.close()
    for call in (store.append(epoch, events("a")), store.read(NO_EVENT, 1), store.bounds()):
        with pytest.raises(StoreUnavailable):
            await call
