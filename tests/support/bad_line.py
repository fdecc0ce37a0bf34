"""A terminal line that is slow, or tears what it carries into single bytes.

`python bad_line.py [--delay-ms N] [--tear] [--deaf-file FILE] COMMAND...` runs the command on a
terminal of its own and carries bytes to and from ours. While FILE exists nothing is read from the
command: its terminal has stopped reading.
"""

import argparse
import fcntl
import os
import pty
import select
import signal
import sys
import termios
import time
import tty
from collections import deque
from pathlib import Path

CHUNK = 4_096
POLL_S = 0.02
TORN_PAUSE_S = 0.0005


def main() -> int:
    """Carry bytes until the command has ended; return its status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--delay-ms", type=int, default=0)
    parser.add_argument("--tear", action="store_true")
    parser.add_argument("--deaf-file", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    child, master = pty.fork()
    if child == 0:
        os.execvp(options.command[0], options.command)
    _copy_size(master)
    signal.signal(signal.SIGWINCH, lambda *_: _copy_size(master))
    former = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        _carry(master, options.delay_ms / 1000, options.deaf_file, torn=options.tear)
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, former)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _copy_size(master: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8))


def _carry(master: int, delay_s: float, deaf: Path | None, *, torn: bool) -> None:
    held: deque[tuple[float, int, bytes]] = deque()
    while True:
        is_deaf = deaf is not None and deaf.exists()
        ready, _, _ = select.select([0] if is_deaf else [0, master], [], [], POLL_S)
        for source in ready:
            try:
                data = os.read(source, CHUNK)
            except OSError:
                data = b""
            if not data and source == master:
                for _, target, last in held:
                    if target == 1:
                        _write(target, last, torn=torn)
                return
            held.append((time.monotonic() + delay_s, 1 if source == master else master, data))
        while held and held[0][0] <= time.monotonic():
            _, target, data = held.popleft()
            _write(target, data, torn=torn)


def _write(target: int, data: bytes, *, torn: bool) -> None:
    if not torn:
        while data:
            data = data[os.write(target, data) :]
        return
    for at in range(len(data)):
        os.write(target, data[at : at + 1])
        if target != 1:
            time.sleep(TORN_PAUSE_S)


if __name__ == "__main__":
    sys.exit(main())
