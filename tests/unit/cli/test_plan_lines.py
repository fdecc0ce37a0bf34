"""What `pointsman plan` prints."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from typer.testing import CliRunner

from engine import cli, cli_plan

ENTRY: dict[str, Any] = {
    "at": "2030-01-01T09:00:00.000Z",
    "status": "planned",
    "kind": "single_start",
    "path": "/walk",
    "order": "x",
    "title": "",
    "task": None,
    "schedule": "/base",
    "duration_ms": 90_500,
    "end": "2030-01-01T09:01:30.500Z",
    "count": 1,
}
JOB = ENTRY | {
    "at": "2030-01-02T23:30:00.000Z",
    "kind": "repeat",
    "path": "/job",
    "order": None,
    "schedule": None,
    "duration_ms": None,
    "end": None,
}


class Client:
    """Answers with a plan and notes what it was asked."""

    def __init__(self, *entries: dict[str, Any], complete: bool = True) -> None:
        self.asked: dict[str, object] = {}
        self._answer = {
            "from": "2030-01-01T00:00:00.000Z",
            "to": "2030-01-02T00:00:00.000Z",
            "time": "2030-01-01T08:00:00.000Z",
            "time_zone": "Europe/Berlin",
            "entries": list(entries),
            "count": len(entries),
            "complete": complete,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        pass

    def get(self, path: str, **query: object) -> object:
        assert path == "/api/plan"
        self.asked = query
        return self._answer


def printed(monkeypatch: pytest.MonkeyPatch, client: Client, *arguments: str) -> list[str]:
    def connect(*_: str | Path | None) -> Client:
        return client

    monkeypatch.setattr(cli_plan, "connect", connect)
    result = CliRunner().invoke(cli.app, ["plan", *arguments])
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def test_a_line_tells_when_how_long_what_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, Client(ENTRY, JOB)) == [
        "Tuesday 2030-01-01 (Europe/Berlin)",
        "  10:00:00          ~0:01:30 to 10:01:30    /walk,x  (single_start /base)",
        "Thursday 2030-01-03 (Europe/Berlin)",
        "  00:30:00                                  /job  (repeat)",
        "2 starts planned, 0 late, 0 missed",
    ]


def test_what_is_late_and_missed_stands_out(monkeypatch: pytest.MonkeyPatch) -> None:
    late = ENTRY | {"status": "late"}
    missed = ENTRY | {"status": "missed", "end": None, "count": 3}
    lines = printed(monkeypatch, Client(late, missed))
    assert "LATE" in lines[1]
    assert "MISSED" in lines[2]
    assert "and 2 more" in lines[2]
    assert lines[3] == "0 starts planned, 1 late, 3 missed"


def test_a_cut_list_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(monkeypatch, Client(ENTRY, complete=False))
    assert "There are more" in lines[-1]


def test_json_is_the_answer_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(ENTRY)
    lines = printed(monkeypatch, client, "--json", "--from", "2030-01-01", "--limit", "7")
    assert '"complete": true' in "".join(lines)
    assert client.asked == {"from": "2030-01-01", "to": None, "limit": 7}
