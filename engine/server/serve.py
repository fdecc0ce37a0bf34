"""Runs uvicorn inside the engine's own event loop: sockets, TLS, graceful stop.

Signals stay with the engine: uvicorn's own handlers are left out. Streams must end by themselves
when the engine stops; what is still open after the grace period is cancelled.
"""

import asyncio
import contextlib
import os
import socket
import ssl
import stat
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import uvicorn

from engine.errors import SettingsError
from engine.server.auth import Role, Trust
from engine.server.listeners import TcpAddress, TlsFiles

SCOPE_TRUST: Final = "pointsman.trust"
"""Key of the ASGI scope under which a listener says what it believes without a token."""
SCOPE_ROLE_MAX: Final = "pointsman.role_max"
"""Key of the ASGI scope under which a listener says what its clients may do at most."""
GRACE_S: Final = 5
"""Open requests may end for so long after the server was told to stop."""
START_TIMEOUT_S: Final = 10.0
KEEP_ALIVE_S: Final = 75
"""Idle connections of clients that poll stay open; there is no proxy in between to agree with."""
BACKLOG: Final = 1024

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """One open socket with what is believed there."""

    socket: socket.socket
    trust: Trust
    tls: TlsFiles | None = None


class HttpServer:
    """Serves one application on any number of listeners until it is stopped."""

    def __init__(self, application: Application, listeners: tuple[Listener, ...]) -> None:
        self._servers = [_Server(application, listener) for listener in listeners]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Return when every listener answers."""
        self._tasks = [
            asyncio.create_task(server.serve(sockets=[server.listener.socket]), name="http")
            for server in self._servers
        ]
        async with asyncio.timeout(START_TIMEOUT_S):
            for server in self._servers:
                await server.ready.wait()

    async def stop(self) -> None:
        """Take no more connections, let open requests end, return when all is closed."""
        for server in self._servers:
            server.should_exit = True
        for done in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(done, Exception):
                raise done


class _Server(uvicorn.Server):
    """A uvicorn server that leaves signals alone and tells when it listens."""

    def __init__(self, application: Application, listener: Listener) -> None:
        super().__init__(uvicorn_config(application, listener.trust, listener.tls))
        self.listener = listener
        self.ready = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the engine."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen and say so."""
        await super().startup(sockets)
        self.ready.set()


def uvicorn_config(
    application: Application,
    trust: Trust,
    tls: TlsFiles | None = None,
    role_max: Role = Role.ADMIN,
) -> uvicorn.Config:
    """Return the settings under which uvicorn serves the application for one listener."""

    async def trusting(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_TRUST] = trust
        scope[SCOPE_ROLE_MAX] = role_max
        await application(scope, receive, send)

    config = uvicorn.Config(
        trusting,
        http="h11",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    config.load()
    if tls is not None:
        config.ssl = _tls_context(tls)
    return config


def _tls_context(tls: TlsFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, tls.key_password)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError((f"tls_certificate: {tls.certificate}: {error}",)) from error
    return context


def bind_tcp(address: TcpAddress) -> socket.socket:
    """Return a bound socket. Raises SettingsError when the address is not to be had."""
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, target = found[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.setblocking(False)
            bound.bind(target)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise SettingsError((f"cannot listen on {address}: {reason}",)) from error
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Return a socket that only its owner can connect to; a stale one is replaced.

    The caller holds the lock of the data folder, so nobody else listens here. Raises SettingsError.
    """
    try:
        _private_folder(path.parent)
        path.unlink(missing_ok=True)
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            os.fchmod(bound.fileno(), 0o600)  # before anybody can find it
            bound.setblocking(False)
            bound.bind(str(path))
            path.chmod(0o600)
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise SettingsError((f"cannot listen on {path}: {error.strerror or error}",)) from error
    return bound


def _private_folder(folder: Path) -> None:
    """Create the folder of the socket; an existing one in a shared place must be ours."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        is_in_shared_place = folder.parent.stat().st_mode & stat.S_ISVTX
        is_open = found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & stat.S_IWOTH
        if not stat.S_ISDIR(found.st_mode) or (is_in_shared_place and is_open):
            reason = f"the folder {folder} must belong to the engine's user alone"
            raise PermissionError(1, reason) from None
