"""KeePass databases as jobs name them: opened once, read again when they have changed.

A look-up happens at each login. What opening costs is the database's own wish, often a second: it
is paid in a thread, once for all hosts, and again only when the file or its key file has changed.
A database that cannot be opened is not tried again before it has changed either.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from engine.errors import CredentialsUnusable
from engine.kernel.sessions.credentials import Reference, StoreAccess, StoredConnection
from engine.kernel.sessions.parameters import StoredLogin, Target, target_of
from engine.kernel.sessions.secret import Secret

if TYPE_CHECKING:
    from engine.codec.keepass.entries import Store

STORES_MAX: Final = 32
OPEN_LIMIT_S: Final = 180.0
"""Patience with a file system and with a database's key; the key alone may take a minute."""
_KEY_FILE_SUFFIXES: Final = (".key", ".keyx")
"""Beside a database for which neither password nor key file is given."""

Stamp = tuple[tuple[int, int, int] | None, ...]
"""What tells that a file is another one: identity, size and time of the database, of its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    stamp: Stamp
    store: "Store | None"
    fault: str = ""


class CredentialStores:
    """All databases that jobs refer to."""

    def __init__(self) -> None:
        self._opened: dict[StoreAccess, _Opened] = {}
        self._turn = asyncio.Lock()
        """One at a time: a database may demand a gigabyte."""

    async def resolved(self, target: Target) -> Target:
        """Return where to log in and how, references looked up. Raises CredentialsUnusable."""
        if not isinstance(target.login, StoredLogin):
            return target
        connection = target.login.connection
        values = await self._values(connection)
        key = _private_key(values)
        plain = {name: value.reveal() for name, value in values.items()}
        if key is not None:
            plain["auth_file"] = str(dict(connection.references)["auth_file"])
        written = dict(connection.others)
        found = target_of({**_place(plain), **written}, stored=_addresses(plain), key=key)
        if isinstance(found, Target):
            return found
        problems = (
            f"{each.name} {each.text}" if each.name in written else f"its {each.name} does not fit"
            for each in found
        )
        raise CredentialsUnusable(
            f"the credential store {connection.access.file} does not lead to a login: "
            + "; ".join(problems)
        )

    async def have_changed(self, target: Target) -> bool:
        """Tell whether a new look may give another answer than the last one."""
        if not isinstance(target.login, StoredLogin):
            return False
        access = target.login.connection.access
        opened = self._opened.get(access)
        return opened is None or opened.stamp != await _look_at(access)

    async def _values(self, connection: StoredConnection) -> dict[str, Secret]:
        access = connection.access
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                store = await self._store(access)
                return await asyncio.to_thread(_looked_up, store, connection.references)
        except TimeoutError as error:
            text = f"the credential store {access.file} was not opened within {OPEN_LIMIT_S:g} s"
            raise CredentialsUnusable(text) from error
        except ValueError as error:
            text = f"the credential store {access.file} cannot be used: {error}"
            raise CredentialsUnusable(text) from None

    async def _store(self, access: StoreAccess) -> "Store":
        opened = self._opened.get(access)
        if opened is None or opened.stamp != await _look_at(access):
            opened = await self._open(access)
        if opened.store is None:
            raise ValueError(opened.fault)
        return opened.store

    async def _open(self, access: StoreAccess) -> _Opened:
        async with self._turn:
            stamp = await _look_at(access)
            opened = self._opened.get(access)
            if opened is None or opened.stamp != stamp:  # nobody else has, meanwhile
                opened = await asyncio.to_thread(_open, access, stamp)
                self._opened.pop(access, None)
                while len(self._opened) >= STORES_MAX:
                    del self._opened[next(iter(self._opened))]
                self._opened[access] = opened
            return opened


def _looked_up(store: "Store", references: tuple[tuple[str, Reference], ...]) -> dict[str, Secret]:
    return {name: store.value(each.entry, each.field) for name, each in references}


def _open(access: StoreAccess, stamp: Stamp) -> _Opened:
    """Open a database; takes as long as its key wants to take. Never raises."""
    from engine.codec.keepass.container import FILE_SIZE_MAX, opened  # noqa: PLC0415 -- when used
    from engine.codec.keepass.entries import store_of  # noqa: PLC0415
    from engine.codec.keepass.keys import KEY_FILE_SIZE_MAX, composite_key  # noqa: PLC0415

    path, key_path = _paths(access)
    reading = path
    try:
        data = _content(path, FILE_SIZE_MAX)
        reading = key_path or path
        key_file = None if key_path is None else _content(key_path, KEY_FILE_SIZE_MAX)
        store = store_of(opened(data, composite_key(access.password, key_file)))
    except OSError as error:
        shown = "it" if reading == path else f"its key file {reading}"
        return _Opened(stamp=stamp, store=None, fault=f"{shown} is not readable: {error.strerror}")
    except (ValueError, MemoryError) as error:
        fault = str(error) or "it wants more memory than there is"
        return _Opened(stamp=stamp, store=None, fault=fault)
    return _Opened(stamp=stamp, store=store)


def _content(path: str, most: int) -> bytes:
    with open(path, "rb") as file:  # noqa: PTH123 -- paths are texts here
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{path} is larger than {most} bytes")
    return data


def _paths(access: StoreAccess) -> tuple[str, str | None]:
    """Return the files; without password and key file a key file beside the database counts."""
    path = os.path.expanduser(access.file)  # noqa: PTH111
    if access.key_file is not None:
        return path, os.path.expanduser(access.key_file)  # noqa: PTH111
    if access.password is None:
        base = os.path.splitext(path)[0]  # noqa: PTH122
        for suffix in _KEY_FILE_SUFFIXES:
            if os.path.exists(base + suffix):  # noqa: PTH110
                return path, base + suffix
    return path, None


async def _look_at(access: StoreAccess) -> Stamp:
    return await asyncio.to_thread(_stamp, access)


def _stamp(access: StoreAccess) -> Stamp:
    return tuple(None if path is None else _stamp_of(path) for path in _paths(access))


def _stamp_of(path: str) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _private_key(values: Mapping[str, Secret]) -> Secret | None:
    """Return the key if it stands in the database itself, not only its place on the disk."""
    stored = values.get("auth_file")
    return stored if stored is not None and "PRIVATE KEY" in stored.reveal() else None


def _addresses(values: Mapping[str, str]) -> dict[str, str]:
    """Return the values, of an address only what the parameter takes."""
    found = {name: value.strip("\r\n") for name, value in values.items()}
    if "host" in found:
        found["host"] = _split(found["host"]).hostname or found["host"]
    if "url" in found and "://" not in found["url"]:
        found["url"] = f"ssh://{found['url']}"
    return found


def _place(values: Mapping[str, str]) -> dict[str, str]:
    """Return the port that an entry's address names, unless it is that of another service."""
    place = _split(values.get("host", ""))
    is_ssh = place.scheme in {"", "ssh", "sftp"}
    return {"port": str(place.port)} if is_ssh and place.port is not None else {}


def _split(address: str) -> SplitResult:
    """Understand what people write as an entry's address: a host, HOST:PORT, or a URL."""
    text = address.strip()
    try:
        place = urlsplit(text if "://" in text else f"//{text}")
        _ = place.port
    except ValueError:
        return urlsplit("")
    return place
