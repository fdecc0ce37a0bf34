"""Remote shells that serve one run after the other: cheaper, and never noticed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.drivers import ssh_hosts
from engine.drivers.ssh_hosts import HostLink
from engine.kernel.reports import TaskExited
from engine.kernel.sessions.parameters import Target, target_of
from tests.support.ssh_world import SshWorld, login, ssh_world
from tests.support.sshd import SshServer, missing, needs_own_accounts, ssh_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]
STEPS = 5


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server() as running:
        needs_own_accounts(running)
        yield running


def link_to(world: SshWorld, server: SshServer) -> HostLink:
    target = target_of(login(server))
    assert isinstance(target, Target)
    return world.hosts.link(target)


def shells(server: SshServer) -> list[int]:
    return [pid for pid, text in server.processes().items() if text == "/bin/sh -s"]


async def runs(world: SshWorld, server: SshServer, key: str, **more: str) -> TaskExited:
    world.start(key, login(server) | {"command": f"echo {key}"} | more)
    end = await world.exited(key)
    assert end.exit_code == 0, (end, world.output.notes)
    return end


async def test_steps_that_follow_each_other_share_one_remote_shell(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        await runs(world, server, "s/1.0")
        first = shells(server)
        for number in range(1, STEPS):
            key = f"s/1.{number}"
            await runs(world, server, key, odd=f"it's {number} $(id)")
            assert world.text(key) == f"{key}\n"
        assert shells(server) == first
        assert link_to(world, server).sessions == 1


async def test_a_shell_the_server_has_ended_is_replaced_without_a_word(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        for number in range(STEPS):
            await runs(world, server, f"s/2.{number}")
            for pid in shells(server):
                os.kill(pid, signal.SIGKILL)
        assert world.output.notes == []


async def test_free_shells_give_way_to_what_needs_their_room(
    server: SshServer, tmp_path: Path
) -> None:
    limits = {"steps_per_connection": 2, "reserved_sessions": 1, "connections_max": 1}
    async with ssh_world(tmp_path, server, **limits) as world:
        for key in ("s/3.1", "s/3.2"):
            world.start(key, login(server) | {"command": "sleep 0.3"})
        for key in ("s/3.1", "s/3.2"):
            assert (await world.exited(key)).exit_code == 0
        link = link_to(world, server)
        assert link.sessions == 2
        await runs(world, server, "s/3.3", ssh_job_detached="false")
        assert link.connections == 1


async def test_a_shell_nobody_needs_is_ended_soon(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh_hosts, "SHELL_IDLE_S", 0.0)
    async with ssh_world(tmp_path, server) as world:
        await runs(world, server, "s/4.1")
        link = link_to(world, server)
        assert link.sessions == 1
        link.close_idle()
        await world.wait_for(lambda: link.sessions == 0 and not shells(server))
        await runs(world, server, "s/4.2")


async def test_an_old_shell_is_not_used_again(
    server: SshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it has found out about its host, it has found out long ago."""
    monkeypatch.setattr(ssh_hosts, "SHELL_AGE_MAX_S", 0.0)
    async with ssh_world(tmp_path, server) as world:
        await runs(world, server, "s/5.1")
        await world.wait_for(lambda: link_to(world, server).sessions == 0)


async def test_a_run_that_goes_on_keeps_its_shell_for_itself(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("s/6.1", login(server) | {"command": "echo on; sleep 600"})
        await world.wait_for(lambda: world.text("s/6.1") == "on\n")
        await runs(world, server, "s/6.2")
        assert world.reported(TaskExited, "s/6.1") is None
        assert link_to(world, server).sessions == 2
        world.withdraw("s/6.1")
        await world.wait_for(lambda: not [p for p in server.processes().values() if "sleep" in p])
