"""What an action is, and which keys may not stand for one."""

from dataclasses import dataclass
from typing import NamedTuple

NEVER_BOUND = frozenset({"ctrl+h", "ctrl+i", "ctrl+j", "ctrl+m", "ctrl+["})
"""Backspace, tab, newline, enter, escape: the terminal sends the same bytes."""

TORN_ENDS = frozenset("ABCDEFHPQRSZ~[")
"""Last characters of arrow and function keys: a slow line may deliver them alone."""

EVERYWHERE = "everywhere"
LISTS = "lists"
"""All screens that show a table."""


def on(*places: str) -> tuple[str, ...]:
    """Return the screens where an action is."""
    return places


class Move(NamedTuple):
    """Keys that move the cursor, in every list and page."""

    id: str
    keys: tuple[str, ...]
    action: str
    """Of the widget that has the keys."""
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Something a key does."""

    id: str
    keys: tuple[str, ...]
    label: str
    """One or two words for the bottom line."""
    help: str
    harm: int = 0
    """0 reads, 1 can be undone by the same key, 2 changes the course, 3 destroys."""
    places: tuple[str, ...] = (EVERYWHERE,)
    rank: int = 0
    """How far in front in the bottom line; 0: only in the help."""
    command: str = ""
    """For a key of a person's own: the command line that it stands for."""
    tool: tuple[str, ...] = ()
    """For a key of a person's own: the outside program with its words."""

    @property
    def method(self) -> str:
        """The name of the screen's method: `do_` and this."""
        return self.id.rpartition(".")[2]
