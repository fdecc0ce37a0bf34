"""A cockpit at the end of a slow line: a real ssh through a proxy that holds every byte back."""

import asyncio
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.terminal import Terminal
from tests.support.sshd import SshServer, missing

HELD_MAX = 10_000
CHUNK_BYTES = 16_384
START_S = 10.0


def why_not() -> str | None:
    """Return what is missing for it."""
    return missing("ssh", "sshd", "ssh-keygen")


class SlowLine:
    """Forwards a port, each byte half a round trip later than it came; runs in a thread."""

    def __init__(self, target_port: int, round_trip_s: float) -> None:
        self._target = target_port
        self._delay_s = round_trip_s / 2
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(START_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        with suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(
                self._hold_back(reader, far_writer), self._hold_back(far_reader, writer)
            )
        for end in (writer, far_writer):
            end.close()

    async def _hold_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(HELD_MAX)

        async def deliver() -> None:
            while True:
                due, data = await held.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                writer.write(data)
                await writer.drain()
                if not data:
                    return

        delivery = asyncio.create_task(deliver())
        try:
            while data := await reader.read(CHUNK_BYTES):
                await held.put((time.monotonic() + self._delay_s, data))
            await held.put((time.monotonic(), b""))
            await delivery
        finally:
            delivery.cancel()

    def stop(self) -> None:
        """Close the port and all connections."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)


@contextmanager
def far_cockpit(
    address: str, round_trip_s: float, environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Open the cockpit through ssh; its engine must admit anybody of this host."""
    server = SshServer().start()
    line = SlowLine(server.port, round_trip_s)
    given = " ".join(f"{name}={environment[name]}" for name in ("PYTHONPATH", "LANG"))
    try:
        words = [
            "ssh", "-tt", "-i", str(server.key), "-p", str(line.port),
            "-o", f"UserKnownHostsFile={server.folder / 'new_hosts'}",
            "-o", "StrictHostKeyChecking=accept-new", "-o", "IdentitiesOnly=yes", "-F", "none",
            f"{server.user}@127.0.0.1",
            f"cd {Path.cwd()} && env {given} {sys.executable} -m tui {address} :orders",
        ]  # fmt: skip
        with Terminal(words, size=(160, 45), environment=environment) as terminal:
            yield terminal
    finally:
        line.stop()
        server.stop()
