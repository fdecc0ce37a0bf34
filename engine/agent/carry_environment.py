"""Run a program with the environment in a file: names that no shell can pass on (spawn.py).

A program of its own, started as `python -I -S carry_environment.py FILE PROGRAM ARGUMENT…`; it
imports nothing of the engine. The file holds NAME=VALUE entries, each ended by a NUL. It is removed
before the program begins, because parameters may be secrets.
"""

import errno
import os
import signal
import sys

_SHELL = "/bin/sh"


def main() -> None:
    """Become the program; ends as a shell would when it cannot."""
    file, *command = sys.argv[1:]
    with open(file, "rb") as entries:  # noqa: PTH123  # pathlib would double the time this takes
        pairs = (entry.partition(b"=") for entry in entries.read().split(b"\0") if entry)
        environment = {name: value for name, _, value in pairs}
    os.unlink(file)  # noqa: PTH108  # as above
    # Python ignores these two, and what is ignored stays so in the program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        _become(command, environment)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        raise SystemExit(127 if error.errno == errno.ENOENT else 126) from None


def _become(command: list[str], environment: dict[bytes, bytes]) -> None:
    try:
        os.execve(command[0], command, environment)  # noqa: S606  # no shell is wanted here
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        # A script without an interpreter line is one for the shell.
        os.execve(_SHELL, [_SHELL, *command], environment)  # noqa: S606  # the shell itself


if __name__ == "__main__":
    main()
