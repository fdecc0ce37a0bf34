"""What every handler has at hand: the engine, the gate, the limits; and how requests are let in."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from engine.codec.xml.facts import EngineFacts
from engine.server.auth import Caller, Gate, Refusal, Role, Trust
from engine.server.engine_port import AgentViews, EnginePort
from engine.server.serve import SCOPE_ROLE_MAX, SCOPE_TRUST
from engine.server.web_events import WebEvents
from engine.server.xml_execution import XmlCommands

if TYPE_CHECKING:
    from engine.server.processes_endpoint import ProcessPort

WRONG_TOKEN_DELAY_S: Final = 0.5
"""A wrong token is answered late, as the original did."""
BODY_TIMEOUT_S: Final = 60.0
"""A request's body has to arrive within this time."""
DISCARDED_BYTES_MAX: Final = 256 * 1024 * 1024
"""So much of an oversized body is read and thrown away, so that the client hears the answer."""
REQUEST_BYTES_MAX: Final = 8 * 1024 * 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerContext:
    """The engine as its HTTP interface sees it, and the rules of the interface."""

    port: EnginePort
    gate: Gate
    facts: EngineFacts
    request_bytes_max: int = REQUEST_BYTES_MAX
    wrong_token_delay_s: float = WRONG_TOKEN_DELAY_S
    counters: dict[str, int] = field(default_factory=dict)
    """Requests by outcome, for `/metrics`."""
    driver_metrics: CollectorRegistry | None = None
    """Counters and histograms of the drivers."""
    processes: "ProcessPort | None" = None
    """The remote-process service."""
    agent_views: AgentViews | None = None
    """Asks agents for clients of the JSON web service."""
    commands: XmlCommands = field(init=False)
    web_events: WebEvents = field(init=False)

    def __post_init__(self) -> None:
        """Make what follows from the fields."""
        commands, web_events = XmlCommands(self.port, self.facts), WebEvents(self.port)
        commands.custom_events.listener = web_events.published
        object.__setattr__(self, "commands", commands)
        object.__setattr__(self, "web_events", web_events)

    async def admit(self, request: Request, needed: Role) -> Caller:
        """Return who asks. Raises HTTPException when the caller may not do this."""
        trust = request.scope.get(SCOPE_TRUST, Trust.NOBODY)
        address = request.client.host if request.client is not None else None
        found = self.gate.admit(request.headers, address, trust, self.port.now())
        if isinstance(found, Refusal):
            if found.status == 401 and "authorization" in request.headers:
                _log.warning("wrong token", extra={"address": address})
                await asyncio.sleep(self.wrong_token_delay_s)
            raise HTTPException(found.status, found.text, headers=_refusal_headers(found))
        role_max = request.scope.get(SCOPE_ROLE_MAX, Role.ADMIN)
        if not role_max.includes(found.role):
            found = replace(found, role=role_max)
        if not found.role.includes(needed):
            raise HTTPException(
                403, f"This needs a token with the role {needed.value}, not {found.role.value}"
            )
        return found

    async def body(self, request: Request) -> bytes | None:
        """Return the body of a request, None when it is too large (it is read all the same).

        Raises HTTPException when the client is too slow or gone.
        """
        kept: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                async for part in request.stream():
                    size += len(part)
                    if size <= self.request_bytes_max:
                        kept.append(part)
                    else:
                        kept.clear()
                    if size > DISCARDED_BYTES_MAX:
                        raise HTTPException(413, "The request is too large")
        except TimeoutError as error:
            raise HTTPException(408, "The request did not arrive in time") from error
        except ClientDisconnect as error:
            raise HTTPException(400, "The client has gone") from error
        return b"".join(kept) if size <= self.request_bytes_max else None


def _refusal_headers(refusal: Refusal) -> Mapping[str, str] | None:
    match refusal.status:
        case 401:
            return {"WWW-Authenticate": 'Basic realm="Pointsman", Bearer'}
        case 429:
            return {"Retry-After": "60"}
        case _:
            return None


def context_of(request: Request) -> ServerContext:
    """Return the context of the application that serves this request."""
    context = request.app.state.context
    assert isinstance(context, ServerContext)
    return context
