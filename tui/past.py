"""Looking back: the same fold, stopped at an earlier moment.

The screen is a fold of the journal, so any moment whose events are still there can be shown as it
was. Stepping forward folds on. Stepping back begins at a kept copy of an earlier state: some are
made on the way, so that no step has to fold the whole journal again.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import aclosing

from engine.kernel.ids import EventNumber
from engine.kernel.instants import Duration, Instant
from engine.kernel.state import State
from tui.client import EngineClient
from tui.mirror import Fact, Link, LinkStatus, Mirror

FACTS_MAX = 1_000_000
"""So many events are kept for looking back."""
COPY_EVERY = 10_000
"""Events between two copies that are kept for stepping back."""
MOVED_SHOWN = Duration(1_000)
"""How long what moved is shown so."""
COPIES_MAX = 8
"""The newest ones: a person steps about where they look."""


async def all_facts(
    client: EngineClient, until: EventNumber, told: Callable[[int], None] | None = None
) -> list[Fact]:
    """Return the events of the journal from its beginning to this one.

    `told` hears after each event how many there are. Raises SnapshotNeeded when the beginning is no
    longer there, EngineAway, NotAdmitted.
    """
    found: list[Fact] = []
    if not until:
        return found
    async with aclosing(client.notices(EventNumber(0))) as notices:
        async for notice in notices:
            if isinstance(notice, Fact):
                found.append(notice)
                if told is not None:
                    told(len(found))
                if notice.number >= until or len(found) >= FACTS_MAX:
                    break
    return found


class Past:
    """A mirror as of an earlier event."""

    def __init__(self, facts: Sequence[Fact]) -> None:
        self._facts = facts
        self.folded = 0
        """So many events are in."""
        self.mirror = _empty_mirror()
        self._moment: Instant | None = None
        self._copies: dict[int, tuple[bytes, Mirror]] = {}
        """By the number of events: the state as a snapshot, and what the mirror remembers."""

    def __len__(self) -> int:
        return len(self._facts)

    @property
    def now(self) -> Instant:
        """The moment that is shown: a time that was asked for, else that of the last event."""
        if self._moment is not None:
            return self._moment
        if not self.folded:
            return self._facts[0].at if self._facts else Instant(0)
        return self._facts[self.folded - 1].at

    @property
    def last_at(self) -> Instant:
        """When the last event of the journal happened."""
        return self._facts[-1].at if self._facts else Instant(0)

    @property
    def place(self) -> str:
        """How far we are, as `event 12 of 340`."""
        if not self.folded and self._facts:
            return f"before the first of {len(self._facts):,} events"
        return f"event {self.folded:,} of {len(self._facts):,}"

    def count_until(self, instant: Instant) -> int:
        """Return how many events had happened until this moment."""
        return bisect_right(self._facts, instant, key=lambda fact: fact.at)

    def stand_at(self, moment: Instant | None) -> None:
        """Show this moment, between two events; None: the moment of the last event."""
        self._moment = None if moment is None else min(max(moment, self._least()), self.last_at)
        self.mirror.forget_moves(Instant(self.now - MOVED_SHOWN))

    def _least(self) -> Instant:
        return self._facts[0].at if self._facts else Instant(0)

    def prepare(self, count: int) -> int:
        """Get ready to be folded up to so many events; return how many there will be."""
        count = max(0, min(count, len(self._facts)))
        if count < self.folded:
            start = max((at for at in self._copies if at <= count), default=0)
            self.mirror = self._restored(start) if start else _empty_mirror()
            self.folded = start
        return count

    def fold(self, count: int) -> None:
        """Fold on up to so many events."""
        for fact in self._facts[self.folded : count]:
            self.mirror.apply(fact)
            self.folded += 1
            if self.folded % COPY_EVERY == 0 and self.folded not in self._copies:
                self._keep_copy()

    def _keep_copy(self) -> None:
        from engine.codec.snapshot import snapshot_bytes  # noqa: PLC0415  # only for long journals

        self._copies[self.folded] = (
            snapshot_bytes(self.mirror.state),
            self.mirror.copied(State()),
        )
        while len(self._copies) > COPIES_MAX:
            del self._copies[min(self._copies)]

    def _restored(self, count: int) -> Mirror:
        from engine.codec.snapshot import state_from_snapshot  # noqa: PLC0415  # only then

        data, remembered = self._copies[count]
        return remembered.copied(state_from_snapshot(data))


def _empty_mirror() -> Mirror:
    mirror = Mirror()
    mirror.reset(State(), mirror.number)
    mirror.set_link(Link(status=LinkStatus.PAST))
    return mirror
