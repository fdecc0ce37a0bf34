"""What of a client's terminal reaches a session."""

import fcntl
import os
import struct
import termios
from pathlib import Path

import pytest

from engine.door.terminal import (
    session_environment,
    set_window_size,
    terminal_name,
    window_size,
)

HOME = Path("/folder/home")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((80, 24), (80, 24)),
        ((0, 0), (80, 24)),
        ((1, 1), (10, 10)),
        ((2**32 - 1, 100_000), (500, 500)),
    ],
)
def test_sizes_are_clamped(asked: tuple[int, int], given: tuple[int, int]) -> None:
    assert window_size(*asked) == given


def test_a_terminal_gets_its_size() -> None:
    ours, theirs = os.openpty()
    try:
        set_window_size(ours, 160, 45)
        packed = fcntl.ioctl(theirs, termios.TIOCGWINSZ, b"\0" * 8)
        assert struct.unpack("HHHH", packed)[:2] == (45, 160)
    finally:
        os.close(ours)
        os.close(theirs)


def test_only_colour_and_language_come_from_the_client() -> None:
    asked = {
        "LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8", "COLORTERM": "truecolor", "NO_COLOR": "1",
        "PYTHONPATH": "/tmp", "LD_PRELOAD": "/tmp/x.so", "PATH": "/tmp", "HOME": "/tmp",
        "POINTSMAN_TOKEN": "x", "TERM": "vt52", "LC_lower": "x", "LC_EVIL": "../../x y", "USER": "root",
    }  # fmt: skip
    own = {"PATH": "/usr/bin", "TZ": "UTC", "POINTSMAN_TOKEN": "secret", "SSH_AUTH_SOCK": "/s"}
    found = session_environment("anna", HOME, own, asked, "xterm-256color")
    assert {name: value for name, value in found.items() if not name.startswith("XDG_")} == {
        "PATH": "/usr/bin", "TZ": "UTC", "LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8",
        "COLORTERM": "truecolor", "NO_COLOR": "1", "TERM": "xterm-256color",
        "HOME": str(HOME), "USER": "anna", "LOGNAME": "anna", "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    assert all(value.startswith(str(HOME)) for name, value in found.items() if "XDG_" in name)


def test_without_a_terminal_there_is_no_name_of_one() -> None:
    assert "TERM" not in session_environment("anna", HOME, {}, {"TERM": "xterm"}, None)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a b", "x\n", "x" * 65])
def test_a_name_that_no_terminal_has_becomes_dumb(name: str) -> None:
    assert terminal_name(name) == "dumb"
