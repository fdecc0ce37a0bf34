"""The HTTP application of the engine: routes, and how errors look."""

import logging
from collections.abc import MutableMapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.server import (
    classic_pages,
    event_stream,
    health,
    json_endpoints,
    live_endpoint,
    log_lines,
    metrics,
    order_log,
    plan_endpoint,
    processes_endpoint,
    try_endpoint,
    web_service,
    why_endpoint,
    xml_endpoint,
)
from engine.server.context import ServerContext
from engine.server.serve import Application, Receive, Scope, Send

_log = logging.getLogger(__name__)


def application(context: ServerContext) -> Application:
    """Return the application that stands before this engine."""
    starlette = Starlette(
        routes=_routes(), exception_handlers={HTTPException: _http_error, 500: _server_error}
    )
    starlette.state.context = context

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        async def counted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                outcome = f"{str(message['status'])[0]}xx"
                context.counters[outcome] = context.counters.get(outcome, 0) + 1
            await send(message)

        await starlette(scope, receive, counted)

    return counting


def _routes() -> list[Route]:
    api = json_endpoints
    return [
        # First, because it is asked for most.
        *xml_endpoint.ROUTES,
        Route("/api/me", api.me),
        Route("/api/snapshot", api.snapshot),
        Route("/api/events", event_stream.events),
        Route("/api/overview", api.overview),
        Route("/api/orders", api.orders),
        *order_log.ROUTES,
        Route("/api/jobs", api.jobs),
        Route("/api/chains", api.chains),
        Route("/api/tasks", api.tasks),
        Route("/api/tasks/{task:int}/log", api.task_log),
        *log_lines.ROUTES,
        Route("/api/agents", api.agents),
        Route("/api/history/tasks", api.task_history),
        Route("/api/history/orders", api.order_history),
        Route("/api/why", why_endpoint.why),
        Route("/api/try", try_endpoint.try_request, methods=["POST"]),
        Route("/api/command", api.command, methods=["POST"]),
        Route("/api/check-folders", api.check_folders, methods=["POST"]),
        Route("/api/terminate", api.terminate, methods=["POST"]),
        Route("/health/live", health.live),
        Route("/health/ready", health.ready),
        Route("/metrics", metrics.metrics),
        *processes_endpoint.ROUTES,
        *live_endpoint.ROUTES,
        *plan_endpoint.ROUTES,
        *web_service.routes(),
        *classic_pages.ROUTES,
        *xml_endpoint.CLASSIC_ROUTES,
    ]


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for these only"
    response = json_endpoints.http_problem(error.status_code, error.detail)
    response.headers.update(error.headers or {})
    return response


async def _server_error(request: Request, _error: Exception) -> Response:
    _log.error("a request failed", extra={"path": request.url.path})
    return json_endpoints.http_problem(500, "The engine failed at this request; see its log")
