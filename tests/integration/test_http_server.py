"""The HTTP interface over real sockets: who may connect, streams, TLS, the end."""

import asyncio
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trustme
from httpx_sse import ServerSentEvent, aconnect_sse

from engine.errors import SettingsError
from engine.kernel.commands import PauseEngine
from engine.kernel.ids import AgentUri
from engine.kernel.instants import seconds
from engine.kernel.reports import AgentStatus
from engine.server import event_stream
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.engine_port import AgentPulse
from engine.server.listeners import TcpAddress, TlsFiles
from engine.server.serve import HttpServer, Listener, bind_tcp, bind_unix
from tests.support.fake_engine import FACTS, FakeEngine

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0


@asynccontextmanager
async def served(
    engine: FakeEngine, *listeners: Listener, tokens: TokenFiles | None = None
) -> AsyncIterator[HttpServer]:
    context = ServerContext(port=engine, gate=Gate(tokens or TokenFiles(())), facts=FACTS)
    server = HttpServer(application(context), listeners)
    async with asyncio.timeout(LIMIT_S):
        await server.start()
        try:
            yield server
        finally:
            await engine.stop()
            await server.stop()


def tcp(trust: Trust = Trust.LOOPBACK, tls: TlsFiles | None = None) -> tuple[Listener, str]:
    bound = bind_tcp(TcpAddress(host="127.0.0.1", port=0))
    port = bound.getsockname()[1]
    scheme = "http" if tls is None else "https"
    return Listener(socket=bound, trust=trust, tls=tls), f"{scheme}://127.0.0.1:{port}"


async def first_events(url: str, count: int, after: str = "?after=0") -> list[ServerSentEvent]:
    found: list[ServerSentEvent] = []
    async with (
        httpx.AsyncClient(trust_env=False) as client,
        aconnect_sse(client, "GET", f"{url}/api/events{after}") as source,
    ):
        async for event in source.aiter_sse():
            found.append(event)
            if len(found) == count:
                break
    return found


async def test_the_socket_is_for_its_owner_and_needs_no_token(tmp_path: Path) -> None:
    path = tmp_path / "engine.sock"
    path.write_text("stale")
    listener = Listener(socket=bind_unix(path), trust=Trust.OWNER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with served(FakeEngine(), listener):
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            assert (await client.get("/api/overview")).status_code == 200


async def test_tcp_wants_a_token_unless_loopback_is_trusted(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("secret")
    closed, closed_url = tcp(Trust.NOBODY)
    open_, open_url = tcp(Trust.LOOPBACK)
    async with (
        served(FakeEngine(), closed, open_, tokens=TokenFiles([file])),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        refused = await client.get(f"{closed_url}/api/overview")
        assert refused.status_code == 401
        assert "Basic" in refused.headers["www-authenticate"]
        allowed = await client.get(f"{closed_url}/api/overview", auth=("any", "secret"))
        assert allowed.status_code == 200
        assert (await client.get(f"{open_url}/api/overview")).status_code == 200


async def test_a_stream_catches_up_and_follows() -> None:
    engine = FakeEngine()
    listener, url = tcp()
    async with served(engine, listener):
        known = engine.number
        waiting = asyncio.create_task(first_events(url, known + 2))
        await engine.submit(PauseEngine(paused=True), "me")
        await engine.submit(PauseEngine(paused=False), "me")
        events = await waiting
    assert [int(event.id) for event in events] == list(range(1, known + 3))
    assert {event.event for event in events} == {"fact"}
    assert events[-1].json()["kind"] == "EnginePausedSet"
    assert events[-1].json()["body"] == {"paused": False}
    assert events[-1].json()["cause"] == "me"


async def test_a_reconnecting_client_goes_on_where_it_was() -> None:
    engine = FakeEngine()
    for paused in (True, False, True):
        await engine.submit(PauseEngine(paused=paused), "")
    listener, url = tcp()
    async with (
        served(engine, listener),
        httpx.AsyncClient(trust_env=False) as client,
        aconnect_sse(
            client,
            "GET",
            f"{url}/api/events?after=0",
            headers={"Last-Event-ID": str(engine.number - 1)},
        ) as source,
    ):
        event = await anext(aiter(source.aiter_sse()))
    assert int(event.id) == engine.number


def pulse_of(text: str = "") -> AgentPulse:
    return AgentPulse(
        agent=AgentUri("http://a:1"),
        status=AgentStatus.COUPLED,
        heard_at=None,
        heartbeat_period=seconds(10),
        heartbeat_timeout=seconds(60),
        text=text,
    )


async def test_pulses_travel_without_a_number() -> None:
    engine = FakeEngine()
    listener, url = tcp()
    async with served(engine, listener):
        waiting = asyncio.create_task(first_events(url, engine.number + 1))
        await engine.followed.wait()
        await engine.tell(pulse_of())
        events = await waiting
    assert (events[-1].event, events[-1].json()["agent"]) == ("pulse", "http://a:1")


async def test_what_is_too_old_is_gone() -> None:
    engine = FakeEngine()
    engine.oldest = 1
    listener, url = tcp()
    async with served(engine, listener), httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(f"{url}/api/events?after=0")).status_code == 410
        assert (await client.get(f"{url}/api/events?after=99999")).status_code == 410
        assert (await client.get(f"{url}/api/events?after=x")).status_code == 400


async def test_a_quiet_stream_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "PING_S", 0.02)
    engine = FakeEngine()
    listener, url = tcp()
    async with (
        served(engine, listener),
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"{url}/api/events") as response,
    ):
        assert response.headers["cache-control"] == "no-store"
        assert await anext(response.aiter_lines()) == ": ping"


async def test_streams_end_by_themselves_when_the_engine_does() -> None:
    engine = FakeEngine()
    listener, url = tcp()
    async with (
        served(engine, listener),
        httpx.AsyncClient(trust_env=False) as client,
        client.stream("GET", f"{url}/api/events?after=0") as response,
    ):
        lines = response.aiter_lines()
        await anext(lines)
        await engine.stop()
        async for _ in lines:
            pass


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "SLOW_CLIENT_S", 0.05)
    monkeypatch.setattr(event_stream, "FRAMES_MAX", 10)
    engine = FakeEngine()
    listener, url = tcp()
    async with served(engine, listener):
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1_000)
        writer.write(b"GET /api/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await engine.followed.wait()
        big = pulse_of("x" * 1_000_000)
        while not engine.deserted.is_set():
            await engine.tell(big)
            await asyncio.sleep(0.001)
        writer.transport.abort()


async def test_https_is_served_with_the_given_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    listener, url = tcp(tls=TlsFiles(certificate=certificate, key=key))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with (
        served(FakeEngine(), listener),
        httpx.AsyncClient(verify=context, trust_env=False) as client,
    ):
        assert (await client.get(f"{url}/health/live")).status_code == 200


async def test_unusable_tls_files_are_named(tmp_path: Path) -> None:
    file = tmp_path / "nothing.pem"
    file.write_text("nothing")
    listener, _ = tcp(tls=TlsFiles(certificate=file))
    with pytest.raises(SettingsError, match=r"nothing\.pem"):
        HttpServer(application(_context()), (listener,))
    listener.socket.close()


def _context() -> ServerContext:
    return ServerContext(port=FakeEngine(), gate=Gate(TokenFiles(())), facts=FACTS)


async def test_a_taken_address_is_named() -> None:
    bound = bind_tcp(TcpAddress(host="127.0.0.1", port=0))
    bound.listen()
    port = bound.getsockname()[1]
    with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1:{port}"):
        bind_tcp(TcpAddress(host="127.0.0.1", port=port))
    bound.close()
