"""From demands to the drivers that look at files, and what the engine log says about files.

After a commit only those chains and jobs are looked at that its events may have touched; a change
of definitions looks at all of them.
"""

import logging
import typing
from collections.abc import Callable, Iterable, Iterator, Sequence

from engine.drivers.file_orders import FileOrderDriver
from engine.drivers.job_watches import JobWatchDriver
from engine.kernel import file_watching
from engine.kernel.effects import CheckFile, WatchDirectory, WatchForJob
from engine.kernel.events import Event
from engine.kernel.events import control as c
from engine.kernel.events import files as f
from engine.kernel.events import orders as o
from engine.kernel.events.definitions import DefinitionEvent
from engine.kernel.ids import AgentUri, ChainKey, JobKey, OrderKey
from engine.kernel.instants import Instant
from engine.kernel.state import State

log = logging.getLogger(__name__)

_WIDE: tuple[type, ...] = (
    *typing.get_args(DefinitionEvent),
    c.EpochBegan,
    c.EnginePausedSet,
    c.AgentStatusChanged,
)
"""Events after which any chain or job may be concerned."""


class StateKnowledge:
    """What the state says about files; see `drivers.file_orders.Knowledge`."""

    def __init__(self, state: State) -> None:
        self._state = state

    def new_files(self, chain: ChainKey, directory: str, paths: Iterator[str]) -> Iterator[str]:
        """Yield the paths for which no order exists."""
        return file_watching.new_files(self._state, chain, directory, paths)

    def held_paths(self, chain: ChainKey, directory: str, agent: AgentUri) -> list[str]:
        """Return the paths whose disappearance is to be told."""
        return file_watching.held_paths(self._state, chain, directory, agent)


class Watching:
    """Keeps the drivers of files in step with the state."""

    def __init__(
        self,
        state: State,
        files: FileOrderDriver,
        jobs: JobWatchDriver,
        now: Callable[[], Instant],
    ) -> None:
        self._state = state
        self._files = files
        self._jobs = jobs
        self._now = now
        self._first_jobs: dict[ChainKey, frozenset[JobKey]] = {}
        """Chains with sources, and the jobs that take their files."""
        self._watches: dict[ChainKey, tuple[WatchDirectory, ...]] = {}
        self._checks: dict[OrderKey, CheckFile] = {}
        self._job_watches: dict[JobKey, WatchForJob] = {}
        self._has_begun = False

    def begin(self) -> None:
        """Tell the drivers everything: when the live folder is in effect."""
        self._has_begun = True
        for keys in self._state.blacklisted_in_chain.values():
            for key in keys:
                self._look_at_order(key)
        self._files.check(list(self._checks.values()))
        self._look_at_everything()
        self._tell()

    def committed(self, events: Sequence[Event]) -> None:
        """Tell the drivers what has changed with these events."""
        if self._has_begun:
            self._look(events)
        for event in events:
            _say(event)

    async def close(self) -> None:
        """End all looks."""
        await self._files.close()
        await self._jobs.close()

    def _look(self, events: Iterable[Event]) -> None:
        is_wide = False
        chains: set[ChainKey] = set()
        jobs: set[JobKey] = set()
        orders: dict[OrderKey, None] = {}
        for event in events:
            is_wide = is_wide or isinstance(event, _WIDE)
            job = getattr(event, "job", None)
            if isinstance(job, str):
                jobs.add(JobKey(job))
            order = _order_of(event)
            if order is not None:
                chains.add(order.chain)
                orders[order] = None
        checks_changed = [self._look_at_order(order) for order in orders]
        if any(checks_changed):
            self._files.check(list(self._checks.values()))
        changed = self._look_at_everything() if is_wide else self._look_at_some(chains, jobs)
        if changed:
            self._tell()

    # --- looking ---------------------------------------------------------------------------------

    def _look_at_order(self, key: OrderKey) -> bool:
        former = self._checks.pop(key, None)
        demand = file_watching.check_demand(self._state, key)
        if demand is not None:
            self._checks[key] = demand
        return former != demand

    def _look_at_everything(self) -> bool:
        state = self._state
        self._first_jobs = {}
        for chain in state.chains.values():
            sources = chain.definition.file_order_sources
            if sources:
                found = (file_watching.first_job(state, chain, source) for source in sources)
                self._first_jobs[chain.key] = frozenset(job.key for job in found if job is not None)
        gone = [key for key in self._watches if key not in self._first_jobs]
        for key in gone:
            del self._watches[key]
        changed = [self._look_at_chain(key) for key in self._first_jobs]
        changed += [self._look_at_job(job) for job in {*self._job_watches, *state.jobs}]
        return bool(gone) or any(changed)

    def _look_at_some(self, chains: set[ChainKey], jobs: set[JobKey]) -> bool:
        changed = [
            self._look_at_chain(chain)
            for chain, first_jobs in self._first_jobs.items()
            if chain in chains or not first_jobs.isdisjoint(jobs)
        ]
        changed += [self._look_at_job(job) for job in jobs]
        return any(changed)

    def _look_at_chain(self, chain: ChainKey) -> bool:
        former = self._watches.get(chain, ())
        demands = tuple(file_watching.watch_demands(self._state, chain, self._now()))
        if demands:
            self._watches[chain] = demands
        else:
            self._watches.pop(chain, None)
        return demands != former

    def _look_at_job(self, job: JobKey) -> bool:
        former = self._job_watches.pop(job, None)
        demand = file_watching.job_watch_demand(self._state, job)
        if demand is not None:
            self._job_watches[job] = demand
        return demand != former

    def _tell(self) -> None:
        self._files.watch([demand for demands in self._watches.values() for demand in demands])
        self._jobs.watch(list(self._job_watches.values()))


def _order_of(event: Event) -> OrderKey | None:
    if isinstance(event, o.OrderAdded):
        key = event.definition.key
        return key if event.inner_chain is None else OrderKey(event.inner_chain, key.id)
    order = getattr(event, "order", None)
    return order if isinstance(order, OrderKey) else None


# --- the engine log ------------------------------------------------------------------------------


def _say(event: Event) -> None:
    match event:
        case f.SourceFailed():
            level = logging.WARNING if event.alerts else logging.INFO
            log.log(
                level,
                "The directory %s of the job chain %s cannot be read: %s",
                event.directory,
                event.chain,
                event.text,
            )
        case f.SourceReadable():
            log.info(
                "SCHEDULER-984 The directory %s of the job chain %s can be read again",
                event.directory,
                event.chain,
            )
        case f.FileIgnored():
            log.error("SCHEDULER-346 The file %s is ignored: %s", event.path, event.reason)
        case f.OrderFileStays():
            log.error(
                "SCHEDULER-340 The order %s has ended, but its file is still there", event.order
            )
        case _:
            pass
