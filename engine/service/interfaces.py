"""The engine's entrances: the Unix domain socket, HTTP over TCP, raw XML over TCP and UDP."""

import logging
import os
import socket
from pathlib import Path

from engine import __version__
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.main_configuration import SchedulerXml
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.engine_port import AgentViews
from engine.server.processes_endpoint import ProcessPort
from engine.server.raw_xml import HostRule, HostRules, RawXmlServer
from engine.server.serve import HttpServer, Listener, bind_tcp, bind_unix
from engine.server.udp_commands import UdpServer, bind_udp
from engine.service.engine import Engine
from engine.service.settings import EngineSettings

log = logging.getLogger(__name__)


class Interfaces:
    """Opens all entrances that the settings ask for, and closes them.

    Building them raises SettingsError when an address cannot be had.
    """

    def __init__(
        self,
        settings: EngineSettings,
        engine: Engine,
        scheduler_xml: SchedulerXml,
        processes: ProcessPort | None = None,
        agent_views: AgentViews | None = None,
    ) -> None:
        tokens = TokenFiles(_token_files(settings))
        context = ServerContext(
            port=engine,
            gate=Gate(tokens, (socket.gethostname(),)),
            facts=_facts(settings, engine),
            request_bytes_max=settings.request_bytes_max,
            processes=processes,
            agent_views=agent_views,
        )
        program = application(context)
        self._settings = settings
        self._nobody_can_come = (
            settings.listen is not None and tokens.is_empty and not settings.trust_loopback
        )
        self._http = HttpServer(program, _listeners(settings))
        self._raw: RawXmlServer | None = None
        self._udp: UdpServer | None = None
        hosts = scheduler_xml.allowed_hosts
        rules = None if hosts is None else [HostRule(host=h.host, level=h.level) for h in hosts]
        if settings.raw_xml_listen is not None:
            self._raw = RawXmlServer(
                bind_tcp(settings.raw_xml_listen),
                engine,
                context.commands,
                program,
                HostRules(rules),
            )
        if settings.udp_listen is not None:
            bound = bind_udp(settings.udp_listen)
            self._udp = UdpServer(bound, context.commands, HostRules(rules))

    async def start(self) -> None:
        """Return when every entrance answers."""
        await self._http.start()
        if self._raw is not None:
            await self._raw.start()
        if self._udp is not None:
            await self._udp.start()
        if self._nobody_can_come:
            log.warning(
                "There is no token, so every request at %s is refused; `pointsman token` makes one",
                self._settings.listen,
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
        settings = self._settings
        places = [str(settings.paths.socket)]
        places += [str(at) for at in (settings.listen, settings.raw_xml_listen) if at is not None]
        places += [] if settings.udp_listen is None else [f"UDP {settings.udp_listen}"]
        return ", ".join(places)


def _token_files(settings: EngineSettings) -> list[Path]:
    files = [settings.paths.tokens, settings.paths.door_tokens]
    if settings.token_file is not None:
        files.append(settings.token_file)
    return files


def _listeners(settings: EngineSettings) -> tuple[Listener, ...]:
    listeners = [
        Listener(socket=bind_unix(settings.paths.socket), trust=Trust.OWNER),
        Listener(socket=bind_unix(settings.paths.door_socket), trust=Trust.NOBODY),
    ]
    if settings.listen is not None:
        trust = Trust.LOOPBACK if settings.trust_loopback else Trust.NOBODY
        listeners.append(Listener(socket=bind_tcp(settings.listen), trust=trust, tls=settings.tls))
    return tuple(listeners)


def _facts(settings: EngineSettings, engine: Engine) -> EngineFacts:
    port = None if settings.listen is None else settings.listen.port
    raw = settings.raw_xml_listen
    return EngineFacts(
        version=__version__,
        host=socket.gethostname(),
        pid=os.getpid(),
        started_at=engine.now(),
        http_port=port if settings.tls is None else None,
        https_port=None if settings.tls is None else port,
        tcp_port=None if raw is None else raw.port,
        udp_port=None if settings.udp_listen is None else settings.udp_listen.port,
        config_file="" if settings.main_file is None else str(settings.main_file),
        live_folder=str(settings.live),
        log_file=str(settings.paths.engine_log),
        task_log_folder=str(settings.paths.logs),
        database=str(settings.paths.journal),
    )
