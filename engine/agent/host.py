"""Runs tasks on this host and watches them: starts, output, ends, kills, take-over after a restart.

It knows nothing of engines, leases or HTTP; the agent program and the engine's local tasks stand
above it. A *key* names a run; the same key is never started twice, over any number of restarts.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from engine.agent import process_tree
from engine.agent.begun_log import BEGUN, RUNS, BegunLog
from engine.agent.kill_script import KillScript
from engine.agent.output import read_piece
from engine.agent.run_folder import AboutRun, RunFolder, RunState
from engine.agent.spawn import Spawned, StartError, spawn, wait_until_not_busy
from engine.agent.surroundings import Surroundings
from engine.codec.agent_messages import Channel, TaskEnded
from engine.kernel.effects import KillMode, ProcessSpec
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

log = logging.getLogger(__name__)

BATCH_MAX = 64
"""Starts that share one write to disk."""
OUTPUT_LOOK_S = 0.5
"""Between looks at the sizes of output files."""
SUPERVISOR_PATIENCE_S = 10.0
"""For a supervisor that has been started to write down its program's process."""
NOT_WANTED = "The task was ended, or its lease was over, before it could be started"
NOT_CLAIMED = 70
"""Exit code of a supervisor that has not started anything."""
_TOLD_BYTES_MAX = 4096


class HostListener(Protocol):
    """Who is told what happens; called in the event loop, must not block."""

    def may_start(self, key: ExecutionKey) -> bool:
        """Return whether it shall still be started; asked right before."""
        ...

    def launched(self, key: ExecutionKey, pid: int, started_at: Instant) -> None:
        """The program runs."""

    def not_launched(self, key: ExecutionKey, text: str) -> None:
        """The program could not be started; nothing has run, and the key is forgotten."""

    def grew(self, key: ExecutionKey, stdout: int, stderr: int) -> None:
        """There is more output: so many bytes now."""

    def ended(self, ending: TaskEnded, stdout: int, stderr: int) -> None:
        """The program is over; all of its output is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What to start."""

    key: ExecutionKey
    engine: str
    task: TaskId
    timeout: Duration
    spec: ProcessSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundRun:
    """A run that a former life of this program has left."""

    key: ExecutionKey
    about: AboutRun
    pid: int | None
    """None: its supervisor has begun, and has not come to the program's start."""


@dataclass(slots=True, kw_only=True)
class _Run:
    about: AboutRun
    folder: RunFolder
    supervisor: int = 0
    is_child: bool = True
    process: process_tree.Process | None = None
    watched: int | None = None
    """The descriptor whose readability tells the end."""
    told: int | None = None
    sizes: tuple[int, int] = (0, 0)
    is_ended: bool = False
    wanted: list[Callable[[], None]] = field(default_factory=list)
    """Signals that came before the program's process was known."""


class TaskHost:
    """All runs of one data folder. Use from one event loop; `open` first, then `run`."""

    def __init__(
        self,
        folder: Path,
        listener: HostListener,
        surroundings: Surroundings,
        *,
        names_task_in_arguments: bool,
        is_durable: bool = True,
        kill_script: KillScript | None = None,
    ) -> None:
        self._folder = folder / RUNS
        self._log_file = folder / BEGUN
        self._listener = listener
        self._surroundings = surroundings
        self._names_task = names_task_in_arguments
        self._is_durable = is_durable
        self._kill_script = kill_script
        self._runs: dict[ExecutionKey, _Run] = {}
        self._live: dict[ExecutionKey, _Run] = {}
        """Those that have not ended."""
        self._waiting: list[Start] = []
        self._closing: list[tuple[ExecutionKey, RunFolder]] = []
        self._burying: list[_Run] = []
        self._wake = asyncio.Event()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="task-host")
        self._boot = boot_id()
        self._count = 0
        self._background: set[asyncio.Task[None]] = set()
        self.begun_log: BegunLog

    # --- life ------------------------------------------------------------------------------------

    async def open(self) -> Sequence[FoundRun]:
        """Read what is on disk and return the runs found; ends are told from then on.

        Runs that were begun but have certainly never started are forgotten.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.begun_log = BegunLog(self._log_file, is_durable=self._is_durable)
        found = []
        for about in list(self.begun_log.open_runs.values()):
            run = self._found(about)
            if run is not None:
                found.append(run)
        known = {run.folder.path.name for run in self._runs.values()}
        for path in self._folder.iterdir():
            self._count = max(self._count, _count_of(path.name))
            if path.name not in known:
                RunFolder(path).delete()
        return found

    def watch_found(self) -> None:
        """Begin to watch the runs that `open` has found, once the listener knows them."""
        for key, run in list(self._live.items()):
            self._take_over(key, run)

    async def run(self) -> None:
        """Start what is to be started and look at outputs, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve())
            group.create_task(self._watch_outputs())

    def close(self) -> None:
        """Let go of everything; the tasks run on under their supervisors."""
        for run in self._live.values():
            self._forget_descriptors(run)
        self._disk.shutdown(wait=True)
        self.begun_log.close()

    # --- wishes ----------------------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        """Have this started, once."""
        assert start.key not in self._runs, "a key is begun once"
        self._count += 1
        number = f"{self._count}-{secrets.randbelow(10**10)}"
        about = AboutRun(
            key=start.key,
            number=number,
            engine=start.engine,
            task=start.task,
            job=start.spec.job,
            timeout=start.timeout,
            stderr_is_error=start.spec.stderr_is_error,
            began_at=now(),
            boot=self._boot,
        )
        run = _Run(about=about, folder=RunFolder(self._folder / number))
        self._runs[start.key] = run
        self._live[start.key] = run
        self._waiting.append(start)
        self._wake.set()

    def terminate(self, key: ExecutionKey, reason: EndReason = EndReason.KILLED) -> None:
        """Send SIGTERM to the program itself, once."""
        run = self._live.get(key)
        if run is None:
            return
        if run.process is None:
            run.wanted.append(lambda: self.terminate(key, reason))
            return
        if run.folder.mark_signalled(KillMode.TERMINATE):
            if reason is not EndReason.KILLED:
                run.folder.mark_killed(reason)
            process_tree.send(run.process, signal.SIGTERM)

    def kill(self, keys: Collection[ExecutionKey], reason: EndReason) -> None:
        """Kill the programs with all their descendants; one look at all processes for all keys."""
        ready = []
        for key in keys:
            run = self._live.get(key)
            if run is None:
                continue
            if run.process is None:
                run.wanted.append(lambda key=key: self.kill([key], reason))  # type: ignore[misc]
                continue
            run.folder.mark_killed(reason)
            ready.append(run)
        if not ready:
            return
        if self._kill_script is None:
            self._kill_now(ready)
        else:
            task = asyncio.get_running_loop().create_task(self._kill_by_script(ready))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    def kill_all_now(self, reason: EndReason) -> None:
        """Kill everything without asking the kill script; for a program that ends at once."""
        for run in self._live.values():
            run.folder.mark_killed(reason)
        self._kill_now(self._live.values())

    def bury(self, key: ExecutionKey) -> None:
        """Remove the files of a run that has ended; its key is never started again."""
        run = self._runs[key]
        assert run.is_ended, "a run is buried after its end"
        run.about = replace(run.about, is_buried=True)
        self._burying.append(run)
        self._wake.set()

    def discard(self, key: ExecutionKey) -> None:
        """Forget a run that has ended, with its files."""
        run = self._runs.pop(key, None)
        if run is None:
            return
        assert run.is_ended, "a run is forgotten after its end"
        self._closing.append((key, run.folder))
        self._wake.set()

    # --- looks -----------------------------------------------------------------------------------

    def is_known(self, key: ExecutionKey) -> bool:
        """Return whether this key was begun and not discarded."""
        return key in self._runs

    def number(self, key: ExecutionKey) -> str:
        """Return the run's number; empty for an unknown key."""
        run = self._runs.get(key)
        return run.about.number if run is not None else ""

    def live_count(self) -> int:
        """Return how many runs have not ended."""
        return len(self._live)

    def read(self, key: ExecutionKey, channel: Channel, offset: int, length: int) -> bytes:
        """Return a piece of output."""
        run = self._runs.get(key)
        return read_piece(run.folder.output(channel), offset, length) if run is not None else b""

    # --- starting --------------------------------------------------------------------------------

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting or self._closing or self._burying:
                buried, self._burying = self._burying[:BATCH_MAX], self._burying[BATCH_MAX:]
                if buried:
                    await loop.run_in_executor(self._disk, self._bury, buried)
                    continue  # before anything is closed: perhaps one of these
                starts, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
                closing, self._closing = self._closing[:BATCH_MAX], self._closing[BATCH_MAX:]
                await loop.run_in_executor(self._disk, self._write_down, starts)
                for start in starts:
                    started_at = now()
                    done = await self._spawn(start, started_at)
                    self._started(start.key, done, started_at)
                    await asyncio.sleep(0)
                if closing:
                    await loop.run_in_executor(self._disk, self._delete, closing)

    def _write_down(self, starts: Sequence[Start]) -> None:
        self.begun_log.begin(self._runs[start.key].about for start in starts)

    async def _spawn(self, start: Start, started_at: Instant) -> Spawned | str:
        run = self._runs[start.key]
        own = (f"-agent-task-id={run.about.number}",) if self._names_task else ()
        try:
            script = run.folder.prepare(start.spec.job, start.spec.script)
            await wait_until_not_busy(script)
            if not self._listener.may_start(start.key):
                return NOT_WANTED
            # Not in a thread: spawning holds the interpreter's lock anyway.
            return spawn(
                run.folder,
                script,
                start.spec,
                self._surroundings,
                arguments=(*own, *start.spec.arguments),
                started_at=started_at,
            )
        except (StartError, OSError) as error:
            return str(error)

    def _started(self, key: ExecutionKey, done: Spawned | str, started_at: Instant) -> None:
        run = self._runs[key]
        if isinstance(done, str):
            self._give_up(key, run, done)
            return
        run.supervisor = done.supervisor
        run.told = done.told
        loop = asyncio.get_running_loop()
        loop.add_reader(done.told, self._told, key, run, started_at)
        run.watched = os.pidfd_open(done.supervisor)
        loop.add_reader(run.watched, self._over, key, run)

    def _told(self, key: ExecutionKey, run: _Run, started_at: Instant) -> None:
        assert run.told is not None
        line = os.read(run.told, _TOLD_BYTES_MAX).decode(errors="replace")
        self._forget_told(run)
        run.process = process_tree.parse_stat(line)
        if run.process is None:
            return  # the supervisor ended before it came to the start; `_over` sees to it
        self._listener.launched(key, run.process.pid, started_at)
        wanted, run.wanted = run.wanted, []
        for wish in wanted:
            wish()

    def _give_up(self, key: ExecutionKey, run: _Run, text: str) -> None:
        run.is_ended = True
        self._live.pop(key, None)
        self.discard(key)
        self._listener.not_launched(key, text)

    def _delete(self, closing: Sequence[tuple[ExecutionKey, RunFolder]]) -> None:
        self.begun_log.close_keys(key for key, _ in closing)
        for _, folder in closing:
            folder.delete()

    def _bury(self, runs: Sequence[_Run]) -> None:
        self.begun_log.begin(run.about for run in runs)
        for run in runs:
            run.folder.delete()

    # --- watching --------------------------------------------------------------------------------

    async def _watch_outputs(self) -> None:
        while True:
            await asyncio.sleep(OUTPUT_LOOK_S)
            for key, run in list(self._live.items()):
                sizes = run.folder.sizes()
                if sizes != run.sizes:
                    run.sizes = sizes
                    self._listener.grew(key, *sizes)

    def _over(self, key: ExecutionKey, run: _Run) -> None:
        """The supervisor has ended, and with it, as a rule, the program."""
        if run.told is not None:
            self._told(key, run, now())
        self._forget_descriptors(run)
        has_claimed = not run.is_child or _exit_code(run.supervisor) != NOT_CLAIMED
        if run.folder.state().exit_code is not None:
            self._end(key, run)
        elif not has_claimed:
            self._give_up(key, run, "the task's shell could not begin")
        elif run.process is None:
            # Killed in its first millisecond; whether it had started the program cannot be known.
            self._end(key, run, is_lost=True)
        else:
            # Only the supervisor was killed: the program may still run, as nobody's child of ours.
            self._watch_process(key, run, run.process)

    def _watch_process(self, key: ExecutionKey, run: _Run, process: process_tree.Process) -> None:
        run.is_child = False
        if not process_tree.is_alive(process):
            self._end(key, run)
            return
        try:
            run.watched = os.pidfd_open(process.pid)
        except ProcessLookupError:
            self._end(key, run)
            return
        asyncio.get_running_loop().add_reader(run.watched, self._process_over, key, run)

    def _process_over(self, key: ExecutionKey, run: _Run) -> None:
        self._forget_descriptors(run)
        self._end(key, run)

    def _end(self, key: ExecutionKey, run: _Run, *, is_lost: bool = False) -> None:
        self._live.pop(key, None)
        run.is_ended = True
        run.sizes = run.folder.sizes()
        self._listener.ended(run.folder.ending(run.about, is_lost=is_lost), *run.sizes)

    def _forget_told(self, run: _Run) -> None:
        if run.told is not None:
            asyncio.get_running_loop().remove_reader(run.told)
            os.close(run.told)
            run.told = None

    def _forget_descriptors(self, run: _Run) -> None:
        self._forget_told(run)
        if run.watched is not None:
            asyncio.get_running_loop().remove_reader(run.watched)
            os.close(run.watched)
            run.watched = None

    # --- killing ---------------------------------------------------------------------------------

    def _kill_now(self, runs: Collection[_Run]) -> None:
        processes = [run.process for run in runs if run.process is not None]
        # A supervisor is its program's parent; it must live to write down the end.
        process_tree.kill_trees(processes, spared=[process.parent for process in processes])

    async def _kill_by_script(self, runs: Collection[_Run]) -> None:
        assert self._kill_script is not None
        for run in runs:
            if run.process is not None:
                await self._kill_script.call(run.about, run.process.pid)
        self._kill_now(runs)

    # --- after a restart -------------------------------------------------------------------------

    def _found(self, about: AboutRun) -> FoundRun | None:
        folder = RunFolder(self._folder / about.number)
        if about.is_buried:
            folder.delete()
            self._runs[about.key] = _Run(about=about, folder=folder, is_ended=True)
            return self._describe(self._runs[about.key])
        if about.boot == self._boot and folder.forbid_start():
            # Begun, but its files were not ready, or its supervisor had not come to its first
            # line and never will: nothing has run.
            self.begun_log.close_keys([about.key])
            return None
        run = _Run(about=about, folder=folder, is_child=False)
        run.process = folder.state().process
        self._runs[about.key] = run
        self._live[about.key] = run
        return self._describe(run)

    def _describe(self, run: _Run) -> FoundRun:
        return FoundRun(
            key=run.about.key,
            about=run.about,
            pid=run.process.pid if run.process is not None else None,
        )

    def _take_over(self, key: ExecutionKey, run: _Run) -> None:
        state = run.folder.state()
        if state.exit_code is not None:
            self._end(key, run)
        elif run.about.boot != self._boot:
            self._end(key, run, is_lost=True)
        elif state.process is None:
            task = asyncio.get_running_loop().create_task(self._await_process(key, run))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
        else:
            self._watch_supervisor(key, run, state)

    async def _await_process(self, key: ExecutionKey, run: _Run) -> None:
        """Wait for a supervisor that had just begun when the former life of this program ended."""
        deadline = time.monotonic() + SUPERVISOR_PATIENCE_S
        state = run.folder.state()
        while state.process is None and state.exit_code is None and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
            state = run.folder.state()
        if state.exit_code is not None or state.process is None:
            self._end(key, run, is_lost=state.exit_code is None)
            return
        run.process = state.process
        self._listener.launched(key, state.process.pid, run.about.began_at)
        wanted, run.wanted = run.wanted, []
        self._watch_supervisor(key, run, state)
        for wish in wanted:
            wish()

    def _watch_supervisor(self, key: ExecutionKey, run: _Run, state: RunState) -> None:
        supervisor, process = state.supervisor, state.process
        assert process is not None, "only a started program is watched"
        if supervisor is not None and process_tree.is_alive(supervisor):
            with contextlib.suppress(ProcessLookupError):
                run.watched = os.pidfd_open(supervisor.pid)
                asyncio.get_running_loop().add_reader(run.watched, self._over, key, run)
                return
        if run.folder.state().exit_code is not None:
            self._end(key, run)
        else:
            self._watch_process(key, run, process)


def now() -> Instant:
    """Return the wall clock's time."""
    return Instant(time.time_ns() // 1_000_000)


def _exit_code(pid: int) -> int | None:
    """Collect a child that has ended."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status)


def boot_id() -> str:
    """Return the identity of this life of the host."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _count_of(name: str) -> int:
    count = name.partition("-")[0]
    return int(count) if count.isdigit() else 0
