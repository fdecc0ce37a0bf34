"""What may be handed over to the door instead of, or on the way into, the cockpit.

`ssh HOST order list` runs our own command line with these words, never a shell. Permitted are the
subcommands that talk to the engine and do nothing else; options that would name another engine,
another token or a file of the door's host are refused. The engine still asks for the rights.
"""

import shlex
from dataclasses import dataclass
from typing import Final, TypeAlias

COMMANDS: Final = frozenset({"command", "kill", "order", "orphans", "plan", "processes", "tail"})
"""Subcommands that reach nothing but the engine."""
CLOSED_OPTIONS: Final = frozenset({"--engine", "--data", "--token-file", "--ca-file"})
"""Which engine, and with whose rights, is not for the person to say; nor are files."""
INFORMATION: Final = frozenset({"--help", "-h", "--version"})

TEXT_CHARACTERS_MAX: Final = 8_192
WORDS_MAX: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """Words for our command line."""

    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The cockpit, at a place such as `:orders chain=inv*`; empty: where it begins."""

    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHanded:
    """It is refused, with a sentence for the person."""

    why: str


Meant: TypeAlias = Handed | Opened | NotHanded


def meant_by(text: str) -> Meant:
    """Return what somebody wants who gives these words to `ssh`."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return NotHanded(why=f"more than {TEXT_CHARACTERS_MAX} characters are not taken")
    if not text.strip():
        return Opened()
    if any(ord(character) < 32 and character not in "\t\n" for character in text):
        return NotHanded(why="there are control characters in it")
    if text.lstrip().startswith(":"):
        return Opened(place=" ".join(text.split()))
    try:
        words = shlex.split(text)
    except ValueError as error:
        return NotHanded(why=f"the words cannot be told apart: {error}")
    return _checked(tuple(words))


def _checked(words: tuple[str, ...]) -> Handed | NotHanded:
    if len(words) > WORDS_MAX:
        return NotHanded(why=f"more than {WORDS_MAX} words are not taken")
    is_question = len(words) == 1 and words[0] in INFORMATION
    if not words or (words[0] not in COMMANDS and not is_question):
        return NotHanded(why=_only())
    for word in words:
        option = word.partition("=")[0]
        if option in CLOSED_OPTIONS:
            return NotHanded(why=f"{option} is not for the person at the door to say")
    return Handed(words=words)


def _only() -> str:
    return f"the door takes {', '.join(sorted(COMMANDS))}, and :PLACE with a terminal"
