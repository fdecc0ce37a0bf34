"""The TCP port of JobScheduler 1.x: raw XML and classic HTTP (xml-commands.md 1.2, 1.3).

The first byte of a connection decides: an upper-case letter means HTTP, everything else the XML
protocol. Who may do what follows from `<security>` of `scheduler.xml`; there are no tokens.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import uvicorn

from engine.codec.xml.answers import SCHEMA_ERROR, answer_bytes, answer_document
from engine.codec.xml.commands import as_element
from engine.codec.xml.framing import Command, Framer, Signal
from engine.codec.xml.queries import Permission
from engine.kernel.problems import Problem
from engine.server.auth import Role, Trust
from engine.server.engine_port import EnginePort
from engine.server.listeners import is_loopback
from engine.server.serve import Application, uvicorn_config
from engine.server.xml_execution import Aborted, Client, XmlCommands, encoding_of

CONNECTIONS_MAX: Final = 1_000
PENDING_MAX: Final = 100
"""Requests of one connection that wait; more stop the reading."""
IDLE_S: Final = 3_600.0
FIRST_BYTE_S: Final = 60.0
FEED_BYTES: Final = 32 * 1024
"""So much is looked through before others come to their turn."""
DISCARD_S: Final = 60.0
DISCARDED_BYTES_MAX: Final = 256 * 1024 * 1024
"""So much and so long what follows an oversized request is read and thrown away."""
NUL: Final = b"\0"
_ENCODING: Final = "ISO-8859-1"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRule:
    """One `<allowed_host>`: an address, a network `a.b.c.0`, a name, or `0.0.0.0` for the rest."""

    host: str
    level: Permission


class HostRules:
    """What each host may do; without any rule every host may do everything."""

    def __init__(self, rules: Iterable[HostRule] | None) -> None:
        self._open = rules is None
        self._exact: dict[str, Permission] = {}
        self._networks: list[tuple[ipaddress.IPv4Network, Permission]] = []
        self._others = Permission.NONE
        for rule in rules or ():
            self._add(rule)

    def level(self, address: str) -> Permission:
        """Return what a client at this address may do; exact addresses win over networks."""
        if self._open:
            return Permission.ALL
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return self._others
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        plain = mapped or found
        if str(plain) in self._exact:
            return self._exact[str(plain)]
        for network, level in self._networks:
            if isinstance(plain, ipaddress.IPv4Address) and plain in network:
                return level
        return self._others

    def _add(self, rule: HostRule) -> None:
        if rule.host == "0.0.0.0":  # noqa: S104  # the original's word for every other host
            self._others = rule.level
            return
        try:
            address = ipaddress.ip_address(rule.host)
        except ValueError:
            for name in _addresses_of(rule.host):
                self._exact[name] = rule.level
            return
        if isinstance(address, ipaddress.IPv4Address) and rule.host.endswith(".0"):
            bits = 32 - 8 * _trailing_zeros(rule.host)
            network = ipaddress.IPv4Network(f"{rule.host}/{bits}")
            self._networks.append((network, rule.level))
        else:
            self._exact[str(address)] = rule.level


def _addresses_of(name: str) -> list[str]:
    try:
        return sorted({str(found[4][0]) for found in socket.getaddrinfo(name, None)})
    except OSError as error:
        _log.warning("allowed_host %s is not known: %s", name, error)
        return []


def _trailing_zeros(host: str) -> int:
    parts = host.split(".")
    count = 0
    while count < 3 and parts[-1 - count] == "0":
        count += 1
    return count


class RawXmlServer:
    """Serves one listening socket until it is stopped."""

    def __init__(
        self,
        listener: socket.socket,
        port: EnginePort,
        commands: XmlCommands,
        application: Application,
        rules: HostRules,
    ) -> None:
        self._listener = listener
        self._port = port
        self._commands = commands
        self._rules = rules
        self._http = {
            (trust, role): uvicorn_config(application, trust, role_max=role)
            for trust in (Trust.LOOPBACK, Trust.OWNER)
            for role in (Role.READ_ONLY, Role.ADMIN)
        }
        self._http_state = uvicorn.Server(next(iter(self._http.values()))).server_state
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Chooser(self), sock=self._listener)

    async def stop(self) -> None:
        """Take no more connections and end those that are open."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._http_state.connections):
            connection.shutdown()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def is_full(self) -> bool:
        """Return whether no more connections are taken."""
        return len(self._tasks) + len(self._http_state.connections) >= CONNECTIONS_MAX

    def level(self, transport: asyncio.Transport) -> Permission:
        """Return what the client of a connection may do."""
        peer = transport.get_extra_info("peername")
        return self._rules.level(str(peer[0])) if peer else Permission.NONE

    def http_protocol(self, transport: asyncio.Transport, level: Permission) -> asyncio.Protocol:
        """Return a protocol that speaks HTTP with the application.

        Hosts that `<security>` lets in need no token. The HTTP side knows roles instead of levels:
        whoever may not do everything may look there.
        """
        peer = transport.get_extra_info("peername")
        # Pages in browsers of this host must not get in under names of their own choice.
        trust = Trust.LOOPBACK if peer and is_loopback(str(peer[0])) else Trust.OWNER
        role = Role.ADMIN if level is Permission.ALL else Role.READ_ONLY
        config = self._http[trust, role]
        protocol: asyncio.Protocol = config.http_protocol_class(  # type: ignore[call-arg]  # theirs
            config=config, server_state=self._http_state, app_state={}
        )
        return protocol

    def serve_xml(self, transport: asyncio.Transport, permission: Permission) -> "_XmlProtocol":
        """Begin the XML protocol on a connection."""
        protocol = _XmlProtocol(transport)
        work = self._conversation(transport, protocol, permission)
        task = asyncio.get_running_loop().create_task(work, name="raw xml")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return protocol

    async def _conversation(
        self, transport: asyncio.Transport, protocol: "_XmlProtocol", permission: Permission
    ) -> None:
        """Answer requests strictly in order, until one side closes."""
        peer = transport.get_extra_info("peername")
        client = Client(name=f"tcp {peer[0]}" if peer else "tcp", permission=permission)
        framer = Framer()
        try:
            while True:
                async with asyncio.timeout(IDLE_S):
                    data = await protocol.take()
                if data is None:
                    return
                for start in range(0, len(data), FEED_BYTES):
                    for frame in framer.feed(data[start : start + FEED_BYTES]):
                        if not await self._framed(frame, client, protocol):
                            return
                    await asyncio.sleep(0)
        except (TimeoutError, ConnectionError, Aborted):
            return
        finally:
            transport.close()

    async def _framed(
        self, frame: Command | Signal, client: Client, protocol: "_XmlProtocol"
    ) -> bool:
        """Answer one frame; return whether the connection goes on."""
        match frame:
            case Command():
                text = as_element(frame.xml.decode("latin-1")).encode("latin-1")
                large = self._commands.large
                deferred = large.deferred()
                document = await self._commands.execute(
                    text, client, encoding=encoding_of(text), deferred=deferred
                )
                answer = await large.text(
                    document, deferred, encoding=_ENCODING, indented=frame.wants_lines
                )
                await protocol.send(_framed_answer(answer, with_lines=frame.wants_lines))
                return True
            case Signal.LOOK:
                if client.permission.includes(Permission.INFO):
                    await self._port.look_at_folders()
                return True
            case Signal.CLOSE:
                return False
            case Signal.TOO_LARGE:
                problem = Problem(code=SCHEMA_ERROR, text="The request is too large")
                document = answer_document((), self._port.now(), problem)
                answer = answer_bytes(document, encoding=_ENCODING)
                await protocol.send(_framed_answer(answer, with_lines=False))
                await _discard(protocol)
                return False


def _framed_answer(text: bytes, *, with_lines: bool) -> bytes:
    return text.replace(b"\n", b"\r\n") + NUL if with_lines else text + NUL


async def _discard(protocol: "_XmlProtocol") -> None:
    """Read what still comes, so that the client hears the answer instead of a broken connection."""
    protocol.end_answers()
    size = 0
    async with asyncio.timeout(DISCARD_S):
        while size < DISCARDED_BYTES_MAX:
            data = await protocol.take()
            if data is None:
                return
            size += len(data)


class _Chooser(asyncio.Protocol):
    """Waits for the first byte of a connection and hands over."""

    def __init__(self, server: RawXmlServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Refuse those that may do nothing."""
        assert isinstance(transport, asyncio.Transport), "a TCP connection"
        level = self._server.level(transport)
        if level is Permission.NONE or self._server.is_full():
            transport.abort()
            return
        self._transport = transport
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(FIRST_BYTE_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Choose by the first byte."""
        transport = self._transport
        if transport is None:
            return
        if self._timer is not None:
            self._timer.cancel()
        level = self._server.level(transport)
        protocol: asyncio.Protocol
        if data[:1].isalpha() and data[:1].isupper():
            protocol = self._server.http_protocol(transport, level)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
        else:
            protocol = self._server.serve_xml(transport, level)
            transport.set_protocol(protocol)
        protocol.data_received(data)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()


class _XmlProtocol(asyncio.Protocol):
    """The two directions of a raw XML connection, each with a bound."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_lost = False

    async def take(self) -> bytes | None:
        """Return what has come, None at the end."""
        data = await self._received.get()
        if self._received.qsize() < PENDING_MAX and not self._is_lost:
            self._transport.resume_reading()
        return data

    async def send(self, data: bytes) -> None:
        """Send an answer; waits for a slow client, raises ConnectionError when it has gone."""
        async with asyncio.timeout(IDLE_S):
            await self._may_write.wait()
        if self._is_lost:
            raise ConnectionError("the client has gone")
        self._transport.write(data)

    def end_answers(self) -> None:
        """Tell the client that nothing more comes, and go on reading."""
        if not self._is_lost and self._transport.can_write_eof():
            self._transport.write_eof()

    def data_received(self, data: bytes) -> None:
        """Take over; stop reading when too much waits."""
        self._received.put_nowait(data)
        if self._received.qsize() >= PENDING_MAX:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Answer what has been asked before closing."""
        self._received.put_nowait(None)
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        """End the conversation."""
        self._is_lost = True
        self._may_write.set()
        self._received.put_nowait(None)

    def pause_writing(self) -> None:
        """The client does not read."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._may_write.set()
