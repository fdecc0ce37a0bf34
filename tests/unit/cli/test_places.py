"""Places in the cockpit, given with the command."""

import pytest

from engine.cli_places import with_place


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ([":orders", "chain=inv*", "!done"], ["--go=:orders chain=inv* !done"]),
        (["--read-only", ":chains"], ["--read-only", "--go=:chains"]),
        (["--engine", "http://h:1", ":log", "7"], ["--engine", "http://h:1", "--go=:log 7"]),
        (["--theme", "mono", ":or", "-f", "abc"], ["--theme", "mono", "--go=:or -f abc"]),
        (["--data=x", ":plan"], ["--data=x", "--go=:plan"]),
    ],
)
def test_a_word_with_a_colon_begins_a_place(given: list[str], meant: list[str]) -> None:
    assert with_place(given) == meant


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--version"],
        ["order", "add", ":x"],
        ["--engine", ":strange"],
        ["demo"],
        ["--go", ":orders"],
    ],
)
def test_everything_else_stays_as_it_was(given: list[str]) -> None:
    assert with_place(given) == given
