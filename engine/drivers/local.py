"""Tasks on the engine's own host: the agent's way of running them, without a connection between.

The run folders are part of the engine's data. A task runs on when the engine is killed; the next
life of the engine takes it over, or tells its end, and starts nothing twice.
"""

import asyncio
import logging
import socket
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from engine.agent.host import Start, TaskHost
from engine.agent.surroundings import Surroundings
from engine.codec.agent_messages import Channel, TaskEnded
from engine.drivers.agent_link import OutputOffsets, OutputSink, ReportSink
from engine.kernel.effects import ForgetExecution, KeepAgent, KillMode, RunProcess
from engine.kernel.ids import Epoch, ExecutionKey, TaskId
from engine.kernel.instants import FOREVER, Instant
from engine.kernel.reports import (
    EndReason,
    LaunchFailure,
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)

log = logging.getLogger(__name__)

PIECE_BYTES_MAX = 256 * 1024
REPORTS_MAX = 500
"""In one delivery."""


@dataclass(slots=True, kw_only=True)
class _Task:
    task: TaskId
    stored: list[int] = field(default_factory=lambda: [0, 0])
    sizes: list[int] = field(default_factory=lambda: [0, 0])
    launched: TaskLaunched | None = None
    ended: TaskEnded | None = None
    refused: str | None = None
    is_forgotten: bool = False
    """It was started, and nothing is known of it."""
    signalled: set[KillMode] = field(default_factory=set)
    is_demanded: bool = False
    is_over: bool = False
    """Its end was reported."""

    @property
    def is_stored(self) -> bool:
        """Whether all output that is known of is stored."""
        return all(stored >= size for stored, size in zip(self.stored, self.sizes, strict=True))


class LocalDriver:
    """All tasks of one engine on its own host. Use from one event loop."""

    def __init__(
        self,
        *,
        engine_id: str,
        epoch: Epoch,
        folder: Path,
        report: ReportSink,
        output: OutputSink,
        output_offsets: OutputOffsets,
        http_port: int | None = None,
        is_durable: bool = True,
    ) -> None:
        self._engine_id = engine_id
        self._epoch = epoch
        self._report = report
        self._output = output
        self._output_offsets = output_offsets
        self._tasks: dict[ExecutionKey, _Task] = {}
        self._news: dict[ExecutionKey, None] = {}
        self._wake = asyncio.Event()
        self._wanted: dict[ExecutionKey, RunProcess] = {}
        self._is_open = False
        self._was_told = False
        self._host = TaskHost(
            folder,
            self,
            Surroundings(host=socket.gethostname().partition(".")[0], http_port=http_port),
            names_task_in_arguments=False,
            is_durable=is_durable,
        )

    async def run(self) -> None:
        """Take over what is on disk and serve the demands, until cancelled."""
        for found in await self._host.open():
            task = self._add(found.key, found.about.task)
            if found.pid is not None:
                task.launched = TaskLaunched(
                    key=found.key,
                    pid=found.pid,
                    started_at=found.about.began_at,
                )
                self._news[found.key] = None
        self._host.watch_found()
        self._is_open = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._host.run())
                group.create_task(self._deliver_all())
                self._compare()
        finally:
            self._host.close()

    def demands(self, agents: Collection[KeepAgent], runs: Collection[RunProcess]) -> None:  # noqa: ARG002 - the same shape as the agents' driver
        """Take the whole of what should run; tasks of agents are left to others."""
        wanted = {run.key: run for run in runs if not run.agent}
        before, self._wanted = self._wanted, wanted
        if not self._was_told:
            self._was_told = True
            self._compare()
            return
        changed = [key for key, run in wanted.items() if before.get(key) is not run]
        gone = [key for key in before if key not in wanted]
        self._look_at([*changed, *gone])

    def forget(self, executions: Collection[ForgetExecution]) -> None:
        """Drop what is kept of executions whose end the journal has."""
        for execution in executions:
            if not execution.agent:
                self._wanted.pop(execution.key, None)
                self._look_at([execution.key])

    # --- the difference --------------------------------------------------------------------------

    def _compare(self) -> None:
        """Look at everything: what is demanded, and what former lives have left."""
        if self._was_told:
            self._look_at([*self._wanted, *self._tasks])

    def _look_at(self, keys: Collection[ExecutionKey]) -> None:
        if not self._is_open:
            return
        for key in dict.fromkeys(keys):
            run = self._wanted.get(key)
            task = self._tasks.get(key)
            if run is not None:
                self._bring_about(key, run, task)
            elif task is not None:
                self._leave(key, task)

    def _bring_about(self, key: ExecutionKey, run: RunProcess, task: _Task | None) -> None:
        if task is None:
            task = self._add(key, run.task)
            if run.has_started:
                # Its folder is gone: somebody has removed it, or this is another host.
                task.is_forgotten = task.is_demanded = True
                self._tell(key)
                return
            if not run.may_start:
                task.refused = run.refusal or "The task was ended before it was started"
                self._tell(key)
                return
            self._host.begin(
                Start(
                    key=key,
                    engine=self._engine_id,
                    task=run.task,
                    timeout=FOREVER,
                    spec=run.spec,
                )
            )
        if not task.is_demanded:
            task.is_demanded = True
            self._tell(key)
        if run.kill is not None and run.kill not in task.signalled:
            task.signalled.add(run.kill)
            if run.kill is KillMode.TERMINATE:
                self._host.terminate(key)
            else:
                self._host.kill([key], EndReason.KILLED)

    def _leave(self, key: ExecutionKey, task: _Task) -> None:
        """Nobody wants this any more."""
        task.is_demanded = False
        if task.refused is not None or task.ended is not None or task.is_forgotten:
            del self._tasks[key]
            self._news.pop(key, None)
            self._host.discard(key)
        elif KillMode.KILL not in task.signalled:
            task.signalled.add(KillMode.KILL)
            self._host.kill([key], EndReason.KILLED)

    def _add(self, key: ExecutionKey, number: TaskId) -> _Task:
        task = _Task(task=number, stored=list(self._output_offsets(number)))
        self._tasks[key] = task
        return task

    # --- what the host tells (HostListener) ------------------------------------------------------

    def may_start(self, key: ExecutionKey) -> bool:
        """Return whether it is still demanded."""
        run = self._wanted.get(key)
        return run is not None and run.kill is not KillMode.KILL

    def launched(self, key: ExecutionKey, pid: int, started_at: Instant) -> None:
        """Take note that a program runs."""
        task = self._tasks.get(key)
        if task is not None:
            task.launched = TaskLaunched(key=key, pid=pid, started_at=started_at)
            self._tell(key)

    def not_launched(self, key: ExecutionKey, text: str) -> None:
        """Take note that a program could not be started."""
        task = self._tasks.get(key)
        if task is not None:
            task.refused = text
            self._tell(key)
            self._look_if_unwanted(key)

    def grew(self, key: ExecutionKey, stdout: int, stderr: int) -> None:
        """Take note that there is more output."""
        task = self._tasks.get(key)
        if task is not None:
            task.sizes = [stdout, stderr]
            self._tell(key)

    def ended(self, ending: TaskEnded, stdout: int, stderr: int) -> None:
        """Take note that a program is over."""
        task = self._tasks.get(ending.key)
        if task is None:
            self._host.discard(ending.key)
            return
        task.sizes = [stdout, stderr]
        task.ended = ending
        self._tell(ending.key)
        self._look_if_unwanted(ending.key)

    def _look_if_unwanted(self, key: ExecutionKey) -> None:
        if self._was_told and key not in self._wanted:
            self._look_at([key])

    def _tell(self, key: ExecutionKey) -> None:
        self._news[key] = None
        self._wake.set()

    # --- deliveries ------------------------------------------------------------------------------

    async def _deliver_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._news:
                keys = list(self._news)[:REPORTS_MAX]
                found = []
                for key in keys:
                    del self._news[key]
                    task = self._tasks.get(key)
                    if task is not None and (task.is_demanded or task.refused is not None):
                        found.append((key, task))
                await asyncio.gather(*(self._store(key, task) for key, task in found))
                reports = [report for key, task in found for report in self._reports(key, task)]
                if reports:
                    await self._report(reports)

    async def _store(self, key: ExecutionKey, task: _Task) -> None:
        for index, channel in enumerate(Channel):
            while task.stored[index] < task.sizes[index]:
                offset = task.stored[index]
                length = min(PIECE_BYTES_MAX, task.sizes[index] - offset)
                data = self._host.read(key, channel, offset, length)
                if not data:
                    task.sizes[index] = offset  # somebody has cut the file
                    break
                await self._output(task.task, channel.value, offset, data)
                task.stored[index] = offset + len(data)

    def _reports(self, key: ExecutionKey, task: _Task) -> list[Report]:
        if task.is_over:
            return []
        reports: list[Report] = []
        if task.refused is not None:
            task.is_over = True
            failure = LaunchFailure.REFUSED
            return [TaskNotLaunched(key=key, failure=failure, text=task.refused)]
        if task.is_forgotten:
            task.is_over = True
            text = "The files of the task are gone, its result is not known"
            return [TaskLost(key=key, text=text)]
        if task.launched is not None:
            reports.append(task.launched)
            task.launched = None
        # It may have ended while output was being stored: then there are further news of it, and
        # its end is told when all that was said before is stored.
        if task.ended is not None and task.is_stored:
            task.is_over = True
            reports.append(_ended(task.ended))
        return reports


def _ended(ending: TaskEnded) -> Report:
    if ending.exit_code is None:
        text = "The host went down while the task ran, its result is not known"
        return TaskLost(key=ending.key, text=text)
    # On the engine's own host a signal shows as its negative number (agents.md 5.5).
    code = ending.exit_code if ending.signal is None else -ending.signal
    return TaskExited(
        key=ending.key,
        exit_code=code,
        signal=ending.signal,
        reason=ending.reason,
        ended_at=ending.ended_at,
        first_line=ending.first_line,
        error_line=ending.error_line,
        returned=ending.returned,
        returned_problem=ending.returned_problem,
    )
