"""The UDP port of JobScheduler 1.x: one XML command a datagram, carried out without an answer.

Who may do what follows from `<security>` of `scheduler.xml`, as at the TCP port (xml-commands.md
1.1, 1.6). Errors are found in the engine log only. Commands are carried out one after the other;
what comes while too many wait is dropped, as the network itself may do.
"""

import asyncio
import logging
import socket
from typing import Any, Final

from engine.codec.xml.commands import as_element
from engine.codec.xml.queries import Permission
from engine.errors import SettingsError
from engine.server.listeners import TcpAddress
from engine.server.raw_xml import HostRules
from engine.server.xml_execution import Aborted, Client, XmlCommands, encoding_of

WAITING_MAX: Final = 1_000
"""Datagrams that wait; each has at most 64 KB."""
COMMAND_S: Final = 600.0
"""A command that takes longer is given up, so that the others come to their turn."""

_log = logging.getLogger(__name__)


def bind_udp(address: TcpAddress) -> socket.socket:
    """Return a bound socket. Raises SettingsError when the address is not to be had."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, target = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setblocking(False)
            bound.bind(target)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError((f"cannot listen on UDP {address}: {reason}",)) from error
    return bound


class UdpServer:
    """Takes commands from one socket until it is stopped."""

    def __init__(self, bound: socket.socket, commands: XmlCommands, rules: HostRules) -> None:
        self._socket = bound
        self._commands = commands
        self._rules = rules
        self._waiting: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue(WAITING_MAX)
        self._dropped = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._worker: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """How many datagrams wait."""
        return self._waiting.qsize()

    async def start(self) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        self._worker = loop.create_task(self._work(), name="udp commands")
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Receiver(self), sock=self._socket
        )

    async def stop(self) -> None:
        """Take no more commands; those that wait are dropped."""
        if self._transport is not None:
            self._transport.close()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def received(self, data: bytes, host: str) -> None:
        """Let a datagram wait for its turn; hosts that may do nothing are not heard."""
        if self._rules.level(host) is Permission.NONE:
            return
        if self._waiting.full():
            if self._dropped == 0:
                _log.warning("More than %d UDP commands wait; others are dropped", WAITING_MAX)
            self._dropped += 1
            return
        self._dropped = 0
        self._waiting.put_nowait((data, host))

    async def _work(self) -> None:
        while True:
            data, host = await self._waiting.get()
            try:
                async with asyncio.timeout(COMMAND_S):
                    await self._carry_out(data, host)
            except Aborted:
                return
            except TimeoutError:
                _log.warning("A UDP command of %s took more than %.0f s", host, COMMAND_S)

    async def _carry_out(self, data: bytes, host: str) -> None:
        client = Client(name=f"udp {host}", permission=self._rules.level(host))
        text = as_element(data.rstrip(b"\0\r\n").decode("latin-1")).encode("latin-1")
        document = await self._commands.execute(text, client, encoding=encoding_of(text))
        error = document.find("answer/ERROR")
        if error is not None:
            _log.warning("A UDP command of %s failed: %s", host, error.get("text"))


class _Receiver(asyncio.DatagramProtocol):
    def __init__(self, server: UdpServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, address: tuple[str | Any, int]) -> None:
        """Take over one datagram."""
        self._server.received(data, str(address[0]))

    def error_received(self, error: Exception) -> None:
        """Go on: the other side of an earlier datagram has gone."""
        _log.debug("UDP: %s", error)
