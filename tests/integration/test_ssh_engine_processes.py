"""The remote-process browser through the real engine: HTTP, command line, roles, audit."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.programs import free_port
from tests.support.ssh_engine import SshEngine, ssh_engine
from tests.support.sshd import missing

pytestmark = [
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
    pytest.mark.timeout(180),
]

SCRIPT = "nohup sleep 5700 >/dev/null 2>&1 &\nsetsid sleep 5800 &\necho started; sleep 5900"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SshEngine]:
    with ssh_engine(tmp_path) as place:
        yield place


def host_of(world: SshEngine) -> str:
    return f"{world.server.user}@127.0.0.1:{world.server.port}"


def start_step(world: SshEngine, **more: str) -> int:
    world.write_ssh_chain(world.login() | more, SCRIPT)
    world.start_engine()
    world.add("a")
    task = world.task_of("a")
    world.awaited("its output", lambda: "started" in world.task_log(task))
    return task


def make_orphan(world: SshEngine) -> int:
    """Let a step lose its host for good while its processes live on."""
    task = start_step(world, ssh_session_unreachable_limit="1")
    world.server.stop_listening_and_cut()
    world.run_of("a")
    world.server.start()
    return task


def detail(world: SshEngine) -> dict[str, Any]:
    return dict(world.get(f"/api/processes/{host_of(world)}", refresh="true"))


def refused(world: SshEngine, *arguments: str) -> "subprocess.CompletedProcess[str]":
    done = world.call(*arguments, "--data", str(world.data))
    assert done.returncode == 1, done.stdout + done.stderr
    return done


def test_an_orphan_is_listed_explained_ended_and_recorded(world: SshEngine) -> None:
    task = make_orphan(world)
    world.engine_again()  # whose it is comes from the journal
    listed = world.get("/api/processes")["hosts"]
    assert [row["host"] for row in listed] == [host_of(world)]
    assert set(listed[0]["sources"]) == {"job", "run"}
    shown = world.awaited(
        "the host's processes", lambda: _if_shown(detail(world), "orphan"), patience_s=60
    )
    run = next(each for each in shown["runs"] if each["mark"] == "orphan")
    assert run["verdict"] == "alive"
    assert run["task"] == task
    assert run["order"] == "/work,a"
    assert run["expected"].startswith("alive/")
    commands = {row["command"] for row in shown["processes"] if row["mark"] == "orphan"}
    assert {"sleep 5700", "sleep 5800"} <= commands
    orphans = json.loads(world.ask("orphans", "--json").stdout)["orphans"]
    assert [each["token"] for each in orphans] == [run["token"]]
    assert run["token"] in world.ask("orphans").stdout
    assert "orphan" in world.ask("processes", host_of(world)).stdout
    by_address = world.ask("processes", "127.0.0.1").stdout
    assert any(line.endswith("sleep 5700") for line in by_address.splitlines()), "not cut off"
    elsewhere = world.call("processes", "127.0.0.2", "--data", str(world.data))
    assert f"no host 127.0.0.2; known: {host_of(world)}" in elsewhere.stderr
    unfit = world.call("kill", run["token"], "--signal", "FOO", "--data", str(world.data))
    assert "FOO is no signal that may be sent; CONT, HUP" in unfit.stdout
    assert "CONT was sent" in world.ask("kill", run["token"], "--signal", "sigcont").stdout
    tried = world.ask("kill", run["token"], "--dry-run").stdout
    assert "TERM would go to" in tried
    assert len(world.server.processes()) >= 3, "a dry run signals nobody"
    assert "done" in world.ask("kill", run["token"]).stdout
    world.awaited("the end of all processes", lambda: not world.server.processes())
    records = world.get("/api/process-audit")["records"]
    assert [record["act"] for record in records] == ["end", "dry run", "signal", "signal"]
    assert {record["origin"] for record in records} == {"command line"}
    assert {record["by"] for record in records} == {"local"}
    assert records[0]["outcome"] == "done"
    assert "command line" in world.task_log(task)
    assert "nothing there" in world.ask("kill", run["token"]).stdout
    world.engine_again()
    assert len(world.get("/api/process-audit")["records"]) == 5, "the audit outlives the engine"


def _if_shown(shown: dict[str, Any], mark: str) -> dict[str, Any] | None:
    return shown if shown["counts"][mark] else None


def test_a_living_step_is_hit_only_after_a_question(world: SshEngine) -> None:
    start_step(world)
    run = next(each for each in detail(world)["runs"] if each["mark"] == "step")
    asked = refused(world, "kill", run["token"])
    assert "of order /work,a" in asked.stderr
    assert len(world.server.processes()) >= 3
    ended = world.ask("kill", run["token"], "--yes")
    assert "done" in ended.stdout
    world.awaited("the end of all processes", lambda: not world.server.processes())
    assert world.run_of("a")["state"] == "failed"


def test_roles_decide_who_may_look_end_orphans_and_hit_steps(world: SshEngine) -> None:
    port = free_port()
    tokens = {
        role: world.call(
            "token", "--role", role, "--name", role, "--data", str(world.data)
        ).stdout.strip()
        for role in ("read-only", "operator", "admin")
    }
    world.write_ssh_chain(world.login(), SCRIPT)
    world.start_engine("--listen", f"127.0.0.1:{port}")
    world.add("a")
    world.task_of("a")
    world.awaited("a step", lambda: _if_shown(detail(world), "step"))
    run = next(each for each in detail(world)["runs"] if each["mark"] == "step")
    url = f"http://127.0.0.1:{port}/api/processes/{host_of(world)}"

    def signal(role: str, **more: object) -> dict[str, Any]:
        answer = httpx.post(
            f"{url}/signal",
            json={"act": "end", "token": run["token"], "confirmed": True} | more,
            headers={"Authorization": f"Bearer {tokens[role]}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["result"])

    for role, token in tokens.items():
        head = {"Authorization": f"Bearer {token}"}
        assert httpx.get(url, headers=head, timeout=30).status_code == 200
        assert signal(role, act="dry_run")["outcome"] == "dry run"
    assert httpx.get(url, timeout=30).status_code == 401
    assert signal("read-only")["outcome"] == "refused"
    assert signal("operator")["outcome"] == "refused", "a running step is the administrator's"
    trust = httpx.post(
        f"http://127.0.0.1:{port}/api/ssh/trust",
        json={"host": "127.0.0.1", "port": world.server.port, "accept": True},
        headers={"Authorization": f"Bearer {tokens['operator']}"},
        timeout=30,
    )
    assert trust.status_code == 403
    assert signal("admin")["outcome"] == "done"
    assert world.get("/api/process-audit")["records"][0]["by"] == "admin"


def test_hosts_of_the_settings_are_looked_at_and_may_be_protected(world: SshEngine) -> None:
    settings = world.live.parent / "engine.toml"
    settings.write_text(
        settings.read_text()
        + f'\n[[ssh.hosts]]\nname = "box"\nhost = "127.0.0.1"\nport = {world.server.port}\n'
        f'user = "{world.server.user}"\nauth_file = "{world.server.key}"\nprotected = true\n'
    )
    world.start_engine()
    row = world.get("/api/processes/box", refresh="true")
    assert row["state"] == "shown"
    assert row["protected"] is True
    assert row["sources"] == ["settings"]
    shown = world.ask("processes").stdout
    assert shown.startswith("box  shown")


def test_wrong_settings_are_all_reported_at_once(world: SshEngine) -> None:
    settings = world.live.parent / "engine.toml"
    settings.write_text("[ssh]\nkeepalive_s = 'x'\nallow = true\n[[ssh.hosts]]\nhost = 'a b'\n")
    done = world.call("engine", "--config", str(settings.parent), "--data", str(world.data))
    assert done.returncode == 2
    for text in ("ssh_keepalive_s", "ssh_allow", "user is missing"):
        assert text in done.stderr
