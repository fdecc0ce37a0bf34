"""Where an engine listens: as its settings say, and where they are silent `scheduler.xml`.

A port of `scheduler.xml` opens as it did in JobScheduler 1.x, within two limits of ours.

* Nobody who was not let in can start a process. At the TCP and UDP port, which know no tokens,
  `<security>` lets hosts in; without it, `trust_loopback` does, and without both the port stays
  closed. At the HTTP ports it is tokens, and `trust_loopback`.
* What is neither encrypted nor asks for a token is not sent over a network by accident: such a port
  listens on loopback only, unless `allow_insecure` says that the network is trusted.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from engine.codec.xml.main_configuration import PortSetting, SchedulerXml
from engine.server.listeners import TcpAddress, TlsFiles, is_loopback, parse_tcp_address
from engine.service.settings import EngineSettings

LOOPBACK: Final = "127.0.0.1"
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104  # only with allow_insecure and <security>, or with TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrance:
    """An address at which the engine listens."""

    address: TcpAddress
    tls: TlsFiles | None = None
    place: str = ""
    """Where it is asked for, as `scheduler.xml:3: tcp_port="4444"`; empty: in our own settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entrances:
    """All addresses at which the engine listens, beside its sockets."""

    http: tuple[Entrance, ...] = ()
    raw_xml: Entrance | None = None
    udp: Entrance | None = None
    warnings: tuple[str, ...] = field(default=())
    """What `scheduler.xml` asks for and does not get, or not as far; for the log."""

    @property
    def http_port(self) -> int | None:
        """The port of HTTP without TLS."""
        return _port(next((one for one in self.http if one.tls is None), None))

    @property
    def https_port(self) -> int | None:
        """The port of HTTP with TLS."""
        return _port(next((one for one in self.http if one.tls is not None), None))

    @property
    def any_http_port(self) -> int | None:
        """The first port that speaks HTTP, with TLS or without."""
        return _port(next(iter(self.http), None))

    @property
    def tcp_port(self) -> int | None:
        """The port of the raw XML protocol."""
        return _port(self.raw_xml)

    @property
    def udp_port(self) -> int | None:
        """The port of commands without answer."""
        return _port(self.udp)

    def __str__(self) -> str:
        """Return the addresses, for people."""
        tcp = [*self.http, *([] if self.raw_xml is None else [self.raw_xml])]
        places = [str(one.address) for one in tcp]
        return ", ".join([*places, *([] if self.udp is None else [f"UDP {self.udp.address}"])])


def entrances(settings: EngineSettings, scheduler_xml: SchedulerXml) -> Entrances:
    """Return where the engine listens; our own settings come before `scheduler.xml`."""
    own = Entrances(
        http=()
        if settings.listen is None
        else (Entrance(address=settings.listen, tls=settings.tls),),
        raw_xml=_own(settings.raw_xml_listen),
        udp=_own(settings.udp_listen),
    )
    if not settings.scheduler_ports:
        return own
    asked = _Asked(settings, scheduler_xml)
    ports = scheduler_xml.ports
    http = own.http or tuple(asked.http())
    raw_xml = own.raw_xml
    if raw_xml is None and not _is_at(own.http, ports.tcp_port):
        raw_xml = asked.without_tokens("tcp_port", ports.tcp_port)
    udp = own.udp or asked.without_tokens("udp_port", ports.udp_port)
    return replace(own, http=http, raw_xml=raw_xml, udp=udp, warnings=tuple(asked.warnings))


def _is_at(own: tuple[Entrance, ...], port: PortSetting | None) -> bool:
    """Whether our HTTP interface stands at that port already, as the notes on moving advise."""
    return port is not None and int(port.text) in {one.address.port for one in own}


def _own(address: TcpAddress | None) -> Entrance | None:
    return None if address is None else Entrance(address=address)


def _port(entrance: Entrance | None) -> int | None:
    return None if entrance is None else entrance.address.port


class _Asked:
    """The ports of a `scheduler.xml`, one after the other."""

    def __init__(self, settings: EngineSettings, scheduler_xml: SchedulerXml) -> None:
        self._settings = settings
        self._ports = scheduler_xml.ports
        self._has_security = scheduler_xml.allowed_hosts is not None
        self.warnings: list[str] = []

    def http(self) -> Iterator[Entrance]:
        """Yield the HTTP listeners: tokens keep them, so that they may always open."""
        plain = self._ports.http_port
        if plain is not None:
            address = parse_tcp_address(plain.text)
            asked = address.host if ":" in plain.text else EVERYWHERE
            host = self._host(plain.named("http_port"), asked, what="without TLS it")
            yield Entrance(address=replace(address, host=host), place=plain.named("http_port"))
        secure = self._ports.https_port
        if secure is None:
            return
        if self._settings.tls is None:
            self.warnings.append(
                f"{secure.named('https_port')} stays closed: it needs tls_certificate and tls_key"
            )
            return
        address = parse_tcp_address(secure.text)
        host = address.host if ":" in secure.text else EVERYWHERE
        yield Entrance(
            address=replace(address, host=host),
            tls=self._settings.tls,
            place=secure.named("https_port"),
        )

    def without_tokens(self, name: str, port: PortSetting | None) -> Entrance | None:
        """Return the listener of the TCP or UDP port: `<security>` takes the tokens' place."""
        if port is None:
            return None
        place = port.named(name)
        if not self._has_security and not self._settings.trust_loopback:
            self.warnings.append(
                f"{place} stays closed: nobody is let in. <security> with <allowed_host> names "
                "who may come, trust_loopback lets this host in"
            )
            return None
        ip_address = self._ports.ip_address
        asked = EVERYWHERE if ip_address is None else ip_address.text
        if not self._has_security and not is_loopback(asked):
            host = LOOPBACK  # nobody else could come in
        else:
            host = self._host(place, asked, what="it knows neither TLS nor tokens, so it")
        return Entrance(address=TcpAddress(host=host, port=int(port.text)), place=place)

    def _host(self, place: str, asked: str, *, what: str) -> str:
        """Return where to listen: what cannot be kept secret stays on this host."""
        if is_loopback(asked) or self._settings.allow_insecure:
            return asked
        self.warnings.append(
            f"{place}: {what} listens on {LOOPBACK} only; allow_insecure opens it to the network"
        )
        return LOOPBACK
