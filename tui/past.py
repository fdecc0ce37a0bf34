"""Looking back: the same fold, stopped at an earlier moment.

The screen is a fold of the journal, so any moment whose events are still there can be shown as it
was. Stepping forward folds on; stepping back folds again from the beginning, which is quick.
"""

from bisect import bisect_right
from collections.abc import Sequence
from contextlib import aclosing

from engine.kernel.ids import EventNumber
from engine.kernel.instants import Instant
from engine.kernel.state import State
from tui.client import EngineClient
from tui.mirror import Fact, Link, LinkStatus, Mirror

FACTS_MAX = 1_000_000
"""So many events are kept for looking back."""


async def all_facts(client: EngineClient, until: EventNumber) -> list[Fact]:
    """Return the events of the journal from its beginning to this one.

    Raises SnapshotNeeded when the beginning is no longer there, EngineAway, NotAdmitted.
    """
    found: list[Fact] = []
    if not until:
        return found
    async with aclosing(client.notices(EventNumber(0))) as notices:
        async for notice in notices:
            if isinstance(notice, Fact):
                found.append(notice)
                if notice.number >= until or len(found) >= FACTS_MAX:
                    break
    return found


class Past:
    """A mirror as of an earlier event."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts
        self._folded = 0
        self.mirror = _empty_mirror()

    @property
    def now(self) -> Instant:
        """The moment that is shown: that of the last event folded in."""
        if not self._folded:
            return self._facts[0].at if self._facts else Instant(0)
        return self._facts[self._folded - 1].at

    @property
    def last(self) -> Fact | None:
        """The last event folded in."""
        return self._facts[self._folded - 1] if self._folded else None

    @property
    def place(self) -> str:
        """How far we are, as `event 12 of 340`."""
        return f"event {self._folded} of {len(self._facts)}"

    def go_to(self, instant: Instant) -> None:
        """Show the state after everything that happened until this moment."""
        self.go_to_event(bisect_right(self._facts, instant, key=lambda fact: fact.at))

    def step(self, events: int) -> None:
        """Go so many events on, or back."""
        self.go_to_event(self._folded + events)

    def go_to_end(self) -> None:
        """Show the state after the last event that was read."""
        self.go_to_event(len(self._facts))

    def go_to_event(self, count: int) -> None:
        """Show the state after so many events."""
        count = max(0, min(count, len(self._facts)))
        if count < self._folded:
            self.mirror = _empty_mirror()
            self._folded = 0
        for fact in self._facts[self._folded : count]:
            self.mirror.apply(fact)
        self._folded = count


def _empty_mirror() -> Mirror:
    mirror = Mirror()
    mirror.reset(State(), mirror.number)
    mirror.set_link(Link(status=LinkStatus.PAST))
    return mirror
