"""What the engine log tells of definitions that go or change while in use (live-folder.md 15)."""

import pytest

from engine.kernel.calendar import RunTime, Schedule
from engine.kernel.commands import ApplyDefinitions, ObjectKind, ObjectRef, StartJob
from engine.kernel.definitions import Lock, LockUse, ProcessClass, ScheduleFile
from engine.kernel.ids import ClassPath, LockPath, SchedulePath, job_key
from engine.kernel.step import step
from engine.service.definition_messages import USERS_NAMED_MAX, DefinitionMessages
from tests.support.world import World, chain, node, shell_job


def told(
    world: World, caplog: pytest.LogCaptureFixture, request: ApplyDefinitions
) -> list[tuple[str, str]]:
    """Return the levels and messages about what becomes of a request."""
    caplog.set_level("INFO", "engine.service.definition_messages")
    caplog.clear()
    done = step(world.state, request, world.now)
    DefinitionMessages(world.state).committed(done.events)
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def removal(kind: ObjectKind, path: str) -> ApplyDefinitions:
    return ApplyDefinitions(removed=(ObjectRef(kind=kind, path=path),))


def test_a_job_in_use_goes_later_and_its_chains_miss_it(caplog: pytest.LogCaptureFixture) -> None:
    world = World(shell_job("a"), chain("walk", node("1", "a")))
    world.adds("1")
    world.launches()
    (first,) = told(world, caplog, removal(ObjectKind.JOB, "/a"))
    assert first == ("INFO", "SCHEDULER-989 The job '/a' goes when its tasks have ended")
    world.ends()
    DefinitionMessages(world.state).committed(world.last)
    texts = [record.getMessage() for record in caplog.records[1:]]
    assert texts[0] == "SCHEDULER-861 The job '/a' is removed"
    assert texts[1].startswith("SCHEDULER-893 The job '/a' is missing for /walk;")


def test_the_users_of_a_schedule_are_named_but_not_all(caplog: pytest.LogCaptureFixture) -> None:
    path = SchedulePath("/s")
    count = USERS_NAMED_MAX + 2
    jobs = [shell_job(f"j{number:02}", run_time=RunTime(schedule=path)) for number in range(count)]
    world = World(ScheduleFile(schedule=Schedule(path=path)), *jobs)
    gone, missed = told(world, caplog, removal(ObjectKind.SCHEDULE, "/s"))
    assert gone == ("INFO", "SCHEDULER-885 The schedule '/s' is removed")
    assert missed[0] == "WARNING"
    assert "SCHEDULER-893 The schedule '/s' is missing for /j00, /j01" in missed[1]
    assert "and 2 more" in missed[1]


def test_a_lock_that_nobody_uses_goes_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    world = World(Lock(path=LockPath("/l")))
    assert told(world, caplog, removal(ObjectKind.LOCK, "/l")) == [
        ("INFO", "SCHEDULER-861 The lock '/l' is removed")
    ]


def test_limits_below_the_present_use_are_told(caplog: pytest.LogCaptureFixture) -> None:
    uses = (LockUse(lock=LockPath("/l"), exclusive=False),)
    jobs = [
        shell_job(name, is_order_job=False, locks=uses, process_class=ClassPath("/c"))
        for name in ("a", "b")
    ]
    world = World(Lock(path=LockPath("/l")), ProcessClass(path=ClassPath("/c")), *jobs)
    for name in ("a", "b"):
        world.does(StartJob(job=job_key(name)))
    lowered = (
        Lock(path=LockPath("/l"), max_non_exclusive=1),
        ProcessClass(path=ClassPath("/c"), max_processes=1),
    )
    found = told(world, caplog, ApplyDefinitions(defined=lowered))
    assert [level for level, _ in found] == ["WARNING", "WARNING"]
    assert {text.split()[0] for _, text in found} == {"SCHEDULER-419", "SCHEDULER-887"}
