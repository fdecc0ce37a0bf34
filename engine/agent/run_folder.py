"""The folder of one run on disk: all that must outlive the agent program.

Written before the start: `about.json`, the script, the empty return-values file. Written by the
supervisor: `supervisor`, `process`, `exit`, `stdout`, `stderr`, `shell` (its own messages). Written
by us before a kill: `killed` with the reason. So a task can be taken over, and its result told, by
any later life of the program (agents.md 3.7).
"""

import contextlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from engine.agent import process_tree
from engine.agent.output import first_line, read_return_values, size_of
from engine.agent.process_tree import Process
from engine.codec.agent_messages import Channel, TaskEnded
from engine.codec.records import codec_for
from engine.errors import CodecError
from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS_MAX = 80
_SIGNAL_BASE = 128
_SIGNALS = range(1, 65)


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutRun:
    """What a later life of the program must know of a run."""

    key: ExecutionKey
    engine: str
    task: TaskId
    job: str
    timeout: Duration
    stderr_is_error: bool
    began_at: Instant
    boot: str
    """The life of the host in which it was begun; in another one nothing of it can be alive."""


about_codec = codec_for(AboutRun)


class RunFolder:
    """One run's files. The folder's name is the run's number among those of this program."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stdout = path / Channel.STDOUT.value
        self.stderr = path / Channel.STDERR.value
        self.shell = path / "shell"
        self.returns = path / "returns"

    @property
    def number(self) -> str:
        """The run's number, which is also the agent's name for the task."""
        return self.path.name

    def output(self, channel: Channel) -> Path:
        """Return the file of an output stream."""
        return self.stdout if channel is Channel.STDOUT else self.stderr

    def sizes(self) -> tuple[int, int]:
        """Return the bytes on stdout and stderr so far."""
        return size_of(self.stdout), size_of(self.stderr)

    def prepare(self, about: AboutRun, script: str) -> Path:
        """Write everything a start needs and return the script's file."""
        self.path.mkdir(mode=0o700)
        _write(self.path / "about.json", about_codec.to_json(about), 0o600)
        _write(self.returns, b"", 0o600)
        name = _UNSAFE.sub("_", about.job.rpartition("/")[2])[:_NAME_CHARACTERS_MAX]
        file = self.path / f"JobScheduler-Agent-{name}-{self.number}.sh"
        _write(file, script.strip().encode(errors="surrogateescape") + b"\n", 0o700)
        return file

    def about(self) -> AboutRun | None:
        """Return what the run is; None when it was never written completely."""
        try:
            return about_codec.from_json((self.path / "about.json").read_bytes())
        except (OSError, CodecError):
            return None

    def process(self) -> Process | None:
        """Return the program's process as it was at its start."""
        return self._stat("process")

    def supervisor(self) -> Process | None:
        """Return the supervisor's process as it was at its start."""
        return self._stat("supervisor")

    def started_at(self) -> Instant | None:
        """Return when the program was started."""
        return _modified(self.path / "process")

    def forbid_start(self) -> bool:
        """Make sure that a supervisor which has not begun never will; False when it has."""
        try:
            descriptor = os.open(self.path / "supervisor", os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        except FileExistsError:
            return False
        os.close(descriptor)
        return True

    def mark_killed(self, reason: EndReason) -> None:
        """Keep why the run is about to be killed; the first reason stays."""
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            _write(self.path / "killed", reason.value.encode(), 0o600)

    def mark_signalled(self, mode: KillMode) -> bool:
        """Keep that this mode was carried out; False when it had been before."""
        try:
            _write(self.path / f"signalled-{mode.value}", b"", 0o600)
        except (FileExistsError, FileNotFoundError):
            return False
        return True

    def is_over(self) -> bool:
        """Return whether the exit code is there."""
        return self._exit_code() is not None

    def ending(self, about: AboutRun, *, is_lost: bool) -> TaskEnded:
        """Return the run's result; `is_lost` when the host went down with it."""
        returns = read_return_values(self.returns)
        code, signal = (None, None) if is_lost else self._exit()
        error_line = first_line(self.stderr) if about.stderr_is_error else None
        return TaskEnded(
            key=about.key,
            exit_code=code,
            signal=signal,
            reason=self._reason(),
            ended_at=_modified(self.path / "exit") or _modified(self.shell) or about.began_at,
            first_line=first_line(self.stdout) or "",
            error_line=error_line,
            returned=returns.values,
            returned_problem=returns.problem,
        )

    def delete(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _exit_code(self) -> int | None:
        try:
            text = (self.path / "exit").read_text().strip()
        except OSError:
            return None
        return int(text) if text.isdigit() else None

    def _exit(self) -> tuple[int, int | None]:
        code = self._exit_code()
        if code is None:
            # The supervisor itself was killed (`kill -9 0` in the script, a lack of memory).
            return _SIGNAL_BASE + 9, 9
        signal = code - _SIGNAL_BASE
        if signal in _SIGNALS and (size_of(self.shell) or (signal == 9 and self._is_killed())):
            return code, signal
        return code, None

    def _is_killed(self) -> bool:
        return (self.path / "killed").exists()

    def _reason(self) -> EndReason:
        try:
            return EndReason((self.path / "killed").read_text().strip())
        except (OSError, ValueError):
            pass
        if any((self.path / f"signalled-{mode.value}").exists() for mode in KillMode):
            return EndReason.KILLED
        return EndReason.EXITED

    def _stat(self, name: str) -> Process | None:
        try:
            return process_tree.parse_stat((self.path / name).read_text(errors="replace"))
        except OSError:
            return None


def _write(file: Path, content: bytes, mode: int) -> None:
    """Write a new file; FileExistsError when it is there."""
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _modified(file: Path) -> Instant | None:
    try:
        return Instant(file.stat().st_mtime_ns // 1_000_000)
    except OSError:
        return None
