"""Snapshot + journal -> state, and a look at what the histories still have to learn."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.codec.journal import JOURNAL
from engine.codec.snapshot import state_from_snapshot
from engine.kernel.events import Event
from engine.kernel.evolve import evolve
from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant
from engine.kernel.limits import READ_EVENTS_MAX
from engine.kernel.state import State
from engine.store.base import NO_EVENT, Store, StoredEvent

log = logging.getLogger(__name__)

Seen = Callable[[Event, StoredEvent], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What the journal says."""

    state: State
    number: EventNumber
    """The last event that is in the state."""
    replayed: int
    """Events folded onto the snapshot."""
    last_at: Instant | None
    """When the last event was written; None: there is none."""


async def recover(store: Store, begun: Callable[[State], None], seen: Seen) -> Recovered:
    """Return the state as the journal has it.

    `begun` is told the state from which the replay begins, `seen` each replayed event: so the
    histories catch up with what they missed.
    """
    started = time.monotonic()
    snapshot = await store.latest_snapshot()
    if snapshot is None:
        state, number = State(), NO_EVENT
    else:
        state, number = state_from_snapshot(snapshot.body), snapshot.number
    begun(state)
    last = await store.read(EventNumber(number - 1), 1) if number > NO_EVENT else []
    last_at = last[-1].at if last else None
    replayed = 0
    while rows := await store.read(number, READ_EVENTS_MAX):
        for row in rows:
            event = JOURNAL.event_of(row)
            evolve(state, event)
            seen(event, row)
        number, last_at = rows[-1].number, rows[-1].at
        replayed += len(rows)
    log.info(
        "Recovered %d orders and %d tasks as of event %d (%d events replayed) in %.2f s",
        len(state.orders),
        len(state.tasks),
        number,
        replayed,
        time.monotonic() - started,
    )
    return Recovered(state=state, number=number, replayed=replayed, last_at=last_at)
