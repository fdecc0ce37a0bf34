"""The published example at work: the SSH job, its watchdog order and the cleanup chain."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ssh_engine import SEED_PARAMETERS, SshEngine, ssh_engine
from tests.support.ssh_example import (
    CLEANUP,
    PASSWORD,
    begin,
    cleanup_order,
    cleanup_run,
    visit_now,
)
from tests.support.sshd import missing

pytestmark = [
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
    pytest.mark.timeout(180),
]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path, password=PASSWORD) as place:
        yield place


def test_the_watch_waits_for_a_healthy_script_and_holds_no_secret(world: SshEngine) -> None:
    task = begin(world)
    row = world.awaited("the cleanup order", lambda: cleanup_order(world))
    detail = world.get("/api/orders", chain=CLEANUP, order=row["id"])
    params = detail["params"]
    assert params["SSH_JOB_TASK_ID"] == str(task)
    assert params["SSH_JOB_NAME"] == "/remote"
    assert params["job_ssh_pid_file_name"].startswith("js-")
    assert "password" not in params
    for _ in range(5):  # one more than the setbacks of the example allow
        steps = len(world.get("/api/history/tasks", job="/kill_jobs/CheckAndKill")["tasks"])
        visit_now(world)
        world.awaited(
            "a visit",
            lambda steps=steps: (  # type: ignore[misc]  # bound now
                len(world.get("/api/history/tasks", job="/kill_jobs/CheckAndKill")["tasks"]) > steps
            ),
        )
    row = world.awaited("the cleanup order", lambda: cleanup_order(world))
    assert row["state"] == "CheckTaskAndRemoteProcessesAndKillIfNeeded"
    assert row["setback_count"] == 0
    assert len(world.server.processes()) >= 3
    (world.server.home() / "go").touch()
    run = world.run_of("a")
    assert run["state"] == "failed"
    assert "exit code 3" in run["steps"][0]["error_text"]
    assert cleanup_run(world)["state"] == "SUCCESS"


@contextlib.contextmanager
def cut(world: SshEngine, how: str) -> Iterator[None]:
    """Cut the connection in one of three ways; what can be mended is mended afterwards."""
    match how:
        case "killed":
            assert world.server.cut() > 0
            yield
        case "stopped":  # no answer comes, and no end of the connection either
            world.server.freeze(frozen=True)
            try:
                yield
            finally:
                world.server.freeze(frozen=False)
        case _:
            with firewall(world.server.port):
                yield


@contextlib.contextmanager
def firewall(port: int) -> Iterator[None]:
    """Drop every packet to and from a port of the loopback device.

    The rules are taken away by a process of its own, when our end of its pipe is closed: that
    happens even if this one is killed.
    """
    rules = [f"INPUT -i lo -p tcp {end} {port} -j DROP" for end in ("--dport", "--sport")]
    guard = subprocess.Popen(
        ["sh", "-c", "cat; " + "; ".join(f"iptables -w 5 -D {rule} 2>&1" for rule in rules)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        for rule in rules:
            command = ["iptables", "-w", "5", "-I", *rule.split()]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
            if done.returncode != 0:
                pytest.skip(f"no firewall rules may be set here: {done.stderr.strip()}")
        yield
    finally:
        guard.communicate(timeout=30)


@pytest.mark.parametrize(
    "how",
    [
        "killed",
        "stopped",
        pytest.param(
            "firewall",
            marks=pytest.mark.skipif(
                missing("iptables") is not None, reason=str(missing("iptables"))
            ),
        ),
    ],
)
def test_a_cut_connection_loses_nothing_and_the_cleanup_chain_ends_what_is_left(
    world: SshEngine, how: str
) -> None:
    world.write_settings(keepalive_s=1, answer_timeout_s=3)
    task = begin(world)
    before = set(world.server.servers())
    with cut(world, how):
        (world.server.home() / "go").touch()
        world.awaited(
            "the script's end, which the engine cannot see",
            lambda: not any("script" in text for text in world.server.processes().values()),
        )
        if how == "stopped":  # another connection finds it
            world.run_of("a", 60)
        if how == "firewall":  # nothing does, and keepalives tell so
            world.awaited("the loss", lambda: "is looked for again" in world.task_log(task))
    run = world.run_of("a", 60)
    assert run["state"] == "failed"
    assert "exit code 3" in run["steps"][0]["error_text"]
    told = run["steps"][1]["task"]
    world.awaited("the return value", lambda: "n=1 code=3" in world.task_log(told))
    assert world.task_log(task).count("started") == 1
    left = world.server.processes().values()
    assert any("sleep 5700" in text for text in left), "nohup"
    assert any("sleep 5800" in text for text in left), "setsid"
    assert cleanup_run(world)["state"] == "SUCCESS"
    world.awaited("the children's end", lambda: not world.server.processes())
    records = world.get("/api/process-audit")["records"]  # a busy host may need a second visit
    struck = {(record["origin"], record["signal"], record["task"]) for record in records}
    assert struck == {("cleanup order", "KILL", task)}
    assert set(world.server.servers()) != before


def test_what_a_lost_step_leaves_on_its_host_is_ended_by_the_cleanup_chain(
    world: SshEngine,
) -> None:
    task = begin(world, ssh_session_unreachable_limit="2")
    world.server.stop_listening_and_cut()
    run = world.run_of("a")
    assert run["state"] == "failed"
    assert "unreachable" in run["steps"][0]["error_text"]
    living = world.server.processes()
    assert any("sleep 5700" in text for text in living.values())
    assert any("sleep 5800" in text for text in living.values())
    world.server.start()
    assert cleanup_run(world)["state"] == "SUCCESS"
    world.awaited("the orphan's end", lambda: not world.server.processes())
    records = world.get("/api/process-audit")["records"]
    struck = {(record["origin"], record["signal"], record["task"]) for record in records}
    assert struck == {("cleanup order", "KILL", task)}
    assert max(len(record["members"]) for record in records) >= 3
    assert world.order("/work", "a") is None


def test_a_killed_task_takes_everything_on_the_host_with_it(world: SshEngine) -> None:
    task = begin(world)
    world.ask("command", f'<kill_task job="/remote" id="{task}" immediately="yes"/>')
    run = world.run_of("a")
    assert run["state"] == "failed"
    world.awaited("the end of all processes", lambda: not world.server.processes())
    assert cleanup_run(world)["state"] == "SUCCESS"


def test_a_host_that_stays_away_leads_the_cleanup_order_to_its_error_state(
    world: SshEngine,
) -> None:
    begin(world, ssh_session_unreachable_limit="2")
    world.server.stop_listening_and_cut()
    world.run_of("a")
    run = cleanup_run(world)
    assert run["state"] == "ERROR"
    assert "unreachable" in run["state_text"]
    assert any("sleep 5700" in text for text in world.server.processes().values())


def test_an_unknown_cleanup_chain_fails_the_step_before_anything_runs(world: SshEngine) -> None:
    world.write_ssh_chain(world.login() | {"command": "touch ran"} | SEED_PARAMETERS)
    world.start_engine()
    world.add("a")
    run = world.run_of("a")
    assert run["state"] == "failed"
    assert "kill_jobs/remote_cleanup_test" in world.task_log(1)
    assert not (world.server.home() / "ran").exists()
