"""The door itself: one listener, who is in, and what runs for whom."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh

from engine.door import limits
from engine.door.child import started
from engine.door.connection import Admitted, Connection
from engine.door.errand import Errand
from engine.door.host_key import host_key
from engine.door.people import People, PeopleFile, fingerprint
from engine.door.session import Session, Wish
from engine.door.terminal import session_environment
from engine.door.tokens import SessionTokens
from engine.drivers.clock import Clock, SystemClock
from engine.errors import AlreadyRunning, EngineError, SettingsError
from engine.kernel.instants import Instant
from engine.server.listeners import TcpAddress
from engine.store.lease import FolderLock

SWEEP_S: Final = 1.0
"""How often it is looked for what is idle, too much, or no longer allowed."""
PROBE_S: Final = 15.0
CLOSING: Final = "the door closes"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """Where the door stands and what it lets in."""

    listen: TcpAddress
    folder: Path
    """Host key, tokens of sessions, and what the sessions see as their home."""
    people: Path
    engine: str
    """Socket or URL at which the engine believes nobody without a token."""
    program: Sequence[str]
    """What runs in a session; the number of its life line is added."""
    probe: Callable[[], str | None]
    """Asks the engine whether it believes somebody without a token; returns why not to go on.

    It may take some seconds and is called in a thread.
    """
    sessions_max: int = limits.SESSIONS_MAX
    sessions_per_person: int = limits.SESSIONS_PER_PERSON_MAX
    idle_s: float | None = 3600.0
    """A terminal without a key for so long is closed; None: never."""
    environment: Mapping[str, str] = field(default_factory=dict)


class Door:
    """Serves until it is told to close."""

    def __init__(self, settings: DoorSettings, clock: Clock | None = None) -> None:
        self._settings = settings
        self._clock = clock or SystemClock()
        self._people = PeopleFile(settings.people)
        self._tokens = SessionTokens(settings.folder / "tokens")
        self._lock = FolderLock(settings.folder / "door.lock")
        self._failed = limits.FailedLogins()
        self._places = limits.Places(
            in_all=settings.sessions_max, per_person=settings.sessions_per_person
        )
        self._connections: set[Connection] = set()
        self._services: set[asyncio.Task[None]] = set()
        self._doubted: set[Connection] = set()
        self._findings: tuple[str, ...] = ()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._count = 0
        self.fingerprint = ""
        """Of the host key, as clients show it at their first visit."""
        self.port = 0

    async def open(self) -> None:
        """Begin to listen. Raises SettingsError when it cannot, or when nobody may come in."""
        settings = self._settings
        try:
            settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (settings.folder / "home").mkdir(mode=0o700, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise SettingsError((f"{settings.folder}: {error.strerror or error}",)) from error
        except AlreadyRunning as error:
            holder = "" if error.pid is None else f": process {error.pid}"
            text = f"there is a door already that works in {settings.folder}{holder}"
            raise SettingsError((text,)) from error
        self._people.read_strictly()
        self._tokens.clear()
        key = host_key(settings.folder / "host_key")
        self.fingerprint = fingerprint(key.public_data)
        try:
            self._acceptor = await self._listen(key)
        except OSError as error:
            text = f"cannot listen on {settings.listen}: {error.strerror or error}"
            raise SettingsError((text,)) from error
        self.port = self._acceptor.get_port()

    async def _listen(self, key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            self._settings.listen.host,
            self._settings.listen.port,
            server_factory=lambda: Connection(self),
            server_host_keys=[key],
            server_version="Pointsman",
            config=None,
            public_key_auth=True,
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_kex=False,
            gss_auth=False,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_scp=False,
            rdns_lookup=False,
            line_editor=False,
            encoding=None,
            window=limits.WINDOW_BYTES,
            max_pktsize=limits.PIECE_BYTES,
            login_timeout=limits.LOGIN_TIMEOUT_S,
            keepalive_interval=limits.KEEPALIVE_INTERVAL_S,
            keepalive_count_max=limits.KEEPALIVES_MAX,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until the event is set, then end everything in good order."""
        try:
            while not stop.is_set():
                self._sweep()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(SWEEP_S):
                        await stop.wait()
        finally:
            await self.close()

    async def close(self) -> None:
        """Let nobody in any more, end all sessions, forget their tokens."""
        if self._acceptor is not None:
            self._acceptor.close()
        for connection in tuple(self._connections):
            connection.close(CLOSING)
        if self._services:
            patience = limits.HANGUP_GRACE_S + limits.DRAIN_S + PROBE_S
            _, late = await asyncio.wait(self._services, timeout=patience)
            for service in late:
                service.cancel()
        for connection in tuple(self._connections):
            connection.disconnect(CLOSING)
        if self._acceptor is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limits.DRAIN_S):
                    await self._acceptor.wait_closed()
        self._tokens.clear()
        self._lock.release()

    # --- what connections ask ----------------------------------------------------------------

    def now(self) -> Instant:
        """Return the time."""
        return self._clock.now()

    def people(self) -> People:
        """Return who may come in, and say it once when lines are wrong."""
        people = self._people.people()
        if people.findings != self._findings:
            self._findings = people.findings
            for finding in people.findings:
                log.error("nobody comes in by this: %s", finding)
        return people

    def arrives(self, connection: Connection) -> str | None:
        """Note a stranger; return why it is refused unheard."""
        wait = self._failed.refuses(connection.address, self.now())
        if wait is not None:
            return f"too many failed logins; it has to wait {wait // 1000 + 1} s"
        strangers = Counter(each.address for each in self._connections if each.admitted is None)
        if strangers[connection.address] >= limits.STRANGERS_PER_ADDRESS_MAX:
            return "too many logins at once from there"
        if strangers.total() >= limits.STRANGERS_MAX:
            return "too many logins at once"
        self._connections.add(connection)
        return None

    def admitted(self, connection: Connection) -> None:
        """Note that a stranger is one no longer; it has told us so by its own state."""
        assert connection in self._connections, "nobody is admitted who was refused"

    def leaves(self, connection: Connection) -> None:
        """Note that a connection has gone."""
        self._connections.discard(connection)
        self._doubted.discard(connection)
        if connection.admitted is None and not connection.is_refused:
            self._failed.count(connection.address, self.now())

    def serve(self, connection: Connection, session: Session, wish: Wish) -> None:
        """Run what a session asks for, if there is a place."""
        assert connection.admitted is not None, "sessions come after the login"
        refusal = self._places.take(connection.admitted.name)
        if refusal is not None:
            session.refuse(refusal)
            return
        self._count += 1
        work = self._serve(connection.admitted, session, wish, self._count)
        service = asyncio.create_task(work, name=f"session {self._count}")
        self._services.add(service)
        service.add_done_callback(lambda done: self._served(session, done))

    def _served(self, session: Session, service: asyncio.Task[None]) -> None:
        """Leave no client waiting for a service that failed by a fault of ours."""
        self._services.discard(service)
        fault = None if service.cancelled() else service.exception()
        if fault is not None:
            log.error("%s failed", service.get_name(), exc_info=fault)
        if fault is not None or service.cancelled():
            session.refuse("the door failed at this session; its log says why")

    async def _serve(self, who: Admitted, session: Session, wish: Wish, number: int) -> None:
        token = ""
        try:
            refusal = await self._refusal_of_the_engine()
            if refusal is not None:
                session.refuse(refusal)
                return
            token = self._tokens.issue(who.grant.role, who.name)
            await self._run_child(who, session, wish, number, token)
        except (OSError, EngineError) as error:
            log.error("session %d of %s: %s", number, who.name, error)
            session.refuse("the door cannot begin a session; its log says why")
        finally:
            self._places.give_back(who.name)
            try:
                self._tokens.withdraw(token)
            except SettingsError as error:
                log.error("a token could not be withdrawn: %s", error)

    async def _run_child(
        self, who: Admitted, session: Session, wish: Wish, number: int, token: str
    ) -> None:
        settings = self._settings
        home = settings.folder / "home"
        environment = session_environment(
            who.name, home, settings.environment, wish.asked_environment, wish.terminal_type
        )
        errand = Errand(
            address=settings.engine,
            token=token,
            person=who.name,
            role=who.grant.role,
            words=wish.words,
        )
        status: int | None = None
        async with started(settings.program, errand, environment, home, wish.window) as child:
            log.info(
                "session %d of %s (%s) begins as process %d: %s",
                number, who.name, who.grant.role.value, child.pid, _shown(wish),
            )  # fmt: skip
            status = await session.run(child)
        log.info("session %d of %s ends: %s", number, who.name, _ended(status))
        session.finish(status)

    async def _refusal_of_the_engine(self) -> str | None:
        try:
            async with asyncio.timeout(PROBE_S):
                refusal = await asyncio.to_thread(self._settings.probe)
        except TimeoutError:
            return "the engine does not answer"
        if refusal is not None:
            log.error("no session: %s", refusal)
        return refusal

    # --- what has to end ---------------------------------------------------------------------

    def _sweep(self) -> None:
        people, now = self.people(), self.now()
        monotonic = asyncio.get_running_loop().time()
        for connection in tuple(self._connections):
            admitted = connection.admitted
            if admitted is None:
                continue
            self._check_rights(connection, admitted, people, now)
            quiet = monotonic - connection.quiet_since
            if not connection.sessions and quiet > limits.IDLE_CONNECTION_S:
                connection.close("nothing is going on")
            for session in connection.sessions:
                self._check_session(connection, session, monotonic)

    def _check_rights(
        self, connection: Connection, admitted: Admitted, people: People, now: Instant
    ) -> None:
        """End who lost the right to be here; two looks, since editors write files in pieces."""
        grant = admitted.grant
        if grant in people.grants and now < grant.expires_at:
            self._doubted.discard(connection)
        elif connection in self._doubted:
            log.warning("the rights of %s have changed", admitted.name)
            connection.close("your rights have changed; log in again")
        else:
            self._doubted.add(connection)

    def _check_session(self, connection: Connection, session: Session, monotonic: float) -> None:
        idle_s = self._settings.idle_s
        if session.asks_too_much():
            log.warning("%s: sends too much environment", session.label)
            connection.abort()
        elif not session.has_begun:
            if monotonic - session.opened_at > limits.BEGIN_TIMEOUT_S:
                connection.abort()
        elif session.on_terminal and idle_s is not None and monotonic - session.heard_at > idle_s:
            session.end(f"ended after {idle_s:g} s without a key")


def _shown(wish: Wish) -> str:
    what = f"command {limits.shown(' '.join(wish.words))}" if wish.words else "cockpit"
    if wish.words[:1] == ("--go",):
        what = f"cockpit at {limits.shown(wish.words[1])}"
    if wish.window is None:
        return f"{what}, without a terminal"
    return f"{what}, {wish.window[0]}x{wish.window[1]} {wish.terminal_type}"


def _ended(status: int | None) -> str:
    return "the client has gone, or was sent away" if status is None else f"exit status {status}"
