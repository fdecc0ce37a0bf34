"""Who the processes of tasks are, in the form in which SSH runs tell it (ssh-and-jitl.md 2.10.1).

For each task a folder named by its token, with the identity of its process in `id` and, at the end,
its exit code in `rc`: what the engine's browser of processes reads, and what proves whom a signal
may go to. A record stays for as long as a process bears its token; a task may leave some behind.
"""

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Final

from engine.agent import process_tree
from engine.agent.host import HostListener
from engine.agent.process_tree import Process
from engine.codec.agent_messages import TaskEnded
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Instant
from engine.kernel.sessions.identity import TOKEN_VARIABLE, RunToken, is_token, token_of

log = logging.getLogger(__name__)

TIDY_S: Final = 60.0
"""Between looks for records that nobody bears any more."""
_VARIABLE: Final = f"{TOKEN_VARIABLE}=".encode()


class TaskRecords:
    """The records of one agent."""

    def __init__(self, data: Path, boot: str) -> None:
        self._folder = data / ".jobscheduler" / "run"
        self._boot = boot

    def begin(self, key: ExecutionKey, process: Process, at: Instant) -> None:
        """Write down who a task's program is. Raises OSError, also when it has gone already."""
        group = os.getpgid(process.pid)
        folder = self._folder / token_of(key)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / "id.new"
        draft.write_text(
            f"v=1 pid={process.pid} pgid={group} sid={process.session} "
            f"start=t{process.started} boot={self._boot} uid={os.geteuid()} began={at // 1000}\n"
        )
        draft.replace(folder / "id")

    def end(self, key: ExecutionKey, exit_code: int | None) -> None:
        """Write down how it ended."""
        folder = self._folder / token_of(key)
        if exit_code is not None and folder.is_dir():
            (folder / "rc").write_text(f"{exit_code}\n")

    def tidy(self, open_tokens: Collection[RunToken]) -> int:
        """Remove the records of tasks that are over and have left nobody; return how many."""
        known = {name for name in _names(self._folder) if is_token(name)}
        gone = known.difference(open_tokens)
        if gone:
            gone -= borne_tokens()
        for name in gone:
            shutil.rmtree(self._folder / name, ignore_errors=True)
        return len(gone)


def borne_tokens() -> set[str]:
    """Return the tokens in the environments of all processes that we may look into."""
    found = set()
    for name in _names(Path("/proc")):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                environment = Path("/proc", name, "environ").read_bytes()
                for variable in environment.split(b"\0"):
                    if variable.startswith(_VARIABLE):
                        found.add(variable[len(_VARIABLE) :].decode(errors="replace"))
    return found


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208  # names are all that is wanted, of thousands
    except OSError:
        return []


class RecordedTasks:
    """Stands between the host's tasks and who is told of them, and keeps the records."""

    def __init__(self, listener: HostListener, records: TaskRecords) -> None:
        self._listener = listener
        self._records = records
        self._open: set[RunToken] = set()

    async def run(self, found: Iterable[ExecutionKey]) -> None:
        """Tidy up until cancelled; `found` are tasks of a former life that still run."""
        self._open |= {token_of(key) for key in found}
        while True:
            await asyncio.to_thread(self._records.tidy, frozenset(self._open))
            await asyncio.sleep(TIDY_S)

    def may_start(self, key: ExecutionKey) -> bool:
        """Pass the question on."""
        return self._listener.may_start(key)

    def launched(self, key: ExecutionKey, pid: int, started_at: Instant) -> None:
        """Write the record before anybody hears of the process."""
        process = process_tree.look(pid)
        self._open.add(token_of(key))
        if process is not None:
            self._write(key, process, started_at)
        self._listener.launched(key, pid, started_at)

    def _write(self, key: ExecutionKey, process: Process, at: Instant) -> None:
        try:
            self._records.begin(key, process, at)
        except ProcessLookupError:
            pass  # over already
        except OSError as error:
            log.warning("The record of a task's process cannot be written: %s", error)

    def not_launched(self, key: ExecutionKey, text: str) -> None:
        """Pass it on."""
        self._listener.not_launched(key, text)

    def grew(self, key: ExecutionKey, stdout: int, stderr: int) -> None:
        """Pass it on."""
        self._listener.grew(key, stdout, stderr)

    def ended(self, ending: TaskEnded, stdout: int, stderr: int) -> None:
        """Write the result down, then pass it on."""
        self._open.discard(token_of(ending.key))
        with contextlib.suppress(OSError):
            self._records.end(ending.key, ending.exit_code)
        self._listener.ended(ending, stdout, stderr)
