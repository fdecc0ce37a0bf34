"""Work on the journal of an engine that does not run: look at it, verify it, rebuild histories."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.codec.journal import JOURNAL
from engine.codec.snapshot import state_from_snapshot
from engine.errors import CodecError, StoreUnavailable
from engine.kernel.evolve import evolve
from engine.kernel.ids import EventNumber
from engine.kernel.invariants import violations
from engine.kernel.limits import READ_EVENTS_MAX
from engine.kernel.state import State
from engine.service.histories import HistoryProjector
from engine.service.paths import EnginePaths
from engine.store.base import NO_EVENT, Store
from engine.store.history import History, Projected
from engine.store.lease import FolderLock
from engine.store.sqlite import SqliteStore


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalFacts:
    """What a look at a journal tells."""

    first: EventNumber
    last: EventNumber
    snapshot: EventNumber | None
    orders: int
    tasks: int
    problems: tuple[str, ...]
    """A sentence for everything that is wrong; empty: all is well."""


@asynccontextmanager
async def opened(data: Path) -> AsyncIterator[Store]:
    """Open the journal of a data folder that no engine works on.

    Raises AlreadyRunning while one does, StoreUnavailable without a journal.
    """
    paths = EnginePaths(data)
    if not paths.journal.is_file():
        raise StoreUnavailable(f"there is no journal in {data}")
    lock = FolderLock(paths.lock)
    lock.acquire()
    store = SqliteStore(paths.journal)
    try:
        await store.open()
        yield store
    finally:
        await store.close()
        lock.release()


async def _begin(store: Store) -> tuple[State, EventNumber]:
    """Return where a replay of everything that can be replayed begins."""
    bounds = await store.bounds()
    if bounds.first <= 1:
        return State(), NO_EVENT
    snapshot = await store.latest_snapshot()
    if snapshot is None:
        raise StoreUnavailable("the journal has been shortened and no snapshot can be read")
    return state_from_snapshot(snapshot.body), snapshot.number


async def verify(data: Path) -> JournalFacts:
    """Read everything, replay it, and check every invariant of the state that comes out."""
    async with opened(data) as store:
        problems = list(await store.verify())
        bounds = await store.bounds()
        snapshot = await store.latest_snapshot()
        state, number = await _begin(store)
        try:
            while rows := await store.read(number, READ_EVENTS_MAX):
                for row in rows:
                    evolve(state, JOURNAL.event_of(row))
                number = rows[-1].number
            problems += violations(state)
        except (CodecError, AssertionError, KeyError) as error:
            problems.append(f"the events after {number} cannot be replayed: {error!r}")
        return JournalFacts(
            first=bounds.first,
            last=bounds.last,
            snapshot=None if snapshot is None else snapshot.number,
            orders=len(state.orders),
            tasks=len(state.tasks),
            problems=tuple(problems),
        )


async def rebuild_histories(data: Path) -> EventNumber:
    """Make the histories again from the journal; returns the last event that is in them.

    What the journal no longer has stays in the histories as it is.
    """
    async with opened(data) as store:
        history = History(EnginePaths(data).histories)
        await history.open()
        try:
            state, number = await _begin(store)
            projector = HistoryProjector(state)
            await history.forget_from(EventNumber(number + 1))
            while rows := await store.read(number, READ_EVENTS_MAX):
                batch: list[Projected] = [
                    (row.number, list(projector.records(JOURNAL.event_of(row), row.at, row.cause)))
                    for row in rows
                ]
                await history.apply_all(batch)
                number = rows[-1].number
            return number
        finally:
            await history.close()
