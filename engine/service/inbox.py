"""The bounded queue before the owner of the state."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.kernel.commands import Request
from engine.kernel.decide import Answer
from engine.kernel.limits import INBOX_LETTERS_MAX
from engine.kernel.problems import Problem
from engine.kernel.reports import Report


@dataclass(slots=True)
class Letter:
    """One input with the place where its answer goes."""

    content: Request | Report
    by: str
    """Who asked, for the journal's cause."""
    also: Request | None
    """Carried out right after it and committed with it, unless it was refused."""
    answer: asyncio.Future[Answer | Problem] = field(repr=False)


class Inbox:
    """Letters in the order of their arrival; `put` waits while the inbox is full."""

    def __init__(
        self,
        capacity: int = INBOX_LETTERS_MAX,
        incoming: Callable[[Request | Report], Request | Report] | None = None,
    ) -> None:
        """`incoming` is what each content goes through before it is queued."""
        self._incoming = incoming
        self._letters: deque[Letter] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Semaphore(capacity)
        self._closed = False

    def __len__(self) -> int:
        return len(self._letters)

    @property
    def is_closed(self) -> bool:
        """Whether no more letters are taken."""
        return self._closed

    async def put(
        self, content: Request | Report, by: str, also: Request | None = None
    ) -> asyncio.Future[Answer | Problem] | None:
        """Queue a letter; returns where its answer will be, None when the inbox is closed."""
        await self._room.acquire()
        if self._closed:
            self._room.release()
            return None
        if self._incoming is not None:
            content = self._incoming(content)
        answer: asyncio.Future[Answer | Problem] = asyncio.get_running_loop().create_future()
        self._letters.append(Letter(content=content, by=by, also=also, answer=answer))
        self._arrived.set()
        return answer

    async def take(self, at_most: int, timeout_s: float | None) -> list[Letter]:
        """Return waiting letters, or none after `timeout_s` seconds (None: wait for one)."""
        if not self._letters:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        taken: list[Letter] = []
        while self._letters and len(taken) < at_most:
            taken.append(self._letters.popleft())
            self._room.release()
        if not self._letters and not self._closed:
            self._arrived.clear()
        return taken

    def close(self) -> None:
        """Take no more letters; those inside can still be taken."""
        self._closed = True
        self._arrived.set()

    def wake(self) -> None:
        """Let a waiting `take` return, though nothing has arrived."""
        self._arrived.set()
