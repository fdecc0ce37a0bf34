"""The words exchanged with a remote host."""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.drivers.ssh_wrapper import (
    CHUNK_MAX,
    Begun,
    Control,
    RunFiles,
    attached_command,
    bare_program,
    control_program,
    launch_program,
    next_launch,
    one_process_program,
    parse_bare,
    parse_begin,
    parse_control,
    parse_reply,
    probe_program,
    reap_program,
    shell_command,
)
from engine.errors import SshError
from engine.kernel.ids import ExecutionKey
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.processes import parse_probe
from engine.kernel.sessions.verdicts import Alive, Bad, Gone, NoRecord, Reason, Unknown

TOKEN = token_of(ExecutionKey("e/1.1"))
SHELLS = [
    [path, *rest]
    for name, *rest in (("dash",), ("bash",), ("busybox", "sh"))
    if (path := shutil.which(name)) is not None
]


def run(program: bytes, home: Path, shell: list[str], more: bytes = b"") -> str:
    """Run a program as a login would, and end its input."""
    done = subprocess.run(
        [*shell, "-s"],
        input=program + more,
        capture_output=True,
        timeout=20,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
    )
    return done.stdout.decode(errors="replace")


@given(
    text=st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=80),
    shell=st.sampled_from(SHELLS or [["sh"]]),
)
@settings(max_examples=40, deadline=None)
@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
def test_whatever_a_command_holds_it_arrives_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, text: str, shell: list[str]
) -> None:
    home = tmp_path_factory.mktemp("home")
    files = RunFiles(commands=(text,), environment="", script=text)
    program = launch_program(TOKEN, files=files, folder=None, mode="prepare")
    begun = parse_begin(run(program, home, shell).splitlines()[0], TOKEN)
    assert begun is not None
    assert begun.how == "made"
    directory = Path(begun.directory)
    expected = text if text.endswith("\n") or not text else text + "\n"
    assert (directory / "cmd.1").read_bytes() == expected.encode()
    assert (directory / "script").read_bytes() == expected.encode()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o077 for path in directory.iterdir()} == {0}


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
@pytest.mark.parametrize("shell", SHELLS, ids=lambda each: Path(each[0]).name)
def test_half_a_program_does_nothing(tmp_path: Path, shell: list[str]) -> None:
    files = RunFiles(commands=("true",))
    program = launch_program(TOKEN, files=files, folder=None, mode="start")
    for length in range(0, len(program) - 1, max(len(program) // 25, 1)):
        run(program[:length], tmp_path, shell)
        assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
def test_a_name_that_was_claimed_can_not_be_started_any_more(tmp_path: Path) -> None:
    files = RunFiles(commands=("echo >started",))
    claim = launch_program(TOKEN, files=None, folder=None, mode="claim")
    start = launch_program(TOKEN, files=files, folder=None, mode="start")
    assert " absent " in run(claim, tmp_path, SHELLS[0])
    assert " exists " in run(start, tmp_path, SHELLS[0])
    assert not (tmp_path / "started").exists()


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
def test_a_base_that_is_a_link_or_open_to_others_is_refused(tmp_path: Path) -> None:
    program = launch_program(TOKEN, files=RunFiles(commands=("true",)), folder=None, mode="prepare")
    base = tmp_path / ".jobscheduler" / "run"
    base.mkdir(parents=True)
    base.chmod(0o777)
    with pytest.raises(SshError, match="only its owner can write"):
        parse_begin(run(program, tmp_path, SHELLS[0]).splitlines()[0], TOKEN)
    base.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    base.symlink_to(elsewhere)
    with pytest.raises(SshError, match="only its owner can write"):
        parse_begin(run(program, tmp_path, SHELLS[0]).splitlines()[0], TOKEN)


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
@pytest.mark.parametrize("shell", SHELLS, ids=lambda each: Path(each[0]).name)
def test_the_probe_shows_this_very_process(tmp_path: Path, shell: list[str]) -> None:
    table = parse_probe(run(probe_program(), tmp_path, shell))
    assert table is not None
    process = table.processes[os.getpid()]
    assert process.is_own
    assert process.start.startswith("t")
    assert process.parent == os.getppid()


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
def test_only_run_directories_are_ever_removed(tmp_path: Path) -> None:
    run_directory = tmp_path / TOKEN
    other = tmp_path / "precious"
    link = tmp_path / token_of(ExecutionKey("e/2.1"))
    run_directory.mkdir()
    other.mkdir()
    link.symlink_to(other)
    names = [str(run_directory), str(other), str(link), str(tmp_path), "/", ""]
    answer = run(reap_program(names), tmp_path, SHELLS[0])
    assert f"JS-REAPED {TOKEN} removed" in answer
    assert not run_directory.exists()
    assert other.exists()
    assert link.exists()


def test_the_remote_command_is_plain_words_for_any_login_shell() -> None:
    assert shell_command("/bin/busybox sh") == "/bin/busybox sh -s"
    for bad in ("sh", "/bin/sh; rm", "/bin/sh $(id)", "", "/bin/sh\n"):
        with pytest.raises(SshError):
            shell_command(bad)
    begun = Begun(how="made", umask="022", directory="/home/my dir/x")
    with pytest.raises(SshError, match="plain path"):
        attached_command(begun, "/bin/sh")


def test_only_known_signals_and_sane_processes_are_put_into_programs() -> None:
    with pytest.raises(SshError):
        control_program(Control(directory="/x", act="KILL; id"))
    with pytest.raises(SshError):
        control_program(Control(directory="/x", expect="$(id)"))
    for pid, start in ((1, "t5"), (0, "t5"), (-1, "t5"), (7, ""), (7, "t5;id")):
        with pytest.raises(SshError):
            one_process_program(pid, start, "TERM")
    with pytest.raises(SshError, match="zero byte"):
        control_program(Control(directory="/x\0"))


def test_answers_of_another_run_or_of_a_login_shell_are_passed_over() -> None:
    other = token_of(ExecutionKey("e/2.1"))
    assert parse_begin("welcome", TOKEN) is None
    assert parse_begin(f"JS-BEGIN {other} made 022 /x", TOKEN) is None
    assert parse_begin(f"JS-BEGIN {TOKEN} made 022 /x y", TOKEN) == Begun(
        how="made", umask="022", directory="/x y"
    )


@pytest.mark.parametrize(
    "line",
    [
        "",
        "JS-REPLY",
        "JS-REPLY 0 yes 1 1 1",
        f"JS-REPLY 0 yes {CHUNK_MAX + 1} 0 0 0",
        "JS-REPLY 0 yes -1 0 0 0",
        "JS-REPLY 9999 yes 0 0 0 0",
    ],
)
def test_an_answer_that_makes_no_sense_is_none(line: str) -> None:
    assert parse_reply(line) is None


def test_verdicts_are_read_strictly() -> None:
    alive = parse_control(
        "noise\nJS-VERDICT verdict=alive leader=ours rc= act=KILL after=gone sent=1 why= "
        "pids=12:t5:group,7:t9:token,x:y:z\n"
    )
    assert isinstance(alive.verdict, Alive)
    assert [(each.pid, each.reason) for each in alive.verdict.members] == [
        (7, Reason.TOKEN),
        (12, Reason.GROUP),
    ]
    assert (alive.signalled, alive.after) == (True, "gone")
    assert parse_control("JS-VERDICT verdict=gone rc=300x").verdict == Gone(result=None)
    assert isinstance(parse_control("JS-VERDICT verdict=bad why=id").verdict, Bad)
    assert isinstance(parse_control("JS-VERDICT verdict=none").verdict, NoRecord)
    for nothing in ("", "bash: line 1: syntax error", "JS-VERDICT verdict=maybe"):
        assert isinstance(parse_control(nothing).verdict, Unknown)


def test_the_client_library_is_loaded_only_when_a_host_is_really_called() -> None:
    program = (
        "import sys, engine.drivers.ssh, engine.drivers.remote_processes, engine.drivers.ssh_cleanup;"
        "sys.exit('asyncssh' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=60, check=False)
    assert done.returncode == 0


@contextlib.contextmanager
def talk(
    home: Path, shell: list[str]
) -> Iterator[tuple[Callable[[bytes], object], Callable[[], str]]]:
    """Start a shell as a login would; yields what writes to it and what reads a line of it."""
    with subprocess.Popen(
        [*shell, "-s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home)},
        bufsize=0,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lines = process.stdout
        yield process.stdin.write, lambda: lines.readline().decode().rstrip("\n")
        process.stdin.close()
        process.wait(20)


OTHER = token_of(ExecutionKey("e/2.1"))


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
@pytest.mark.parametrize("shell", SHELLS, ids=lambda each: Path(each[0]).name)
def test_a_shell_takes_the_next_launch_and_mixes_nothing_up(
    tmp_path: Path, shell: list[str]
) -> None:
    first = launch_program(TOKEN, files=RunFiles(commands=("one",)), folder=None, mode="prepare")
    further = next_launch(OTHER, files=RunFiles(commands=("two",)), folder=None, mode="prepare")
    half = next_launch(
        token_of(ExecutionKey("e/3.1")),
        files=RunFiles(commands=("three",)),
        folder=None,
        mode="prepare",
    )
    with talk(tmp_path, shell) as (say, hear):
        for program, token in ((first, TOKEN), (further, OTHER)):
            say(program)
            begun = parse_begin(hear(), token)
            assert begun is not None
            assert begun.how == "made"
        say(half[:-9])
    base = tmp_path / ".jobscheduler" / "run"
    assert {path.name: (path / "cmd.1").read_text() for path in base.iterdir()} == {
        TOKEN: "one\n",
        OTHER: "two\n",
    }


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
@pytest.mark.parametrize("shell", SHELLS, ids=lambda each: Path(each[0]).name)
def test_a_run_without_a_folder_begins_only_when_it_is_told_to(
    tmp_path: Path, shell: list[str]
) -> None:
    files = RunFiles(commands=("echo >ran; echo 'it''s' on",), environment="A='x'; export A\n")
    program = bare_program(TOKEN, files=files, shell=" ".join(shell))
    for last_words in (b"", b"no\n", b"g", b"go\n"):
        with talk(tmp_path, shell) as (say, hear):
            say(program)
            record = parse_bare(hear(), TOKEN)
            assert record is not None
            assert "uid=" in record
            say(last_words)
            if last_words == b"go\n":
                assert hear() == "its on"
        assert (tmp_path / "ran").exists() == (last_words == b"go\n")


def test_a_run_without_a_folder_takes_scripts_of_plain_interpreters_only() -> None:
    script = "#!/usr/bin/python3 -u\nprint(1)\n"
    program = bare_program(TOKEN, files=RunFiles(commands=("x",), script=script, arguments="a b"))
    assert b"/usr/bin/python3 -u /dev/fd/3 a b </dev/null 3<<" in program
    for odd in ("#!/bin/sh; rm -rf x\n", "#!python\n", "#!/a`b`\n"):
        with pytest.raises(SshError, match="no folder can be written"):
            bare_program(TOKEN, files=RunFiles(commands=("x",), script=odd))


def test_a_run_that_could_not_be_told_from_others_is_refused() -> None:
    line = f"JS-BARE {TOKEN} v=1 pid=7 pgid=5 sid=5 start=l1 boot=- uid=1 began=1"
    with pytest.raises(SshError, match="no group of its own"):
        parse_bare(line, TOKEN)
    assert parse_bare(line, OTHER) is None
