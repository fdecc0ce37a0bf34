"""Processes as /proc shows them."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from engine.agent import process_tree
from engine.agent.process_tree import Process, parse_stat

LINE = "17 (a (b) c) S 4 17 16 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3"


def test_a_name_with_blanks_and_brackets_does_not_confuse() -> None:
    assert parse_stat(LINE) == Process(pid=17, parent=4, session=16, started=4711)


@pytest.mark.parametrize("line", ["", "17 (sh", "17 (sh) S 1 2", "nonsense"])
def test_an_incomplete_line_is_no_process(line: str) -> None:
    assert parse_stat(line) is None


def test_a_number_that_another_process_has_now_is_not_the_same_process() -> None:
    me = process_tree.look(os.getpid())
    assert me is not None
    assert process_tree.is_alive(me)
    other = Process(pid=me.pid, parent=me.parent, session=me.session, started=me.started + 1)
    assert not process_tree.is_alive(other)
    assert not process_tree.send(other, signal.SIGKILL)


def test_one_look_kills_several_trees_and_spares_who_is_named() -> None:
    script = "sleep 100 & sleep 100 & wait"
    roots = [subprocess.Popen(["sh", "-c", script], start_new_session=True) for _ in range(3)]
    found = [process_tree.look(root.pid) for root in roots]
    processes = [process for process in found if process is not None]
    assert len(processes) == 3
    _until_children(roots)
    killed = process_tree.kill_trees(processes[:2])
    assert killed == 6
    assert [root.wait() for root in roots[:2]] == [-signal.SIGKILL, -signal.SIGKILL]
    assert process_tree.is_alive(processes[2])
    assert process_tree.kill_trees(processes[2:], spared=[roots[2].pid]) == 0
    process_tree.kill_trees(processes[2:])
    roots[2].wait()


def test_killing_what_has_gone_kills_nothing() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    process = process_tree.look(child.pid)
    child.wait()
    assert process is not None
    assert process_tree.kill_trees([process]) == 0


def _until_children(roots: "list[subprocess.Popen[bytes]]") -> None:
    def children(pid: int) -> list[str]:
        with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123 - a pseudo file
            return file.read().split()

    _until(lambda: all(len(children(root.pid)) == 2 for root in roots))


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
