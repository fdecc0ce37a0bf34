"""The second pair of eyes: ends tasks whose lease is over while the agent program is away.

An agent that was killed cannot keep the promise that its tasks are dead when the engine believes so
(agents.md 3.3). So it starts this small process with its first task. As long as the agent lives the
warden sleeps; when the agent has gone it looks after the leases on disk, until a new life of the
agent takes the folder over or nothing runs any more.

    python -m engine.agent.warden DATA AGENT_PID
"""

import contextlib
import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from engine.agent import process_tree
from engine.agent.begun_log import BEGUN, RUNS, read_begun
from engine.agent.run_folder import AboutRun, RunFolder
from engine.agent.session_files import SessionFiles
from engine.kernel.reports import EndReason

LOOK_S = 0.2
LOCK = "lock"
"""Held by the agent program in its data folder."""


def start_warden(data: Path) -> "subprocess.Popen[bytes]":
    """Start a warden over this process, in a session of its own."""
    return subprocess.Popen(
        # -P: a folder named engine where the agent was started is none of ours.
        [sys.executable, "-P", "-m", "engine.agent.warden", str(data), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def watch(data: Path, agent: int) -> None:
    """Sleep as long as the agent lives, then look after its tasks."""
    _wait_for_end(agent)
    while True:
        with _unlocked(data) as is_ours:
            if not is_ours:
                return
            if not end_overdue(data):
                return
        time.sleep(LOOK_S)


def end_overdue(data: Path) -> int:
    """Kill the tasks whose lease is over; returns how many are left running."""
    files = SessionFiles(data)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    at = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000
    overdue = []
    left = 0
    for folder, about, process in _running(data, boot):
        lease = files.lease(about.engine)
        has_lease = lease is not None and lease.boot == boot
        if has_lease and lease is not None and lease.base + about.timeout > at:
            left += 1
        else:
            folder.mark_killed(EndReason.LEASE_OVER)
            overdue.append(process)
    process_tree.kill_trees(overdue, spared=[process.parent for process in overdue])
    return left


def _running(data: Path, boot: str) -> Iterator[tuple[RunFolder, AboutRun, process_tree.Process]]:
    for about in read_begun(data / BEGUN).values():
        if about.boot != boot:
            continue
        folder = RunFolder(data / RUNS / about.number)
        state = folder.state()
        is_open = state.process is not None and state.exit_code is None
        if is_open and state.process is not None and process_tree.is_alive(state.process):
            yield folder, about, state.process


def _wait_for_end(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(descriptor):
        # It may have gone, and its number been given away, before the descriptor was open.
        if os.getppid() == pid:
            select.select([descriptor], [], [])


@contextlib.contextmanager
def _unlocked(data: Path) -> Iterator[bool]:
    """Yield whether no agent holds the folder, and keep one from taking it meanwhile."""
    with (data / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


if __name__ == "__main__":
    watch(Path(sys.argv[1]), int(sys.argv[2]))
