"""The real program on a real terminal before a real engine, key by key."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from engine.service.paths import EnginePaths
from tests.support.programs import CHECKOUT, World
from tests.support.tmux import Terminal, is_there

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(not is_there(), reason="tmux is not installed"),
]

SCRIPT = """echo "rows of $SCHEDULER_PARAM_REGION"
until test -e {go}; do sleep 0.1; done
echo the last line"""
"""Ends when it is told to: what is to be seen while it runs may take any time."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        world.write_job("load", SCRIPT.format(go=tmp_path / "go"))
        world.write_job("check", "true")
        world.write_chain("invoice", ["load", "check"])
        world.start_engine()
        yield world


def cockpit(
    world: World, tmp_path: Path, *words: str, environment: Mapping[str, str] | None = None
) -> Terminal:
    given = {"PYTHONPATH": str(CHECKOUT), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    socket = str(EnginePaths(world.data).socket)
    command = ["env", "-u", "NO_COLOR", sys.executable, "-m", "tui", socket, *words]
    if environment and "NO_COLOR" in environment:
        command = command[3:]
    return Terminal(command, tmp_path, environment={**given, **(environment or {})})


def test_the_walk(world: World, tmp_path: Path) -> None:
    with cockpit(world, tmp_path, ":chains") as terminal:
        terminal.shows("live", "invoice", "idle")
        terminal.keys("/", "inv", "Enter")
        terminal.shows("1")
        terminal.keys("Escape", "Enter")
        terminal.shows("GRAPH", "job /load")
        terminal.keys("T")
        terminal.shows("Start an order", "name=value")
        terminal.keys("o1", "Down", "Down", "Down", "Down", "Down", "Down", "REGION=EU", "Enter")
        terminal.shows("► 1 runs", "o1")
        terminal.keys("l")
        terminal.shows("rows of EU", "follow ●")
        (tmp_path / "go").touch()
        terminal.shows("the last line", "complete")
        terminal.keys("Escape")
        terminal.shows("✓ 1 done")
        terminal.resize(160, 45)
        terminal.shows("log of task")
        terminal.keys("v")
        terminal.shows("───▸ 2")
        terminal.resize(80, 24)
        terminal.shows("GRAPH")
        terminal.keys(":q", "Enter")
        terminal.shows("exit-status 0")
        assert terminal.modes() == "0 0"


def test_an_engine_that_restarts_is_followed_again(world: World, tmp_path: Path) -> None:
    with cockpit(world, tmp_path, ":chains") as terminal:
        terminal.shows("live", "invoice")
        assert world.engine is not None
        world.engine.kill()
        terminal.shows("ENGINE AWAY", "invoice")
        world.start_engine()
        terminal.shows("● live", "invoice")
        terminal.keys(":q", "Enter")
        terminal.shows("exit-status 0")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(
    world: World, tmp_path: Path, number: signal.Signals
) -> None:
    with cockpit(world, tmp_path, ":chains") as terminal:
        terminal.shows("live")
        assert terminal.modes() != "0 0"
        os.kill(terminal.pid_of("-m tui"), number)
        terminal.shows(f"exit-status {128 + number}", patience_s=60)
        assert terminal.modes() == "0 0"


@pytest.mark.parametrize(
    "environment",
    [{"TERM": "xterm"}, {"TERM": "screen"}, {"TERM": "linux"}, {"LC_ALL": "C"}, {"NO_COLOR": "1"}],
    ids=lambda environment: " ".join(f"{k}={v}" for k, v in environment.items()),
)
def test_poor_terminals_show_the_same_words(
    world: World, tmp_path: Path, environment: dict[str, str]
) -> None:
    with cockpit(world, tmp_path, ":chains", environment=environment) as terminal:
        shown = terminal.shows("live", "invoice", "idle")
        if environment.get("TERM") == "linux" or environment.get("LC_ALL") == "C":
            assert shown.isascii()
        terminal.keys("C-c")
        terminal.shows("exit-status 0")
