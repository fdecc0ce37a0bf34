"""Directories whose files become orders, and the files of orders that have ended (1.11).

The driver reads a directory while that is demanded, remembers what it has found, and offers it file
by file as room is demanded; each file is looked for again right before it is offered. What becomes
of the files is the kernel's business.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from engine.agent.directories import oldest_first, present
from engine.drivers.agent_files import AgentFiles
from engine.errors import AgentError
from engine.kernel.effects import CheckFile, WatchDirectory
from engine.kernel.ids import AgentUri, ChainKey, OrderKey
from engine.kernel.reports import DirectoryRead, FileChecked, Report

log = logging.getLogger(__name__)

LOOKS_APART_S = 1.0
"""Two looks into one directory are at least so far apart (1.11.1)."""
OFFERED_MAX = 500
"""Files in one report."""
KNOWN_MAX = 1_000
"""Files that a waiting agent is told not to wait for; with more of them it answers at once."""
DISK_S = 60.0
"""A directory that has not answered in this time counts as unreadable."""
THREADS = 8
"""Directories that hang hold a thread each."""
AGENT_RETRY_S = 10.0
IDLE_S = 3600.0
"""What was found in a directory that nobody has asked for is forgotten after this time."""

T = TypeVar("T")
SendReport = Callable[[Sequence[Report]], Awaitable[None]]
SourceKey = tuple[ChainKey, int]


class Knowledge(Protocol):
    """What the state says about files; asked between two steps of the engine."""

    def new_files(self, chain: ChainKey, directory: str, paths: Iterator[str]) -> Iterator[str]:
        """Yield the paths for which no order exists."""

    def held_paths(self, chain: ChainKey, directory: str, agent: AgentUri) -> list[str]:
        """Return the paths whose disappearance is to be told."""


class FileOrderDriver:
    """All directories of file order sources. Use from one event loop."""

    def __init__(
        self,
        knowledge: Knowledge,
        report: SendReport,
        agents: AgentFiles,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.knowledge = knowledge
        self.report = report
        self.agents = agents
        self.clock = clock
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="file orders")
        self._sources: dict[SourceKey, _Source] = {}
        self._running: dict[SourceKey, asyncio.Task[None]] = {}
        self._checks: dict[OrderKey, CheckFile] = {}
        self._checking: dict[OrderKey, asyncio.Task[None]] = {}

    def watch(self, demands: Collection[WatchDirectory]) -> None:
        """Take over which directories are to be read."""
        wanted = {(demand.chain, demand.source): demand for demand in demands}
        for key, source in self._sources.items():
            if key not in wanted:
                source.want(None)
        for key, demand in wanted.items():
            known = self._sources.get(key)
            if known is None or known.task_ended:
                known = self._sources[key] = _Source(self)
                self._running[key] = asyncio.create_task(
                    known.run(), name=f"directory {demand.directory}"
                )
            known.want(demand)

    def check(self, demands: Collection[CheckFile]) -> None:
        """Take over which files are to be looked for."""
        self._checks = {demand.order: demand for demand in demands}
        for order, task in list(self._checking.items()):
            if order not in self._checks or task.done():
                task.cancel()
                del self._checking[order]
        for order, demand in self._checks.items():
            if order not in self._checking:
                self._checking[order] = asyncio.create_task(
                    self._check(demand), name=f"file of the order {order}"
                )

    async def close(self) -> None:
        """End all looks."""
        tasks = [*self._running.values(), *self._checking.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def on_disk(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Run blocking work in a thread of the driver's own."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _check(self, demand: CheckFile) -> None:
        while True:
            try:
                if demand.agent:
                    exists = await self.agents.exists(demand.agent, demand.path)
                else:
                    exists = bool(await self.on_disk(lambda: present([demand.path])))
            except (AgentError, OSError) as error:
                log.info("The file of %s cannot be looked for yet: %s", demand.order, error)
                await asyncio.sleep(AGENT_RETRY_S)
                continue
            found = FileChecked(order=demand.order, path=demand.path, exists=exists)
            await self.report([found])
            return


class _Source:
    """One directory: what was found in it, and when to look again."""

    def __init__(self, driver: FileOrderDriver) -> None:
        self.task_ended = False
        self._driver = driver
        self._demand: WatchDirectory | None = None
        self._found: deque[str] = deque()
        self._looked_at: float | None = None
        self._next_look = 0.0
        self._failed: bool | None = None
        self._is_asked = False
        self._wake = asyncio.Event()
        self._hanging: asyncio.Future[list[str]] | None = None

    def want(self, demand: WatchDirectory | None) -> None:
        """Take over the demand; a new turn, or a job that is free again, asks for a new look."""
        former, self._demand = self._demand, demand
        if former == demand:
            return
        if demand is not None and former is not None and _differs(former, demand):
            self._found = deque()
            self._looked_at = None
        if demand is not None and (former is None or former.turn != demand.turn):
            self._is_asked = True
        self._wake.set()

    async def run(self) -> None:
        """Look and offer while that is wanted."""
        try:
            while await self._step():
                pass
        finally:
            self.task_ended = True

    async def _step(self) -> bool:
        demand = self._demand
        if demand is None:
            return await self._is_woken(IDLE_S) or self._demand is not None
        if self._found:
            await self._offer(demand)
            return True
        wait_s = self._wait_s()
        if wait_s > 0:
            await self._is_woken(wait_s)
        else:
            await self._look(demand)
        return True

    async def _is_woken(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        finally:
            self._wake.clear()
        return True

    def _wait_s(self) -> float:
        if self._looked_at is None:
            return 0.0
        due = self._next_look
        if self._is_asked and not self._failed:
            due = min(due, self._looked_at + LOOKS_APART_S)
        return due - self._driver.clock()

    # --- looking ---------------------------------------------------------------------------------

    async def _look(self, demand: WatchDirectory) -> None:
        clock = self._driver.clock
        self._is_asked = False
        self._looked_at = clock()
        held = self._driver.knowledge.held_paths(demand.chain, demand.directory, demand.agent)
        try:
            paths = await self._paths(demand, held)
            gone = await self._gone(demand, held, paths)
        except (AgentError, OSError) as error:
            self._next_look = clock() + max(demand.delay_after_error / 1000, LOOKS_APART_S)
            if not self._failed:
                await self._tell(demand, error=_text(error))
            self._failed = True
            return
        self._next_look = max(
            self._looked_at + demand.repeat / 1000, self._looked_at + LOOKS_APART_S
        )
        self._found = deque(
            self._driver.knowledge.new_files(demand.chain, demand.directory, iter(paths))
        )
        if gone or self._failed is not False:
            await self._tell(demand, gone=gone)
        self._failed = False

    async def _paths(self, demand: WatchDirectory, held: Sequence[str]) -> list[str]:
        if demand.agent:
            wait_s = demand.repeat / 1000 if len(held) <= KNOWN_MAX else 0.0
            return await self._driver.agents.oldest_first(
                demand.agent, demand.directory, demand.regex, wait_s, held[:KNOWN_MAX]
            )
        if self._hanging is None:
            self._hanging = self._driver.on_disk(
                lambda: oldest_first(demand.directory, demand.regex)
            )
        done, _ = await asyncio.wait([self._hanging], timeout=DISK_S)
        if not done:
            raise TimeoutError(f"no answer for {DISK_S:g} s")
        looked, self._hanging = self._hanging, None
        return looked.result()

    async def _gone(
        self, demand: WatchDirectory, held: Sequence[str], paths: Sequence[str]
    ) -> tuple[str, ...]:
        seen = set(paths)
        doubtful = [path for path in held if path not in seen]
        there = set(await self._present(demand, doubtful))
        return tuple(path for path in doubtful if path not in there)

    async def _present(self, demand: WatchDirectory, paths: Sequence[str]) -> list[str]:
        if not paths:
            return []
        if demand.agent:
            agents = self._driver.agents
            return [path for path in paths if await agents.exists(demand.agent, path)]
        return await self._driver.on_disk(lambda: present(paths))

    # --- offering --------------------------------------------------------------------------------

    async def _offer(self, demand: WatchDirectory) -> None:
        """Tell as many files as there is room for, the oldest first."""
        found = self._found
        batch = self._next_new(demand)
        try:
            there = await self._present(demand, batch)
        except (AgentError, OSError) as error:
            log.info("The files in %s cannot be looked for: %s", demand.directory, error)
            there = []
        if there and self._demand is demand:
            await self._tell(demand, files=tuple(there))
        knowledge = self._driver.knowledge
        left = list(knowledge.new_files(demand.chain, demand.directory, iter(there)))
        found.extendleft(reversed(left))
        if left and self._demand is demand:
            await self._is_woken(LOOKS_APART_S)  # the kernel did not take them after all

    def _next_new(self, demand: WatchDirectory) -> list[str]:
        """Take the next files without an order out of what was found, as many as have room."""
        batch: list[str] = []
        knowledge = self._driver.knowledge
        while self._found and len(batch) < min(demand.room, OFFERED_MAX):
            path = self._found.popleft()
            batch += knowledge.new_files(demand.chain, demand.directory, iter([path]))
        return batch

    async def _tell(
        self,
        demand: WatchDirectory,
        *,
        files: tuple[str, ...] = (),
        gone: tuple[str, ...] = (),
        error: str = "",
    ) -> None:
        report = DirectoryRead(
            chain=demand.chain,
            source=demand.source,
            directory=demand.directory,
            turn=demand.turn,
            files=files,
            gone=gone,
            error=error,
        )
        await self._driver.report([report])


def _differs(one: WatchDirectory, other: WatchDirectory) -> bool:
    """Whether the demands are about different files."""
    return (one.directory, one.regex, one.agent) != (other.directory, other.regex, other.agent)


def _text(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} (errno {error.errno})"
    return str(error)
