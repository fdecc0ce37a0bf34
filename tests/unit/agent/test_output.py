"""First lines and return values of tasks."""

from pathlib import Path

import pytest

from engine.agent import output
from engine.agent.output import first_line, parse_return_values, read_return_values


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", None),
        (b"one\ntwo\n", "one"),
        (b"no end", "no end"),
        (b"\nsecond\n", ""),
        (b"dos\r\nunix\n", "dos"),
        (b"x" * 300, "x" * 100),
        ("ä".encode() * 200, "ä" * 100),
        (b"\xff\n", "\ufffd"),
    ],
)
def test_the_first_line_is_cut_to_a_hundred_characters(
    tmp_path: Path, content: bytes, expected: str | None
) -> None:
    file = tmp_path / "stdout"
    file.write_bytes(content)
    assert first_line(file) == expected


def test_no_file_has_no_first_line(tmp_path: Path) -> None:
    assert first_line(tmp_path / "missing") is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {}),
        (b"a=1\nb = 2 \r\n\n  \nc=x=y\n", {"a": "1", "b": "2", "c": "x=y"}),
        (b"a=1\na=2", {"a": "2"}),
        (b"empty=", {"empty": ""}),
    ],
)
def test_return_values_are_lines_of_name_and_value(
    content: bytes, expected: dict[str, str]
) -> None:
    assert parse_return_values(content).values == expected


@pytest.mark.parametrize("content", [b"a=1\nnonsense\n", b"=value\n"])
def test_a_line_that_is_none_fails_the_whole(content: bytes) -> None:
    found = parse_return_values(content)
    assert found.values is None
    assert found.problem is not None
    assert found.problem.startswith("SCHEDULER-449 ")


def test_too_many_return_values_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "RETURN_VALUES_BYTES_MAX", 10)
    file = tmp_path / "returns"
    file.write_bytes(b"a=12345678")
    assert read_return_values(file).values == {"a": "12345678"}
    file.write_bytes(b"a=123456789")
    assert (read_return_values(file).problem or "").startswith("SCHEDULER-448 ")
