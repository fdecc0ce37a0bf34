"""Steps on a real OpenSSH server: the happy path and its neighbours."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.drivers.ssh_following import Stream
from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey
from engine.kernel.reports import EndReason, LaunchFailure, TaskLaunched
from engine.kernel.sessions.identity import token_of
from tests.support.ssh_world import login, ssh_world
from tests.support.sshd import SshServer, is_alive, missing, needs_own_accounts, ssh_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server() as running:
        yield running


def run_directories(server: SshServer) -> list[str]:
    base = server.home() / ".jobscheduler" / "run"
    return sorted(each.name for each in base.iterdir()) if base.exists() else []


async def test_a_command_runs_and_its_output_exit_code_and_return_values_come_back(
    server: SshServer, tmp_path: Path
) -> None:
    command = 'echo "hello $SCHEDULER_PARAM_NAME"; echo answer=42 >>"$SCHEDULER_RETURN_VALUES"'
    async with ssh_world(tmp_path, server) as world:
        world.start("e/1.1", login(server) | {"command": command, "name": "it's $me"})
        launched = await world.launched("e/1.1")
        end = await world.exited("e/1.1")
        assert world.text("e/1.1") == "hello it's $me\n"
    assert launched.pid > 1
    assert (end.exit_code, end.reason) == (0, EndReason.EXITED)
    assert end.first_line == "hello it's $me"
    assert end.returned is not None
    assert end.returned["answer"] == "42"
    assert end.returned["exit_code"] == "0"


async def test_the_run_directory_is_removed_when_the_journal_has_the_end(
    server: SshServer, tmp_path: Path
) -> None:
    token = token_of(ExecutionKey("e/2.1"))
    async with ssh_world(tmp_path, server) as world:
        world.start("e/2.1", login(server) | {"command": "true"})
        await world.exited("e/2.1")
        assert token in run_directories(server)
        world.withdraw("e/2.1")
        await world.wait_for(lambda: token not in run_directories(server))


async def test_a_failing_command_fails_the_step_and_keeps_its_return_values(
    server: SshServer, tmp_path: Path
) -> None:
    command = 'echo why=disk >"$SCHEDULER_RETURN_VALUES"; echo trouble >&2; exit 5'
    async with ssh_world(tmp_path, server) as world:
        world.start("e/3.1", login(server) | {"command": command})
        strict = await world.exited("e/3.1")
        world.start(
            "e/3.2", login(server) | {"command": command, "raise_exception_on_error": "false"}
        )
        lenient = await world.exited("e/3.2")
    assert (strict.exit_code, lenient.exit_code) == (1, 5)
    assert strict.error_line == "trouble"
    assert strict.returned is not None
    assert (strict.returned["why"], strict.returned["exit_code"]) == ("disk", "5")
    assert strict.returned["std_err_output"] == "trouble\n"


async def test_commands_run_one_after_the_other_until_one_fails(
    server: SshServer, tmp_path: Path
) -> None:
    commands = {"command": "echo a; x=1%%echo b$x; exit 3%%echo c; exit 4%%echo d"}
    async with ssh_world(tmp_path, server) as world:
        world.start("e/4.1", login(server) | commands | {"ignore_exit_code": "3"})
        end = await world.exited("e/4.1")
        assert world.text("e/4.1") == "a\nb\nc\n"
    assert end.returned is not None
    assert end.returned["exit_code"] == "4"


async def test_a_script_of_any_interpreter_runs_with_its_arguments(
    server: SshServer, tmp_path: Path
) -> None:
    script = '#!/usr/bin/awk -f\r\nBEGIN { print ARGV[1] "-" ARGV[2] }\r\n'
    parameters = login(server) | {"command_script_param": "'one two' three"}
    async with ssh_world(tmp_path, server) as world:
        world.start("e/5.1", parameters, script=script)
        end = await world.exited("e/5.1")
        assert end.exit_code == 0
        assert world.text("e/5.1") == "one two-three\n"
        file = tmp_path / "script"
        file.write_text('echo "%who% ${who} ${else} $1 ${SCHEDULER_JOB_NAME}"\n')
        named = parameters | {"command_script_file": str(file), "who": "me"}
        world.start("e/5.2", named, special={"SCHEDULER_JOB_NAME": "nightly"})
        await world.exited("e/5.2")
        assert world.text("e/5.2") == "me me  one two nightly\n"


async def test_values_never_stand_on_a_command_line_and_no_secret_is_exported(
    server: SshServer, tmp_path: Path
) -> None:
    command = 'env; ps -A -o args; ls "${SCHEDULER_RETURN_VALUES%/*}"'
    values = {"command": command, "plain": "visible-value", "db_password": "hidden-value"}
    async with ssh_world(tmp_path, server) as world:
        world.start("e/6.1", login(server) | values)
        await world.exited("e/6.1")
        lines = world.text("e/6.1").splitlines()
    assert sorted(line for line in lines if "visible-value" in line) == [
        "SCHEDULER_PARAM_PLAIN=visible-value",
        "SCHEDULER_PARAM_plain=visible-value",
    ]
    assert not [line for line in lines if "hidden-value" in line]
    assert "env" not in lines, "the file with the variables is removed as soon as it is read"


async def test_terminate_reaches_the_whole_run_and_the_step_ends_as_killed(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("e/7.1", login(server) | {"command": "sleep 600 & sleep 601"})
        launched = await world.launched("e/7.1")
        world.kill("e/7.1", KillMode.TERMINATE)
        end = await world.exited("e/7.1")
    assert (end.reason, end.signal, end.exit_code) == (EndReason.KILLED, 15, 143)
    assert not is_alive(launched.pid)


async def test_kill_ends_also_what_ignores_a_polite_signal(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start(
            "e/8.1",
            login(server) | {"command": "trap '' TERM; echo on; while :; do sleep 0.1; done"},
        )
        await world.wait_for(lambda: world.text("e/8.1") == "on\n")
        world.kill("e/8.1", KillMode.KILL)
        end = await world.exited("e/8.1")
    assert (end.reason, end.signal, end.exit_code) == (EndReason.KILLED, 9, 137)


async def test_a_run_that_must_not_start_any_more_is_never_started(
    server: SshServer, tmp_path: Path
) -> None:
    mark = server.home() / "started"
    async with ssh_world(tmp_path, server) as world:
        world.start("e/9.1", login(server) | {"command": f"echo >{mark}"}, may_start=False)
        report = await world.not_launched("e/9.1")
        assert report.failure is LaunchFailure.REFUSED
        again = replace(world.runs[ExecutionKey("e/9.1")], may_start=True)
        await world.restart()
        world.start("e/9.1", dict(again.parameters))
        world.start("e/9.2", login(server) | {"command": "true"})
        await world.exited("e/9.2")
    assert not mark.exists()


async def test_a_key_that_was_started_before_is_found_and_not_started_again(
    server: SshServer, tmp_path: Path
) -> None:
    count = server.home() / "count"
    command = f"echo x >>{count}; sleep 0.5; echo done"
    async with ssh_world(tmp_path, server) as world:
        world.start("e/10.1", login(server) | {"command": command})
        await world.launched("e/10.1")
        await world.restart()
        end = await world.exited("e/10.1")
        assert world.text("e/10.1") == "done\n"
        assert sum(isinstance(each, TaskLaunched) for each in world.reports) == 1
    assert end.exit_code == 0
    assert count.read_text() == "x\n"


async def test_parameters_that_make_no_sense_are_all_named(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("e/11.1", {"host": "h", "port": "many", "auth_method": "magic"})
        report = await world.not_launched("e/11.1")
    for name in ("user", "port", "auth_method", "command"):
        assert f"parameter {name}:" in report.text


async def test_large_output_comes_whole(server: SshServer, tmp_path: Path) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start(
            "e/12.1",
            login(server) | {"command": "seq 1 200000; seq 1 1000 >&2", "ignore_stderr": "1"},
        )
        await world.exited("e/12.1")
        assert world.text("e/12.1") == "".join(f"{n}\n" for n in range(1, 200001))
        assert world.text("e/12.1", Stream.STDERR).endswith("\n1000\n")


async def test_a_run_on_a_terminal_is_attached_and_still_delivers_its_result(
    server: SshServer, tmp_path: Path
) -> None:
    command = "test -t 1 && echo terminal; echo a=b >$SCHEDULER_RETURN_VALUES; exit 3"
    async with ssh_world(tmp_path, server) as world:
        world.start("e/13.1", login(server) | {"command": command, "simulate_shell": "true"})
        end = await world.exited("e/13.1")
        assert world.text("e/13.1").split() == ["terminal"]
    assert end.returned is not None
    assert (end.returned["exit_code"], end.returned["a"]) == ("3", "b")


async def test_an_attached_run_passes_its_output_on_as_it_comes(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start(
            "e/14.1",
            login(server)
            | {
                "command": "echo first; sleep 0.3; echo oops >&2; exit 0",
                "ssh_job_detached": "false",
            },
        )
        await world.launched("e/14.1")
        end = await world.exited("e/14.1")
        assert (world.text("e/14.1"), world.text("e/14.1", Stream.STDERR)) == ("first\n", "oops\n")
    assert end.exit_code == 1, "text on stderr counts"


async def test_a_folder_of_ones_own_choice_holds_the_run_safely(
    server: SshServer, tmp_path: Path
) -> None:
    folder = server.folder / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    async with ssh_world(tmp_path, server) as world:
        world.start(
            "e/15.1",
            login(server) | {"command": "echo $SCHEDULER_RETURN_VALUES", "temp_dir": str(folder)},
        )
        end = await world.exited("e/15.1")
        assert end.first_line.startswith(f"{folder}/.jobscheduler-")
        own = next(folder.iterdir())
        own.chmod(0o777)
    async with ssh_world(tmp_path, server) as world:
        world.start("e/15.2", login(server) | {"command": "true", "temp_dir": str(folder)})
        report = await world.not_launched("e/15.2")
    assert "only its owner can write" in report.text


@pytest.mark.parametrize("shell", ["/usr/sbin/nologin", "/bin/false"])
async def test_an_account_without_a_shell_is_refused_with_its_own_words(
    tmp_path: Path, shell: str
) -> None:
    with ssh_server(shells={"locked": shell}) as server:
        needs_own_accounts(server)
        async with ssh_world(tmp_path, server) as world:
            world.start("e/16.1", login(server) | {"command": "true"})
            report = await world.not_launched("e/16.1")
        assert "no POSIX shell" in report.text
        assert "exit code 1" in report.text
        assert ("not available" in report.text) == shell.endswith("nologin")
