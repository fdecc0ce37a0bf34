"""The raw XML port: framing out, order of answers, classic HTTP beside it, `<security>`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from lxml import etree

from engine.codec.xml.queries import Permission
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles
from engine.server.context import ServerContext
from engine.server.listeners import TcpAddress
from engine.server.raw_xml import HostRule, HostRules, RawXmlServer
from engine.server.serve import bind_tcp
from tests.support.fake_engine import FACTS, FakeEngine
from tests.support.http_engine import answer_of
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0
WALK = (shell_job("work"), chain("walk", node("100", "work")))


@asynccontextmanager
async def served(engine: FakeEngine, level: Permission | None = None) -> AsyncIterator[int]:
    context = ServerContext(port=engine, gate=Gate(TokenFiles(())), facts=FACTS)
    bound = bind_tcp(TcpAddress(host="127.0.0.1", port=0))
    rules = None if level is None else [HostRule(host="127.0.0.1", level=level)]
    server = RawXmlServer(bound, engine, context.commands, application(context), HostRules(rules))
    async with asyncio.timeout(LIMIT_S):
        await server.start()
        try:
            yield bound.getsockname()[1]
        finally:
            await server.stop()


@asynccontextmanager
async def connected(
    port: int,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=10_000_000)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def test_answers_end_with_nul_and_the_connection_stays_open() -> None:
    async with served(FakeEngine(*WALK)) as port, connected(port) as (reader, writer):
        writer.write(b'<add_order job_chain="walk" id="\xfc"/><show_state/>')
        first = await reader.readuntil(b"\0")
        assert b"ISO-8859-1" in first[:60]
        assert answer_of(first[:-1]).find("ok/order[@id='ü']") is not None
        second = await reader.readuntil(b"\0")
        assert answer_of(second[:-1]).find("state") is not None
        writer.write(b"<show_job job='missing'/>")
        third = await reader.readuntil(b"\0")
        assert etree.fromstring(third[:-1]).find("answer/ERROR") is not None


async def test_a_person_at_a_terminal_gets_lines() -> None:
    async with served(FakeEngine()) as port, connected(port) as (reader, writer):
        writer.write(b"show_state\r\n")
        answer = await reader.readuntil(b"\0")
        assert answer.count(b"\r\n") > 3


async def test_a_line_feed_looks_at_the_folders_without_an_answer() -> None:
    engine = FakeEngine()
    async with served(engine) as port, connected(port) as (reader, writer):
        writer.write(b"\n<params.get/>")
        await reader.readuntil(b"\0")
    assert engine.looked == 1


async def test_ctrl_d_closes_after_the_answers() -> None:
    async with served(FakeEngine()) as port, connected(port) as (reader, writer):
        writer.write(b"<params.get/>\x04")
        answer = await reader.read()
        assert answer.endswith(b"\0")


async def test_a_client_that_stops_sending_still_gets_its_answer() -> None:
    async with served(FakeEngine()) as port, connected(port) as (reader, writer):
        writer.write(b"<params.get/>")
        writer.write_eof()
        assert (await reader.read()).endswith(b"\0")


async def test_an_oversized_request_is_answered_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("engine.codec.xml.framing.LINE_BYTES_MAX", 50)
    async with served(FakeEngine()) as port, connected(port) as (reader, writer):
        writer.write(b"x" * 100)
        answer = await reader.read()
        assert answer_of(answer[:-1])[0].get("code") == "Z-JAVA-105"


async def test_classic_http_is_spoken_on_the_same_port() -> None:
    async with served(FakeEngine(*WALK)) as port, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}"
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        posted = await client.post(
            f"{url}/anything", content='<add_order job_chain="walk"/>', headers=form
        )
        assert answer_of(posted.content).find("ok/order") is not None
        shown = await client.get(f"{url}/<show_state/>")
        assert answer_of(shown.content).find("state") is not None


@pytest.mark.parametrize(
    ("level", "shows", "moves", "adds"),
    [
        (None, True, True, True),
        (Permission.ALL, True, True, True),
        (Permission.NO_ADD, True, True, False),
        (Permission.INFO, True, False, False),
        (Permission.SIGNAL, False, False, False),
    ],
)
async def test_security_bounds_what_a_host_may(
    level: Permission | None, shows: bool, moves: bool, adds: bool
) -> None:
    engine = FakeEngine(*WALK)
    commands = (
        ("<show_state/>", shows),
        ('<modify_job job="/work" cmd="stop"/>', moves),
        ('<add_order job_chain="walk"/>', adds),
    )
    async with served(engine, level) as port, connected(port) as (reader, writer):
        for command, is_allowed in commands:
            writer.write(command.encode())
            answer = answer_of((await reader.readuntil(b"\0"))[:-1])
            error = answer.find("ERROR")
            assert (error is None) is is_allowed
            if error is not None:
                assert error.get("code") == "SCHEDULER-121"


async def test_a_host_that_may_nothing_is_not_connected() -> None:
    async with served(FakeEngine(), Permission.NONE) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()


@pytest.mark.parametrize("request_bytes", [b"<s a='" + b"x" * 20_000_000, b"y" * 1_000_000])
async def test_who_sends_too_much_hears_it_at_the_end(request_bytes: bytes) -> None:
    async with served(FakeEngine(*WALK)) as port, connected(port) as (reader, writer):
        writer.write(request_bytes)
        await writer.drain()
        writer.write_eof()
        answer = answer_of((await reader.readuntil(b"\0"))[:-1])
        assert "too large" in str(answer[0].get("text"))
        assert await reader.read() == b""


async def test_many_line_feeds_are_one_look() -> None:
    engine = FakeEngine(*WALK)
    async with served(engine) as port, connected(port) as (reader, writer):
        writer.write(b"\n" * 1_000 + b"<params.get/>")
        await reader.readuntil(b"\0")
    assert engine.looked == 1


async def test_a_host_that_may_look_may_look_over_http_too() -> None:
    async with (
        served(FakeEngine(*WALK), Permission.INFO) as port,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        url = f"http://127.0.0.1:{port}/"
        assert (await client.get(f"{url}<show_state/>")).status_code == 200
        posted = await client.post(url, content='<add_order job_chain="walk"/>')
        assert answer_of(posted.content)[0].get("code") == "SCHEDULER-121"


def test_exact_addresses_win_over_networks_over_the_rest() -> None:
    rules = HostRules(
        [
            HostRule(host="10.1.2.0", level=Permission.INFO),
            HostRule(host="10.1.2.3", level=Permission.ALL),
            HostRule(host="10.0.0.0", level=Permission.SIGNAL),
            HostRule(host="0.0.0.0", level=Permission.NO_ADD),
        ]
    )
    found = [
        rules.level(address)
        for address in ("10.1.2.3", "10.1.2.4", "10.9.9.9", "::ffff:10.1.2.3", "8.8.8.8", "x")
    ]
    assert found == [
        Permission.ALL,
        Permission.INFO,
        Permission.SIGNAL,
        Permission.ALL,
        Permission.NO_ADD,
        Permission.NO_ADD,
    ]
    assert HostRules(None).level("8.8.8.8") is Permission.ALL
    assert HostRules([]).level("8.8.8.8") is Permission.NONE
