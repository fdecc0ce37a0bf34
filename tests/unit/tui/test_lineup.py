"""Long tables: places, filters and sorting kept up to date by what changed."""

import random
from collections.abc import Iterable

import pytest

from tui.views.filtering import compile_filter
from tui.views.lineup import MADE, SLICE, Lineup, Query, Source
from tui.views.rows import Column, Row, RowKey, Sorting
from tui.views.text import Span
from tui.views.texts import Texts

COLUMNS = (Column(name="NAME"), Column(name="SIZE", right=True))


class World:
    """Things with a size, of which rows are made; counts how often."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.sizes = sizes
        self.made = 0

    def row(self, key: RowKey) -> Row | None:
        self.made += 1
        name = str(key)
        size = self.sizes.get(name)
        if size is None:
            return None
        return Row(
            key=name,
            cells=(Span(name), Span(str(size))),
            sort={"SIZE": float(size)},
            place=(name,),
            trouble=size > 50,
        )

    def source(self, *, quick: bool) -> Source:
        if not quick:
            return Source(keys=lambda: list(self.sizes), make=self.row)
        return Source(
            keys=lambda: list(self.sizes),
            make=self.row,
            holds=lambda key: key in self.sizes,
            place=lambda key: (str(key),) if key in self.sizes else None,
        )


def shown(
    lineup: Lineup,
    world: World,
    query: Query,
    changed: Iterable[RowKey] | None,
    *,
    quick: bool,
) -> list[str]:
    rows = lineup.update(world.source(quick=quick), query, changed)
    while not lineup.is_complete:
        rows = lineup.update(world.source(quick=quick), query, ())
    return [str(key) for key in rows.keys]


def expected(world: World, query: Query) -> list[str]:
    rows = [row for row in map(world.row, world.sizes) if row is not None]
    if query.troubles_only:
        rows = [row for row in rows if row.trouble]
    if query.keep is not None:
        rows = [row for row in rows if query.keep(Texts.of(row, COLUMNS))]
    if query.sorting.column:
        rows.sort(key=lambda row: (row.sort["SIZE"], str(row.key)))
        return [str(row.key) for row in (reversed(rows) if query.sorting.descending else rows)]
    return sorted(str(row.key) for row in rows)


QUERIES = (
    Query(),
    Query(keep=compile_filter("3")),
    Query(keep=compile_filter("size>40")),
    Query(sorting=Sorting(column="SIZE")),
    Query(sorting=Sorting(column="SIZE", descending=True), troubles_only=True),
    Query(keep=compile_filter("!1"), sorting=Sorting(column="SIZE")),
)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("seed", range(12))
def test_the_rows_are_those_of_a_full_look_whatever_changed(seed: int, *, quick: bool) -> None:
    chance = random.Random(seed)
    world = World({f"n{number}": chance.randrange(100) for number in range(30)})
    lineup = Lineup(COLUMNS)
    query = QUERIES[0]
    shown(lineup, world, query, None, quick=quick)
    for _ in range(60):
        changed = set()
        for _ in range(chance.randrange(4)):
            name = f"n{chance.randrange(40)}"
            changed.add(name)
            if chance.random() < 0.3:
                world.sizes.pop(name, None)
            else:
                world.sizes[name] = chance.randrange(100)
        if chance.random() < 0.3:
            query = chance.choice(QUERIES)
        whole = chance.random() < 0.1
        found = shown(lineup, world, query, None if whole else changed, quick=quick)
        assert found == expected(world, query)
        assert lineup.total == len(world.sizes)


def test_a_row_is_made_when_somebody_looks_at_it() -> None:
    world = World({f"n{number:04}": number for number in range(5_000)})
    lineup = Lineup(COLUMNS)
    rows = lineup.update(world.source(quick=True), Query(), None)
    assert len(rows) == 5_000
    assert world.made == 0
    assert [row.key for row in rows[10:13]] == ["n0010", "n0011", "n0012"]
    assert world.made == 3


def test_a_long_look_goes_in_slices_and_shows_what_it_has() -> None:
    world = World({f"n{number:06}": number for number in range(2 * SLICE // MADE)})
    lineup = Lineup(COLUMNS)
    query = Query(keep=compile_filter("n"))
    first = lineup.update(world.source(quick=True), query, None)
    assert not lineup.is_complete
    assert len(first) == SLICE // MADE
    assert lineup.total == SLICE // MADE
    assert len(shown(lineup, world, query, (), quick=True)) == 2 * SLICE // MADE


def test_a_new_look_at_everything_leaves_the_rows_until_it_is_through() -> None:
    world = World({f"n{number:06}": number for number in range(2 * SLICE // MADE)})
    lineup = Lineup(COLUMNS)
    query = Query(keep=compile_filter("n"))
    whole = shown(lineup, world, query, None, quick=True)
    again = lineup.update(world.source(quick=True), query, None)
    assert not lineup.is_complete
    assert list(again.keys) == whole


def test_a_look_is_finished_although_everything_changes_all_the_time() -> None:
    world = World({f"n{number:06}": number for number in range(2 * SLICE // MADE)})
    lineup = Lineup(COLUMNS)
    query = Query(keep=compile_filter("n"))
    source = world.source(quick=True)
    assert len(lineup.update(source, query, None)) == SLICE // MADE
    assert len(lineup.update(source, query, None)) == 2 * SLICE // MADE
    del world.sizes["n000000"]
    assert not lineup.is_complete
    assert len(shown(lineup, world, query, (), quick=True)) == 2 * SLICE // MADE - 1


def test_a_filter_after_a_great_change_does_not_look_at_old_texts() -> None:
    world = World({f"n{number:06}": number for number in range(2 * SLICE // MADE)})
    lineup = Lineup(COLUMNS)
    shown(lineup, world, Query(keep=compile_filter("n")), None, quick=True)
    lineup.update(world.source(quick=True), Query(keep=compile_filter("n")), None)
    world.sizes = dict.fromkeys(world.sizes, 777)
    lineup.update(world.source(quick=True), Query(keep=compile_filter("n")), None)
    query = Query(keep=compile_filter("777"))
    assert len(shown(lineup, world, query, (), quick=True)) == len(world.sizes)


def test_held_rows_stand_still_and_new_ones_come_last() -> None:
    world = World({"a": 1, "b": 2, "c": 3})
    lineup = Lineup(COLUMNS)
    query = Query(sorting=Sorting(column="SIZE"))
    source = world.source(quick=True)
    assert list(lineup.update(source, query, None).keys) == ["a", "b", "c"]
    world.sizes |= {"a": 9, "d": 0}
    del world.sizes["b"]
    held = lineup.update(source, query, {"a", "b", "d"}, hold=True)
    assert list(held.keys) == ["a", "c", "d"]
    assert lineup.waits
    assert list(lineup.update(source, query, ()).keys) == ["d", "c", "a"]
    assert not lineup.waits


def test_reading_ahead_makes_the_first_letter_cheap() -> None:
    world = World({f"n{number:04}": number for number in range(3_000)})
    lineup = Lineup(COLUMNS)
    source = world.source(quick=True)
    lineup.update(source, Query(), None)
    lineup.reads_ahead = True
    for _ in lineup.warm(source):
        pass
    made = world.made
    assert len(lineup.update(source, Query(keep=compile_filter("n000")), ())) == 10
    assert lineup.is_complete
    assert world.made == made
