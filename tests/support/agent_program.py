"""Real agent programs on loopback, and an engine's driver with the least of an engine behind it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from engine.drivers.agent_link import AgentDriver, AgentDriverSettings, AgentPulse
from engine.drivers.local import LocalDriver
from engine.kernel.effects import ForgetExecution, KeepAgent, KillMode, ProcessSpec, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)

PATIENCE_S = 60.0
TOKEN = "a-token-of-the-tests"
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from engine.agent.main import run_agent
from pathlib import PosixPath
from engine.agent.settings import AgentSettings, TlsSettings
settings = AgentSettings(data=Path(sys.argv[1]), port=int(sys.argv[2]), **eval(sys.argv[3]))
sys.exit(asyncio.run(run_agent(settings)))
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Callable[[], Any], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until something holds; fail with its description when it does not come about."""
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience_s} s in vain: {what}")
        await asyncio.sleep(0.01)


class AgentProgram:
    """One agent with its data folder and port, over several lives."""

    def __init__(
        self, folder: Path, *, host: str = "127.0.0.1", prefix: Sequence[str] = (), **settings: Any
    ) -> None:
        """`prefix`: words before the command, to run it somewhere else."""
        self.data = folder
        self.port = free_port()
        self.uri = AgentUri(f"http://{host}:{self.port}")
        self._prefix = list(prefix)
        self.settings = {"trusts_loopback": True, **settings}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start_without_waiting(self) -> None:
        self._process = subprocess.Popen(
            [
                *self._prefix,
                *[sys.executable, "-c", _PROGRAM],
                *[str(self.data), str(self.port), repr(self.settings)],
            ]
        )

    async def start(self) -> None:
        self.start_without_waiting()
        assert self._process is not None
        async with httpx.AsyncClient(trust_env=False) as client:
            deadline = time.monotonic() + PATIENCE_S
            while True:
                assert self._process.poll() is None, "the agent has ended"
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"{self.uri}/jobscheduler/agent/api/")
                    return
                assert time.monotonic() < deadline, "the agent does not answer"
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    async def stop(self) -> int:
        """Send SIGTERM and return the exit status."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._process.wait, PATIENCE_S)

    async def wait(self) -> int:
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, PATIENCE_S)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"{self.uri}/jobscheduler/agent/api{path}")

    async def command(self, **content: Any) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.post(f"{self.uri}/jobscheduler/agent/api/command", json=content)

    def runs_left(self) -> list[str]:
        folder = self.data / "runs"
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []

    def clean_up(self) -> None:
        if self.is_running():
            self.kill()
        for process in (self.data / "runs").glob("*/process"):
            fields = process.read_text().split()
            if len(fields) > 1:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(int(fields[4]), signal.SIGKILL)


@dataclass
class Engine:
    """Keeps what was reported and demands what it was told, over several lives."""

    id: str = "engine"
    epoch: int = 0
    period: int = 2_000
    timeout: int = 8_000
    settings: AgentDriverSettings = field(default_factory=AgentDriverSettings)
    keeps: list[AgentUri] = field(default_factory=list)
    runs: dict[ExecutionKey, RunProcess] = field(default_factory=dict)
    reports: list[Report] = field(default_factory=list)
    logs: dict[tuple[TaskId, str], bytes] = field(default_factory=dict)
    ledgers: dict[AgentUri, str] = field(default_factory=dict)
    pulses: dict[AgentUri, AgentPulse] = field(default_factory=dict)
    local_folder: Path | None = None
    commit: asyncio.Event = field(default_factory=asyncio.Event)
    """Cleared: the journal hangs."""
    held: list[Report] = field(default_factory=list)
    """What waits for the journal."""

    def __post_init__(self) -> None:
        self.commit.set()
        self.driver: AgentDriver | LocalDriver
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.epoch += 1
        common: dict[str, Any] = {
            "engine_id": self.id,
            "epoch": Epoch(self.epoch),
            "report": self._report,
            "output": self._output,
            "output_offsets": self._offsets,
        }
        if self.local_folder is not None:
            self.driver = LocalDriver(folder=self.local_folder, http_port=4444, **common)
        else:
            self.driver = AgentDriver(pulse=self._pulse, settings=self.settings, **common)
        self.demand()
        self._task = asyncio.get_running_loop().create_task(self.driver.run())

    async def kill(self) -> None:
        """End this life without any good-bye."""
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def run(
        self,
        agent: AgentUri,
        script: str,
        number: int = 1,
        attempt: int = 1,
        **spec: Any,
    ) -> ExecutionKey:
        key = ExecutionKey(f"{self.id}/{number}.{attempt}")
        spec = {"job": "/folder/a job", "environment": {}, **spec}
        self.runs[key] = RunProcess(
            key=key,
            task=TaskId(number),
            agent=agent,
            heartbeat_period=Duration(self.period),
            heartbeat_timeout=Duration(self.timeout),
            spec=ProcessSpec(script=script, **spec),
            ledger=self.ledgers.get(agent, ""),
        )
        self.demand()
        return key

    def end(self, key: ExecutionKey, mode: KillMode, *, may_start: bool = False) -> None:
        self.runs[key] = replace(self.runs[key], kill=mode, may_start=may_start)
        self.demand()

    def demand(self) -> None:
        keeps = [
            KeepAgent(
                agent=agent,
                heartbeat_period=Duration(self.period),
                heartbeat_timeout=Duration(self.timeout),
            )
            for agent in self.keeps
        ]
        self.driver.demands(keeps, list(self.runs.values()))

    # --- what was told ---------------------------------------------------------------------------

    def of(self, key: ExecutionKey) -> list[Report]:
        return [
            each
            for each in self.reports
            if isinstance(each, TaskLaunched | TaskExited | TaskLost | TaskNotLaunched)
            and each.key == key
        ]

    def end_of(self, key: ExecutionKey) -> Report | None:
        ends = [
            each
            for each in self.of(key)
            if isinstance(each, TaskExited | TaskLost | TaskNotLaunched)
        ]
        assert len(ends) <= 1, f"more than one end: {ends}"
        return ends[0] if ends else None

    async def exited(self, key: ExecutionKey, patience_s: float = PATIENCE_S) -> TaskExited:
        await until(lambda: self.end_of(key), f"end of {key}", patience_s)
        end = self.end_of(key)
        assert isinstance(end, TaskExited), end
        return end

    async def launched(self, key: ExecutionKey) -> TaskLaunched:
        def found() -> list[TaskLaunched]:
            return [each for each in self.of(key) if isinstance(each, TaskLaunched)]

        await until(found, f"launch of {key}")
        return found()[0]

    async def status(self, agent: AgentUri, status: AgentStatus) -> None:
        def last() -> AgentStatus | None:
            told = [
                each.status
                for each in self.reports
                if isinstance(each, AgentContact) and each.agent == agent
            ]
            return told[-1] if told else None

        await until(lambda: last() is status, f"{agent} {status}, now {last()}")

    def text(self, number: int, channel: str = "stdout") -> str:
        return self.logs.get((TaskId(number), channel), b"").decode()

    # --- what the driver calls -------------------------------------------------------------------

    async def _report(self, reports: Sequence[Report]) -> None:
        if not self.commit.is_set():
            self.held += reports
            await self.commit.wait()
            self.held.clear()
        gone = []
        for report in reports:
            if isinstance(report, TaskExited | TaskLost | TaskNotLaunched):
                if report.key not in self.runs:
                    continue
                run = self.runs.pop(report.key)
                gone.append(ForgetExecution(key=report.key, agent=run.agent))
            if isinstance(report, TaskLaunched) and report.key in self.runs:
                self.runs[report.key] = replace(self.runs[report.key], has_started=True)
            if isinstance(report, AgentContact):
                self._remember(report)
            self.reports.append(report)
        if gone:
            self.demand()
            self.driver.forget(gone)

    def _remember(self, contact: AgentContact) -> None:
        self.ledgers[contact.agent] = contact.ledger
        for key, run in self.runs.items():
            if run.agent == contact.agent and not run.ledger:
                self.runs[key] = replace(run, ledger=contact.ledger)

    async def _output(self, task: TaskId, channel: str, offset: int, data: bytes) -> None:
        log = self.logs.get((task, channel), b"")
        assert offset <= len(log), "a piece of the log is missing"
        self.logs[task, channel] = log[:offset] + data + log[offset + len(data) :]

    def _offsets(self, task: TaskId) -> tuple[int, int]:
        return len(self.logs.get((task, "stdout"), b"")), len(self.logs.get((task, "stderr"), b""))

    def _pulse(self, pulse: AgentPulse) -> None:
        self.pulses[pulse.agent] = pulse


@contextlib.asynccontextmanager
async def agent_program(folder: Path, **settings: Any) -> AsyncIterator[AgentProgram]:
    """Run an agent for as long as the block."""
    agent = AgentProgram(folder, **settings)
    await agent.start()
    try:
        yield agent
    finally:
        agent.clean_up()


@contextlib.asynccontextmanager
async def engine_of(*agents: AgentProgram, **settings: Any) -> AsyncIterator[Engine]:
    """Run an engine for as long as the block, keeping sessions with these agents."""
    engine = Engine(keeps=[agent.uri for agent in agents], **settings)
    engine.start()
    try:
        yield engine
    finally:
        await engine.kill()
