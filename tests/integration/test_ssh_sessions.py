"""The acceptance tests of session management (ssh-and-jitl.md 2.13), on real servers."""

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.drivers.ssh_hosts import HostLink
from engine.drivers.ssh_wrapper import Control, ControlAnswer, control_program, parse_control
from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey
from engine.kernel.reports import EndReason, TaskExited, TaskLost
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.parameters import Target, target_of
from engine.kernel.sessions.verdicts import Alive, Bad, Gone, Leader, Unsure
from tests.support.ssh_world import SshWorld, login, settings_for, ssh_world
from tests.support.sshd import (
    SshServer,
    eventually,
    is_alive,
    missing,
    needs_own_accounts,
    ssh_server,
    start_of,
)

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]
LONG_NAME = "averylongaccount1"


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server(shells={LONG_NAME: "/bin/sh"}, options=("LogLevel VERBOSE",)) as running:
        yield running


@pytest.fixture
def own(server: SshServer) -> Iterator[SshServer]:
    needs_own_accounts(server)
    server.end_all_processes()
    yield server
    server.end_all_processes()


FAMILY = (
    "sleep 600 & nohup sleep 601 >/dev/null 2>&1 & setsid sleep 602 & "
    "sh -c 'setsid sh -c \"sleep 603 & sleep 604\" & sleep 605' & sleep 606"
)


def family(server: SshServer) -> dict[int, str]:
    return {pid: text for pid, text in server.processes().items() if text.startswith("sleep 6")}


async def control(link: HostLink, directory: Path, act: str = "check") -> ControlAnswer:
    answer = await link.ask(control_program(Control(directory=str(directory), act=act, rounds=3)))
    return parse_control(answer.output.decode())


def target(server: SshServer) -> Target:
    found = target_of(login(server))
    assert isinstance(found, Target)
    return found


async def two_looks(world: SshWorld, server: SshServer) -> None:
    """Wait until the engine has asked the host twice what is left of its runs."""
    log = server.folder / "log"

    def sessions() -> int:
        return log.read_text(errors="replace").count("Starting session")

    before = sessions()
    await world.wait_for(lambda: sessions() >= before + 2)


def strange_run(server: SshServer, key: str, **fields: object) -> Path:
    """Write a run directory as somebody might have left it."""
    base = server.home() / ".jobscheduler" / "run"
    directory = base / token_of(ExecutionKey(key))
    directory.mkdir(parents=True)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    values = {"v": 1, "pid": 0, "pgid": 0, "sid": 0, "start": "t1", "boot": boot, "uid": server.uid}
    (directory / "id").write_text(
        " ".join(f"{name}={value}" for name, value in (values | fields).items()) + " began=1 \n"
    )
    for path in (base.parent, base, directory, directory / "id"):
        os.chown(path, server.uid, server.uid)
    return directory


def stranger(server: SshServer, script: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a process of the same account that is none of ours."""
    return subprocess.Popen(
        ["/bin/sh", "-c", script],
        user=server.uid,
        group=server.uid,
        extra_groups=[],
        start_new_session=True,
        cwd="/",
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def test_1_a_dropped_connection_leaves_step_and_process_alone(
    own: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start("e/1.1", login(own) | {"command": "echo a; sleep 600"})
        launched = await world.launched("e/1.1")
        before = own.servers()
        assert own.cut() > 0
        await world.wait_for(lambda: set(own.servers()) - set(before))
        answer = await control(
            world.hosts.link(target(own)),
            Path(own.home(), ".jobscheduler/run", token_of(ExecutionKey("e/1.1"))),
        )
        assert isinstance(answer.verdict, Alive)
        assert is_alive(launched.pid)
        assert not [each for each in world.reports if isinstance(each, TaskExited | TaskLost)]


@pytest.mark.parametrize("how", ["killed", "withdrawn"])
async def test_2_ending_the_task_after_a_drop_ends_every_child_wherever_it_went(
    own: SshServer, tmp_path: Path, how: str
) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start(f"e/2.{how}", login(own) | {"command": FAMILY})
        await world.wait_for(lambda: len(family(own)) == 7)
        own.cut()
        if how == "killed":
            world.kill(f"e/2.{how}", KillMode.KILL)
            end = await world.exited(f"e/2.{how}")
            assert (end.reason, end.signal) == (EndReason.KILLED, 9)
        else:
            world.withdraw(f"e/2.{how}")
        await world.wait_for(lambda: not family(own))


async def test_3_kill_follows_terminate_after_the_time_set_and_not_earlier(
    own: SshServer, tmp_path: Path
) -> None:
    log = own.home() / "log3"
    command = f"trap 'date +%s.%N >>{log}' TERM; echo on; while :; do sleep 0.05; done"
    parameters = login(own) | {"command": command, "ssh_job_timeout_kill_after": "5"}
    async with ssh_world(tmp_path, own) as world:
        world.start("e/3.1", parameters)
        await world.wait_for(lambda: world.text("e/3.1") == "on\n")
        asked = time.time()
        world.kill("e/3.1", KillMode.TERMINATE)
        end = await world.exited("e/3.1")
    assert (end.reason, end.signal) == (EndReason.KILLED, 9), (
        end,
        world.output.notes,
        world.output.streams,
    )
    terminated = [float(line) for line in log.read_text().split()]
    assert len(terminated) == 1, "TERM is sent once"
    assert terminated[0] - asked < 1.5
    assert 4.9 < end.ended_at / 1000 - terminated[0] < 8
    notes = [text for _, text in world.output.notes]
    assert [text.split()[1] for text in notes if text.startswith("signal")] == ["TERM", "KILL"]


async def test_4_a_script_that_ends_while_nobody_is_connected_closes_with_its_result(
    tmp_path: Path,
) -> None:
    with ssh_server() as server:
        done = server.home() / "done"
        command = (
            "echo early; sleep 0.4; echo late; echo a=1 >$SCHEDULER_RETURN_VALUES; "
            f"echo >{done}; exit 7"
        )
        async with ssh_world(tmp_path, server) as world:
            world.start("e/4.1", login(server) | {"command": command})
            await world.wait_for(lambda: world.text("e/4.1") == "early\n")
            server.stop_listening_and_cut()
            await world.wait_for(done.exists)
            await asyncio.to_thread(server.start)
            end = await world.exited("e/4.1")
            assert world.text("e/4.1") == "early\nlate\n"
    assert end.returned is not None
    assert (end.returned["exit_code"], end.returned["a"]) == ("7", "1")
    assert end.reason is EndReason.EXITED


async def test_5_a_record_with_a_foreign_pid_signals_nobody(own: SshServer, tmp_path: Path) -> None:
    with stranger(own, "sleep 620 & wait") as foreign:
        eventually(lambda: len(own.processes()) == 2)
        strangers = set(own.processes())
        directory = strange_run(
            own, "e/5.1", pid=foreign.pid, pgid=foreign.pid, sid=foreign.pid, start="t12345"
        )
        async with ssh_world(tmp_path, own) as world:
            answer = await control(world.hosts.link(target(own)), directory, "KILL")
        assert answer.verdict == Gone(result=None)
        assert not answer.signalled
        assert foreign.poll() is None
        assert strangers <= set(own.processes())
        own.end_all_processes()


async def test_6_after_a_reboot_nothing_is_ours_any_more(own: SshServer, tmp_path: Path) -> None:
    with stranger(own, "exec sleep 620") as foreign:
        directory = strange_run(
            own,
            "e/6.1",
            pid=foreign.pid,
            pgid=foreign.pid,
            sid=foreign.pid,
            start=start_of(foreign.pid),
            boot="11111111-2222-3333-4444-555555555555",
        )
        async with ssh_world(tmp_path, own) as world:
            answer = await control(world.hosts.link(target(own)), directory, "KILL")
        assert answer.verdict == Gone(result=None, rebooted=True)
        assert foreign.poll() is None
        foreign.kill()


async def test_7_a_record_that_is_no_record_signals_nobody(own: SshServer, tmp_path: Path) -> None:
    with stranger(own, "exec sleep 620") as foreign:
        async with ssh_world(tmp_path, own) as world:
            link = world.hosts.link(target(own))
            for number, pid in enumerate(("-1", "0", "1", "5;id", "", "99999999999999999999")):
                directory = strange_run(own, f"e/7.{number}", pid=pid, pgid=pid, sid=pid)
                answer = await control(link, directory, "KILL")
                assert isinstance(answer.verdict, Bad), pid
                assert not answer.signalled
        assert foreign.poll() is None
        foreign.kill()


async def test_8_long_account_names_and_look_alikes_do_not_confuse_the_verdict(
    own: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start("e/8.1", login(own) | {"command": "sh -c 'sleep 630; :' grep_x"})
        world.start("e/8.2", login(own) | {"command": "sleep 0.01"})
        launched = await world.launched("e/8.1")
        end = await world.exited("e/8.2")
        assert end.exit_code == 0
        link = world.hosts.link(target(own))
        base = own.home() / ".jobscheduler" / "run"
        alive = await control(link, base / token_of(ExecutionKey("e/8.1")))
        gone = await control(link, base / token_of(ExecutionKey("e/8.2")))
        assert isinstance(alive.verdict, Alive)
        assert launched.pid in {member.pid for member in alive.verdict.members}
        assert gone.verdict == Gone(result=0)
        world.withdraw("e/8.1")
        await world.wait_for(lambda: not own.processes())


async def test_9_a_host_out_of_reach_for_the_whole_limit_changes_nothing_there(
    tmp_path: Path,
) -> None:
    with ssh_server() as server:
        async with ssh_world(tmp_path, server) as world:
            parameters = {"command": "sleep 600", "ssh_session_unreachable_limit": "1"}
            world.start("e/9.1", login(server) | parameters)
            launched = await world.launched("e/9.1")
            server.stop_listening_and_cut()
            report = await world.lost("e/9.1")
        assert "unreachable" in report.text
        assert "left as they are" in report.text
        assert is_alive(launched.pid)
        await asyncio.to_thread(server.start)
        if not server.has_own_uid:
            os.killpg(launched.pid, 9)


async def test_10_ending_one_run_never_touches_the_next_one_of_the_same_job(
    own: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start("e/10.1", login(own) | {"command": "sleep 600"})
        world.start("e/10.2", login(own) | {"command": "sleep 601"})
        await world.wait_for(lambda: len(family(own)) == 2)
        world.withdraw("e/10.1")
        await world.wait_for(lambda: list(family(own).values()) == ["sleep 601"])
        assert world.reported(TaskExited, "e/10.2") is None
        world.withdraw("e/10.2")
        await world.wait_for(lambda: not family(own))


async def test_11_twelve_parallel_steps_share_a_host_with_ten_sessions_a_connection(
    own: SshServer, tmp_path: Path
) -> None:
    go = own.home() / "go"
    command = f"echo up; while [ ! -f {go} ]; do sleep 0.05; done; echo down"
    async with ssh_world(tmp_path, own) as world:
        keys = [f"e/11.{number}" for number in range(12)]
        for key in keys:
            world.start(key, login(own) | {"command": command})
        await world.wait_for(lambda: all(world.text(key) == "up\n" for key in keys))
        link = world.hosts.link(target(own))
        assert (link.sessions, link.connections) == (12, 2)
        go.write_text("")
        for key in keys:
            assert (await world.exited(key)).exit_code == 0


async def test_12_bytes_that_are_no_text_disturb_nobody(own: SshServer, tmp_path: Path) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start("e/12.1", login(own) | {"command": "echo quiet; sleep 0.5; echo still here"})
        world.start("e/12.2", login(own) | {"command": "printf 'a\\377\\000b\\n'"})
        loud = await world.exited("e/12.2")
        quiet = await world.exited("e/12.1")
        assert world.output.streams[world.task("e/12.2"), world.stdout] == b"a\xff\x00b\n"
    assert (loud.exit_code, quiet.exit_code) == (0, 0)
    assert loud.first_line == "a\ufffd\0b"


SHELLS = {"sh": "/bin/sh", "bash": "/bin/bash", "csh": "/bin/csh", "fish": "/usr/bin/fish"}


@pytest.fixture(scope="module")
def many_shells() -> Iterator[SshServer]:
    with ssh_server(shells={f"user{name}": path for name, path in SHELLS.items()}) as running:
        needs_own_accounts(running)
        for account in running.accounts.values():  # shells that talk when they start
            (account.home / ".cshrc").write_text("echo welcome to csh\n")
            (account.home / ".bashrc").write_text("echo welcome to bash\n")
        yield running


@pytest.mark.parametrize("login_shell", SHELLS)
@pytest.mark.parametrize("shell", ["/bin/dash", "/bin/bash", "/bin/busybox sh"])
async def test_13_any_login_shell_and_any_posix_sh_will_do(
    many_shells: SshServer, tmp_path: Path, login_shell: str, shell: str
) -> None:
    why = missing(login_shell) or missing(shell.split("/")[2].split(maxsplit=1)[0])
    if why is not None:
        pytest.skip(why)
    server = many_shells
    command = "printf '%s\\n' \"$SCHEDULER_PARAM_ODD\"; echo v=1 >$SCHEDULER_RETURN_VALUES; exit 4"
    async with ssh_world(tmp_path, server, shell=shell) as world:
        parameters = login(server, f"user{login_shell}")
        world.start("e/13.1", parameters | {"command": command, "odd": "a'b\"c $(id) `id` !x \\n"})
        end = await world.exited("e/13.1")
        assert world.text("e/13.1") == "a'b\"c $(id) `id` !x \\n\n"
        assert end.returned is not None
        assert (end.returned["exit_code"], end.returned["v"]) == ("4", "1")
        world.start("e/13.2", parameters | {"command": FAMILY})
        await world.wait_for(lambda: len(family(server)) == 7)
        world.kill("e/13.2", KillMode.KILL)
        killed = await world.exited("e/13.2")
        assert killed.signal == 9
        await world.wait_for(lambda: not family(server))
        for key in ("e/13.1", "e/13.2"):
            world.withdraw(key)
        base = server.home(f"user{login_shell}") / ".jobscheduler" / "run"
        await world.wait_for(lambda: not list(base.iterdir()))


async def test_14_a_leaderless_group_of_strangers_is_never_signalled(
    own: SshServer, tmp_path: Path
) -> None:
    with stranger(own, "sleep 640 & sleep 641 & exit 0") as leader:
        leader.wait(10)
        eventually(lambda: len(own.processes()) == 2)
        strangers = set(own.processes())
        ids = {"pid": leader.pid, "pgid": leader.pid, "sid": leader.pid, "start": "t5"}
        directory = strange_run(own, "e/14.1", **ids)
        async with ssh_world(tmp_path, own) as world:
            link = world.hosts.link(target(own))
            answer = await control(link, directory, "KILL")
            assert isinstance(answer.verdict, Unsure)
            assert set(answer.verdict.pids) == strangers
            assert not answer.signalled
            with stranger(own, "exec sleep 642", JS_TOKEN=directory.name) as ours:
                eventually(lambda: len(own.processes()) == 3)
                answer = await control(link, directory, "KILL")
                assert isinstance(answer.verdict, Alive)
                assert answer.verdict.leader is Leader.GONE
                assert [member.pid for member in answer.verdict.members] == [ours.pid]
                ours.wait(10)
        assert strangers <= set(own.processes())


async def test_a_silent_network_is_noticed_and_the_run_goes_on(
    own: SshServer, tmp_path: Path
) -> None:
    """No end of the connection arrives here: only the keepalive tells."""
    settings = settings_for(tmp_path, own, keepalive_interval_s=0.2, keepalive_count=2)
    async with SshWorld(settings) as world:
        world.start("e/15.1", login(own) | {"command": "echo a; sleep 2; echo b"})
        await world.wait_for(lambda: world.text("e/15.1") == "a\n")
        own.freeze(frozen=True)
        try:
            end = await world.exited("e/15.1")
            assert world.text("e/15.1") == "a\nb\n"
        finally:
            own.freeze(frozen=False)
    assert end.exit_code == 0


async def test_a_restart_of_the_engine_loses_neither_output_nor_result(
    own: SshServer, tmp_path: Path
) -> None:
    command = (
        "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done; echo r=8 >$SCHEDULER_RETURN_VALUES"
    )
    async with ssh_world(tmp_path, own) as world:
        world.start("e/16.1", login(own) | {"command": command})
        await world.wait_for(lambda: "2" in world.text("e/16.1"))
        await world.stop()
        out = own.home() / ".jobscheduler" / "run" / token_of(ExecutionKey("e/16.1")) / "out"
        await world.wait_for(lambda: "8" in out.read_text())
        await world.restart()
        end = await world.exited("e/16.1")
        assert world.text("e/16.1") == "".join(f"{n}\n" for n in range(1, 9))
    assert end.returned is not None
    assert end.returned["r"] == "8"
    assert end.first_line == "1"
    assert end.returned["std_out_output"] == "".join(f"{n}\n" for n in range(1, 9))


async def test_a_run_whose_own_process_was_killed_by_somebody_is_reported_as_vanished(
    own: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start("e/17.1", login(own) | {"command": "sleep 600"})
        launched = await world.launched("e/17.1")
        os.kill(launched.pid, 9)
        await two_looks(world, own)
        assert not [each for each in world.reports if isinstance(each, TaskExited | TaskLost)]
        own.end_all_processes()
        report = await world.lost("e/17.1")
    assert "vanished" in report.text


async def test_commands_of_the_jobs_own_work_only_where_the_settings_allow_them(
    own: SshServer, tmp_path: Path
) -> None:
    log = own.home() / "log18"
    parameters = login(own) | {
        "command": "sleep 600 & sleep 601",
        "ssh_job_kill_pid_command": f"echo \\${{pid}} >>{log}; kill -9 \\${{pid}}",
    }
    async with ssh_world(tmp_path, own) as world:
        world.start("e/18.1", parameters)
        await world.wait_for(lambda: len(family(own)) == 2)
        world.kill("e/18.1", KillMode.KILL)
        await world.exited("e/18.1")
        assert not log.exists()
    async with ssh_world(tmp_path, own, allow_custom_commands=True) as world:
        world.start("e/18.2", parameters)
        await world.wait_for(lambda: len(family(own)) == 2)
        victims = set(own.processes())
        world.kill("e/18.2", KillMode.KILL)
        await world.exited("e/18.2")
        hit = [int(line) for line in log.read_text().split()]
        assert set(hit) <= victims, "each was verified before"
        assert set(family(own)) == set()


async def test_a_command_of_the_jobs_own_may_keep_a_run_alive_but_never_end_it(
    own: SshServer, tmp_path: Path
) -> None:
    veto = own.home() / "veto"
    veto.write_text("")
    parameters = login(own) | {
        "command": "sleep 600",
        "ssh_job_get_active_processes_command": f"test -f {veto}",
    }
    async with ssh_world(tmp_path, own, allow_custom_commands=True) as world:
        world.start("e/19.1", parameters)
        await world.wait_for(lambda: len(family(own)) == 1)
        own.end_all_processes()
        await two_looks(world, own)
        assert not [each for each in world.reports if isinstance(each, TaskExited | TaskLost)]
        veto.unlink()
        assert "vanished" in (await world.lost("e/19.1")).text


async def test_an_additional_pid_of_the_jobs_own_is_ended_too(
    own: SshServer, tmp_path: Path
) -> None:
    with stranger(own, "exec sleep 660") as foreign:
        parameters = login(own) | {
            "command": "sleep 600",
            "ssh_job_get_pid_command": f"echo {foreign.pid}",
        }
        async with ssh_world(tmp_path, own, allow_custom_commands=True) as world:
            world.start("e/20.1", parameters)
            await world.wait_for(lambda: len(family(own)) == 2)
            world.kill("e/20.1", KillMode.KILL)
            await world.exited("e/20.1")
            assert foreign.wait(10) == -9


async def test_a_run_that_was_killed_before_a_restart_is_reported_as_killed_after_it(
    own: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, own) as world:
        world.start("e/21.1", login(own) | {"command": "sleep 600"})
        await world.launched("e/21.1")
        await world.stop()
        own.end_all_processes()
        world.kill("e/21.1", KillMode.KILL)
        await world.restart()
        end = await world.exited("e/21.1")
    assert (end.reason, end.signal) == (EndReason.KILLED, 9)
