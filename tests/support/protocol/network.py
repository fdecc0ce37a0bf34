"""Requests and answers between hosts.

It may: delay either way by milliseconds, seconds or minutes (so reorder), lose either way, deliver a
request again much later, break a connection at any time with the request delivered or not, refuse
connections of a host whose program is down, swallow everything between two parts of the network, in
one direction or both.

It may never: change a message, invent one, or say that a connection was refused when a program that
listened took the request.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.support.protocol.clock import Clock, Timer


class Peer(Protocol):
    """Who takes requests."""

    name: str

    def is_listening(self) -> bool: ...
    def is_up(self) -> bool: ...
    def receive(
        self, request: Any, respond: Callable[[Any], None], broken: Callable[[], None]
    ) -> None: ...


@dataclass(slots=True, kw_only=True)
class Faults:
    """How bad the network is: chances per message, in thousandths."""

    loss: int = 0
    duplicate: int = 0
    reset: int = 0
    slow: int = 0
    """Of a delay of seconds."""
    very_slow: int = 0
    """Of a delay of up to two minutes."""


@dataclass(slots=True)
class Exchange:
    """One request on its way; the first of answer, failure and silence counts."""

    on_answer: Callable[[Any], None]
    on_failure: Callable[[str], None]
    is_over: bool = False
    timers: list[Timer] = field(default_factory=list)

    def cancel(self) -> None:
        self.is_over = True

    def answer(self, content: Any) -> None:
        if not self.is_over:
            self.is_over = True
            self.on_answer(content)

    def fail(self, text: str) -> None:
        if not self.is_over:
            self.is_over = True
            self.on_failure(text)


class Network:
    """All links of the world."""

    def __init__(self, clock: Clock, rng: random.Random, faults: Faults) -> None:
        self._clock = clock
        self._rng = rng
        self.faults = faults
        self._cuts: dict[tuple[str, str], int] = {}
        """Direction -> how many cuts are on it."""

    def cut(self, one: str, other: str) -> None:
        """Swallow everything in this direction."""
        self._cuts[one, other] = self._cuts.get((one, other), 0) + 1

    def mend(self, one: str, other: str) -> None:
        self._cuts[one, other] = max(0, self._cuts.get((one, other), 0) - 1)

    def mend_all(self) -> None:
        self._cuts.clear()
        self.faults = Faults()

    def is_cut(self, one: str, other: str) -> bool:
        return self._cuts.get((one, other), 0) > 0

    def request(
        self,
        source: str,
        peer: Peer,
        content: Any,
        patience: int,
        on_answer: Callable[[Any], None],
        on_failure: Callable[[str], None],
    ) -> Exchange:
        """Send a request."""
        exchange = Exchange(on_answer, on_failure)
        self._clock.after(patience, lambda: exchange.fail("no answer in time"))
        if self._happens(self.faults.reset):
            self._clock.after(self._rng.randrange(1, 2000), lambda: exchange.fail("reset"))
        self._carry(source, peer, content, exchange)
        if self._happens(self.faults.duplicate):
            late = self._rng.choice((50, 1_000, 10_000, 100_000))
            self._clock.after(
                self._rng.randrange(late), lambda: self._carry(source, peer, content, exchange)
            )
        return exchange

    def _carry(self, source: str, peer: Peer, content: Any, exchange: Exchange) -> None:
        if self.is_cut(source, peer.name) or self._happens(self.faults.loss):
            return

        def arrive() -> None:
            if self.is_cut(source, peer.name) or not peer.is_up():
                return
            if not peer.is_listening():
                self._back(source, peer, lambda: exchange.fail("connection refused"))
                return
            peer.receive(
                content,
                lambda answer: self._back(source, peer, lambda: exchange.answer(answer)),
                lambda: self._back(source, peer, lambda: exchange.fail("connection reset")),
            )

        self._clock.after(self._delay(), arrive)

    def _back(self, source: str, peer: Peer, work: Callable[[], None]) -> None:
        if self.is_cut(peer.name, source) or self._happens(self.faults.loss):
            return
        self._clock.after(self._delay(), lambda: None if self.is_cut(peer.name, source) else work())

    def _delay(self) -> int:
        if self._happens(self.faults.very_slow):
            return self._rng.randrange(120_000)
        if self._happens(self.faults.slow):
            return self._rng.randrange(5_000)
        return self._rng.randrange(1, 30)

    def _happens(self, chance: int) -> bool:
        return chance > 0 and self._rng.randrange(1000) < chance
