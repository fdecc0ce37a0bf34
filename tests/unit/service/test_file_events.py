"""Jobs that start when a file of the live folder comes, changes or goes."""

from engine.codec.xml.main_configuration import EventJobs
from engine.kernel.commands import ApplyDefinitions, BrokenFile, ObjectKind, ObjectRef
from engine.kernel.ids import job_key
from engine.service.file_events import file_event_starts
from tests.support.world import World, file_source, shell_job

EVENT_JOBS = EventJobs(added="/came", modified="/Changed", deleted="/went")
ODD = ObjectRef(kind=ObjectKind.JOB, path="/sub/Odd")


def told(world: World, look: ApplyDefinitions, jobs: EventJobs = EVENT_JOBS) -> list[object]:
    starts = file_event_starts(world.state, look, jobs, "/live")
    return [(start.job, dict(start.params)) for start in starts]


def event(name: str, path: str) -> dict[str, str]:
    return {
        "scheduler_live_event": name,
        "scheduler_live_filepath": path,
        "scheduler_live_filebase": path.rpartition("/")[2],
    }


def test_a_new_file_and_a_changed_one_start_their_jobs() -> None:
    world = World(shell_job("old"))
    new = shell_job("new", source=file_source("new.job.xml"))
    old = shell_job("old", source=file_source("old.job.xml", 1))
    assert told(world, ApplyDefinitions(defined=(new, old))) == [
        (job_key("/came"), event("add", "/live/new.job.xml")),
        (job_key("/changed"), event("modified", "/live/old.job.xml")),
    ]


def test_a_broken_file_is_an_event_too() -> None:
    world = World()
    look = ApplyDefinitions(
        broken=(BrokenFile(object=ODD, file="sub/Odd.job.xml", findings=("bad",)),)
    )
    assert told(world, look) == [(job_key("/came"), event("add", "/live/sub/Odd.job.xml"))]
    world.does(look)
    assert told(world, look) == [(job_key("/changed"), event("modified", "/live/sub/Odd.job.xml"))]


def test_a_file_that_goes_starts_a_job() -> None:
    look = ApplyDefinitions(removed=(ODD,))
    assert told(World(), look) == [(job_key("/went"), event("delete", "/live/sub/Odd.job.xml"))]


def test_the_start_keeps_to_the_run_time_and_tells_shells_by_variables() -> None:
    (start,) = file_event_starts(World().state, ApplyDefinitions(removed=(ODD,)), EVENT_JOBS, "/l")
    assert not start.force
    assert start.environment["SCHEDULER_LIVE_EVENT"] == "delete"


def test_neither_the_first_look_nor_an_event_without_job_starts_anything() -> None:
    new = shell_job("new", source=file_source("new.job.xml"))
    assert not told(World(), ApplyDefinitions(defined=(new,), complete=True))
    assert not told(World(), ApplyDefinitions(defined=(new,)), EventJobs(deleted="/went"))
