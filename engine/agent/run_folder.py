"""The folder of one run on disk: all that must outlive the agent program.

Written before the start: the script and the empty return-values file. Written by the supervisor:
`state`, `stdout`, `stderr`. Written by us before a kill: `killed` with the reason. So a task can be
taken over, and its result told, by any later life of the program (agents.md 3.7). Making files is
what a start costs most, hence so few of them.
"""

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.agent import process_tree
from engine.agent.output import first_line, read_return_values, size_of
from engine.agent.process_tree import Process
from engine.codec.agent_messages import Channel, TaskEnded
from engine.codec.records import codec_for
from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_NAME_CHARACTERS_MAX = 80
_SIGNAL_BASE = 128
_SIGNALS = range(1, 65)
_KILL = 9
_EXIT = "exit "


@dataclass(frozen=True, slots=True, kw_only=True)
class AboutRun:
    """What a later life of the program must know of a run."""

    key: ExecutionKey
    number: str
    """The name of its folder, which is also the agent's name for the task."""
    engine: str
    task: TaskId
    job: str
    timeout: Duration
    stderr_is_error: bool = False
    began_at: Instant
    boot: str
    """The life of the host in which it was begun; in another one nothing of it can be alive."""
    is_buried: bool = False
    """It has ended, and nothing but this is kept of it."""


about_codec = codec_for(AboutRun)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """What the supervisor has written down so far."""

    supervisor: Process | None = None
    process: Process | None = None
    """The program's process as it was at its start."""
    exit_code: int | None = None
    """128 plus the number of the signal that ended it."""
    message: str = ""
    """What the shell has said: a word for the signal, or why it could not start the program."""


def parse_state(text: str) -> RunState:
    """Return the state in a file that may be incomplete."""
    supervisor = process = code = None
    messages: list[str] = []
    for number, line in enumerate(text.splitlines()):
        found = process_tree.parse_stat(line) if number < 2 else None
        if number == 0:
            supervisor = found
        elif found is not None:
            process = found
        elif line.startswith(_EXIT) and line[len(_EXIT) :].isdigit():
            code = int(line[len(_EXIT) :])
        elif line:
            messages.append(line)
    return RunState(
        supervisor=supervisor, process=process, exit_code=code, message="\n".join(messages)
    )


class RunFolder:
    """One run's files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stdout = path / Channel.STDOUT.value
        self.stderr = path / Channel.STDERR.value
        self.returns = path / "returns"
        self._state = path / "state"

    def output(self, channel: Channel) -> Path:
        """Return the file of an output stream."""
        return self.stdout if channel is Channel.STDOUT else self.stderr

    def sizes(self) -> tuple[int, int]:
        """Return the bytes on stdout and stderr so far."""
        return size_of(self.stdout), size_of(self.stderr)

    def prepare(self, job: str, script: str) -> Path:
        """Write everything a start needs and return the script's file."""
        self.path.mkdir(mode=0o700)
        _write(self.returns, b"", 0o600)
        name = _UNSAFE.sub("_", job.rpartition("/")[2])[:_NAME_CHARACTERS_MAX]
        file = self.path / f"JobScheduler-Agent-{name}-{self.path.name}.sh"
        _write(file, script.strip().encode(errors="surrogateescape") + b"\n", 0o700)
        return file

    def keep_environment(self, environment: Mapping[str, str]) -> Path:
        """Write an environment down for `carry_environment`, which removes the file."""
        file = self.path / "environment"
        entries = (f"{name}={value}\0" for name, value in environment.items())
        _write(file, "".join(entries).encode(errors="surrogateescape"), 0o600)
        return file

    def state(self) -> RunState:
        """Return what the supervisor has written down."""
        try:
            return parse_state(self._state.read_text(errors="replace"))
        except OSError:
            return RunState()

    def forbid_start(self) -> bool:
        """Make sure that a supervisor which has not begun never will; False when it has.

        A folder that is not there forbids it as well.
        """
        try:
            descriptor = os.open(self._state, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC)
        except FileExistsError:
            return False
        except FileNotFoundError:
            return True
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

    def ending(self, about: AboutRun, *, is_lost: bool) -> TaskEnded:
        """Return the run's result; `is_lost` when the host went down with it."""
        returns = read_return_values(self.returns)
        state = self.state()
        code, signal = (None, None) if is_lost else self._exit(state)
        return TaskEnded(
            key=about.key,
            exit_code=code,
            signal=signal,
            reason=self._reason(),
            ended_at=_modified(self._state) or about.began_at,
            first_line=first_line(self.stdout) or "",
            error_line=first_line(self.stderr) if about.stderr_is_error else None,
            returned=returns.values,
            returned_problem=returns.problem,
        )

    def delete(self) -> None:
        """Remove the folder with everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _exit(self, state: RunState) -> tuple[int, int | None]:
        code = state.exit_code
        if code is None:
            # The supervisor itself was killed (`kill -9 0` in the script, a lack of memory).
            return _SIGNAL_BASE + _KILL, _KILL
        signal = code - _SIGNAL_BASE
        is_ours = signal == _KILL and (self.path / "killed").exists()
        if signal in _SIGNALS and (state.message or is_ours):
            return code, signal
        return code, None

    def _reason(self) -> EndReason:
        with contextlib.suppress(OSError, ValueError):
            return EndReason((self.path / "killed").read_text().strip())
        if any((self.path / f"signalled-{mode.value}").exists() for mode in KillMode):
            return EndReason.KILLED
        return EndReason.EXITED


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
