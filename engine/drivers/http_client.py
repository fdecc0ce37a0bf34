"""HTTP for the engine's drivers: the only place that knows httpx.

One client per peer, because a pool over many hosts searches all of its connections for every
request (agents.md 3.13). No retries, no redirects, no proxy of the environment: what a failed
request means is decided above.
"""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import httpx

from engine.errors import AgentRefused, AgentUnreachable

CONNECT_S = 10.0
KEEP_ALIVE_S = 240.0
"""Shorter than the agent keeps an idle connection open."""
CONNECTIONS_MAX = 6
"""To one peer: the session, its repeats, the commands, a probe."""
TEXT_MAX = 300
_PROXY_FAILURES = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How the engine shows who it is, and knows whom it talks to."""

    token: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    """For https: a private authority, a client certificate; None: the host's own authorities."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """Status, headers in lower case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Requests to one peer."""

    def __init__(
        self, address: str, credentials: Credentials, *, connect_s: float = CONNECT_S
    ) -> None:
        self.address = address.rstrip("/")
        self._connect_s = connect_s
        headers = {"accept": "application/json"}
        if credentials.token is not None:
            headers["authorization"] = f"Bearer {credentials.token}"
        is_https = self.address.startswith("https:")
        context = credentials.tls or ssl.create_default_context() if is_https else False
        self._client = httpx.AsyncClient(
            headers=headers,
            verify=context,
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(
                max_connections=CONNECTIONS_MAX,
                max_keepalive_connections=CONNECTIONS_MAX,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        )

    async def post(self, path: str, body: bytes, *, patience_s: float) -> HttpAnswer:
        """Send JSON. Raises AgentUnreachable without an answer, AgentRefused for TLS faults."""
        return await self._send("POST", path, body, patience_s)

    async def get(self, path: str, *, patience_s: float) -> HttpAnswer:
        """Ask for a resource; raises as `post`."""
        return await self._send("GET", path, None, patience_s)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def _send(
        self, method: str, path: str, body: bytes | None, patience_s: float
    ) -> HttpAnswer:
        connect_s = min(self._connect_s, patience_s)
        timeout = httpx.Timeout(patience_s, connect=connect_s, pool=connect_s)
        headers = {"content-type": "application/json"} if body is not None else None
        try:
            answer = await self._client.request(
                method, self.address + path, content=body, headers=headers, timeout=timeout
            )
        except httpx.TransportError as error:
            raise self._translated(error) from error
        if answer.status_code in _PROXY_FAILURES:
            raise AgentUnreachable(
                f"{self.address} answers HTTP {answer.status_code}", agent=self.address
            )
        return HttpAnswer(status=answer.status_code, headers=answer.headers, body=answer.content)

    def _translated(self, error: httpx.TransportError) -> AgentUnreachable | AgentRefused:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                text = f"{self.address}: TLS: {cause}"
                return AgentRefused(text, agent=self.address)
            cause = cause.__cause__ or cause.__context__
        text = str(error) or type(error).__name__
        return AgentUnreachable(f"{self.address}: {text}", agent=self.address)


def refusal_text(address: str, answer: HttpAnswer) -> str:
    """Return what an error answer says, for people."""
    text = answer.body.decode(errors="replace").strip()[:TEXT_MAX]
    return f"{address} answers HTTP {answer.status}" + (f": {text}" if text else "")
