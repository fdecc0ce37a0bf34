"""What drivers are told when a script or a secret cannot be read: nothing that may run is dropped."""

from collections.abc import Awaitable, Collection, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from engine.errors import DefinitionError
from engine.kernel.commands import AddOrder, KillTask
from engine.kernel.definitions import Include, OrderDefinition, Text
from engine.kernel.effects import KillMode, RunProcess
from engine.kernel.ids import order_key
from engine.kernel.instants import Instant
from engine.kernel.native import SSH
from engine.kernel.reports import LaunchFailure, Report, TaskLaunched, TaskLost, TaskNotLaunched
from engine.kernel.sessions.effects import Before, RunSsh
from engine.kernel.state import Task
from engine.service.dispatch import Dispatcher, Drivers, Surroundings
from engine.store.secret_box import SealBroken
from tests.support.world import World, chain, native_job, node, shell_job

WHY = "no such file"


class Told:
    """A driver that keeps what it was told last."""

    def __init__(self) -> None:
        self.runs: list[Any] = []

    def demands(self, *told: Collection[Any]) -> None:
        self.runs = list(told[-1])

    def changed(self, runs: Mapping[Any, Collection[RunProcess]]) -> None:
        self.runs = [run for each in runs.values() for run in each]

    def forget(self, _: Collection[Any]) -> None:
        """Nothing is kept."""


class Bench:
    """A dispatcher over a world, with a script that can be read or not, and secrets as well."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.is_readable = True
        self.is_sealed_well = True
        self.reported: list[Report] = []
        self.start()

    def start(self) -> None:
        """Begin another life of the engine."""
        self.local, self.ssh = Told(), Told()
        self.dispatcher = Dispatcher(
            self.world.state,
            Drivers(local=self.local, remote=Told(), native=Told(), ssh=self.ssh),
            Surroundings(
                read_script=self._read,
                read_settings=cast("Any", None),
                live=Path("/live"),
                environment={},
                opened=self._opened,
            ),
            self._report,
            self._spawn,
        )
        self.dispatcher.begin()

    def tell(self) -> None:
        """Pass on what the last input has changed."""
        self.dispatcher.committed(self.world.last)

    def task(self) -> Task:
        (task,) = self.world.state.tasks.values()
        return task

    def _read(self, _: Sequence[Text | Include]) -> str:
        if not self.is_readable:
            raise DefinitionError(WHY)
        return "true"

    def _opened(self, values: Mapping[str, str]) -> dict[str, str]:
        if not self.is_sealed_well:
            raise SealBroken(WHY)
        return dict(values)

    async def _report(self, report: Report) -> None:
        self.reported.append(report)

    def _spawn(self, errand: Awaitable[None]) -> None:
        with pytest.raises(StopIteration):
            cast("Coroutine[Any, Any, None]", errand).send(None)


@pytest.fixture(params=["shell", "ssh"])
def bench(request: pytest.FixtureRequest) -> Bench:
    login = {"host": "h", "user": "u", "ssh_password": "x", "ssh_auth_method": "password"}
    job = shell_job("work") if request.param == "shell" else native_job("work", SSH, params=login)
    return Bench(World(job, chain("walk", node("100", "work"))))


def begun(bench: Bench, *, has_started: bool) -> Bench:
    bench.world.does(AddOrder(order=OrderDefinition(key=order_key("/walk", "one"))))
    bench.tell()
    if has_started:
        key = bench.task().key
        assert key is not None
        bench.world.does(TaskLaunched(key=key, pid=7, started_at=Instant(1)))
        bench.tell()
    return bench


def only_run(bench: Bench) -> RunProcess | RunSsh:
    (run,) = [*bench.local.runs, *bench.ssh.runs]
    assert isinstance(run, RunProcess | RunSsh)
    return run


def test_a_new_task_without_its_script_is_refused(bench: Bench) -> None:
    bench.is_readable = False
    begun(bench, has_started=False)
    (report,) = bench.reported
    assert isinstance(report, TaskNotLaunched)
    assert (report.failure, report.text) == (LaunchFailure.REFUSED, WHY)
    assert not [*bench.local.runs, *bench.ssh.runs]


@pytest.mark.parametrize("has_started", [False, True])
def test_after_a_restart_a_task_without_its_script_is_watched_and_not_started(
    bench: Bench, has_started: bool
) -> None:
    begun(bench, has_started=has_started)
    bench.is_readable = False
    bench.start()
    run = only_run(bench)
    assert bench.reported == []
    assert (run.may_start, run.refusal) == (False, WHY)
    if isinstance(run, RunProcess):
        assert run.has_started is has_started
    else:
        assert run.before is (Before.SURELY if has_started else Before.PERHAPS)


@pytest.mark.parametrize("has_started", [False, True])
def test_after_a_restart_a_task_without_its_secrets_is_not_said_to_have_never_run(
    bench: Bench, has_started: bool
) -> None:
    begun(bench, has_started=has_started)
    bench.is_sealed_well = False
    bench.start()
    if bench.local.runs:
        assert not only_run(bench).may_start
        assert bench.reported == []
    else:
        (report,) = bench.reported
        assert isinstance(report, TaskLost)
        assert WHY in report.text


def test_a_running_task_whose_script_has_gone_can_be_killed(bench: Bench) -> None:
    begun(bench, has_started=True)
    bench.is_readable = False
    bench.start()
    bench.world.does(KillTask(task=bench.task().id, immediately=True, timeout=None))
    bench.tell()
    run = only_run(bench)
    assert run.kill is KillMode.KILL
    assert run.key == bench.task().key
