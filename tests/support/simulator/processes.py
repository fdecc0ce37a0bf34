"""The processes of an agent's host, as `engine.agent.host.TaskHost` shows them to the agent.

They may: run for milliseconds or minutes, write to both streams, end with any code, take SIGTERM or
not, take a moment to die, outlive the agent program, die with the host. The log of begun keys may be
slow in writing through; with the host goes what was not written through, and, one time in two, the
folder of a run with all that was in it; a run that was dropped just before may come back.

They may never: begin before their key is written through, or outlive their host. While the agent
program is away the warden ends tasks whose lease is over.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from engine.agent.host import NOT_WANTED, FoundRun, HostListener, Start
from engine.agent.run_folder import AboutRun
from engine.codec.agent_messages import Channel, TaskEnded
from engine.kernel.ids import ExecutionKey
from engine.kernel.reports import EndReason
from tests.support.simulator.book import Book
from tests.support.simulator.machine import Machine

LOOK_MS = 500
KILL_MS_MAX = 50
DURATIONS_MS = (50, 2_000, 20_000)
CALM_DURATION_MS_MAX = 3_000


@dataclass(slots=True)
class Folder:
    """One run folder, and the process that belongs to it."""

    about: AboutRun
    pid: int | None = None
    """None: the program has not been started."""
    output: dict[Channel, bytes] = field(default_factory=lambda: dict.fromkeys(Channel, b""))
    exit_code: int | None = None
    killed: EndReason | None = None
    is_signalled: bool = False
    may_start: bool = True
    is_alive: bool = False

    def sizes(self) -> tuple[int, int]:
        return len(self.output[Channel.STDOUT]), len(self.output[Channel.STDERR])


@dataclass(slots=True)
class RunsOnDisk:
    """What survives the agent program, and mostly the host."""

    begun: dict[ExecutionKey, AboutRun] = field(default_factory=dict)
    folders: dict[ExecutionKey, Folder] = field(default_factory=dict)
    dropped: list[AboutRun] = field(default_factory=list)
    """Closed of late: a power failure may bring them back."""
    writing: list[AboutRun] = field(default_factory=list)
    """Not yet written through."""


class Processes:
    """Everything that runs on one host, whoever looks after it."""

    def __init__(self, machine: Machine, rng: random.Random, book: Book) -> None:
        self.machine = machine
        self.disk = RunsOnDisk()
        self.boot = ""
        self.disk_ms = 20
        self.durations_ms: Sequence[int] = DURATIONS_MS
        self.is_calm = False
        """What is started now does not take long."""
        self.listener: TaskHostTwin | None = None
        self._rng = rng
        self._book = book
        self._count = 0

    def start(self, folder: Folder) -> None:
        """The supervisor starts the program."""
        about = folder.about
        if not folder.may_start or about.boot != self.boot:
            return
        self._count += 1
        folder.pid = self._count
        folder.is_alive = True
        self._book.started(about.key, self.machine.name)
        self.machine.wait(self._rng.randrange(1_000), lambda: self._write(folder))
        longest = CALM_DURATION_MS_MAX if self.is_calm else self._rng.choice(self.durations_ms)
        code = self._rng.choice((0, 0, 0, 0, 1, 2))
        self.machine.wait(self._rng.randrange(1, longest), lambda: self._end(folder, code))
        self.machine.wait(self._rng.randrange(1, 20), lambda: self._tell_start(folder))

    def signal(self, folder: Folder) -> None:
        """SIGTERM, which a program may ignore."""
        if self._rng.random() < 0.7:
            self.machine.wait(self._rng.randrange(3_000), lambda: self._end(folder, 143))

    def kill(self, folder: Folder, reason: EndReason) -> None:
        folder.killed = folder.killed or reason
        self.machine.wait(self._rng.randrange(KILL_MS_MAX), lambda: self._end(folder, 137))

    def die(self) -> None:
        """The host goes down."""
        self.listener = None
        for key, folder in list(self.disk.folders.items()):
            if folder.is_alive:
                folder.is_alive = False
                self._book.ended(key, None, folder.output)
            if self._rng.random() < 0.5:
                del self.disk.folders[key]
        for about in self.disk.dropped[-3:]:
            if self._rng.random() < 0.3:
                self.disk.begun[about.key] = about
        self.disk.dropped.clear()

    def half_write(self) -> None:
        """Whoever was writing is dead: what was under way is there or not."""
        for about in self.disk.writing:
            if self._rng.random() < 0.5:
                self.disk.begun[about.key] = about
        self.disk.writing.clear()

    def _write(self, folder: Folder) -> None:
        if folder.is_alive:
            channel = Channel.STDERR if self._rng.random() < 0.2 else Channel.STDOUT
            line = f"{len(folder.output[channel])} {folder.about.key}\n".encode()
            folder.output[channel] += line * self._rng.choice((1, 1, 1, 50))
            self.machine.wait(self._rng.choice((10, 1_000, 15_000)), lambda: self._write(folder))

    def _end(self, folder: Folder, code: int) -> None:
        if not folder.is_alive:
            return
        folder.is_alive = False
        folder.exit_code = code
        self._book.ended(folder.about.key, code, folder.output)
        self.machine.wait(self._rng.randrange(20), lambda: self._tell_end(folder))

    def _tell_start(self, folder: Folder) -> None:
        if self.listener is not None:
            self.listener.has_started(folder)

    def _tell_end(self, folder: Folder) -> None:
        if self.listener is not None:
            self.listener.has_ended(folder)


@dataclass(slots=True)
class _Run:
    folder: Folder
    is_known: bool = False
    """The program's process is."""
    is_ended: bool = False
    sizes: tuple[int, int] = (0, 0)
    wanted: list[Callable[[], None]] = field(default_factory=list)


class TaskHostTwin:
    """What the agent's service sees in place of `TaskHost`; one life of the program."""

    def __init__(self, processes: Processes, listener: HostListener) -> None:
        self._processes = processes
        self._machine = processes.machine
        self._disk = processes.disk
        self._listener = listener
        self._runs: dict[ExecutionKey, _Run] = {}
        self._live: dict[ExecutionKey, _Run] = {}
        self._waiting: list[Start] = []
        self._is_writing = False
        self.is_dead = False

    # --- life ------------------------------------------------------------------------------------

    def open(self) -> Sequence[FoundRun]:
        found = []
        for key, about in list(self._disk.begun.items()):
            folder = self._disk.folders.get(key)
            if about.is_buried:
                self._runs[key] = _Run(Folder(about), is_ended=True)
                found.append(FoundRun(key=key, about=about, pid=None))
                continue
            if about.boot == self._processes.boot and (folder is None or folder.pid is None):
                if folder is not None:
                    folder.may_start = False
                del self._disk.begun[key]
                self._disk.folders.pop(key, None)
                continue
            if folder is None:
                folder = Folder(about)
                self._disk.folders[key] = folder
            run = _Run(folder, is_known=folder.pid is not None)
            self._runs[key] = run
            self._live[key] = run
            found.append(FoundRun(key=key, about=about, pid=folder.pid))
        for key in [key for key in self._disk.folders if key not in self._disk.begun]:
            del self._disk.folders[key]
        return found

    def watch_found(self) -> None:
        self._processes.listener = self
        for run in list(self._live.values()):
            if not run.folder.is_alive:
                self.has_ended(run.folder)
        self._look()

    def die(self) -> None:
        """The program is killed; its processes go on."""
        self.is_dead = True
        if self._processes.listener is self:
            self._processes.listener = None
        self._processes.half_write()

    # --- what the service wants ------------------------------------------------------------------

    def begin(self, start: Start) -> None:
        assert start.key not in self._runs, "a key is begun once"
        about = AboutRun(
            key=start.key,
            number=str(len(self._runs)),
            engine=start.engine,
            task=start.task,
            job=start.spec.job,
            timeout=start.timeout,
            began_at=self._machine.wall_time(),
            boot=self._processes.boot,
        )
        run = _Run(Folder(about))
        self._runs[start.key] = run
        self._live[start.key] = run
        self._waiting.append(start)
        self._write_down()

    def terminate(self, key: ExecutionKey, reason: EndReason = EndReason.KILLED) -> None:
        run = self._live.get(key)
        if run is None:
            return
        if not run.is_known:
            run.wanted.append(lambda: self.terminate(key, reason))
        elif not run.folder.is_signalled:
            run.folder.is_signalled = True
            if reason is not EndReason.KILLED:
                run.folder.killed = run.folder.killed or reason
            self._processes.signal(run.folder)

    def kill(self, keys: Collection[ExecutionKey], reason: EndReason) -> None:
        for key in keys:
            run = self._live.get(key)
            if run is not None and run.is_known:
                self._processes.kill(run.folder, reason)
            elif run is not None:
                run.wanted.append(partial(self.kill, [key], reason))

    def bury(self, key: ExecutionKey) -> None:
        run = self._runs[key]
        assert run.is_ended, "a run is buried after its end"

        def delete() -> None:
            about = self._disk.begun.get(key)
            if not self.is_dead and about is not None:
                self._disk.begun[key] = replace(about, is_buried=True)
                self._disk.folders.pop(key, None)

        self._machine.wait(self._processes.disk_ms, delete)

    def discard(self, key: ExecutionKey) -> None:
        run = self._runs.pop(key, None)
        if run is None:
            return
        assert run.is_ended, "a run is forgotten after its end"

        def delete() -> None:
            if not self.is_dead:
                about = self._disk.begun.pop(key, None)
                if about is not None:
                    self._disk.dropped.append(about)
                self._disk.folders.pop(key, None)

        self._machine.wait(self._processes.disk_ms, delete)

    def live_count(self) -> int:
        return len(self._live)

    def read(self, key: ExecutionKey, channel: Channel, offset: int, length: int) -> bytes:
        run = self._runs.get(key)
        return b"" if run is None else run.folder.output[channel][offset : offset + length]

    # --- starting --------------------------------------------------------------------------------

    def _write_down(self) -> None:
        if self._is_writing or not self._waiting:
            return
        self._is_writing = True
        starts, self._waiting = self._waiting, []
        self._disk.writing += [self._runs[start.key].folder.about for start in starts]
        self._machine.wait(self._processes.disk_ms, lambda: self._written(starts))

    def _written(self, starts: Sequence[Start]) -> None:
        if self.is_dead:
            return
        for start in starts:
            run = self._runs[start.key]
            about = run.folder.about
            self._disk.writing.remove(about)
            self._disk.begun[start.key] = about
            self._disk.folders[start.key] = run.folder
            if self._listener.may_start(start.key):
                self._machine.wait(1, partial(self._processes.start, run.folder))
            else:
                run.is_ended = True
                self._live.pop(start.key)
                self.discard(start.key)
                self._listener.not_launched(start.key, NOT_WANTED)
        self._is_writing = False
        self._write_down()

    # --- what the processes tell -----------------------------------------------------------------

    def has_started(self, folder: Folder) -> None:
        run = self._runs.get(folder.about.key)
        if run is None or run.folder is not folder or run.is_known or folder.pid is None:
            return
        run.is_known = True
        self._listener.launched(folder.about.key, folder.pid, folder.about.began_at)
        wanted, run.wanted = run.wanted, []
        for wish in wanted:
            wish()

    def has_ended(self, folder: Folder) -> None:
        key = folder.about.key
        run = self._live.get(key)
        if run is None or run.folder is not folder:
            return
        self.has_started(folder)
        self._live.pop(key, None)
        run.is_ended = True
        reason = EndReason.KILLED if folder.is_signalled else EndReason.EXITED
        ending = TaskEnded(
            key=key,
            exit_code=folder.exit_code,
            signal=None,
            reason=folder.killed or reason,
            ended_at=self._machine.wall_time(),
        )
        self._listener.ended(ending, *folder.sizes())

    def _look(self) -> None:
        if self.is_dead:
            return
        for key, run in list(self._live.items()):
            sizes = run.folder.sizes()
            if sizes != run.sizes:
                run.sizes = sizes
                self._listener.grew(key, *sizes)
        self._machine.wait(LOOK_MS, self._look)
