"""The process of one session: our own program on a pseudo-terminal, or between three pipes.

It learns who the person is on an inherited socket, never from arguments or the environment. The
same socket is its life line: when the door's end closes, for whatever reason, the process ends.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from engine.door.errand import Errand
from engine.door.limits import HANGUP_GRACE_S, PIECE_BYTES
from engine.door.terminal import set_window_size


class Child:
    """A running process, its input and its outputs."""

    def __init__(self, process: asyncio.subprocess.Process, life_line: socket.socket) -> None:
        self._process = process
        self._life_line = life_line
        self._terminal: int | None = None
        self._transports: list[asyncio.BaseTransport] = []
        self.input: asyncio.StreamWriter | None = None
        """None once there is nothing to write to any more."""
        self.outputs: list[asyncio.StreamReader] = []
        """The terminal; or standard output, then standard error."""

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group and session."""
        return self._process.pid

    def resize(self, columns: int, rows: int) -> None:
        """Tell it the size of the window."""
        if self._terminal is not None:
            set_window_size(self._terminal, columns, rows)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to its process group, as long as the process is there to own it."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    async def wait(self) -> int:
        """Wait for its end; return the exit status, 128 and more for a signal."""
        status = await self._process.wait()
        return status if status >= 0 else 128 - status

    @property
    def was_killed(self) -> bool:
        """Whether it had no chance to leave the terminal as it was."""
        return self._process.returncode == -signal.SIGKILL

    def close_input(self) -> None:
        """Tell a process with pipes that nothing more comes."""
        if self._terminal is None and self.input is not None:
            self.input.close()
            self.input = None

    async def end(self) -> None:
        """Hang up; insist after the grace time; return when the process is gone.

        What it says at its end, such as how the screen was before, can still be read.
        """
        self.signal(signal.SIGHUP)
        try:
            async with asyncio.timeout(HANGUP_GRACE_S):
                await self._process.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def close(self) -> None:
        """Let go of everything; a process that still lived would end with its life line."""
        self._life_line.close()
        self.input = None
        for transport in self._transports:
            transport.close()
        self._transports.clear()
        self._terminal = None

    async def use_terminal(self, terminal: int) -> None:
        """Read from and write to the door's end of a pseudo-terminal, which is ours from now on."""
        loop = asyncio.get_running_loop()
        self._terminal = terminal
        reader = asyncio.StreamReader(limit=PIECE_BYTES)
        reading, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(terminal, "rb", buffering=0)
        )
        self._transports.append(reading)
        self.outputs.append(reader)
        writing, protocol = await loop.connect_write_pipe(
            lambda: asyncio.streams.FlowControlMixin(loop=loop),
            os.fdopen(os.dup(terminal), "wb", buffering=0),
        )
        self._transports.append(writing)
        self.input = asyncio.StreamWriter(writing, protocol, None, loop)

    def use_pipes(self) -> None:
        """Read from and write to the three pipes of the process."""
        process = self._process
        assert process.stdin is not None, "started with pipes"
        assert process.stdout is not None, "started with pipes"
        assert process.stderr is not None, "started with pipes"
        self.input = process.stdin
        self.outputs += [process.stdout, process.stderr]


@contextlib.asynccontextmanager
async def started(
    program: Sequence[str],
    errand: Errand,
    environment: Mapping[str, str],
    folder: Path,
    window: tuple[int, int] | None,
) -> AsyncIterator[Child]:
    """Run the program for as long as the block runs, on a terminal of this size or with pipes.

    Raises OSError when it cannot be started. Whatever ends the block, the process is gone after it.
    """
    ours, theirs = socket.socketpair()
    terminals: tuple[int, int] | None = None
    try:
        ours.setblocking(False)
        if window is not None:
            terminals = os.openpty()
            set_window_size(terminals[0], *window)
            os.set_blocking(terminals[0], False)
        stream = asyncio.subprocess.PIPE if terminals is None else terminals[1]
        process = await asyncio.create_subprocess_exec(
            *program, str(theirs.fileno()),
            stdin=stream, stdout=stream, stderr=stream,
            env=dict(environment), cwd=folder, start_new_session=True,
            pass_fds=(theirs.fileno(),), limit=PIECE_BYTES,
        )  # fmt: skip
    except BaseException:
        ours.close()
        if terminals is not None:
            os.close(terminals[0])
        raise
    finally:
        theirs.close()
        if terminals is not None:
            os.close(terminals[1])
    child = Child(process, ours)
    try:
        if terminals is None:
            child.use_pipes()
        else:
            await child.use_terminal(terminals[0])
        # A line fits into the socket's buffer: nobody has to read for it to be sent.
        await asyncio.get_running_loop().sock_sendall(ours, errand.to_line())
        yield child
    finally:
        try:
            await asyncio.shield(asyncio.ensure_future(child.end()))
        finally:
            child.close()
