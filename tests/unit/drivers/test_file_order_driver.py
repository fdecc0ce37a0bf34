"""The driver of directories: when it looks, what it tells, what it leaves alone."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.drivers import file_orders, job_watches
from engine.drivers.agent_files import AgentFiles
from engine.drivers.file_orders import FileOrderDriver
from engine.drivers.http_client import Credentials
from engine.drivers.job_watches import JobWatchDriver
from engine.kernel.definitions import DirectoryWatch
from engine.kernel.effects import CheckFile, WatchDirectory, WatchForJob
from engine.kernel.ids import AgentUri, ChainKey, JobKey, OrderId, OrderKey
from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.reports import DirectoryChanged, DirectoryRead, FileChecked, Report

pytestmark = pytest.mark.anyio

CHAIN = ChainKey("/walk")
LIMIT_S = 20.0


class Engine:
    """As much of an engine as the drivers need: it remembers, and takes files when told to."""

    def __init__(self) -> None:
        self.known: set[str] = set()
        self.held: list[str] = []
        self.reports: list[Report] = []
        self.takes = True
        self._came = asyncio.Event()

    def new_files(
        self,
        chain: ChainKey,  # noqa: ARG002
        directory: str,  # noqa: ARG002
        paths: Iterator[str],
    ) -> Iterator[str]:
        return (path for path in paths if path not in self.known)

    def held_paths(
        self,
        chain: ChainKey,  # noqa: ARG002
        directory: str,  # noqa: ARG002
        agent: AgentUri,  # noqa: ARG002
    ) -> list[str]:
        return list(self.held)

    async def report(self, reports: Sequence[Report]) -> None:
        for report in reports:
            self.reports.append(report)
            if isinstance(report, DirectoryRead) and self.takes:
                self.known.update(report.files)
        self._came.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was reported so far satisfies a condition."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                self._came.clear()
                await self._came.wait()

    def told(self) -> list[str]:
        """All files that were offered, by name."""
        return [
            Path(path).name
            for report in self.reports
            if isinstance(report, DirectoryRead)
            for path in report.files
        ]

    def looks(self) -> list[DirectoryRead]:
        return [report for report in self.reports if isinstance(report, DirectoryRead)]

    def changes(self) -> list[DirectoryChanged]:
        return [report for report in self.reports if isinstance(report, DirectoryChanged)]


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
async def driver(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileOrderDriver]:
    monkeypatch.setattr(file_orders, "LOOKS_APART_S", 0.02)
    files = AgentFiles(Credentials())
    driver = FileOrderDriver(engine, engine.report, files)
    yield driver
    await driver.close()
    await files.close()


def watch(folder: Path, **changes: object) -> WatchDirectory:
    demand = WatchDirectory(
        chain=CHAIN,
        source=0,
        directory=str(folder),
        regex=None,
        repeat=Duration(20),
        delay_after_error=Duration(20),
        agent=AgentUri(""),
        room=1,
        turn=0,
    )
    return replace(demand, **changes)  # type: ignore[arg-type]  # by name


def put(folder: Path, name: str, age: int = 0) -> str:
    file = folder / name
    file.touch()
    os.utime(file, (1_000_000 - age, 1_000_000 - age))
    return str(file)


def drop(path: str) -> None:
    Path(path).unlink()


async def test_files_are_offered_oldest_first_as_there_is_room(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    for age, name in enumerate(("c", "b", "a")):
        put(tmp_path, name, age)
    driver.watch([watch(tmp_path, room=2)])
    await engine.until(lambda: len(engine.told()) == 3)
    assert engine.told() == ["a", "b", "c"]
    assert [len(look.files) for look in engine.looks() if look.files] == [2, 1]


async def test_nothing_is_offered_while_nothing_is_demanded(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    put(tmp_path, "a", 1)
    put(tmp_path, "b")
    driver.watch([watch(tmp_path)])
    await engine.until(lambda: "a" in engine.told())
    driver.watch([])
    put(tmp_path, "c")
    other = watch(tmp_path / "missing", source=1)
    driver.watch([other])
    await engine.until(lambda: any(look.error for look in engine.looks()))
    assert set(engine.told()) <= {"a", "b"}
    driver.watch([watch(tmp_path, turn=1, room=5)])
    await engine.until(lambda: "c" in engine.told())


async def test_a_file_that_comes_later_is_found_by_looking_again(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    driver.watch([watch(tmp_path)])
    await engine.until(lambda: bool(engine.looks()))
    put(tmp_path, "a")
    await engine.until(lambda: engine.told() == ["a"])


async def test_a_file_that_has_vanished_since_the_look_is_not_offered(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    engine.takes = False
    for age, name in enumerate(("b", "a")):
        put(tmp_path, name, age)
    driver.watch([watch(tmp_path)])
    await engine.until(lambda: "a" in engine.told())
    (tmp_path / "a").unlink()
    await engine.until(lambda: "b" in engine.told())
    assert engine.told()[-1] == "b"


async def test_an_error_is_told_once_and_so_is_its_end(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    driver.watch([watch(folder)])
    await engine.until(lambda: bool(engine.looks()))
    assert "No such file" in engine.looks()[0].error
    folder.mkdir()
    await engine.until(lambda: len(engine.looks()) == 2)
    assert not engine.looks()[1].error


async def test_held_files_that_have_gone_are_told(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    held = put(tmp_path, "a")
    engine.known.add(held)
    engine.held = [held]
    driver.watch([watch(tmp_path)])
    await engine.until(lambda: bool(engine.looks()))
    assert not engine.looks()[0].gone
    drop(held)
    await engine.until(lambda: any(look.gone == (held,) for look in engine.looks()))


async def test_another_directory_begins_anew(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    engine.takes = False
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    put(one, "a")
    put(two, "b")
    driver.watch([watch(one, repeat=seconds(3600))])
    await engine.until(lambda: "a" in engine.told())
    driver.watch([watch(two, repeat=seconds(3600))])
    await engine.until(lambda: "b" in engine.told())


async def test_the_file_of_a_finished_order_is_looked_for(
    engine: Engine, driver: FileOrderDriver, tmp_path: Path
) -> None:
    paths = [put(tmp_path, "a"), str(tmp_path / "gone")]
    checks = [
        CheckFile(order=OrderKey(CHAIN, OrderId(path)), path=path, agent=AgentUri(""))
        for path in paths
    ]
    driver.check(checks)
    await engine.until(lambda: len(engine.reports) == 2)
    found = [report for report in engine.reports if isinstance(report, FileChecked)]
    assert {report.path: report.exists for report in found} == {paths[0]: True, paths[1]: False}


# --- directories that start jobs -----------------------------------------------------------------


@pytest.fixture
async def watching(engine: Engine) -> AsyncIterator[JobWatchDriver]:
    driver = JobWatchDriver(engine.report, 0.02)
    yield driver
    await driver.close()


def job_watch(folder: Path, regex: str | None = None, **changes: object) -> WatchForJob:
    watches = (DirectoryWatch(directory=str(folder), regex=regex),)
    demand = WatchForJob(job=JobKey("/a"), watches=watches)
    return replace(demand, **changes)  # type: ignore[arg-type]  # by name


async def test_files_that_are_there_already_start_the_job(
    engine: Engine, watching: JobWatchDriver, tmp_path: Path
) -> None:
    paths = (put(tmp_path, "x1"), put(tmp_path, "x2"))
    put(tmp_path, "other")
    watching.watch([job_watch(tmp_path, "x")])
    await engine.until(lambda: bool(engine.changes()))
    assert engine.changes() == [DirectoryChanged(job=JobKey("/a"), files=paths, starts=True)]


async def test_with_an_expression_only_added_names_start_the_job(
    engine: Engine, watching: JobWatchDriver, tmp_path: Path
) -> None:
    one = put(tmp_path, "x1")
    watching.watch([job_watch(tmp_path, "x")])
    await engine.until(lambda: len(engine.changes()) == 1)
    drop(one)
    put(tmp_path, "other")
    two = put(tmp_path, "x2")
    await engine.until(lambda: len(engine.changes()) == 2)
    assert engine.changes()[1].files == (two,)


async def test_without_an_expression_removed_names_start_the_job_too(
    engine: Engine, watching: JobWatchDriver, tmp_path: Path
) -> None:
    one = put(tmp_path, "1")
    watching.watch([job_watch(tmp_path)])
    await engine.until(lambda: len(engine.changes()) == 1)
    drop(one)
    await engine.until(lambda: len(engine.changes()) == 2)
    assert engine.changes()[1] == DirectoryChanged(job=JobKey("/a"), files=(), starts=True)


async def test_while_a_start_is_waited_for_the_list_of_files_is_kept_up_to_date(
    engine: Engine, watching: JobWatchDriver, tmp_path: Path
) -> None:
    one = put(tmp_path, "x1")
    watching.watch([job_watch(tmp_path, "x", awaits_start=True)])
    await engine.until(lambda: len(engine.changes()) == 1)
    drop(one)
    await engine.until(lambda: len(engine.changes()) == 2)
    assert engine.changes()[1] == DirectoryChanged(job=JobKey("/a"), files=(), starts=False)


async def test_a_changed_job_file_looks_at_what_is_there_again(
    engine: Engine, watching: JobWatchDriver, tmp_path: Path
) -> None:
    put(tmp_path, "x1")
    watching.watch([job_watch(tmp_path, "x")])
    await engine.until(lambda: len(engine.changes()) == 1)
    watching.watch([job_watch(tmp_path, "x", version=Instant(2))])
    await engine.until(lambda: len(engine.changes()) == 2)


async def test_a_directory_that_appears_with_files_starts_the_job(
    engine: Engine, watching: JobWatchDriver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "in"
    watching.watch([job_watch(folder, "x")])
    async with asyncio.timeout(LIMIT_S):
        while "unreadable" not in caplog.text:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    folder.mkdir()
    put(folder, "x1")
    await engine.until(lambda: bool(engine.changes()))
    assert job_watches.THREADS > 1
