"""HTTP for the engine's drivers: a small client over h11, the only place that knows it.

One client per peer with a handful of connections. A general client library costs about a
millisecond of CPU a request, mostly for things that do not happen here: no retries, no redirects,
no cookies, no proxy of the environment; what a failed request means is decided above.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import urlsplit

import h11

from engine.errors import AgentRefused, AgentUnreachable

CONNECT_S = 10.0
KEEP_ALIVE_S = 10.0
"""An idle connection is closed after this: one is always in use, the others only now and then."""
ANSWER_BYTES_MAX = 64 * 1024 * 1024
TEXT_MAX = 300
_PROXY_FAILURES = frozenset(
    {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)
_NO_CERTIFICATE = " (over TLS: perhaps a certificate of ours is asked for)"
"""A listener that wants one closes the connection after the handshake, as a rule without a word."""
_PORTS = {"http": 80, "https": 443}


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
    """Requests to one peer; use from one event loop."""

    def __init__(
        self, address: str, credentials: Credentials, *, connect_s: float = CONNECT_S
    ) -> None:
        self.address = address.rstrip("/")
        parts = urlsplit(self.address)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS.get(parts.scheme, 0)
        self._path = parts.path
        self._is_known_scheme = parts.scheme in _PORTS
        self._tls = credentials.tls if parts.scheme == "https" else None
        if parts.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        self._headers = [("host", parts.netloc.rpartition("@")[2]), ("accept", "application/json")]
        if credentials.token is not None:
            self._headers.append(("authorization", f"Bearer {credentials.token}"))
        self._connect_s = connect_s
        self._idle: list[_Connection] = []
        self._is_closed = False

    async def post(self, path: str, body: bytes, *, patience_s: float) -> HttpAnswer:
        """Send JSON. Raises AgentUnreachable without an answer, AgentRefused for TLS faults."""
        return await self._send("POST", path, body, patience_s)

    async def get(self, path: str, *, patience_s: float) -> HttpAnswer:
        """Ask for a resource; raises as `post`."""
        return await self._send("GET", path, None, patience_s)

    async def close(self) -> None:
        """Close all connections."""
        self._is_closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        # Their transports are closed with the next turn of the event loop.
        await asyncio.sleep(0)

    async def _send(
        self, method: str, path: str, body: bytes | None, patience_s: float
    ) -> HttpAnswer:
        headers = self._headers
        if body is not None:
            length = ("content-length", str(len(body)))
            headers = [*headers, ("content-type", "application/json"), length]
        request = h11.Request(method=method, target=self._path + path, headers=headers)
        connection = None
        try:
            async with asyncio.timeout(patience_s):
                connection = self._from_idle() or await self._connect(patience_s)
                answer = await connection.exchange(request, body)
        except ssl.SSLError as error:
            raise AgentRefused(f"{self.address}: TLS: {error}", agent=self.address) from error
        except TimeoutError as error:
            raise self._unreachable(f"no answer for {patience_s:g} s") from error
        except (OSError, h11.ProtocolError) as error:
            text = str(error) or type(error).__name__
            if self._tls is not None and connection is not None and not connection.was_answered:
                text += _NO_CERTIFICATE
            raise self._unreachable(text) from error
        finally:
            if connection is not None:
                self._put_back(connection)
        if answer.status in _PROXY_FAILURES:
            raise self._unreachable(f"HTTP {answer.status}")
        return answer

    def _from_idle(self) -> "_Connection | None":
        while self._idle:
            connection = self._idle.pop()
            connection.stop_waiting()
            if connection.is_open():
                return connection
        return None

    def _put_back(self, connection: "_Connection") -> None:
        if connection.is_reusable() and not self._is_closed:
            self._idle.append(connection)
            connection.wait(lambda: self._drop(connection))
        else:
            connection.close()

    def _drop(self, connection: "_Connection") -> None:
        self._idle.remove(connection)
        connection.close()

    async def _connect(self, patience_s: float) -> "_Connection":
        if not self._host or not self._is_known_scheme:
            raise AgentRefused(f"{self.address} is no http or https address", agent=self.address)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(min(self._connect_s, patience_s)):
                _, connection = await loop.create_connection(
                    _Connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            raise OSError(f"no connection within {self._connect_s:g} s") from None
        return connection

    def _unreachable(self, text: str) -> AgentUnreachable:
        return AgentUnreachable(f"{self.address}: {text}", agent=self.address)


class _Connection(asyncio.Protocol):
    """One connection, with one request at a time."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._head: h11.Response | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._is_lost = False
        self.was_answered = False
        """Something has come back on it."""
        self._closing: asyncio.TimerHandle | None = None

    # --- by the client ---------------------------------------------------------------------------

    async def exchange(self, request: h11.Request, body: bytes | None) -> HttpAnswer:
        """Send a request and wait for its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        data = self._h11.send(request) or b""
        if body:
            data += self._h11.send(h11.Data(data=body)) or b""
        data += self._h11.send(h11.EndOfMessage()) or b""
        self._transport.write(data)
        return await self._answer

    def is_open(self) -> bool:
        """Return whether the other side has not closed it."""
        return not self._is_lost and not self._transport.is_closing()

    def is_reusable(self) -> bool:
        """Return whether the last exchange is over and another one may follow."""
        return self.is_open() and self._h11.our_state is h11.IDLE

    def wait(self, drop: Callable[[], None]) -> None:
        """Be idle; after a while, be dropped."""
        self._closing = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, drop)

    def stop_waiting(self) -> None:
        """Be used again."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def close(self) -> None:
        """Close it without waiting."""
        self.stop_waiting()
        self._transport.abort()

    # --- by the event loop -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take what arrives."""
        self.was_answered = True
        try:
            self._h11.receive_data(data)
            self._take_events()
        except h11.ProtocolError as error:
            self._fail(error)

    def eof_received(self) -> None:
        """Take the end of what arrives; an answer may have no other."""
        with contextlib.suppress(h11.ProtocolError):
            self._h11.receive_data(b"")
            self._take_events()

    def connection_lost(self, error: Exception | None) -> None:
        """Give up what is open."""
        self._is_lost = True
        self._fail(error or ConnectionResetError("the connection was closed"))

    def _take_events(self) -> None:
        while self._answer is not None and not self._answer.done():
            event = self._h11.next_event()
            if isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
                self._size += len(event.data)
                if self._size > ANSWER_BYTES_MAX:
                    self._fail(OSError(f"an answer longer than {ANSWER_BYTES_MAX} bytes"))
            elif isinstance(event, h11.EndOfMessage):
                self._finish()
            elif event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return

    def _finish(self) -> None:
        assert self._head is not None, "an answer begins with its head"
        assert self._answer is not None, "somebody has asked"
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in self._head.headers
        }
        answer = HttpAnswer(
            status=self._head.status_code, headers=headers, body=b"".join(self._body)
        )
        self._head = None
        self._body = []
        self._size = 0
        if self._h11.our_state is h11.DONE and self._h11.their_state is h11.DONE:
            self._h11.start_next_cycle()
        self._answer.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        if not self._transport.is_closing():
            self._transport.abort()


def refusal_text(address: str, answer: HttpAnswer) -> str:
    """Return what an error answer says, for people."""
    text = answer.body.decode(errors="replace").strip()[:TEXT_MAX]
    return f"{address} answers HTTP {answer.status}" + (f": {text}" if text else "")
