"""What a run leaves on disk and what is read from it."""

import os
import stat
from pathlib import Path

import pytest

from engine.agent.begun_log import BegunLog, read_begun
from engine.agent.run_folder import AboutRun, RunFolder, parse_state
from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import EndReason

STAT = "{} (sh) S 1 {} {} 0 -1 0 1 0 0 0 0 0 0 0 20 0 1 0 99 1 2 3"
SUPERVISOR = STAT.format(10, 10, 10)
PROGRAM = STAT.format(11, 10, 10)


def about(number: int = 1, **changes: object) -> AboutRun:
    fields: dict[str, object] = {
        "key": ExecutionKey(f"e/{number}.1"),
        "number": f"{number}-123",
        "engine": "e",
        "task": TaskId(number),
        "job": "/folder/job",
        "timeout": Duration(60_000),
        "began_at": Instant(5),
        "boot": "b",
    }
    return AboutRun(**{**fields, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "code", "message"),
    [
        ([], None, ""),
        ([SUPERVISOR], None, ""),
        ([SUPERVISOR, PROGRAM], None, ""),
        ([SUPERVISOR, PROGRAM, "exit 3"], 3, ""),
        ([SUPERVISOR, PROGRAM, "Killed", "exit 137"], 137, "Killed"),
        ([SUPERVISOR, PROGRAM, "exit "], None, "exit "),
    ],
)
def test_the_state_file_is_read_however_far_it_has_come(
    lines: list[str], code: int | None, message: str
) -> None:
    state = parse_state("\n".join(lines))
    assert (state.exit_code, state.message) == (code, message)
    assert (state.supervisor is not None) == (len(lines) > 0)
    assert (state.process is not None) == (len(lines) > 1)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["exit 0"], (0, None)),
        (["exit 143"], (143, None)),
        (["Terminated", "exit 143"], (143, 15)),
        (["Killed (core dumped)", "exit 137"], (137, 9)),
        ([], (137, 9)),
    ],
)
def test_a_signal_is_a_signal_only_when_the_shell_says_so(
    tmp_path: Path, lines: list[str], expected: tuple[int, int | None]
) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "state").write_text("\n".join([SUPERVISOR, PROGRAM, *lines]))
    ending = folder.ending(about(), is_lost=False)
    assert (ending.exit_code, ending.signal) == expected


def test_a_kill_of_ours_is_a_signal_in_any_case(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    (tmp_path / "state").write_text(f"{SUPERVISOR}\n{PROGRAM}\nexit 137")
    folder.mark_killed(EndReason.LEASE_OVER)
    folder.mark_killed(EndReason.KILLED)
    ending = folder.ending(about(), is_lost=False)
    assert (ending.signal, ending.reason) == (9, EndReason.LEASE_OVER)


def test_the_result_of_a_run_that_went_down_with_its_host_is_not_known(tmp_path: Path) -> None:
    ending = RunFolder(tmp_path).ending(about(), is_lost=True)
    assert ending.exit_code is None


def test_a_script_is_trimmed_and_readable_by_nobody_else(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "7-1")
    script = folder.prepare("/folder/my job/ä", "\n\n  #!/bin/sh\necho ä\n\n")
    assert script.read_text() == "#!/bin/sh\necho ä\n"
    assert script.name == "JobScheduler-Agent-_-7-1.sh"
    assert stat.S_IMODE(script.stat().st_mode) == 0o700
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert folder.returns.read_bytes() == b""


def test_a_start_is_forbidden_only_while_it_has_not_happened(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.forbid_start()
    assert not folder.forbid_start()
    assert RunFolder(tmp_path / "missing").forbid_start()


def test_a_signal_is_marked_once(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.mark_signalled(KillMode.TERMINATE)
    assert not folder.mark_signalled(KillMode.TERMINATE)


# --- the log of keys -------------------------------------------------------------------------------


def test_begun_keys_survive_and_closed_ones_do_not(tmp_path: Path) -> None:
    file = tmp_path / "begun"
    log = BegunLog(file)
    log.begin([about(1), about(2, stderr_is_error=True)])
    log.begin([about(3)])
    log.close_keys([about(1).key, ExecutionKey("unknown")])
    assert dict(read_begun(file)) == {
        run.key: run for run in (about(2, stderr_is_error=True), about(3))
    }
    log.close()
    log = BegunLog(file)
    assert set(log.open_runs) == {about(2).key, about(3).key}
    log.close()


def test_a_log_that_was_cut_while_it_was_written_is_read_as_far_as_it_goes(
    tmp_path: Path,
) -> None:
    file = tmp_path / "begun"
    log = BegunLog(file)
    log.begin([about(1), about(2)])
    log.close()
    size = len(file.read_bytes().rstrip(b"\n"))
    os.truncate(file, size - 10)
    log = BegunLog(file)
    assert set(log.open_runs) == {about(1).key}
    log.begin([about(3)])
    assert set(read_begun(file)) == {about(1).key, about(3).key}
    log.close()


def test_a_long_log_is_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.agent.begun_log._REWRITE_LINES", 10)
    monkeypatch.setattr("engine.agent.begun_log._ROOM_BYTES", 100)
    file = tmp_path / "begun"
    log = BegunLog(file, is_durable=False)
    for number in range(30):
        log.begin([about(number)])
        log.close_keys([about(number).key])
    log.begin([about(99)])
    assert len(file.read_bytes()) < 3_000
    assert set(read_begun(file)) == {about(99).key}
    log.close()
