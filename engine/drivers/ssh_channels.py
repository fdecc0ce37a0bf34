"""A connection with what runs on it, and a remote program that is being talked to."""

import asyncio
import contextlib
import time
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING

from engine.drivers.ssh_login import SshSettings, lost
from engine.errors import ConnectionLost
from engine.kernel.sessions.parameters import Target

if TYPE_CHECKING:
    import asyncssh


class Purpose(Enum):
    """What a session is for; steps leave room for the others."""

    STEP = "step"
    QUESTION = "question"


class Connection:
    """One open connection and what runs on it."""

    def __init__(self, connection: "asyncssh.SSHClientConnection", limit: int) -> None:
        self.connection = connection
        self.limit = limit
        self.sessions = 0
        self.dependents = 0
        """Connections that go through this one."""
        self.is_trusted = True
        """False once it left a question unanswered: new work goes another way."""
        self.idle_since = time.monotonic()

    @property
    def is_open(self) -> bool:
        """Tell whether nobody has closed it yet."""
        return not self.connection.is_closed()

    def has_room(self, purpose: Purpose, settings: SshSettings) -> bool:
        """Tell whether another session may be opened on it."""
        reserve = settings.reserved_sessions if purpose is Purpose.STEP else 0
        return self.is_open and self.is_trusted and self.sessions < max(self.limit - reserve, 1)


class Channel:
    """A remote program that is being talked to."""

    def __init__(
        self,
        target: Target,
        process: "asyncssh.SSHClientProcess[bytes]",
        held: Connection,
    ) -> None:
        self._target = target
        self._held = held
        self._process = process
        self.uses = 0
        """Runs this program has served."""
        self._began = time.monotonic()
        self.is_free = False
        """It has nothing more to say and may be given another run."""

    @property
    def held(self) -> Connection:
        """The connection it is on."""
        return self._held

    @property
    def process(self) -> "asyncssh.SSHClientProcess[bytes]":
        """What the client library calls it."""
        return self._process

    @property
    def age_s(self) -> float:
        """Return for how long it has been open."""
        return time.monotonic() - self._began

    @property
    def is_usable(self) -> bool:
        """Tell whether nothing is known against another use of it."""
        return (
            self._held.is_open
            and self._held.is_trusted
            and not self._process.is_closing()
            and not self._process.stdout.at_eof()
        )

    async def write(self, data: bytes, timeout_s: float) -> None:
        """Send bytes to its stdin. Raises ConnectionLost."""
        try:
            self._process.stdin.write(data)
            async with asyncio.timeout(timeout_s):
                await self._process.stdin.drain()
        except broken_errors() as error:
            raise self.lost(error) from error

    def lost(self, error: BaseException) -> ConnectionLost:
        """Return the error for an answer that did not come; a silent connection is not trusted."""
        if isinstance(error, TimeoutError):
            self._held.is_trusted = False
        return lost(self._target, error)

    def end_input(self) -> None:
        """Close its stdin."""
        with contextlib.suppress(*broken_errors()):
            self._process.stdin.write_eof()

    async def line(self, timeout_s: float | None) -> bytes:
        """Return the next line of stdout without its end. Raises ConnectionLost at the end."""
        try:
            async with asyncio.timeout(timeout_s):
                data = await self._process.stdout.readuntil(b"\n")
        except broken_errors() as error:
            raise self.lost(error) from error
        return data[:-1]

    async def exactly(self, count: int, timeout_s: float) -> bytes:
        """Return so many bytes of stdout. Raises ConnectionLost when they do not come."""
        if not count:
            return b""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._process.stdout.readexactly(count)
        except broken_errors() as error:
            raise self.lost(error) from error

    async def error_line(self) -> bytes | None:
        """Return the next line of stderr, None at its end; waits as long as it takes."""
        try:
            data = await self._process.stderr.readline()
        except broken_errors():
            return None
        return data or None

    async def output(self, most: int) -> bytes:
        """Return some bytes of stdout, empty at its end."""
        try:
            return await self._process.stdout.read(most)
        except broken_errors():
            return b""

    async def error_output(self, most: int) -> bytes:
        """Return some bytes of stderr, empty at its end."""
        try:
            return await self._process.stderr.read(most)
        except broken_errors():
            return b""

    async def exit(self, look_s: float) -> tuple[int | None, str]:
        """Wait for exit status and signal, which may come long before the end of the output.

        None and empty when the connection is lost.
        """
        process = self._process
        end = asyncio.ensure_future(process.wait_closed())
        try:
            while process.exit_status is None and not end.done():
                await asyncio.wait([end], timeout=look_s)
        finally:
            end.cancel()
        signal = process.exit_signal
        return process.exit_status, signal[0] if signal else ""

    async def ended(self) -> tuple[int | None, str]:
        """Wait for the program's end: exit status and signal name, None and empty when lost."""
        await self._process.wait_closed()
        signal = self._process.exit_signal
        return self._process.exit_status, signal[0] if signal else ""

    def close(self) -> None:
        """Let go of it; its process may live on."""
        self._process.close()


@cache
def broken_errors() -> tuple[type[BaseException], ...]:
    """Return what asyncssh raises when a connection is no more."""
    import asyncssh  # noqa: PLC0415 -- half a second of import, only when SSH is used

    return (asyncssh.Error, asyncio.IncompleteReadError, OSError, TimeoutError, ValueError)
