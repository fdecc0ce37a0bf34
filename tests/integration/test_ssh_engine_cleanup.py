"""The published example at work: the SSH job, its watchdog order and the cleanup chain."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.ssh_engine import SEED_PARAMETERS, SshEngine, ssh_engine
from tests.support.sshd import missing

pytestmark = [
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
    pytest.mark.timeout(180),
]

PASSWORD = "Tv3-throwaway-Qm8"
CLEANUP = "/kill_jobs/remote_cleanup_test"
FAMILY = """
nohup sleep 5700 >/dev/null 2>&1 &
setsid sleep 5800 &
echo started
while [ ! -e "$HOME/go" ]; do sleep 0.1; done
echo "n=1" >> "$SCHEDULER_RETURN_VALUES"
exit 3
"""
"""A script with children that outlive a hangup and a session."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path, password=PASSWORD) as place:
        if not place.server.has_own_uid:
            pytest.skip("needs made-up accounts: root and libnss-wrapper")
        yield place


def begin(world: SshEngine, **more: str) -> int:
    """Start the example's order and return its task once the script runs."""
    script = world.folder / "script.sh"
    script.write_text(FAMILY)
    world.write_ssh_chain(
        {
            "host": "127.0.0.1",
            "port": str(world.server.port),
            "user": world.server.user,
            "password": PASSWORD,
            "auth_method": "password",
            "command_script_file": str(script),
        }
        | SEED_PARAMETERS
        | more
    )
    world.write_cleanup_chain()
    world.start_engine()
    world.add("a")
    task = world.task_of("a")
    world.awaited("its output", lambda: "started" in world.task_log(task))
    return task


def cleanup_order(world: SshEngine) -> Mapping[str, Any] | None:
    rows = world.get("/api/orders", chain=CLEANUP)["orders"]
    return rows[0] if rows else None


def visit_now(world: SshEngine) -> None:
    """Let the cleanup order come now instead of in some seconds."""
    row = cleanup_order(world)
    assert row is not None
    if row["status"] != "running":
        key = f'job_chain="{CLEANUP}" order="{row["id"]}"'
        world.call("command", f'<modify_order {key} at="now"/>', "--data", str(world.data))


def cleanup_run(world: SshEngine) -> Mapping[str, Any]:
    """Poke the cleanup order until its run is over."""

    def ended() -> Mapping[str, Any] | None:
        runs = world.runs(CLEANUP)
        if runs:
            return runs[0]
        if cleanup_order(world) is not None:
            visit_now(world)
        return None

    return world.awaited("the end of the cleanup order", ended, 60)


def test_the_watch_waits_for_a_healthy_script_and_holds_no_secret(world: SshEngine) -> None:
    task = begin(world)
    row = world.awaited("the cleanup order", lambda: cleanup_order(world))
    assert row["status"] == "planned"
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


def test_a_cut_connection_neither_ends_the_script_nor_loses_its_result(world: SshEngine) -> None:
    task = begin(world)
    assert world.server.cut() > 0
    (world.server.home() / "go").touch()
    run = world.run_of("a")
    assert run["state"] == "failed"
    assert "exit code 3" in run["steps"][0]["error_text"]
    assert world.task_log(task).count("started") == 1


def test_a_connection_that_falls_silent_loses_nothing_either(world: SshEngine) -> None:
    """The server's processes are stopped: no answer comes, and no end of the connection."""
    world.write_settings(keepalive_s=1, answer_timeout_s=3)
    begin(world)
    world.server.freeze(frozen=True)
    (world.server.home() / "go").touch()
    run = world.run_of("a", 60)
    assert run["state"] == "failed"
    assert "exit code 3" in run["steps"][0]["error_text"]


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
    assert [record["origin"] for record in records] == ["cleanup order"]
    assert records[0]["task"] == task
    assert records[0]["signal"] == "KILL"
    assert len(records[0]["members"]) >= 3
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
