"""A noun as a table: filter, sorting, marks, detail; nouns differ only in their view and keys."""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from textual.widget import Widget

from tui.commands import Place
from tui.mirror import Changes
from tui.screens.base import CockpitScreen
from tui.screens.panel import Panel, why_empty
from tui.screens.shell import Look, Shell
from tui.tools import values_of
from tui.views.all_views import column_indices
from tui.views.definition import definition_lines
from tui.views.describe import description
from tui.views.export import exported
from tui.views.filtering import FilterProblem, Predicate, compile_filter
from tui.views.frame import rule_line
from tui.views.lineup import Lineup, Query, Source
from tui.views.rows import Row, RowKey, Sorting
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.views.text import Line
from tui.widgets.table import Table

NOTHING_HERE = "there is no row here"
_STATUS = ("STATUS", "ST", "MARK", "RESULT")
_NAMES = frozenset(
    {"ORDER", "CHAIN", "JOB", "AGENT", "LOCK", "CLASS", "FILE", "HOST", "NAME", "WHO", "SUBJECT"}
    | {"COMMAND", "ENGINE"}
)
_AGES = ("SINCE", "SO FAR", "AGE", "TIME", "ENDED", "STARTED", "AT", "NEXT", "START")
STILL_S = 2.0
"""After a cursor key rows do not change places for so long."""
WARMED_AT_ONCE = 100
"""Rows that are read ahead between two looks at the keyboard."""


class TableScreen(CockpitScreen):
    """Shows one `TableView`."""

    is_list = True

    def __init__(self, shell: Shell, view: TableView) -> None:
        self.view = view
        super().__init__(shell)
        self.panel = Panel(view, self._why_empty)
        self.sorting = Sorting()
        self.troubles_only = False
        self._filter_text = ""
        self._keep: Predicate | None = None
        self._filter_problem = ""

    def body(self) -> Iterable[Widget]:
        """Build the table."""
        table = Table(self.shell.palette, self.shell.scene().glyphs, id="table")
        table.empty_text = self.view.empty_text
        chosen = self.shell.settings.columns.get(self.noun)
        if chosen:
            table.chosen = column_indices(self.view.columns, chosen)
        table.wide = self.shell.habits.of(self.noun).wide
        yield table

    @property
    def lineup(self) -> Lineup:
        """Which rows there are, in their order."""
        return self.panel.lineup

    @property
    def table(self) -> Table:
        """The table."""
        return self.query_one("#table", Table)

    def take_gone(self) -> list[RowKey]:
        """Return the marked rows that have vanished, and forget them."""
        return self.table.take_gone()

    @property
    def main(self) -> Widget | None:
        """The table takes the keys."""
        return self.table if self.is_ready else None

    # --- place -------------------------------------------------------------------------------

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show this place, as it was looked at before."""
        changed = place.argument != self.place.argument
        if changed:
            self.lineup.forget()
        self.sorting = look.sorting if look is not None and look.sorting.column else self._usual()
        self.troubles_only = look is not None and look.troubles_only
        self.set_filter(place.filter_text)
        if self.is_ready:
            if changed:
                self.table.marks.clear()
            self.table.arrive()
            self.table.select(look.key if look is not None else None)
        super().open_place(place, look)
        if self.is_ready:
            self.table.measure()

    def _usual(self) -> Sorting:
        """Return how this list was sorted the last time."""
        habit = self.shell.habits.of(self.noun)
        known = habit.column in {column.name for column in self.view.columns}
        return Sorting(column=habit.column, descending=habit.descending) if known else Sorting()

    def values(self) -> Mapping[str, str]:
        """Return what the row under the cursor is about, for a person's own programs."""
        return values_of(self.shell.scene(), self.noun, self.table.cursor_key)

    def leave_engine(self) -> None:
        """Forget rows, marks and filter."""
        super().leave_engine()
        self.lineup.forget()
        self.set_filter("")
        if self.is_ready:
            self.table.marks.clear()
            self.table.arrive()

    def look(self) -> Look:
        """Return how the table is looked at."""
        return Look(
            place=self.link_place(),
            key=self.table.cursor_key if self.is_ready else None,
            sorting=self.sorting,
            troubles_only=self.troubles_only,
        )

    def link_place(self) -> Place:
        """Return the place with the filter in force."""
        place = self.place
        return Place(noun=place.noun, argument=place.argument, filter_text=self._filter_text)

    # --- draw --------------------------------------------------------------------------------

    def draw_body(self, scene: Scene, changes: Changes) -> None:
        """Make the rows that changed, filter, sort, show."""
        self.table.sorting = self.sorting
        self.panel.draw(self.table, scene, self._query(), changes, hold=self._is_busy())
        if not self.lineup.is_complete:
            self.call_later(self._go_on)

    def _why_empty(self, scene: Scene) -> str:
        """Return why there is no row, and what to do about it."""
        total = self.lineup.total
        if total and self._filter_text:
            return f"none of the {total:,} matches the filter; esc clears it"
        if total and self.troubles_only:
            return f"none of the {total:,} has trouble; ! shows all"
        return why_empty(scene, self.view)

    def rule(self, scene: Scene, width: int) -> Line:
        """Return the line above the strip, with how many rows are out of sight."""
        return rule_line(scene, width, below=self.table.below)

    def _query(self) -> Query:
        return Query(
            keep=self._keep,
            sorting=self.sorting,
            troubles_only=self.troubles_only,
            subject=self.place.argument,
        )

    def _is_busy(self) -> bool:
        """Return whether rows shall stay where they are: a person is about to act on them."""
        if not self.sorting.column:
            return False
        return bool(self.table.marks) or time.monotonic() - self.table.moved_at < STILL_S

    def _go_on(self) -> None:
        """Look at the rows that one drawing left for the next."""
        if self.is_current and not self.lineup.is_complete:
            self.draw(Changes())

    def _fresh_source(self) -> Source:
        return self.view.source(self.shell.scene(), self.place.argument)

    def strip(self, scene: Scene) -> list[Line]:
        """Return the detail of the row under the cursor."""
        key = self.table.cursor_key
        return [] if key is None else self.view.detail(scene, key)

    def summary(self) -> str:
        """Return how many rows there are and how they are sorted."""
        shown, total = len(self.table.rows), self.lineup.total
        parts = [f"{shown} of {total}" if shown != total else f"{total}"]
        if self.table.marks:
            marked = self.table.marked_count
            gone = len(self.table.marks) - marked
            parts.insert(0, f"{marked} marked" + (f", {gone} gone" if gone else ""))
        if self.troubles_only:
            parts.append("problems only")
        if self.sorting.column:
            parts.append(f"sort {self.sorting.column}")
        if self.lineup.waits:
            parts.append("sort waits")
        if self._filter_problem:
            parts = [self._filter_problem]
        return "  ".join(parts)

    # --- filter and sorting ------------------------------------------------------------------

    @property
    def filter_text(self) -> str:
        """The filter in force."""
        return self._filter_text

    def set_filter(self, text: str) -> None:
        """Take another filter; one that cannot be understood leaves the rows as they were."""
        self._filter_text = text
        try:
            self._keep = compile_filter(text, self.shell.settings.filters)
            self._filter_problem = ""
        except FilterProblem as problem:
            self._filter_problem = str(problem)

    def filter_typed(self, text: str) -> None:
        """Narrow while typing."""
        self.set_filter(text)
        self.draw(Changes(others=True))

    def filter_done(self, text: str) -> None:
        """Take the filter."""
        self.table.take_gone()
        self.lineup.reads_ahead = False
        self.set_filter(text)
        self.redraw()
        self.table.forget_hidden()

    def redraw(self) -> None:
        """Draw with everything made anew, as a person wanted it."""
        habit = self.shell.habits.of(self.noun)
        habit.column, habit.descending = self.sorting.column, self.sorting.descending
        self.table.arrive()
        self.draw(Changes(everything=True))

    def do_filter(self) -> None:
        """Open the filter line."""
        self.open_entry("filter", "/", self._filter_text)
        self.lineup.reads_ahead = True
        self._warm(self.lineup.warm(self._fresh_source()))

    def _warm(self, steps: Iterator[None]) -> None:
        """Read ahead, a little at a time, while a person thinks about the first letter."""
        for _ in range(WARMED_AT_ONCE):
            if not self.lineup.reads_ahead or next(steps, steps) is steps:
                return
        self.call_later(self._warm, steps)

    def do_escape(self) -> None:
        """Clear marks, then the filter, then go back."""
        if self.table.marks:
            self.table.action_clear_marks()
            self.draw_frame(self.shell.scene())
        elif self._filter_text:
            self.filter_done("")
        else:
            self.do_back()

    def do_problems(self) -> None:
        """Show only rows with trouble, or all."""
        self.table.take_gone()
        self.troubles_only = not self.troubles_only
        self.redraw()
        self.table.forget_hidden()

    def do_wide(self) -> None:
        """Show all columns, or as many as fit."""
        self.table.toggle_wide()
        self.shell.say(wide_words(wide=self.table.wide))
        self.shell.habits.of(self.noun).wide = self.table.wide

    def do_refresh(self) -> None:
        """Take a fresh snapshot and fit the columns."""
        self.table.measure()
        super().do_refresh()

    def _sort_by(self, step: int) -> None:
        names = ["", *(column.name for column in self.view.columns if column.name)]
        at = names.index(self.sorting.column) if self.sorting.column in names else 0
        self.sorting = Sorting(column=names[(at + step) % len(names)])
        self.redraw()

    def do_sort_left(self) -> None:
        """Sort by the column before."""
        self._sort_by(-1)

    def do_sort_right(self) -> None:
        """Sort by the next column."""
        self._sort_by(1)

    def do_sort_turn(self) -> None:
        """Reverse the sorting."""
        if not self.sorting.column:
            self.shell.say("sorted by nothing yet: shift+right chooses a column")
        else:
            self.sorting = Sorting(
                column=self.sorting.column, descending=not self.sorting.descending
            )
            self.redraw()

    def _sort_named(self, names: Iterable[str]) -> None:
        """Sort by the first of these columns that there is; once more: the other way round."""
        shown = {column.name for column in self.view.columns}
        wanted = next((name for name in names if name in shown), None)
        if wanted is None:
            self.shell.say("this list has no such column")
        elif self.sorting.column == wanted:
            self.do_sort_turn()
        else:
            self.sorting = Sorting(column=wanted)
            self.redraw()

    def do_sort_name(self) -> None:
        """Sort by name."""
        self._sort_named([self.view.columns[self._key_column()].name])

    def do_sort_age(self) -> None:
        """Sort by age."""
        self._sort_named(_AGES)

    def do_sort_status(self) -> None:
        """Sort by status."""
        self._sort_named(_STATUS)

    # --- rows --------------------------------------------------------------------------------

    def action_act(self, action_id: str) -> None:
        """Do what a key stands for, unless the row it was meant for has gone from under it."""
        action = next((one for one in self.actions if one.id == action_id), None)
        table = self.table
        if action is not None and action.harm and self._has_slipped():
            table.slipped_from = None
            self.shell.say(
                "nothing was done: the row under the cursor has gone, the list moved; "
                "look again, then press again",
                bad=True,
            )
            return
        super().action_act(action_id)

    def _has_slipped(self) -> bool:
        """Return whether a key was meant for a row that has gone from under the cursor."""
        former = self.table.slipped_from
        return former is not None and not self.table.marks and self.is_subject(former)

    def is_subject(self, key: RowKey) -> bool:
        """Return whether a key can be meant for such a row at all."""
        _ = key
        return True

    def on_table_moved(self, event: Table.Moved) -> None:
        """Show the detail of the row under the cursor."""
        event.stop()
        self.draw_frame(self.shell.scene())

    def on_table_entered(self, event: Table.Entered) -> None:
        """Go in."""
        event.stop()
        self.enter(event.key)

    def enter(self, key: RowKey) -> None:
        """Go into a row."""

    def do_enter(self) -> None:
        """Go into the row under the cursor."""
        if self.table.cursor_key is None:
            self.shell.say(NOTHING_HERE)
        else:
            self.enter(self.table.cursor_key)

    def do_describe(self) -> None:
        """Show everything that is known about the row, with nothing cut."""
        row, key = self.table.cursor_row, self.table.cursor_key
        if row is None or key is None:
            self.shell.say(NOTHING_HERE)
            return
        detail = self.view.detail(self.shell.scene(), key)
        title = row.text_of(self._key_column()).strip()
        self.shell.show_page(title, description(self.view.columns, row, detail))

    def do_definition(self) -> None:
        """Show the definition of what the row is about."""
        key = self.table.cursor_key
        if key is None:
            self.shell.say(NOTHING_HERE)
        else:
            show_definition(self.shell, *self.defined(key))

    def defined(self, key: RowKey) -> tuple[str, object]:
        """Return the noun and the key of the object that a row is about."""
        return self.noun, key

    def _key_column(self) -> int:
        """Return the column that names a row."""
        names = (column.name in _NAMES for column in self.view.columns)
        return next((index for index, is_name in enumerate(names) if is_name), 0)

    def do_mark(self) -> None:
        """Mark the row."""
        self.table.action_mark()
        self.draw_frame(self.shell.scene())

    def do_mark_to(self) -> None:
        """Mark from the last mark to here."""
        self.table.action_mark_to()
        self.draw_frame(self.shell.scene())

    def do_clear_marks(self) -> None:
        """Clear all marks."""
        if not self.table.marks:
            self.shell.say("nothing is marked")
        self.table.action_clear_marks()
        self.draw_frame(self.shell.scene())

    def do_copy(self) -> None:
        """Copy the row as text."""
        row = self.table.cursor_row
        if row is not None:
            self.shell.copy(text_of_row(row), "the row")

    def save(self, name: str) -> None:
        """Save the rows that are shown."""
        rows = self.table.rows
        text = exported(self.view.columns, rows, Path(name).suffix)
        self.write_file(name, text, f"{len(rows)} row{'' if len(rows) == 1 else 's'}")

    def do_next_trouble(self) -> None:
        """Go to the next row with trouble."""
        self._find(1)

    def do_last_trouble(self) -> None:
        """Go to the previous row with trouble."""
        self._find(-1)

    def _find(self, direction: int) -> None:
        scene, is_trouble = self.shell.scene(), self.view.trouble
        former = self.table.cursor_key
        if is_trouble is None:
            found = self.table.find(lambda row: row.trouble, direction)
        else:
            found = self.table.find_key(lambda key: is_trouble(scene, key), direction)
        if not found:
            self.shell.say("no trouble here")
        elif self.table.cursor_key == former:
            self.shell.say("no other trouble here")


def wide_words(*, wide: bool) -> str:
    """Return what ctrl+w has done."""
    return "all columns" if wide else "as many columns as fit"


def text_of_row(row: Row) -> str:
    """Return a row as one line of text."""
    cells = (row.text_of(index).strip() for index in range(len(row.cells)))
    return re.sub(r"\s{3,}", "  ", "  ".join(cells)).strip()


def show_definition(shell: Shell, noun: str, key: object) -> None:
    """Show the definition of an object on a page."""
    lines = definition_lines(shell.scene().state, noun, key)
    if lines:
        shell.show_page("definition", lines)
    else:
        shell.say("there is no definition of this")
