"""The right to lead: for a lone engine, a lock on its data folder.

The kernel of the operating system holds the lock for as long as the process lives, so a lock never
outlives its holder, whatever killed it. The file itself stays: removing it would let two engines
lock two files of the same name.
"""

import fcntl
import os
import socket
from pathlib import Path

from engine.errors import AlreadyRunning, StoreUnavailable


class FolderLock:
    """Held by the one engine that works on a data folder."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock or raise AlreadyRunning, naming the process that has it."""
        assert self._handle is None, "a lock is taken once"
        try:
            handle = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{self.file}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid, host = _holder(handle)
            os.close(handle)
            raise AlreadyRunning(self._refusal(pid, host), pid=pid) from None
        except OSError as error:
            os.close(handle)
            raise StoreUnavailable(f"{self.file} cannot be locked: {error.strerror}") from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n{socket.gethostname()}\n".encode(), 0)
        self._handle = handle

    def release(self) -> None:
        """Give the lock back; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.ftruncate(handle, 0)
            os.close(handle)

    def _refusal(self, pid: int | None, host: str) -> str:
        holder = "another process" if pid is None else f"process {pid}"
        if host and host != socket.gethostname():
            holder += f" on {host}"
        return f"an engine is already running on the data folder {self.file.parent}: {holder}"


def _holder(handle: int) -> tuple[int | None, str]:
    """Return what the holder has written about itself; it may not have come to it yet."""
    pid, _, host = os.pread(handle, 400, 0).decode("utf-8", "replace").partition("\n")
    return int(pid) if pid.isdigit() else None, host.strip()
