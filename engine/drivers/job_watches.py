"""Directories whose changes start jobs (orders-and-jobs.md 3.11)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.agent.directories import matching_names, path_in
from engine.kernel.definitions import DirectoryWatch
from engine.kernel.effects import WatchForJob
from engine.kernel.ids import JobKey
from engine.kernel.reports import DirectoryChanged, Report

log = logging.getLogger(__name__)

THREADS = 4
"""Directories that hang hold a thread each."""

SendReport = Callable[[Sequence[Report]], Awaitable[None]]
Names = Mapping[DirectoryWatch, frozenset[str]]
"""Matching names by watch; without those that could not be read."""


class JobWatchDriver:
    """Looks into the directories of all watching jobs, every `interval_s` seconds."""

    def __init__(self, report: SendReport, interval_s: float) -> None:
        self.report = report
        self.interval_s = interval_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="watches")
        self._watches: dict[JobKey, _Watch] = {}
        self._running: dict[JobKey, asyncio.Task[None]] = {}

    def watch(self, demands: Collection[WatchForJob]) -> None:
        """Take over what is to be watched; a watch that begins anew knows of no former files."""
        wanted = {demand.job: demand for demand in demands}
        for job, watch in list(self._watches.items()):
            demand = wanted.get(job)
            if demand is None or _is_other(demand, watch.demand):
                self._running.pop(job).cancel()
                del self._watches[job]
            else:
                watch.demand = demand
        for job, demand in wanted.items():
            if job not in self._watches:
                watch = self._watches[job] = _Watch(self, demand)
                self._running[job] = asyncio.create_task(watch.run(), name=f"watches of {job}")

    async def close(self) -> None:
        """End all watches."""
        tasks = list(self._running.values())
        self._running.clear()
        self._watches.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def read(self, watches: Sequence[DirectoryWatch]) -> Names:
        """Read directories in a thread of the driver's own."""
        running = asyncio.get_running_loop()
        return await running.run_in_executor(self._threads, _read, watches)


def _is_other(one: WatchForJob, other: WatchForJob) -> bool:
    return (one.watches, one.version) != (other.watches, other.version)


class _Watch:
    """The directories of one job: any of them starts it."""

    def __init__(self, driver: JobWatchDriver, demand: WatchForJob) -> None:
        self.demand = demand
        self._driver = driver
        self._names: dict[DirectoryWatch, frozenset[str]] = {}
        self._told: tuple[str, ...] = ()
        self._is_first = True
        self._failed: set[str] = set()

    async def run(self) -> None:
        """Look every now and then, until cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(self._driver.interval_s)

    async def _look(self) -> None:
        found = await self._driver.read(self.demand.watches)
        self._note_failures(found)
        starts = any(
            _starts(watch, self._names.get(watch), names, is_first=self._is_first)
            for watch, names in found.items()
        )
        self._is_first = False
        self._names.update(found)
        files = tuple(
            dict.fromkeys(
                path_in(watch.directory, name)
                for watch in self.demand.watches
                for name in sorted(self._names.get(watch, ()))
            )
        )
        if starts or (self.demand.awaits_start and files != self._told):
            self._told = files
            report = DirectoryChanged(job=self.demand.job, files=files, starts=starts)
            await self._driver.report([report])

    def _note_failures(self, found: Names) -> None:
        failed = {watch.directory for watch in self.demand.watches if watch not in found}
        for directory in failed - self._failed:
            log.warning("The job %s watches %s, unreadable", self.demand.job, directory)
        for directory in self._failed - failed:
            log.info("SCHEDULER-984 %s can be read again", directory)
        self._failed = failed


def _read(watches: Sequence[DirectoryWatch]) -> dict[DirectoryWatch, frozenset[str]]:
    found: dict[DirectoryWatch, frozenset[str]] = {}
    for watch in watches:
        try:
            found[watch] = frozenset(matching_names(watch.directory, watch.regex))
        except OSError:
            continue  # what was there counts until the directory can be read again
    return found


def _starts(
    watch: DirectoryWatch,
    former: frozenset[str] | None,
    names: frozenset[str],
    *,
    is_first: bool,
) -> bool:
    """Whether the look shows a change that starts the job.

    At first any file does. Later every change of names does, with a regular expression only names
    that have been added.
    """
    if is_first or former is None:
        return bool(names)
    return bool(names - former) if watch.regex is not None else names != former
