"""Processes of a task as the kernel's `/proc` shows them: alive, descendants, killed as a whole.

Process ids are reused, so a process is its id *and* its start time. A whole tree is stopped before
it is killed, because a process that still runs could start another one meanwhile, and because the
children of a dead parent cannot be found any more (agents.md 5.7).
"""

import contextlib
import os
import signal
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ROUNDS_MAX = 20
"""Looks for new children while stopping a tree; a process that is stopped starts none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of `/proc/PID/stat`."""

    pid: int
    parent: int
    session: int
    started: int
    """Ticks since the host's start; with the pid the identity of a process."""
    is_zombie: bool = False


def parse_stat(line: str) -> Process | None:
    """Return the process of a stat line; None when it is incomplete.

    The name in brackets may hold blanks and brackets itself.
    """
    head, bracket, tail = line.rpartition(")")
    fields = tail.split()
    pid = head.split(" ", 1)[0]
    if not bracket or len(fields) < 20 or not pid.isdigit():
        return None
    return Process(
        pid=int(pid),
        parent=int(fields[1]),
        session=int(fields[3]),
        started=int(fields[19]),
        is_zombie=fields[0] in "ZX",
    )


def look(pid: int) -> Process | None:
    """Return the process that has this id now."""
    try:
        return parse_stat((_PROC / str(pid) / "stat").read_text(errors="replace"))
    except OSError:
        return None


def is_alive(process: Process) -> bool:
    """Return whether this very process is there and not a zombie."""
    now = look(process.pid)
    return now is not None and now.started == process.started and not now.is_zombie


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to this very process; False when it has gone."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The descriptor holds on to one process; whether it is the right one is seen after that.
        if not is_alive(process):
            return False
        signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def kill_trees(roots: Collection[Process], *, spared: Iterable[int] = ()) -> int:
    """Kill these processes with all their descendants and all others of their sessions.

    `spared` are process ids that stay (a supervisor is in the session of its task, and shall live
    to write down the end). One look at all processes serves all roots. Returns how many were
    killed.
    """
    keep = {os.getpid(), 1, *spared}
    stopped: dict[int, Process] = {}
    for process in roots:
        if process.pid not in keep and send(process, signal.SIGSTOP):
            stopped[process.pid] = process
    # A session's number belongs to it as long as it has a member, so a live root vouches for it.
    sessions = {process.session for process in stopped.values() if process.session}
    for _ in range(_ROUNDS_MAX):
        found = [
            process
            for process in _descendants(set(stopped), sessions)
            if process.pid not in stopped and process.pid not in keep
        ]
        if not found:
            break
        for process in found:
            stopped[process.pid] = process
            send(process, signal.SIGSTOP)
    # The roots first: a parent that sees its child die could react.
    return sum(send(process, signal.SIGKILL) for process in stopped.values())


def _descendants(roots: Collection[int], sessions: Collection[int]) -> list[Process]:
    children: dict[int, list[Process]] = {}
    found: dict[int, Process] = {}
    for process in _all_processes():
        children.setdefault(process.parent, []).append(process)
        if process.session in sessions:
            found[process.pid] = process
    waiting = [*roots, *found]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child.pid not in found:
                found[child.pid] = child
                waiting.append(child.pid)
    return [process for process in found.values() if not process.is_zombie]


def _all_processes() -> Iterable[Process]:
    with contextlib.suppress(OSError), os.scandir(_PROC) as entries:
        for entry in entries:
            if entry.name.isdigit():
                process = look(int(entry.name))
                if process is not None:
                    yield process
