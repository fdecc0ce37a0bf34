"""The small HTTP client of the drivers, against a server that answers as told."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator

import pytest

from engine.drivers import http_client
from engine.drivers.http_client import Credentials, HttpClient, refusal_text
from engine.errors import AgentRefused, AgentUnreachable

pytestmark = pytest.mark.anyio


class Peer:
    """Keeps the requests that arrive, and writes what it was told to for each."""

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        self.parts = parts
        self.requests: list[bytes] = []
        self.transports: list[asyncio.Transport] = []
        self.address = ""

    @property
    def connections(self) -> int:
        return len(self.transports)


class Connection(asyncio.Protocol):
    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._data = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer.transports.append(transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, separator, body = self._data.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)content-length: *([0-9]+)", head)
        if not separator or len(body) < int(found[1] if found else 0):
            return
        self._peer.requests.append(self._data)
        self._data = b""
        self._write(list(self._peer.parts))

    def _write(self, parts: list[bytes]) -> None:
        if not parts or self._transport.is_closing():
            return
        if parts[0]:
            self._transport.write(parts[0])
        else:
            self._transport.close()
        # Each part is a packet of its own.
        asyncio.get_running_loop().call_soon(self._write, parts[1:])


@contextlib.asynccontextmanager
async def peer(*parts: bytes) -> AsyncIterator[Peer]:
    """Serve the same parts for every request; an empty part closes the connection."""
    found = Peer(parts)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(found), "127.0.0.1", 0)
    found.address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        for transport in found.transports:
            transport.abort()
        await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def client_of(address: str, token: str | None = None) -> AsyncIterator[HttpClient]:
    client = HttpClient(address, Credentials(token=token))
    try:
        yield client
    finally:
        await client.close()


PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: Value\r\n\r\nhello"


async def test_a_request_carries_the_token_and_the_body() -> None:
    async with peer(PLAIN) as there, client_of(there.address + "/prefix/", "secret") as client:
        answer = await client.post("/path", b"{}", patience_s=5)
        assert (answer.status, answer.body) == (200, b"hello")
        assert answer.headers["x-name"] == "Value"
        request = there.requests[0].decode().lower()
        assert request.startswith("post /prefix/path http/1.1\r\n")
        assert "authorization: bearer secret\r\n" in request
        assert f"host: {there.address.removeprefix('http://')}\r\n" in request
        assert request.endswith("\r\n\r\n{}")


@pytest.mark.parametrize(
    "parts",
    [
        (PLAIN,),
        tuple(bytes([byte]) for byte in PLAIN),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.1 100 Continue\r\n\r\n", PLAIN),
    ],
)
async def test_an_answer_may_come_in_any_pieces_and_the_connection_is_used_again(
    parts: tuple[bytes, ...],
) -> None:
    async with peer(*parts) as there, client_of(there.address) as client:
        for _ in range(3):
            assert (await client.get("/", patience_s=5)).body == b"hello"
        assert there.connections == 1


async def test_an_answer_that_ends_with_its_connection_is_whole() -> None:
    parts = (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"hello", b"")
    async with peer(*parts) as there, client_of(there.address) as client:
        for _ in range(2):
            assert (await client.get("/", patience_s=5)).body == b"hello"
        assert there.connections == 2


async def test_requests_at_the_same_time_use_connections_of_their_own() -> None:
    async with peer(PLAIN) as there, client_of(there.address) as client:
        await asyncio.gather(*(client.get("/", patience_s=5) for _ in range(3)))
        assert there.connections == 3


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_the_failure_of_a_proxy_is_an_absent_agent(status: int) -> None:
    answer = b"HTTP/1.1 %d No\r\nContent-Length: 0\r\n\r\n" % status
    async with peer(answer) as there, client_of(there.address) as client:
        with pytest.raises(AgentUnreachable, match=str(status)):
            await client.get("/", patience_s=5)


@pytest.mark.parametrize(
    "parts",
    [(b"",), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhe", b""), (b"nonsense\r\n\r\n",)],
)
async def test_half_an_answer_is_none(parts: tuple[bytes, ...]) -> None:
    async with peer(*parts) as there, client_of(there.address) as client:
        with pytest.raises(AgentUnreachable):
            await client.get("/", patience_s=5)


async def test_silence_is_waited_for_only_as_long_as_said() -> None:
    async with peer() as there, client_of(there.address) as client:
        with pytest.raises(AgentUnreachable, match=r"no answer for 0\.05 s"):
            await client.get("/", patience_s=0.05)
        assert not client._idle, "a late answer must not be taken for the next one"


async def test_a_refused_connection_is_an_absent_agent() -> None:
    async with peer(PLAIN) as there:
        address = there.address
    async with client_of(address) as client:
        with pytest.raises(AgentUnreachable):
            await client.get("/", patience_s=5)


@pytest.mark.parametrize("address", ["ftp://host", "host:4445", "http://"])
async def test_an_address_that_is_none_is_refused(address: str) -> None:
    async with client_of(address) as client:
        with pytest.raises(AgentRefused, match="no http"):
            await client.get("/", patience_s=5)


async def test_idle_connections_are_closed_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(http_client, "KEEP_ALIVE_S", 0.0)
    async with peer(PLAIN) as there, client_of(there.address) as client:
        await client.get("/", patience_s=5)
        await asyncio.sleep(0.01)
        assert not client._idle
        await client.get("/", patience_s=5)
        assert there.connections == 2


async def test_a_connection_that_the_peer_has_closed_is_not_used_again() -> None:
    async with peer(PLAIN, b"") as there, client_of(there.address) as client:
        for _ in range(5):
            await client.get("/", patience_s=5)
            await asyncio.sleep(0.01)
        assert there.connections == 5


async def test_an_answer_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "ANSWER_BYTES_MAX", 3)
    async with peer(PLAIN) as there, client_of(there.address) as client:
        with pytest.raises(AgentUnreachable, match="longer than 3"):
            await client.get("/", patience_s=5)


async def test_an_error_answer_is_quoted() -> None:
    answer = b"HTTP/1.1 401 No\r\nContent-Length: 3\r\n\r\nwhy"
    async with peer(answer) as there, client_of(there.address) as client:
        found = await client.get("/", patience_s=5)
    assert refusal_text("http://a", found) == "http://a answers HTTP 401: why"
