"""Hosts with Windows: commands run as in 1.x and nothing is tracked.

A server of the test's own stands for such a host: what matters is that it knows no `/bin/sh`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from engine.drivers.remote_processes import RemoteProcesses, WatchedHost
from engine.drivers.ssh_login import SshSettings
from engine.kernel.effects import KillMode
from engine.kernel.instants import Instant
from engine.kernel.reports import TaskLaunched
from engine.kernel.sessions.browser import HostState
from engine.kernel.sessions.parameters import Target, target_of
from tests.support.ssh_world import SshWorld, until

pytestmark = pytest.mark.anyio
UNKNOWN_PROGRAM = b"'/bin/sh' is not recognized as an internal or external command,\r\n"


class WindowsHost:
    """What the server has been told, and what it says."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands: list[str] = []
        self.broken: list[str] = []
        self.variables: dict[str, str] = {}
        self.port = 0
        self.connections: list[asyncssh.SSHServerConnection] = []

    @property
    def login(self) -> dict[str, str]:
        return {
            "host": "127.0.0.1",
            "port": str(self.port),
            "user": r"DOMAIN\batch",
            "auth_method": "password",
            "password": "any",
        }

    async def serve(self, process: "asyncssh.SSHServerProcess[bytes]") -> None:
        command = process.command or ""
        if command.startswith("/bin/sh"):
            process.stderr.write(UNKNOWN_PROGRAM)
            process.exit(1)
            return
        self.commands.append(command)
        self.variables |= process.env
        match command.split():
            case ["exit", code]:
                process.exit(int(code))
            case ["wait"]:
                try:
                    while not process.is_closing():  # noqa: ASYNC110 -- no event tells
                        await asyncio.sleep(0.01)
                finally:
                    self.broken.append(command)
            case [*words]:
                process.stdout.write(" ".join(words).encode() + b"\r\n")
                process.exit(0)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["WindowsHost"]:
        host_key = asyncssh.generate_private_key("ssh-ed25519")
        host = self

        class Server(asyncssh.SSHServer):
            def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
                host.connections.append(conn)

            def password_auth_supported(self) -> bool:
                return True

            def validate_password(self, username: str, password: str) -> bool:
                return (username, password) == (r"DOMAIN\batch", "any")

        async with asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[host_key],
            server_factory=Server,
            process_factory=self.serve,
            server_version="OpenSSH_for_Windows_9.5",
            encoding=None,
        ) as listener:
            self.port = listener.get_port()
            place = f"[127.0.0.1]:{self.port} "
            public = host_key.export_public_key("openssh").decode()
            (self.folder / "known").write_text(place + public)
            yield self

    def world(self) -> SshWorld:
        return SshWorld(
            SshSettings(
                own_known_hosts=self.folder / "own",
                known_hosts=(self.folder / "known",),
                config_files=(),
            )
        )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[WindowsHost]:
    async with WindowsHost(tmp_path).listening() as listening:
        yield listening


async def test_commands_run_until_one_fails_and_their_exit_code_counts(host: WindowsHost) -> None:
    async with host.world() as world:
        work = {"command": "one two%%exit 4%%never", "question": "a 'b'"}
        world.start("w/1.1", host.login | work)
        end = await world.exited("w/1.1")
        assert host.commands == ["one two", "exit 4"]
        assert world.text("w/1.1") == "one two\r\n"
        assert end.returned is not None
        assert (end.exit_code, end.returned["exit_code"]) == (1, "4")
        assert host.variables["SCHEDULER_PARAM_QUESTION"] == "a 'b'"
        assert not [name for name in host.variables if "PASSWORD" in name.upper()]
        assert "runs Windows" in str(world.output.notes)
        assert world.reported(TaskLaunched, "w/1.1") is not None


async def test_codes_that_are_no_error_let_the_next_command_run(host: WindowsHost) -> None:
    async with host.world() as world:
        world.start("w/2.1", host.login | {"command": "exit 2%%last", "ignore_exit_code": "2"})
        assert (await world.exited("w/2.1")).exit_code == 0
        assert host.commands == ["exit 2", "last"]


async def test_an_order_to_end_closes_the_session(host: WindowsHost) -> None:
    async with host.world() as world:
        world.start("w/3.1", host.login | {"command": "wait"})
        await world.wait_for(lambda: host.commands)
        world.kill("w/3.1", KillMode.KILL)
        assert (await world.exited("w/3.1")).signal == 9
        await world.wait_for(lambda: host.broken)


async def test_a_lost_connection_and_a_restart_lose_the_run(host: WindowsHost) -> None:
    async with host.world() as world:
        world.start("w/4.1", host.login | {"command": "wait"})
        await world.wait_for(lambda: host.commands)
        host.connections[-1].abort()
        assert "nothing tells what has become" in (await world.lost("w/4.1")).text
        world.withdraw("w/4.1")
        world.start("w/4.2", host.login | {"command": "wait"})
        await world.wait_for(lambda: len(host.commands) == 2)
        await world.restart()
        assert "nothing tells what has become" in (await world.lost("w/4.2")).text
        assert len(host.commands) == 2, "it is not started again"


async def test_scripts_are_refused_in_words(host: WindowsHost) -> None:
    async with host.world() as world:
        world.start("w/5.1", host.login, script="echo hi")
        assert "scripts are not run there" in (await world.not_launched("w/5.1")).text
        assert not host.commands


async def test_the_browser_says_that_nothing_is_tracked(host: WindowsHost) -> None:
    target = target_of(host.login)
    assert isinstance(target, Target)
    async with host.world() as world:
        service = RemoteProcesses(
            world.hosts,
            known_runs=dict,
            audit=lambda _: asyncio.sleep(0),
            now=lambda: Instant(0),
        )
        service.set_hosts([WatchedHost(name="win", target=target)])
        await service.refresh("win")
        await until(lambda: service.views()["win"].state is HostState.UNREACHABLE)
        assert "not tracked" in service.views()["win"].problem
