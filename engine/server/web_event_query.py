"""Events of the JSON web service as clients ask for them (xml-commands.md 10)."""

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import Response

from engine.codec.streamed_json import Json, Rows
from engine.codec.web_events import (
    STATISTICS_CHANGED,
    are_events,
    group_of,
    is_asked_for,
    subject_of,
)
from engine.codec.web_orders import OrderStatistics
from engine.codec.web_query import OrderQuery, PathQuery
from engine.kernel.ids import folded_path
from engine.server.slices import slices
from engine.server.web_events import Torn
from engine.server.web_request import WebRequest

IsMeant = Callable[[Json], bool]


def asks_for_events(web: WebRequest) -> bool:
    """Return whether `return=` names events."""
    return are_events(web.names("return") or frozenset())


def of_kinds(kinds: frozenset[str], paths: PathQuery) -> IsMeant:
    """Return a test for events about objects of these types with these paths."""

    def is_meant(event: Json) -> bool:
        kind, path = subject_of(event)
        return kind in kinds and paths.selects(path)

    return is_meant


def of_chains(paths: PathQuery, *, with_chains: bool) -> IsMeant:
    """Return a test for events about orders in these chains, and about the chains themselves."""

    def is_meant(event: Json) -> bool:
        kind, path = subject_of(event)
        is_of_kind = kind == "Order" or (with_chains and kind == "JobChain")
        return is_of_kind and paths.selects(path.partition(",")[0])

    return is_meant


def of_order(path: str) -> IsMeant:
    """Return a test for events about one order; `path` is `/chain,id`."""
    chain, _, order_id = path.partition(",")

    def is_meant(event: Json) -> bool:
        kind, found = subject_of(event)
        found_chain, _, found_id = found.partition(",")
        is_same = found_id == order_id and folded_path(found_chain) == folded_path(chain)
        return kind == "Order" and is_same

    return is_meant


def of_files(kind: str | None, paths: PathQuery) -> IsMeant:
    """Return a test for events about files of a type, or of every type."""

    def is_meant(event: Json) -> bool:
        found, path = subject_of(event)
        is_of_file = group_of(str(event["TYPE"])) == "FileBasedEvent"
        return is_of_file and kind in {None, found} and paths.selects(path)

    return is_meant


async def events(web: WebRequest, is_meant: IsMeant) -> Response:
    """Answer with the events after `after=` that are asked for and meant."""
    types = web.names("return") or frozenset({"Event"})
    if not are_events(types):
        return web.unknown_return()
    limit, begin = _limits(web)

    def is_wanted(event: Json) -> bool:
        return is_asked_for(event, types) and is_meant(event)

    kept = web.context.web_events
    if limit is None or limit > 0:
        await kept.wait(begin, is_wanted, web.seconds("timeout"))
    last_id = kept.last_id
    found = kept.after(begin, is_wanted)
    if isinstance(found, Torn):
        return web.answer({"TYPE": "Torn"})
    if not found:
        return web.answer({"TYPE": "Empty", "lastEventId": max(begin, last_id)})
    if limit is not None:
        found = found[:limit] if limit > 0 else found[limit:][::-1]
    return web.answer({"TYPE": "NonEmpty", "eventSnapshots": Rows(found)})


def _limits(web: WebRequest) -> tuple[int | None, int]:
    """Return `limit`, and the event after which to begin."""
    limit, after = web.number("limit"), web.number("after")
    if limit == 0:
        raise HTTPException(400, "limit=0 makes no sense")
    if after is None and (limit is None or limit > 0):
        raise HTTPException(400, "after is missing: the id of the last event that is known")
    return limit, after or 0


# --- statistics ----------------------------------------------------------------------------------


async def count_orders(web: WebRequest, wanted: OrderQuery) -> Json:
    """Return JocOrderStatistics of the orders that are meant."""
    state, now = web.still(), web.now
    counted = OrderStatistics(state, now)
    async for part in slices(wanted.orders(state, now)):
        for order in part:
            if order is not None:
                counted.add(order)
    return counted.shape


async def statistics_changes(web: WebRequest) -> Response:
    """Answer with the statistics as soon as something has happened to one of the orders."""
    limit, begin = _limits(web)
    wanted = web.orders()
    is_meant = of_chains(wanted.chains.paths, with_chains=False)

    def is_change(event: Json) -> bool:
        return group_of(str(event["TYPE"])) == "OrderEvent" and is_meant(event)

    kept = web.context.web_events
    if limit is None or limit > 0:
        await kept.wait(begin, is_change, web.seconds("timeout"))
        await web.context.port.settled()
    found = kept.after(begin, is_change)
    if isinstance(found, Torn):
        return web.answer({"TYPE": "Torn"})
    if not found:
        return web.answer({"TYPE": "Empty", "lastEventId": max(begin, kept.last_id)})
    event_id = kept.last_id
    content = {"TYPE": STATISTICS_CHANGED, "orderStatistics": await count_orders(web, wanted)}
    return web.answer({"TYPE": "NonEmpty", "eventSnapshots": [{"eventId": event_id} | content]})
