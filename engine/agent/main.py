"""The agent program: takes up what its data folder holds, listens, ends orderly.

`run_agent` is the whole program for whoever parses the command line.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

from engine.agent.app import AgentApp
from engine.agent.host import TaskHost, boot_id, now
from engine.agent.kill_script import KillScript
from engine.agent.ledger import Ledger
from engine.agent.service import AgentService
from engine.agent.session_files import SessionFiles
from engine.agent.settings import AgentSettings
from engine.agent.spawn import allow_many_files
from engine.agent.surroundings import Surroundings
from engine.agent.task_records import RecordedTasks, TaskRecords
from engine.agent.warden import LOCK, start_warden
from engine.errors import AlreadyRunning
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import seconds
from engine.kernel.reports import EndReason
from engine.serving import serving, tcp_socket

log = logging.getLogger(__name__)

STOP_KILL_S = 5.0
"""After SIGTERM to the agent its tasks have so long before they are killed (agents.md 5.8)."""
STOP_S_MAX = 7.0
"""After SIGTERM the agent ends within this, whatever its tasks do."""
TERMINATE_S_MIN = 1.0
"""A `Terminate` command ends the agent not earlier, so that its answer gets out."""
ABORTED = 1
LOCK_PATIENCE_S = 1.0


class Agent:
    """One life of the agent program."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings.checked()
        self._ending: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._status = 0
        self._service: AgentService
        self._recorded: RecordedTasks
        self._found: list[ExecutionKey] = []
        """Tasks of a former life of this program."""
        self._warden: subprocess.Popen[bytes] | None = None

    async def run(self) -> int:
        """Serve until a signal or a command ends it; returns the exit status."""
        settings = self._settings
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        async with _locked(settings.data):
            listener = tcp_socket(settings.host, settings.port)
            try:
                return await self._serve(listener)
            finally:
                listener.close()

    async def _serve(self, listener: socket.socket) -> int:
        settings = self._settings
        allow_many_files()
        port = listener.getsockname()[1]
        service = await self._opened(port)
        (settings.data / "port").write_text(f"{port}\n")
        app = AgentApp(service, settings, now(), self._end, self._abort)
        tls = settings.tls.context() if settings.tls is not None else None
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, self._stop)
        workers = [
            loop.create_task(service.run()),
            loop.create_task(service.host.run()),
            loop.create_task(self._recorded.run(self._found)),
        ]
        try:
            async with serving(app.asgi, [listener], tls=tls):
                log.info("The agent listens on %s:%d", settings.host, port)
                await _first([self._over.wait(), *workers])
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
            service.host.close()
            if self._warden is not None and not service.host.live_count():
                self._warden.kill()
                self._warden.wait()
        return self._status

    async def _opened(self, port: int) -> AgentService:
        """Take up what the data folder holds, before anybody can ask."""
        settings = self._settings
        ledger = Ledger(
            run=secrets.token_hex(8),
            boot=boot_id(),
            tasks_max=settings.tasks_max,
            retention=seconds(settings.result_retention_s),
        )
        service = AgentService(ledger, SessionFiles(settings.data), _ledger_id(settings.data))
        script = KillScript(settings.kill_script) if settings.kill_script is not None else None
        self._recorded = RecordedTasks(service, TaskRecords(settings.data, boot_id()))
        service.host = TaskHost(
            settings.data,
            self._recorded,
            Surroundings(host=socket.gethostname().partition(".")[0], http_port=port),
            names_task_in_arguments=True,
            is_durable=settings.is_durable,
            kill_script=script,
        )
        service.on_first_launch = self._watch_over
        service.restore_sessions()
        found = await service.host.open()
        service.restore_runs(found)
        self._found = [run.key for run in found if not run.about.is_buried]
        service.host.watch_found()
        if service.host.live_count():
            self._watch_over()
        if settings.ends_found_tasks:
            service.send_all(kill=True)
        self._service = service
        return service

    def _watch_over(self) -> None:
        if self._warden is None:
            self._warden = start_warden(self._settings.data)

    # --- the end ---------------------------------------------------------------------------------

    def _stop(self) -> None:
        """SIGTERM: end the tasks, then this program, in a few seconds."""
        if self._settings.leaves_tasks:
            self._over.set()
            return
        if self._ending is not None:
            self._ending.cancel()
        self._ending = asyncio.get_running_loop().create_task(
            self._end_with(sends_term=True, kill_after_s=STOP_KILL_S, within_s=STOP_S_MAX)
        )

    def _end(self, sends_term: bool, kill_after_s: float | None) -> None:
        """Carry out the `Terminate` command."""
        self._ending = asyncio.get_running_loop().create_task(
            self._end_with(
                sends_term=sends_term,
                kill_after_s=kill_after_s,
                within_s=None,
                at_least_s=TERMINATE_S_MIN,
            )
        )

    async def _end_with(
        self,
        *,
        sends_term: bool,
        kill_after_s: float | None,
        within_s: float | None,
        at_least_s: float = 0.0,
    ) -> None:
        service = self._service
        service.terminate()
        if sends_term:
            service.send_all(kill=False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                async with asyncio.TaskGroup() as group:
                    group.create_task(asyncio.sleep(at_least_s))
                    group.create_task(self._quiet(kill_after_s))
        self._over.set()

    async def _quiet(self, kill_after_s: float | None) -> None:
        try:
            async with asyncio.timeout(kill_after_s):
                await self._service.quiet.wait()
        except TimeoutError:
            self._service.send_all(kill=True)
            await self._service.quiet.wait()

    def _abort(self) -> None:
        """Carry out `AbortImmediately`: kill everything and be gone, without an answer."""
        self._service.host.kill_all_now(EndReason.AGENT_STOPPED)
        os._exit(ABORTED)


async def run_agent(settings: AgentSettings) -> int:
    """Run the agent program until a signal or a command ends it; returns its exit status.

    Raises SettingsError for settings that cannot be used, AlreadyRunning when another agent uses
    the data folder, OSError when the address is taken.
    """
    return await Agent(settings).run()


async def _first(awaitables: list[object]) -> None:
    """Wait for the first to be over; raise what it has raised."""
    tasks = [asyncio.ensure_future(each) for each in awaitables]  # type: ignore[call-overload]
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    tasks[0].cancel()


@contextlib.asynccontextmanager
async def _locked(folder: Path) -> AsyncIterator[None]:
    """Hold the data folder for this process."""
    descriptor = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_PATIENCE_S
        while not _is_taken(descriptor):
            # The warden of a former life holds the folder for the moment of a look.
            if time.monotonic() > deadline:
                holder = os.read(descriptor, 20).decode(errors="replace").strip()
                pid = int(holder) if holder.isdigit() else None
                raise AlreadyRunning(f"another agent uses {folder}", pid=pid)
            await asyncio.sleep(0.02)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _is_taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ledger_id(folder: Path) -> str:
    """Return the identity of the data folder, made with it."""
    file = folder / "ledger-id"
    if not file.exists():
        fresh = file.with_suffix(".new")
        fresh.write_text(secrets.token_hex(8))
        fresh.replace(file)
    return file.read_text().strip()
