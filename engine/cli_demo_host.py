"""The host of the demo: an SSH server on a loopback port, with throw-away keys and one account.

It runs commands as the person who runs the demo, with a home below the demo's folder, and knows no
other key than the one it has made. When the file `cut` appears beside its keys it goes away for
some seconds, connections and all, as a host does whose network fails.
"""

import asyncio
import contextlib
import os
import signal
import sys
from pathlib import Path
from typing import Final

import asyncssh

PLACE: Final = "ssh"
"""The folder of keys and home, below the demo's."""
USER: Final = "demo"
AWAY_S: Final = 6.0
_LOOK_S: Final = 0.2
_CONNECTIONS_MAX: Final = 50


class _Login(asyncssh.SSHServer):
    """Lets the one account in, by its key."""

    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Note the connection, unless there are too many."""
        if len(self._connections) >= _CONNECTIONS_MAX:
            conn.abort()
            return
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        del exc  # a connection that has ended has ended
        if self._connection is not None:
            self._connections.discard(self._connection)

    def begin_auth(self, username: str) -> bool:
        """Ask everybody for a key."""
        del username  # there is one account
        return True

    def public_key_auth_supported(self) -> bool:
        """Keys only."""
        return True


class DemoHost:
    """One SSH server that can go away for a while."""

    def __init__(self, folder: Path, port: int) -> None:
        self._place = folder / PLACE
        self._port = port
        self._home = self._place / "home"
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._host_key: asyncssh.SSHKey
        self._acceptor: asyncssh.SSHAcceptor | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        self._make_keys()
        await self._open()
        (self._place / "up").touch()
        cut = self._place / "cut"
        while True:
            await asyncio.sleep(_LOOK_S)
            if cut.exists():
                cut.unlink(missing_ok=True)
                await self._close()
                await asyncio.sleep(AWAY_S)
                await self._open()

    def _make_keys(self) -> None:
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        own = asyncssh.generate_private_key("ssh-ed25519")
        key = self._place / "key"
        key.touch(mode=0o600)
        key.write_bytes(own.export_private_key())
        (self._place / "authorized_keys").write_bytes(own.export_public_key())
        public = self._host_key.export_public_key().decode().split()
        line = f"[127.0.0.1]:{self._port} {public[0]} {public[1]}\n"
        (self._place / "known_hosts").write_text(line, encoding="utf-8")

    async def _open(self) -> None:
        self._acceptor = await asyncssh.create_server(
            lambda: _Login(self._connections),
            "127.0.0.1",
            self._port,
            reuse_address=True,
            server_host_keys=[self._host_key],
            authorized_client_keys=str(self._place / "authorized_keys"),
            process_factory=self._serve,
            encoding=None,
            gss_host=None,
            agent_forwarding=False,
            allow_scp=False,
            line_editor=False,
        )

    async def _close(self) -> None:
        if self._acceptor is not None:
            self._acceptor.close()
            self._acceptor = None
        for connection in list(self._connections):
            connection.abort()
        self._connections.clear()

    async def _serve(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        """Run a command, or a shell that reads its commands, as the SSH server of a host does."""
        command = process.command
        child = await asyncio.create_subprocess_exec(
            "/bin/sh",
            *([] if command is None else ["-c", command]),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=self._home,
            env=os.environ | {"HOME": str(self._home), "USER": USER, "LOGNAME": USER},
            start_new_session=True,
        )
        await process.redirect(
            stdin=child.stdin, stdout=child.stdout, stderr=child.stderr, send_eof=False
        )
        status = await child.wait()
        with contextlib.suppress(asyncssh.Error, OSError):
            await process.stdout.drain()
            await process.stderr.drain()
            if status < 0:
                name = signal.Signals(-status).name.removeprefix("SIG")
                process.exit_with_signal(name)
            else:
                process.exit(status)


async def _run(folder: Path, port: int) -> None:
    host = asyncio.current_task()
    assert host is not None, "inside of a task"
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, host.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await DemoHost(folder, port).run()


def main(arguments: list[str]) -> None:
    """Serve below a folder on a port."""
    folder, port = arguments
    asyncio.run(_run(Path(folder), int(port)))


if __name__ == "__main__":
    main(sys.argv[1:])
