"""The engine's entrances: the Unix domain socket, HTTP over TCP, raw XML over TCP and UDP."""

import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

from engine import __version__
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.main_configuration import SchedulerXml
from engine.errors import SettingsError
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.engine_port import AgentViews
from engine.server.listeners import TcpAddress
from engine.server.processes_endpoint import ProcessPort
from engine.server.raw_xml import HostRule, HostRules, RawXmlServer
from engine.server.serve import HttpServer, Listener, bind_tcp, bind_unix
from engine.server.udp_commands import UdpServer, bind_udp
from engine.service.engine import Engine
from engine.service.entrances import Entrance, Entrances
from engine.service.settings import EngineSettings

log = logging.getLogger(__name__)


class Interfaces:
    """Opens all entrances that the settings ask for, and closes them.

    Building them raises SettingsError when an address cannot be had.
    """

    def __init__(
        self,
        settings: EngineSettings,
        places: Entrances,
        engine: Engine,
        scheduler_xml: SchedulerXml,
        processes: ProcessPort | None = None,
        agent_views: AgentViews | None = None,
    ) -> None:
        tokens = TokenFiles(_token_files(settings))
        context = ServerContext(
            port=engine,
            gate=Gate(tokens, (socket.gethostname(),)),
            facts=_facts(settings, places, engine),
            request_bytes_max=settings.request_bytes_max,
            processes=processes,
            agent_views=agent_views,
        )
        program = application(context)
        self._settings = settings
        self._places = places
        self._nobody_can_come = (
            bool(places.http) and tokens.is_empty and not settings.trust_loopback
        )
        self._http = HttpServer(program, _listeners(settings, places))
        self._raw: RawXmlServer | None = None
        self._udp: UdpServer | None = None
        hosts = scheduler_xml.allowed_hosts
        rules = None if hosts is None else [HostRule(host=h.host, level=h.level) for h in hosts]
        if places.raw_xml is not None:
            self._raw = RawXmlServer(
                bound(places.raw_xml, bind_tcp),
                engine,
                context.commands,
                program,
                HostRules(rules),
            )
        if places.udp is not None:
            socket_of_udp = bound(places.udp, bind_udp)
            self._udp = UdpServer(socket_of_udp, context.commands, HostRules(rules))

    async def start(self) -> None:
        """Return when every entrance answers."""
        await self._http.start()
        if self._raw is not None:
            await self._raw.start()
        if self._udp is not None:
            await self._udp.start()
        for warning in self._places.warnings:
            log.warning("%s", warning)
        if self._nobody_can_come:
            log.warning(
                "There is no token, so every request at %s is refused; `pointsman token` makes one",
                ", ".join(str(entrance.address) for entrance in self._places.http),
            )

    async def stop(self) -> None:
        """Take no more requests and let those inside end."""
        if self._udp is not None:
            await self._udp.stop()
        if self._raw is not None:
            await self._raw.stop()
        await self._http.stop()

    @property
    def addresses(self) -> str:
        """Where the engine can be reached, for people."""
        found = [str(self._settings.paths.socket), str(self._places)]
        return ", ".join(each for each in found if each)


def _token_files(settings: EngineSettings) -> list[Path]:
    files = [settings.paths.tokens, settings.paths.door_tokens]
    if settings.token_file is not None:
        files.append(settings.token_file)
    return files


def bound(entrance: Entrance, bind: Callable[[TcpAddress], socket.socket]) -> socket.socket:
    """Return a bound socket. Raises SettingsError that names the line which asks for it."""
    try:
        return bind(entrance.address)
    except SettingsError as error:
        if not entrance.place:
            raise
        advice = "Free the port, change it, or start with --no-scheduler-ports"
        findings = tuple(f"{entrance.place}: {one}. {advice}" for one in error.findings)
        raise SettingsError(findings) from error


def _listeners(settings: EngineSettings, places: Entrances) -> tuple[Listener, ...]:
    listeners = [
        Listener(socket=bind_unix(settings.paths.socket), trust=Trust.OWNER),
        Listener(socket=bind_unix(settings.paths.door_socket), trust=Trust.NOBODY),
    ]
    trust = Trust.LOOPBACK if settings.trust_loopback else Trust.NOBODY
    listeners += [
        Listener(socket=bound(entrance, bind_tcp), trust=trust, tls=entrance.tls)
        for entrance in places.http
    ]
    return tuple(listeners)


def _facts(settings: EngineSettings, places: Entrances, engine: Engine) -> EngineFacts:
    return EngineFacts(
        version=__version__,
        host=socket.gethostname(),
        pid=os.getpid(),
        started_at=engine.now(),
        http_port=places.http_port,
        https_port=places.https_port,
        tcp_port=places.tcp_port,
        udp_port=places.udp_port,
        config_file="" if settings.main_file is None else str(settings.main_file),
        live_folder=str(settings.live),
        log_file=str(settings.paths.engine_log),
        task_log_folder=str(settings.paths.logs),
        database=str(settings.paths.journal),
    )
