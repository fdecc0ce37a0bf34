"""The live folder: differences between looks, settling, includes, broken files, the loop."""

import asyncio
import os
import sys
import time
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from types import FrameType
from typing import TypeVar

import pytest

from engine.codec.xml.main_configuration import SchedulerXml
from engine.codec.xml.queries import Permission
from engine.drivers.folder_watch import LiveFolder
from engine.drivers.live_files import list_files, read_file
from engine.drivers.main_file import load_main_configuration
from engine.errors import DefinitionError
from engine.kernel.commands import ApplyDefinitions, ObjectKind, ObjectRef
from engine.kernel.definitions import (
    Chain,
    Definition,
    Include,
    Job,
    Lock,
    OrderDefinition,
    ScheduleFile,
    ShellScript,
    Text,
)

T = TypeVar("T")
JOB = '<job title="{}"><script language="shell">exit 0</script></job>'
CHAIN = '<job_chain><job_chain_node state="1" job="a"/></job_chain>'
DEADLINE_S = 60.0


class World:
    """A live folder on disk, and a watcher of it."""

    def __init__(self, root: Path) -> None:
        self.root = root / "live"
        self.root.mkdir()
        self.clock = 1_000_000_000
        self.folder = self.watcher()

    def watcher(self, main: SchedulerXml | None = None) -> LiveFolder:
        return LiveFolder(
            self.root,
            {"X": "x"},
            UTC,
            main=main,
            central=self.root.parent / "cache",
            sweep_interval_s=0.05,
            settle_s=0.0,
        )

    def write(self, file: str, text: str | bytes) -> None:
        """Write a file with a time of its own, so that no test depends on the clock's grain."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one piece, or a watcher may see it twice: with the present time and with its own.
        draft = self.root.parent / "draft"
        draft.write_bytes(text if isinstance(text, bytes) else text.encode())
        self.clock += 1
        os.utime(draft, (self.clock, self.clock))
        draft.replace(path)

    def touch(self, file: str) -> None:
        self.clock += 1
        os.utime(self.root / file, (self.clock, self.clock))

    def look(self) -> ApplyDefinitions | None:
        return self.folder.scan()

    def look_twice(self) -> ApplyDefinitions:
        """Look until a change is settled."""
        assert self.folder.scan() is None
        found = self.folder.scan()
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def named(definitions: tuple[Definition, ...]) -> list[str]:
    names = []
    for one in definitions:
        match one:
            case OrderDefinition():
                names.append(str(one.key))
            case ScheduleFile():
                names.append(one.schedule.path)
            case _:
                names.append(one.path)
    return names


# --- the first look ------------------------------------------------------------------------------


def test_the_first_look_takes_everything_and_is_complete(world: World) -> None:
    world.write("c,1.order.xml", "<order/>")
    world.write("c.job_chain.xml", CHAIN)
    world.write("a.job.xml", JOB)
    world.write("sub/deep/p.process_class.xml", "<process_class/>")
    world.write("s.schedule.xml", "<schedule/>")
    world.write("m.monitor.xml", "<monitor><script language='x'>1</script></monitor>")
    world.write("l.lock.xml", "<lock/>")
    found = world.look()
    assert found is not None
    assert found.complete
    assert set(named(found.defined)) == {"/c,1", "/c", "/a", "/sub/deep/p", "/s", "/m", "/l"}
    assert found.removed == ()
    assert found.broken == ()
    assert world.look() is None


def test_an_empty_folder_is_complete_too(world: World) -> None:
    assert world.look() == ApplyDefinitions(complete=True)


def test_other_files_and_hidden_ones_are_left_alone(world: World) -> None:
    for file in ("a.config.xml", "holidays.xml", "a.job.xml~", ".git/a.job.xml", ".a.job.xml"):
        world.write(file, "<nonsense")
    assert world.look() == ApplyDefinitions(complete=True)
    assert not world.folder.findings


def test_a_definition_knows_its_file_and_time(world: World) -> None:
    world.write("sub/a.job.xml", JOB)
    found = world.look()
    assert found is not None
    source = found.defined[0].source
    assert source is not None
    assert source.file == "sub/a.job.xml"
    assert source.modified_at == world.clock * 1000


def test_names_that_were_written_in_iso_8859_1_are_read(world: World) -> None:
    folder = world.root / os.fsdecode(b"stra\xdfe")
    folder.mkdir()
    (folder / os.fsdecode(b"gr\xfcn.lock.xml")).write_text("<lock/>")
    world.write("grün.lock.xml", "<lock/>")
    found = world.look()
    assert found is not None
    assert set(named(found.defined)) == {"/straße/grün", "/grün"}


# --- changes -------------------------------------------------------------------------------------


def test_a_new_file_is_read_when_two_looks_agree(world: World) -> None:
    world.look()
    world.write("a.job.xml", JOB)
    found = world.look_twice()
    assert named(found.defined) == ["/a"]
    assert not found.complete


def test_a_file_that_still_changes_is_not_read(world: World) -> None:
    world.look()
    for number in range(5):
        world.write("a.job.xml", "<job>" + "x" * number)
        assert world.look() is None
    world.write("a.job.xml", JOB)
    assert named(world.look_twice().defined) == ["/a"]


def test_a_file_settles_for_three_seconds_and_is_missing_for_two(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("engine.drivers.folder_watch.monotonic", lambda: now)
    folder = LiveFolder(world.root, {}, UTC)
    folder.scan()
    world.write("a.job.xml", JOB)
    assert folder.scan() is None
    now += 2.9
    assert folder.scan() is None
    world.write("a.job.xml", JOB.replace("</job>", " </job>"))
    now += 0.2
    assert folder.scan() is None, "it has changed again"
    now += 3.0
    found = folder.scan()
    assert found is not None
    assert named(found.defined) == ["/a"]
    (world.root / "a.job.xml").rename(world.root / "away")
    assert folder.scan() is None
    now += 1.9
    (world.root / "away").rename(world.root / "a.job.xml")
    assert folder.scan() is None, "moved away and back, it is as before"
    (world.root / "a.job.xml").unlink()
    assert folder.scan() is None
    now += 1.9
    assert folder.scan() is None
    now += 0.2
    found = folder.scan()
    assert found is not None
    assert [one.path for one in found.removed] == ["/a"]


def test_a_file_that_a_command_writes_does_not_settle_but_its_neighbours_do(world: World) -> None:
    folder = LiveFolder(world.root, {}, UTC)
    folder.scan()
    world.write("f/a.job.xml", JOB)
    world.write("f/b.job.xml", JOB)
    found = folder.scan(file="f/a.job.xml")
    assert found is not None
    assert named(found.defined) == ["/f/a"]
    assert folder.remove(ObjectRef(kind=ObjectKind.JOB, path="/f/a")) == "f/a.job.xml"
    found = folder.scan(file="f/a.job.xml")
    assert found is not None
    assert [one.path for one in found.removed] == ["/f/a"]
    assert not found.defined


def test_a_change_is_read_at_once_when_asked(world: World) -> None:
    world.look()
    world.write("a.job.xml", JOB)
    found = world.folder.scan(at_once=True)
    assert found is not None
    assert named(found.defined) == ["/a"]
    (world.root / "a.job.xml").unlink()
    found = world.folder.scan(at_once=True)
    assert found is not None
    assert found.removed == (ObjectRef(kind=ObjectKind.JOB, path="/a"),)


def test_touching_a_file_reads_it_again_even_with_an_older_time(world: World) -> None:
    world.write("a.job.xml", JOB)
    world.look()
    world.clock -= 1000
    world.touch("a.job.xml")
    assert named(world.look_twice().defined) == ["/a"]


def test_a_removed_file_is_told_after_two_looks(world: World) -> None:
    world.write("c,1.order.xml", "<order/>")
    world.look()
    (world.root / "c,1.order.xml").unlink()
    found = world.look_twice()
    assert found.removed == (ObjectRef(kind=ObjectKind.ORDER, path="/c,1"),)
    assert world.look() is None


def test_a_file_that_was_away_for_a_moment_was_never_removed(world: World) -> None:
    world.write("a.job.xml", JOB)
    world.look()
    (world.root / "a.job.xml").rename(world.root / "away")
    assert world.look() is None
    (world.root / "away").rename(world.root / "a.job.xml")
    assert world.look() is None
    world.touch("a.job.xml")
    assert named(world.look_twice().defined) == ["/a"]


def test_a_renamed_file_is_a_removal_and_a_new_object(world: World) -> None:
    world.write("a.lock.xml", "<lock/>")
    world.look()
    (world.root / "a.lock.xml").rename(world.root / "b.lock.xml")
    found = world.look_twice()
    assert named(found.defined) == ["/b"]
    assert found.removed == (ObjectRef(kind=ObjectKind.LOCK, path="/a"),)


def test_a_change_of_case_only_is_a_change(world: World) -> None:
    world.write("a.job.xml", JOB)
    world.look()
    (world.root / "a.job.xml").rename(world.root / "A.job.xml")
    found = world.look_twice()
    assert named(found.defined) == ["/A"]
    assert found.removed == ()


def test_a_removed_folder_removes_its_objects(world: World) -> None:
    world.write("f/a.job.xml", JOB)
    world.write("f/g/l.lock.xml", "<lock/>")
    world.look()
    for file in ("f/a.job.xml", "f/g/l.lock.xml"):
        (world.root / file).unlink()
    (world.root / "f/g").rmdir()
    (world.root / "f").rmdir()
    assert {one.path for one in world.look_twice().removed} == {"/f/a", "/f/g/l"}


def test_objects_stay_when_the_folder_cannot_be_read(world: World, tmp_path: Path) -> None:
    world.write("a.job.xml", JOB)
    world.look()
    world.root.rename(tmp_path / "unmounted")
    assert world.look() is None
    assert world.look() is None
    assert [one.code for one in world.folder.findings] == ["SCHEDULER-895"]
    (tmp_path / "unmounted").rename(world.root)
    assert world.look() is None
    assert not world.folder.findings


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_objects_stay_when_their_folder_cannot_be_read(world: World) -> None:
    world.write("f/a.job.xml", JOB)
    world.look()
    (world.root / "f").chmod(0)
    try:
        assert world.look() is None
        assert world.look() is None
    finally:
        (world.root / "f").chmod(0o700)


# --- two files for one object --------------------------------------------------------------------


def test_of_two_files_for_one_object_the_second_is_ignored_with_a_warning(world: World) -> None:
    world.write("A.job.xml", JOB.format("upper"))
    world.write("a.job.xml", JOB.format("lower"))
    found = world.look()
    assert found is not None
    assert named(found.defined) == ["/A"]
    (finding,) = world.folder.findings
    assert (finding.file, finding.code, finding.severity.value) == (
        "a.job.xml",
        "SCHEDULER-889",
        "warning",
    )
    (world.root / "A.job.xml").unlink()
    found = world.look_twice()
    (job,) = found.defined
    assert isinstance(job, Job)
    assert (job.path, job.title) == ("/a", "lower")
    assert not world.folder.findings


def test_an_object_of_the_main_configuration_wins_over_a_file(world: World, tmp_path: Path) -> None:
    (tmp_path / "scheduler.xml").write_text(
        '<spooler><config time_zone="UTC"><jobs><job name="A"><script language="shell">1</script>'
        '</job></jobs><security><allowed_host host="localhost" level="info"/></security></config>'
        "</spooler>"
    )
    main = load_main_configuration(tmp_path / "scheduler.xml", {}, UTC)
    assert not main.errors
    assert main.allowed_hosts is not None
    assert main.allowed_hosts[0].level is Permission.INFO
    world.write("a.job.xml", JOB)
    found = world.watcher(main).scan()
    assert found is not None
    assert named(found.defined) == ["/A"]
    assert found.main == main.main
    assert found.broken[0].object == ObjectRef(kind=ObjectKind.JOB, path="/a")
    assert "scheduler.xml" in found.broken[0].findings[0]


def test_a_missing_main_configuration_is_a_finding(tmp_path: Path) -> None:
    assert len(load_main_configuration(tmp_path / "scheduler.xml", {}, UTC).errors) == 1


# --- broken files --------------------------------------------------------------------------------


def test_a_broken_file_is_told_and_the_rest_is_read(world: World) -> None:
    world.write("a.job.xml", "<job")
    world.write("b.job.xml", JOB)
    found = world.look()
    assert found is not None
    assert named(found.defined) == ["/b"]
    (broken,) = found.broken
    assert broken.object == ObjectRef(kind=ObjectKind.JOB, path="/a")
    assert broken.file == "a.job.xml"
    assert broken.findings[0].startswith("line 1, column ")


def test_a_file_that_breaks_is_no_removal_and_may_become_good_again(world: World) -> None:
    world.write("a.lock.xml", "<lock/>")
    world.look()
    world.write("a.lock.xml", "<lock max_non_exclusive='x'/>")
    found = world.look_twice()
    assert (found.defined, found.removed, len(found.broken)) == ((), (), 1)
    assert [one.line for one in world.folder.findings] == [1]
    world.write("a.lock.xml", "<lock max_non_exclusive='3'/>")
    found = world.look_twice()
    (lock,) = found.defined
    assert isinstance(lock, Lock)
    assert lock.max_non_exclusive == 3
    assert not world.folder.findings


def test_a_broken_file_that_goes_is_a_removal(world: World) -> None:
    world.write("a.lock.xml", "<lock")
    world.look()
    (world.root / "a.lock.xml").unlink()
    assert world.look_twice().removed == (ObjectRef(kind=ObjectKind.LOCK, path="/a"),)
    assert not world.folder.findings


def test_an_object_that_now_belongs_to_another_engine_is_removed(world: World) -> None:
    world.write("a.lock.xml", "<lock/>")
    world.look()
    world.write("a.lock.xml", "<lock spooler_id='other'/>")
    assert world.look_twice().removed == (ObjectRef(kind=ObjectKind.LOCK, path="/a"),)
    assert [one.severity.value for one in world.folder.findings] == ["warning"]


def test_a_file_that_is_too_big_is_broken(world: World) -> None:
    world.write("a.lock.xml", b"<lock>" + b" " * (9 * 1024 * 1024) + b"</lock>")
    found = world.look()
    assert found is not None
    assert "bytes" in found.broken[0].findings[0]


# --- includes ------------------------------------------------------------------------------------


def test_a_changed_include_of_parameters_reads_the_including_files_again(world: World) -> None:
    world.write("p/shared.xml", "<params><param name='a' value='1'/></params>")
    world.write(
        "c,1.order.xml", "<order><params><include live_file='p/shared.xml'/></params></order>"
    )
    world.write("l.lock.xml", "<lock/>")
    world.look()
    world.write("p/shared.xml", "<params><param name='a' value='2'/></params>")
    (order,) = world.look_twice().defined
    assert isinstance(order, OrderDefinition)
    assert order.params == {"a": "2"}
    (world.root / "p/shared.xml").unlink()
    found = world.look_twice()
    assert "SCHEDULER-399" in found.broken[0].findings[0]
    world.write("p/shared.xml", "<params><param name='a' value='3'/></params>")
    (order,) = world.look_twice().defined
    assert isinstance(order, OrderDefinition)
    assert order.params == {"a": "3"}


def test_included_holidays_are_watched_too(world: World) -> None:
    world.write("days.xml", "<holidays/>")
    world.write(
        "s.schedule.xml",
        "<schedule><holidays><include live_file='days.xml'/></holidays></schedule>",
    )
    world.look()
    world.write("days.xml", "<holidays><holiday date='2030-01-01'/></holidays>")
    (schedule,) = world.look_twice().defined
    assert isinstance(schedule, ScheduleFile)
    assert schedule.schedule.run_time.holidays is not None
    assert schedule.schedule.run_time.holidays.dates == ("2030-01-01",)


def test_a_script_is_put_together_when_its_task_starts(world: World) -> None:
    world.write("f/x.sh", "echo live\n")
    (world.root.parent / "y.sh").write_bytes("echo grün\n".encode("latin-1"))
    parts = (Text(text="a\n"), Include(live_file="/f/x.sh"), Include(file="y.sh"), Text(text="b"))
    assert world.folder.read_script(parts) == "a\necho live\necho grün\nb"
    world.write("f/x.sh", "echo changed\n")
    assert "echo changed" in world.folder.read_script(parts)


def test_a_missing_script_include_is_told_with_its_name(world: World) -> None:
    with pytest.raises(DefinitionError, match=r"SCHEDULER-399 .*'/f/no\.sh'"):
        world.folder.read_script((Include(live_file="/f/no.sh"),))


# --- files of commands ---------------------------------------------------------------------------


def test_a_file_is_written_in_one_piece_and_removed_by_the_objects_name(world: World) -> None:
    world.look()
    world.folder.write("f/g/A.job.xml", JOB.format("ü"))
    found = world.folder.scan(at_once=True)
    assert found is not None
    (job,) = found.defined
    assert isinstance(job, Job)
    assert job.title == "ü"
    assert [one.name for one in (world.root / "f/g").iterdir()] == ["A.job.xml"]
    assert world.folder.file_of(ObjectRef(kind=ObjectKind.JOB, path="/f/g/a")) is not None
    assert world.folder.remove(ObjectRef(kind=ObjectKind.JOB, path="/f/g/a"))
    assert not world.folder.remove(ObjectRef(kind=ObjectKind.JOB, path="/f/g/none"))
    found = world.folder.scan(at_once=True)
    assert found is not None
    assert found.removed == (ObjectRef(kind=ObjectKind.JOB, path="/f/g/A"),)


def test_the_file_of_an_order_is_found_by_chain_and_id(world: World) -> None:
    world.write("f/Chain,a,B.order.xml", "<order/>")
    world.look()
    assert world.folder.file_of(ObjectRef(kind=ObjectKind.ORDER, path="/f/chain,a,B")) is not None
    assert world.folder.file_of(ObjectRef(kind=ObjectKind.ORDER, path="/f/chain,a,b")) is None


def test_a_file_outside_of_the_folder_is_not_written(world: World) -> None:
    with pytest.raises(ValueError, match="leaves the root"):
        world.folder.write("../x.job.xml", JOB)


# --- listing -------------------------------------------------------------------------------------


def test_links_are_followed_and_circles_end(world: World, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/a.job.xml").write_text(JOB)
    (world.root / "link").symlink_to(tmp_path / "elsewhere")
    for circle in ("one", "two", "three"):
        (world.root / circle).symlink_to(world.root)
    (world.root / "nowhere").symlink_to(tmp_path / "nothing")
    listing = list_files(world.root)
    assert "link/a.job.xml" in listing.stamps
    assert list(listing.stamps) == ["link/a.job.xml"]
    assert read_file(world.root, "link/a.job.xml") == JOB.encode()


# --- the loop ------------------------------------------------------------------------------------


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fail when it does not come true."""
    ends = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends, "the condition did not come true"
        await asyncio.sleep(0.01)


@pytest.mark.anyio
@pytest.mark.parametrize("with_notices", [True, False])
async def test_the_loop_hands_over_every_change(world: World, *, with_notices: bool) -> None:
    submitted: list[ApplyDefinitions] = []

    async def submit(difference: ApplyDefinitions) -> None:
        submitted.append(difference)

    world.write("a.job.xml", JOB)
    task = asyncio.create_task(world.folder.run(submit, with_notices=with_notices))
    try:
        await until(lambda: len(submitted) == 1)
        assert submitted[0].complete
        world.write("b.job.xml", JOB)
        await until(lambda: len(submitted) == 2)
        assert named(submitted[1].defined) == ["/b"]
        (world.root / "a.job.xml").unlink()
        await until(lambda: len(submitted) == 3)
        assert [one.path for one in submitted[2].removed] == ["/a"]
        await world.folder.look()
        world.write("c.job_chain.xml", CHAIN)
        await world.folder.check_now()
        assert any(isinstance(one, Chain) for one in submitted[-1].defined)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()


@pytest.mark.anyio
async def test_a_caller_that_gives_up_does_not_interrupt_a_look(world: World) -> None:
    submitted: list[ApplyDefinitions] = []
    may_go_on = asyncio.Event()

    async def submit(difference: ApplyDefinitions) -> None:
        if submitted:
            await may_go_on.wait()
        submitted.append(difference)

    await world.folder.check_now()
    task = asyncio.create_task(world.folder.run(submit, with_notices=False))
    try:
        await until(lambda: len(submitted) == 1)
        world.write("a.job.xml", JOB)
        asking = asyncio.create_task(world.folder.check_now())
        await until(
            lambda: world.folder.file_of(ObjectRef(kind=ObjectKind.JOB, path="/a")) is not None
        )
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        may_go_on.set()
        await until(lambda: len(submitted) == 2)
        assert named(submitted[1].defined) == ["/a"]
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_what_happens_to_files_is_logged_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "engine.drivers.folder_watch")
    world.write("A.lock.xml", "<lock/>")
    world.write("j.job.xml", "<job/>")
    world.write("J.job.xml", "<job/>")
    world.look()
    world.look()
    world.write("b.lock.xml", "<lock/>")
    world.touch("A.lock.xml")
    world.look_twice()
    (world.root / "A.lock.xml").unlink()
    world.look_twice()
    assert [(one.levelname, one.getMessage().split(". ")[0]) for one in caplog.records] == [
        (
            "WARNING",
            (
                "j.job.xml:1:1: warning: SCHEDULER-889 The file is ignored, because "
                "'J.job.xml' defines an object of the same name"
            ),
        ),
        ("ERROR", "J.job.xml:1:1: error: The job has no script"),
        ("INFO", "SCHEDULER-892 The file 'A.lock.xml' has changed"),
        ("INFO", "SCHEDULER-891 The file 'b.lock.xml' is new"),
        ("INFO", "SCHEDULER-890 The file 'A.lock.xml' has been removed"),
    ]


@pytest.mark.anyio
async def test_many_files_do_not_hold_up_the_event_loop(world: World) -> None:
    for number in range(300):
        world.write(f"f{number % 7}/j{number}.job.xml", JOB)
    submitted: list[ApplyDefinitions] = []

    async def submit(difference: ApplyDefinitions) -> None:
        submitted.append(difference)

    turns = 0
    task = asyncio.create_task(world.folder.run(submit, with_notices=False))
    try:
        ends = time.monotonic() + DEADLINE_S
        while not submitted:
            assert time.monotonic() < ends
            await asyncio.sleep(0)
            turns += 1
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert len(submitted[0].defined) == 300
    assert turns > 3


def calls_of(work: Callable[[], T]) -> tuple[T, int]:
    """Return the result of some work and how many calls it took: the same on any machine."""
    calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event in {"call", "c_call"}:
            calls += 1

    sys.setprofile(count)
    try:
        return work(), calls
    finally:
        sys.setprofile(None)


def test_ten_times_the_files_take_ten_times_the_work(world: World) -> None:
    def work_for(count: int, folder: str) -> int:
        root = world.root / folder
        for number in range(count):
            place = root / f"f{number % 50}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"j{number}.job.xml").write_text(JOB)
        watcher = LiveFolder(root, {}, UTC)
        found, calls = calls_of(watcher.scan)
        assert found is not None
        assert len(found.defined) == count
        again, calls_again = calls_of(watcher.scan)
        assert again is None
        assert calls_again < calls / 4, "files that have not changed are not read again"
        return calls

    small = work_for(200, "small")
    big = work_for(2000, "big")
    assert big < 11 * small


def test_folders_that_differ_in_case_are_different_folders(world: World) -> None:
    world.write("Prod/load.job.xml", JOB)
    world.write("prod/LOAD.job.xml", JOB)
    found = world.look()
    assert found is not None
    assert set(named(found.defined)) == {"/Prod/load", "/prod/LOAD"}
    assert len({one.key for one in found.defined if isinstance(one, Job)}) == 2
    assert not world.folder.findings


# --- the central configuration -------------------------------------------------------------------


def job_title(found: ApplyDefinitions) -> str:
    [job] = [one for one in found.defined if isinstance(one, Job)]
    return job.title


def test_a_central_file_comes_before_the_live_one_and_is_told(world: World) -> None:
    world.write("a.job.xml", JOB.format("local"))
    world.write("../cache/A.job.xml", JOB.format("central"))
    world.write("../cache/sub/l.lock.xml", "<lock/>")
    found = world.look()
    assert found is not None
    assert job_title(found) == "central"
    assert set(named(found.defined)) == {"/A", "/sub/l"}
    [finding] = world.folder.findings
    assert (finding.file, finding.code) == ("a.job.xml", "SCHEDULER-703")


def test_a_central_file_need_not_settle_and_its_end_makes_the_live_one_count(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(tmp_path)
    world.folder = LiveFolder(world.root, {}, UTC, central=tmp_path / "cache", settle_s=1000.0)
    world.write("a.job.xml", JOB.format("local"))
    world.look()
    world.write("../cache/a.job.xml", JOB.format("central"))
    found = world.look()
    assert found is not None
    assert job_title(found) == "central"
    assert "SCHEDULER-460" in caplog.text
    (tmp_path / "cache" / "a.job.xml").unlink()
    found = world.folder.scan(at_once=True)
    assert found is not None
    assert job_title(found) == "local"
    assert not world.folder.findings


def test_includes_of_central_files_lie_in_the_central_folder(world: World) -> None:
    params = '<params><include live_file="p.xml"/></params>'
    script = '<script language="shell"><include live_file="s.sh"/></script>'
    for place, text in (("", "local"), ("../cache/", "central")):
        world.write(f"{place}p.xml", f'<params><param name="from" value="{text}"/></params>')
        world.write(f"{place}s.sh", text)
    world.write("../cache/a.job.xml", f"<job>{params}{script}</job>")
    found = world.look()
    assert found is not None
    [job] = found.defined
    assert isinstance(job, Job)
    assert job.params == {"from": "central"}
    assert isinstance(job.script, ShellScript)
    assert world.folder.read_script(job.script.parts) == "central"
    world.write("../cache/p.xml", '<params><param name="from" value="changed"/></params>')
    found = world.look()
    assert found is not None
    [job] = found.defined
    assert isinstance(job, Job)
    assert job.params == {"from": "changed"}


def test_a_command_does_not_delete_a_central_file(world: World) -> None:
    world.write("../cache/a.job.xml", JOB)
    world.look()
    assert world.folder.remove(ObjectRef(kind=ObjectKind.JOB, path="/a")) is None
    assert (world.root.parent / "cache" / "a.job.xml").exists()


@pytest.mark.anyio
async def test_the_loop_ends_when_it_is_told_to_in_the_moment_of_a_notice(world: World) -> None:
    async def submit(_difference: ApplyDefinitions) -> None:
        pass

    folder = LiveFolder(world.root, {}, UTC, sweep_interval_s=1000.0, settle_s=0.0)
    task = asyncio.create_task(folder.run(submit, with_notices=False))
    await until(lambda: bool(folder._wake._waiters))  # it waits
    # A notice wakes the loop, and before it goes on it is cancelled.
    await folder.look()
    task.cancel()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
