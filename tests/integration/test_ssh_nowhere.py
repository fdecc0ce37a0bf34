"""Hosts where no folder can be written: runs are attached, and still never started twice."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.kernel.effects import KillMode
from engine.kernel.reports import TaskExited, TaskLaunched, TaskLost
from tests.support.ssh_world import login, ssh_world
from tests.support.sshd import SshServer, missing, needs_own_accounts, ssh_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]
SHELLS = [
    pytest.param(
        shell, marks=pytest.mark.skipif(missing(program) is not None, reason=f"no {program}")
    )
    for shell, program in (
        ("/bin/dash", "dash"),
        ("/bin/bash", "bash"),
        ("/bin/busybox sh", "busybox"),
    )
]


@pytest.fixture(scope="module")
def module_server() -> Iterator[SshServer]:
    with ssh_server() as running:
        needs_own_accounts(running)
        os.chown(running.home(), 0, 0)  # the account can write nothing here
        running.home().chmod(0o755)
        yield running


@pytest.fixture
def server(module_server: SshServer) -> Iterator[SshServer]:
    module_server.end_all_processes()
    yield module_server
    module_server.end_all_processes()


def sleepers(server: SshServer) -> list[str]:
    return sorted(text for text in server.processes().values() if text.startswith("sleep 6"))


@pytest.mark.parametrize("shell", SHELLS)
async def test_commands_run_with_their_variables_and_their_exit_code_counts(
    server: SshServer, tmp_path: Path, shell: str
) -> None:
    command = (
        'printf "%s\\n" "$SCHEDULER_PARAM_ODD"; echo "$HOME"; read x; echo "<$x>"%%exit 4%%echo no'
    )
    async with ssh_world(tmp_path, server, shell=shell) as world:
        odd = "a'b\"c $(id) `id` \\n"
        world.start("n/1.1", login(server) | {"command": command, "odd": odd})
        end = await world.exited("n/1.1")
        assert world.text("n/1.1") == f"{odd}\n{server.home()}\n<>\n"
        assert end.returned is not None
        assert (end.exit_code, end.returned["exit_code"]) == (1, "4")
        assert [text for _, text in world.output.notes if "no folder can be written" in text]
        assert world.reported(TaskLaunched, "n/1.1") is not None


async def test_a_script_runs_with_its_interpreter_and_its_arguments(
    server: SshServer, tmp_path: Path
) -> None:
    script = "#!/usr/bin/env python3\nimport sys\nprint(sys.argv[1:], file=sys.stderr)\n"
    async with ssh_world(tmp_path, server) as world:
        parameters = {"command_script": script, "command_script_param": "one 'two three'"}
        world.start("n/2.1", login(server) | parameters | {"ignore_stderr": "true"})
        end = await world.exited("n/2.1")
        assert end.exit_code == 0
        assert world.text("n/2.1", world.stderr) == "['one', 'two three']\n"


async def test_nothing_is_written_and_no_value_stands_on_a_command_line(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        values = {"command": "ps -A -o args", "plain": "visible-value"}
        world.start("n/3.1", login(server) | values)
        await world.exited("n/3.1")
        assert "visible-value" not in world.text("n/3.1")
    assert not list(server.home().iterdir())


async def test_a_kill_reaches_every_child_wherever_it_went(
    server: SshServer, tmp_path: Path
) -> None:
    command = "sleep 600 & setsid sleep 601 & nohup sleep 602 >/dev/null 2>&1 & sleep 603"
    async with ssh_world(tmp_path, server) as world:
        world.start("n/4.1", login(server) | {"command": command})
        await world.wait_for(lambda: len(sleepers(server)) == 4)
        world.kill("n/4.1", KillMode.KILL)
        end = await world.exited("n/4.1")
        assert end.signal == 9
        await world.wait_for(lambda: not sleepers(server))


async def test_what_outlives_a_lost_connection_is_watched_until_it_has_gone(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("n/5.1", login(server) | {"command": "sleep 600"})
        await world.launched("n/5.1")
        await world.wait_for(lambda: sleepers(server))
        before = server.servers()
        assert server.cut() > 0
        await world.wait_for(lambda: set(server.servers()) - set(before))
        assert not [each for each in world.reports if isinstance(each, TaskExited | TaskLost)]
        assert sleepers(server) == ["sleep 600"], "it was not started again"
        server.end_all_processes()
        assert "vanished" in (await world.lost("n/5.1")).text


async def test_after_a_restart_it_is_found_by_its_token_and_can_be_ended(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("n/6.1", login(server) | {"command": "sleep 600; sleep 601"})
        await world.launched("n/6.1")
        await world.wait_for(lambda: sleepers(server))
        await world.stop()
        await world.restart()
        await world.wait_for(server.servers)
        assert sleepers(server) == ["sleep 600"]
        world.kill("n/6.1", KillMode.KILL)
        await world.wait_for(lambda: not sleepers(server))


async def test_a_job_does_not_begin_before_the_journal_knows_it(
    server: SshServer, tmp_path: Path
) -> None:
    seen: list[list[str]] = []
    async with ssh_world(tmp_path, server) as world:
        report = world.driver._world.report

        async def slow(one: object) -> None:
            if isinstance(one, TaskLaunched):
                seen.append(sleepers(server))
            await report(one)  # type: ignore[arg-type]  # passed on

        object.__setattr__(world.driver._world, "report", slow)
        world.start("n/7.1", login(server) | {"command": "sleep 600"})
        await world.launched("n/7.1")
        assert seen == [[]]
        await world.wait_for(lambda: sleepers(server))
        world.withdraw("n/7.1")
        await world.wait_for(lambda: not sleepers(server))


@pytest.mark.skipif(missing("dropbear") is not None, reason=str(missing("dropbear")))
async def test_a_server_that_gives_no_group_of_its_own_is_not_hit_itself(tmp_path: Path) -> None:
    with ssh_server(kind="dropbear") as server:
        needs_own_accounts(server)
        home = server.home()
        os.chown(home, 0, 0)
        async with ssh_world(tmp_path, server) as world:
            for key in ("n/8.1", "n/8.2"):
                world.start(key, login(server) | {"command": "sleep 600 & setsid sleep 601"})
            await world.wait_for(lambda: len(sleepers(server)) == 4)
            world.kill("n/8.1", KillMode.KILL)
            assert (await world.exited("n/8.1")).signal == 9
            assert len(sleepers(server)) == 2, "the other run on this server goes on"
            world.kill("n/8.2", KillMode.KILL)
            assert (await world.exited("n/8.2")).signal == 9
            await world.wait_for(lambda: not sleepers(server))


async def test_after_a_restart_a_run_that_has_ended_is_known_to_have(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("n/9.1", login(server) | {"command": "sleep 600"})
        launched = await world.launched("n/9.1")
        assert launched.record
        await world.wait_for(lambda: sleepers(server))
        await world.stop()
        server.end_all_processes()
        await world.restart()
        assert "vanished" in (await world.lost("n/9.1")).text


async def test_a_folder_that_appears_later_changes_nothing_about_a_run_without_one(
    server: SshServer, tmp_path: Path
) -> None:
    folder = server.home() / ".jobscheduler"
    async with ssh_world(tmp_path, server) as world:
        world.start("n/10.1", login(server) | {"command": "sleep 600; sleep 601"})
        await world.launched("n/10.1")
        await world.wait_for(lambda: sleepers(server))
        await world.stop()
        folder.mkdir()
        os.chown(folder, server.uid, server.uid)
        try:
            await world.restart()
            await world.wait_for((folder / "run").exists)
            assert sleepers(server) == ["sleep 600"]
            assert not [each for each in world.reports if isinstance(each, TaskLost)]
            server.end_all_processes()
            assert "vanished" in (await world.lost("n/10.1")).text
        finally:
            shutil.rmtree(folder)


async def test_without_what_was_kept_nothing_is_concluded_from_a_folder_that_is_away(
    server: SshServer, tmp_path: Path
) -> None:
    """It may be a network folder that is not there just now, with the run's result in it."""
    async with ssh_world(tmp_path, server) as world:
        world.start("n/11.1", login(server) | {"command": "sleep 600"})
        await world.launched("n/11.1")
        await world.stop()
        server.end_all_processes()
        world.reports[:] = [
            replace(each, record="") if isinstance(each, TaskLaunched) else each
            for each in world.reports
        ]
        await world.restart()
        await world.wait_for(
            lambda: "the folder of the run is not there" in str(world.output.notes)
        )
        assert not [each for each in world.reports if isinstance(each, TaskLost)]
