"""The form in which every noun's table is described: columns, keys, rows, detail."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from tui.mirror import Changes
from tui.views.lineup import Place, Source
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.text import Line

Keys: TypeAlias = Callable[[Scene, str], Iterable[RowKey]]
"""Scene and the screen's argument (a chain, a job …; empty for all) to keys."""

MakeRow: TypeAlias = Callable[[Scene, RowKey], Row | None]
Detail: TypeAlias = Callable[[Scene, RowKey], list[Line]]
Touched: TypeAlias = Callable[[Changes], Iterable[RowKey] | None]
"""Which rows these changes concern; None: all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableView:
    """One noun as a table."""

    noun: str
    columns: tuple[Column, ...]
    keys: Keys
    row: MakeRow
    detail: Detail
    touched: Touched
    ticks: bool = False
    """Whether rows change with the time alone."""
    comes_and_goes: bool = False
    """Whether rows appear and vanish with the time alone."""
    place: Callable[[Scene, RowKey], Place | None] | None = None
    """The natural place of a row without making it: for tables that may be long."""
    holds: Callable[[Scene, str, RowKey], bool] | None = None
    """Whether a key is among `keys`, without going through them: for tables that may be long."""
    trouble: Callable[[Scene, RowKey], bool] | None = None
    """Whether a row tells of trouble, without making it."""
    empty_text: str = "nothing here"
    """What the screen says instead of rows."""

    def source(self, scene: Scene, argument: str) -> Source:
        """Return where the rows come from, for this drawing."""
        place, holds = self.place, self.holds
        return Source(
            keys=lambda: self.keys(scene, argument),
            make=lambda key: self.row(scene, key),
            place=None if place is None else lambda key: place(scene, key),
            holds=None if holds is None else lambda key: holds(scene, argument, key),
        )


def everything(changes: Changes) -> None:
    """Say that all rows may have changed: right for short tables."""
    _ = changes


def key_value(name: str, value: str) -> str:
    """Return `name value`, or nothing without a value."""
    return f"{name} {value}" if value else ""
