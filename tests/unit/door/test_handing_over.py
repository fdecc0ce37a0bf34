"""What may be handed over instead of the cockpit."""

from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest
import typer

from engine import cli
from engine.door.handing_over import (
    CLOSED_OPTIONS,
    COMMANDS,
    TEXT_CHARACTERS_MAX,
    Handed,
    NotHanded,
    Opened,
    meant_by,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("order list", ("order", "list")),
        ("order add /walk -p 'a=x y'", ("order", "add", "/walk", "-p", "a=x y")),
        ("command '<show_state/>'", ("command", "<show_state/>")),
        ("tail --json", ("tail", "--json")),
        ("--help", ("--help",)),
    ],
)
def test_subcommands_that_only_talk_to_the_engine_are_taken(
    text: str, words: tuple[str, ...]
) -> None:
    assert meant_by(text) == Handed(words=words)


@pytest.mark.parametrize(
    "text",
    [
        "ls", "sh -c id", "/bin/sh", "scp -t /", "rsync --server", "engine --config /etc",
        "agent", "token", "journal verify /", "check /", "door", "demo", "-c id",
        "--engine http://other order list", "--version --data /", "order list --data=/",
        "order list --engine http://other", "order list --token-file /etc/shadow",
        "command --ca-file=/etc/shadow '<s/>'", "order 'list", "''", "order list\x1b[2J",
        "order list\x00", "x" * (TEXT_CHARACTERS_MAX + 1), "order " + "a " * 300,
    ],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    assert isinstance(meant_by(text), NotHanded)


def test_what_a_shell_would_do_is_text_for_the_command() -> None:
    assert meant_by("order list; id > /tmp/x $(id) `id`") == Handed(
        words=("order", "list;", "id", ">", "/tmp/x", "$(id)", "`id`")
    )


def test_a_place_opens_the_cockpit_there() -> None:
    assert meant_by(" :orders  chain=inv* !done ") == Opened(place=":orders chain=inv* !done")
    assert meant_by(" ") == Opened()


def open_commands(app: typer.Typer, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for info in app.registered_commands:
        assert info.callback is not None
        yield f"{prefix}{info.name or info.callback.__name__}", info.callback
    for group in app.registered_groups:
        assert group.typer_instance is not None
        yield from open_commands(group.typer_instance, f"{prefix}{group.name} ")


def test_no_command_that_is_open_takes_a_file_of_the_host() -> None:
    """A new option with a path has to be closed, or its command."""
    seen: set[str] = set()
    for name, callback in open_commands(cli.app):
        if name.split()[0] not in COMMANDS:
            continue
        for annotation in get_type_hints(callback, include_extras=True).values():
            types = str(annotation)
            if "Path" not in types and "FileText" not in types and "FileBinary" not in types:
                continue
            (option,) = [each for each in annotation.__metadata__ if hasattr(each, "param_decls")]
            assert isinstance(option, typer.models.OptionInfo), f"{name}: a file as an argument"
            # Typer takes the first name of an annotated option for its default.
            names = {str(option.default), *(option.param_decls or ())}
            assert names <= CLOSED_OPTIONS, f"{name}: {names}"
            seen |= names
    assert seen == {"--data", "--token-file", "--ca-file"}, "the walk sees what is closed"
