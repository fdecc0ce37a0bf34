"""Connections to hosts, shared by all that goes on there.

One `HostLink` stands for one host and account. It opens a connection when the first session is
wanted, a further one when the sessions of those it has are used up, and none while a failed login
or an unreachable host makes that useless. Each link works for itself: a dead host delays nobody but
its own jobs. What counts against a server's limit is the remote process, not our channel: a session
is free again only when the server says that its process has ended (ssh-and-jitl.md 4.2, 4.6).
"""

import asyncio
import contextlib
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.drivers.credential_store import CredentialStores
from engine.drivers.ssh_channels import Channel, Connection, Purpose
from engine.drivers.ssh_host_keys import DEFAULT_PORT, HostKeys
from engine.drivers.ssh_login import (
    HostUnreachable,
    KeyRing,
    SshSettings,
    log_in,
    lost,
    parse_jump,
)
from engine.drivers.ssh_wrapper import shell_command
from engine.errors import CredentialsUnusable, HostKeyUnknown, LoginRefused, SshError
from engine.kernel.sessions.parameters import Target

if TYPE_CHECKING:
    import asyncssh

OUTPUT_MAX = 32 * 1024 * 1024
"""Most bytes of an answer to one question: a process table of 50,000 lines."""
OPEN_ATTEMPTS = 4
"""Other connections tried when a server refuses a further session on one."""
LOGIN_ATTEMPTS = 3
"""A server that is busy with logins drops some at random (MaxStartups): those are repeated."""
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 60.0
REFUSAL_REMEMBERED_S = 600.0
"""As long as a server may lock us out after failed logins (PerSourcePenalties)."""
WINDOWS_SERVERS = ("windows", "bitvise", "winsshd")
"""Words by which servers on Windows call themselves."""
SHELL_IDLE_S = 5.0
"""A shell without a run is kept so long for the next one, then its session is ended."""
SHELL_AGE_MAX_S = 10.0
"""What a shell has found out about its host (is the folder of runs private?) is at most so old."""
SHELL_END_LIMIT_S = 0.5

_jitter = secrets.SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a remote program has printed."""

    status: int | None
    output: bytes
    error: bytes


class HostLink:
    """All connections to one host and account."""

    def __init__(self, target: Target, hosts: "SshHosts", via: "HostLink | None" = None) -> None:
        self.target = target
        self._hosts = hosts
        self._via = via
        self._settings = hosts.settings
        self._connections: list[Connection] = []
        self._logins: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._shells: deque[tuple[Channel, float]] = deque()
        """Free for another run, the one that was used last at the end, and since when."""
        self._changed = asyncio.Event()
        self._failure: SshError | None = None
        self._crash: BaseException | None = None
        """A bug in a login: whoever waits for it must see it."""
        self._failures = 0
        self._retry_at = 0.0
        self._waiting = 0
        self._closed = False
        self.is_windows = False
        """By the words of its server, as far as one has been heard."""

    @property
    def sessions(self) -> int:
        """Remote processes that count against the server's limits."""
        return sum(each.sessions for each in self._connections if each.is_open)

    @property
    def connections(self) -> int:
        """Open connections."""
        return sum(each.is_open for each in self._connections)

    @property
    def problem(self) -> str | None:
        """Why the host cannot be used just now; None when nothing is known against it."""
        return str(self._failure) if self._failure is not None else None

    async def ask(
        self, program: bytes, *, timeout_s: float | None = None, output_max: int = OUTPUT_MAX
    ) -> Answer:
        """Run a program of ours and return what it prints.

        Raises HostUnreachable when it was certainly not run, ConnectionLost when that is unknown.
        """
        limit = self._settings.answer_timeout_s if timeout_s is None else timeout_s
        command = shell_command(self._settings.shell)
        async with self.open(command, Purpose.QUESTION, timeout_s=limit) as channel:
            try:
                async with asyncio.timeout(limit):
                    await channel.write(program, limit)
                    channel.end_input()
                    output, error = await asyncio.gather(
                        _collect(channel.output, output_max),
                        _collect(channel.error_output, output_max),
                    )
                    status, _ = await channel.ended()
            except TimeoutError as error_:
                raise channel.lost(error_) from error_
        if status is None:
            raise lost(self.target)
        return Answer(status=status, output=output, error=error)

    @contextlib.asynccontextmanager
    async def open(
        self,
        command: str,
        purpose: Purpose,
        *,
        terminal: bool = False,
        timeout_s: float | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Channel]:
        """Start a remote command; its session counts until the server reports its end.

        `environment` is offered to the server, which takes what it is told to accept.

        Raises HostUnreachable, LoginRefused or HostKeyUnknown when nothing was started.
        """
        limit = self._settings.answer_timeout_s if timeout_s is None else timeout_s
        held, process = await self._start(
            command, purpose, limit, terminal=terminal, environment=environment
        )
        channel = Channel(self.target, process, held)
        try:
            yield channel
        finally:
            self._let_go(channel)

    @contextlib.asynccontextmanager
    async def shell(self, *, is_new: bool = False) -> AsyncIterator[Channel]:
        """Lend a remote shell that reads programs; one that has become free where there is one.

        A session costs the server a process and a login shell, more than most short jobs do
        themselves. Whoever has found its shell free again says so in `is_free`.
        """
        channel = None if is_new else self._free_shell()
        if channel is None:
            command = shell_command(self._settings.shell)
            limit = self._settings.answer_timeout_s
            held, process = await self._start(command, Purpose.STEP, limit, terminal=False)
            channel = Channel(self.target, process, held)
        channel.uses += 1
        channel.is_free = False
        try:
            yield channel
        finally:
            if channel.is_free and channel.age_s < SHELL_AGE_MAX_S and not self._closed:
                self._shells.append((channel, time.monotonic()))
                self._notify()
            else:
                self._let_go(channel)

    @contextlib.asynccontextmanager
    async def through(self) -> AsyncIterator["asyncssh.SSHClientConnection"]:
        """Lend a connection as the way to another host."""
        held = await self._hold(Purpose.QUESTION)
        held.sessions -= 1  # a tunnel is no session
        held.dependents += 1
        try:
            yield held.connection
        finally:
            held.dependents -= 1
            self._notify()

    def forget_failure(self) -> None:
        """Try again at once: somebody has repaired the host or the account."""
        self._failure, self._failures, self._retry_at = None, 0, 0.0

    def close_idle(self) -> None:
        """Close shells and connections nobody has needed for a while."""
        now = time.monotonic()
        while self._shells and now - self._shells[0][1] >= SHELL_IDLE_S:
            self._let_go(self._shells.popleft()[0])
        for each in self._connections:
            busy = each.sessions or each.dependents or self._waiting
            if each.is_open and not busy and now - each.idle_since >= self._settings.idle_s:
                each.connection.close()
        self._connections = [each for each in self._connections if each.is_open]

    async def close(self) -> None:
        """End everything; remote processes are left alone."""
        self._closed = True
        for task in (*self._logins, *self._tasks):
            task.cancel()
        while self._shells:
            self._let_go(self._shells.pop()[0])
        for each in self._connections:
            each.connection.abort()
        await asyncio.gather(*self._logins, *self._tasks, return_exceptions=True)
        self._connections.clear()

    async def _start(
        self,
        command: str,
        purpose: Purpose,
        timeout_s: float,
        *,
        terminal: bool,
        environment: Mapping[str, str] | None = None,
    ) -> tuple[Connection, "asyncssh.SSHClientProcess[bytes]"]:
        import asyncssh  # noqa: PLC0415 -- half a second of import, only when SSH is used

        for _ in range(OPEN_ATTEMPTS):
            held = await self._hold(purpose)
            try:
                async with asyncio.timeout(timeout_s):
                    process = await held.connection.create_process(
                        command,
                        encoding=None,
                        env=dict(environment or {}),
                        request_pty="force" if terminal else False,
                        term_type="dumb" if terminal else None,
                    )
            except asyncssh.ChannelOpenError:
                # The server allows fewer sessions than we thought, or has closed the connection.
                self._free(held)
                if held.is_open:
                    held.limit = max(1, held.sessions)
                continue
            except TimeoutError:
                # Silent, perhaps dead without our knowing: no program was sent, so ask elsewhere.
                self._free(held)
                held.is_trusted = False
                continue
            except (asyncssh.Error, OSError) as error:
                self._free(held)
                held.is_trusted = False
                raise HostUnreachable(
                    f"{self.target} opens no session: {error or 'no answer'}", host=self.target.host
                ) from error
            except BaseException:
                self._free(held)
                raise
            return held, process
        raise HostUnreachable(f"{self.target} opens no further session", host=self.target.host)

    async def _hold(self, purpose: Purpose) -> Connection:
        """Return a connection with a session taken on it; waits for its turn."""
        self._waiting += 1
        has_looked = False
        try:
            while True:
                free = [
                    each for each in self._connections if each.has_room(purpose, self._settings)
                ]
                if free:
                    chosen = max(free, key=lambda each: each.sessions)
                    chosen.sessions += 1
                    return chosen
                if self._shells:  # they take the room of others
                    await self._end_free_shells()
                    continue
                if self._crash is not None:
                    raise self._crash
                if self._closed:
                    raise HostUnreachable(f"{self.target} is closed", host=self.target.host)
                if not self._logins and not has_looked:
                    await self._raise_known()
                    has_looked = True  # that may have taken a while: see again what there is
                    continue
                self._begin_login()
                self._changed.clear()
                await self._changed.wait()
                has_looked = False
        finally:
            self._waiting -= 1

    async def _end_free_shells(self) -> None:
        while self._shells:
            self._let_go(self._shells.pop()[0])
        self._changed.clear()
        with contextlib.suppress(TimeoutError):  # a connection may have died unnoticed
            async with asyncio.timeout(SHELL_END_LIMIT_S):
                await self._changed.wait()

    def _free_shell(self) -> Channel | None:
        while self._shells:
            channel = self._shells.pop()[0]
            if channel.is_usable:
                return channel
            self._let_go(channel)
        return None

    def _let_go(self, channel: Channel) -> None:
        channel.close()
        self._keep(self._release(channel.held, channel.process))

    async def _raise_known(self) -> None:
        """Raise what is known against the host, unless it is time to look again."""
        if isinstance(self._failure, HostKeyUnknown) and self._hosts.keys.have_changed():
            return  # somebody has accepted a key
        if isinstance(self._failure, LoginRefused):
            if await self._hosts.stores.have_changed(self.target):
                return  # somebody has put another password there
        if self._failure is not None and time.monotonic() < self._retry_at:
            raise type(self._failure)(str(self._failure), host=self.target.host)

    def _begin_login(self) -> None:
        wanted = 1 + (self._waiting - 1) // self._settings.steps_per_connection
        most = min(wanted, self._settings.parallel_logins)
        self._connections = [each for each in self._connections if each.is_open]
        room = self._settings.connections_max - len(self._connections) - len(self._logins)
        if len(self._logins) >= most or room <= 0:
            return
        task = asyncio.create_task(self._log_in(), name=f"log in to {self.target}")
        self._logins.add(task)
        task.add_done_callback(self._login_done)

    def _login_done(self, task: asyncio.Task[None]) -> None:
        self._logins.discard(task)
        if not task.cancelled():
            self._crash = task.exception() or self._crash
        self._notify()

    async def _log_in(self) -> None:
        try:
            async with self._hosts.turn_to_log_in(self.target):
                await self._log_in_patiently()
        except SshError as error:
            final = isinstance(error, LoginRefused | HostKeyUnknown)
            final = final and not isinstance(error, CredentialsUnusable)  # no host was bothered
            wait = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(self._failures, 10))
            self._failures += 1
            self._failure = error
            self._retry_at = time.monotonic() + (
                REFUSAL_REMEMBERED_S if final else _jitter.uniform(0.8, 1.2) * wait
            )

    async def _log_in_patiently(self) -> None:
        import asyncssh  # noqa: PLC0415 -- half a second of import, only when SSH is used

        for attempt in range(LOGIN_ATTEMPTS):
            try:
                await self._log_in_once()
            except HostUnreachable as error:
                cause = error.__cause__
                dropped = isinstance(cause, ConnectionResetError | asyncssh.ConnectionLost)
                if not dropped or attempt == LOGIN_ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_jitter.uniform(0.2, 0.6) * (attempt + 1))
            else:
                self.forget_failure()
                return

    async def _log_in_once(self) -> None:
        tunnel: asyncssh.SSHClientConnection | None = None
        async with contextlib.AsyncExitStack() as way:
            if self._via is not None:
                tunnel = await way.enter_async_context(self._via.through())
            target = await self._hosts.stores.resolved(self.target)
            connection = await log_in(
                target, self._settings, self._hosts.keys, self._hosts.ring, tunnel=tunnel
            )
            limit = self._settings.steps_per_connection + self._settings.reserved_sessions
            held = Connection(connection, limit)
            version = str(connection.get_extra_info("server_version", "")).casefold()
            self.is_windows = any(word in version for word in WINDOWS_SERVERS)
            self._connections.append(held)
            self._keep(self._watch(held, way.pop_all()))
        self._notify()

    async def _watch(self, held: Connection, way: contextlib.AsyncExitStack) -> None:
        """Wait for a connection's end and let go of the way it took."""
        async with way:
            await held.connection.wait_closed()
        self._notify()

    async def _release(self, held: Connection, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        """Give the session back when the server says that the process has ended."""
        try:
            await process.wait_closed()
        finally:
            self._free(held)

    def _free(self, held: Connection) -> None:
        held.sessions -= 1
        held.idle_since = time.monotonic()
        self._notify()

    def _notify(self) -> None:
        self._changed.set()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class SshHosts:
    """All hosts the engine talks to over SSH; the place a driver asks for a link."""

    def __init__(self, settings: SshSettings) -> None:
        self.settings = settings
        self.keys = HostKeys(settings.own_known_hosts, settings.known_hosts)
        self.ring = KeyRing()
        self.stores = CredentialStores()
        self._links: dict[tuple[Target, HostLink | None], HostLink] = {}
        self._turns: dict[tuple[str, int | None], asyncio.Semaphore] = {}

    def link(self, target: Target) -> HostLink:
        """Return the link to a host and account; equal targets share it, jump hosts included."""
        via: HostLink | None = None
        for hop in target.jumps:
            via = self._link(parse_jump(hop, target), via)
        return self._link(target, via)

    def _link(self, target: Target, via: HostLink | None) -> HostLink:
        place = (target, via)
        if place not in self._links:
            self._links[place] = HostLink(target, self, via)
        return self._links[place]

    def turn_to_log_in(self, target: Target) -> asyncio.Semaphore:
        """Return what keeps logins to one host few, whoever logs in (MaxStartups)."""
        place = (target.host, target.port)
        if place not in self._turns:
            self._turns[place] = asyncio.Semaphore(self.settings.parallel_logins)
        return self._turns[place]

    def forget_failures(self, host: str, port: int) -> None:
        """Try a host again at once: somebody has repaired it, or accepted its key."""
        for link in self._links.values():
            if (link.target.host, link.target.port or DEFAULT_PORT) == (host, port):
                link.forget_failure()

    async def run(self, *, period_s: float = 5) -> None:
        """Close idle connections from time to time, until cancelled."""
        while True:
            await asyncio.sleep(period_s)
            for link in self._links.values():
                link.close_idle()

    async def close(self) -> None:
        """End all connections; remote processes are left alone."""
        await asyncio.gather(*(link.close() for link in self._links.values()))
        self._links.clear()


async def _collect(read: Callable[[int], Coroutine[Any, Any, bytes]], most: int) -> bytes:
    """Read a stream to its end; what exceeds the limit is thrown away, not kept."""
    parts: list[bytes] = []
    size = 0
    while data := await read(65536):
        if size < most:
            parts.append(data[: most - size])
        size += len(data)
    return b"".join(parts)
