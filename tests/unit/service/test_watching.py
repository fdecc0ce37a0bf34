"""Demands about files reach the drivers when, and only when, something has changed."""

import logging
from collections.abc import Collection
from typing import cast

import pytest

from engine.drivers.file_orders import FileOrderDriver
from engine.drivers.job_watches import JobWatchDriver
from engine.kernel.commands import JobAction, ModifyJob, PauseEngine, RemoveChain, Request
from engine.kernel.definitions import DirectoryWatch, FileOrderSource
from engine.kernel.effects import CheckFile, WatchDirectory, WatchForJob
from engine.kernel.file_watching import check_demand, job_watch_demand, watch_demands
from engine.kernel.ids import ChainKey, JobKey, OrderId, OrderKey
from engine.kernel.reports import DirectoryRead, FileChecked, Report
from engine.service.watching import StateKnowledge, Watching
from tests.support.world import World, chain, node, shell_job

WALK = ChainKey("/walk")
KEY = OrderKey(WALK, OrderId("/in/1"))


class Drivers:
    """What the drivers were told last, and how often."""

    def __init__(self) -> None:
        self.watches: list[WatchDirectory] = []
        self.checks: list[CheckFile] = []
        self.jobs: list[WatchForJob] = []
        self.times = 0

    def watch(self, demands: Collection[WatchDirectory | WatchForJob]) -> None:
        self.times += 1
        for demand in demands:
            assert isinstance(demand, WatchDirectory)
        self.watches = [each for each in demands if isinstance(each, WatchDirectory)]

    def check(self, demands: Collection[CheckFile]) -> None:
        self.checks = list(demands)


class Jobs:
    def __init__(self, drivers: Drivers) -> None:
        self._drivers = drivers

    def watch(self, demands: Collection[WatchForJob]) -> None:
        self._drivers.jobs = list(demands)


class Watched:
    """A world whose demands are kept in step with drivers."""

    def __init__(self) -> None:
        self.world = World(
            shell_job("a"),
            shell_job("b"),
            shell_job("w", is_order_job=False, directory_watches=(DirectoryWatch(directory="/w"),)),
            chain(
                "walk",
                node("100", "a"),
                node("200", "b"),
                file_order_sources=(FileOrderSource(directory="/in"),),
            ),
            chain("other", node("100", "a")),
        )
        self.drivers = Drivers()
        self.watching = Watching(
            self.world.state,
            cast("FileOrderDriver", self.drivers),
            cast("JobWatchDriver", Jobs(self.drivers)),
            lambda: self.world.now,
        )
        self.watching.begin()

    def does(self, asked: Request | Report) -> None:
        self.world.does(asked)
        self.told()

    def told(self) -> None:
        self.watching.committed(self.world.last)
        state = self.world.state
        assert self.drivers.watches == list(watch_demands(state, WALK, self.world.now))
        check = check_demand(state, KEY)
        assert self.drivers.checks == ([] if check is None else [check])
        job = job_watch_demand(state, JobKey("/w"))
        assert self.drivers.jobs == ([] if job is None else [job])

    def finds(self) -> None:
        turn = self.world.state.chains[WALK].file_turn
        self.does(DirectoryRead(chain=WALK, source=0, directory="/in", turn=turn, files=("/in/1",)))

    def ends(self) -> None:
        self.world.launches()
        self.told()
        self.world.ends()
        self.told()


def test_the_drivers_follow_a_file_order_through_its_life() -> None:
    watched = Watched()
    assert watched.drivers.watches
    watched.finds()
    assert not watched.drivers.watches
    watched.ends()
    watched.ends()
    assert watched.drivers.checks
    watched.does(FileChecked(order=KEY, path="/in/1", exists=True))
    watched.does(RemoveChain(chain=WALK))
    assert not watched.drivers.watches


def test_an_order_of_another_chain_occupies_the_job_too() -> None:
    watched = Watched()
    watched.world.adds("1", "other")
    watched.told()
    assert not watched.drivers.watches
    watched.ends()
    assert watched.drivers.watches


def test_stopping_and_pausing_reach_the_drivers() -> None:
    watched = Watched()
    for job in ("/a", "/w"):
        watched.does(ModifyJob(job=JobKey(job), action=JobAction.STOP))
    assert not watched.drivers.watches
    assert not watched.drivers.jobs
    for job in ("/a", "/w"):
        watched.does(ModifyJob(job=JobKey(job), action=JobAction.UNSTOP))
    assert watched.drivers.jobs
    watched.does(PauseEngine(paused=True))
    assert not watched.drivers.watches


def test_what_changes_nothing_is_not_told() -> None:
    watched = Watched()
    times = watched.drivers.times
    watched.does(ModifyJob(job=JobKey("/b"), action=JobAction.STOP))
    assert watched.drivers.times == times


def test_a_new_chain_is_watched_and_a_changed_one_as_it_is_now() -> None:
    watched = Watched()
    watched.world.defines(
        chain(
            "walk",
            node("100", "a"),
            file_order_sources=(FileOrderSource(directory="/elsewhere"),),
        )
    )
    watched.told()
    assert watched.drivers.watches[0].directory == "/elsewhere"


def test_the_state_knows_its_files() -> None:
    watched = Watched()
    knowledge = StateKnowledge(watched.world.state)
    watched.finds()
    assert list(knowledge.new_files(WALK, "/in", iter(["/in/1", "/in/2"]))) == ["/in/2"]
    watched.ends()
    watched.ends()
    assert knowledge.held_paths(WALK, "/in", watched.drivers.checks[0].agent) == ["/in/1"]


def test_the_engine_log_names_what_is_wrong(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched = Watched()
    failed = DirectoryRead(chain=WALK, source=0, directory="/in", turn=0, error="gone")
    watched.does(failed)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    watched.does(DirectoryRead(chain=WALK, source=0, directory="/in", turn=0))
    assert "SCHEDULER-984" in caplog.text
    watched.does(
        DirectoryRead(chain=WALK, source=0, directory="/in", turn=0, files=("/in/" + "x" * 300,))
    )
    assert "SCHEDULER-346" in caplog.text
    watched.finds()
    watched.ends()
    watched.ends()
    watched.does(FileChecked(order=KEY, path="/in/1", exists=True))
    assert "SCHEDULER-340" in caplog.text
