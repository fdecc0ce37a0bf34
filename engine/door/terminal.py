"""What of a client's terminal reaches a session: its size, its name, its language."""

import fcntl
import os
import re
import struct
import termios
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SIZE_MIN: Final = 10
SIZE_MAX: Final = 500
_KEPT: Final = re.compile(r"COLORTERM|NO_COLOR|LANG|LC_[A-Z]{1,20}")
_VALUE: Final = re.compile(r"[A-Za-z0-9_.,:@+=-]{0,64}")
_TERM: Final = re.compile(r"[A-Za-z0-9_.+-]{1,64}")
_OF_THE_DOOR: Final = ("PATH", "PYTHONPATH", "TZ")


def window_size(columns: int, rows: int) -> tuple[int, int]:
    """Return a size that programs can live with; a client that says nothing has 80x24."""
    return (
        min(max(columns or 80, SIZE_MIN), SIZE_MAX),
        min(max(rows or 24, SIZE_MIN), SIZE_MAX),
    )


def set_window_size(terminal: int, columns: int, rows: int) -> None:
    """Give a terminal its size; the program in it gets SIGWINCH when it changed."""
    columns, rows = window_size(columns, rows)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def session_environment(
    person: str,
    home: Path,
    own: Mapping[str, str],
    asked: Mapping[str, str],
    terminal_type: str | None,
) -> dict[str, str]:
    """Return the whole environment of a session.

    Of the door's own only what finds programs and time zones; of the client's only colour and
    language; folders of programs lie below `home`.
    """
    kept = {name: own[name] for name in _OF_THE_DOOR if name in own}
    wanted = {
        name: value
        for name, value in asked.items()
        if _KEPT.fullmatch(name) and _VALUE.fullmatch(value)
    }
    return {
        "PATH": os.defpath,
        **kept,
        **wanted,
        **({} if terminal_type is None else {"TERM": terminal_name(terminal_type)}),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "settings"),
        "XDG_DATA_HOME": str(home / "share"),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "USER": person,
        "LOGNAME": person,
        # A session cannot write anything, so it does not try.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def terminal_name(asked: str) -> str:
    """Return the client's TERM if it can be one."""
    return asked if _TERM.fullmatch(asked) else "dumb"
