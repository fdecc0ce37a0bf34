"""A driver with everything around it in memory: what it reports and what its jobs print."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar

from engine.drivers.ssh import SshDriver
from engine.drivers.ssh_following import Pace, Stream
from engine.drivers.ssh_hosts import SshHosts
from engine.drivers.ssh_login import SshSettings
from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.reports import (
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.sessions.effects import Before, RunSsh
from tests.support.sshd import SshServer

QUICK = Pace(
    poll_first_s=0.02,
    poll_max_s=0.2,
    retry_first_s=0.1,
    watch_s=0.3,
    result_grace_s=0.3,
    reap_s=0.1,
)
LIMIT_S = 60.0
_T = TypeVar("_T")


class MemoryOutput:
    """Task logs in memory; outlives the driver, as the files do."""

    def __init__(self) -> None:
        self.streams: dict[tuple[TaskId, Stream], bytes] = {}
        self.notes: list[tuple[TaskId, str]] = []

    async def kept(self, task: TaskId, stream: Stream) -> int:
        return len(self.streams.get((task, stream), b""))

    async def write(self, task: TaskId, stream: Stream, offset: int, data: bytes) -> None:
        there = self.streams.get((task, stream), b"")
        assert offset == len(there), "output comes once and without holes"
        self.streams[task, stream] = there + data

    async def note(self, task: TaskId, text: str) -> None:
        self.notes.append((task, text))


class SshWorld:
    """What stands for the engine around the driver."""

    def __init__(self, settings: SshSettings, pace: Pace = QUICK) -> None:
        self.settings = settings
        self.pace = pace
        self.output = MemoryOutput()
        self.reports: list[Report] = []
        self.runs: dict[ExecutionKey, RunSsh] = {}
        self._ended: set[ExecutionKey] = set()
        self._tasks: dict[ExecutionKey, TaskId] = {}
        self.hosts = SshHosts(settings)
        self.driver = self._driver()
        self._task: asyncio.Task[None] | None = None

    def _driver(self) -> SshDriver:
        return SshDriver(
            self.hosts,
            report=self._report,
            output=self.output,
            now=lambda: Instant(time.time_ns() // 1_000_000),
            pace=self.pace,
        )

    async def _report(self, reports: Sequence[Report]) -> None:
        for report in reports:
            self.reports.append(report)
            if isinstance(report, TaskExited):
                self._ended.add(report.key)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.driver.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self.hosts.close()

    async def restart_hosts(self) -> None:
        """Have connections again after a stop, without a driver: an engine that forgot."""
        self.hosts = SshHosts(self.settings)

    async def restart(self) -> None:
        """End the driver and its connections, and begin again from what was demanded."""
        await self.stop()
        self.hosts = SshHosts(self.settings)
        self.driver = self._driver()
        records = {each.key: each.record for each in self.reports if isinstance(each, TaskLaunched)}
        self.runs = {
            key: replace(
                run,
                before=Before.SURELY if key in records else Before.PERHAPS,
                record=records.get(key, ""),
            )
            for key, run in self.runs.items()
        }
        self._task = asyncio.create_task(self.driver.run())
        self._tell()

    def text(self, key: str, stream: Stream = Stream.STDOUT) -> str:
        """What a task has printed."""
        task = self._tasks[ExecutionKey(key)]
        return self.output.streams.get((task, stream), b"").decode(errors="replace")

    stdout = Stream.STDOUT
    stderr = Stream.STDERR

    def task(self, key: str) -> TaskId:
        return self._tasks[ExecutionKey(key)]

    def start(self, key: str, parameters: dict[str, str], **more: object) -> RunSsh:
        task = self._tasks.setdefault(ExecutionKey(key), TaskId(len(self._tasks) + 1))
        run = RunSsh(
            key=ExecutionKey(key),
            task=task,
            job="/test",
            parameters=parameters,
            **more,  # type: ignore[arg-type]
        )
        self.runs[run.key] = run
        self._tell()
        return run

    def kill(self, key: str, mode: KillMode) -> None:
        self.runs[ExecutionKey(key)] = replace(self.runs[ExecutionKey(key)], kill=mode)
        self._tell()

    def withdraw(self, key: str) -> None:
        del self.runs[ExecutionKey(key)]
        self._tell()

    def _tell(self) -> None:
        self.driver.demands(list(self.runs.values()))

    def reported(self, kind: type[_T], key: str) -> _T | None:
        found = [
            each
            for each in self.reports
            if isinstance(each, kind) and getattr(each, "key", None) == key
        ]
        return found[-1] if found else None

    def ended(self, key: str) -> bool:
        return key in self._ended

    async def launched(self, key: str) -> TaskLaunched:
        return await self.wait_for(lambda: self.reported(TaskLaunched, key))

    async def exited(self, key: str, limit_s: float = LIMIT_S) -> TaskExited:
        return await self.wait_for(lambda: self.reported(TaskExited, key), limit_s)

    async def not_launched(self, key: str) -> TaskNotLaunched:
        return await self.wait_for(lambda: self.reported(TaskNotLaunched, key))

    async def lost(self, key: str, limit_s: float = LIMIT_S) -> TaskLost:
        return await self.wait_for(lambda: self.reported(TaskLost, key), limit_s)

    async def wait_for(self, what: Callable[[], _T | None], limit_s: float = LIMIT_S) -> _T:
        return await until(what, limit_s, lambda: f"reports: {self.reports}")


async def until(
    what: Callable[[], _T | None], limit_s: float = LIMIT_S, state: Callable[[], str] = str
) -> _T:
    """Wait until something is there, not longer than the limit."""
    end = time.monotonic() + limit_s
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {limit_s} s; {state()}"
        await asyncio.sleep(0.01)


def login(server: SshServer, user: str | None = None) -> dict[str, str]:
    """Parameters of a job that logs in to the server by key."""
    return {
        "host": "127.0.0.1",
        "port": str(server.port),
        "user": server.accounts[user or server.user].name,
        "auth_file": str(server.key),
    }


def settings_for(folder: Path, server: SshServer, **more: object) -> SshSettings:
    return SshSettings(
        own_known_hosts=folder / "own_known_hosts",
        known_hosts=(server.known_hosts,),
        config_files=(),
        answer_timeout_s=10,
        connect_timeout_s=10,
        **more,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def ssh_world(folder: Path, server: SshServer, **more: object) -> AsyncIterator[SshWorld]:
    async with SshWorld(settings_for(folder, server, **more)) as world:
        yield world
