"""Agents' hosts in the browser of processes: marks, what a task leaves behind, rights, the audit."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.programs import World, free_port, wait_for

pytestmark = pytest.mark.timeout(180)


class Site:
    """An engine with one agent, its only job, and the agent's host in the browser."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.port = free_port()
        self.name = f"agent@127.0.0.1:{self.port}"
        world.write(
            "agents.process_class.xml",
            '<process_class><remote_schedulers><remote_scheduler remote_scheduler="http://127.0.0.1:'
            f'{self.port}" http_heartbeat_period="1" http_heartbeat_timeout="10"/>'
            "</remote_schedulers></process_class>",
        )
        world.write_job("work", '. "$SCHEDULER_PARAM_SCRIPT"', 'process_class="agents" tasks="9"')
        world.write_chain("flow", ["work"])
        self.agent = world.start_agent(self.port)
        world.start_engine()
        world.await_agents(1)

    def send(self, name: str, script: str) -> None:
        """Add an order whose task runs this script."""
        file = self.world.folder / f"{name}.sh"
        file.write_text(script)
        order = OrderDefinition(key=order_key("/flow", name), params={"script": str(file)})
        self.world.submit_all([AddOrder(order=order)], 1)

    def await_end(self, name: str) -> None:
        """Wait for an order's end."""
        wait_for(
            f"the end of {name}",
            lambda: name in {run["order"] for run in self.world.runs("/flow")},
        )

    def look(self) -> dict[str, Any]:
        """Look at the agent's host now."""
        host = quote(self.name, safe="@:")
        return dict(self.world.get(f"/api/processes/{host}", refresh="true"))

    def marked(self, mark: str) -> list[dict[str, Any]]:
        """Return the processes with this mark, without those that only inherit it."""
        rows = self.look()["processes"]
        return [row for row in rows if row["mark"] == mark and not row["inherited"]]

    def await_marked(self, mark: str, count: int) -> list[dict[str, Any]]:
        """Wait until so many processes have this mark."""
        wait_for(f"{count} of {mark}", lambda: len(self.marked(mark)) == count)
        return self.marked(mark)

    def run_of(self, order: str) -> dict[str, Any]:
        """Return what the browser knows of an order's run."""
        runs = self.look()["runs"]
        return next(run for run in runs if run["order"] == f"/flow,{order}")

    def signal(self, **content: object) -> dict[str, Any]:
        """Ask for a signal."""
        host = quote(self.name, safe="@:")
        with self.world.client() as client:
            answer = client.post(f"/api/processes/{host}/signal", content)
        return dict(answer["result"])

    def audit(self) -> list[dict[str, Any]]:
        """Return the audit records, newest first."""
        return list(self.world.get("/api/process-audit")["records"])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with World(tmp_path / "world") as world:
        yield Site(world)


def test_a_running_task_is_a_step_and_shows_its_tree(site: Site) -> None:
    hosts = site.world.get("/api/processes")["hosts"]
    assert [(host["host"], host["sources"]) for host in hosts] == [(site.name, ["agent"])]
    site.send("order", "sleep 100 & sleep 101; wait")
    rows = site.await_marked("step", 4)  # the supervisor, the script, and both
    commands = " ".join(row["command"] for row in rows)
    assert "sleep 100" in commands
    assert "sleep 101" in commands
    run = site.run_of("order")
    assert (run["verdict"], run["end"], run["job"]) == ("alive", "open", "/work")
    result = site.signal(act="end", token=run["token"])
    assert result["outcome"] == "needs confirmation", "a step is not ended by one key"
    result = site.signal(act="dry_run", token=run["token"])
    assert result["outcome"] == "dry run"
    assert len(result["members"]) >= 3


def test_what_a_task_leaves_behind_is_shown_and_ended(site: Site) -> None:
    site.send(
        "order", "setsid sleep 100 >/dev/null 2>&1 & nohup sleep 101 >/dev/null 2>&1 & exit 0"
    )
    site.await_end("order")
    rows = site.await_marked("left behind", 2)
    run = site.run_of("order")
    assert (run["end"], run["result"]) == ("normal", 0)
    result = site.signal(act="end", token=run["token"], confirmed=True, origin="key")
    assert result["outcome"] == "done", result
    assert not [row for row in rows if is_alive(row["pid"])]
    record = site.audit()[0]
    assert (record["host"], record["origin"], record["outcome"]) == (site.name, "key", "done")
    assert (record["order"], record["act"]) == ("/flow,order", "end")
    assert {member["pid"] for member in record["members"]} == {row["pid"] for row in rows}


def test_an_orphan_of_a_killed_task_is_marked_and_ended(site: Site) -> None:
    # It has left its parents and its session, so the kill of the task does not find it.
    pidfile = site.world.folder / "pid"
    site.send("order", f"(setsid sh -c 'echo $$ > {pidfile}; exec sleep 100' &)\nsleep 101")
    wait_for("the child", lambda: pidfile.exists() and pidfile.read_text())
    task = site.world.get("/api/tasks")["tasks"][0]
    site.world.ask("command", f'<kill_task job="/work" id="{task["id"]}" immediately="true"/>')
    site.await_end("order")
    (orphan,) = site.await_marked("orphan", 1)
    assert orphan["pid"] == int(pidfile.read_text())
    # root's processes go only after a question, orphans or not.
    result = site.signal(act="end", token=orphan["token"], confirmed=os.geteuid() == 0)
    assert result["outcome"] == "done", result
    assert not is_alive(orphan["pid"])


def test_strangers_are_shown_and_left_alone(site: Site) -> None:
    stranger = psutil.Popen(["sleep", "100"])
    try:
        rows = [row for row in site.look()["processes"] if row["pid"] == stranger.pid]
        assert [row["mark"] for row in rows] == ["foreign"]
        result = site.signal(act="kill", pid=stranger.pid, start=rows[0]["start"], confirmed=True)
        assert result["outcome"] == "refused"
        assert stranger.is_running()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_record_goes_when_nobody_bears_its_token_any_more(site: Site) -> None:
    site.send("over", "exit 0")
    site.await_end("over")
    site.agent.end()
    site.send("left", "setsid sleep 100 >/dev/null 2>&1 & exit 0")
    site.world.start_agent(site.port)
    site.await_end("left")
    wait_for("the record", lambda: len(records(site)) == 1)
    (row,) = site.await_marked("left behind", 1)
    assert records(site) == {row["token"]}


def is_alive(pid: int) -> bool:
    """Return whether a process is there that is more than a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def records(site: Site) -> set[str]:
    """Return the tokens of which the agent keeps records."""
    folder = site.world.folder / f"agent-{site.port}" / ".jobscheduler" / "run"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_an_agent_that_is_away_shows_as_unreachable(site: Site) -> None:
    assert site.look()["state"] == "shown"
    site.agent.kill()
    shown = site.look()
    assert shown["state"] == "unreachable"
    assert str(site.port) in json.dumps(shown["problem"])
