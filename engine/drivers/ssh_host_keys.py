"""Which hosts are who they say: known_hosts files, and the way to accept a new key.

Files are parsed once and again only when they change. A key that differs from the recorded one is
refused always; an unknown one is refused with the command that would accept it, or recorded at
first contact where a job or the settings ask for that (ssh-and-jitl.md 4.7).
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import HostKeyUnknown, SshError

if TYPE_CHECKING:
    import asyncssh

FILE_SIZE_MAX = 16 * 1024 * 1024
DEFAULT_PORT = 22

_Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenKey:
    """A key a host has shown."""

    host: str
    port: int
    algorithm: str
    fingerprint: str
    """`SHA256:...`, as `ssh-keygen -l` prints it."""
    line: str
    """The line for a known_hosts file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """The outcome of accepting a host."""

    key: SeenKey
    was_known: bool
    file: Path


class HostKeys:
    """The known_hosts files of the engine: its own, which it may write, and others to read."""

    def __init__(self, own: Path, others: Sequence[Path] = ()) -> None:
        self.own = own
        self._files = (own, *others)
        self._stamp: _Stamp | None = None
        self._known: asyncssh.SSHKnownHosts | None = None

    async def known(self) -> "asyncssh.SSHKnownHosts":
        """Return all known keys; reads files, so it works in a thread of its own."""
        return await asyncio.to_thread(self.known_now)

    def known_now(self) -> "asyncssh.SSHKnownHosts":
        """Return all known keys, read again when a file has changed."""
        import asyncssh  # noqa: PLC0415 -- half a second of import, only when SSH is used

        stamp = tuple(_stamp(path) for path in self._files)
        if self._known is None or stamp != self._stamp:
            known = asyncssh.import_known_hosts("")
            for path in self._files:
                _load(known, path)
            self._known, self._stamp = known, stamp
        return self._known

    def have_changed(self) -> bool:
        """Tell whether a file is another one than when the keys were last asked for."""
        return self._stamp is not None and self._stamp != tuple(
            _stamp(path) for path in self._files
        )

    def is_listed(self, host: str, address: str, port: int) -> bool:
        """Tell whether any key of this host is recorded; then another one is a changed one."""
        found = self.known_now().match(host, address, port if port != DEFAULT_PORT else None)
        return any(found[:2]) or any(found[3:4]) or any(found[5:6])

    def record(self, key: SeenKey) -> None:
        """Write a key to the engine's own file, durably."""
        self.own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.own, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, (key.line + "\n").encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def seen_key(host: str, port: int, key: "asyncssh.SSHKey") -> SeenKey:
    """Describe a key for people and files."""
    algorithm, data, *_ = key.export_public_key("openssh").decode().split()
    return SeenKey(
        host=host,
        port=port,
        algorithm=algorithm,
        fingerprint=key.get_fingerprint(),
        line=f"{_place(host, port)} {algorithm} {data}",
    )


def unknown_key(key: SeenKey) -> HostKeyUnknown:
    """Return the error for a host nobody has vouched for."""
    port = "" if key.port == DEFAULT_PORT else f" --port {key.port}"
    return HostKeyUnknown(
        f"the host key of {_place(key.host, key.port)} is not known: "
        f"{key.algorithm} {key.fingerprint}. Compare the fingerprint with the host's own; "
        f"to accept it: pointsman ssh trust {key.host}{port}",
        host=key.host,
    )


def changed_key(key: SeenKey) -> HostKeyUnknown:
    """Return the error for a host that shows another key than the recorded one."""
    return HostKeyUnknown(
        f"the host key of {_place(key.host, key.port)} has CHANGED: it shows {key.algorithm} "
        f"{key.fingerprint}, which is not the recorded key. Somebody may stand in between. If the "
        f"host was installed anew, remove its line from the known_hosts file and accept the new "
        f"key with: pointsman ssh trust {key.host}",
        host=key.host,
    )


async def shown_key(host: str, port: int = DEFAULT_PORT, *, timeout_s: float = 30) -> SeenKey:
    """Ask a host for its key without logging in. Raises SshError when it does not answer."""
    import asyncssh  # noqa: PLC0415 -- see above

    try:
        async with asyncio.timeout(timeout_s):
            key = await asyncssh.get_server_host_key(host, port, config=None)
    except (OSError, TimeoutError, asyncssh.Error) as error:
        text = f"{_place(host, port)} does not show its host key: {error or 'no answer'}"
        raise SshError(text, host=host) from error
    if key is None:
        raise SshError(f"{_place(host, port)} has shown no host key", host=host)
    return seen_key(host, port, key)


async def trust_host(
    keys: HostKeys, host: str, port: int = DEFAULT_PORT, *, fingerprint: str | None = None
) -> Trusted:
    """Accept the key a host shows now: what `pointsman ssh trust HOST` does.

    With `fingerprint` only that very key is accepted. Raises HostKeyUnknown when the host shows
    another key than the given or the recorded one, SshError when it cannot be reached.
    """
    key = await shown_key(host, port)
    if fingerprint is not None and fingerprint != key.fingerprint:
        raise HostKeyUnknown(
            f"{_place(host, port)} shows {key.fingerprint}, not {fingerprint}", host=host
        )
    known = await keys.known()
    listed = known.match(host, "", port if port != DEFAULT_PORT else None)[0]
    if any(each.get_fingerprint() == key.fingerprint for each in listed):
        return Trusted(key=key, was_known=True, file=keys.own)
    if any(each.get_algorithm() == key.algorithm for each in listed):
        raise changed_key(key)
    await asyncio.to_thread(keys.record, key)
    return Trusted(key=key, was_known=False, file=keys.own)


def _place(host: str, port: int) -> str:
    return host if port == DEFAULT_PORT else f"[{host}]:{port}"


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0)
    return (str(path), status.st_mtime_ns, status.st_size)


def _load(known: "asyncssh.SSHKnownHosts", path: Path) -> None:
    """Add a file line by line: one bad line must not make all hosts unknown."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(FILE_SIZE_MAX).splitlines()
    except OSError:
        return
    for line in lines:
        try:
            known.load(line)
        except ValueError:
            continue
