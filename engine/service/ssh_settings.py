"""The `[ssh]` section of `engine.toml`: how hosts are reached, and which the browser lists.

[ssh]
known_hosts = ["/etc/ssh/ssh_known_hosts", "~/.ssh/known_hosts"]   # beside the engine's own
config_files = ["~/.ssh/config"]
accept_new_host_keys = false     # record an unknown key at first contact; never a changed one
allow_custom_commands = false    # let `ssh_job_kill_pid_command` and the like have effect
allow_foreign_kill = false       # let administrators kill processes that are none of ours
connect_timeout_s = 30
login_timeout_s = 30
answer_timeout_s = 30
keepalive_s = 15
refresh_s = 5                    # of the browser, while somebody looks

[[ssh.hosts]]
host = "db1.example.net"
user = "batch"
port = 22
auth_file = "~/.ssh/id_ed25519"  # or use_keyagent = true, password_file, a cs:// reference
name = "database"                # how people call it; default user@host
protected = true                 # every signal asks first
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.drivers.remote_processes import WatchedHost
from engine.drivers.ssh_login import SshSettings
from engine.kernel.sessions.credentials import is_reference
from engine.kernel.sessions.parameters import target_of

HOSTS_MAX: Final = 1000
_DEFAULTS: Final = SshSettings(own_known_hosts=Path())
_TEXTS: Final = (
    "host",
    "user",
    "proxy_jump",
    "proxy_protocol",
    "proxy_host",
    "proxy_user",
    "credential_store_entry_path",
)
_REFERENCES: Final = ("password", "passphrase")
"""Settings hold no secrets, only where they are."""
_NUMBERS: Final = ("port", "proxy_port")
_FILES: Final = ("auth_file", "credential_store_filename", "credential_store_key_filename")
_SECRET_FILES: Final = {
    "password_file": "password",
    "passphrase_file": "passphrase",
    "credential_store_password_file": "credential_store_password",
}
_KEYS: Final = frozenset(
    {*_TEXTS, *_REFERENCES, *_NUMBERS, *_FILES, *_SECRET_FILES}
    | {"use_keyagent", "name", "temp_dir", "protected"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSection:
    """What the settings say about SSH; times in seconds."""

    known_hosts: tuple[Path, ...] = _DEFAULTS.known_hosts
    """Host keys beside the engine's own file; a path or a list. Default: `~/.ssh/known_hosts`."""
    config_files: tuple[Path, ...] = _DEFAULTS.config_files
    """OpenSSH client configuration; jobs win over it. Default: `~/.ssh/config`."""
    accept_new_host_keys: bool = False
    """Record an unknown host key at first contact; a changed one is refused always."""
    allow_custom_commands: bool = False
    """Let jobs say how processes are found and ended (`ssh_job_kill_pid_command` and the like)."""
    allow_foreign_kill: bool = False
    """Let administrators kill processes that belong to no run of ours."""
    connect_timeout_s: float = float(_DEFAULTS.connect_timeout_s)
    """How long a connection may take to come about."""
    login_timeout_s: float = float(_DEFAULTS.login_timeout_s)
    """How long the login may take then."""
    answer_timeout_s: float = float(_DEFAULTS.answer_timeout_s)
    """How long a host may take to answer a question of ours."""
    keepalive_s: float = float(_DEFAULTS.keepalive_interval_s)
    """Between two signs of life; a connection is given up when three stay unanswered."""
    refresh_s: float = 5.0
    """Between two looks of the remote-process browser while somebody looks."""
    hosts: tuple[WatchedHost, ...] = ()
    """`[[ssh.hosts]]`: hosts of the browser beside those of SSH jobs, see docs/ssh.md."""

    def for_driver(self, own_known_hosts: Path) -> SshSettings:
        """Return the driver's settings; `own_known_hosts` is the file it may write."""
        return SshSettings(
            own_known_hosts=own_known_hosts,
            known_hosts=self.known_hosts,
            config_files=self.config_files,
            accept_new_host_keys=self.accept_new_host_keys,
            allow_custom_commands=self.allow_custom_commands,
            connect_timeout_s=self.connect_timeout_s,
            login_timeout_s=self.login_timeout_s,
            answer_timeout_s=self.answer_timeout_s,
            keepalive_interval_s=self.keepalive_s,
        )


def parse_files(value: Any, folder: Path) -> tuple[Path, ...]:
    """Read a path or a list of paths; the files need not exist. Raises ValueError."""
    listed = value if isinstance(value, list) else str(value).split(":")
    if not all(isinstance(each, str) and each for each in listed):
        raise ValueError(f"{value!r} is neither a path nor a list of paths")
    return tuple(folder / Path(each).expanduser() for each in listed)


def parse_seconds(least: float) -> Callable[[Any, Path], float]:
    """Return what reads a number of seconds."""

    def parse(value: Any, _folder: Path) -> float:
        try:
            count = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"{value!r} is not a number of seconds") from None
        if isinstance(value, bool) or not least <= count <= 86_400:
            raise ValueError(f"{value!r} is not between {least:g} and 86400 seconds")
        return count

    return parse


def parse_hosts(value: Any, folder: Path) -> tuple[WatchedHost, ...]:
    """Read the hosts of the browser. Raises ValueError with the host that does not fit."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("write [[ssh.hosts]] with host and user for each of them")
    if len(value) > HOSTS_MAX:
        raise ValueError(f"there are {len(value)} hosts; {HOSTS_MAX} at most")
    found = tuple(_host(each, folder) for each in value)
    names = [host.name for host in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two hosts are called {twice!r}; give them a name each")
    return found


def _host(given: Mapping[str, Any], folder: Path) -> WatchedHost:
    shown = str(given.get("name") or given.get("host") or "a host without host")
    unknown = sorted(given.keys() - _KEYS)
    if unknown:
        raise ValueError(f"{shown}: {unknown[0]} is no setting; known: {', '.join(sorted(_KEYS))}")
    target = target_of(_parameters(given, folder, shown))
    if isinstance(target, list):
        problems = "; ".join(f"{each.name} {each.text}" for each in target)
        raise ValueError(f"{shown}: {problems}")  # noqa: TRY004  # it is the value that is wrong
    name = str(given.get("name") or target)
    if "/" in name:
        raise ValueError(f"{shown}: a name without a slash is needed, it is part of addresses")
    temporary = given.get("temp_dir")
    return WatchedHost(
        name=name,
        target=target,
        folders=() if temporary is None else (str(temporary),),
        is_protected=given.get("protected") is True,
    )


def _parameters(given: Mapping[str, Any], folder: Path, shown: str) -> dict[str, str]:
    """Return a host's settings as parameters of a job, so that one reader checks both."""
    parameters = {name: str(given[name]) for name in (*_TEXTS, *_NUMBERS) if name in given}
    for name in _REFERENCES:
        if name in given:
            if not is_reference(str(given[name])):
                raise ValueError(f"{shown}: {name}: write {name}_file, or a cs:// reference")
            parameters[name] = str(given[name])
    for name in _FILES:
        if is_reference(str(given.get(name, ""))):
            parameters[name] = str(given[name])
        elif name in given:
            parameters[name] = str(folder / Path(str(given[name])).expanduser())
    for name, secret in _SECRET_FILES.items():
        if name in given:
            path = folder / Path(str(given[name])).expanduser()
            try:
                parameters[secret] = path.read_text(encoding="utf-8").strip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(f"{shown}: {name}: {path} cannot be read: {error}") from error
    if "password" in parameters:
        parameters["auth_method"] = "password"
    if given.get("use_keyagent") is True:
        parameters["use_keyagent"] = "true"
    return parameters
