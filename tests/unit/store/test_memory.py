"""The faults of the disk in memory."""

import asyncio

import pytest

from engine.errors import StoreUnavailable
from engine.kernel.instants import Instant
from engine.store.base import NO_EVENT, NewEvent
from engine.store.memory import MemoryDisk, MemoryStore

pytestmark = pytest.mark.anyio


def events(*bodies: str) -> list[NewEvent]:
    return [NewEvent(at=Instant(1), kind="Happened", body=body.encode()) for body in bodies]


async def bodies(store: MemoryStore) -> list[str]:
    return [event.body.decode() for event in await store.read(NO_EVENT, 100)]


async def reopened(disk: MemoryDisk) -> MemoryStore:
    store = MemoryStore(disk)
    await store.open()
    return store


@pytest.mark.parametrize("torn", [0, 1, 2])
async def test_a_crash_before_the_commit_leaves_nothing(torn: int) -> None:
    disk = MemoryDisk()
    store = await reopened(disk)
    epoch = await store.begin_epoch()
    await store.append(epoch, events("a"))

    async def crash() -> None:
        disk.crash(torn=torn)

    disk.faults.before_commit = crash
    with pytest.raises(StoreUnavailable, match="the machine has died"):
        await store.append(epoch, events("b", "c", "d"))
    disk.faults = type(disk.faults)()
    with pytest.raises(StoreUnavailable):
        await store.append(epoch, events("e"))
    again = await reopened(disk)
    assert await bodies(again) == ["a"]
    assert await again.append(await again.begin_epoch(), events("f")) == 2


async def test_a_crash_after_the_commit_leaves_all() -> None:
    disk = MemoryDisk()
    store = await reopened(disk)
    epoch = await store.begin_epoch()

    async def crash() -> None:
        disk.crash()

    disk.faults.after_commit = crash
    with pytest.raises(StoreUnavailable):
        await store.append(epoch, events("a", "b"))
    assert await bodies(await reopened(disk)) == ["a", "b"]


async def test_a_full_disk_refuses_and_recovers() -> None:
    disk = MemoryDisk()
    store = await reopened(disk)
    epoch = await store.begin_epoch()
    disk.faults.refusal = "no space left"
    with pytest.raises(StoreUnavailable, match="no space left"):
        await store.append(epoch, events("a"))
    disk.faults.refusal = ""
    assert await store.append(epoch, events("b")) == 1
    assert await bodies(store) == ["b"]


async def test_a_slow_disk_keeps_the_order() -> None:
    disk = MemoryDisk()
    store = await reopened(disk)
    epoch = await store.begin_epoch()
    gate = asyncio.Event()

    async def wait() -> None:
        await gate.wait()

    disk.faults.before_commit = wait
    waiting = [asyncio.create_task(store.append(epoch, events(name))) for name in "abc"]
    await asyncio.sleep(0)
    assert disk.last == 0
    gate.set()
    assert await asyncio.gather(*waiting) == [1, 2, 3]
    assert await bodies(store) == ["a", "b", "c"]
