"""Tables as data: columns, rows, and the listing that filters and sorts them.

A row knows more than what fits on the screen: `facts` carries everything a filter may ask for. The
listing keeps rows by key, asks the view anew only for those that changed, and never forgets which
row a person was looking at: that is kept by key, outside.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, overload

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


class Predicate(Protocol):
    """A compiled filter."""

    def __call__(self, texts: Mapping[str, str]) -> bool:
        """Return whether a row with these texts by column stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorting:
    """A column to sort by; empty means the view's natural order."""

    column: str = ""
    descending: bool = False


class Listing:
    """The rows of one table: cached by key, filtered, sorted."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.total = 0
        """How many rows there are before filtering."""
        self._cached: dict[RowKey, Row] = {}
        self._texts: dict[RowKey, Mapping[str, str]] = {}

    def forget(self, keys: Iterable[RowKey] | None = None) -> None:
        """Drop cached rows because their subjects changed; None drops all."""
        if keys is None:
            self._cached.clear()
            self._texts.clear()
            return
        for key in keys:
            self._cached.pop(key, None)
            self._texts.pop(key, None)

    def rows(
        self,
        keys: Iterable[RowKey],
        make: Callable[[RowKey], Row | None],
        *,
        keep: Predicate | None = None,
        sorting: Sorting | None = None,
        troubles_only: bool = False,
    ) -> list[Row]:
        """Return the rows of these keys that pass, in their order."""
        found: list[Row] = []
        self.total = 0
        for key in keys:
            row = self._row(key, make)
            if row is None:
                continue
            self.total += 1
            if troubles_only and not row.trouble:
                continue
            if keep is None or keep(self._texts_of(row)):
                found.append(row)
        self._sort(found, sorting or Sorting())
        return found

    def fresh(self, row: Row, make: Callable[[RowKey], Row | None]) -> Row:
        """Return the row made anew, for rows in sight whose texts depend on the time."""
        made = make(row.key)
        if made is None:
            return row
        if made != row:
            self._cached[row.key] = made
            self._texts.pop(row.key, None)
        return made

    def _row(self, key: RowKey, make: Callable[[RowKey], Row | None]) -> Row | None:
        row = self._cached.get(key)
        if row is None:
            row = make(key)
            if row is not None:
                self._cached[key] = row
        return row

    def _texts_of(self, row: Row) -> Mapping[str, str]:
        texts = self._texts.get(row.key)
        if texts is None:
            own = {
                column.name.casefold(): row.text_of(index)
                for index, column in enumerate(self.columns)
                if column.name
            }
            texts = {**row.facts, **own} if row.facts else own
            self._texts[row.key] = texts
        return texts

    def _sort(self, rows: list[Row], sorting: Sorting) -> None:
        if not any(column.name == sorting.column for column in self.columns if column.name):
            rows.sort(key=lambda row: row.place)
            return

        def sort_key(row: Row) -> tuple[SortValue | bool, ...]:
            return sort_value(row, self.columns, sorting.column)

        rows.sort(key=sort_key, reverse=sorting.descending)


def sort_value(row: Row, columns: Sequence[Column], name: str) -> tuple[SortValue | bool, ...]:
    """Return what a row is sorted by under a column: numbers, then texts, then nothing."""
    value = row.sort.get(name)
    if value is None:
        index = next((at for at, column in enumerate(columns) if column.name == name), None)
        value = "" if index is None else row.text_of(index).casefold()
    if isinstance(value, str):
        return value == "", 0.0, value, str(row.key)
    return False, float(value), "", str(row.key)
