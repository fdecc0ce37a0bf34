"""Native jobs: code of ours that stands in for classes of the original's job library.

Each runs as a task of this process, bounded in time and number. What it does outside can be
repeated without harm, so a restarted engine simply runs it again under the same key.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from engine.agent.directories import move_file, remove_file
from engine.drivers.agent_files import AgentFiles
from engine.errors import AgentRefused, AgentUnreachable
from engine.kernel.effects import RunNative
from engine.kernel.ids import AgentUri, ExecutionKey
from engine.kernel.native import SINK_TARGET, SSH_KILL, SSH_READ_PID
from engine.kernel.params import value_of
from engine.kernel.reports import NativeEnded
from engine.kernel.state import FILE_ORDER_PARAM

log = logging.getLogger(__name__)

_AGENT_RETRY_S = 10.0

Probe = Callable[[AgentUri], Awaitable[bool]]
Report = Callable[[NativeEnded], Awaitable[None]]
Cleanup = Callable[[RunNative], Awaitable[NativeEnded]]

_CLEANUP_KINDS = frozenset({SSH_READ_PID, SSH_KILL})


class NativeJobDriver:
    """Carries out the demands for native jobs."""

    def __init__(
        self,
        probe: Probe,
        report: Report,
        jobs_max: int,
        files: AgentFiles,
        cleanup: Cleanup | None = None,
    ) -> None:
        """`cleanup` carries out the jobs of cleanup chains and limits their number itself."""
        self._cleanup = cleanup
        self._probe = probe
        self._files = files
        self._report = report
        self._slots = asyncio.Semaphore(jobs_max)
        self._running: dict[ExecutionKey, asyncio.Task[None]] = {}

    def demands(self, runs: Collection[RunNative]) -> None:
        """Start what is demanded and not running; end what is not demanded any more."""
        wanted = {run.key for run in runs}
        for key, task in list(self._running.items()):
            if key not in wanted:
                task.cancel()
                del self._running[key]
        for run in runs:
            if run.key not in self._running:
                self._running[run.key] = asyncio.create_task(
                    self._run(run), name=f"native job {run.key}"
                )

    async def close(self) -> None:
        """End everything; the next life of the engine runs it again."""
        running = list(self._running.values())
        self._running.clear()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, run: RunNative) -> None:
        if run.kind in _CLEANUP_KINDS and self._cleanup is not None:
            # Apart from the others: a host out of reach must hold up no split and no sink.
            await self._report(await self._cleanup(run))
            return
        async with self._slots:
            try:
                ended = await self._carry_out(run)
            except OSError as error:
                ended = NativeEnded(key=run.key, succeeded=False, text=str(error))
        await self._report(ended)

    async def _carry_out(self, run: RunNative) -> NativeEnded:
        match run.kind:
            case "split":
                return await self._split(run)
            case "file_order_sink":
                return await self._empty_sink(run)
            case _:
                text = f"SCHEDULER-199 The engine cannot run native jobs of the kind {run.kind!r}"
                return NativeEnded(key=run.key, succeeded=False, text=text)

    async def _split(self, run: RunNative) -> NativeEnded:
        """Ask all agents at once whether they are there; the probe has its own time limit."""
        answers = await asyncio.gather(*(self._probe(agent) for agent in run.agents))
        available = tuple(
            agent for agent, is_there in zip(run.agents, answers, strict=True) if is_there
        )
        return NativeEnded(key=run.key, succeeded=True, available=available)

    async def _empty_sink(self, run: RunNative) -> NativeEnded:
        """Delete or move the file of a file order, where it is (orders-and-jobs.md 1.11.3)."""
        path = value_of(run.parameters, FILE_ORDER_PARAM)
        if not path:
            text = "SCHEDULER-343 The order is no file order, so the sink has no file to take"
            return NativeEnded(key=run.key, succeeded=False, text=text)
        target = value_of(run.parameters, SINK_TARGET)
        done = f"The file was moved to {target}" if target else "The file was removed"
        while run.agents:
            try:
                await self._take_away_at(run.agents[0], path, target)
            except AgentUnreachable as error:
                log.info("A file order sink waits for its agent: %s", error)
                await asyncio.sleep(_AGENT_RETRY_S)
            except AgentRefused as error:
                return NativeEnded(key=run.key, succeeded=False, text=str(error))
            else:
                return NativeEnded(key=run.key, succeeded=True, text=done)
        if not await asyncio.to_thread(_take_away, path, target):
            done = "The file has gone already"
        return NativeEnded(key=run.key, succeeded=True, text=done)

    async def _take_away_at(self, agent: AgentUri, path: str, target: str | None) -> None:
        if target:
            await self._files.move(agent, path, target)
        else:
            await self._files.remove(agent, path)


def _take_away(path: str, target: str | None) -> bool:
    return move_file(path, target) if target else remove_file(path)
