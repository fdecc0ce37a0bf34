"""Event fan-out: what was committed goes to streams, histories and logs."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Generic, TypeVar

from engine.kernel.limits import FEED_NOTICES_MAX

T = TypeVar("T")


class Follower(Generic[T]):
    """One reader of the feed with its own bounded queue."""

    def __init__(self, capacity: int) -> None:
        self._queue: deque[T] = deque()
        self._capacity = capacity
        self._arrived = asyncio.Event()
        self.is_cut_off = False
        """It was too slow: what it has is no longer without gaps."""
        self._ended = False

    def offer(self, notices: Iterable[T]) -> None:
        """Queue notices; a follower that is too far behind is cut off instead."""
        if self.is_cut_off or self._ended:
            return
        self._queue.extend(notices)
        if len(self._queue) > self._capacity:
            self.is_cut_off = True
            self._queue.clear()
        self._arrived.set()

    def end(self) -> None:
        """Let the reader finish what is queued and stop."""
        self._ended = True
        self._arrived.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            while self._queue:
                yield self._queue.popleft()
            if self._ended or self.is_cut_off:
                return
            self._arrived.clear()
            await self._arrived.wait()


class Feed(Generic[T]):
    """Publishes notices to all followers; never waits for any of them."""

    def __init__(self, capacity: int = FEED_NOTICES_MAX) -> None:
        self._capacity = capacity
        self._followers: dict[Follower[T], None] = {}
        self._ended = False

    def __len__(self) -> int:
        return len(self._followers)

    def follow(self) -> Follower[T]:
        """Return a new follower, which gets everything published from now on."""
        follower: Follower[T] = Follower(self._capacity)
        if self._ended:
            follower.end()
        else:
            self._followers[follower] = None
        return follower

    def leave(self, follower: Follower[T]) -> None:
        """Forget a follower."""
        self._followers.pop(follower, None)

    def publish(self, notices: Iterable[T]) -> None:
        """Hand notices to every follower."""
        listed = list(notices)
        for follower in self._followers:
            follower.offer(listed)

    def end(self) -> None:
        """Stop all followers after what they have queued."""
        self._ended = True
        for follower in self._followers:
            follower.end()
        self._followers.clear()
