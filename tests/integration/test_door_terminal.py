"""The cockpit through the door, on a real terminal: keys in, screen out, and rough ends."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.door import DoorWorld
from tests.support.programs import World, wait_for
from tests.support.sshd import missing

pytestmark = [
    pytest.mark.terminal,
    pytest.mark.skipif(
        missing("ssh", "ssh-keygen", "tmux") is not None,
        reason=str(missing("ssh", "ssh-keygen", "tmux")),
    ),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("engine") / "world") as world:
        world.write_job("work", "true")
        world.write_chain("walk", ["work"])
        world.start_engine()
        yield world


@pytest.fixture
def door(engine: World, tmp_path: Path) -> Iterator[DoorWorld]:
    place = DoorWorld(engine, tmp_path)
    place.admit("anna", "operator")
    place.admit("otto", "read-only")
    place.open("--idle-timeout", "0")
    try:
        yield place
    finally:
        if place.door is not None:
            place.door.kill()
        for process in place.children():
            process.kill()


def order(door: DoorWorld, name: str, *options: str) -> str:
    door.world.ask("order", "add", "/walk", name, *options)
    return name


def status_of(door: DoorWorld, name: str) -> str:
    found = door.world.order("/walk", name)
    return "gone" if found is None else str(found["status"])


def test_the_cockpit_opens_without_a_shell_account_and_knows_who_it_is(door: DoorWorld) -> None:
    order(door, "waits", "--suspended")
    with door.terminal("anna") as terminal:
        terminal.shows(" anna rw ", "● live")
        assert terminal.modes() == "1 1"
        terminal.keys(":orders", "Enter")
        screen = terminal.shows(" orders", "waits", "‖ susp")
        assert all(len(line) <= 80 for line in screen.splitlines())
        terminal.keys("s")
        wait_for("an order that goes on", lambda: status_of(door, "waits") == "gone")
        terminal.keys(":q", "Enter")
        terminal.shows("exit-status 0")
        assert terminal.modes() == "0 0", "the terminal is as it was"
    door.await_nobody()


def test_the_size_of_the_window_is_passed_on(door: DoorWorld) -> None:
    with door.terminal("anna", size=(160, 45)) as terminal:
        screen = terminal.shows("● live")
        assert max(len(line) for line in screen.splitlines()) > 100
        terminal.resize(80, 24)
        wait_for("a narrow screen", lambda: fits(terminal.text(), 80))
        terminal.resize(160, 45)
        wait_for("a wide screen", lambda: not fits(terminal.text(), 100))


def fits(screen: str, width: int) -> bool:
    """Return whether a whole screen is there that is not wider than this."""
    return "● live" in screen and max(len(line) for line in screen.splitlines()) <= width


def test_language_and_colour_are_passed_on(door: DoorWorld) -> None:
    options = ("-o", "SendEnv=LC_ALL NO_COLOR", "-t")
    with door.terminal("anna", *options, ":orders", LC_ALL="C", NO_COLOR="1") as terminal:
        screen = terminal.shows(" anna rw ", "live", " orders")
        assert screen.isascii()


def test_a_place_can_be_given_to_begin_with(door: DoorWorld) -> None:
    order(door, "here", "--suspended")
    order(door, "somewhere", "--suspended")
    with door.terminal("anna", ":orders !some here") as terminal:
        screen = terminal.shows(" orders", " here ", "!some")
        assert "somewhere" not in screen


def test_who_may_only_look_has_no_keys_to_change_anything(door: DoorWorld) -> None:
    order(door, "stays", "--suspended")
    with door.terminal("otto", ":orders stays") as terminal:
        screen = terminal.shows(" otto ro ", "‖ susp")
        assert "suspend" not in screen.splitlines()[-1]
        terminal.keys("s", "r", "C-d")
        terminal.keys(":")
        terminal.shows("\n :\n")
        terminal.keys("suspend stays", "Enter")
        terminal.shows("read-only: ", "nothing was sent")
    assert status_of(door, "stays") == "suspended"


def test_nothing_is_written_on_the_host_of_the_door(door: DoorWorld) -> None:
    order(door, "saved", "--suspended")
    victim = door.folder / "victim.txt"
    victim.write_text("precious")
    with door.terminal("anna", ":orders", size=(250, 45)) as terminal:
        terminal.shows("saved")
        for target in (victim, door.folder / "new.csv"):
            terminal.keys("C-s")
            terminal.shows("save as: orders")
            terminal.keys("C-u")
            terminal.keys(str(target))
            terminal.shows(f"save as: {target}")
            terminal.keys("Enter")
            terminal.shows(f"{target}: nothing is written in a session at the door")
    assert victim.read_text() == "precious"
    assert not (door.folder / "new.csv").exists()
    assert not list((door.own / "home").rglob("*"))


def test_a_command_on_a_terminal_hears_ctrl_c(door: DoorWorld) -> None:
    with door.terminal("anna", "tail --after 0") as terminal:
        terminal.shows(order(door, "last", "--suspended"))
        terminal.keys("C-c")
        terminal.shows("exit-status 130")
    door.await_nobody()


def test_a_client_that_is_killed_takes_its_cockpit_along(door: DoorWorld) -> None:
    with door.terminal("anna") as terminal:
        terminal.shows("● live")
        child = door.child()
        os.kill(terminal.pid_of("ssh"), signal.SIGKILL)
        child.wait(30)
    door.await_nobody()
    wait_for(
        "the end in the log", lambda: "session 1 of anna ends: the client has gone" in door.log
    )


def test_a_cockpit_that_does_not_listen_is_killed_in_the_end(door: DoorWorld) -> None:
    with door.terminal("anna") as terminal:
        terminal.shows("● live")
        child = door.child()
        child.suspend()
        door.write_people(door.lines[1:])
        child.wait(30)
        terminal.shows("your rights have changed", "exit-status 1")
        assert terminal.modes() == "0 0", "the terminal is as it was"
    door.await_nobody()


def test_a_door_that_is_killed_takes_the_cockpit_along(door: DoorWorld) -> None:
    with door.terminal("anna") as terminal:
        terminal.shows("● live")
        child = door.child()
        assert door.door is not None
        door.door.kill()
        child.wait(30)
        terminal.shows("exit-status 255")


def test_a_terminal_without_keys_is_closed(door: DoorWorld) -> None:
    assert door.door is not None
    door.door.end()
    door.open("--idle-timeout", "8")
    with door.terminal("anna") as terminal:
        terminal.shows("ended after 8 s without a key", "exit-status 1")
        assert terminal.modes() == "0 0", "the terminal is as it was"
    door.await_nobody()


def test_an_engine_that_starts_again_knows_the_session(door: DoorWorld) -> None:
    order(door, "again", "--suspended")
    with door.terminal("anna", ":orders again") as terminal:
        terminal.shows("● live", "‖ susp")
        assert door.world.engine is not None
        door.world.engine.kill()
        terminal.shows("away")
        door.world.start_engine()
        terminal.shows("● live", patience_s=60)
        terminal.keys("s")
        wait_for("an order that goes on", lambda: status_of(door, "again") == "gone")
