"""One SSH connection: who it is, and its sessions."""
# ruff: noqa: ARG002 - asyncssh says what it calls these with

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import asyncssh

from engine.door.limits import LOGIN_ATTEMPTS_MAX, SESSIONS_PER_CONNECTION_MAX, shown
from engine.door.people import Grant, People, fingerprint
from engine.door.session import Session, Wish
from engine.kernel.instants import Instant

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """Somebody who has proved to hold a key, or a certificate of an authority."""

    name: str
    grant: Grant
    proof: str
    """Fingerprint of the key or of the authority, for the log."""


class Desk(Protocol):
    """What a connection asks of the door."""

    def now(self) -> Instant:
        """Return the time."""
        ...

    def people(self) -> People:
        """Return who may come in."""
        ...

    def arrives(self, connection: "Connection") -> str | None:
        """Note a stranger; return why it is refused unheard."""
        ...

    def admitted(self, connection: "Connection") -> None:
        """Note that a stranger is one no longer."""
        ...

    def leaves(self, connection: "Connection") -> None:
        """Note that a connection has gone."""
        ...

    def serve(self, connection: "Connection", session: Session, wish: Wish) -> None:
        """Run what a session asks for."""
        ...


class _Keys(asyncssh.SSHAuthorizedKeys):
    """Our people in the place of a file of keys: only here a certificate's names are told."""

    def __init__(self, find: Callable[[bytes, Sequence[str], bool], Grant | None]) -> None:
        super().__init__()
        self._find = find

    def validate(
        self,
        key: asyncssh.SSHKey,
        client_host: str,
        client_addr: str,
        cert_principals: Sequence[str] | None = None,
        ca: bool = False,
    ) -> dict[str, object] | None:
        """Return options, of which there are none, when the key or authority is known."""
        return None if self._find(key.public_data, cert_principals or (), ca) is None else {}

    def validate_x509(self, *_: object) -> tuple[None, None]:
        """Refuse the other kind of certificate."""
        return None, None


class Connection(asyncssh.SSHServer):
    """Lets one client in or not, and counts its sessions."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._conn: asyncssh.SSHServerConnection | None = None
        self._attempts = 0
        self._candidate: Admitted | None = None
        self._sessions: list[Session] = []
        self._count = 0
        self.is_refused = False
        self.address = "?"
        self.admitted: Admitted | None = None
        """Who it is, once that is proved."""
        self.quiet_since = asyncio.get_running_loop().time()
        """Since when there has been no session."""

    @property
    def sessions(self) -> Sequence[Session]:
        """What runs on this connection."""
        return tuple(self._sessions)

    # --- login -------------------------------------------------------------------------------

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Turn the client away unheard if there are too many of its kind."""
        self._conn = conn
        peer = conn.get_extra_info("peername")
        self.address = str(peer[0]) if peer else "?"
        refusal = self._desk.arrives(self)
        if refusal is not None:
            self.is_refused = True
            log.warning("refused a connection from %s: %s", self.address, refusal)
            conn.abort()

    def begin_auth(self, username: str) -> bool:
        """Ask for a key, always; each name that is tried counts."""
        assert self._conn is not None, "a client that logs in is connected"
        self._candidate = None
        self._attempt(username)

        def find(key: bytes, principals: Sequence[str], is_authority: bool) -> Grant | None:
            return self._find(username, key, principals, is_authority=is_authority)

        self._conn.set_authorized_keys(_Keys(find))
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys and certificates are the only way in."""
        return True

    def _find(
        self, name: str, key: bytes, principals: Sequence[str], *, is_authority: bool
    ) -> Grant | None:
        """Look a key up.

        The last one found before the login succeeds is the one it succeeded with, because it is
        looked up again together with its signature.
        """
        people, now = self._desk.people(), self._desk.now()
        if is_authority:
            grant = people.by_certificate(name, key, principals, self.address, now)
        else:
            grant = people.by_key(name, key, self.address, now)
        self._candidate = None
        if grant is None:
            kind = "a certificate of" if is_authority else "the key"
            log.warning(
                "refused %s from %s: %s %s is not good for that name, from there, now",
                shown(name), self.address, kind, fingerprint(key),
            )  # fmt: skip
            self._attempt(name)
        else:
            self._candidate = Admitted(name=name, grant=grant, proof=fingerprint(key))
        return grant

    def _attempt(self, name: str) -> None:
        self._attempts += 1
        if self._attempts > LOGIN_ATTEMPTS_MAX and self._conn is not None:
            log.warning("refused %s from %s: too many attempts", shown(name), self.address)
            self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, "Too many attempts")

    def auth_completed(self) -> None:
        """Note who came in."""
        assert self._candidate is not None, "nobody comes in without a key that was found"
        self.admitted = self._candidate
        self._desk.admitted(self)
        found = self.admitted
        log.info(
            "login of %s (%s) from %s with %s, line %d",
            found.name, found.grant.role.value, self.address, found.proof, found.grant.line,
        )  # fmt: skip

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that somebody has gone."""
        if self.admitted is not None:
            log.info("logout of %s from %s", self.admitted.name, self.address)
        elif not self.is_refused:
            reason = "it went without proving who it is" if exc is None else shown(str(exc))
            log.warning("no login from %s: %s", self.address, reason)
        self._desk.leaves(self)
        self._conn = None

    # --- sessions ----------------------------------------------------------------------------

    def session_requested(self) -> Session | bool:
        """Make a session; what it may do is decided when it says what it wants."""
        assert self.admitted is not None, "sessions come after the login"
        if len(self._sessions) >= SESSIONS_PER_CONNECTION_MAX:
            log.warning("refused %s a session: too many on one connection", self.admitted.name)
            return False
        self._count += 1
        session = Session(
            f"{self.admitted.name} from {self.address}",
            has_terminal=self.admitted.grant.has_terminal,
            serve=lambda session, wish: self._desk.serve(self, session, wish),
            gone=self._session_gone,
        )
        self._sessions.append(session)
        return session

    def _session_gone(self, session: Session) -> None:
        with contextlib.suppress(ValueError):
            self._sessions.remove(session)
        self.quiet_since = asyncio.get_running_loop().time()

    def close(self, why: str) -> None:
        """End the connection and all of its sessions, each with this sentence."""
        for session in self.sessions:
            session.end(why)
        if not self._sessions:
            self.disconnect(why)

    def disconnect(self, why: str) -> None:
        """End the connection when what was said to it is sent."""
        if self._conn is not None:
            self._conn.disconnect(asyncssh.DISC_BY_APPLICATION, why)

    def abort(self) -> None:
        """End the connection at once."""
        if self._conn is not None:
            self._conn.abort()
