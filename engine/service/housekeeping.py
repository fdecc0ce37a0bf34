"""Keeps what the engine stores within its age limits: journal, histories, task logs.

Runs in pieces behind the loop's back, once soon after the start and then every hour.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import StoreError
from engine.kernel.ids import EventNumber
from engine.kernel.instants import Duration, Instant
from engine.kernel.limits import READ_EVENTS_MAX
from engine.kernel.state import State
from engine.store.base import NO_EVENT, Store
from engine.store.history import History
from engine.store.task_logs import TaskLogs

log = logging.getLogger(__name__)

_FIRST_S = 60.0
_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long what is kept; None: for ever."""

    journal: Duration | None
    """Events older than this go, as far as no kept snapshot needs them."""
    history: Duration | None
    task_logs: Duration | None


class Housekeeping:
    """Removes what is older than its limit."""

    def __init__(
        self,
        store: Store,
        history: History,
        logs: TaskLogs,
        retention: Retention,
        state: Callable[[], State],
        now: Callable[[], Instant],
    ) -> None:
        self._store = store
        self._history = history
        self._logs = logs
        self._retention = retention
        self._state = state
        self._now = now

    async def run(self) -> None:
        """Clean up now and then, until cancelled."""
        pause_s = _FIRST_S
        while True:
            await asyncio.sleep(pause_s)
            pause_s = _EVERY_S
            try:
                await self.clean_up()
            except StoreError as error:
                log.warning("Old records could not be removed: %s", error)

    async def clean_up(self) -> None:
        """Remove what is too old by now."""
        now = self._now()
        if self._retention.task_logs is not None:
            running = frozenset(self._state().tasks)
            await self._logs.retain(now, age_max=self._retention.task_logs, running=running)
        if self._retention.history is not None:
            await self._history.forget_before(Instant(now - self._retention.history))
        if self._retention.journal is not None:
            await self._shorten_journal(Instant(now - self._retention.journal))

    async def _shorten_journal(self, oldest: Instant) -> None:
        first = (await self._store.bounds()).first
        number = EventNumber(first - 1)
        keep_from = first
        while rows := await self._store.read(number, READ_EVENTS_MAX):
            young = next((row.number for row in rows if row.at >= oldest), None)
            number = rows[-1].number
            keep_from = EventNumber(number + 1) if young is None else young
            if young is not None:
                break
        if keep_from > max(first, NO_EVENT):
            reached = await self._store.truncate_before(keep_from)
            log.info("The journal begins with event %d now", reached)
