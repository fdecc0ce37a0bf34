"""The log of an order: what happened in one of its runs, between its steps as well.

`GET /api/orders/log?chain=/c&order=1` (read-only)

    history=17     that run; otherwise the present one, of an order that has gone its last one

    {"history": 17, "text": "..."}

`history` is null for an order on whose next run nothing has worked yet.
"""

from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.kernel.ids import HistoryId, OrderKey, chain_key, order_key
from engine.kernel.problems import unknown_order
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of
from engine.server.engine_port import HistoryQuery
from engine.server.json_endpoints import LOG_BYTES_MAX, json_response, problem_response


async def order_log(request: Request) -> Response:
    """Handle `GET /api/orders/log`."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    query = request.query_params
    chain, order_id, history = query.get("chain", ""), query.get("order", ""), query.get("history")
    if history is not None and not (history.isascii() and history.isdecimal()):
        raise HTTPException(400, f"history={history!r} is not a number")
    run = None if history is None else HistoryId(int(history))
    about = await shown_run(context, chain, order_id, run)
    if about is None:
        return problem_response(unknown_order(chain, order_id), 404)
    text = await context.port.order_log(about, LOG_BYTES_MAX)
    return json_response({"history": None if isinstance(about, OrderKey) else about, "text": text})


async def shown_run(
    context: ServerContext, chain: str, order_id: str, history: HistoryId | None = None
) -> HistoryId | OrderKey | None:
    """Return the run whose log is meant, or the order while it has none; None: not known."""
    if history is not None:
        return history
    order = context.port.state.find_order(order_key(chain, order_id))
    if order is not None:
        return order.shown_history or order.key
    found = await context.port.order_history(
        HistoryQuery(chain=chain_key(chain), order=order_id, limit=1)
    )
    return found[0].history if found else None


ROUTES: Final = (Route("/api/orders/log", order_log),)
