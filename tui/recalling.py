"""What happened before the cockpit opened: tasks of the history, the end of the journal."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias

from engine.kernel.ids import EventNumber, JobKey, OrderKey
from tui.client import EngineAway, EngineClient, NotAdmitted, SnapshotNeeded
from tui.mirror import Fact, Mirror

RECALLED_MAX = 1_000
"""So many events of before are fetched; further back goes looking back (`:at`)."""
PATIENCE_S = 20.0


Work: TypeAlias = Callable[[], Any]
"""Work that begins when its turn comes; a coroutine that is cancelled before would complain."""


class Teller(Protocol):
    """Who tells the person."""

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a notice."""
        ...


async def recall_tasks(
    client: EngineClient,
    mirror: Mirror,
    teller: Teller,
    then: Callable[[], None],
    *,
    order: OrderKey | None,
    job: JobKey | None,
) -> None:
    """Put the tasks of an order or a job that have ended into the mirror, then go on."""
    try:
        mirror.recall((), await client.past_tasks(order=order, job=job))
    except (EngineAway, NotAdmitted) as away:
        teller.say(str(away), bad=True)
    then()


async def recall_events(client: EngineClient, mirror: Mirror) -> None:
    """Put the events before those that are known into the mirror; without an answer nothing."""
    first = mirror.facts[0].number if mirror.facts else mirror.number + 1
    after = max(first - 1 - RECALLED_MAX, 0)
    if after >= first - 1:
        return
    found: list[Fact] = []
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            aclosing(client.notices(EventNumber(after))) as notices,
        ):
            async for notice in notices:
                if not isinstance(notice, Fact):
                    continue
                if notice.number < first:
                    found.append(notice)
                if notice.number >= first - 1:
                    break
    except (EngineAway, NotAdmitted, SnapshotNeeded, TimeoutError):
        # Parts are of no use: the list would have a hole where nobody expects one.
        return
    mirror.recall_facts(found)
