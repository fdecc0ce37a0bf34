"""Who may come in, and with which rights: a file of keys and authorities, a line each.

The form is that of OpenSSH's `authorized_keys`, with two options of its own: `person` says whose
key it is, `role` what that person may do at the engine (`read-only` unless it says more). A
`cert-authority` line lets in the holders of certificates for the names in `principals`. An option
that is not understood makes its line void, never wider.
"""

import base64
import binascii
import hashlib
import ipaddress
import os
import re
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

from engine.errors import SettingsError
from engine.kernel.instants import NEVER, Instant, from_datetime
from engine.server.auth import Role

FILE_BYTES_MAX: Final = 1_000_000
"""Thousands of people; more is a mistake."""
EXAMPLE: Final = 'person="anna",role="operator" ssh-ed25519 AAAAC3Nza... anna@laptop'
RESERVED_NAMES: Final = frozenset({"local", "loopback"})
"""What the engine calls those who need no token; nobody else may pass for them."""

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.@-]{0,31}")
_KEY_TYPE: Final = re.compile(r"(ssh-|ecdsa-sha2-|sk-)[a-z0-9@.-]+", re.IGNORECASE)
_OPTION: Final = re.compile(r'([A-Za-z0-9-]+)(?:="((?:[^"\\]|\\.)*)")?')
_VALUED: Final = frozenset({"person", "role", "principals", "from", "expiry-time"})
_FLAGS: Final = frozenset({"cert-authority", "restrict", "pty", "no-pty"})
_ALREADY_SO: Final = frozenset(
    {"no-port-forwarding", "no-agent-forwarding", "no-x11-forwarding", "no-user-rc"}
)
"""OpenSSH's words for what the door never does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One line: a key, or an authority for certificates, and what it gives."""

    people: frozenset[str]
    """One name for a key, the permitted principals for an authority."""
    role: Role
    key: bytes
    """The public key as it goes over the wire."""
    is_authority: bool = False
    sources: tuple[Network, ...] = ()
    """Addresses from which it is valid; empty: from everywhere."""
    expires_at: Instant = NEVER
    has_terminal: bool = True
    """Whether it opens the cockpit; otherwise it only hands over commands."""
    line: int = field(default=0, compare=False)

    def admits(self, name: str, address: str, now: Instant) -> bool:
        """Return whether this person may come in from there now."""
        if name not in self.people or now >= self.expires_at:
            return False
        return not self.sources or any(_is_within(address, network) for network in self.sources)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Everybody who may come in, and what is wrong with the other lines."""

    grants: tuple[Grant, ...] = ()
    findings: tuple[str, ...] = ()

    def by_key(self, name: str, key: bytes, address: str, now: Instant) -> Grant | None:
        """Return what this key gives to who logs in under this name."""
        for grant in self._of(key, is_authority=False):
            if grant.admits(name, address, now):
                return grant
        return None

    def by_certificate(
        self, name: str, authority: bytes, principals: Collection[str], address: str, now: Instant
    ) -> Grant | None:
        """Return what a certificate of this authority gives.

        A certificate without principals would be good for every name; it is good for none.
        """
        if name not in principals:
            return None
        for grant in self._of(authority, is_authority=True):
            if grant.admits(name, address, now):
                return grant
        return None

    def _of(self, key: bytes, *, is_authority: bool) -> Iterator[Grant]:
        return (
            grant
            for grant in self.grants
            if grant.key == key and grant.is_authority == is_authority
        )


def parse_people(text: str, place: str) -> People:
    """Read the lines of a file. What is wrong becomes a finding and gives nobody anything."""
    grants: list[Grant] = []
    findings: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.strip()
        if not words or words.startswith("#"):
            continue
        try:
            grants.append(_grant(words, number))
        except ValueError as error:
            findings.append(f"{place}:{number}: {error}")
    return People(grants=tuple(grants), findings=tuple(findings))


def fingerprint(key: bytes) -> str:
    """Return a public key's SHA-256 as `ssh-keygen -l` shows it."""
    digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


class PeopleFile:
    """The file, read again when it changes."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stamp: object = None
        self._known = People()

    def read_strictly(self) -> People:
        """Return who may come in. Raises SettingsError when any line is wrong, or nobody may."""
        people = self.people()
        if people.findings:
            raise SettingsError(people.findings)
        if not people.grants:
            raise SettingsError(
                (f"{self.file}: nobody may come in; write a line for each person: {EXAMPLE}",)
            )
        return people

    def people(self) -> People:
        """Return who may come in now; nobody when the file is missing or others may write it."""
        stamp = self._look()
        if stamp != self._stamp:
            self._known, self._stamp = self._read(), stamp
        return self._known

    def _look(self) -> object:
        try:
            found = self.file.stat()
        except OSError as error:
            return error.errno
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode

    def _read(self) -> People:
        try:
            # A pipe would let us wait for ever before it could be seen to be no file.
            handle = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as opened:
                self._check(os.fstat(handle))
                return parse_people(opened.read(FILE_BYTES_MAX).decode("utf-8"), str(self.file))
        except FileNotFoundError:
            finding = f"there is no such file; write a line for each person: {EXAMPLE}"
        except OSError as error:
            finding = error.strerror or str(error)
        except ValueError as error:
            finding = str(error)
        return People(findings=(f"{self.file}: {finding}",))

    @staticmethod
    def _check(found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a plain file")
        if found.st_size > FILE_BYTES_MAX:
            raise ValueError(f"it is larger than {FILE_BYTES_MAX} bytes")
        if found.st_uid not in {0, os.geteuid()}:
            raise ValueError("it must belong to the user of the door, or to root")
        if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ValueError("others may write it, so its keys prove nothing: chmod go-w")


# --- lines ---------------------------------------------------------------------------------------


def _grant(line: str, number: int) -> Grant:
    options, rest = ({}, line) if _KEY_TYPE.match(line) else _options(line)
    role = _role(options.get("role"))
    is_authority = "cert-authority" in options
    has_terminal = "pty" in options or not ("restrict" in options or "no-pty" in options)
    return Grant(
        people=_people(options, is_authority=is_authority),
        role=role,
        key=_key(rest),
        is_authority=is_authority,
        sources=tuple(_network(word) for word in _words(options.get("from"), "from")),
        expires_at=_expiry(options.get("expiry-time")),
        has_terminal=has_terminal,
        line=number,
    )


def _options(line: str) -> tuple[dict[str, str | None], str]:
    """Return the options at the beginning of a line, and what comes after them."""
    found: dict[str, str | None] = {}
    at = 0
    while True:
        match = _OPTION.match(line, at)
        if match is None:
            raise ValueError('options are NAME or NAME="VALUE", separated by commas')
        name, value = match.group(1).lower(), match.group(2)
        _check_option(name, value, found)
        found[name] = None if value is None else re.sub(r"\\(.)", r"\1", value)
        at = match.end()
        if line[at : at + 1] == ",":
            at += 1
        elif line[at : at + 1].isspace():
            return found, line[at:].strip()
        else:
            raise ValueError("after the options comes a blank and the key")


def _check_option(name: str, value: str | None, found: Mapping[str, str | None]) -> None:
    if name in found:
        raise ValueError(f"the option {name} stands there twice")
    if name in _VALUED:
        if value is None:
            raise ValueError(f'the option {name} needs a value: {name}="..."')
    elif name not in _FLAGS | _ALREADY_SO:
        known = ", ".join(sorted(_VALUED | _FLAGS | _ALREADY_SO))
        raise ValueError(f"the door does not know the option {name}; it knows {known}")
    elif value is not None:
        raise ValueError(f"the option {name} has no value")


def _people(options: Mapping[str, str | None], *, is_authority: bool) -> frozenset[str]:
    if is_authority:
        if "person" in options:
            raise ValueError('people with certificates are named by principals="...", not person')
        names = _words(options.get("principals"), "principals")
        if not names:
            raise ValueError('an authority says for whom it may speak: principals="anna,bob"')
    else:
        if "principals" in options:
            raise ValueError("principals belongs to cert-authority")
        person = options.get("person")
        if person is None:
            raise ValueError(f"it does not say whose key it is; write {EXAMPLE}")
        names = (person,)
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name: letters, digits and _.@-, at most 32")
        if name.lower() in RESERVED_NAMES:
            raise ValueError(f"{name!r} is what the engine calls those without a token")
    return frozenset(names)


def _role(text: str | None) -> Role:
    roles = {role.value: role for role in Role}
    if text is None:
        return Role.READ_ONLY
    if text not in roles:
        raise ValueError(f"{text!r} is no role; roles are {', '.join(roles)}")
    return roles[text]


def _words(text: str | None, option: str) -> tuple[str, ...]:
    if text is None:
        return ()
    words = tuple(word.strip() for word in text.split(","))
    if not all(words):
        raise ValueError(f"{option} has an empty entry")
    return words


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word)
    except ValueError as error:
        raise ValueError(f"from is a list of addresses and networks: {error}") from error


def _is_within(address: str, network: Network) -> bool:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found) in network


def _expiry(text: str | None) -> Instant:
    """Read OpenSSH's times: `YYYYMMDD` or `YYYYMMDDHHMM[SS]`; local unless `Z` is at the end."""
    if text is None:
        return NEVER
    digits = text.removesuffix("Z")
    forms = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
    if not digits.isascii() or not digits.isdecimal() or len(digits) not in forms:
        raise ValueError("expiry-time is YYYYMMDD or YYYYMMDDHHMM[SS], in UTC with a Z at the end")
    at = datetime.strptime(digits, forms[len(digits)])  # noqa: DTZ007  # the zone comes next
    try:
        return from_datetime(at.replace(tzinfo=UTC) if text.endswith("Z") else at.astimezone())
    except (OverflowError, OSError) as error:
        raise ValueError(f"expiry-time: {error}") from error


def _key(text: str) -> bytes:
    words = text.split()
    if len(words) < 2 or not _KEY_TYPE.fullmatch(words[0]):
        raise ValueError("there is no public key: TYPE BASE64 COMMENT")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("the key is no base64") from error
    size = int.from_bytes(blob[:4], "big")
    if blob[4 : 4 + size] != words[0].encode() or len(blob) <= 4 + size:
        raise ValueError(f"the key is not one of the type {words[0]}")
    if "-cert-v0" in words[0]:
        raise ValueError("this is a certificate; name its authority with cert-authority instead")
    return blob
