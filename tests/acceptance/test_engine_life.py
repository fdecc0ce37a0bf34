"""How an engine begins and ends, and whom it lets in."""

import http.client
import signal
from pathlib import Path

import pytest

from tests.support.programs import World, free_port, parsed, wait_for

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def chain(world: World) -> str:
    """A chain of one job that runs until its file appears."""
    world.environment["GO"] = str(world.folder / "go")
    world.write_job("wait", 'echo begun; until [ -e "$GO" ]; do sleep 0.05; done; echo over')
    world.write_chain("waiting", ["wait"])
    return "/waiting"


def _let_go(world: World) -> None:
    (world.folder / "go").touch()


def test_a_second_engine_on_the_same_data_is_refused_with_a_clear_message(
    world: World, chain: str
) -> None:
    first = world.start_engine()
    second = world.call(
        "engine", "--config", str(world.folder / "config"), "--data", str(world.data)
    )
    assert second.returncode == 1
    assert str(first.process.pid) in second.stderr
    assert str(world.data) in second.stderr
    assert "Traceback" not in second.stderr
    world.ask("order", "add", chain, "still-here")
    assert world.order(chain, "still-here") is not None, "the first one is not disturbed"


def test_sigterm_lets_the_running_step_end_and_starts_no_other(world: World, chain: str) -> None:
    engine = world.start_engine()
    world.ask("order", "add", chain, "first")
    wait_for("a running step", lambda: world.get("/api/overview")["tasks_running"] == 1)
    engine.send(signal.SIGTERM)
    wait_for("the pause before the end", lambda: _is_paused(world))
    _let_go(world)
    assert engine.process.wait(30) == 0
    assert "Pointsman has ended" in engine.text
    assert "Traceback" not in engine.text
    world.start_engine()
    (run,) = wait_for("the order in the history", lambda: world.runs(chain))
    assert (run["order"], run["state"]) == ("first", "done")
    log = world.task_log(run["steps"][0]["task"])
    assert log.count("begun") == log.count("over") == 1


def _is_paused(world: World) -> bool:
    try:
        return bool(world.get("/api/overview")["state"] == "paused")
    except (OSError, http.client.HTTPException):
        return False


def test_a_bare_live_folder_is_a_configuration_and_headless_is_accepted(
    world: World, chain: str
) -> None:
    world.engine = world.run(
        "engine",
        ["engine", "--config", str(world.live), "--data", str(world.data), "--headless"],
    )
    world.await_ready()
    assert world.orders_in(chain) == 0


def test_the_command_line_tells_scripts_what_has_happened(world: World, chain: str) -> None:
    nobody = world.call("order", "list", "--data", str(world.data))
    assert nobody.returncode == 3, "no engine"
    assert nobody.stderr.startswith("pointsman: ")
    world.start_engine()
    added = parsed(world.ask("order", "add", chain, "first", "-p", "a=b", "--json").stdout)
    assert "first" in str(added)
    shown = parsed(world.ask("order", "show", chain, "first", "--json").stdout)
    assert shown["params"] == {"a": "b"}
    unknown = world.call("order", "add", "/nowhere", "x", "--data", str(world.data))
    assert unknown.returncode == 1
    assert "nowhere" in unknown.stderr
    wrong = world.call("order", "add")
    assert wrong.returncode == 2
    answer = world.ask("command", f'<show_job_chain job_chain="{chain}"/>').stdout
    assert "<job_chain " in answer
    refused = world.call("command", "<show_job job='/none'/>", "--data", str(world.data))
    assert refused.returncode == 1
    assert "<ERROR" in refused.stdout
    facts = world.ask("tail", "--after", "0", "--count", "3", "--json").stdout.splitlines()
    assert [parsed(line)["number"] for line in facts] == [1, 2, 3]


def test_tcp_needs_a_token_unless_loopback_is_trusted(world: World, chain: str) -> None:
    port = free_port()
    engine = world.start_engine("--listen", f"127.0.0.1:{port}")
    url = f"http://127.0.0.1:{port}"
    stranger = world.call("order", "list", chain, "--engine", url)
    assert stranger.returncode == 1
    token = world.call("token", "--data", str(world.data)).stdout.strip()
    friend = world.call("order", "list", chain, "--engine", url, POINTSMAN_TOKEN=token)
    assert friend.returncode == 0, friend.stderr
    engine.end()
    world.start_engine("--listen", f"127.0.0.1:{port}", "--trust-loopback")
    trusted = world.call("order", "list", chain, "--engine", url)
    assert trusted.returncode == 0, trusted.stderr


def test_tasks_are_not_told_the_secrets_of_engine_and_agent(world: World) -> None:
    port = free_port()
    world.environment["POINTSMAN_TOKEN"] = "secret-of-people"
    secrets = ["secret-of-people", world.environment["POINTSMAN_AGENT_TOKEN"]]
    world.write(
        "there.process_class.xml",
        "<process_class><remote_schedulers>"
        f'<remote_scheduler remote_scheduler="http://127.0.0.1:{port}"/>'
        "</remote_schedulers></process_class>",
    )
    world.write_job("here", "env")
    world.write_job("there", "env", 'process_class="there"')
    world.write_chain("both", ["here", "there"])
    world.start_agent(port)
    world.start_engine()
    world.ask("order", "add", "/both", "look")
    (run,) = wait_for("the end of the order", lambda: world.runs("/both"))
    assert run["state"] == "done"
    logs = [world.task_log(step["task"]) for step in run["steps"]]
    assert all("SCHEDULER_JOB_NAME=" in log for log in logs)
    assert not [log for log in logs for secret in secrets if secret in log]


@pytest.mark.parametrize("which", ["engine", "agent"])
def test_listening_to_the_world_without_tls_is_refused(
    world: World, which: str, tmp_path: Path
) -> None:
    config = ["--config", str(world.live)] if which == "engine" else []
    listen = ["--listen", f"0.0.0.0:{free_port()}", "--data", str(tmp_path / "data")]
    done = world.call(which, *config, *listen)
    assert done.returncode == 2
    assert "tls" in done.stderr.lower()
