"""Which rows a long table shows, and in which order, kept up to date by what changed.

A table of 100,000 orders is looked at forty rows at a time. So a lineup knows of every key only its
place in the order, makes rows when somebody looks, and looks again only at keys that changed. What
cannot be done at once without a pause that fingers feel is done in slices (`is_complete`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from tui.views.filtering import Predicate
from tui.views.rows import Column, Row, RowKey, Rows, Sorting, SortValue, sort_value
from tui.views.texts import Texts

Place: TypeAlias = tuple[SortValue | bool, ...]

SLICE = 12_000
"""Keys in one slice whose place is known without making the row."""
MADE = 25
"""So much more a row costs that has to be made."""
ROWS_KEPT_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where rows come from, as of one drawing."""

    keys: Callable[[], Iterable[RowKey]]
    make: Callable[[RowKey], Row | None]
    holds: Callable[[RowKey], bool] | None = None
    """Whether a key is among `keys`; without it these are gone through each time."""
    place: Callable[[RowKey], Place | None] | None = None
    """The natural place without making the row; None: there is no such row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked of the rows."""

    keep: Predicate | None = None
    sorting: Sorting = Sorting()
    troubles_only: bool = False
    subject: str = ""
    """Another subject (a chain, a job) means other keys."""

    @property
    def needs_rows(self) -> bool:
        """Whether the natural place of a key is not enough."""
        return self.keep is not None or self.troubles_only or bool(self.sorting.column)

    @property
    def needs_texts_only(self) -> bool:
        """Whether a row's texts tell whether it is shown, and its natural place where."""
        return self.keep is not None and not self.troubles_only and not self.sorting.column


class LazyRows(Rows):
    """Rows made when they are looked at; good until the lineup is brought up to date."""

    def __init__(self, keys: Sequence[RowKey], row: Callable[[RowKey], Row | None]) -> None:
        super().__init__(keys)
        self.row = row

    def made(self, key: RowKey) -> Row:
        """Return the row of a key; an empty one when it has just gone."""
        return self.row(key) or Row(key=key, cells=())


class Lineup:
    """The keys of one table in their order, with the rows of those that were looked at."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.waits = False
        """There are changes of the order which are held back."""
        self.reads_ahead = False
        """A filter is about to come: texts are kept although there is none yet."""
        self._query: Query | None = None
        self._places: dict[RowKey, Place | None] = {}
        """None: does not pass the filter."""
        self._rows = LazyRows((), lambda _key: None)
        self._next_places: dict[RowKey, Place | None] = {}
        self._pending: Iterator[RowKey] | None = None
        self._is_outdated = False
        """Anything may have changed since the look that is under way began."""
        self._made: dict[RowKey, Row] = {}
        self._texts: dict[RowKey, Texts] = {}

    @property
    def total(self) -> int:
        """How many rows there are before filtering, as far as they were counted."""
        return max(len(self._places), len(self._next_places))

    @property
    def is_complete(self) -> bool:
        """Whether all keys have been looked at."""
        return self._pending is None

    def update(
        self,
        source: Source,
        query: Query,
        changed: Iterable[RowKey] | None,
        *,
        hold: bool = False,
    ) -> Rows:
        """Return the rows that pass, in order; with `hold` those known stay where they are.

        `changed`: keys whose subjects changed since the last time; None: any may have.
        """
        self._rows.row = lambda key: self._row(source, key)
        if query.keep is None and not self.reads_ahead:
            self._texts.clear()
        if query != self._query or (changed is None and self._pending is None):
            self._begin(source, query, anew=changed is None or self._is_outdated)
        elif changed is None:
            # The look that is under way is finished first, or nobody would ever see its end.
            self._is_outdated = True
            self._made.clear()
        if changed is not None:
            self._take_in(source, query, changed, hold=hold)
        if self._pending is not None:
            self._go_on(source, query)
        return self._rows

    def forget(self) -> None:
        """Forget everything: another subject is shown."""
        self._query = None
        self._places = {}
        self._made.clear()
        self._texts.clear()
        self._rows = LazyRows((), self._rows.row)

    def fresh(self, source: Source, row: Row) -> Row:
        """Return the row made anew, for rows in sight whose texts depend on the time."""
        made = source.make(row.key)
        if made is None:
            return row
        if made != row:
            self._made[row.key] = made
            self._texts.pop(row.key, None)
        return made

    def warm(self, source: Source) -> Iterator[None]:
        """Read the texts of all rows, so that the first letter of a filter finds them."""
        for key in list(self._places):
            if key not in self._texts:
                row = source.make(key)
                if row is not None:
                    self._texts[key] = Texts.of(row, self.columns)
                yield

    # --- the whole -------------------------------------------------------------------------------

    def _begin(self, source: Source, query: Query, *, anew: bool) -> None:
        """Go through all keys again."""
        if self._query is None or query != self._query:
            # A person asked for it: what is there so far is shown while it grows.
            self._places = {}
            self._rows = LazyRows((), self._rows.row)
        if anew:
            self._made.clear()
            self._texts.clear()
        self._query = query
        self._is_outdated = False
        self._next_places = {}
        self._pending = iter(list(source.keys()))

    def _go_on(self, source: Source, query: Query) -> None:
        """Look at the next keys, as many as nobody notices."""
        assert self._pending is not None
        cost = 1 if source.place is not None and not query.needs_rows else MADE
        keep, natural = query.keep, source.place if query.needs_texts_only else None
        places, texts = self._next_places, self._texts
        left = SLICE
        for key in self._pending:
            known = texts.get(key)
            if known is None or keep is None or natural is None:
                places[key] = self._place(source, query, key)
                left -= cost
            else:
                places[key] = natural(key) if keep(known) else None
                left -= 1
            if left <= 0:
                break
        else:
            self._pending = None
        if self._pending is None:
            self._places, self._next_places = self._next_places, {}
            self._line_up(self._places, query)
            if self._is_outdated:
                self._begin(source, query, anew=True)
        elif not self._places:
            self._line_up(self._next_places, query)

    # --- what changed ----------------------------------------------------------------------------

    def _take_in(
        self, source: Source, query: Query, changed: Iterable[RowKey], *, hold: bool
    ) -> None:
        """Look again at what changed."""
        places = self._places if self._pending is None else self._next_places
        touched = set(changed)
        for key in touched:
            self._made.pop(key, None)
            self._texts.pop(key, None)
        if source.holds is None:
            present = dict.fromkeys(source.keys())
            gone = [key for key in places if key not in present]
            looked_at = [key for key in present if key in touched or key not in places]
        else:
            gone = [key for key in touched if key in places and not source.holds(key)]
            looked_at = [key for key in touched if source.holds(key)]
        if self._pending is not None:
            # Later slices come to those that are not in yet.
            looked_at = [key for key in looked_at if key in places or source.holds is not None]
        is_different = False
        for key in gone:
            is_different |= places.pop(key) is not None
        for key in looked_at:
            place = self._place(source, query, key)
            if places.get(key) != place:
                is_different = True
            places[key] = place
        if self._pending is not None:
            return
        if hold and (is_different or self.waits):
            self._hold(places)
        elif is_different or self.waits:
            self._line_up(places, query)

    def _hold(self, places: dict[RowKey, Place | None]) -> None:
        """Drop what has gone and add what is new at the end; the rest stands still."""
        known = self._rows.keys
        kept = [key for key in known if places.get(key) is not None]
        there = set(kept)
        kept.extend(key for key, place in places.items() if place is not None and key not in there)
        self.waits = True
        self._rows = LazyRows(kept, self._rows.row)

    def _line_up(self, places: dict[RowKey, Place | None], query: Query) -> None:
        """Put the keys in order; almost sorted already is what they usually are."""
        there = [key for key in self._rows.keys if places.get(key) is not None]
        if len(there) < len(places):
            known = set(there)
            there.extend(
                key for key, place in places.items() if place is not None and key not in known
            )
        there.sort(key=places.__getitem__, reverse=query.sorting.descending)  # type: ignore[arg-type]  # those without a place are left out
        self.waits = False
        if there != self._rows.keys:
            self._rows = LazyRows(there, self._rows.row)

    # --- one row ---------------------------------------------------------------------------------

    def _place(self, source: Source, query: Query, key: RowKey) -> Place | None:
        """Return where a row belongs; None when it is not shown."""
        if not query.needs_rows and source.place is not None:
            return source.place(key)
        row = source.make(key)
        if row is None or (query.troubles_only and not row.trouble):
            return None
        if query.keep is not None:
            texts = self._texts.get(key)
            if texts is None:
                texts = self._texts[key] = Texts.of(row, self.columns)
            if not query.keep(texts):
                return None
        column = query.sorting.column
        return sort_value(row, self.columns, column) if column else row.place

    def _row(self, source: Source, key: RowKey) -> Row | None:
        row = self._made.get(key)
        if row is None:
            row = source.make(key)
            if row is not None:
                if len(self._made) >= ROWS_KEPT_MAX:
                    for old in list(islice(self._made, ROWS_KEPT_MAX // 2)):
                        del self._made[old]
                self._made[key] = row
        return row
