"""One SSH session: what is asked for, and the process that answers."""
# ruff: noqa: ARG002 - asyncssh says what it calls these with

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import asyncssh

from engine.door.child import Child
from engine.door.handing_over import Handed, Meant, NotHanded, Opened, meant_by
from engine.door.limits import DRAIN_S, ENVIRONMENT_BYTES_MAX, INPUT_BYTES_MAX, PIECE_BYTES, shown
from engine.door.terminal import terminal_name, window_size

STDERR: Final = asyncssh.EXTENDED_DATA_STDERR
REFUSED: Final = 1
USAGE: Final = 2
HOW: Final = (
    "the cockpit needs a terminal (ssh -t HOST); without one hand over a command, such as "
    "ssh -T HOST order list"
)
ONLY_COMMANDS: Final = "this key hands over commands and opens no terminal: ssh -T HOST order list"
RESTORED_SCREEN: Final = (
    b"\x1b[?1000;1002;1003;1004;1006;1015;2004;2026l\x1b[<u\x1b[?25h\x1b[?1049l\x1b[0m\r\n"
)
"""What a cockpit would have said if it had not been killed: no mouse, one screen, a cursor."""
_SIGNALS: Final = {
    name: signal.Signals[f"SIG{name}"] for name in ("HUP", "INT", "QUIT", "TERM", "USR1", "WINCH")
}
_INPUT_AHEAD_BYTES: Final = 65_536

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a session is to run, and where."""

    words: tuple[str, ...]
    """Of our command line; none: the cockpit."""
    window: tuple[int, int] | None
    """Columns and rows; None: without a terminal."""
    terminal_type: str | None
    asked_environment: Mapping[str, str]


Serve = Callable[["Session", Wish], None]
"""Called once when a session has said what it wants; answers with `Session.run` or `refuse`."""


class Session(asyncssh.SSHServerSession[bytes]):
    """Translates between a channel and a process."""

    def __init__(
        self, label: str, *, has_terminal: bool, serve: Serve, gone: Callable[["Session"], None]
    ) -> None:
        self.label = label
        """Number and person, for the log."""
        self._has_terminal = has_terminal
        self._serve = serve
        self._gone = gone
        loop = asyncio.get_running_loop()
        self._now = loop.time
        self.opened_at = self.heard_at = loop.time()
        self.has_begun = False
        self._meant: Meant = Opened()
        self._terminal_type: str | None = None
        self._window = (80, 24)
        self._chan: asyncssh.SSHServerChannel[bytes] | None = None
        self._child: Child | None = None
        self._early = bytearray()
        self._input_bytes = 0
        self._input_has_ended = False
        self._feeding: asyncio.Task[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._is_over = asyncio.Event()
        self._is_lost = False
        """The client has gone; otherwise it is we who want the end."""
        self._farewell = ""
        self._restores_screen = False

    @property
    def on_terminal(self) -> bool:
        """Whether the client has a terminal here."""
        return self._terminal_type is not None

    # --- what the client says ----------------------------------------------------------------

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        """Remember the channel."""
        self._chan = chan
        chan.set_write_buffer_limits(high=2 * PIECE_BYTES)

    def pty_requested(
        self,
        term_type: str,
        term_size: tuple[int, int, int, int],
        term_modes: Mapping[int, int],
    ) -> bool:
        """Take the wish for a terminal.

        Who may not have one is told so in words: at a plain refusal `ssh` ends without any.
        """
        self._terminal_type = terminal_name(term_type)
        self._window = window_size(*term_size[:2])
        return True

    def shell_requested(self) -> bool:
        """Take the wish for the cockpit."""
        return True

    def exec_requested(self, command: str) -> bool:
        """Take the wish for a command; whether it is allowed is answered in words."""
        self._meant = meant_by(command)
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        """Refuse file transfer and everything else of the kind."""
        log.warning("%s: refused the subsystem %s", self.label, shown(subsystem))
        return False

    def session_started(self) -> None:
        """Do what was asked for."""
        self.has_begun = True
        match self._meant:
            case NotHanded(why=why):
                self.refuse(why, USAGE)
            case _ if self.on_terminal and not self._has_terminal:
                self.refuse(ONLY_COMMANDS, USAGE)
            case Opened() if not self.on_terminal:
                self.refuse(HOW, USAGE)
            case Opened(place=place):
                self._serve(self, self._wish(("--go", place) if place else ()))
            case Handed(words=words):
                self._serve(self, self._wish(words))

    def _wish(self, words: tuple[str, ...]) -> Wish:
        return Wish(
            words=words,
            window=self._window if self.on_terminal else None,
            terminal_type=self._terminal_type,
            asked_environment=self._environment(),
        )

    def _environment(self) -> Mapping[str, str]:
        assert self._chan is not None, "a session that began has a channel"
        try:
            return dict(self._chan.get_environment())
        except UnicodeDecodeError:
            return {}

    def asks_too_much(self) -> bool:
        """Return whether the client sends more of its environment than is of any use."""
        if self._chan is None:
            return False
        try:
            found = self._chan.get_environment()
        except UnicodeDecodeError:
            return False
        return sum(len(name) + len(value) for name, value in found.items()) > ENVIRONMENT_BYTES_MAX

    def terminal_size_changed(self, width: int, height: int, pixwidth: int, pixheight: int) -> None:
        """Pass a new size on."""
        self._window = window_size(width, height)
        if self._child is not None:
            self._child.resize(*self._window)

    def signal_received(self, signal: str) -> None:
        """Pass on what a person may send to their own process."""
        number = _SIGNALS.get(signal)
        if number is not None and self._child is not None:
            self._child.signal(number)

    def break_received(self, msec: int) -> bool:
        """Ignore a break."""
        return False

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Pass input on, and stop the client while the process does not read."""
        self.heard_at = self._now()
        self._input_bytes += len(data)
        if not self.on_terminal and self._input_bytes > INPUT_BYTES_MAX:
            self.end(f"more than {INPUT_BYTES_MAX} bytes are not taken")
            return
        self._early += data
        self._feed()

    def eof_received(self) -> bool:
        """Pass the end of the input on; output goes on."""
        self._input_has_ended = True
        self._feed()
        return True

    def pause_writing(self) -> None:
        """Read no more of the process: the client does not take it."""
        self._may_write.clear()

    def resume_writing(self) -> None:
        """Go on."""
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what runs here."""
        self._is_lost = True
        self._is_over.set()
        self._may_write.set()
        self._gone(self)

    # --- what is done ------------------------------------------------------------------------

    def refuse(self, why: str, status: int = REFUSED) -> None:
        """Say why nothing runs, and close."""
        log.warning("%s: refused: %s", self.label, why)
        self._say(why)
        self._leave(status)

    def end(self, why: str) -> None:
        """End a running session, with a sentence for the person."""
        self._farewell = self._farewell or why
        self._is_over.set()

    async def run(self, child: Child) -> int | None:
        """Serve until the process or the client goes, or `end` is called.

        Returns the exit status of the process, None when it was not the process that ended first.
        Afterwards `finish` says good-bye.
        """
        self._child = child
        child.resize(*self._window)
        self._feed()
        kinds = (None, STDERR)
        pumps = [
            asyncio.create_task(self._pump(reader, kind))
            for reader, kind in zip(child.outputs, kinds, strict=False)
        ]
        ended = asyncio.create_task(child.wait())
        over = asyncio.create_task(self._is_over.wait())
        try:
            await asyncio.wait({ended, over}, return_when=asyncio.FIRST_COMPLETED)
            has_ended_first = ended.done()
            if not self._is_lost:
                # What the process says last, or said last, is still on its way.
                await child.end()
                await asyncio.wait({*pumps}, timeout=DRAIN_S)
                self._restores_screen = child.was_killed
            return ended.result() if has_ended_first else None
        finally:
            self._child = None
            for task in (ended, over, *pumps, *([self._feeding] if self._feeding else [])):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await task

    def finish(self, status: int | None) -> None:
        """Close the channel after the process has gone."""
        if self._restores_screen and self.on_terminal and self._chan is not None:
            with contextlib.suppress(BrokenPipeError):
                self._chan.write(RESTORED_SCREEN)
        if self._farewell:
            self._say(self._farewell)
        self._leave(REFUSED if status is None else status)

    async def _pump(self, reader: asyncio.StreamReader, kind: asyncssh.DataType) -> None:
        while True:
            await self._may_write.wait()
            try:
                data = await reader.read(PIECE_BYTES)
            except OSError:
                return  # a terminal whose last program has gone ends with an error
            if not data or self._chan is None:
                return
            with contextlib.suppress(BrokenPipeError):
                self._chan.write(data, kind)

    def _feed(self) -> None:
        """Begin to move input into the process unless that is being done."""
        if self._child is None:
            if len(self._early) >= _INPUT_AHEAD_BYTES and self._chan is not None:
                self._chan.pause_reading()
        elif self._feeding is None or self._feeding.done():
            self._feeding = asyncio.create_task(self._move_input(self._child))

    async def _move_input(self, child: Child) -> None:
        assert self._chan is not None, "a session with a process has a channel"
        while child.input is not None and self._early:
            piece = bytes(self._early)
            self._early.clear()
            self._chan.pause_reading()
            try:
                child.input.write(piece)
                await child.input.drain()
            except OSError:
                return
            finally:
                self._chan.resume_reading()
        if self._input_has_ended:
            child.close_input()

    def _say(self, text: str) -> None:
        line_end = "\r\n" if self.on_terminal else "\n"
        if self._chan is not None:
            with contextlib.suppress(BrokenPipeError):
                self._chan.write_stderr(f"pointsman: {text}{line_end}".encode())

    def _leave(self, status: int) -> None:
        if self._chan is not None:
            with contextlib.suppress(OSError):
                self._chan.exit(min(status, 255))
