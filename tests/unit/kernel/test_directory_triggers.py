"""Directories that start jobs (orders-and-jobs.md 3.11)."""

from engine.kernel.calendar import Period, RunTime
from engine.kernel.commands import JobAction, ModifyJob
from engine.kernel.definitions import DirectoryWatch, Job
from engine.kernel.demands import environment_of
from engine.kernel.events.files import JobTriggered
from engine.kernel.events.tasks import Cause, TaskCreated
from engine.kernel.file_watching import job_watch_demand
from engine.kernel.ids import JobKey
from engine.kernel.instants import Instant, seconds
from engine.kernel.reports import DirectoryChanged
from tests.support.world import START, World, file_source, shell_job

WATCHING = JobKey("/watching")
WATCHES = (DirectoryWatch(directory="/in", regex="x"), DirectoryWatch(directory="/other"))


def watching(**changes: object) -> Job:
    return shell_job("watching", is_order_job=False, directory_watches=WATCHES, **changes)


def changes(world: World, *files: str, starts: bool = True) -> None:
    world.does(DirectoryChanged(job=WATCHING, files=files, starts=starts))


def test_a_job_watches_its_directories() -> None:
    demand = job_watch_demand(World(watching()).state, WATCHING)
    assert demand is not None
    assert demand.watches == WATCHES
    assert not demand.awaits_start


def test_a_changed_job_file_begins_to_watch_anew() -> None:
    world = World(watching(source=file_source("watching.job.xml", 1)))
    before = job_watch_demand(world.state, WATCHING)
    world.defines(watching(source=file_source("watching.job.xml", 2)))
    assert job_watch_demand(world.state, WATCHING) != before


def test_a_change_starts_the_job_and_tells_it_the_files() -> None:
    world = World(watching())
    changes(world, "/in/x", "/other/y")
    (created,) = world.happened(TaskCreated)
    assert (created.cause, created.trigger_files) == (Cause.DIRECTORY, ("/in/x", "/other/y"))
    environment = environment_of(world.state, world.task())
    assert environment["SCHEDULER_TASK_TRIGGER_FILES"] == "/in/x;/other/y"
    assert world.state.jobs[WATCHING].trigger_files is None


def test_changes_while_a_task_runs_start_the_job_once_afterwards() -> None:
    world = World(watching())
    changes(world, "/in/x")
    changes(world, "/in/x", "/in/xx")
    changes(world, "/in/x", "/in/xx", "/in/xxx")
    assert len(world.tasks()) == 1
    world.ends()
    (created,) = world.happened(TaskCreated)
    assert created.trigger_files == ("/in/x", "/in/xx", "/in/xxx")
    world.ends()
    assert not world.tasks()


def test_a_new_list_of_files_counts_only_while_a_start_is_waited_for() -> None:
    world = World(watching())
    changes(world, "/in/x", starts=False)
    assert not world.last
    changes(world, "/in/x")
    changes(world, "/in/x", "/in/xx")
    changes(world, "/in/xx", starts=False)
    assert world.happened(JobTriggered)
    world.ends()
    assert world.happened(TaskCreated)[0].trigger_files == ("/in/xx",)


def test_a_change_told_twice_is_one_start() -> None:
    world = World(watching())
    changes(world, "/in/x")
    changes(world, "/in/x")
    changes(world, "/in/x")
    world.ends()
    world.ends()
    assert not world.tasks()


def test_a_stopped_job_watches_nothing_and_forgets_what_it_waited_for() -> None:
    world = World(watching())
    changes(world, "/in/x")
    changes(world, "/in/xx")
    world.does(ModifyJob(job=WATCHING, action=JobAction.STOP))
    assert job_watch_demand(world.state, WATCHING) is None
    changes(world, "/in/xxx")
    assert not world.last
    world.ends()
    world.does(ModifyJob(job=WATCHING, action=JobAction.UNSTOP))
    assert not world.tasks()
    assert job_watch_demand(world.state, WATCHING) is not None


def test_the_job_starts_only_inside_a_period() -> None:
    begin = (START // 1000 + 3600) % 86_400
    period = Period(begin=begin, end=begin + 600)
    world = World(watching(run_time=RunTime(periods=(period,))))
    changes(world, "/in/x")
    assert not world.tasks()
    world.passes(seconds(3599))
    assert not world.tasks()
    world.passes(seconds(2))
    assert world.task().cause is Cause.DIRECTORY
    assert world.task().trigger_files == ("/in/x",)


def test_what_a_job_waits_for_survives_a_restart() -> None:
    world = World(watching())
    changes(world, "/in/x")
    changes(world, "/in/xx")
    assert world.replayed().jobs == world.state.jobs
    assert world.state.jobs[WATCHING].trigger_files == ("/in/xx",)


def test_a_job_without_watches_does_not_start() -> None:
    world = World(shell_job("watching", is_order_job=False))
    changes(world, "/in/x")
    assert not world.last
    assert job_watch_demand(world.state, WATCHING) is None
    assert world.now == Instant(START)
