"""The one task that owns the state (architecture notes, rule 5): take, step, commit, tell.

Letters that wait together share a commit. Nobody learns of an event before it is durable: answers,
feed and drivers come after the commit. When a commit fails the loop ends with the error and the
process with it; the journal is the truth and the memory is thrown away.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from engine.codec.journal import JOURNAL, NewEvent, StoredEvent
from engine.drivers.clock import Clock
from engine.kernel.commands import Request, Tick
from engine.kernel.decide import Answer
from engine.kernel.events import Event
from engine.kernel.ids import Epoch, EventNumber
from engine.kernel.instants import NEVER, Instant
from engine.kernel.limits import BATCH_EVENTS_MAX, BATCH_LETTERS_MAX
from engine.kernel.problems import Problem
from engine.kernel.reports import Report
from engine.kernel.state import State
from engine.kernel.step import step
from engine.server.engine_port import Accepted, EngineStopping
from engine.service.inbox import Inbox, Letter
from engine.service.sealing import Incoming
from engine.store.base import Store

log = logging.getLogger(__name__)

_IDLE_TICK_S = 60.0
"""Look at the clock at least so often: it may be set, or the machine may have slept."""

Committed = Callable[[Sequence[Event], Sequence[StoredEvent]], None]
"""Called after each commit with the events and their rows."""


class EngineLoop:
    """Owns the state; everything else puts letters into its inbox."""

    def __init__(
        self,
        state: State,
        number: EventNumber,
        epoch: Epoch,
        store: Store,
        clock: Clock,
        committed: Committed,
        incoming: Incoming | None = None,
    ) -> None:
        """`incoming` seals secrets before anything is decided upon."""
        self.state = state
        self.number = number
        """The last durable event; `state` may be ahead of it while a commit is under way."""
        self.inbox = Inbox(incoming=incoming)
        self._epoch = epoch
        self._store = store
        self._clock = clock
        self._committed = committed
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    async def submit(
        self, request: Request | Report, by: str, also: Request | None = None
    ) -> Accepted | Problem:
        """Carry out one input; returns when its events are durable. Raises EngineStopping.

        `also` becomes durable with it, or not at all; a refused input takes it along.
        """
        answer = await self.inbox.put(request, by, also)
        if answer is None:
            raise EngineStopping
        reply = await answer
        if isinstance(reply, Problem):
            return reply
        return Accepted(number=self.number, subject=reply.subject)

    async def settled(self) -> None:
        """Wait until no commit is under way; right afterwards `state` is durable."""
        while not self._at_rest.is_set():
            await self._at_rest.wait()

    async def run(self) -> None:
        """Process letters until the inbox is closed and empty."""
        while True:
            letters = await self.inbox.take(BATCH_LETTERS_MAX, self._until_due_s())
            if self.inbox.is_closed and not letters:
                return
            await self._process(letters)

    def _until_due_s(self) -> float:
        due = self.state.next_due()
        if due >= NEVER:
            return _IDLE_TICK_S
        return min(max((due - self._clock.now()) / 1000, 0.0), _IDLE_TICK_S)

    async def _process(self, letters: Sequence[Letter]) -> None:
        remaining = list(letters)
        while True:
            replies: list[tuple[Letter, Answer | Problem]] = []
            events: list[Event] = []
            rows: list[NewEvent] = []
            while remaining and len(events) < BATCH_EVENTS_MAX:
                letter = remaining.pop(0)
                reply = self._step(letter.content, letter.by, events, rows)
                if letter.also is not None and not isinstance(reply, Problem):
                    self._step(letter.also, letter.by, events, rows)
                replies.append((letter, reply))
            if not replies and self.state.next_due() <= self._clock.now():
                self._step(Tick(), "time", events, rows)
            await self._commit(events, rows)
            for letter, reply in replies:
                if not letter.answer.done():
                    letter.answer.set_result(reply)
            if not remaining:
                return

    def _step(
        self,
        asked: Request | Report,
        by: str,
        events: list[Event],
        rows: list[NewEvent],
    ) -> Answer | Problem:
        at = self._clock.now()
        done = step(self.state, asked, at)
        events += done.events
        rows += [JOURNAL.new_event(event, at, by) for event in done.events]
        return done.reply

    async def _commit(self, events: Sequence[Event], rows: Sequence[NewEvent]) -> None:
        if not rows:
            return
        self._at_rest.clear()
        last = await self._store.append(self._epoch, rows)
        first = last - len(rows) + 1
        stored = [
            StoredEvent(
                number=EventNumber(first + index),
                at=Instant(row.at),
                kind=row.kind,
                body=row.body,
                cause=row.cause,
            )
            for index, row in enumerate(rows)
        ]
        self.number = last
        self._at_rest.set()
        self._committed(events, stored)
