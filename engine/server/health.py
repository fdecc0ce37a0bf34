"""Whether the engine lives and takes requests, for those who watch over processes."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.server.context import context_of

NO_STORE = {"Cache-Control": "no-store"}


async def live(request: Request) -> Response:
    """Handle `/health/live`: the event loop turns, or nobody would answer."""
    number = context_of(request).port.number
    return JSONResponse({"live": True, "number": number}, headers=NO_STORE)


async def ready(request: Request) -> Response:
    """Handle `/health/ready`: recovery is done and the journal can be written."""
    reason = context_of(request).port.why_not_ready()
    if reason:
        return JSONResponse({"ready": False, "reason": reason}, 503, headers=NO_STORE)
    return JSONResponse({"ready": True}, headers=NO_STORE)
