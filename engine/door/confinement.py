"""What a session's process may not do, whatever the cockpit offers.

It writes no files, starts no programs, signals nobody and reaches nothing but its engine.
An audit hook of the interpreter stands before each of these; it cannot be taken off again. The
person at the other end has no way to run code of their own, so nothing passes below it.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLOSED: Final = frozenset(
    {
        "os.chmod", "os.chown", "os.exec", "os.fork", "os.forkpty", "os.kill", "os.killpg",
        "os.link", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "os.rmdir",
        "os.setxattr", "os.spawn", "os.symlink", "os.system", "os.truncate", "os.utime",
        "pty.spawn", "socket.bind", "socket.sendto", "socket.sendmsg", "sqlite3.connect",
        "subprocess.Popen",
    }
)  # fmt: skip


def confine(addresses: frozenset[object], terminal: str | None) -> None:
    """Close these ways for the rest of this process's life.

    `addresses` are what `connect` may be called with; `terminal` is the file of its own terminal.
    """
    sys.addaudithook(guard(addresses, terminal))


def guard(addresses: frozenset[object], terminal: str | None) -> Callable[[str, Any], None]:
    """Return the hook: it raises PermissionError for what is closed."""
    devices = frozenset({"/dev/null", "/dev/tty", terminal})

    def hook(event: str, arguments: Any) -> None:
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING and not isinstance(path, int):
                if os.fsdecode(path) not in devices:
                    raise PermissionError(1, "nothing is written in a session at the door")
        elif event == "socket.connect":
            if arguments[1] not in addresses:
                raise PermissionError(1, "a session at the door reaches nothing but its engine")
        elif event in _CLOSED:
            raise PermissionError(1, f"a session at the door may not do this: {event}")

    return hook
