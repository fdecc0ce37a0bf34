"""The texts of a row by name, as filters ask for them; kept small, since there are many."""

from collections.abc import Iterator, Mapping, Sequence

from tui.views.rows import Column, Row

_NAMES: dict[tuple[str, ...], tuple[str, ...]] = {}
"""Names that rows share."""


class Texts(Mapping[str, str]):
    """What a filter may look at: the cells by column, and the facts behind them."""

    __slots__ = ("_names", "_values", "folded")

    def __init__(self, names: tuple[str, ...], values: tuple[str, ...]) -> None:
        self._names = _NAMES.setdefault(names, names)
        self._values = values
        # No word contains the mark between two texts.
        self.folded = "\n".join(values).casefold()
        """All texts in one, without regard to capitals: a word is in it if it is in one of them."""

    @classmethod
    def of(cls, row: Row, columns: Sequence[Column]) -> "Texts":
        """Return the texts of a row; a column hides a fact of the same name."""
        own = {
            column.name.casefold(): row.text_of(index)
            for index, column in enumerate(columns)
            if column.name and index < len(row.cells)
        }
        texts = {**row.facts, **own} if row.facts else own
        return cls(tuple(texts), tuple(texts.values()))

    def __getitem__(self, name: str) -> str:
        try:
            return self._values[self._names.index(name)]
        except ValueError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def values(self) -> Sequence[str]:  # type: ignore[override]  # a tuple does as well
        """Return the texts alone."""
        return self._values
