"""The ways of 1.x where a job asks for them: `ssh_session_mode=legacy`, commands of its own."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.ssh_engine import SshEngine, ssh_engine
from tests.support.ssh_example import (
    CLEANUP,
    PASSWORD,
    begin,
    cleanup_run,
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


def sleeping(world: SshEngine) -> list[str]:
    return [text for text in world.server.processes().values() if "sleep 5" in text]


def error_run(world: SshEngine) -> Mapping[str, Any]:
    """Wait for the cleanup order; visits by hand would count its setbacks anew."""
    runs = world.awaited("the end of the cleanup order", lambda: world.runs(CLEANUP), 60)
    assert runs[0]["state"] == "ERROR", "the example allows three setbacks"
    return runs[0]


def test_in_the_old_mode_each_visit_of_a_healthy_script_uses_up_a_setback(
    world: SshEngine,
) -> None:
    begin(world, 1, ssh_session_mode="legacy")
    error_run(world)
    visits = world.get("/api/history/tasks", job="/kill_jobs/CheckAndKill")["tasks"]
    assert len(visits) == 4
    assert len(sleeping(world)) >= 2, "the script itself is left alone"
    (world.server.home() / "go").touch()
    assert "exit code 3" in world.run_of("a")["steps"][0]["error_text"]


def test_in_the_old_mode_a_script_that_ended_unseen_ends_its_task(world: SshEngine) -> None:
    task = begin(world, ssh_session_mode="legacy")
    world.server.stop_listening_and_cut()
    (world.server.home() / "go").touch()
    world.awaited("the loss", lambda: "is looked for again" in world.task_log(task))
    world.awaited(
        "the script's end",
        lambda: not any("script" in text for text in world.server.processes().values()),
    )
    world.server.start()
    run = world.run_of("a", 60)
    assert run["state"] == "failed"
    assert "the task is ended" in run["steps"][0]["error_text"]
    assert "exit code 3" not in run["steps"][0]["error_text"]


def test_in_the_old_mode_a_connection_that_lasts_delivers_the_exit_code(world: SshEngine) -> None:
    begin(world, ssh_session_mode="legacy", ssh_job_detached="false")
    (world.server.home() / "go").touch()
    assert "exit code 3" in world.run_of("a")["steps"][0]["error_text"]


def test_in_the_old_mode_a_host_out_of_reach_uses_up_setbacks_too(world: SshEngine) -> None:
    begin(world, 1, ssh_session_mode="legacy", ssh_session_unreachable_limit="600")
    world.server.stop_listening_and_cut()
    error_run(world)
    assert world.order("/work", "a") is not None, "the step itself is still looked for"
    assert len(sleeping(world)) >= 2


@pytest.mark.parametrize("allowed", [True, False])
def test_the_cleanup_chain_uses_commands_of_the_jobs_own_where_the_settings_allow_them(
    world: SshEngine, *, allowed: bool
) -> None:
    world.write_settings(allow_custom_commands=allowed)
    log = world.server.home() / "killed"
    task = begin(
        world,
        ssh_session_unreachable_limit="2",
        ssh_job_kill_pid_command=rf"echo \${{pid}} \${{user}} >>{log}; kill -9 \${{pid}}",
        ssh_job_get_child_processes_command="echo 1",
    )
    world.server.stop_listening_and_cut()
    assert world.run_of("a")["state"] == "failed"
    victims = set(world.server.processes())
    assert len(victims) >= 3
    world.server.start()
    assert cleanup_run(world)["state"] == "SUCCESS"
    world.awaited("the orphan's end", lambda: not world.server.processes())
    records = world.get("/api/process-audit")["records"]  # a busy host may need a second visit
    assert {record["task"] for record in records} == {task}
    if not allowed:
        assert not log.exists(), "in 1.x these commands had no effect"
        return
    hit = [line.split() for line in log.read_text().splitlines()]
    assert {user for _, user in hit} == {world.server.user}
    assert "1" not in {pid for pid, _ in hit}, "what a command prints is verified"
    members = {member["pid"] for record in records for member in record["members"]}
    assert {int(pid) for pid, _ in hit} >= members
