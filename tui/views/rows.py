"""Tables as data: columns and rows.

A row knows more than what fits on the screen: `facts` carries everything a filter may ask for.
Which rows are shown and in which order is the lineup's business (`tui.views.lineup`).
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, overload

from tui.views.text import Span

RowKey: TypeAlias = Hashable
SortValue: TypeAlias = float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its title and how it gives way when the screen is narrow."""

    name: str
    width_min: int = 0
    """In cells; the title's width at least."""
    width_max: int = 40
    right: bool = False
    """Numbers stand at the right."""
    priority: int = 5
    """1 stays longest; 0 never leaves."""
    flexible: bool = False
    """Takes what is left over."""
    cut_middle: bool = False
    """Texts that do not fit lose their middle, not their end."""
    wide_only: bool = False
    """Shown with wide columns only, however much room there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    key: RowKey
    cells: tuple[Span | tuple[Span, ...], ...]
    """In the order of the columns; a cell of several spans is drawn one after the other."""
    sort: Mapping[str, SortValue] = field(default_factory=dict)
    """By column, where the text does not sort as people expect."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """What filters may ask for beyond the cells, by name in small letters."""
    role: str = ""
    """Of the whole row, under the roles of the cells."""
    place: tuple[SortValue, ...] = ()
    """The natural position, used without an explicit sort."""
    trouble: bool = False
    """Stays when only problems are shown."""

    def text_of(self, index: int) -> str:
        """Return the text of the cell in column `index`."""
        cell = self.cells[index]
        if isinstance(cell, Span):
            return cell.text
        return "".join(span.text for span in cell)


class Rows(Sequence[Row], ABC):
    """Rows in their order, found by key."""

    def __init__(self, keys: Sequence[RowKey]) -> None:
        self.keys = keys
        self._index: dict[RowKey, int] | None = None

    def index_of(self, key: RowKey) -> int | None:
        """Return the number of the row with this key."""
        if self._index is None:
            self._index = {key: index for index, key in enumerate(self.keys)}
        return self._index.get(key)

    @abstractmethod
    def made(self, key: RowKey) -> Row:
        """Return the row of a key."""

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        """Return rows by their numbers."""
        if isinstance(index, slice):
            return [self.made(key) for key in self.keys[index]]
        return self.made(self.keys[index])


class FixedRows(Rows):
    """Rows that are all there."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = {row.key: row for row in rows}
        super().__init__(tuple(self._rows))

    def made(self, key: RowKey) -> Row:
        """Return the row of a key."""
        return self._rows[key]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """A column to sort by; empty means the view's natural order."""

    column: str = ""
    descending: bool = False


def sort_value(row: Row, columns: Sequence[Column], name: str) -> tuple[SortValue | bool, ...]:
    """Return what a row is sorted by under a column: numbers, then texts, then nothing."""
    value = row.sort.get(name)
    if value is None:
        index = next((at for at, column in enumerate(columns) if column.name == name), None)
        value = "" if index is None else row.text_of(index).casefold()
    if isinstance(value, str):
        return value == "", 0.0, value, str(row.key)
    return False, float(value), "", str(row.key)
