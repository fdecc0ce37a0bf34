"""A private tmux for tests of the real program on a real terminal: keys in, screen out."""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

PATIENCE_S = 60.0
POLL_S = 0.1


def is_there() -> bool:
    """Return whether tmux is installed."""
    return shutil.which("tmux") is not None


class Terminal:
    """One tmux server with one window, gone at the end."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        *,
        size: tuple[int, int] = (80, 24),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._name = f"pointsman-{secrets.token_hex(4)}"
        self._command = list(command)
        self._folder = folder
        self._size = size
        self._environment = dict(environment or {})

    def __enter__(self) -> Self:
        width, height = self._size
        changed = [f"{name}={value}" for name, value in self._environment.items()]
        # The window stays when the program ends, so that what it left behind can be seen.
        script = 'mark="$1"; shift; "$@"; printf "\\n%s %s\\n" "$mark" "$?"; exec sleep 600'
        self._tmux(
            "new-session", "-d", "-s", "t", "-x", str(width), "-y", str(height), "-c",
            str(self._folder), "env", *changed, "sh", "-c", script, "sh", "exit-status",
            *self._command,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._tmux("kill-server", check=False)

    def _tmux(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-L", self._name, *words],
            check=check,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )
        return done.stdout

    @property
    def attach_command(self) -> str:
        """What a person types to watch."""
        return f"tmux -L {self._name} attach -r -t t"

    def keys(self, *keys: str) -> None:
        """Press keys, in tmux's names; texts are typed."""
        for key in keys:
            self._tmux("send-keys", "-t", "t", key)

    def text(self) -> str:
        """Return the screen as text."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def shows(self, *texts: str, patience_s: float = PATIENCE_S) -> str:
        """Wait until the screen shows all of these, and return it."""
        deadline = time.monotonic() + patience_s
        while True:
            found = self.text()
            if all(text in found for text in texts):
                return found
            assert time.monotonic() < deadline, f"never shown: {texts}\n{found}"
            time.sleep(POLL_S)

    def resize(self, width: int, height: int) -> None:
        """Change the size of the window; tmux forgets it now and then on a busy machine."""
        deadline = time.monotonic() + PATIENCE_S
        wanted = f"{width}x{height}"
        size = ""
        while size != wanted:
            assert time.monotonic() < deadline, f"the window stays {size}"
            self._tmux("resize-window", "-t", "t", "-x", str(width), "-y", str(height))
            shown = "#{pane_width}x#{pane_height}"
            size = self._tmux("display-message", "-p", "-t", "t", shown).strip()

    def modes(self) -> str:
        """Return what the program has switched on: alternate screen, mouse reporting."""
        return self._tmux(
            "display-message", "-p", "-t", "t", "#{alternate_on} #{mouse_any_flag}"
        ).strip()

    def pid_of(self, part: str) -> int:
        """Return the process in the window whose command line has this part."""
        pane = self._tmux("display-message", "-p", "-t", "t", "#{pane_pid}").strip()
        children = subprocess.run(
            ["ps", "-o", "pid=,args=", "--ppid", pane],
            check=True, capture_output=True, text=True, timeout=PATIENCE_S,
        )  # fmt: skip
        for row in children.stdout.splitlines():
            pid, _, arguments = row.strip().partition(" ")
            if part in arguments:
                return int(pid)
        raise AssertionError(f"no process {part!r} in {children.stdout!r}")
