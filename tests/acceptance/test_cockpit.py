"""The demo in a terminal of 80x24: its graph moves, and an agent that is killed shows."""

import re
import time
from pathlib import Path

import psutil
import pytest

from tests.support.programs import World, marked, wait_for, words_of
from tests.support.tmux import Terminal, is_there

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not is_there(), reason="tmux is not installed"),
]

GAUGE_TURNS_S = 12.0


def test_the_demo_shows_its_order_and_the_loss_of_an_agent(world: World, program: Path) -> None:
    clean = ["env", "-u", "PYTHONPATH", "-u", "NO_COLOR"]
    environment = {**world.environment, "LC_ALL": "C.UTF-8"}
    command = [*clean, str(program), "demo"]
    with Terminal(command, world.elsewhere, environment=environment) as terminal:
        terminal.shows("live", "agents 3/3", patience_s=60)
        _open_chain(terminal)
        terminal.keys("t")
        on_agents = [f"on 127.0.0.1:{port}" for port in _agents(world)]
        running = terminal.shows("3 runs", *on_agents)
        assert len(re.findall(r"└ end_of_day_child", running)) == 3
        terminal.shows("1 done")

        terminal.keys(":", "agents", "Enter")
        terminal.shows("LEASE LEFT")
        (port, process), *others = _agents(world).items()
        assert _agent_row(terminal.text(), port).count("answers") == 1
        process.kill()
        begin = time.monotonic()
        wait_for("a gauge that turns", lambda: "lost" in _agent_row(terminal.text(), port), 30)
        assert time.monotonic() - begin < GAUGE_TURNS_S
        for other, _ in others:
            assert "answers" in _agent_row(terminal.text(), other)

        _open_chain(terminal)
        terminal.keys("t")
        on_others = [f"on 127.0.0.1:{other}" for other, _ in others]
        running = terminal.shows("2 runs", *on_others)
        assert f"on 127.0.0.1:{port}" not in running
        terminal.shows("2 done")

        terminal.keys("C-c")
        terminal.shows("exit-status 0")
        assert terminal.modes() == "0 0", "the terminal is left as it was"
    wait_for("the end of all its processes", lambda: not _programs(world))


def test_a_demo_whose_terminal_is_closed_ends_with_it(world: World, program: Path) -> None:
    command = ["env", "-u", "PYTHONPATH", str(program), "demo"]
    temporary = world.folder / "temporary"
    temporary.mkdir()
    environment = {**world.environment, "LC_ALL": "C.UTF-8", "TMPDIR": str(temporary)}
    with Terminal(command, world.elsewhere, environment=environment) as terminal:
        terminal.shows("agents 3/3", patience_s=60)
    wait_for("the end of all its processes", lambda: not _programs(world))
    assert list(temporary.iterdir()) == []


def _open_chain(terminal: Terminal) -> None:
    terminal.keys(":", "chains end_of_day", "Enter")
    terminal.shows("CHAIN", "end_of_day")
    terminal.keys("Enter")
    terminal.shows("GRAPH", "split", "create", "sync", "success", "error")


def _agent_row(screen: str, port: int) -> str:
    return next(line for line in screen.splitlines() if f"127.0.0.1:{port}" in line)


def _programs(world: World) -> list[list[str]]:
    """Return the command lines of all parts of the demo."""
    found = [words_of(process) for process in marked(world.mark)]
    return [words for words in found if "engine" in words or "demo" in words]


def _agents(world: World) -> dict[int, psutil.Process]:
    """Return the demo's agents by port."""
    found = {}
    for process in marked(world.mark):
        words = words_of(process)
        if "agent" in words and "--listen" in words:
            address = words[words.index("--listen") + 1]
            found[int(address.rpartition(":")[2])] = process
    return found
