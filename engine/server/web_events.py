"""The event buffer of the JSON web service: the newest events in memory (xml-commands.md 10).

Ids are milliseconds since 1970 times 1000 plus a counter, strictly increasing, as clients read a
time from them. Following begins with the first request and ends with the engine.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.codec.journal import JOURNAL
from engine.codec.web_events import web_events
from engine.codec.web_service import Json
from engine.errors import CodecError
from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant
from engine.server.custom_events import TYPE, CustomEvent
from engine.server.engine_port import EnginePort, EngineStopping, TooOld

KEPT_MAX: Final = 10_000
CATCH_UP_MAX: Final = 10_000
"""Events of the journal that are read at the first request."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Torn:
    """The asked-for event is no longer kept."""


class WebEvents:
    """Follows the engine and keeps what the web service tells of it."""

    def __init__(self, port: EnginePort) -> None:
        self._port = port
        self._kept: deque[tuple[int, Json]] = deque(maxlen=KEPT_MAX)
        self._last_id = 0
        self._dropped = False
        self._changed = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self._caught_up = asyncio.Event()

    async def begin(self) -> None:
        """Follow the engine if that has not begun; returns when the past is read."""
        if self._task is None or self._task.done():
            self._caught_up.clear()
            self._task = asyncio.create_task(self._follow(), name="web events")
        await self._caught_up.wait()

    @property
    def last_id(self) -> int:
        """The id of the newest event, or one that lies before all that are to come."""
        return self._last_id or self._port.now() * 1000

    def after(self, event_id: int, is_wanted: Callable[[Json], bool]) -> list[Json] | Torn:
        """Return wanted events with a greater id; 0 is the beginning of what is kept."""
        if event_id > 0 and self._dropped and self._kept and event_id < self._kept[0][0] - 1:
            return Torn()
        found = []
        for number, event in reversed(self._kept):
            if number <= event_id:
                break
            if is_wanted(event):
                found.append({"eventId": number} | event)
        return found[::-1]

    async def wait(
        self, event_id: int, is_wanted: Callable[[Json], bool], timeout_s: float
    ) -> None:
        """Return when a wanted event is there, the time is over, or the engine ends."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                while self._task is not None and not self._task.done():
                    found = self.after(event_id, is_wanted)
                    if isinstance(found, Torn) or found:
                        return
                    await self._changed.wait()
        except TimeoutError:
            return

    def published(self, event: CustomEvent) -> None:
        """Take over a custom event."""
        content = {"TYPE": TYPE, "key": event.key, "variables": event.variables}
        self._keep(event.at, content)
        task = asyncio.ensure_future(self._tell())
        task.add_done_callback(lambda done: done.exception())

    async def _follow(self) -> None:
        begin = EventNumber(max(0, self._port.number - CATCH_UP_MAX))
        caught_up_at = self._port.number
        try:
            if begin >= caught_up_at:
                self._caught_up.set()
            async for notice in self._port.notices(begin):
                row = notice.event
                if row is None:
                    continue
                try:
                    event = JOURNAL.event_of(row)
                except CodecError as error:
                    _log.error("an event cannot be read: %s", error)
                    continue
                for told in web_events(self._port.state, event):
                    self._keep(row.at, told)
                if row.number >= caught_up_at:
                    self._caught_up.set()
                    await self._tell()
        except (TooOld, EngineStopping):
            _log.debug("the web events begin anew")
        finally:
            self._caught_up.set()
            await self._tell()

    def _keep(self, at: Instant, event: Json) -> None:
        self._dropped = self._dropped or len(self._kept) == KEPT_MAX
        self._last_id = max(self._last_id + 1, at * 1000)
        self._kept.append((self._last_id, event))

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()
