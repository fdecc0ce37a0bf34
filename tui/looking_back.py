"""Looking back: going to a moment, stepping by events, playing; the screens are the same.

While the past is shown nothing can be sent. A saved journal is nothing but past.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, tzinfo
from typing import Protocol

from engine.kernel.instants import Instant
from tui.client import EngineAway, EngineClient, NotAdmitted, SnapshotNeeded
from tui.journal_file import JournalFile
from tui.mirror import Fact, Link, LinkStatus, Mirror
from tui.past import Past, all_facts
from tui.views.starting import parse_past

FACTS_AT_ONCE = 2_000
"""Then the screen gets a turn."""
SPEED_MAX = 10_000.0
TOLD_EVERY = 50_000
"""Events after which a long journey says how far it is."""


class Viewer(Protocol):
    """What looking back needs of the program."""

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a notice."""
        ...

    def redraw(self) -> None:
        """Draw everything anew."""
        ...


class LookingBack:
    """Holds the past that is shown, if one is."""

    def __init__(
        self,
        client: EngineClient,
        mirror: Mirror,
        viewer: Viewer,
        *,
        now: Callable[[], Instant],
    ) -> None:
        self._client = client
        self._mirror = mirror
        self._viewer = viewer
        self._now = now
        self._turn = asyncio.Lock()
        """Steps are taken one after the other, as they were asked for."""
        self.is_journal = isinstance(client, JournalFile)
        self.shown: Past | None = None
        self.speed = 0.0
        """How many seconds of then pass in one of now; 0: it stands still."""

    @property
    def why_not(self) -> str:
        """Why nothing can be changed while the past is shown."""
        if self.is_journal:
            return "this is a saved journal, not an engine"
        return "this is the past; :now comes back"

    def moment(self, text: str, zone: tzinfo = UTC) -> Instant | None:
        """Return the moment that is meant; None for the last event. Raises ValueError."""
        if not text.strip():
            return None
        now = self._now() if self.shown is None else max(self.shown.last_at, self.shown.now)
        return parse_past(text, now, zone)

    async def go_to(self, moment: Instant | None) -> None:
        """Show everything as it was; None: at the last event."""
        self.speed = 0.0
        async with self._turn:
            await self._go_to(moment)

    async def _go_to(self, moment: Instant | None) -> None:
        past = await self._opened()
        if past is None:
            return
        count = len(past) if moment is None else past.count_until(moment)
        await self._fold(past, count)
        past.stand_at(moment)
        self._show(past)

    async def step(self, events: int) -> None:
        """Go so many events on or back; from the present: to the last event."""
        self.speed = 0.0
        async with self._turn:
            if self.shown is None:
                await self._go_to(None)
                return
            past = self.shown
            await self._fold(past, past.folded + events)
            past.stand_at(None)
            self._show(past)

    def come_back(self) -> bool:
        """Show the present; False for a journal, which has none."""
        self.speed = 0.0
        if self.is_journal:
            return False
        self.shown = None
        self._viewer.redraw()
        return True

    # --- playing -----------------------------------------------------------------------------

    def play(self, text: str) -> None:
        """Let the past pass, `10x` ten times as fast; `stop` stands still. Raises ValueError."""
        word = text.strip().casefold().removesuffix("x")
        if word in {"stop", "off", "0"}:
            self.speed = 0.0
            if self.shown is not None:
                self._show(self.shown)
            return
        try:
            speed = float(word or "1")
        except ValueError:
            speed = 0.0
        if not 0 < speed <= SPEED_MAX:
            raise ValueError(f"{text!r} is no speed; write play 10x, or play stop")
        if self.shown is None:
            raise ValueError("first go to a time: at 14:00; then play")
        self.speed = speed
        self._show(self.shown)

    async def pass_time(self, seconds: float) -> None:
        """Let so much time of now pass."""
        async with self._turn:
            await self._pass_time(seconds)

    async def _pass_time(self, seconds: float) -> None:
        past = self.shown
        if past is None or not self.speed:
            return
        moment = Instant(past.now + round(seconds * self.speed * 1000))
        if moment >= past.last_at:
            self.speed = 0.0
            moment = past.last_at
        await self._fold(past, past.count_until(moment))
        past.stand_at(moment)
        self._show(past)
        if not self.speed:
            self._viewer.say("the end of the journal")

    # --- folding -----------------------------------------------------------------------------

    async def _opened(self) -> Past | None:
        if self.shown is not None:
            return self.shown
        try:
            return Past(await self._facts())
        except (EngineAway, NotAdmitted) as away:
            if self.is_journal:
                self._mirror.set_link(Link(status=LinkStatus.AWAY, text=str(away)))
            self._viewer.say(str(away), bad=True)
        except SnapshotNeeded:
            self._viewer.say(
                "the beginning of the journal is no longer there: nothing to look back at",
                bad=True,
            )
        return None

    async def _facts(self) -> list[Fact]:
        if isinstance(self._client, JournalFile):
            return await self._client.facts()
        return await all_facts(self._client, self._mirror.number, self._told)

    def _told(self, count: int) -> None:
        if count % TOLD_EVERY == 0:
            self._viewer.say(f"reading the journal: {count:,} events so far")

    async def _fold(self, past: Past, count: int) -> None:
        """Fold up to this event, a piece at a time."""
        target = past.prepare(count)
        while past.folded < target:
            past.fold(min(past.folded + FACTS_AT_ONCE, target))
            await asyncio.sleep(0)

    def _show(self, past: Past) -> None:
        self.shown = past
        playing = f", playing {self.speed:g}x" if self.speed else ""
        back = "a saved journal" if self.is_journal else ":now comes back"
        text = f"{past.place}{playing}   <,> <;> step   {back}"
        past.mirror.set_link(Link(status=LinkStatus.PAST, text=text))
        self._viewer.redraw()
