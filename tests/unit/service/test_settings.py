"""Settings from file, environment and command line."""

from pathlib import Path
from typing import Any

import pytest

from engine.codec.agent_messages import TakeOver
from engine.drivers.http_client import Credentials
from engine.drivers.link_parts import LinkSettings
from engine.errors import SettingsError
from engine.kernel.instants import Duration
from engine.server.listeners import TcpAddress, parse_tcp_address
from engine.service.agent_settings import agent_credentials, agent_driver_settings
from engine.service.paths import EnginePaths
from engine.service.settings import EngineSettings, read_settings


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "config"
    (folder / "live").mkdir(parents=True)
    return folder


def read(
    config: Path, environment: dict[str, str] | None = None, **given: object
) -> EngineSettings:
    given.setdefault("data", config.parent / "data")
    return read_settings(config, given, environment or {})


def findings(config: Path, environment: dict[str, str] | None = None, **given: object) -> str:
    with pytest.raises(SettingsError) as caught:
        read(config, environment, **given)
    return "\n".join(caught.value.findings)


def test_the_command_line_wins_over_the_environment_over_the_file(config: Path) -> None:
    (config / "engine.toml").write_text(
        'listen = "127.0.0.1:1"\nlog_level = "debug"\nid = "file"\n'
    )
    settings = read(
        config,
        {"POINTSMAN_LISTEN": "127.0.0.1:2", "POINTSMAN_LOG_LEVEL": "error"},
        listen="127.0.0.1:3",
    )
    assert settings.listen == TcpAddress(host="127.0.0.1", port=3)
    assert (settings.log_level, settings.engine_id) == ("error", "file")


def test_a_configuration_folder_holds_scheduler_xml_and_live(config: Path) -> None:
    (config / "scheduler.xml").write_text("<spooler><config/></spooler>")
    settings = read(config)
    assert (settings.live, settings.main_file) == (config / "live", config / "scheduler.xml")


def test_a_bare_live_folder_will_do(tmp_path: Path) -> None:
    live = tmp_path / "jobs"
    live.mkdir()
    settings = read_settings(live, {"data": tmp_path / "data"}, {})
    assert (settings.live, settings.main_file) == (live, None)


def test_all_findings_come_at_once_with_their_place(config: Path) -> None:
    (config / "engine.toml").write_text(
        'lisen = "x"\nlog_level = "loud"\nagent_token = "in the file"\n'
        'stop_timeout_s = -1\ntime_zone = "Middle/Earth"\n'
    )
    found = findings(config, {"POINTSMAN_LISTEN": "nowhere", "POINTSMAN_NONSENSE": "1"})
    assert f"{config / 'engine.toml'}: lisen is no setting; did you mean listen?" in found
    assert "log_level: 'loud' is not one of debug, info, warning, error" in found
    assert "agent_token is a secret: use agent_token_file or the environment" in found
    assert "stop_timeout_s: -1 must be at least 0 seconds" in found
    assert "time_zone: 'Middle/Earth' is no known time zone" in found
    assert "environment: POINTSMAN_LISTEN: 'nowhere' is not an address" in found
    assert "environment: POINTSMAN_NONSENSE is no setting" in found


def test_variables_of_clients_mean_nothing_to_the_engine(config: Path) -> None:
    environment = {"POINTSMAN_TOKEN": "x", "POINTSMAN_ENGINE": "y", "POINTSMAN_COCKPIT_THEME": "z"}
    assert read(config, environment).agent_token is None


def test_secrets_do_not_show(config: Path) -> None:
    settings = read(config, {"POINTSMAN_AGENT_TOKEN": "hidden-thing"})
    assert settings.agent_token == "hidden-thing"
    assert "hidden-thing" not in repr(settings)


def test_a_secret_may_stand_in_a_file(config: Path) -> None:
    (config / "agent.token").write_text("hidden-thing\n")
    (config / "engine.toml").write_text('agent_token_file = "agent.token"\n')
    assert read(config).agent_token == "hidden-thing"


def test_an_open_listener_needs_tls_or_the_word_for_it(config: Path) -> None:
    assert "give tls_certificate and tls_key, or allow_insecure" in findings(
        config, listen="0.0.0.0:4444"
    )
    assert read(config, listen="0.0.0.0:4444", allow_insecure=True).listen is not None
    certificate = config / "server.pem"
    certificate.write_text("PEM")
    tls = read(config, listen="0.0.0.0:4444", tls_certificate=certificate).tls
    assert tls is not None
    assert tls.certificate == certificate


@pytest.mark.parametrize("key", ["raw_xml_listen", "udp_listen"])
def test_classic_ports_have_no_tokens_so_they_need_trust(config: Path, key: str) -> None:
    at_loopback: dict[str, Any] = {key: "127.0.0.1:4444"}
    everywhere: dict[str, Any] = {key: "0.0.0.0:4444", "trust_loopback": True}
    assert "needs trust_loopback" in findings(config, **at_loopback)
    assert "allow_insecure" in findings(config, **everywhere)
    settings = read(config, **at_loopback, trust_loopback=True)
    assert getattr(settings, key).port == 4444


def test_tables_of_the_file_are_prefixes(config: Path) -> None:
    (config / "cert.pem").write_text("PEM")
    (config / "engine.toml").write_text('[tls]\ncertificate = "cert.pem"\n')
    tls = read(config).tls
    assert tls is not None
    assert tls.certificate == config / "cert.pem"


def test_the_data_folder_may_not_lie_in_the_live_folder(config: Path) -> None:
    assert "lies in the live folder" in findings(config, data=config / "live" / "data")


def test_the_zone_of_the_process_is_the_default(config: Path) -> None:
    assert read(config, {"TZ": "Europe/Berlin"}).time_zone == "Europe/Berlin"
    assert read(config, {"TZ": ":nonsense"}).time_zone is None


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="there is no such folder"):
        read_settings(tmp_path / "missing", {}, {})


def test_a_broken_file_is_named(config: Path) -> None:
    (config / "engine.toml").write_text("listen = ")
    assert str(config / "engine.toml") in findings(config)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:4444", "127.0.0.1", 4444),
        ("[::1]:80", "::1", 80),
        (":80", "127.0.0.1", 80),
        ("80", "127.0.0.1", 80),
    ],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    address = parse_tcp_address(text)
    assert address == TcpAddress(host=host, port=port)
    assert address.is_loopback


@pytest.mark.parametrize("text", ["", "host", "host:", "host:99999", "host:٣"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an address"):
        parse_tcp_address(text)


def test_a_long_data_path_has_its_socket_elsewhere(tmp_path: Path) -> None:
    short = EnginePaths(tmp_path)
    assert len(str(short.socket)) < 108
    long = EnginePaths(tmp_path / ("x" * 120))
    assert long.socket.parent.parent == Path("/tmp")
    assert long.socket == EnginePaths(tmp_path / ("x" * 120)).socket
    assert long.socket != EnginePaths(tmp_path / ("y" * 120)).socket


def test_sessions_with_agents_can_be_tuned(config: Path) -> None:
    (config / "engine.toml").write_text(
        'on_engine_restart = "kill"\n[agent]\nkill_grace_s = 0\nrepeat_interval_s = 0.5\n'
    )
    settings = agent_driver_settings(read(config), Credentials())
    assert settings.link == LinkSettings(
        kill_grace=Duration(0), repeat_interval=Duration(500), take_over=TakeOver.KILL
    )
    assert settings.connect_s == 10


def test_without_a_word_running_tasks_are_adopted(config: Path) -> None:
    settings = agent_driver_settings(read(config), Credentials())
    assert settings.link == LinkSettings()


def test_a_key_for_agents_needs_its_certificate(config: Path) -> None:
    (config / "key.pem").touch()
    (config / "engine.toml").write_text('agent_key_file = "key.pem"\n')
    with pytest.raises(SettingsError) as refused:
        read(config)
    assert refused.value.findings == ("agent_key_file needs agent_certificate_file as well",)


def test_files_that_are_no_certificates_are_named(config: Path) -> None:
    (config / "rubbish.pem").write_text("rubbish")
    for name in ("agent_ca_file", "agent_certificate_file"):
        (config / "engine.toml").write_text(f'{name} = "rubbish.pem"\n')
        with pytest.raises(SettingsError) as refused:
            agent_credentials(read(config))
        assert refused.value.findings[0].startswith(name)
