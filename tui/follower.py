"""Keeps the mirror fed: snapshot, then events; comes back by itself when the engine was away.

One task. It never gives up: between two attempts it waits a little longer each time, up to a bound,
and the mirror's link says since when and why there is nothing new.
"""

import asyncio
import gc
import time
from collections.abc import Callable

from engine.kernel.instants import Duration, Instant
from tui.client import EngineAway, EngineClient, NotAdmitted, SnapshotNeeded
from tui.mirror import Fact, Link, LinkStatus, Mirror, MirrorBroken

FIRST_PAUSE_S = 0.3
LONGEST_PAUSE_S = 5.0
SKEW_IGNORED = Duration(1_500)
"""A smaller difference between the clocks may as well be the way of the answer."""
FACTS_AT_ONCE_MAX = 500
"""Then the screen gets a turn."""


def system_now() -> Instant:
    """Return this host's time."""
    return Instant(round(time.time() * 1000))


class Follower:
    """Feeds one mirror from one engine."""

    def __init__(
        self,
        client: EngineClient,
        mirror: Mirror,
        *,
        now: Callable[[], Instant] = system_now,
        filled: Callable[[], None] = lambda: None,
    ) -> None:
        """`filled` is called when the mirror holds another state."""
        self._client = client
        self._mirror = mirror
        self._now = now
        self._filled = filled
        self._offset = Duration(0)
        self._wake = asyncio.Event()
        self._is_stale = True
        self._was_live = False
        self._following: asyncio.Task[None] | None = None

    def now(self) -> Instant:
        """Return the engine's time as far as we know it."""
        return Instant(self._now() + self._offset)

    def resynchronise(self) -> None:
        """Take a fresh snapshot now, and try at once when the engine is away."""
        self._is_stale = True
        self._wake.set()
        if self._following is not None:
            self._following.cancel()

    async def run(self) -> None:
        """Follow until cancelled."""
        pause = FIRST_PAUSE_S
        self._set(LinkStatus.CONNECTING, "")
        while True:
            try:
                await self._follow_until_stale()
                text = "the engine ended the stream"
                self._set(LinkStatus.AWAY, text)
            except (SnapshotNeeded, MirrorBroken) as found:
                self._is_stale = True
                if isinstance(found, SnapshotNeeded):
                    await self._rest(0 if self._was_live else pause)
                    continue
                self._set(LinkStatus.AWAY, f"an event did not fit: {found}")
            except EngineAway as found:
                self._set(LinkStatus.AWAY, str(found))
            except NotAdmitted as found:
                self._set(LinkStatus.REFUSED, str(found))
            if self._was_live:
                pause = FIRST_PAUSE_S
            await self._rest(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _follow_until_stale(self) -> None:
        """Follow; a stream on which nothing comes is left at once for a fresh snapshot."""
        self._following = asyncio.create_task(self._follow())
        try:
            await self._following
        except asyncio.CancelledError:
            mine = asyncio.current_task()
            if not self._is_stale or (mine is not None and mine.cancelling()):
                raise
            raise SnapshotNeeded from None
        finally:
            self._following = None

    async def _follow(self) -> None:
        self._was_live = False
        if self._is_stale:
            await self._fill()
        await self._hear_pulses()
        self._set(LinkStatus.LIVE, "")
        self._was_live = True
        self._wake.clear()
        applied = 0
        async for notice in self._client.notices(self._mirror.number):
            if isinstance(notice, Fact):
                self._mirror.apply(notice)
                applied += 1
                if applied % FACTS_AT_ONCE_MAX == 0:
                    await asyncio.sleep(0)
            else:
                self._mirror.hear(notice)
            if self._is_stale:
                raise SnapshotNeeded

    async def _fill(self) -> None:
        snapshot = await self._client.snapshot()
        self._mirror.reset(snapshot.state, snapshot.number)
        # The collector would look through all of it again and again, and a key would wait for that.
        gc.freeze()
        self._is_stale = False
        self._filled()
        runs = await self._client.past_runs()
        tasks = await self._client.past_tasks()
        self._mirror.recall(runs, tasks)

    async def _hear_pulses(self) -> None:
        now, pulses = await self._client.pulses()
        if now:
            skew = now - self._now()
            self._offset = Duration(skew if abs(skew) > SKEW_IGNORED else 0)
        for pulse in pulses:
            self._mirror.hear(pulse)

    def _set(self, status: LinkStatus, text: str) -> None:
        former = self._mirror.link
        since = former.since if former.status is status else self.now()
        if (former.status, former.text) != (status, text) or not former.since:
            self._mirror.set_link(Link(status=status, since=since, text=text))

    async def _rest(self, pause: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            pass
