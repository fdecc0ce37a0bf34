"""uvicorn inside our own event loop: the only place that knows it.

Signals stay with the program, the application has no lifespan of its own, and the end is orderly
but not endless.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

STARTING_S_MAX = 10.0


class Server(uvicorn.Server):
    """A server that leaves signals alone and can be awaited to listen."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signal handling to the program."""
        yield


def tcp_socket(host: str, port: int) -> socket.socket:
    """Return a listening socket; OSError when the address is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio looks at the protocol before it switches Nagle's algorithm off, which would delay
    # every answer that is written in two parts by 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def serving(
    app: Any,
    sockets: list[socket.socket],
    *,
    tls: ssl.SSLContext | None = None,
    keep_alive_s: int = 300,
    graceful_s: int = 3,
) -> AsyncIterator[Server]:
    """Serve an ASGI application on listening sockets for as long as the block runs."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        loop="none",
        http="h11",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=keep_alive_s,
        timeout_graceful_shutdown=graceful_s,
    )
    server = Server(config)
    config.load()
    config.ssl = tls
    task = asyncio.get_running_loop().create_task(server.serve(sockets=sockets))
    try:
        await _until_started(server, task)
        yield server
    finally:
        server.should_exit = True
        await task


async def _until_started(server: Server, task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(STARTING_S_MAX):
        while not server.started:
            if task.done():
                await task
                raise RuntimeError("the HTTP server ended before it listened")
            await asyncio.sleep(0.005)
