"""The wheel: complete, started from anywhere, and gone without a trace after the demo."""

import itertools
import re
import signal
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.programs import World, marked, wait_for, words_of

pytestmark = pytest.mark.timeout(180)


def test_the_wheel_holds_both_programs_with_themes_examples_and_scripts(program: Path) -> None:
    (wheel,) = program.parents[2].glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for expected in (
        "engine/py.typed",
        "engine/agent/supervisor.sh",
        "engine/store/sql/journal_sqlite.sql",
        "engine/drivers/shell/run.sh",
        "engine/examples/end_of_day/live/end_of_day.job_chain.xml",
        "tui/themes/harbour.toml",
        "tui/py.typed",
    ):
        assert expected in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "bench/"))]


@dataclass(frozen=True, kw_only=True)
class DemoRun:
    """One run of `pointsman demo --headless`, and what it has left behind."""

    status: int
    output: str
    errors: str
    temporary: tuple[Path, ...]
    at_home: tuple[Path, ...]
    processes: int


@pytest.fixture(scope="module")
def demo_run(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRun]:
    """The demo, run in a folder with somebody else's package of the name engine."""
    folder = tmp_path_factory.mktemp("demo")
    temporary = folder / "temporary"
    temporary.mkdir()
    with World(folder / "world", [str(program)]) as world:
        strange = world.elsewhere / "engine"
        strange.mkdir()
        (strange / "__init__.py").write_text("raise SystemExit('somebody else')\n")
        done = world.call("demo", "--headless", patience_s=90, TMPDIR=str(temporary))
        yield DemoRun(
            status=done.returncode,
            output=done.stdout,
            errors=done.stderr,
            temporary=tuple(temporary.iterdir()),
            at_home=tuple(path for path in world.elsewhere.rglob("*") if path.is_file()),
            processes=len(marked(world.mark)),
        )


def test_the_headless_demo_succeeds_wherever_one_stands(demo_run: DemoRun) -> None:
    assert demo_run.status == 0, f"{demo_run.output}{demo_run.errors}"
    assert re.search(r"^end_of_day +success$", demo_run.output, re.MULTILINE)


def test_the_headless_demo_runs_three_children_on_three_agents(demo_run: DemoRun) -> None:
    rows = re.findall(
        r"^(end_of_day_child_order_\d) +(\d+) - (\d+) +http://127\.0\.0\.1:(\d+) +\d+ +sync$",
        demo_run.output,
        re.MULTILINE,
    )
    assert [row[0] for row in rows] == [f"end_of_day_child_order_{index}" for index in (1, 2, 3)]
    assert_whole([(int(low), int(high)) for _, low, high, _ in rows])
    assert len({port for *_, port in rows}) == 3, "each child has an agent of its own"
    logs = demo_run.output.split("\nLog of task ")[1:]
    assert len(logs) == 3
    for (order, low, high, port), log in zip(rows, logs, strict=True):
        assert order in log
        assert re.search(rf"job running on agent: \S+:{port}$", log, re.MULTILINE)
        assert f"creating balance statements for accounts: {low} - {high}" in log
        assert "exit code 0" in log, "the log is shown to its end"


def test_the_headless_demo_leaves_nothing_behind(demo_run: DemoRun) -> None:
    assert demo_run.temporary == ()
    assert [path.name for path in demo_run.at_home if path.parent.name != "engine"] == []
    assert demo_run.processes == 0


def test_a_demo_that_is_told_to_end_takes_everything_with_it(world: World) -> None:
    temporary = world.folder / "temporary"
    temporary.mkdir()
    world.environment["TMPDIR"] = str(temporary)
    demo = world.run("demo", ["demo", "--headless"])
    wait_for("children that run", lambda: "create runs as task" in demo.text, 60)
    names = {name for process in marked(world.mark) for name in words_of(process)}
    assert {"engine", "agent"} <= names
    demo.send(signal.SIGTERM)
    demo.process.wait(30)
    wait_for("the end of all its processes", lambda: not marked(world.mark))
    assert list(temporary.iterdir()) == []


def assert_whole(ranges: list[tuple[int, int]]) -> None:
    """Check that ranges are not empty, do not overlap, and cover all accounts."""
    ranges = sorted(ranges)
    assert all(low <= high for low, high in ranges)
    assert ranges[0][0] == 100_000
    assert ranges[-1][1] == 200_000
    assert all(one[1] + 1 == other[0] for one, other in itertools.pairwise(ranges))
