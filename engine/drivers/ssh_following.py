"""Talking to one run: start it, read its output by offset, wait for its result.

The remote program sleeps until it is asked, so a lost connection leaves nothing behind that waits;
it speaks by itself only once, on stderr, when a run it has started has ended.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from engine.drivers.ssh_channels import Channel
from engine.drivers.ssh_hosts import HostLink
from engine.drivers.ssh_login import lost
from engine.drivers.ssh_wrapper import (
    CHUNK_MAX,
    Begun,
    ReplyHead,
    ask,
    parse_begin,
    parse_reply,
)
from engine.errors import ConnectionLost, SshError
from engine.kernel.ids import TaskId
from engine.kernel.sessions.exports import RETURNED_LENGTH_MAX
from engine.kernel.sessions.identity import RunToken, fields_of

TAIL_LENGTH = 64 * 1024
"""Bytes of a stream's end that are kept, for the order's parameters."""
FIRST_LINE_LENGTH = 100
NOISE_LINES_MAX = 1000
"""Lines a login shell may print before our program's greeting."""


LAST_WORDS_S = 5.0
"""How long we wait to hear why a session has ended."""
LAST_WORDS_LENGTH = 400


class ShellUnusable(SshError):
    """The host lets us in, but the account has no shell for us: disabled, or Windows."""


class Stream(Enum):
    """Where a job's output came from."""

    STDOUT = "stdout"
    STDERR = "stderr"


class TaskOutput(Protocol):
    """Where the output of tasks goes: the task logs."""

    async def kept(self, task: TaskId, stream: Stream) -> int:
        """Return how many bytes of this stream are there already, from an earlier life."""
        ...

    async def write(self, task: TaskId, stream: Stream, offset: int, data: bytes) -> None:
        """Keep bytes that begin at this offset of the stream; returns when they are kept."""
        ...

    async def note(self, task: TaskId, text: str) -> None:
        """Append a line of the engine's own."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often is looked, in seconds."""

    poll_first_s: float = 0.05
    poll_max_s: float = 1.0
    retry_first_s: float = 1.0
    """After a lost connection; doubles up to the backoff of the table."""
    watch_s: float = 30.0
    """Between looks at a run that is alive but has lost its own process."""
    result_grace_s: float = 10.0
    """How long a result may be on its way after the processes have gone."""
    reap_s: float = 1.0
    """Run directories are removed together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What one answer has shown."""

    head: ReplyHead
    returned: str
    pid: int | None


class Followed:
    """Output of one run so far: offsets, first line and tails."""

    def __init__(self, task: TaskId, output: TaskOutput) -> None:
        self._task = task
        self._output = output
        self._sizes = {Stream.STDOUT: 0, Stream.STDERR: 0}
        self._tails = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self._first = {Stream.STDOUT: b"", Stream.STDERR: b""}
        self._read = False

    async def offsets(self) -> tuple[int, int]:
        """Return from where on output is wanted."""
        if not self._read:
            for stream in Stream:
                self._sizes[stream] = await self._output.kept(self._task, stream)
            self._read = True
        return self._sizes[Stream.STDOUT], self._sizes[Stream.STDERR]

    async def take(self, stream: Stream, data: bytes) -> None:
        """Keep a piece of output."""
        if not data:
            return
        await self.offsets()
        await self._output.write(self._task, stream, self._sizes[stream], data)
        self._sizes[stream] += len(data)
        self._tails[stream] = (self._tails[stream] + data)[-TAIL_LENGTH:]
        if b"\n" not in self._first[stream]:
            self._first[stream] = (self._first[stream] + data)[: 4 * FIRST_LINE_LENGTH]

    @property
    def must_recall(self) -> bool:
        """Tell whether output was kept by an earlier life, whose ends we do not know."""
        return any(self._sizes[each] and not self._first[each] for each in Stream)

    def recall(self, stream: Stream, first: bytes, tail: bytes) -> None:
        """Take the beginning and the end of what an earlier life has kept."""
        self._first[stream] = first
        self._tails[stream] = tail

    def has(self, stream: Stream) -> bool:
        """Tell whether the run has written to this stream."""
        return self._sizes[stream] > 0

    def tail(self, stream: Stream) -> str:
        """Return the last output, whatever bytes it holds."""
        return self._tails[stream].decode(errors="replace")

    def first_line(self, stream: Stream) -> str:
        """Return the first line, cut."""
        line = self._first[stream].partition(b"\n")[0].decode(errors="replace").rstrip("\r")
        return line[:FIRST_LINE_LENGTH]


class Conversation:
    """A launched or attached run that answers our questions."""

    def __init__(self, channel: Channel, link: HostLink, begun: Begun, timeout_s: float) -> None:
        self.begun = begun
        self.has_ended = asyncio.Event()
        """The host says that the run it has started is over."""
        self._channel = channel
        self._link = link
        self._timeout_s = timeout_s

    async def listen(self, token: RunToken) -> None:
        """Wait for the one thing the program says by itself; returns at the end of the channel."""
        end = f"JS-END {token}".encode()
        while (line := await self._channel.error_line()) is not None:
            if line.strip() == end:
                self.has_ended.set()

    async def wait_for_end(self, most_s: float) -> None:
        """Wait until the host says that the run is over, not longer than this."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self.has_ended.wait()

    async def recall(self, followed: Followed) -> None:
        """After a restart: fetch first lines and tails again, which the task log has already."""
        kept = await followed.offsets()
        if not followed.must_recall:
            return
        firsts = await self._pieces((0, 0), 4 * FIRST_LINE_LENGTH)
        begins = (max(kept[0] - TAIL_LENGTH, 0), max(kept[1] - TAIL_LENGTH, 0))
        tails = await self._pieces(begins, TAIL_LENGTH)
        for stream, size, begin, first, tail in zip(
            Stream, kept, begins, firsts, tails, strict=True
        ):
            followed.recall(stream, first[:size], tail[: size - begin])

    async def _pieces(self, offsets: tuple[int, int], most: int) -> tuple[bytes, bytes]:
        head = await self._head(*offsets, most)
        pieces = (await self._part(head.out), await self._part(head.err))
        await self._part(head.returned + head.identity)
        return pieces

    async def _head(self, out: int, err: int, most: int) -> ReplyHead:
        await self._channel.write(ask(out, err, most), self._timeout_s)
        line = await self._channel.line(self._timeout_s)
        head = parse_reply(line.decode(errors="replace"))
        if head is None:
            raise lost(self._link.target, ValueError("the host's answer makes no sense"))
        return head

    async def ask(self, followed: Followed) -> State:
        """Fetch what is new. Raises ConnectionLost."""
        head = await self._head(*await followed.offsets(), CHUNK_MAX)
        await followed.take(Stream.STDOUT, await self._part(head.out))
        await followed.take(Stream.STDERR, await self._part(head.err))
        returned = (await self._part(head.returned)).decode(errors="replace")
        fields = fields_of((await self._part(head.identity)).decode(errors="replace"))
        pid = fields.get("pid", "")
        return State(
            head=head,
            returned=returned[: RETURNED_LENGTH_MAX + 1],
            pid=int(pid) if pid.isdigit() else None,
        )

    def is_over(self) -> None:
        """Nothing is left to be asked: the shell may serve another run."""
        self._channel.is_free = True

    def end(self) -> None:
        """Let the program on the host end, unless it may serve another run."""
        if not self._channel.is_free:
            self._channel.end_input()

    async def _part(self, count: int) -> bytes:
        return await self._channel.exactly(count, self._timeout_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A launch program, for a shell that is new and for one that has run one before."""

    token: RunToken
    first: bytes
    next: bytes


@contextlib.asynccontextmanager
async def conversation(
    link: HostLink, launch: Launch, *, timeout_s: float
) -> AsyncIterator[Conversation]:
    """Send a launch program and talk to it.

    Raises HostUnreachable and the like when it was certainly not sent, SshError when the host says
    why it cannot, ConnectionLost when nobody knows what has become of it.
    """
    async with contextlib.AsyncExitStack() as stack:
        channel = await stack.enter_async_context(link.shell())
        try:
            begun = await _begin(link, channel, launch, timeout_s)
        except ConnectionLost as error:
            if channel.uses == 1 or isinstance(error.__cause__, TimeoutError):
                raise
            # A server may end a session that has been quiet. A run is made once, however often
            # that is asked for, so asking another shell does no harm.
            channel = await stack.enter_async_context(link.shell(is_new=True))
            begun = await _begin(link, channel, launch, timeout_s)
        talk = Conversation(channel, link, begun, timeout_s)
        listening = asyncio.create_task(talk.listen(launch.token))
        try:
            yield talk
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            talk.end()


async def _begin(link: HostLink, channel: Channel, launch: Launch, timeout_s: float) -> Begun:
    line = b""
    try:
        await channel.write(launch.first if channel.uses == 1 else launch.next, timeout_s)
        for _ in range(NOISE_LINES_MAX):
            line = await channel.line(timeout_s)
            begun = parse_begin(line.decode(errors="replace"), launch.token)
            if begun is not None:
                return begun
    except ConnectionLost as error:
        if channel.uses == 1 and not isinstance(error.__cause__, TimeoutError):
            await _ask_why(link, channel, line)
        raise
    raise lost(link.target, ValueError("the login shell prints too much"))


async def _ask_why(link: HostLink, channel: Channel, last_line: bytes) -> None:
    """Raise ShellUnusable when the account's shell itself has ended: nobody else has run ours."""
    try:
        async with asyncio.timeout(LAST_WORDS_S):
            status, _ = await channel.exit(LAST_WORDS_S / 20)
            said = await channel.error_output(LAST_WORDS_LENGTH)
    except TimeoutError:
        return
    if status is not None and status > 0:
        words = " ".join((last_line + b" " + said).decode(errors="replace").split())
        raise ShellUnusable(
            f"{link.target} has run no POSIX shell for us (exit code {status}): {words}",
            host=link.target.host,
        )


def is_more_waiting(state: State) -> bool:
    """Tell whether the host has more output than it could send at once."""
    return CHUNK_MAX in {state.head.out, state.head.err}
