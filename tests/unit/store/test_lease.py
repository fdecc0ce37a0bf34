"""The lock of a data folder."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import AlreadyRunning, StoreUnavailable
from engine.store.lease import FolderLock

HOLDER = """
import sys
from pathlib import Path
from engine.store.lease import FolderLock
FolderLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_engine_is_told_who_has_the_folder(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path / "lock"), FolderLock(tmp_path / "lock")
    first.acquire()
    with pytest.raises(AlreadyRunning) as caught:
        second.acquire()
    assert caught.value.pid == os.getpid()
    assert str(tmp_path) in str(caught.value)
    assert f"process {os.getpid()}" in str(caught.value)
    first.release()
    second.acquire()
    second.release()


def test_releasing_twice_does_no_harm(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "lock")
    lock.acquire()
    lock.release()
    lock.release()


def test_a_lock_vanishes_with_its_holder(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(AlreadyRunning) as caught:
            FolderLock(file).acquire()
        assert caught.value.pid == holder.pid
        holder.send_signal(signal.SIGKILL)
        holder.wait(30)
    lock = FolderLock(file)
    lock.acquire()
    lock.release()


def test_a_folder_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable):
        FolderLock(tmp_path / "missing" / "lock").acquire()


def test_a_holder_that_has_not_said_who_it_is_yet_is_another_process(tmp_path: Path) -> None:
    first = FolderLock(tmp_path / "lock")
    first.acquire()
    os.truncate(tmp_path / "lock", 0)
    with pytest.raises(AlreadyRunning, match="another process"):
        FolderLock(tmp_path / "lock").acquire()
    first.release()
