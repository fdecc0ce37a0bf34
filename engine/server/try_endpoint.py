"""`POST /api/try`: what would come of a request, without carrying it out.

The body is that of `POST /api/command`. The answer is `{"refused": {"code", "text", "subject"} or
null, "changes": bool, "met": [{"node", "reason": {…as in /api/why}}]}`: the kernel's refusal in
its own words, or what the order would wait for on its way if it came there now.
"""

from starlette.requests import Request
from starlette.responses import Response

from engine.codec.json_api import parse_request, problem_row
from engine.kernel.foresight import foresee
from engine.server.auth import Role
from engine.server.context import context_of
from engine.server.json_endpoints import json_response, parsed_body
from engine.server.why_endpoint import reason_row


async def try_request(request: Request) -> Response:
    """Handle `POST /api/try`; it changes nothing, so whoever may read may ask."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    asked = await parsed_body(request, parse_request)
    await context.port.settled()
    found = foresee(context.port.state, asked, context.port.now())
    return json_response(
        {
            "refused": None if found.refusal is None else problem_row(found.refusal)["problem"],
            "changes": found.changes,
            "met": [{"node": met.node, "reason": reason_row(met.reason)} for met in found.met],
        }
    )
