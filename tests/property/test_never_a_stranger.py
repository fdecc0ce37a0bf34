"""Whatever a host goes through: only processes a run's token proves are ever signalled."""

import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.drivers.ssh_wrapper import Control, control_program, parse_control
from engine.kernel.ids import ExecutionKey
from engine.kernel.sessions.identity import RunToken, token_of
from engine.kernel.sessions.verdicts import Scope, judge, may_be_signalled
from tests.support.process_world import OTHER_UID, OWN_UID, SimulatedHost, record_text

RUNS = tuple(token_of(ExecutionKey(f"e/{number}.1")) for number in range(2))
NUMBER = st.integers(0, 50)
DEEDS = st.one_of(
    st.tuples(st.just("run"), NUMBER, st.sampled_from(RUNS)),
    st.tuples(st.just("stranger"), NUMBER, st.sampled_from([OWN_UID, OTHER_UID])),
    *[st.tuples(st.just("fork"), NUMBER, NUMBER)] * 4,
    st.tuples(st.just("session"), NUMBER, NUMBER),
    st.tuples(st.just("group"), NUMBER, NUMBER),
    st.tuples(st.just("drop"), NUMBER, NUMBER),
    st.tuples(st.just("setuid"), NUMBER, NUMBER),
    *[st.tuples(st.just("die"), NUMBER, NUMBER)] * 4,
    st.tuples(st.just("reboot"), NUMBER, NUMBER),
    st.tuples(st.just("takeover"), NUMBER, st.sampled_from(RUNS)),
    st.tuples(st.just("alike"), NUMBER, st.sampled_from(RUNS)),
)


def lived(deeds: list[tuple[str, int, object]]) -> SimulatedHost:
    host = SimulatedHost()
    host.begin(3, run=RUNS[0])
    for deed, number, other in deeds:
        wish = other if isinstance(other, int) else 0
        match deed:
            case "run" if isinstance(other, str):
                host.begin(number, run=RunToken(other))
            case "stranger":
                host.begin(number, uid=wish)
            case "fork":
                host.fork(number, wish)
            case "session":
                host.leave_session(number)
            case "group":
                host.leave_group(number)
            case "drop":
                host.drop_token(number)
            case "setuid":
                host.become_another(number)
            case "die":
                host.die(number, reaped=wish % 3 > 0)
            case "reboot" if number < 5:
                host.reboot()
            case "takeover" if isinstance(other, str):
                host.take_over(RunToken(other), leaderless=number % 3 > 0, survivor=number % 2 > 0)
            case "alike" if isinstance(other, str) and number < 10:
                host.come_back_alike(RunToken(other))
    return host


HOSTS = st.lists(DEEDS, max_size=60).map(lived)


@given(HOSTS, st.sampled_from(Scope), st.booleans())
@settings(max_examples=1500, deadline=None)
def test_only_processes_of_the_run_itself_may_be_signalled(
    host: SimulatedHost, scope: Scope, tokens_can_be_read: bool
) -> None:
    table = host.table()
    if not tokens_can_be_read:
        blind = {pid: replace(each, token=None) for pid, each in table.processes.items()}
        table = replace(table, processes=blind, tokens_readable=False)
    for token, record in host.records.items():
        for pid in may_be_signalled(judge(table, token, record, scope=scope)):
            being = host.beings[pid]
            assert being.run == token, "a stranger would be signalled"
            assert being.uid == OWN_UID
            assert not being.is_zombie


@given(HOSTS)
@settings(max_examples=300, deadline=None)
def test_every_process_that_carries_the_token_is_found(host: SimulatedHost) -> None:
    table = host.table()
    for token, record in host.records.items():
        if record.boot != host.boot:
            continue
        carriers = {each.pid for each in host.beings.values() if each.token == token}
        mine = {pid for pid in carriers if host.beings[pid].uid == OWN_UID}
        assert mine <= may_be_signalled(judge(table, token, record))


SHELLS = [
    [path, *rest]
    for name, *rest in (("dash",), ("bash",), ("busybox", "sh"))
    if (path := shutil.which(name)) is not None
]


@pytest.mark.skipif(not SHELLS, reason="no shell to run the program with")
@given(HOSTS, st.sampled_from(Scope), st.sampled_from(["check", "KILL"]), st.sampled_from(SHELLS))
@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_program_on_the_host_decides_exactly_like_the_kernel(
    host: SimulatedHost, scope: Scope, act: str, shell: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        host.write(folder / "proc")
        for token, record in host.records.items():
            directory = folder / "run" / token
            directory.mkdir(parents=True)
            (directory / "id").write_text(record_text(record))
            answer, signalled = looked(folder, directory, scope, act, shell)
            expected = judge(host.table(), token, record, scope=scope)
            assert parse_control(answer).verdict == expected
            table = host.table().processes
            hit = {
                pid
                for number in signalled
                for pid, each in table.items()
                if (number < 0 and each.group == -number) or pid == number
                if not each.is_zombie
            }
            assert hit == (may_be_signalled(expected) if act == "KILL" else set())


def looked(
    folder: Path, directory: Path, scope: Scope, act: str, shell: list[str]
) -> tuple[str, list[int]]:
    """Run the real program over the simulated /proc; kills are written down, not done."""
    control = Control(directory=str(directory), act=act, scope=scope)
    program = control_program(control, " ".join(shell)).decode()
    program = program.replace("/proc", str(folder / "proc"))
    program = program.replace('[ -O "', '[ -f "').replace(
        f'[ -f "{folder}/proc/$1" ]', f'[ -f "{folder}/proc/$1/own" ]'
    )
    sent = folder / f"sent-{directory.name}"
    program = program.replace('kill -s "$1" -- "$2" 2>/dev/null', f'echo "$2" >>"{sent}"').replace(
        "$(id -u)", str(OWN_UID)
    )
    done = subprocess.run(
        [*shell, "-s"],
        input=program,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    assert not done.stderr
    return done.stdout, [int(line) for line in sent.read_text().split()] if sent.exists() else []
