"""The live folder while the engine runs, and `pointsman check` without one."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.programs import World, parsed, wait_for

CHAIN = "/greetings"

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def greeting(world: World) -> World:
    """A running engine with a chain of one job."""
    world.write_job("greet", "echo first words")
    world.write_chain("greetings", ["greet"])
    world.start_engine()
    return world


def _words_of(world: World, order: str) -> str:
    """Run an order and return what its only step has said."""
    world.ask("order", "add", CHAIN, order)

    def ended() -> Mapping[str, Any] | None:
        return next((run for run in world.runs(CHAIN) if run["order"] == order), None)

    run = wait_for(f"the end of {order}", ended)
    assert run is not None
    assert run["state"] == "done"
    return world.task_log(run["steps"][0]["task"])


def _jobs(world: World) -> set[str]:
    return {row["path"] for row in world.get("/api/jobs")["jobs"]}


def test_a_changed_job_is_taken_over_while_the_engine_runs(greeting: World) -> None:
    assert "first words" in _words_of(greeting, "one")
    number = greeting.get("/api/overview")["number"]
    greeting.write_job("greet", "echo other words")
    wait_for("the new version", lambda: greeting.get("/api/overview")["number"] > number)
    assert "other words" in _words_of(greeting, "two")


def test_objects_come_and_go_with_their_files(greeting: World) -> None:
    new = greeting.write_job("new", "true")
    wait_for("the new job", lambda: "/new" in _jobs(greeting))
    folder = greeting.live / "below"
    folder.mkdir()
    greeting.write(
        "below/deep.job.xml", '<job order="yes"><script language="shell">true</script></job>'
    )
    wait_for("a job in a folder", lambda: "/below/deep" in _jobs(greeting))
    new.unlink()
    wait_for("its removal", lambda: "/new" not in _jobs(greeting))
    assert "/below/deep" in _jobs(greeting)


def test_a_broken_file_is_reported_with_its_place_and_the_old_version_stays(
    greeting: World,
) -> None:
    assert greeting.engine is not None
    log = greeting.folder / "engine.log"
    greeting.write("greet.job.xml", '<job order="yes">\n  <script language="shell">\n</job>\n')
    wait_for("a report", lambda: "greet.job.xml:3:" in log.read_text())
    assert "first words" in _words_of(greeting, "after")
    assert greeting.get("/api/overview")["broken_files"] == 1
    greeting.write_job("other", "true")
    wait_for("another file", lambda: "/other" in _jobs(greeting))
    greeting.write_job("greet", "echo mended words")
    wait_for("the mended file", lambda: greeting.get("/api/overview")["broken_files"] == 0)
    assert "mended words" in _words_of(greeting, "later")


def test_check_reports_everything_at_once_and_exits_with_1(world: World) -> None:
    world.write("torn.job.xml", '<job order="yes">\n<script language="shell">true</script>\n')
    world.write(
        "typo.job.xml",
        '<job order="yes"\n     taks="3">\n<script language="shell">true</script></job>',
    )
    world.write_chain("missing", ["nothing"])
    world.write_job("fine", "true")
    done = world.call("check", str(world.live))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("torn.job.xml:3:1: error: ") for line in lines)
    assert any(line.startswith("typo.job.xml:2:6: error: ") and "'tasks'" in line for line in lines)
    assert any("missing.job_chain.xml:" in line and "'/nothing'" in line for line in lines)
    assert not any("fine.job.xml" in line for line in lines)
    found = parsed(world.call("check", str(world.live), "--json").stdout)
    assert found["errors"] == 3
    assert len(found["findings"]) == len(lines)


def test_check_of_the_examples_finds_nothing(world: World) -> None:
    world.use_example([4445, 4446, 4447])
    done = world.call("check", str(world.folder / "config"))
    assert (done.returncode, done.stdout) == (0, "0 errors, 0 warnings\n")
