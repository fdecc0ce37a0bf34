"""Opening one SSH connection: keys, passwords, host keys, jumps, and errors one can act on."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from engine.drivers.ssh_host_keys import (
    DEFAULT_PORT,
    HostKeys,
    SeenKey,
    changed_key,
    seen_key,
    unknown_key,
)
from engine.drivers.ssh_proxies import connect_through
from engine.errors import ConnectionLost, LoginRefused, SshError
from engine.kernel.sessions.parameters import (
    AgentLogin,
    KeyLogin,
    PasswordLogin,
    StoredLogin,
    Target,
)
from engine.kernel.sessions.secret import Secret

if TYPE_CHECKING:
    import asyncssh

OPENED_KEYS_MAX = 256


class HostUnreachable(SshError):
    """The host did not answer, so nothing was done there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """What an operator may set for all hosts; times in seconds."""

    own_known_hosts: Path
    known_hosts: tuple[Path, ...] = (Path("~/.ssh/known_hosts").expanduser(),)
    config_files: tuple[Path, ...] = (Path("~/.ssh/config").expanduser(),)
    """OpenSSH client configuration; parameters of a job win over it."""
    accept_new_host_keys: bool = False
    """For jobs that say nothing: record an unknown key at first contact."""
    allow_custom_commands: bool = False
    """`ssh_job_allow_custom_commands`: whether jobs may say how processes are found and ended."""
    connect_timeout_s: float = 30
    login_timeout_s: float = 30
    answer_timeout_s: float = 30
    """How long a host may take to answer a question of ours."""
    keepalive_interval_s: float = 15
    keepalive_count: int = 3
    steps_per_connection: int = 8
    """sshd allows 10 sessions on a connection by default; two are left for probes and kills."""
    reserved_sessions: int = 2
    connections_max: int = 16
    """Per host and account: a limit against a configuration gone wrong, not a target."""
    parallel_logins: int = 2
    idle_s: float = 60
    shell: str = "/bin/sh"


class _ConnectOptions(TypedDict, total=False):
    port: int
    tunnel: "asyncssh.SSHClientConnection"
    sock: object
    client_keys: object
    agent_path: str | None
    password: str
    preferred_auth: str
    agent_forwarding: str | bool


async def log_in(
    target: Target,
    settings: SshSettings,
    keys: HostKeys,
    ring: "KeyRing",
    *,
    tunnel: "asyncssh.SSHClientConnection | None" = None,
) -> "asyncssh.SSHClientConnection":
    """Open a connection and log in.

    Raises HostKeyUnknown, LoginRefused (both: repeating is useless or harmful), HostUnreachable.
    """
    import asyncssh  # noqa: PLC0415 -- half a second of import, only when SSH is used

    options = await _options(target, settings, ring, tunnel)
    known = await keys.known()
    strict = target.strict_host_key
    accepts_new = settings.accept_new_host_keys if strict is None else not strict
    watcher = _Watcher(keys, target, accepts_new=accepts_new)
    try:
        async with asyncio.timeout(settings.connect_timeout_s + settings.login_timeout_s):
            connection, _ = await asyncssh.create_connection(
                watcher,
                target.host,
                username=target.user,
                known_hosts=known,
                config=[str(path) for path in settings.config_files if path.exists()] or None,
                connect_timeout=settings.connect_timeout_s,
                login_timeout=settings.login_timeout_s,
                keepalive_interval=settings.keepalive_interval_s,
                keepalive_count_max=settings.keepalive_count,
                compression_algs=None,
                **options,
            )
    except asyncssh.HostKeyNotVerifiable as error:
        raise _key_error(target, watcher, error) from error
    except asyncssh.PermissionDenied as error:
        raise LoginRefused(
            f"{target} refused the login: {error.reason}", host=target.host
        ) from error
    except (asyncssh.Error, OSError, TimeoutError, ValueError) as error:
        text = str(error) or "no answer"
        raise HostUnreachable(f"{target} cannot be reached: {text}", host=target.host) from error
    return connection


def lost(target: Target, error: BaseException | None = None) -> ConnectionLost:
    """Return the error for a connection that broke while something was going on."""
    why = f": {error}" if error is not None and str(error) else ""
    return ConnectionLost(f"the connection to {target} was lost{why}", host=target.host)


def parse_jump(text: str, target: Target) -> Target:
    """Read `user@host:port` of a jump host; what is missing is as for the target."""
    user, _, place = text.rpartition("@")
    host, _, port = place.partition(":")
    if not host or (port and not port.isdigit()):
        raise SshError(f"{text!r} is not a jump host; write user@host:port", host=target.host)
    login = target.login
    if isinstance(login, StoredLogin):
        number = int(port) if port else None
        login = StoredLogin(connection=login.connection.toward(host, number, user or None))
    return Target(
        host=host,
        port=int(port) if port else None,
        user=user or target.user,
        login=login,
        strict_host_key=target.strict_host_key,
    )


async def _options(
    target: Target,
    settings: SshSettings,
    ring: "KeyRing",
    tunnel: "asyncssh.SSHClientConnection | None",
) -> _ConnectOptions:
    options: _ConnectOptions = {"agent_forwarding": _forwarded_agent(target)}
    if target.port is not None:
        options["port"] = target.port
    match target.login:
        case KeyLogin() as login:
            options["client_keys"] = await ring.key(target, login)
            options["agent_path"] = None
            options["preferred_auth"] = "publickey"
        case AgentLogin():
            options["preferred_auth"] = "publickey"
        case PasswordLogin(password=password, in_dialogue_only=dialogue):
            options["client_keys"] = None
            options["agent_path"] = None
            options["password"] = password.reveal()
            options["preferred_auth"] = (
                "keyboard-interactive" if dialogue else "password,keyboard-interactive"
            )
        case StoredLogin():
            raise AssertionError("references are looked up before")
    if tunnel is not None:
        options["tunnel"] = tunnel
    elif target.proxy is not None:
        options["sock"] = await connect_through(
            target.proxy,
            target.host,
            target.port or DEFAULT_PORT,
            timeout_s=settings.connect_timeout_s,
        )
    return options


def _forwarded_agent(target: Target) -> str | bool:
    """Return the agent that jobs on the host may use: none unless asked for, whatever files say."""
    if not target.forwards_agent:
        return False
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        text = f"there is no agent for {target} to use: the engine runs without SSH_AUTH_SOCK"
        raise LoginRefused(text, host=target.host)
    return path


class KeyRing:
    """Private keys that have been opened, so that each costs its tenth of a second once."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, int, Secret | None], object] = {}

    async def key(self, target: Target, login: KeyLogin) -> object:
        """Return the opened key; read again when its file has changed. Raises LoginRefused."""

        def load() -> object:
            import asyncssh  # noqa: PLC0415 -- see above

            passphrase = login.passphrase
            secret = passphrase.reveal() if passphrase is not None else None
            if login.text is not None:
                return asyncssh.load_keypairs([login.text.reveal().encode()], secret)
            file = os.path.expanduser(login.file)  # noqa: PTH111 -- in a thread already
            place = (file, os.stat(file).st_mtime_ns, passphrase)  # noqa: PTH116
            if place not in self._keys:
                if len(self._keys) >= OPENED_KEYS_MAX:
                    self._keys.clear()
                self._keys[place] = asyncssh.load_keypairs([file], secret)
            return self._keys[place]

        try:
            return await asyncio.to_thread(load)
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        except ValueError as error:
            why = f"cannot be used: {error}"
        text = f"the key file {login.file} for {target} {why}"
        raise LoginRefused(text, host=target.host)


def _key_error(target: Target, watcher: "_Watcher", error: Exception) -> SshError:
    if watcher.refused is not None:
        return watcher.refused
    return HostUnreachable(
        f"the host key of {target} cannot be verified: {error}", host=target.host
    )


class _Watcher:
    """Makes the client objects of one login and keeps why a host key was refused."""

    def __init__(self, keys: HostKeys, target: Target, *, accepts_new: bool) -> None:
        self._keys = keys
        self._target = target
        self._accepts_new = accepts_new
        self.refused: SshError | None = None

    def __call__(self) -> "asyncssh.SSHClient":
        import asyncssh  # noqa: PLC0415 -- see above

        watcher = self

        class Client(asyncssh.SSHClient):
            def validate_host_public_key(
                self, host: str, addr: str, port: int, key: "asyncssh.SSHKey"
            ) -> bool:
                return watcher.accepts(seen_key(host, port, key), addr)

        return Client()

    def accepts(self, key: SeenKey, address: str) -> bool:
        """Decide about a key that no file vouches for."""
        if self._keys.is_listed(key.host, address, key.port):
            self.refused = changed_key(key)
            return False
        if not self._accepts_new:
            self.refused = unknown_key(key)
            return False
        self._keys.record(key)
        return True
