"""The rough cases: clients that are killed, deaf terminals, bad lines, a real sshd in between."""

import os
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.service.paths import EnginePaths
from tests.support.programs import CHECKOUT, World, free_port, wait_for
from tests.support.ssh_engine import SshEngine, ssh_engine
from tests.support.sshd import missing
from tests.support.tmux import Terminal, is_there

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not is_there(), reason="tmux is not installed"),
]

BAD_LINE = CHECKOUT / "tests" / "support" / "bad_line.py"
ORDERS = 5
"""Two seconds each, one after the other: so long does the terminal not read."""
PATIENCE_S = 60.0
GONE_S = 3.0
"""A cockpit without a terminal is gone after so long, tui.md 15.3."""


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path / "world") as world:
        world.write_job("load", 'echo "rows"; sleep 2; echo done')
        world.write_chain("invoice", ["load"])
        world.write_chain("second", ["load"])
        world.start_engine()
        yield world


def program(world: World, *words: str) -> list[str]:
    socket = str(EnginePaths(world.data).socket)
    return ["env", "-u", "NO_COLOR", sys.executable, "-m", "tui", socket, *words]


def environment(tmp_path: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(CHECKOUT), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}


def has_ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_killed_client_leaves_the_engine_and_other_clients_alone(
    world: World, tmp_path: Path
) -> None:
    with (
        Terminal(program(world, ":orders"), tmp_path, environment=environment(tmp_path)) as one,
        Terminal(program(world, ":chains"), tmp_path, environment=environment(tmp_path)) as two,
    ):
        one.shows("live")
        two.shows("live", "invoice")
        os.kill(one.pid_of("-m tui"), signal.SIGKILL)
        one.shows("exit-status 137")
        two.keys("t")
        two.shows("1 run seen")
        assert world.engine is not None
        assert world.engine.process.poll() is None
        two.keys(":q", "Enter")
        two.shows("exit-status 0")


@pytest.mark.parametrize("ignored", [False, True], ids=["", "SIGHUP ignored"])
def test_without_a_terminal_the_program_is_gone_soon(
    world: World, tmp_path: Path, *, ignored: bool
) -> None:
    before = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"] if ignored else []
    with Terminal(
        [*before, *program(world, ":chains")], tmp_path, environment=environment(tmp_path)
    ) as terminal:
        terminal.shows("live")
        pid = terminal.pid_of("-m tui")
    # The terminal is gone now, with everything that held it.
    wait_for("its end", lambda: has_ended(pid), GONE_S + 7)


def test_a_terminal_that_stops_reading_stops_nobody_else(world: World, tmp_path: Path) -> None:
    deaf = tmp_path / "deaf"
    line = [sys.executable, str(BAD_LINE), "--deaf-file", str(deaf)]
    with Terminal(
        [*line, *program(world, ":chains")], tmp_path, size=(160, 45),
        environment=environment(tmp_path),
    ) as terminal:  # fmt: skip
        terminal.shows("live", "invoice")
        deaf.touch()
        for number in range(1, ORDERS + 1):
            world.ask("order", "add", "/invoice", f"o{number}")
        wait_for("the orders' ends", lambda: len(world.runs("/invoice")) == ORDERS, PATIENCE_S)
        deaf.unlink()
        terminal.shows("live", f"{ORDERS} runs seen", patience_s=PATIENCE_S)
        terminal.keys(":history", "Enter")
        terminal.shows(f"o{ORDERS}")
        terminal.keys(":q", "Enter")
        terminal.shows("exit-status 0")


def walk(terminal: Terminal) -> None:
    """Go about with keys that are single bytes, sequences, and several at once."""
    terminal.shows("live", "invoice", "second")
    terminal.keys("Down")
    terminal.shows("> ")
    terminal.keys("Up", "Down", "Enter")
    terminal.shows("GRAPH", "second")
    terminal.keys("Escape")
    terminal.shows("CHAIN", "invoice")
    terminal.keys("/", "inv", "Enter")
    terminal.shows("1 of 2")
    terminal.keys("Escape", ":orders", "Enter")
    terminal.shows("WAITS FOR")
    terminal.keys("S-Right", "?")
    terminal.shows("help: orders")
    terminal.keys("Escape")
    terminal.shows("WAITS FOR")
    terminal.keys(":q", "Enter")
    terminal.shows("exit-status 0")


@pytest.mark.parametrize(
    "options", [["--delay-ms", "100"], ["--tear"], ["--tear", "--delay-ms", "100"]], ids=" ".join
)
def test_a_slow_or_tearing_line_changes_no_keys_meaning(
    world: World, tmp_path: Path, options: list[str]
) -> None:
    command = [sys.executable, str(BAD_LINE), *options, *program(world, ":chains")]
    with Terminal(command, tmp_path, environment=environment(tmp_path)) as terminal:
        walk(terminal)
        assert terminal.modes() == "0 0"


@pytest.mark.parametrize("name", ["TERM=linux", "LC_ALL=C"])
def test_a_torn_line_to_a_poor_terminal_stays_readable(
    world: World, tmp_path: Path, name: str
) -> None:
    variable, _, value = name.partition("=")
    command = [sys.executable, str(BAD_LINE), "--tear", *program(world, ":chains")]
    given = environment(tmp_path) | {variable: value}
    with Terminal(command, tmp_path, environment=given) as terminal:
        shown = terminal.shows("live", "invoice")
        assert shown.isascii()
        terminal.keys("C-c")
        terminal.shows("exit-status 0")


def test_without_colour_no_colour_is_written(world: World, tmp_path: Path) -> None:
    given = environment(tmp_path) | {"NO_COLOR": "1"}
    command = program(world, ":chains")[3:]
    with Terminal(command, tmp_path, environment=given) as terminal:
        terminal.shows("live", "invoice")
        drawn = terminal._tmux("capture-pane", "-p", "-e", "-t", "t")
        codes = {part.partition("m")[0] for part in drawn.split("\x1b[")[1:]}
        numbers = {int(code) for one in codes for code in one.split(";") if code.isdigit()}
        assert numbers <= {0, 1, 2, 3, 4, 7, 22, 23, 24, 27, 39, 49}, numbers


def test_the_window_is_named_after_the_engine_and_gets_its_name_back(
    world: World, tmp_path: Path
) -> None:
    with Terminal(program(world), tmp_path, environment=environment(tmp_path)) as terminal:
        terminal.shows("live")
        title = ("display-message", "-p", "-t", "t", "#{pane_title}")
        engine = terminal.text().split()[0]
        wait_for("the title", lambda: terminal._tmux(*title).strip() == engine or None)
        terminal.keys(":q", "Enter")
        terminal.shows("exit-status 0")
        assert terminal._tmux(*title).strip() != engine


# --- through a real sshd, and an orphan ends -----------------------------------------------------


@pytest.fixture
def far(tmp_path: Path) -> Iterator[SshEngine]:
    if missing("sshd", "ssh") is not None:
        pytest.skip(str(missing("sshd", "ssh")))
    with ssh_engine(tmp_path / "far") as place:
        yield place


def test_an_orphan_ends_in_a_walk_by_keys_alone(far: SshEngine, tmp_path: Path) -> None:
    script = "setsid sleep 5800 &\necho started; sleep 5900"
    far.write_ssh_chain(far.login() | {"ssh_session_unreachable_limit": "1"}, script)
    far.start_engine()
    far.add("inv-2199")
    task = far.task_of("inv-2199")
    far.awaited("its output", lambda: "started" in far.task_log(task))
    far.server.stop_listening_and_cut()
    far.run_of("inv-2199")
    far.server.start()
    assert len(far.server.processes()) >= 2
    with Terminal(program(far), tmp_path, environment=environment(tmp_path)) as terminal:
        terminal.shows("live")
        terminal.keys(":ps", "Enter")
        terminal.shows("inv-2199", "orphan", "TERM to", patience_s=60)
        terminal.keys("d")
        terminal.shows("TERM would go to")
        terminal.keys("Escape")
        terminal.shows("ORDER · NODE")
        terminal.keys("x")
        terminal.shows("inv-2199@127.0.0.1: gone")
        far.awaited("the end of all processes", lambda: not far.server.processes())
        terminal.keys(":q", "Enter")
        terminal.shows("exit-status 0")
    assert "end (TERM, KILL)" in far.task_log(task)


def is_open_to_all(path: Path) -> bool:
    """Return whether accounts that a test makes up can get there."""
    return all(part.stat().st_mode & 0o001 for part in (path, *path.parents))


def test_the_walk_through_a_real_ssh_connection(
    world: World, far: SshEngine, tmp_path: Path
) -> None:
    known = (Path(sys.executable).resolve(), Path(f"/usr/bin/python3.{sys.version_info.minor}"))
    python = next((one for one in known if one.exists() and is_open_to_all(one.parent)), None)
    if python is None or not is_open_to_all(CHECKOUT):
        pytest.skip("closed to the accounts that the test makes up")
    port = free_port()
    token = world.call("token", "--role", "admin", "--data", str(world.data)).stdout.strip()
    assert world.engine is not None
    assert world.engine.end() == 0
    world.start_engine("--listen", f"127.0.0.1:{port}")
    given = {
        "PYTHONPATH": ":".join([str(CHECKOUT), *(one for one in sys.path if "site-pack" in one)]),
        "POINTSMAN_TOKEN": token,
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    words = ["env", *(f"{name}={value}" for name, value in given.items()), str(python)]
    remote = shlex.join([*words, "-m", "tui", f"http://127.0.0.1:{port}", ":chains"])
    server = far.server
    command = [
        "ssh", "-tt", "-F", "none", "-i", str(server.key), "-p", str(server.port),
        "-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "IdentitiesOnly=yes",
        f"{server.user}@127.0.0.1", remote,
    ]  # fmt: skip
    with Terminal(command, tmp_path, environment=environment(tmp_path)) as terminal:
        walk(terminal)
        assert terminal.modes() == "0 0"
