"""`keys.toml`: other keys for what the program does, and keys of a person's own.

"orders.suspend" = "s,f6"

[[command]]                       [[tool]]
key = "f5"                        key = "f6"
command = ":orders @late"         program = ["less", "+G", "$LOG"]
label = "late"                    label = "less"
screens = ["orders"]              screens = ["orders", "tasks"]
                                  harm = 0

A program gets its words as they are, never through a shell; `$ORDER` and the others are replaced by
what the row under the cursor is about.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.keys import (
    ACTIONS,
    EVERYWHERE,
    MOVES,
    Action,
    KeysProblem,
    Move,
    check_keys,
    check_moves,
    rebound,
    rebound_moves,
)
from tui.known_engines import nearest

VALUES = ("ORDER", "CHAIN", "TASK", "HOST", "LOG")
"""What may stand in a program's words, after a dollar sign."""
_VALUE = re.compile(r"\$(\w+)")
_COMMAND_KEYS = frozenset({"key", "command", "label", "help", "screens"})
_TOOL_KEYS = frozenset({"key", "program", "label", "help", "screens", "harm"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFile:
    """Everything of a `keys.toml`."""

    rebound: Mapping[str, tuple[str, ...]]
    own: tuple[Action, ...] = ()

    def actions(self) -> tuple[Action, ...]:
        """Return all actions with the keys in force."""
        return (*rebound(self.rebound), *self.own)

    def moves(self) -> tuple[Move, ...]:
        """Return the keys that move, as they are in force."""
        return rebound_moves(self.rebound)


def load_keys(path: Path) -> KeyFile:
    """Read a person's key file; the defaults when there is none. Raises KeysProblem."""
    if not path.is_file():
        return KeyFile(rebound={})
    try:
        return parse_keys(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise KeysProblem(f"{path}: {error}") from error


def parse_keys(text: str, file: str) -> KeyFile:
    """Read the text of a `keys.toml`. Raises KeysProblem."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise KeysProblem(f"{file}: {error}") from error
    commands, tools = data.pop("command", []), data.pop("tool", [])
    own = (
        *(_command(row, number, file) for number, row in _numbered(commands, "command", file)),
        *(_tool(row, number, file) for number, row in _numbered(tools, "tool", file)),
    )
    found = KeyFile(rebound=_identifiers(data, file), own=own)
    check_keys(found.actions(), file)
    check_moves(found.moves(), found.actions(), file)
    _check_hidden(found.actions(), file)
    return found


def _identifiers(data: Mapping[str, object], file: str) -> dict[str, tuple[str, ...]]:
    known = frozenset({action.id for action in ACTIONS} | {move.id for move in MOVES})
    found: dict[str, tuple[str, ...]] = {}
    for name, value in _flat(data):
        if name not in known:
            raise KeysProblem(f"{file}: there is no action {name!r}{nearest(name, known)}")
        if not isinstance(value, str) or not value:
            raise KeysProblem(f'{file}: {name} must be a text such as "s,f6"')
        found[name] = tuple(key.strip() for key in value.split(","))
    return found


def _flat(data: Mapping[str, object], before: str = "") -> Iterable[tuple[str, object]]:
    for name, value in data.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _numbered(rows: object, kind: str, file: str) -> Iterable[tuple[int, dict[str, Any]]]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise KeysProblem(f"{file}: {kind} is written [[{kind}]]")
    return enumerate(rows, 1)


def _command(row: Mapping[str, Any], number: int, file: str) -> Action:
    where = f"{file}: command {number}"
    _only(row, _COMMAND_KEYS, where)
    command = _text(row, "command", where).removeprefix(":")
    if not command:
        raise KeysProblem(f"{where}: command is missing")
    return Action(
        id=f"own.command{number}",
        keys=_keys(row, where),
        label=_text(row, "label", where) or command.split()[0],
        help=_text(row, "help", where) or f":{command}",
        places=_screens(row, where),
        rank=22,
        command=command,
    )


def _tool(row: Mapping[str, Any], number: int, file: str) -> Action:
    where = f"{file}: tool {number}"
    _only(row, _TOOL_KEYS, where)
    program = row.get("program")
    is_words = isinstance(program, list) and all(isinstance(word, str) for word in program)
    if not program or not is_words:
        raise KeysProblem(f'{where}: program must be a list of words such as ["less", "$LOG"]')
    for word in program:
        for name in _VALUE.findall(word):
            if name not in VALUES:
                known = ", ".join(f"${value}" for value in VALUES)
                raise KeysProblem(f"{where}: there is no ${name}; there are {known}")
    harm = row.get("harm", 0)
    if not isinstance(harm, int) or isinstance(harm, bool) or not 0 <= harm <= 3:
        raise KeysProblem(f"{where}: harm is a number from 0 to 3")
    return Action(
        id=f"own.tool{number}",
        keys=_keys(row, where),
        label=_text(row, "label", where) or Path(program[0]).name,
        help=_text(row, "help", where) or f"run {' '.join(program)}",
        harm=harm,
        places=_screens(row, where),
        rank=21,
        tool=tuple(program),
    )


def _only(row: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    for name in row:
        if name not in known:
            raise KeysProblem(f"{where}: unknown setting {name!r}{nearest(name, known)}")


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name, "")
    if not isinstance(value, str):
        raise KeysProblem(f"{where}: {name} must be a text, not {value!r}")
    return value.strip()


def _keys(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in _text(row, "key", where).split(",") if key.strip())
    if not keys:
        raise KeysProblem(f"{where}: key is missing")
    return keys


def _screens(row: Mapping[str, Any], where: str) -> tuple[str, ...]:
    screens = row.get("screens", [EVERYWHERE])
    known = frozenset({place for action in ACTIONS for place in action.places})
    if not isinstance(screens, list) or not screens:
        raise KeysProblem(f"{where}: screens must be a list of names")
    for name in screens:
        if name not in known:
            raise KeysProblem(f"{where}: there is no screen {name!r}{nearest(str(name), known)}")
    return tuple(screens)


def _check_hidden(actions: Iterable[Action], file: str) -> None:
    """Refuse a key of a person's own that some screen would silently use for something else."""
    known = list(actions)
    for own in (action for action in known if action.id.startswith("own.")):
        for other in known:
            if other is own or not set(own.keys) & set(other.keys):
                continue
            if EVERYWHERE in (*own.places, *other.places):
                key = next(iter(set(own.keys) & set(other.keys)))
                raise KeysProblem(f"{file}: {key!r} is both {other.id} and {own.id}")


def replaced(words: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """Return a program's words with what the row is about. Raises KeyError for what it lacks."""

    def value(found: re.Match[str]) -> str:
        return values[found[1]]

    return [_VALUE.sub(value, word) for word in words]


def wants_log(words: Iterable[str]) -> bool:
    """Return whether a program needs the log as a file."""
    return any("LOG" in _VALUE.findall(word) for word in words)
