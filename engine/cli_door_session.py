"""The program in a session of the door: our command line, for the person that the door names.

Started by the door alone, with the number of an inherited socket. On it come the engine's address,
the session's token, the person and the words; when the door's end closes, this process ends.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import termios
import threading
from collections.abc import Sequence

from engine.door.confinement import confine
from engine.door.errand import Errand
from engine.server.auth import Role

ERRAND_BYTES_MAX = 1_000_000
ERRAND_TIMEOUT_S = 10.0
HUNG_UP = 129
USAGE = 2


def main(arguments: Sequence[str]) -> int:
    """Read the errand, give up what a session must not do, and run our command line."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        sys.stderr.write("pointsman: this program is started by the door\n")
        return USAGE
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            # A door that was started with nohup hands that down; its sessions must hear it.
            signal.signal(number, signal.SIG_DFL)
    life_line = socket.socket(fileno=int(arguments[0]))
    os.set_inheritable(life_line.fileno(), False)
    errand = _errand(life_line)
    threading.Thread(target=_end_with, args=(life_line,), name="life line", daemon=True).start()
    terminal = _own_terminal()
    os.environ.update(POINTSMAN_ENGINE=errand.address, POINTSMAN_TOKEN=errand.token)
    # Loaded before the doors close, for what it does at its first import.
    from engine import cli  # noqa: PLC0415  # needs no terminal, but the environment above

    confine(_addresses(errand.address), terminal)
    return cli.run(_words(errand, has_terminal=terminal is not None))


def _errand(life_line: socket.socket) -> Errand:
    life_line.settimeout(ERRAND_TIMEOUT_S)
    with life_line.makefile("rb") as reader:
        line = reader.readline(ERRAND_BYTES_MAX)
    life_line.settimeout(None)
    return Errand.from_line(line)


def _end_with(life_line: socket.socket) -> None:
    """Wait for the end of the door or of the connection; the process goes with it."""
    # Signals are for the main thread, which may wait in the system and has to be woken by them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    with contextlib.suppress(OSError):
        while life_line.recv(1024):
            pass
    os._exit(HUNG_UP)


def _own_terminal() -> str | None:
    """Make the terminal the one that controls this session, so that it gets sizes and hang-ups."""
    if not os.isatty(0):
        return None
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    return os.ttyname(0)


def _words(errand: Errand, *, has_terminal: bool) -> tuple[str, ...]:
    is_cockpit = has_terminal and (not errand.words or errand.words[0] == "--go")
    if is_cockpit and errand.role is Role.READ_ONLY:
        # The engine would refuse as well; so the keys are not even offered.
        return ("--read-only", *errand.words)
    return errand.words


def _addresses(engine: str) -> frozenset[object]:
    """Return what `connect` may be called with: the engine's socket, or its host and port."""
    if not engine.startswith(("http://", "https://")):
        return frozenset({engine})
    from urllib.parse import urlsplit  # noqa: PLC0415  # only here

    parts = urlsplit(engine)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    return frozenset(address for *_, address in found)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
