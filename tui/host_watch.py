"""Keeps the mirror's remote hosts fresh: often while a screen shows them, else hardly ever.

Looking costs an exec on each host, so nobody looks without a reason: a screen that shows hosts, a
run over SSH that has just ended badly (its processes may be orphans), or orphans that are
counted in the header and may have gone meanwhile.
"""

import asyncio
from collections.abc import Callable

from engine.kernel.instants import Instant
from engine.kernel.sessions.marks import Mark, RunEnd
from tui.client import EngineAway, EngineClient, NotAdmitted
from tui.mirror import LinkStatus, Mirror
from tui.remote import Breadth

SHOWN_EVERY_S = 2.0
"""While a screen shows hosts: how often the engine is asked for its last look."""
IDLE_EVERY_S = 60.0
"""While orphans are known and no screen shows them."""
TICK_S = 1.0
LOOKS_MAX = 4
"""So often in a row when nothing is shown; an engine needs a moment for the first look."""
AT_ONCE_MAX = 8
"""Hosts whose processes are fetched at the same time."""
AUDIT_LINES = 20


class HostWatch:
    """Feeds `mirror.remote` from one engine."""

    def __init__(
        self,
        client: EngineClient,
        mirror: Mirror,
        *,
        now: Callable[[], Instant],
        is_shown: Callable[[], bool],
        every_s: Callable[[], float] = lambda: SHOWN_EVERY_S,
    ) -> None:
        self._client = client
        self._mirror = mirror
        self._now = now
        self._wake = asyncio.Event()
        self._is_shown = is_shown
        self._every_s = every_s
        self._looks_left = 0
        self._asked_until = Instant(0)

    def hurry(self) -> None:
        """Look at once: a person has just come to look."""
        self._wake.set()

    @property
    def _everyone(self) -> bool:
        return self._mirror.remote.breadth is Breadth.EVERYONE

    def widen(self) -> Breadth:
        """List more: what is ours, then the account's own, then everybody's; then begin anew."""
        choices = list(Breadth)
        remote = self._mirror.remote
        remote.breadth = choices[(choices.index(remote.breadth) + 1) % len(choices)]
        for name, host in remote.hosts.items():
            if host.is_detailed:
                # Of no version that an engine has: fetched anew at the next chance.
                remote.hosts[name] = host.outdated()
        self._wake.set()
        self.note()
        return remote.breadth

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if self._mirror.link.status is LinkStatus.LIVE and self._has_reason():
                await self.look()
            await self._rest(self._every_s() if self._is_shown() else TICK_S)

    async def look(self) -> None:
        """Take the engine's last look at all hosts, and the rows of those that changed."""
        remote = self._mirror.remote
        try:
            looks = await self._client.processes()
            if looks is None:
                remote.is_served, remote.problem = False, "this engine has no SSH hosts"
            else:
                outdated = remote.take_list(looks, self._now())
                await self._fetch(outdated)
                remote.audit = tuple(await self._client.process_audit(AUDIT_LINES))
        except (EngineAway, NotAdmitted) as away:
            remote.problem = str(away)
        self._mirror.note_remote()

    def note(self) -> None:
        """Have rows drawn anew: something was asked for."""
        self._mirror.note_remote()

    async def refresh(self, host: str) -> None:
        """Have one host looked at now."""
        remote = self._mirror.remote
        try:
            look = await self._client.host_processes(host, everyone=self._everyone, refresh=True)
            if look is not None:
                remote.take_host(look)
            remote.audit = tuple(await self._client.process_audit(AUDIT_LINES))
        except (EngineAway, NotAdmitted) as away:
            remote.problem = str(away)
        self._mirror.note_remote()

    async def _fetch(self, names: list[str]) -> None:
        slots = asyncio.Semaphore(AT_ONCE_MAX)

        async def fetch(name: str) -> None:
            async with slots:
                look = await self._client.host_processes(name, everyone=self._everyone)
            if look is not None:
                self._mirror.remote.take_host(look)

        await asyncio.gather(*(fetch(name) for name in names))

    def _has_reason(self) -> bool:
        if self._is_shown():
            return True
        broken = max(
            (
                run.ended_at or Instant(0)
                for run in self._mirror.state.ssh_runs.values()
                if run.end is RunEnd.BROKEN
            ),
            default=Instant(0),
        )
        if broken > self._asked_until:
            self._asked_until, self._looks_left = broken, LOOKS_MAX
        if self._looks_left:
            self._looks_left -= 1
            return True
        remote = self._mirror.remote
        looked = remote.looked_at or Instant(0)
        return bool(remote.count(Mark.ORPHAN)) and self._now() - looked > IDLE_EVERY_S * 1000

    async def _rest(self, pause: float) -> None:
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()
