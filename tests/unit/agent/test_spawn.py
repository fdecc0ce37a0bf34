"""What comes before a program is executed."""

import socket
from pathlib import Path

import pytest

from engine.agent import spawn
from engine.agent.spawn import StartError, is_open_for_writing, nice_value, wait_until_not_busy
from engine.agent.surroundings import Surroundings, start_variables, without_ours
from engine.kernel.effects import ProcessSpec
from engine.kernel.instants import Instant


@pytest.mark.parametrize(
    ("priority", "expected"),
    [(None, 0), ("", 0), ("5", 5), ("-3", -3), ("99", 20), ("below_normal", 6), ("idle", 16)],
)
def test_a_priority_is_a_nice_value(priority: str | None, expected: int) -> None:
    assert nice_value(priority) == expected


def test_an_unknown_priority_is_refused_with_the_known_ones() -> None:
    with pytest.raises(StartError, match="below_normal"):
        nice_value("urgent")


def test_a_file_that_is_open_for_writing_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "script"
    file.write_text("true")
    assert not is_open_for_writing(file)
    with file.open("a"):
        assert is_open_for_writing(file)
    assert not is_open_for_writing(file)


@pytest.mark.anyio
async def test_a_busy_script_is_waited_for_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spawn, "BUSY_PAUSES_S", (0.0, 0.0, 0.0))
    looks = []

    def is_busy(file: Path) -> bool:
        looks.append(file)
        return len(looks) < 2

    await wait_until_not_busy(tmp_path, is_busy)
    assert len(looks) == 2
    looks.clear()
    await wait_until_not_busy(tmp_path, lambda _: True)


# --- the environment -------------------------------------------------------------------------------


def test_our_own_python_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.prefix", "/our/venv")
    monkeypatch.setattr("sys.base_prefix", "/usr")
    found = without_ours(
        {
            "PATH": "/our/venv/bin:/usr/bin:/bin",
            "VIRTUAL_ENV": "/our/venv",
            "PYTHONPATH": ".",
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": "/root",
            "NOTIFY_SOCKET": "/run/x",
        }
    )
    assert found == {"PATH": "/usr/bin:/bin", "HOME": "/root"}


def test_the_host_has_the_last_word_and_the_job_the_one_before(tmp_path: Path) -> None:
    surroundings = Surroundings(
        host="here", http_port=4445, inherited={"A": "host", "B": "host", "PATH": "/bin"}
    )
    spec = ProcessSpec(
        job="/j", script="", environment={"B": "job", "SCHEDULER_HOST": "engine", "C": "job"}
    )
    found = surroundings.environment(spec, tmp_path / "returns", Instant(0))
    assert {name: found[name] for name in ("A", "B", "C", "PATH")} == {
        "A": "host",
        "B": "job",
        "C": "job",
        "PATH": "/bin",
    }
    assert found["SCHEDULER_HOST"] == "here"
    assert found["SCHEDULER_HTTP_PORT"] == "4445"
    assert found["SCHEDULER_RETURN_VALUES"] == str(tmp_path / "returns")


def test_a_host_without_a_port_sets_none(tmp_path: Path) -> None:
    surroundings = Surroundings(host=socket.gethostname(), http_port=None, inherited={})
    spec = ProcessSpec(job="/j", script="", environment={})
    assert "SCHEDULER_HTTP_PORT" not in surroundings.environment(spec, tmp_path, Instant(0))


def test_the_start_is_told_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = start_variables(Instant(1_433_160_005_000))
    assert set(found) == {
        f"SCHEDULER_TASKSTART_{part}"
        for part in ("DATE_ISO", "DATE", "YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND")
    }
    assert found["SCHEDULER_TASKSTART_SECOND"] == "05"
    assert found["SCHEDULER_TASKSTART_DATE_ISO"][:4] == found["SCHEDULER_TASKSTART_YEAR"]
