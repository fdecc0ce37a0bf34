"""Who may talk to the agent: an ASGI layer in front of everything else (agents.md 6).

One token, shared with the engines, as `Authorization: Bearer` or as the password of HTTP Basic. A
wrong one costs a second; an address that goes on guessing is turned away for a while. From an
address that has shown the right one before, the right one goes on being let in: a second engine
there with a wrong token must not cost the first one its tasks.
"""

import asyncio
import base64
import binascii
import hmac
import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.agent.login_sessions import HEADER as SESSION_HEADER
from engine.agent.login_sessions import LoginSessions

WRONG_TOKEN_PAUSE_S = 1.0
FAILURES_MAX = 10
"""Wrong tokens of one address within the window, after which it is not even listened to."""
FAILURE_WINDOW_S = 60.0
ADDRESSES_MAX = 1000
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain")


@dataclass(slots=True)
class _Failures:
    count: int
    since: float


class FailureCounts:
    """Wrong tokens by address; the oldest addresses are forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._by_address: OrderedDict[str, _Failures] = OrderedDict()
        self._knowing: OrderedDict[str, None] = OrderedDict()
        """Addresses that have shown the right token, the latest last."""

    def is_blocked(self, address: str) -> bool:
        """Return whether this address has guessed too often lately."""
        found = self._by_address.get(address)
        if found is None:
            return False
        if self._clock() - found.since > FAILURE_WINDOW_S:
            del self._by_address[address]
            return False
        return found.count >= FAILURES_MAX

    def add(self, address: str) -> None:
        """Count a wrong token."""
        found = self._by_address.get(address)
        if found is None or self._clock() - found.since > FAILURE_WINDOW_S:
            self._by_address[address] = _Failures(1, self._clock())
            while len(self._by_address) > ADDRESSES_MAX:
                self._by_address.popitem(last=False)
        else:
            found.count += 1

    def recognise(self, address: str) -> None:
        """Remember an address that knows the right token; wrong ones from there still count."""
        self._knowing[address] = None
        self._knowing.move_to_end(address)
        while len(self._knowing) > ADDRESSES_MAX:
            self._knowing.popitem(last=False)

    def has_known(self, address: str) -> bool:
        """Return whether this address has shown the right token."""
        return address in self._knowing


class Access:
    """Lets requests through to the application, or answers them itself."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        trusts_loopback: bool,
        sessions: LoginSessions | None = None,
    ) -> None:
        self._app = app
        self._sessions = sessions or LoginSessions()
        self._digest = _digest(token) if token is not None else None
        self._trusts_loopback = trusts_loopback
        self._failures = FailureCounts()
        self._pause_s = WRONG_TOKEN_PAUSE_S

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        refusal = await self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Response | None:
        headers = {name: value for name, value in scope["headers"] if name in _WANTED}
        address = scope["client"][0] if scope.get("client") else ""
        if scope["method"] == "POST" and _is_form(headers.get(b"content-type", b"")):
            # A browser sends these for any page without asking first.
            return PlainTextResponse("Forms are not accepted\n", 403)
        session = headers.get(SESSION_HEADER)
        if session is not None and not self._failures.is_blocked(address):
            return await self._refused_session(session.decode("latin-1"), address)
        if self._trusts_loopback and _is_loopback(address):
            return None
        token = _token_of(headers.get(b"authorization", b""))
        has_known = self._failures.has_known(address)
        if self._failures.is_blocked(address) and not (has_known and self._is_right(token)):
            if has_known:
                await asyncio.sleep(self._pause_s)
            return PlainTextResponse(
                "Too many wrong tokens\n", 429, headers={"Retry-After": str(int(FAILURE_WINDOW_S))}
            )
        if self._is_right(token):
            self._failures.recognise(address)
            return None
        if token is not None:
            self._failures.add(address)
            await asyncio.sleep(self._pause_s)
        challenge = {"WWW-Authenticate": 'Bearer, Basic realm="agent"'}
        return PlainTextResponse("A token is needed\n", 401, headers=challenge)

    async def _refused_session(self, session: str, address: str) -> Response | None:
        if self._sessions.knows(session):
            return None
        self._failures.add(address)
        await asyncio.sleep(self._pause_s)
        return PlainTextResponse("There is no such session; log in again\n", 403)

    def _is_right(self, token: str | None) -> bool:
        if token is None or self._digest is None:
            return False
        return hmac.compare_digest(self._digest, _digest(token))


_WANTED = (b"authorization", b"content-type", SESSION_HEADER)


def _digest(token: str) -> bytes:
    return sha256(token.encode(errors="surrogateescape")).digest()


def _token_of(header: bytes) -> str | None:
    scheme, _, value = header.decode("latin-1").partition(" ")
    if scheme.casefold() == "bearer":
        return value.strip()
    if scheme.casefold() == "basic":
        try:
            decoded = base64.b64decode(value.strip(), validate=True).decode(errors="replace")
        except (binascii.Error, ValueError):
            return ""
        return decoded.partition(":")[2]
    return None


def _is_form(content_type: bytes) -> bool:
    return content_type.decode("latin-1").partition(";")[0].strip().casefold() in _FORM_TYPES


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
