"""A small TCP proxy between an engine and an agent: cuts, delays and losses on demand.

What is lost takes its connection along, as a half-open one: nothing passes on it any more, in
either direction, and no end is told. A later connection is a new try.
"""

import asyncio
import contextlib
import random
import socket
import threading
from dataclasses import dataclass

PIECE_BYTES = 65_536


@dataclass(frozen=True)
class Weather:
    """How a wire treats each piece of data."""

    delay_s: float = 0.0
    """For every piece, in both directions."""
    jitter_s: float = 0.0
    """Up to so much more, by chance."""
    loss: float = 0.0
    """How likely a piece is lost, and its connection with it."""


class Wire:
    """One proxy with an event loop in a thread of its own."""

    def __init__(self, target: int, seed: int = 1) -> None:
        self.lost = 0
        """Connections that have swallowed something."""
        self._target = target
        self._weather = Weather()
        self._chance = random.Random(seed)
        self._whole = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"wire {self.port}", daemon=True)
        self._thread.start()

    # --- from any thread -----------------------------------------------------------------------

    def cut(self) -> None:
        """Let nothing pass; nothing ends either."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Let everything pass again."""
        self._loop.call_soon_threadsafe(self._whole.set)

    def change(self, weather: Weather) -> None:
        """Treat what comes from now on like this."""
        self._weather = weather

    def close(self) -> None:
        """Break all connections and end."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # --- inside ----------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._whole.set()
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, sock=self._listener)
        )
        self._loop.run_forever()
        server.close()
        for connection in self._connections:
            connection.cancel()
        gathered = asyncio.gather(*self._connections, return_exceptions=True)
        self._loop.run_until_complete(gathered)
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        there: asyncio.StreamWriter | None = None
        try:
            await self._whole.wait()
            back, there = await asyncio.open_connection("127.0.0.1", self._target)
            swallowed = asyncio.Event()
            await asyncio.gather(
                self._pass(reader, there, swallowed), self._pass(back, writer, swallowed)
            )
        except (OSError, asyncio.CancelledError):
            pass  # also the end of the wire: asyncio would report a handler that was cancelled
        finally:
            self._connections.discard(task)
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallowed: asyncio.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE_BYTES):
                weather = self._weather
                await asyncio.sleep(weather.delay_s + self._chance.uniform(0, weather.jitter_s))
                await self._whole.wait()
                if self._chance.random() < weather.loss and not swallowed.is_set():
                    self.lost += 1
                    swallowed.set()
                if not swallowed.is_set():
                    writer.write(data)
                    await writer.drain()
            await self._whole.wait()
        if not swallowed.is_set():
            writer.close()
