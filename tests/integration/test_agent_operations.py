"""Running agents: certificates on both sides, tokens, orderly ends, restarts that kill."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.programs import World, free_port, wait_for

pytestmark = pytest.mark.timeout(180)


class Site:
    """A world with some agents, a chain for all of them, and orders with scripts of their own."""

    def __init__(self, world: World, agents: int, scheme: str = "http") -> None:
        self.world = world
        self.ports = [free_port() for _ in range(agents)]
        self.urls = [f"{scheme}://127.0.0.1:{port}" for port in self.ports]
        entries = "".join(
            f'<remote_scheduler remote_scheduler="{url}" http_heartbeat_period="1"'
            ' http_heartbeat_timeout="10"/>'
            for url in self.urls
        )
        world.write(
            "agents.process_class.xml",
            f"<process_class><remote_schedulers>{entries}</remote_schedulers></process_class>",
        )
        world.write_job("work", '. "$SCHEDULER_PARAM_SCRIPT"', 'process_class="agents" tasks="9"')
        world.write_chain("flow", ["work"])

    def send(self, name: str, script: str) -> None:
        """Add an order whose task runs this script."""
        file = self.world.folder / f"{name}.sh"
        file.write_text(script)
        order = OrderDefinition(key=order_key("/flow", name), params={"script": str(file)})
        self.world.submit_all([AddOrder(order=order)], 1)

    def await_pid(self, name: str) -> int:
        """Wait until an order's task runs and return its process."""

        def pid() -> int:
            rows = self.world.get("/api/tasks")["tasks"]
            found = [row["pid"] for row in rows if row["order"] == f"/flow,{name}"]
            return int(found[0] or 0) if found else 0

        wait_for(f"{name} to run", pid)
        return pid()

    def await_end(self, name: str) -> dict[str, Any]:
        """Wait for an order's end and return its task from the history."""
        wait_for(
            f"the end of {name}",
            lambda: name in {run["order"] for run in self.world.runs("/flow")},
        )
        rows = self.world.get("/api/history/tasks", order=name)["tasks"]
        return dict(rows[0])


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        yield world


@pytest.fixture
def authority(world: World) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(world.folder / "authority.pem")
    return authority


def issue(authority: trustme.CA, name: str, folder: Path) -> Path:
    """Return a file with a certificate of this authority and its key."""
    file = folder / f"{name}.pem"
    authority.issue_cert(name).private_key_and_cert_chain_pem.write_to_path(file)
    return file


def configure(world: World, **settings: object) -> None:
    """Write `engine.toml`."""
    lines = [f"{name} = {json.dumps(str(value))}" for name, value in settings.items()]
    (world.folder / "config" / "engine.toml").write_text("\n".join(lines))


def agent_text(world: World, url: str) -> str:
    """Return what the engine says of an agent."""
    rows = world.get("/api/agents")["agents"]
    return next((f"{row['status']} {row.get('text', '')}" for row in rows if row["uri"] == url), "")


def listening(pid: int) -> list[int]:
    """Return the TCP ports that a process listens on."""
    found = psutil.Process(pid).net_connections("tcp")
    return [each.laddr.port for each in found if each.status == psutil.CONN_LISTEN]


def connections(pid: int) -> list[int]:
    """Return the ports at the other ends of a process's TCP connections."""
    found = psutil.Process(pid).net_connections("tcp")
    return [each.raddr.port for each in found if each.status == psutil.CONN_ESTABLISHED]


def _has_said(world: World, task: int, text: str) -> bool:
    return text in world.task_log(task)


# --- who may talk to whom ----------------------------------------------------------------------------


def test_https_with_a_private_authority_and_certificates_on_both_sides(
    world: World, authority: trustme.CA
) -> None:
    site = Site(world, 1, "https")
    engine = issue(authority, "engine.example.test", world.folder)
    agent = issue(authority, "127.0.0.1", world.folder)
    tls = ["--tls-certificate", str(agent), "--tls-client-ca", str(world.folder / "authority.pem")]
    world.start_agent(site.ports[0], *tls)
    # Without a certificate of its own the engine is not even listened to.
    configure(world, agent_ca_file=world.folder / "authority.pem")
    world.start_engine()
    wait_for("a refusal", lambda: "certificate of ours" in agent_text(world, site.urls[0]))
    assert world.engine is not None
    world.engine.end()
    configure(world, agent_ca_file=world.folder / "authority.pem", agent_certificate_file=engine)
    world.start_engine()
    site.send("order", "exit 0")
    assert site.await_end("order")["exit_code"] == 0
    shown = world.call(
        "agent", "show", site.urls[0], "--ca-file", str(world.folder / "authority.pem")
    )
    assert "certificate of ours" in shown.stderr
    shown = world.call(
        *["agent", "show", site.urls[0], "--certificate", str(engine)],
        *["--ca-file", str(world.folder / "authority.pem")],
    )
    assert shown.returncode == 0, shown.stderr


def test_an_agent_has_one_port_and_everything_goes_there(world: World) -> None:
    site = Site(world, 1)
    agent = world.start_agent(site.ports[0])
    engine = world.start_engine()
    for number in range(5):
        site.send(f"order-{number}", "sleep 100")
        site.await_pid(f"order-{number}")
    assert listening(agent.process.pid) == [site.ports[0]]
    assert listening(engine.process.pid) == []
    assert len(connections(engine.process.pid)) <= 2
    for task in world.other_processes():
        assert connections(task.pid) == [], "tasks know nothing of the connections"
        assert listening(task.pid) == []


def test_an_agent_of_an_unknown_authority_or_another_name_is_not_believed(
    world: World, authority: trustme.CA
) -> None:
    site = Site(world, 2, "https")
    elsewhere = issue(authority, "elsewhere.example.test", world.folder)
    stranger = issue(trustme.CA(), "127.0.0.1", world.folder)
    world.start_agent(site.ports[0], "--tls-certificate", str(elsewhere))
    world.start_agent(site.ports[1], "--tls-certificate", str(stranger))
    configure(world, agent_ca_file=world.folder / "authority.pem")
    world.start_engine()
    wait_for("a refusal", lambda: "not valid for '127.0.0.1'" in agent_text(world, site.urls[0]))
    wait_for("a refusal", lambda: "unable to get local issuer" in agent_text(world, site.urls[1]))


def test_a_wrong_token_is_refused_and_its_address_is_soon_unheard(world: World) -> None:
    site = Site(world, 1)
    world.start_agent(site.ports[0])
    world.environment["POINTSMAN_AGENT_TOKEN"] = "guessed"
    engine = world.start_engine()
    wait_for("a refusal", lambda: "401" in agent_text(world, site.urls[0]))
    with ThreadPoolExecutor(10) as pool:
        guesses = [pool.submit(world.call, "agent", "show", site.urls[0]) for _ in range(10)]
        assert {guess.result().returncode for guess in guesses} == {1}
    assert "429" in world.call("agent", "show", site.urls[0]).stderr
    wait_for("to be turned away", lambda: "429" in agent_text(world, site.urls[0]))
    assert "guessed" not in engine.text


# --- the end of an agent -----------------------------------------------------------------------------


def test_a_stopped_agent_takes_nothing_new_and_keeps_its_word(world: World) -> None:
    site = Site(world, 2)
    for port in site.ports:
        world.start_agent(port)
    world.start_engine()
    world.await_agents(2)
    done = world.folder / "go"
    site.send("running", f"until [ -e {done} ]; do sleep 0.05; done; echo well; exit 3")
    site.await_pid("running")
    stopped = world.call("agent", "stop", site.urls[0])
    assert "1 task(s)" in stopped.stdout, stopped.stderr
    again = world.call("agent", "stop", site.urls[0])
    assert again.returncode == 1
    assert "terminating already" in again.stderr
    wait_for("its status", lambda: "terminating" in agent_text(world, site.urls[0]))
    site.send("next", "exit 0")
    assert site.await_end("next")["agent"] == site.urls[1]
    assert world.agents[site.ports[0]].process.poll() is None, "it waits for its task"
    done.touch()
    assert site.await_end("running")["exit_code"] == 3
    assert world.agents[site.ports[0]].process.wait(20) == 0


def test_a_stop_with_a_time_asks_tasks_to_end_and_kills_them_after_it(world: World) -> None:
    site = Site(world, 1)
    world.start_agent(site.ports[0])
    world.start_engine()
    world.await_agents(1)
    site.send("handling", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    site.send("deaf", "trap '' TERM; echo up; while :; do sleep 0.05; done")
    for name in ("handling", "deaf"):
        site.await_pid(name)
        task = next(
            row["id"] for row in world.get("/api/tasks")["tasks"] if row["order"] == f"/flow,{name}"
        )
        wait_for("the trap", partial(_has_said, world, task, "[stdout] up"))
    shown = world.call("agent", "show", site.urls[0])
    assert shown.stdout.count("running") == 2, shown.stdout + shown.stderr
    began = time.monotonic()
    stopped = world.call("agent", "stop", site.urls[0], "--kill-after", "2", "--wait")
    assert stopped.returncode == 0, stopped.stderr
    assert time.monotonic() - began >= 2
    assert world.agents[site.ports[0]].process.wait(20) == 0
    world.start_agent(site.ports[0])
    assert site.await_end("handling")["exit_code"] == 7
    assert site.await_end("deaf")["exit_code"] == 137


def test_an_agent_that_is_not_there_is_told_by_the_exit_status(world: World) -> None:
    done = world.call("agent", "stop", f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 3
    assert "pointsman:" in done.stderr


def test_a_kill_script_is_called_with_task_and_process(world: World) -> None:
    site = Site(world, 1)
    script = world.folder / "kill.sh"
    script.write_text(f'#!/bin/sh\necho "$@" >> {world.folder}/killed\nexit 0\n')
    script.chmod(0o755)
    world.start_agent(site.ports[0], "--kill-script", str(script))
    world.start_engine()
    site.send("order", "sleep 100")
    pid = site.await_pid("order")
    task = world.get("/api/tasks")["tasks"][0]["id"]
    world.ask("command", f'<kill_task job="/work" id="{task}" immediately="true"/>')
    assert site.await_end("order")["exit_code"] == 137
    (call,) = (world.folder / "killed").read_text().splitlines()
    assert f"-pid={pid}" in call
    assert "-kill-agent-task-id=1-" in call


# --- the engine's way with running tasks -------------------------------------------------------------


def test_a_new_life_of_the_engine_may_kill_what_the_former_one_began(world: World) -> None:
    site = Site(world, 1)
    configure(world, on_engine_restart="kill")
    world.start_agent(site.ports[0])
    engine = world.start_engine()
    site.send("order", "sleep 100")
    pid = site.await_pid("order")
    engine.kill()
    world.start_engine()
    task = site.await_end("order")
    assert (task["exit_code"], task["error_code"]) == (137, "SCHEDULER-202")
    assert "restarted" in task["error_text"]
    assert not Path(f"/proc/{pid}").exists()


def test_everything_of_an_agent_lies_below_its_prefix(world: World) -> None:
    site = Site(world, 1)
    file = world.live / "agents.process_class.xml"
    file.write_text(file.read_text().replace(site.urls[0], f"{site.urls[0]}/some/where"))
    world.start_agent(site.ports[0], "--uri-prefix", "/some/where/")
    world.start_engine()
    site.send("order", "exit 0")
    assert site.await_end("order")["exit_code"] == 0
    assert world.call("agent", "show", site.urls[0]).returncode == 1
    assert world.call("agent", "show", f"{site.urls[0]}/some/where").returncode == 0


def test_an_engine_takes_the_open_files_it_may_have_and_leaves_tasks_their_limit(
    world: World,
) -> None:
    # A thousand agents are more connections than the usual soft limit allows.
    world.command = ["sh", "-c", 'ulimit -S -n 200; exec "$@"', "sh", *world.command]
    world.write_job("work", "ulimit -S -n")
    world.write_chain("flow", ["work"])
    engine = world.start_engine()
    soft, hard = psutil.Process(engine.process.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard > 200
    order = OrderDefinition(key=order_key("/flow", "order"))
    world.submit_all([AddOrder(order=order)], 1)
    wait_for("the order's end", lambda: world.runs("/flow"))
    task = world.get("/api/history/tasks", order="order")["tasks"][0]["task"]
    assert "[stdout] 200" in world.task_log(task)
