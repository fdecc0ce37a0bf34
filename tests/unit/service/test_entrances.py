"""At which addresses an engine listens: settings first, then the ports of scheduler.xml."""

import socket
from pathlib import Path
from typing import Any

import pytest

from engine.codec.xml.main_configuration import AllowedHost, Ports, PortSetting, SchedulerXml
from engine.codec.xml.queries import Permission
from engine.errors import SettingsError
from engine.server.listeners import TcpAddress, TlsFiles
from engine.server.serve import bind_tcp
from engine.service.entrances import Entrance, Entrances, entrances
from engine.service.interfaces import bound
from engine.service.settings import EngineSettings

THIS_HOST = (AllowedHost(host="127.0.0.1", level=Permission.ALL),)
TLS = TlsFiles(certificate=Path("server.pem"))


def settings(**given: Any) -> EngineSettings:
    places: dict[str, Any] = {
        "config": Path(),
        "live": Path("live"),
        "main_file": None,
        "data": Path("data"),
    }
    return EngineSettings(**places, **given)


def asked(allowed: tuple[AllowedHost, ...] | None = None, **ports: str) -> SchedulerXml:
    given = {name: PortSetting(text, "scheduler.xml:3") for name, text in ports.items()}
    return SchedulerXml(ports=Ports(**given), allowed_hosts=allowed)


def shown(found: Entrances) -> str:
    return str(found)


def test_what_scheduler_xml_does_not_name_stays_closed() -> None:
    assert entrances(settings(), SchedulerXml()) == Entrances()


def test_a_tcp_port_opens_to_the_hosts_that_security_names() -> None:
    found = entrances(settings(), asked(THIS_HOST, tcp_port="4444", udp_port="4445"))
    assert (found.tcp_port, found.udp_port) == (4444, 4445)
    assert shown(found) == "127.0.0.1:4444, UDP 127.0.0.1:4445"
    assert found.warnings[0].startswith('scheduler.xml:3: tcp_port="4444": it knows neither TLS')


def test_without_security_and_trust_nobody_is_let_in_so_the_port_stays_closed() -> None:
    found = entrances(settings(), asked(tcp_port="4444"))
    assert found.raw_xml is None
    assert "scheduler.xml:3" in found.warnings[0]
    assert "nobody is let in" in found.warnings[0]
    trusting = entrances(settings(trust_loopback=True), asked(tcp_port="4444"))
    assert shown(trusting) == "127.0.0.1:4444"
    assert not trusting.warnings


def test_without_security_nothing_opens_it_to_the_network() -> None:
    given = settings(trust_loopback=True, allow_insecure=True)
    assert shown(entrances(given, asked(tcp_port="4444", ip_address="10.0.0.1"))) == (
        "127.0.0.1:4444"
    )


@pytest.mark.parametrize(
    ("ip_address", "at"), [(None, "0.0.0.0:4444"), ("10.0.0.1", "10.0.0.1:4444")]
)
def test_a_network_that_is_trusted_is_served_as_before(ip_address: str | None, at: str) -> None:
    ports = {"tcp_port": "4444"} | ({} if ip_address is None else {"ip_address": ip_address})
    assert shown(entrances(settings(allow_insecure=True), asked(THIS_HOST, **ports))) == at


def test_http_ports_open_for_tokens_and_only_tls_leaves_the_host() -> None:
    both = asked(http_port="40444", https_port="10.0.0.1:48444")
    plain = entrances(settings(), both)
    assert (plain.http_port, plain.https_port) == (40444, None)
    assert "listens on 127.0.0.1 only" in plain.warnings[0]
    assert "needs tls_certificate" in plain.warnings[1]
    secure = entrances(settings(tls=TLS), both)
    assert shown(secure) == "127.0.0.1:40444, 10.0.0.1:48444"
    assert (secure.http_port, secure.https_port, secure.any_http_port) == (40444, 48444, 40444)


def test_our_own_settings_stand_for_the_ports_of_scheduler_xml() -> None:
    own = settings(
        listen=TcpAddress(host="127.0.0.1", port=1),
        raw_xml_listen=TcpAddress(host="127.0.0.1", port=2),
        udp_listen=TcpAddress(host="127.0.0.1", port=3),
        trust_loopback=True,
    )
    ports = asked(THIS_HOST, tcp_port="4444", udp_port="4444", http_port="5", https_port="6")
    found = entrances(own, ports)
    assert shown(found) == "127.0.0.1:1, 127.0.0.1:2, UDP 127.0.0.1:3"
    assert not found.warnings


def test_an_http_interface_of_ours_at_the_old_tcp_port_has_it_alone() -> None:
    own = settings(listen=TcpAddress(host="127.0.0.1", port=4444), trust_loopback=True)
    assert shown(entrances(own, asked(tcp_port="4444"))) == "127.0.0.1:4444"


def test_the_ports_can_be_left_closed() -> None:
    own = settings(scheduler_ports=False, trust_loopback=True)
    assert entrances(own, asked(THIS_HOST, tcp_port="4444", http_port="5")) == Entrances()


def test_a_port_that_is_taken_is_told_with_the_line_that_asks_for_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        entrance = Entrance(
            address=TcpAddress(host="127.0.0.1", port=port),
            place=f'scheduler.xml:3: tcp_port="{port}"',
        )
        with pytest.raises(SettingsError) as refused:
            bound(entrance, bind_tcp)
    [finding] = refused.value.findings
    assert finding.startswith(f'scheduler.xml:3: tcp_port="{port}": cannot listen on 127.0.0.1:')
    assert "--no-scheduler-ports" in finding
