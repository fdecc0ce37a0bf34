"""What the program does to the terminal beside drawing: title, bell, clipboard, stepping aside."""

import base64
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tui.habits import CLIPBOARD, write_private
from tui.views.text import clean

OSC52_MAX = 74_000
"""Bytes of a copy: terminals throw longer sequences away, or worse, show them."""
_SCREEN_PIECE = 76
"""GNU screen passes on strings of limited length only."""
_SAVE_TITLE = "\x1b[22;2t"
_RESTORE_TITLE = "\x1b[23;2t"


class TerminalManners:
    """Writes to the terminal what is no picture. `write` is the driver's own way out."""

    def __init__(
        self,
        write: Callable[[str], None],
        *,
        environment: Mapping[str, str] | None = None,
        state_folder: Path | None = None,
    ) -> None:
        self._write = write
        self._environment = os.environ if environment is None else environment
        self._state_folder = state_folder
        self._title: str | None = None

    # --- title and bell ----------------------------------------------------------------------

    def title(self, text: str) -> None:
        """Name the window; the name it had is kept by the terminal."""
        text = clean(text)
        if text == self._title:
            return
        before = "" if self._title is not None or self._is_poor else _SAVE_TITLE
        self._title = text
        if not self._is_poor:
            self._write(f"{before}\x1b]2;{text}\x07")

    def give_title_back(self) -> None:
        """Give the window the name it had."""
        if self._title is not None and not self._is_poor:
            self._write(f"\x1b]2;\x07{_RESTORE_TITLE}")
        self._title = None

    @property
    def _is_poor(self) -> bool:
        return self._environment.get("TERM", "").startswith(("linux", "dumb", "vt"))

    def bell(self) -> None:
        """Ring."""
        self._write("\x07")

    # --- clipboard ---------------------------------------------------------------------------

    def copy(self, text: str, *, into_file: bool) -> str:
        """Put a text on the clipboard; return what to tell. Raises OSError for the file."""
        size = len(text.encode())
        if into_file or size > OSC52_MAX:
            path = self._file(text)
            why = "" if into_file else f", too long for the terminal ({OSC52_MAX:,} at most)"
            return f"{size:,} bytes in {path}{why}"
        self._write(osc52(text, self._environment))
        return f"{size:,} bytes; if nothing arrives: :set clipboard file"

    def _file(self, text: str) -> Path:
        if self._state_folder is None:
            raise OSError("there is no folder for it")
        path = self._state_folder / CLIPBOARD
        write_private(path, text)
        return path


def osc52(text: str, environment: Mapping[str, str]) -> str:
    """Return the sequence that puts a text on the terminal's clipboard.

    tmux and screen keep it to themselves unless it is wrapped for them.
    """
    data = base64.b64encode(text.encode()).decode("ascii")
    sequence = f"\x1b]52;c;{data}\x07"
    if environment.get("TMUX"):
        doubled = sequence.replace("\x1b", "\x1b\x1b")
        # As tmux's own command too: without `allow-passthrough` that is what it takes.
        return f"{sequence}\x1bPtmux;{doubled}\x1b\\"
    if environment.get("STY") or environment.get("TERM", "").startswith("screen"):
        pieces = [
            sequence[at : at + _SCREEN_PIECE] for at in range(0, len(sequence), _SCREEN_PIECE)
        ]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence


def has_shell_behind() -> bool:
    """Return whether a shell would take over when this program is stopped.

    A shell that does job control gives each program a process group of its own; without one we are
    in the group of the session's first process, and stopping would leave the terminal dead.
    """
    try:
        return sys.stdin.isatty() and os.getpgrp() != os.getsid(0)
    except OSError:
        return False
