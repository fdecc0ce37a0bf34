"""Settings of the engine: `engine.toml`, overridden by environment, overridden by the command line.

Read once into one frozen record. Everything wrong is reported at once (`SettingsError.findings`),
each finding with the place it comes from. Secrets come from files or the environment and appear in
no `repr`.
"""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from platformdirs import user_data_path

from engine.errors import SettingsError
from engine.kernel.instants import Duration, seconds
from engine.server.listeners import TcpAddress, TlsFiles, parse_tcp_address
from engine.service.paths import EnginePaths
from engine.service.ssh_settings import SshSection, parse_files, parse_hosts, parse_seconds

SETTINGS_FILE = "engine.toml"
MAIN_FILE = "scheduler.xml"
LIVE_FOLDER = "live"
CENTRAL_FOLDER = "cache"
"""What a supervisor has left of the central configuration (live-folder.md 9)."""
ENVIRONMENT_PREFIX = "POINTSMAN_"
CLIENT_VARIABLES: Final = frozenset({"ENGINE", "TOKEN", "TOKEN_FILE", "THEME"})
"""Variables of the command line's clients and the cockpit, which mean nothing to the engine."""
FOREIGN_PREFIXES: Final = ("COCKPIT_",)

_LIVE_SCAN_INTERVAL = seconds(2)
_LIVE_SETTLE = seconds(3)
_DIRECTORY_WATCH_INTERVAL = seconds(2)
_AGENT_CONNECT_TIMEOUT: Final = seconds(10)
_AGENT_KILL_GRACE: Final = seconds(2)
_STOP_TIMEOUT = seconds(30)
_DAY_S = 86_400
_JOURNAL_RETENTION = seconds(30 * _DAY_S)
_HISTORY_RETENTION = seconds(366 * _DAY_S)
_LOG_RETENTION = seconds(90 * _DAY_S)
_SSH = SshSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Everything an engine is told from outside, beside its definitions."""

    config: Path
    """The folder it was started with; relative paths of `engine.toml` begin here."""
    live: Path
    """The live folder."""
    main_file: Path | None
    """`scheduler.xml`, None when there is none."""
    data: Path
    """Everything the engine keeps."""
    listen: TcpAddress | None = None
    """TCP address of the HTTP interface; None: the Unix domain socket only."""
    raw_xml_listen: TcpAddress | None = None
    """TCP address of the raw XML protocol of JobScheduler 1.x; None: off."""
    udp_listen: TcpAddress | None = None
    """UDP address for XML commands that are not answered, as with JobScheduler 1.x; None: off."""
    scheduler_ports: bool = True
    """Listen at the ports of `scheduler.xml` as well, where the settings above say nothing."""
    trust_loopback: bool = False
    """Requests from this host need no token, as with the original's `allowed_host`."""
    allow_insecure: bool = False
    """Listen without TLS on other addresses than loopback."""
    tls: TlsFiles | None = None
    token_file: Path | None = None
    """Access tokens beside those of the data folder, a line each: `[ROLE] TOKEN`."""
    agent_token: str | None = field(default=None, repr=False)
    """Shared with the agents; sent to every agent and to nobody else."""
    agent_ca_file: Path | None = None
    """Certificate authorities (PEM) of agents that are reached by https."""
    agent_certificate_file: Path | None = None
    """Certificate chain (PEM) that is shown to agents which ask for one."""
    agent_key_file: Path | None = None
    """Its key; None: it is in the same file."""
    agent_connect_timeout: Duration = _AGENT_CONNECT_TIMEOUT
    """An agent that has not taken a connection in this time is unreachable."""
    agent_kill_grace: Duration = _AGENT_KILL_GRACE
    """An order waits so much longer than the heartbeat timeout, for its agent to kill the task."""
    agent_heartbeat_delay: Duration | None = None
    """How much later than its period a heartbeat may come; None: a fifth of it, 2 s at most."""
    agent_repeat_interval: Duration | None = None
    """Between repeats of a request; None: a tenth of the period, from 0.1 s to 30 s."""
    on_engine_restart: str = "adopt"
    """What a new life of the engine does with the tasks on agents: adopt them, or kill them."""
    engine_id: str | None = None
    """None: `spooler_id` of `scheduler.xml`, or the host's name."""
    time_zone: str | None = None
    """Zone of local times; None: `TZ` of the environment, or the system's zone."""
    log_level: str = "info"
    """The least urgent messages of the engine log: debug, info, warning or error."""
    log_format: str = "text"
    """Form of the engine log: text, or json with one object a line."""
    live_scan_interval: Duration = _LIVE_SCAN_INTERVAL
    """How often the live folder is looked at when no change is announced."""
    live_settle: Duration = _LIVE_SETTLE
    """A changed file of the live folder is read when it has looked the same for so long, a missing
    one given up after two thirds of it."""
    directory_watch_interval: Duration = _DIRECTORY_WATCH_INTERVAL
    """How often directories are looked at whose changes start jobs. JobScheduler 1.x: 10 s."""
    request_bytes_max: int = 8 * 1024 * 1024
    """The largest request body that is read."""
    stop_timeout: Duration = _STOP_TIMEOUT
    """At SIGTERM tasks of the engine's own host may end for so long before they are killed."""
    starts_paused: bool = False
    """Start nothing until a command says continue (the original's `-pause`)."""
    journal_retention: Duration | None = _JOURNAL_RETENTION
    """Events older than this are removed once a snapshot stands for them; None: never."""
    history_retention: Duration | None = _HISTORY_RETENTION
    """Finished orders and tasks older than this leave the history; None: never."""
    log_retention: Duration | None = _LOG_RETENTION
    """Task logs older than this are removed; None: never."""
    native_jobs_max: int = 16
    """Native jobs (split, sync, …) that run inside the engine at the same time."""
    ssh: SshSection = _SSH
    """The section `[ssh]`."""

    @property
    def paths(self) -> EnginePaths:
        """The names in the data folder."""
        return EnginePaths(self.data)

    @property
    def include_root(self) -> Path:
        """Where relative include files of `scheduler.xml` begin."""
        return self.config


@dataclass(frozen=True, slots=True)
class _Setting:
    """One key: how its text or TOML value is read."""

    parse: Callable[[Any, Path], Any]
    field: str
    secret_from_environment: bool = False


def read_settings(
    config: Path, overrides: Mapping[str, Any], environment: Mapping[str, str]
) -> EngineSettings:
    """Return the settings of the engine started with `config`.

    `overrides` are command line values by key (`trust_loopback`, `tls_certificate` …); None in it
    means not given. Raises SettingsError with all findings.
    """
    findings: list[str] = []
    if not config.is_dir():
        raise SettingsError((f"{config}: there is no such folder",))
    values: dict[str, Any] = {}
    _take_file(config / SETTINGS_FILE, values, findings)
    _take_environment(environment, values, findings)
    _take(overrides, "command line", Path.cwd(), values, findings)
    settings = _build(config, values, environment, findings)
    if findings or settings is None:
        raise SettingsError(tuple(findings))
    return settings


def default_data_folder(config: Path) -> Path:
    """Return where an engine keeps its things when nobody says: one place per configuration."""
    name = str(config.resolve()).strip("/").replace("/", "-") or "root"
    return user_data_path("pointsman") / "engines" / name


# --- sources -------------------------------------------------------------------------------------


def _take_file(file: Path, values: dict[str, Any], findings: list[str]) -> None:
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        findings.append(f"{file}: {error}")
        return
    _take(_flat(table), str(file), file.parent, values, findings)


def _flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return `[tls] key = …` as `tls_key`, so that a key has one name in all sources."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{prefix}{key}".replace("-", "_")
        if isinstance(value, dict):
            flat.update(_flat(value, f"{name}_"))
        else:
            flat[name] = value
    return flat


def _take_environment(
    environment: Mapping[str, str], values: dict[str, Any], findings: list[str]
) -> None:
    own = {
        name.removeprefix(ENVIRONMENT_PREFIX): value
        for name, value in environment.items()
        if name.startswith(ENVIRONMENT_PREFIX)
    }
    given = {
        name.lower(): value
        for name, value in own.items()
        if name not in CLIENT_VARIABLES and not name.startswith(FOREIGN_PREFIXES)
    }
    _take(given, "environment", Path.cwd(), values, findings)


def _take(
    given: Mapping[str, Any],
    source: str,
    folder: Path,
    values: dict[str, Any],
    findings: list[str],
) -> None:
    for key, value in given.items():
        if value is None:
            continue
        name = f"{ENVIRONMENT_PREFIX}{key.upper()}" if source == "environment" else key
        setting = SETTINGS.get(key)
        if setting is None:
            findings.append(f"{source}: {name} is no setting{_nearest(key)}")
        elif setting.secret_from_environment and source != "environment":
            findings.append(f"{source}: {name} is a secret: use {key}_file or the environment")
        else:
            try:
                values[setting.field] = setting.parse(value, folder)
            except ValueError as error:
                findings.append(f"{source}: {name}: {error}")


def _nearest(key: str) -> str:
    found = get_close_matches(key, SETTINGS, n=1)
    return f"; did you mean {found[0]}?" if found else f"; known: {', '.join(sorted(SETTINGS))}"


# --- values --------------------------------------------------------------------------------------


def _path(value: Any, folder: Path) -> Path:
    if not isinstance(value, str | Path) or not str(value):
        raise ValueError(f"{value!r} is not a path")
    return folder / Path(value).expanduser()


def _existing_file(value: Any, folder: Path) -> Path:
    path = _path(value, folder)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    return path


def _secret_file(value: Any, folder: Path) -> str:
    path = _existing_file(value, folder)
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if not secret:
        raise ValueError(f"{path} is empty")
    return secret


def _secret(value: Any, _folder: Path) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("the secret is empty")
    return value.strip()


def _address(value: Any, _folder: Path) -> TcpAddress:
    return parse_tcp_address(str(value))


def _flag(value: Any, _folder: Path) -> bool:
    if isinstance(value, bool):
        return value
    match str(value).strip().lower():
        case "true" | "yes" | "1":
            return True
        case "false" | "no" | "0" | "":
            return False
        case _:
            raise ValueError(f"{value!r} is neither true nor false")


def _text(value: Any, _folder: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a text")
    return value


def _zone(value: Any, folder: Path) -> str:
    name = _text(value, folder)
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(f"{name!r} is no known time zone, such as Europe/Berlin") from error
    return name


def _choice(*allowed: str) -> Callable[[Any, Path], str]:
    def parse(value: Any, _folder: Path) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(allowed)}")
        return str(value)

    return parse


def _duration(least: float) -> Callable[[Any, Path], Duration]:
    def parse(value: Any, _folder: Path) -> Duration:
        try:
            count = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{value!r} is not a number of seconds") from None
        if isinstance(value, bool) or not least <= count < 1e9:
            raise ValueError(f"{value!r} must be at least {least:g} seconds")
        return seconds(count)

    return parse


def _days(value: Any, _folder: Path) -> Duration | None:
    """Read a number of days; 0 means for ever."""
    count = _count(0, 36_500)(value, _folder)
    return None if count == 0 else seconds(count * _DAY_S)


def _count(least: int, most: int) -> Callable[[Any, Path], int]:
    def parse(value: Any, _folder: Path) -> int:
        try:
            count = int(str(value))
        except ValueError:
            raise ValueError(f"{value!r} is not a whole number") from None
        if not least <= count <= most:
            raise ValueError(f"{value!r} is not between {least} and {most}")
        return count

    return parse


SETTINGS: Final[Mapping[str, _Setting]] = {
    "data": _Setting(_path, "data"),
    "listen": _Setting(_address, "listen"),
    "raw_xml_listen": _Setting(_address, "raw_xml_listen"),
    "udp_listen": _Setting(_address, "udp_listen"),
    "scheduler_ports": _Setting(_flag, "scheduler_ports"),
    "trust_loopback": _Setting(_flag, "trust_loopback"),
    "allow_insecure": _Setting(_flag, "allow_insecure"),
    "tls_certificate": _Setting(_existing_file, "tls_certificate"),
    "tls_key": _Setting(_existing_file, "tls_key"),
    "tls_key_password_file": _Setting(_secret_file, "tls_key_password"),
    "tls_key_password": _Setting(_secret, "tls_key_password", secret_from_environment=True),
    "token_file": _Setting(_existing_file, "token_file"),
    "agent_token_file": _Setting(_secret_file, "agent_token"),
    "agent_token": _Setting(_secret, "agent_token", secret_from_environment=True),
    "agent_ca_file": _Setting(_existing_file, "agent_ca_file"),
    "agent_certificate_file": _Setting(_existing_file, "agent_certificate_file"),
    "agent_key_file": _Setting(_existing_file, "agent_key_file"),
    "agent_connect_timeout_s": _Setting(_duration(0.1), "agent_connect_timeout"),
    "agent_kill_grace_s": _Setting(_duration(0), "agent_kill_grace"),
    "agent_heartbeat_delay_s": _Setting(_duration(0.05), "agent_heartbeat_delay"),
    "agent_repeat_interval_s": _Setting(_duration(0.05), "agent_repeat_interval"),
    "on_engine_restart": _Setting(_choice("adopt", "kill"), "on_engine_restart"),
    "id": _Setting(_text, "engine_id"),
    "time_zone": _Setting(_zone, "time_zone"),
    "log_level": _Setting(_choice("debug", "info", "warning", "error"), "log_level"),
    "log_format": _Setting(_choice("text", "json"), "log_format"),
    "live_scan_interval_s": _Setting(_duration(0.1), "live_scan_interval"),
    "live_settle_s": _Setting(_duration(0), "live_settle"),
    "directory_watch_interval_s": _Setting(_duration(0.1), "directory_watch_interval"),
    "request_bytes_max": _Setting(_count(1024, 64 * 1024 * 1024), "request_bytes_max"),
    "stop_timeout_s": _Setting(_duration(0), "stop_timeout"),
    "start_paused": _Setting(_flag, "starts_paused"),
    "journal_retention_days": _Setting(_days, "journal_retention"),
    "history_retention_days": _Setting(_days, "history_retention"),
    "log_retention_days": _Setting(_days, "log_retention"),
    "native_jobs_max": _Setting(_count(1, 1000), "native_jobs_max"),
    "ssh_known_hosts": _Setting(parse_files, "ssh_known_hosts"),
    "ssh_config_files": _Setting(parse_files, "ssh_config_files"),
    "ssh_accept_new_host_keys": _Setting(_flag, "ssh_accept_new_host_keys"),
    "ssh_allow_custom_commands": _Setting(_flag, "ssh_allow_custom_commands"),
    "ssh_allow_foreign_kill": _Setting(_flag, "ssh_allow_foreign_kill"),
    "ssh_connect_timeout_s": _Setting(parse_seconds(1), "ssh_connect_timeout_s"),
    "ssh_login_timeout_s": _Setting(parse_seconds(1), "ssh_login_timeout_s"),
    "ssh_answer_timeout_s": _Setting(parse_seconds(1), "ssh_answer_timeout_s"),
    "ssh_keepalive_s": _Setting(parse_seconds(1), "ssh_keepalive_s"),
    "ssh_refresh_s": _Setting(parse_seconds(0.5), "ssh_refresh_s"),
    "ssh_hosts": _Setting(parse_hosts, "ssh_hosts"),
}
"""Every key of `engine.toml` (`[tls] key` is `tls_key`), environment and command line."""


# --- the record ----------------------------------------------------------------------------------


def _build(
    config: Path, values: dict[str, Any], environment: Mapping[str, str], findings: list[str]
) -> EngineSettings | None:
    live, main_file = _definitions(config)
    data = values.pop("data", None) or default_data_folder(config)
    certificate = values.pop("tls_certificate", None)
    key = values.pop("tls_key", None)
    password = values.pop("tls_key_password", None)
    tls = None
    if certificate is not None:
        tls = TlsFiles(certificate=certificate, key=key, key_password=password)
    elif key is not None or password is not None:
        findings.append("tls_key needs tls_certificate as well")
    zone = environment.get("TZ", "").removeprefix(":")
    if zone and "time_zone" not in values and _is_zone(zone):
        values["time_zone"] = zone
    about_ssh = {
        name.removeprefix("ssh_"): values.pop(name) for name in list(values) if name[:4] == "ssh_"
    }
    settings = EngineSettings(
        config=config,
        live=live,
        main_file=main_file,
        data=data,
        tls=tls,
        ssh=SshSection(**about_ssh),
        **values,
    )
    if settings.agent_key_file is not None and settings.agent_certificate_file is None:
        findings.append("agent_key_file needs agent_certificate_file as well")
    _check_addresses(settings, findings)
    _check_folders(settings, findings)
    return settings


def _definitions(config: Path) -> tuple[Path, Path | None]:
    """Return the live folder and `scheduler.xml` of a configuration or a bare live folder."""
    main_file = config / MAIN_FILE
    live = config / LIVE_FOLDER
    if main_file.is_file():
        return live, main_file
    return (live, None) if live.is_dir() else (config, None)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError, ValueError):
        return False
    return True


def _check_addresses(settings: EngineSettings, findings: list[str]) -> None:
    exposed = settings.listen is not None and not settings.listen.is_loopback
    if exposed and settings.tls is None and not settings.allow_insecure:
        findings.append(
            f"listen: {settings.listen} can be reached from other hosts; give tls_certificate and "
            "tls_key, or allow_insecure if the network is trusted"
        )
    for key, at, what in (
        ("raw_xml_listen", settings.raw_xml_listen, "the raw XML protocol"),
        ("udp_listen", settings.udp_listen, "the UDP port"),
    ):
        if at is None:
            continue
        if not at.is_loopback and not settings.allow_insecure:
            findings.append(
                f"{key}: {what} knows neither TLS nor tokens, so {at} needs allow_insecure; "
                "a loopback address does not"
            )
        if at.is_loopback and not settings.trust_loopback:
            findings.append(f"{key}: {what} knows no tokens; it needs trust_loopback")


def _check_folders(settings: EngineSettings, findings: list[str]) -> None:
    data, live = settings.data.resolve(), settings.live.resolve()
    if data == live or live in data.parents:
        findings.append(
            f"data: {settings.data} lies in the live folder {settings.live}; use another folder"
        )
    if settings.data.exists() and not settings.data.is_dir():
        findings.append(f"data: {settings.data} is not a folder")
    elif settings.data.is_dir() and not os.access(settings.data, os.W_OK):
        findings.append(f"data: {settings.data} cannot be written to")
