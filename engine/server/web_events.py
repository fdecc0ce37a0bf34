"""The event buffer of the JSON web service: the newest events in memory (xml-commands.md 10).

Ids are milliseconds since 1970 times 1000 plus a counter, strictly increasing, as clients read a
time from them. Following begins with the first request and ends with the engine.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from engine.codec.journal import JOURNAL
from engine.codec.streamed_json import Json
from engine.codec.web_events import CLOSED, WebEventMaker
from engine.errors import CodecError
from engine.kernel.events.control import EpochBegan
from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant
from engine.server.custom_events import TYPE, CustomEvent
from engine.server.engine_port import EnginePort, EngineStopping, Notice, TooOld

KEPT_MAX: Final = 10_000
CATCH_UP_MAX: Final = 10_000
"""Events of the journal that are read at the first request."""
NOTICES_AT_ONCE_MAX: Final = 200
"""Then everybody else has a turn: some milliseconds."""
MESSAGE_CHARACTERS_MAX: Final = 4_000
"""Longer messages of the engine's log are cut in the event stream."""

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
        self._torn_below = 0
        """Who knows no event of at least this id has missed some that are not kept."""
        self._is_cut = False
        """What lies before the next event that is kept was not read."""
        self._reached: EventNumber | None = None
        """The journal's last event that was told; None: following has not begun."""
        self._news = asyncio.Event()
        self._tells = False
        """Those who wait will be woken presently."""
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
        return self._last_id

    def after(self, event_id: int, is_wanted: Callable[[Json], bool]) -> list[Json] | Torn:
        """Return wanted events with a greater id; 0 is the beginning of what is kept."""
        if self._is_torn(event_id):
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
        seen = event_id
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._task is not None and not self._task.done():
                    news = self._news
                    found = self.after(seen, is_wanted)
                    if isinstance(found, Torn) or found:
                        return
                    seen = max(seen, self._last_id)
                    await news.wait()

    def published(self, event: CustomEvent) -> None:
        """Take over a custom event."""
        self._keep(event.at, {"TYPE": TYPE, "key": event.key, "variables": event.variables})
        self._tell()

    # --- following ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        tap = _LogTap(asyncio.get_running_loop(), self._logged)
        logging.getLogger().addHandler(tap)
        try:
            await self._read_on()
            self._keep(self._port.now(), CLOSED)
        except TooOld:
            # Too slow, or the journal was shortened meanwhile: what is missing is not made up.
            self._reached = self._port.number
            self._last_id = max(self._last_id + 1, self._port.now() * 1000)
            self._torn_below = self._last_id
            self._kept.clear()
        except EngineStopping:
            self._keep(self._port.now(), CLOSED)
        finally:
            logging.getLogger().removeHandler(tap)
            self._caught_up.set()
            self._tell()

    async def _read_on(self) -> None:
        goal = self._port.number
        if self._reached is None:
            self._reached = EventNumber(max(0, goal - CATCH_UP_MAX))
            self._is_cut = self._reached > 0
        maker = WebEventMaker(self._port.state, from_the_first=self._reached == 0)
        self._note_progress(goal)
        notices = self._port.notices(self._reached)
        count = 0
        try:
            async for notice in notices:
                self._take(notice, maker)
                self._note_progress(goal)
                count += 1
                if count % NOTICES_AT_ONCE_MAX == 0:
                    await asyncio.sleep(0)
        finally:
            close = getattr(notices, "aclose", None)
            if close is not None:
                await close()

    def _take(self, notice: Notice, maker: WebEventMaker) -> None:
        row = notice.event
        if row is None:
            return
        self._reached = row.number
        try:
            event = JOURNAL.event_of(row)
        except CodecError as error:
            _log.error("an event cannot be read: %s", error)
            return
        if isinstance(event, EpochBegan):
            # The stream is one of this life; ids of a former one may have been others.
            self._kept.clear()
            self._torn_below = max(self._last_id + 1, row.at * 1000)
            self._is_cut = False
        for told in maker.events(event):
            self._keep(row.at, told)

    def _note_progress(self, goal: EventNumber) -> None:
        """Let those go on who wait for the past, or for what is new."""
        assert self._reached is not None, "following has begun"
        if self._reached >= goal:
            if not self._caught_up.is_set():
                self._last_id = self._last_id or self._port.now() * 1000
            self._caught_up.set()
            self._tell()

    def _logged(self, level: str, message: str) -> None:
        event = {"TYPE": "Logged", "level": level, "message": message[:MESSAGE_CHARACTERS_MAX]}
        self._keep(self._port.now(), event)
        self._tell()

    def _is_torn(self, event_id: int) -> bool:
        return 0 < event_id < self._torn_below

    def _keep(self, at: Instant, event: Json) -> None:
        if len(self._kept) == self._kept.maxlen:
            self._torn_below = self._kept[0][0]
        self._last_id = max(self._last_id + 1, at * 1000)
        if self._is_cut:
            self._torn_below, self._is_cut = self._last_id - 1, False
        self._kept.append((self._last_id, event))

    def _tell(self) -> None:
        """Wake those who wait, when everything that is there already has been taken."""
        if not self._tells:
            self._tells = True
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        self._tells = False
        news, self._news = self._news, asyncio.Event()
        news.set()


class _LogTap(logging.Handler):
    """Hands the engine's log on, from whatever thread it is written."""

    def __init__(self, loop: asyncio.AbstractEventLoop, take: Callable[[str, str], None]) -> None:
        super().__init__()
        self._loop = loop
        self._take = take

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a message on."""
        try:
            level, message = _level_name(record.levelno), record.getMessage()
            self._loop.call_soon_threadsafe(self._take, level, message)
        except Exception:  # noqa: BLE001  # as logging handlers do: whoever logs must not suffer
            self.handleError(record)


def _level_name(number: int) -> str:
    if number >= logging.ERROR:
        return "error"
    if number >= logging.WARNING:
        return "warning"
    return "info" if number >= logging.INFO else "debug1"
