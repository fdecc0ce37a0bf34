"""Who may do what: tokens, roles, loopback trust, and protection against pages in browsers.

Tokens are 256 random bits; only their SHA-256 is kept in memory and, for those that `pointsman
token` makes, on disk. A token file has a line each: `TOKEN`, `ROLE TOKEN` or
`ROLE sha256:HEX NAME`; `#` begins a comment. It is read again when it changes.
"""

import base64
import binascii
import contextlib
import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from engine.errors import SettingsError
from engine.kernel.instants import Duration, Instant, seconds
from engine.server.listeners import is_loopback

WRONG_TOKENS_MAX: Final = 10
"""So many wrong tokens of one address within the window, then it is refused unheard."""
WRONG_TOKENS_WINDOW: Final = seconds(60)
ADDRESSES_MAX: Final = 10_000
"""Addresses with wrong tokens that are remembered."""


class Role(Enum):
    """What the holder of a token may do; each includes the one before."""

    READ_ONLY = "read-only"
    """Look at everything."""
    OPERATOR = "operator"
    """Move orders, start, stop and kill what is defined."""
    ADMIN = "admin"
    """Change definitions and end the engine, too."""

    @property
    def rank(self) -> int:
        """Higher may do more."""
        return list(Role).index(self)

    def includes(self, other: "Role") -> bool:
        """Return whether this role may do whatever the other may."""
        return self.rank >= other.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A known token, without the token itself."""

    role: Role
    digest: bytes
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Somebody whose request is let in."""

    role: Role
    name: str
    """For the journal and the log: `local`, `loopback`, or the token's name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Somebody whose request is not let in: an HTTP status and a sentence."""

    status: int
    text: str


class Trust(Enum):
    """What a listener believes without a token."""

    OWNER = "owner"
    """The Unix domain socket: the file system lets only its owner in."""
    LOOPBACK = "loopback"
    """Requests from this host."""
    NOBODY = "nobody"


def new_token() -> str:
    """Return a fresh token of 256 random bits, fit for headers and files."""
    return secrets.token_urlsafe(32)


def token_line(token: str, role: Role, name: str) -> str:
    """Return the line under which a token stands in a token file, without the token itself."""
    return f"{role.value} sha256:{_digest(token).hex()} {name}".rstrip()


def parse_tokens(text: str, place: str) -> tuple[Token, ...]:
    """Read a token file. Raises SettingsError with all findings."""
    findings: list[str] = []
    tokens: list[Token] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.split("#", 1)[0].split()
        if not words:
            continue
        try:
            tokens.append(_token_of(words, number))
        except ValueError as error:
            findings.append(f"{place}:{number}: {error}")
    if findings:
        raise SettingsError(tuple(findings))
    return tuple(tokens)


def _token_of(words: Sequence[str], number: int) -> Token:
    roles = {role.value: role for role in Role}
    role = Role.ADMIN
    rest = list(words)
    if len(rest) > 1:
        if rest[0] not in roles:
            raise ValueError(f"{rest[0]!r} is no role; roles are {', '.join(roles)}")
        role = roles[rest.pop(0)]
    secret, name = rest[0], " ".join(rest[1:]) or f"token {number}"
    if not secret.startswith("sha256:"):
        return Token(role=role, digest=_digest(secret), name=name)
    if not re.fullmatch(r"sha256:[0-9a-fA-F]{64}", secret):
        raise ValueError("sha256: is followed by 64 hexadecimal digits")
    return Token(role=role, digest=bytes.fromhex(secret[7:]), name=name)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


class TokenFiles:
    """The tokens of some files, read again when a file changes."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = tuple(files)
        self._stamps: tuple[object, ...] = ()
        self._tokens: tuple[Token, ...] = ()
        self._refresh()

    def find(self, token: str) -> Token | None:
        """Return the known token that this text is."""
        with contextlib.suppress(SettingsError):
            # Half a line while somebody edits: what was known goes on to be valid.
            self._refresh()
        digest = _digest(token)
        found = None
        for known in self._tokens:
            if hmac.compare_digest(known.digest, digest):
                found = known
        return found

    @property
    def is_empty(self) -> bool:
        """Whether no token would be accepted."""
        return not self._tokens

    def _refresh(self) -> None:
        stamps = tuple(self._stamp(file) for file in self._files)
        if stamps == self._stamps:
            return
        tokens: list[Token] = []
        for file in self._files:
            try:
                tokens += parse_tokens(file.read_text(encoding="utf-8"), str(file))
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError((f"{file}: {error}",)) from error
        self._tokens, self._stamps = tuple(tokens), stamps

    @staticmethod
    def _stamp(file: Path) -> object:
        try:
            found = file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class WrongTokens:
    """Counts wrong tokens by address, so that guessing is slow."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, list[Instant]] = OrderedDict()

    def refuses(self, address: str, now: Instant) -> Duration | None:
        """Return how long this address has to wait, None when it may try."""
        recent = [at for at in self._attempts.get(address, ()) if at > now - WRONG_TOKENS_WINDOW]
        if len(recent) < WRONG_TOKENS_MAX:
            return None
        return Duration(recent[0] + WRONG_TOKENS_WINDOW - now)

    def count(self, address: str, now: Instant) -> None:
        """Note one wrong token."""
        attempts = self._attempts.setdefault(address, [])
        attempts.append(now)
        del attempts[:-WRONG_TOKENS_MAX]
        self._attempts.move_to_end(address)
        while len(self._attempts) > ADDRESSES_MAX:
            self._attempts.popitem(last=False)


class Gate:
    """Lets requests in or not."""

    def __init__(self, tokens: TokenFiles, own_hosts: Sequence[str] = ()) -> None:
        self._tokens = tokens
        self._wrong = WrongTokens()
        self._own_hosts = frozenset(host.lower() for host in own_hosts)
        """Names under which the engine is addressed, beside loopback ones."""

    def admit(
        self, headers: Mapping[str, str], address: str | None, trust: Trust, now: Instant
    ) -> Caller | Refusal:
        """Return who asks, or why the request is refused. Header names are in lower case."""
        if _is_from_foreign_page(headers):
            return Refusal(status=403, text="Requests from pages of other sites are refused")
        token = _presented(headers)
        if token is None:
            return self._admit_without_token(headers, address, trust)
        if trust is Trust.OWNER:
            return Caller(role=Role.ADMIN, name="local")
        source = address or "?"
        wait = self._wrong.refuses(source, now)
        if wait is not None:
            return Refusal(status=429, text=f"Too many wrong tokens; wait {wait // 1000 + 1} s")
        found = self._tokens.find(token)
        if found is None:
            self._wrong.count(source, now)
            return Refusal(status=401, text="The token is not valid")
        return Caller(role=found.role, name=found.name)

    def _admit_without_token(
        self, headers: Mapping[str, str], address: str | None, trust: Trust
    ) -> Caller | Refusal:
        if trust is Trust.OWNER:
            return Caller(role=Role.ADMIN, name="local")
        if trust is Trust.LOOPBACK and address is not None and is_loopback(address):
            if self._is_own_host(headers.get("host", "")):
                return Caller(role=Role.ADMIN, name="loopback")
            return Refusal(
                status=403,
                text="Without a token the engine is addressed as localhost or 127.0.0.1 only",
            )
        return Refusal(
            status=401,
            text="A token is needed: Authorization: Bearer TOKEN, or TOKEN as the password of "
            "HTTP Basic; `pointsman token` makes one",
        )

    def _is_own_host(self, host_and_port: str) -> bool:
        """Names that others choose (DNS rebinding) do not count as this host."""
        try:
            host = urlsplit(f"//{host_and_port}").hostname or ""
        except ValueError:
            return False
        return host == "" or is_loopback(host) or host.lower() in self._own_hosts


def _presented(headers: Mapping[str, str]) -> str | None:
    """Return the token of a request; an unreadable one counts as wrong, not as absent."""
    scheme, _, value = headers.get("authorization", "").strip().partition(" ")
    match scheme.lower():
        case "":
            return None
        case "bearer":
            return value.strip()
        case "basic":
            try:
                text = base64.b64decode(value, validate=True).decode()
            except (binascii.Error, UnicodeDecodeError):
                return ""
            return text.partition(":")[2]
        case _:
            return ""


def _is_from_foreign_page(headers: Mapping[str, str]) -> bool:
    """Return whether a browser sends this on behalf of a page that is not ours."""
    if headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return True
    origin = headers.get("origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc != headers.get("host", "")
    except ValueError:
        return True
