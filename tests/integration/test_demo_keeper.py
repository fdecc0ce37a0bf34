"""The keeper of the demo: its switches, and its end with everything that belongs to it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.cli_demo_keeper import ENDED, MARK, PLAN, SWITCHES, marked
from tests.support.programs import CHECKOUT, wait_for

PART = """
import os, subprocess, sys, time
with open(sys.argv[1], "a") as file:
    print(os.getpid(), file=file, flush=True)
if len(sys.argv) > 2:
    subprocess.Popen(["sleep", "3600"], start_new_session=True)
time.sleep(3600)
"""


class Kept:
    """A keeper with two parts, one of which leaves a child in a session of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "demo"
        for name in (ENDED, SWITCHES):
            (self.folder / name).mkdir(parents=True)
        self.pids = folder / "pids"
        self.pids.touch()
        plan = [
            {"name": "one", "command": self._part(), "niceness": 0},
            {"name": "two", "command": self._part("child"), "niceness": 5},
        ]
        (self.folder / PLAN).write_text(json.dumps(plan))
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "engine.cli_demo_keeper", str(self.folder)],
            stdin=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
            start_new_session=True,
        )
        wait_for("three processes", lambda: len(self.alive()) == 3)

    def _part(self, *more: str) -> Sequence[str]:
        return [sys.executable, "-c", PART, str(self.pids), *more]

    def alive(self) -> list[int]:
        return marked(f"{MARK}={self.folder}".encode())

    def started(self) -> list[int]:
        return [int(line) for line in self.pids.read_text().split()]

    def leave(self) -> None:
        """Close the pipe, as the end of the demo does, whatever ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.leave()
    assert made.alive() == []
    assert not made.folder.exists()


def test_a_switch_ends_a_part_and_starts_it_again(kept: Kept) -> None:
    switch = kept.folder / SWITCHES / "one.off"
    switch.touch()
    wait_for("the end of one part", lambda: len(kept.alive()) == 2)
    switch.unlink()
    wait_for("its second life", lambda: len(kept.alive()) == 3)
    wait_for("three starts in all", lambda: len(kept.started()) == 3)
    assert list((kept.folder / ENDED).iterdir()) == [], "nothing has ended by itself"


def test_a_part_that_ends_by_itself_is_noted_and_not_started_again(kept: Kept) -> None:
    os.kill(kept.started()[0], signal.SIGKILL)
    wait_for("the note", lambda: any((kept.folder / ENDED).iterdir()))
    assert len(kept.started()) == 2


def test_the_end_of_the_pipe_is_the_end_of_everything(kept: Kept) -> None:
    kept.leave()
    assert kept.process.returncode == 0
    assert kept.alive() == []
    assert not kept.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_leave_nothing_either(kept: Kept, number: signal.Signals) -> None:
    kept.process.send_signal(number)
    if number is not signal.SIGTERM:
        # The terminal's signals are the demo's business, which closes the pipe.
        assert len(kept.alive()) == 3
        kept.leave()
    kept.process.wait(30)
    assert kept.alive() == []
