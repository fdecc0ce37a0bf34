"""What a session's process may not do, tried in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.door.confinement import guard
from tests.support.programs import CHECKOUT

DEEDS = {
    "write": "open(place, 'w')",
    "append": "open(place, 'ab')",
    "truncate": "os.truncate(place, 0)",
    "os.open": "os.open(place, os.O_RDWR)",
    "write_text": "pathlib.Path(place).write_text('x')",
    "remove": "os.unlink(place)",
    "rename": "os.rename(place, place + 'x')",
    "mkdir": "os.mkdir(place + 'x')",
    "shell": "os.system('true')",
    "program": "subprocess.run(['true'])",
    "fork": "os.fork()",
    "exec": "os.execv('/bin/true', ['true'])",
    "kill": "os.kill(os.getppid(), 0)",
    "connect": "socket.socket(socket.AF_UNIX).connect('/elsewhere')",
    "listen": "socket.socket().bind(('127.0.0.1', 0))",
    "import file": "import sqlite3; sqlite3.connect(place)",
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_a_session_leaves_no_trace_and_reaches_nothing(deed: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    script = (
        "import os, pathlib, socket, subprocess, sys\n"
        "from engine.door.confinement import confine\n"
        "place = sys.argv[1]\n"
        "confine(frozenset({'/engine.sock'}), None)\n"
        f"try:\n    {deed}\n"
        "except PermissionError:\n    os.write(1, b'refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(file)],
        check=False, capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    assert done.stdout == "refused", done.stderr
    assert file.read_text() == "content"
    assert list(tmp_path.iterdir()) == [file]


def test_reading_the_terminal_and_the_engine_stay_open() -> None:
    hook = guard(frozenset({"/engine.sock", ("127.0.0.1", 4444)}), "/dev/pts/7")
    hook("open", ("/etc/hosts", "r", os.O_RDONLY))
    hook("open", ("/dev/pts/7", "r+", os.O_RDWR))
    hook("open", (3, "w", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    hook("socket.connect", (None, "/engine.sock"))
    hook("socket.connect", (None, ("127.0.0.1", 4444)))
    hook("import", ("os",))
