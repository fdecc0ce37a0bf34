"""The UDP port: a command a datagram, no answer, `<security>` (xml-commands.md 1.1, 1.6)."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from engine.codec.xml.queries import Permission
from engine.errors import SettingsError
from engine.kernel.ids import order_key
from engine.server.listeners import TcpAddress
from engine.server.raw_xml import HostRule, HostRules
from engine.server.udp_commands import WAITING_MAX, UdpServer, bind_udp
from engine.server.xml_execution import XmlCommands
from tests.support.fake_engine import FACTS, FakeEngine
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0
HERE = TcpAddress(host="127.0.0.1", port=0)
WALK = (shell_job("work"), chain("walk", node("100", "work")))


@asynccontextmanager
async def sending(
    engine: FakeEngine, level: Permission | None = None
) -> AsyncIterator[socket.socket]:
    """Return a socket that sends to the engine's port."""
    rules = None if level is None else [HostRule(host="127.0.0.1", level=level)]
    bound = bind_udp(HERE)
    server = UdpServer(bound, XmlCommands(engine, FACTS), HostRules(rules))
    async with asyncio.timeout(LIMIT_S):
        await server.start()
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.connect(bound.getsockname())
                yield client
        finally:
            await server.stop()


async def until_ordered(engine: FakeEngine, order: str) -> None:
    await until(lambda: order_key("/walk", order) in engine.state.orders)


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  # nothing tells of it
        await asyncio.sleep(0.01)


async def test_a_datagram_is_one_command_and_is_not_answered() -> None:
    engine = FakeEngine(*WALK)
    async with sending(engine) as client:
        client.send(b'<add_order job_chain="walk" id="\xfc"/>')
        await until_ordered(engine, "ü")
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(100)


async def test_commands_are_carried_out_in_their_order_and_errors_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine(*WALK)
    with caplog.at_level(logging.WARNING):
        async with sending(engine) as client:
            client.send(b"<nonsense/>")
            client.send(b"show_state\n")
            client.send(b'<add_order job_chain="walk" id="last"/>\0')
            await until_ordered(engine, "last")
    assert "Z-JAVA-105" in caplog.text
    assert caplog.text.count("failed") == 1


async def test_a_host_may_do_what_its_level_allows(caplog: pytest.LogCaptureFixture) -> None:
    engine = FakeEngine(*WALK)
    with caplog.at_level(logging.WARNING):
        async with sending(engine, Permission.INFO) as client:
            client.send(b'<add_order job_chain="walk" id="1"/>')
            await until(lambda: "SCHEDULER-121" in caplog.text)
    assert not engine.state.orders


async def test_a_host_without_any_level_is_not_heard(caplog: pytest.LogCaptureFixture) -> None:
    commands = XmlCommands(FakeEngine(*WALK), FACTS)
    with bind_udp(HERE) as bound:
        server = UdpServer(bound, commands, HostRules([]))
        server.received(b"<s/>", "127.0.0.1")
        assert server.waiting == 0
        assert not caplog.text


async def test_only_so_many_commands_wait(caplog: pytest.LogCaptureFixture) -> None:
    commands = XmlCommands(FakeEngine(*WALK), FACTS)
    with bind_udp(HERE) as bound, caplog.at_level(logging.WARNING):
        server = UdpServer(bound, commands, HostRules(None))
        for _ in range(WAITING_MAX + 10):
            server.received(b"<s/>", "127.0.0.1")
        assert server.waiting == WAITING_MAX
    assert caplog.text.count("are dropped") == 1


async def test_an_address_that_is_taken_is_told() -> None:
    with bind_udp(HERE) as bound:
        taken = TcpAddress(host="127.0.0.1", port=bound.getsockname()[1])
        with pytest.raises(SettingsError, match="cannot listen on UDP"):
            bind_udp(taken)
