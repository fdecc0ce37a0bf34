"""Who comes through the door with a real `ssh`, what they may do there, and what nobody may."""

import contextlib
import re
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import order_key
from tests.support.door import DoorWorld
from tests.support.programs import World, free_port, wait_for
from tests.support.sshd import missing

pytestmark = [
    pytest.mark.skipif(
        missing("ssh", "ssh-keygen", "sftp") is not None,
        reason=str(missing("ssh", "ssh-keygen", "sftp")),
    ),
    pytest.mark.timeout(300),
]


ROOM_BYTES = 120_000_000
"""Of which the door's own code takes a half."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("engine") / "world") as world:
        world.write_job("work", "true")
        world.write_chain("walk", ["work"])
        world.start_engine("--listen", "127.0.0.1:0", "--trust-loopback")
        yield world


@pytest.fixture
def place(engine: World, tmp_path: Path) -> Iterator[DoorWorld]:
    place = DoorWorld(engine, tmp_path)
    place.admit("anna", "operator")
    place.admit("otto", "read-only")
    try:
        yield place
    finally:
        if place.door is not None:
            place.door.kill()
        for process in place.children():
            process.kill()


@pytest.fixture
def door(place: DoorWorld) -> DoorWorld:
    place.open()
    return place


def order(engine: World, name: str) -> str:
    """Return an order that waits to be resumed."""
    engine.ask("order", "add", "/walk", name, "--suspended")
    return name


# --- who comes in --------------------------------------------------------------------------------


def test_a_person_hands_a_command_over_and_the_journal_says_who_it_was(door: DoorWorld) -> None:
    before = door.world.get("/api/overview")["number"]
    done = door.call("anna", "order add /walk by-anna --suspended -p 'text=a; b $(c)'")
    assert (done.returncode, done.stdout, done.stderr) == (0, "by-anna\n", "")
    added = next(fact for fact in door.world.facts(before) if fact["kind"] == "OrderAdded")
    assert "anna" in str(added["cause"])
    assert "'a; b $(c)'" in str(added["body"])


def test_the_exit_status_and_both_outputs_are_those_of_the_command(door: DoorWorld) -> None:
    done = door.call("anna", "order show /walk nobody-knows-it")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "nobody-knows-it" in done.stderr


def test_a_command_reads_what_the_client_sends(door: DoorWorld) -> None:
    done = door.call("otto", "command -", given="<show_state/>" + " " * 200_000)
    assert done.returncode == 0, done.stderr
    assert "<spooler>" in done.stdout


def test_who_may_only_look_can_change_nothing(door: DoorWorld) -> None:
    name = order(door.world, "kept")
    for command in (
        "order add /walk by-otto",
        f"order remove /walk {name}",
        f"order resume /walk {name}",
        f"order suspend /walk {name}",
    ):
        done = door.call("otto", command)
        assert done.returncode == 1, command
        assert "needs a token with the role operator, not read-only" in done.stderr, command
    for xml in (f'<modify_order job_chain="/walk" order="{name}" suspended="no"/>', "<terminate/>"):
        done = door.call("otto", f"command '{xml}'")
        assert done.returncode == 1, xml
    assert door.call("otto", "order list").returncode == 0
    found = door.world.order("/walk", name)
    assert found is not None
    assert found["status"] == "suspended"
    assert door.world.order("/walk", "by-otto") is None


def test_an_operator_may_not_do_what_an_admin_may(door: DoorWorld) -> None:
    done = door.call("anna", "command '<modify_spooler cmd=\"terminate\"/>'")
    assert done.returncode == 1, done.stdout
    assert door.world.engine is not None
    assert door.world.engine.process.poll() is None


@pytest.mark.parametrize(
    ("person", "key", "options"),
    [
        ("anna", "stranger", ()),
        ("anna", "otto", ()),
        ("root", "anna", ()),
        ("anna", "stranger", ("-o", "PreferredAuthentications=password,keyboard-interactive,none")),
    ],
    ids=["an unknown key", "somebody else's key", "an unknown name", "no key"],
)
def test_nobody_else_comes_in(
    door: DoorWorld, person: str, key: str, options: tuple[str, ...]
) -> None:
    done = door.call(person, *options, "order list", key=key)
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr
    assert not door.children()
    wait_for("a line in the log", lambda: "no login from 127.0.0.1" in door.log)
    assert "login of" not in door.log


def test_certificates_are_good_for_the_names_they_say(door: DoorWorld) -> None:
    door.trust("authority", "bob,carla", "operator")
    door.certify("bob", "authority", "-n", "bob", "-V", "+1h")
    assert door.call("bob", "order list").returncode == 0
    for person, key, options in (
        ("carla", "bob", ()),
        ("anna", "bob", ()),
        ("bob", "everybody", ("-V", "+1h")),
        ("bob", "past", ("-n", "bob", "-V", "20200101:20200102")),
        ("bob", "elsewhere", ("-n", "bob", "-O", "source-address=192.0.2.0/24")),
        ("bob", "host", ("-n", "bob", "-h")),
    ):
        if key != "bob":
            door.certify(key, "authority", *options)
        assert door.call(person, "order list", key=key).returncode == 255, (person, key)
    door.key("other-authority")
    door.certify("dora", "other-authority", "-n", "bob")
    assert door.call("bob", "order list", key="dora").returncode == 255


def test_a_key_for_commands_opens_no_terminal(door: DoorWorld) -> None:
    door.admit("robot", "operator", "restrict", 'from="127.0.0.0/8"')
    door.admit("far", "operator", 'from="192.0.2.0/24"')
    assert door.call("robot", "order list").returncode == 0
    with door.terminal("robot") as terminal:
        terminal.shows("this key hands over commands and opens no terminal", "exit-status 2")
    assert door.call("far", "order list").returncode == 255


# --- what nobody may -----------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["ls /", "sh", "order list --data /", "engine --config /"])
def test_nothing_but_the_engine_is_reached_by_commands(door: DoorWorld, command: str) -> None:
    done = door.call("anna", command)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("pointsman: ")
    assert not door.children()


def test_there_is_no_shell_between_the_client_and_the_command(door: DoorWorld) -> None:
    mark = door.folder / "mark"
    done = door.call("anna", f"order list; touch {mark}")
    assert done.returncode == 2
    assert not mark.exists()


def test_without_a_terminal_and_words_one_is_told_how(door: DoorWorld) -> None:
    command = [*door.ssh("anna", "-T", "")[:-1]]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 2
    assert "ssh -t HOST" in done.stderr


def test_files_are_not_transferred(door: DoorWorld) -> None:
    mark = door.folder / "got"
    sftp = [word if word != "-p" else "-P" for word in door.ssh("anna", "")[1:-2]]
    for program in ("sftp", "scp"):
        target = ["anna@127.0.0.1:/etc/hosts", str(mark)]
        done = subprocess.run(
            [program, *sftp, *target],
            check=False, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode != 0, program
        assert not mark.exists()


def test_nothing_is_forwarded(door: DoorWorld) -> None:
    with socket.socket() as target:
        target.bind(("127.0.0.1", 0))
        target.listen()
        target.settimeout(0.5)
        port = target.getsockname()[1]
        done = door.call("anna", "-W", f"127.0.0.1:{port}", "")
        assert done.returncode == 255
        assert "open failed" in done.stderr or "forwarding failed" in done.stderr
        with pytest.raises(TimeoutError):
            target.accept()
    forward = f"{free_port()}:127.0.0.1:{door.port}"
    refuse = ("-o", "ExitOnForwardFailure=yes", "-R", forward)
    assert door.call("anna", *refuse, "order list").returncode == 255
    done = door.call("anna", "-A", "-X", "order list")
    assert done.returncode == 0
    assert not list(door.own.glob("**/*agent*"))


def test_of_the_client_s_environment_only_language_and_colour_arrive(door: DoorWorld) -> None:
    sent = "PYTHONSTARTUP=/x LD_PRELOAD=/x PATH=/x POINTSMAN_TOKEN=x LC_ALL=C NO_COLOR=1"
    options = ("-o", f"SetEnv={sent}")
    tail = subprocess.Popen(
        door.ssh("anna", "-T", *options, "tail"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        found = door.child()
        environment = found.environ()
        allowed = {
            "PATH", "PYTHONPATH", "TZ", "LC_ALL", "NO_COLOR", "HOME", "USER", "LOGNAME",
            "PYTHONDONTWRITEBYTECODE",
        }  # fmt: skip
        assert {name for name in environment if not name.startswith("XDG_")} == allowed
        assert environment["PATH"] == door.world.environment["PATH"]
        assert (environment["LC_ALL"], environment["USER"]) == ("C", "anna")
        token = re.compile(rb"[A-Za-z0-9_-]{43}")
        assert not token.search(" ".join(found.cmdline()).encode())
        assert not token.search("".join(environment.values()).replace("/", " ").encode())
    finally:
        tail.kill()
        tail.wait(30)
    door.await_nobody()


def test_a_client_that_sends_too_much_environment_is_cut_off(door: DoorWorld) -> None:
    sent = " ".join(f"LC_A{number}={'x' * 1000}" for number in range(20))
    done = door.call("anna", "-o", f"SetEnv={sent}", "tail")
    assert done.returncode == 255
    assert "sends too much environment" in door.log
    door.await_nobody()


# --- bounds --------------------------------------------------------------------------------------


def test_an_address_that_fails_too_often_is_not_heard(door: DoorWorld) -> None:
    def is_closed_unheard() -> bool:
        with socket.create_connection(("127.0.0.1", door.port), 5) as line:
            line.settimeout(10)
            try:
                return line.recv(4) == b""
            except ConnectionError:
                return True

    wait_for("a refusal", is_closed_unheard)
    assert "too many failed logins" in door.log
    assert door.call("anna", "order list").returncode == 255


def test_strangers_cannot_take_all_places_at_once(door: DoorWorld) -> None:
    lines = [socket.create_connection(("127.0.0.1", door.port), 5) for _ in range(8)]
    try:
        wait_for("a refusal", lambda: "too many logins at once from there" in door.log)
    finally:
        for line in lines:
            line.close()


def test_many_keys_are_not_tried_one_after_another(door: DoorWorld) -> None:
    keys = [word for n in range(12) for word in ("-i", str(door.key(f"wrong-{n}")))]
    done = door.call("anna", *keys, "order list", key="wrong-0")
    assert done.returncode == 255
    assert "too many attempts" in door.log
    assert door.log.count("is not good for that name") == 10


def test_a_person_has_so_many_sessions(place: DoorWorld) -> None:
    place.open("--sessions-per-person", "1", "--sessions-max", "2")
    tails = [
        subprocess.Popen(
            place.ssh(person, "-T", "tail"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        for person in ("anna", "otto")
    ]
    try:
        wait_for("two sessions", lambda: len(place.children()) == 2)
        done = place.call("anna", "order list")
        assert done.returncode == 1
        assert "you have 1 sessions open" in done.stderr
        place.admit("carla", "operator")
        assert "all 2 places are taken" in place.call("carla", "order list").stderr
    finally:
        for tail in tails:
            tail.kill()
            tail.wait(30)
    place.await_nobody()
    assert place.call("anna", "order list").returncode == 0


def large_order(number: int) -> AddOrder:
    key = order_key("/walk", f"large-{number}")
    params = {"text": "x" * 60_000}
    return AddOrder(order=OrderDefinition(key=key, params=params, suspended=True))


def test_a_client_that_stops_reading_holds_up_nobody_else(door: DoorWorld) -> None:
    door.world.submit_all([large_order(number) for number in range(200)])
    slow = subprocess.Popen(
        door.ssh("anna", "-T", "tail --after 0 --json"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    try:
        assert slow.stdout is not None
        assert slow.stdout.readline()
        slow.send_signal(signal.SIGSTOP)
        assert door.call("otto", "order list").returncode == 0
        assert door.door is not None
        used = psutil.Process(door.door.process.pid).memory_info().rss
        assert used < ROOM_BYTES, "what is not read waits in the process that says it"
    finally:
        slow.kill()
        slow.communicate(timeout=30)
    door.await_nobody()


# --- ends ----------------------------------------------------------------------------------------


def test_who_loses_their_rights_is_sent_away(door: DoorWorld) -> None:
    tail = subprocess.Popen(
        door.ssh("anna", "-T", "tail"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        door.child()
        door.write_people([line.replace("operator", "read-only") for line in door.lines])
        _, said = tail.communicate(timeout=30)
        assert "your rights have changed" in said
    finally:
        tail.kill()
        tail.wait(30)
    door.await_nobody()
    done = door.call("anna", "order add /walk by-anna-again")
    assert "not read-only" in done.stderr


def test_a_command_ends_with_its_client(door: DoorWorld) -> None:
    tail = subprocess.Popen(
        door.ssh("anna", "-T", "tail"), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    child = door.child()
    tail.kill()
    tail.wait(30)
    child.wait(30)
    door.await_nobody()


def test_a_door_that_is_asked_to_end_ends_its_sessions(door: DoorWorld) -> None:
    tail = subprocess.Popen(
        door.ssh("anna", "-T", "tail"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    child = door.child()
    assert door.door is not None
    assert door.door.end() == 0
    child.wait(30)
    assert "the door closes" in tail.communicate(timeout=30)[1]
    assert (door.own / "tokens").read_text() == ""


def test_a_door_that_is_killed_takes_its_sessions_along(door: DoorWorld) -> None:
    tail = subprocess.Popen(
        door.ssh("anna", "-T", "tail"),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    child = door.child()
    assert door.door is not None
    door.door.kill()
    child.wait(30)
    tail.wait(30)
    assert (door.own / "tokens").read_text() != ""
    door.open()
    assert (door.own / "tokens").read_text() == "", "what a former life left is worth nothing"


# --- the door itself -----------------------------------------------------------------------------


def test_the_key_of_the_door_stays_and_is_its_own_alone(door: DoorWorld) -> None:
    file = door.own / "host_key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = subprocess.run(
        ["ssh-keygen", "-l", "-f", f"{file}.pub"], check=True, capture_output=True, text=True
    ).stdout.split()[1]
    assert shown in door.log
    assert door.door is not None
    door.door.end()
    door.open()
    assert shown in door.log


def test_a_second_door_on_the_same_folder_is_refused(door: DoorWorld) -> None:
    done = door.world.call("door", "--listen", "127.0.0.1:0", "--data", str(door.world.data))
    assert done.returncode == 2
    assert "there is a door already" in done.stderr


def test_a_door_for_nobody_does_not_open(place: DoorWorld) -> None:
    place.write_people(["# nobody"])
    done = place.world.call("door", "--listen", "127.0.0.1:0", "--data", str(place.world.data))
    assert done.returncode == 2
    assert "nobody may come in" in done.stderr
    place.write_people(["nonsense"])
    done = place.world.call("door", "--listen", "127.0.0.1:0", "--data", str(place.world.data))
    assert "authorized_keys:1" in done.stderr


def test_an_engine_that_believes_everybody_gets_no_door(place: DoorWorld) -> None:
    folder = ["--folder", str(place.folder / "own"), "--people", str(place.own / "authorized_keys")]
    pid = place.world.engine.process.pid if place.world.engine else 0
    ports = listening_ports(pid)
    assert ports
    done = place.world.call(
        "door", "--listen", "127.0.0.1:0", "--engine", f"http://127.0.0.1:{ports[0]}", *folder
    )
    assert done.returncode == 2
    assert "believes everybody of this host" in done.stderr


def test_a_door_of_another_account_reaches_the_engine_by_tokens_alone(tmp_path: Path) -> None:
    with World(tmp_path / "world") as world:
        world.write_job("work", "true")
        world.write_chain("walk", ["work"])
        place = DoorWorld(world, tmp_path)
        place.admit("anna", "operator")
        own = tmp_path / "own"
        own.mkdir()
        tokens = own / "tokens"
        tokens.touch()
        port = free_port()
        world.start_engine("--listen", f"127.0.0.1:{port}", "--token-file", str(tokens))
        world.environment["POINTSMAN_ENGINE"] = f"http://127.0.0.1:{port}"
        people = str(place.own / "authorized_keys")
        place.open("--folder", str(own), "--people", people, data=False)
        assert place.call("anna", "order add /walk by-url --suspended").returncode == 0
        assert world.order("/walk", "by-url") is not None


def test_rubbish_instead_of_ssh_is_nobody(door: DoorWorld) -> None:
    for rubbish in (
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 100_000,
        b"SSH-2.0-x\r\n" + b"\xff" * 70_000,
    ):
        with socket.create_connection(("127.0.0.1", door.port), 5) as line:
            line.settimeout(20)
            with contextlib.suppress(ConnectionError):
                line.sendall(rubbish)
                while line.recv(4096):
                    pass
    assert door.call("anna", "order list").returncode == 0
    assert "Traceback" not in door.log


def listening_ports(pid: int) -> list[int]:
    found = psutil.Process(pid).net_connections("tcp")
    return [each.laddr.port for each in found if each.status == psutil.CONN_LISTEN]


def test_the_log_tells_each_coming_and_going(door: DoorWorld) -> None:
    door.call("anna", "order list")
    door.call("anna", "ls\x1b[2J")
    door.await_nobody()
    wait_for("both logouts", lambda: door.log.count("logout of anna from 127.0.0.1") == 2)
    assert re.search(
        r"login of anna \(operator\) from 127\.0\.0\.1 with SHA256:\S+, line 1", door.log
    )
    assert re.search(
        r"session 1 of anna \(operator\) begins as process \d+: command 'order", door.log
    )
    assert "session 1 of anna ends: exit status 0" in door.log
    assert "anna from 127.0.0.1: refused: there are control characters" in door.log
    assert "\x1b" not in door.log
    kept = (door.own / "door.log").read_text()
    assert kept.endswith(door.log.partition("\n")[2]), "the same lines are kept in the folder"
