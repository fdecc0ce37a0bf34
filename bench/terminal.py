"""A pseudo-terminal with a program in it, for the benches: what comes, when, and what it costs."""

import fcntl
import os
import pty
import re
import select
import struct
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

END_S = 5.0
WAIT_S = 60.0
READ_BYTES = 65_536


class Missing(Exception):
    """What was waited for did not come."""


class Terminal:
    """Runs a program on a terminal of a size and keeps what it writes, with its times."""

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        size: tuple[int, int] = (160, 45),
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.chunks: list[tuple[float, bytes]] = []
        self._lock = threading.Lock()
        self.began = time.perf_counter()
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            _become(arguments, size, dict(environment or os.environ), folder)
        _set_size(self._master, size)
        self.process = psutil.Process(self.pid)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, READ_BYTES)
            except OSError:
                return
            if not data:
                return
            with self._lock:
                self.chunks.append((time.perf_counter(), data))

    # --- what a person does ----------------------------------------------------------------------

    def send(self, keys: str) -> float:
        """Type; return when."""
        now = time.perf_counter()
        os.write(self._master, keys.encode())
        return now

    def wait(self, pattern: bytes, since: float = 0.0, timeout_s: float = WAIT_S) -> float:
        """Return when what was written after `since` first matched. Raises Missing."""
        deadline = time.perf_counter() + timeout_s
        expression = re.compile(pattern, re.DOTALL)
        while True:
            found = self._when(expression, since)
            if found is not None:
                return found
            if time.perf_counter() > deadline:
                raise Missing(f"{pattern!r} did not come; the end: {self.text(since)[-2000:]!r}")
            select.select([], [], [], 0.002)

    def _when(self, expression: re.Pattern[bytes], since: float) -> float | None:
        chunks = self._since(since)
        whole = b"".join(data for _, data in chunks)
        match = expression.search(whole)
        if match is None:
            return None
        reached = 0
        for at, data in chunks:
            reached += len(data)
            if reached >= match.end():
                return at
        return None

    def quiet(self, quiet_s: float = 0.5, timeout_s: float = WAIT_S) -> None:
        """Wait until nothing has been written for so long from now, at most until the timeout."""
        began = time.perf_counter()
        while time.perf_counter() < began + timeout_s:
            with self._lock:
                last = self.chunks[-1][0] if self.chunks else began
            if time.perf_counter() - max(last, began) > quiet_s:
                return
            time.sleep(0.02)

    # --- what it did -----------------------------------------------------------------------------

    def _since(self, since: float) -> list[tuple[float, bytes]]:
        with self._lock:
            index = len(self.chunks)
            while index and self.chunks[index - 1][0] >= since:
                index -= 1
            return self.chunks[index:]

    def text(self, since: float = 0.0) -> bytes:
        """Return what was written after this moment."""
        return b"".join(data for _, data in self._since(since))

    def written(self, since: float, until: float | None = None) -> int:
        """Return how many bytes were written in this time."""
        return sum(len(data) for at, data in self._since(since) if until is None or at < until)

    def processor_s(self) -> float:
        """Return the processor time of the program so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        """Return the resident memory of the program."""
        return float(self.process.memory_info().rss) / 1e6

    def forget(self) -> None:
        """Drop what was written, for long runs."""
        with self._lock:
            self.chunks.clear()

    def end(self, keys: str = "") -> None:
        """Leave by these keys, or end it."""
        if keys:
            self.send(keys)
        deadline = time.perf_counter() + END_S
        while time.perf_counter() < deadline and keys:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                os.close(self._master)
                return
            time.sleep(0.02)
        self.process.kill()
        os.waitpid(self.pid, 0)
        os.close(self._master)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self.process.is_running():
            self.end()


def _become(
    arguments: Sequence[str],
    size: tuple[int, int],
    environment: Mapping[str, str],
    folder: Path | None,
) -> None:
    try:
        _set_size(0, size)
        if folder is not None:
            os.chdir(folder)
        os.execvpe(arguments[0], list(arguments), dict(environment))  # no shell
    finally:
        os._exit(127)


def _set_size(terminal: int, size: tuple[int, int]) -> None:
    columns, lines = size
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
