"""The one table: draws only what is in sight, keeps cursor and marks by key.

The table gets finished rows (`tui.views.lineup` filters and sorts) and repaints the lines that
changed. The cursor is shown in reverse and with a sign, so it survives without colour.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.views.glyphs import Glyphs
from tui.views.rows import Column, FixedRows, Row, RowKey, Rows, Sorting
from tui.views.text import Span, fit, fit_middle, width_of
from tui.widgets.moves import move_bindings
from tui.widgets.palette import Palette
from tui.widgets.segments import changed_width, merged

_GAP = 2
_PREFIX = 3
"""Cursor sign, mark, space."""
_NAME_LEAST = 16
_KEY_LEAST = 22
"""So much of a name is kept before less important columns leave; more of the key."""
_SAMPLE = 200
"""Rows that are measured for the widths, beside those in sight."""
TOLD_EVERY_S = 0.038
"""Less than thirty times a second, with what else is drawn meanwhile."""


class Table(Widget, can_focus=True):
    """Rows with a cursor. Keys are the screen's business; the table offers actions."""

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    DEFAULT_CSS = """
    Table { height: 1fr; width: 1fr; }
    """

    class Moved(Message):
        """The cursor stands on another row."""

        def __init__(self, table: "Table", key: RowKey | None) -> None:
            super().__init__()
            self.table = table
            self.key = key

    class Entered(Message):
        """A person wants to go into a row."""

        def __init__(self, table: "Table", key: RowKey) -> None:
            super().__init__()
            self.table = table
            self.key = key

    def __init__(
        self,
        palette: Palette,
        glyphs: Glyphs,
        *,
        id: str | None = None,  # noqa: A002  # Textual's name
    ) -> None:
        super().__init__(id=id)
        self._palette = palette
        self.glyphs = glyphs
        self.columns: tuple[Column, ...] = ()
        self.rows: Rows = FixedRows(())
        self.marks: set[RowKey] = set()
        self.wide = False
        self.chosen: tuple[int, ...] = ()
        """The columns that a person chose, in their order; empty: as many as fit."""
        self.sorting = Sorting()
        self.empty_text = ""
        self.fresh: Callable[[Row], Row] | None = None
        """Makes a row anew when it is drawn."""
        self.moved_at = 0.0
        """When a person last moved the cursor, by the monotonic clock."""
        self._told_at = 0.0
        self._will_tell = False
        self._cursor = 0
        self._cursor_key: RowKey | None = None
        self._top = 0
        self._top_key: RowKey | None = None
        self._in_sight: dict[RowKey, Row] = {}
        """Rows as they are drawn."""
        self._widths: list[tuple[int, int]] = []
        """Index of the column and its width, for those shown."""
        self._natural: list[int] = []
        self._measured: dict[RowKey, Row] = {}
        """Rows whose widths are in already."""
        self._drawn: list[tuple[object, ...]] = []
        """What each line in sight was drawn from."""
        self._painted: dict[int, Strip] = {}
        """The lines as they are on the screen."""
        self._last_mark: RowKey | None = None
        self.slipped_from: RowKey | None = None
        """The row that vanished by itself from under the cursor, so that another took its place: a
        key that is pressed now was meant for that one."""
        self._is_arriving = True
        self.stays_at_top = False
        """Whether a cursor on the first row stays on the first row, whichever that is."""

    # --- content -----------------------------------------------------------------------------

    def show(self, columns: Sequence[Column], rows: Sequence[Row]) -> None:
        """Show these rows; the cursor stays on its key, the view on its first row."""
        if tuple(columns) != self.columns:
            self.columns = tuple(columns)
            self._natural = []
            self._widths = []
            self._measured.clear()
        self.rows = rows if isinstance(rows, Rows) else FixedRows(rows)
        self._in_sight.clear()
        self._grow()
        self._restore()
        self._refresh_changed()

    def arrive(self) -> None:
        """Say that a person wants other rows: what vanishes now does not slip away."""
        self._is_arriving = True
        self.slipped_from = None

    def refresh_in_sight(self) -> None:
        """Make the rows in sight anew and repaint those that changed."""
        self._refresh_changed()

    def measure(self) -> None:
        """Fit the columns to what is in them now; they may shrink."""
        self._natural = []
        self._measured.clear()
        self._grow()

    def _grow(self) -> None:
        """Make room for wider texts. Columns never shrink by themselves, so they do not dance."""
        natural = self._natural or [
            max(width_of(column.name) + 1, column.width_min) for column in self.columns
        ]
        grown = list(natural)
        for row in self._sample():
            if row is self._measured.get(row.key):
                continue
            self._measured[row.key] = row
            for index, column in enumerate(self.columns):
                size = width_of(row.text_of(index))
                if size > grown[index]:
                    grown[index] = min(size, max(column.width_max, column.width_min))
        if grown != self._natural:
            self._natural = grown
            self._share_out()

    def _sample(self) -> Iterator[Row]:
        count = len(self.rows)
        yield from (self.rows[index] for index in range(min(count, _SAMPLE)))
        last = min(self._top + self._height, count)
        yield from (self.rows[index] for index in range(max(self._top, _SAMPLE), last))

    def repaint(self, palette: Palette, glyphs: Glyphs) -> None:
        """Take another theme."""
        self._palette = palette
        self.glyphs = glyphs
        self._drawn = []
        self._painted.clear()
        self.refresh()

    def _restore(self) -> None:
        """Put the cursor on its key; when that row vanished, on what took its place."""
        rows = self.rows
        found = None if self._cursor_key is None else rows.index_of(self._cursor_key)
        if self.stays_at_top and self._cursor == 0 and found is not None:
            self._cursor = self._top = 0
            self._top_key = None
            self._set_key()
            return
        if self._top_key is not None and self._top > 0:
            top = rows.index_of(self._top_key)
            self._top = self._top if top is None else top
        if found is not None:
            self._cursor = found
        else:
            self.slipped_from = None if self._is_arriving else self._cursor_key
            self._cursor = min(self._cursor, max(len(rows) - 1, 0))
            self._set_key()
        self._is_arriving = False
        self._keep_in_sight()

    def _set_key(self) -> None:
        key = self.rows.keys[self._cursor] if self.rows else None
        if key != self._cursor_key:
            self._cursor_key = key
            self.post_message(self.Moved(self, key))

    # --- cursor and marks --------------------------------------------------------------------

    @property
    def cursor_key(self) -> RowKey | None:
        """The key of the row under the cursor."""
        key = self._cursor_key
        return None if key is None or self.rows.index_of(key) is None else key

    @property
    def cursor_row(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self._cursor] if self._cursor < len(self.rows) else None

    def subjects(self) -> list[RowKey]:
        """Return what an action is about: the marked rows, else the one under the cursor.

        When all marked rows have vanished it is about nothing, never about the cursor's row.
        """
        if self.marks:
            return [key for key in self.rows.keys if key in self.marks]
        return [] if self.cursor_key is None else [self.cursor_key]

    @property
    def marked_count(self) -> int:
        """How many of the rows that are shown are marked."""
        return sum(1 for key in self.marks if self.rows.index_of(key) is not None)

    def take_gone(self) -> list[RowKey]:
        """Return the marked rows that have vanished, and forget them."""
        gone = [key for key in self.marks if self.rows.index_of(key) is None]
        self.marks.difference_update(gone)
        return gone

    def forget_hidden(self) -> None:
        """Unmark what a filter hides: no action may reach it."""
        self.take_gone()

    def select(self, key: RowKey | None) -> None:
        """Put the cursor on a row; one that is not there yet is taken as soon as it comes."""
        if key is None:
            return
        self._cursor_key = key
        index = self.rows.index_of(key)
        if index is not None:
            self._cursor = index
            self._keep_in_sight()
            self.post_message(self.Moved(self, key))
        self._refresh_changed()

    def move_to(self, index: int) -> None:
        """Put the cursor on the row with this number."""
        if not self.rows:
            return
        self.moved_at = time.monotonic()
        self._cursor = max(0, min(index, len(self.rows) - 1))
        self.slipped_from = None
        self._keep_in_sight()
        self._cursor_key = self.rows.keys[self._cursor]
        self._tell_move()

    def _tell_move(self) -> None:
        """Show the move and tell of it, while a key repeats not oftener than eyes can follow."""
        wait_s = self._told_at + TOLD_EVERY_S - time.monotonic()
        if wait_s <= 0:
            self._told_at = time.monotonic()
            self.post_message(self.Moved(self, self._cursor_key))
            self._refresh_changed()
        elif not self._will_tell:
            self._will_tell = True
            self.set_timer(wait_s, self._tell_late)

    def _tell_late(self) -> None:
        self._will_tell = False
        self._tell_move()

    def action_move(self, rows: int) -> None:
        """Move the cursor by rows."""
        self.move_to(self._cursor + rows)

    def action_page(self, pages: float) -> None:
        """Move the cursor by part of the height."""
        self.move_to(self._cursor + round(pages * max(self._height, 1)))

    def action_edge(self, direction: int) -> None:
        """Move to the first (-1) or the last row (1)."""
        self.move_to(0 if direction < 0 else len(self.rows) - 1)

    def action_enter(self) -> None:
        """Go into the row under the cursor."""
        if self.cursor_key is not None:
            self.post_message(self.Entered(self, self.cursor_key))

    def action_mark(self) -> None:
        """Mark or unmark the row under the cursor and go to the next."""
        key = self.cursor_key
        if key is None:
            return
        self.marks ^= {key}
        self._last_mark = key
        self.move_to(self._cursor + 1)
        self._refresh_changed()

    def action_mark_to(self) -> None:
        """Mark everything from the last mark to the cursor."""
        start = None if self._last_mark is None else self.rows.index_of(self._last_mark)
        first, last = sorted((self._cursor if start is None else start, self._cursor))
        self.marks |= set(self.rows.keys[first : last + 1])
        self._refresh_changed()

    def action_clear_marks(self) -> None:
        """Unmark everything."""
        self.marks.clear()
        self._refresh_changed()

    def find(self, wanted: Callable[[Row], bool], direction: int) -> bool:
        """Put the cursor on the next (1) or previous (-1) row that is wanted."""
        return self.find_key(lambda key: wanted(self.rows.made(key)), direction)

    def find_key(self, wanted: Callable[[RowKey], bool], direction: int) -> bool:
        """Put the cursor on the next (1) or previous (-1) row whose key is wanted."""
        count = len(self.rows)
        for step in range(1, count + 1):
            index = (self._cursor + direction * step) % count
            if wanted(self.rows.keys[index]):
                self.move_to(index)
                return True
        return False

    @property
    def below(self) -> int:
        """How many rows are out of sight below; none as long as the height is not known."""
        height = self._height
        return max(len(self.rows) - self._top - height, 0) if height else 0

    @property
    def _height(self) -> int:
        return max(self.size.height - 1, 0)

    def _keep_in_sight(self) -> None:
        height = self._height
        top = min(self._top, max(len(self.rows) - height, 0))
        if self._cursor < top:
            top = self._cursor
        elif height and self._cursor >= top + height:
            top = self._cursor - height + 1
        self._top = max(top, 0)
        self._top_key = self.rows.keys[self._top] if self._top < len(self.rows) else None

    # --- mouse -------------------------------------------------------------------------------

    def on_click(self, event: events.Click) -> None:
        """Put the cursor where the mouse is; a second click goes in."""
        event.stop()
        index = self._top + event.y - 1
        if event.y < 1 or index >= len(self.rows):
            return
        again = event.chain > 1
        self.move_to(index)
        if again:
            self.action_enter()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move down with the wheel."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move up with the wheel."""
        event.stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        """Share the width out anew."""
        self._share_out()
        self._keep_in_sight()
        self._drawn = []
        self._painted.clear()
        self.refresh()

    def toggle_wide(self) -> None:
        """Show all columns, or as many as fit."""
        self.wide = not self.wide
        self.measure()
        self._drawn = []
        self._painted.clear()
        self.refresh()

    # --- drawing -----------------------------------------------------------------------------

    def _share_out(self) -> None:
        """Choose which columns are shown, and how wide: the least important leave first."""
        if not self._natural:
            return
        room = self.size.width - _PREFIX
        shown = [
            index for index, column in enumerate(self.columns) if self.wide or not column.wide_only
        ]
        if self.chosen and not self.wide:
            shown = list(self.chosen)
        while True:
            least = [self._least(index) for index in shown]
            if sum(least) + _GAP * (len(shown) - 1) <= room or len(shown) <= 1:
                break
            weakest = max(shown, key=lambda index: (self.columns[index].priority, index))
            if self.columns[weakest].priority == 0:
                break
            shown.remove(weakest)
        widths = {index: self._least(index) for index in shown}
        left = room - sum(widths.values()) - _GAP * (len(shown) - 1)
        for index in sorted(shown, key=lambda index: self.columns[index].flexible):
            grow = min(max(self._natural[index] - widths[index], 0), max(left, 0))
            widths[index] += grow
            left -= grow
        for index in shown:
            if self.columns[index].flexible and left > 0:
                widths[index] += left
                left = 0
        self._widths = [(index, max(widths[index], 1)) for index in shown]

    def _least(self, index: int) -> int:
        column = self.columns[index]
        if column.flexible:
            return column.width_min
        enough = max(column.width_min, width_of(column.name))
        return max(
            enough, min(self._natural[index], _NAME_LEAST if column.priority else _KEY_LEAST)
        )

    def _signature(self, y: int) -> tuple[object, ...]:
        """Return what a line's drawing depends on."""
        if y == 0:
            return ("head", self.columns, self.sorting, tuple(self._widths))
        index = self._top + y - 1
        if index >= len(self.rows):
            return ("blank", y == 2 and not self.rows and self.empty_text)
        row = self.rows[index]
        if self.fresh is not None:
            row = self.fresh(row)
        self._in_sight[row.key] = row
        return (
            row.cells,
            row.role,
            index == self._cursor,
            row.key in self.marks,
            self.has_focus,
            tuple(self._widths),
        )

    def _refresh_changed(self) -> None:
        """Repaint the lines whose content changed, one region each."""
        if not self.size.height:
            return
        if not self._widths and self._natural:
            self._share_out()
        drawn = [self._signature(y) for y in range(self.size.height)]
        former, self._drawn = self._drawn, drawn
        for y, signature in enumerate(drawn):
            if y >= len(former) or former[y] != signature:
                width = self.size.width
                if y in self._painted:
                    width = changed_width(self._painted[y], self._line(y))
                if width:
                    self.refresh(Region(0, y, width, 1))

    def on_focus(self) -> None:
        """Show that keys come here."""
        self._refresh_changed()

    def on_blur(self) -> None:
        """Show that keys go elsewhere."""
        self._refresh_changed()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        strip = self._painted[y] = self._line(y)
        return strip

    def _line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y == 0:
            return self._head(width, base)
        index = self._top + y - 1
        if index >= len(self.rows):
            if y == 2 and not self.rows and self.empty_text:
                text = fit(f"   {self.empty_text}", width)
                return Strip([Segment(text, base + self._palette.style("dim"))], width)
            return Strip.blank(width, base)
        key = self.rows.keys[index]
        row = self._in_sight.get(key) or self.rows[index]
        is_cursor = index == self._cursor
        return self._row_strip(row, width, base, is_cursor=is_cursor)

    def _head(self, width: int, base: Style) -> Strip:
        style = base + self._palette.style("head")
        parts = [" " * _PREFIX]
        for number, (index, size) in enumerate(self._widths):
            column = self.columns[index]
            name = column.name
            if name and name == self.sorting.column:
                turned = self.sorting.descending
                name += self.glyphs.descending if turned else self.glyphs.ascending
            parts.append((" " * _GAP if number else "") + fit(name, size, right=column.right))
        return Strip([Segment(fit("".join(parts), width), style)], width)

    def _row_strip(self, row: Row, width: int, base: Style, *, is_cursor: bool) -> Strip:
        palette = self._palette
        plain = base + palette.style(row.role)
        if is_cursor:
            # Roles give way under the cursor: one bar, readable in every theme.
            plain = base + palette.style("cursor" if self.has_focus else "")
        # Of several tables only the one with the keys shows its cursor.
        sign = ">" if is_cursor and self.has_focus else " "
        mark = self.glyphs.mark if row.key in self.marks else " "
        segments = [Segment(f"{sign}{mark} ", plain)]
        for number, (index, size) in enumerate(self._widths):
            if number:
                segments.append(Segment(" " * _GAP, plain))
            self._cell(segments, row, index, size, plain, flat=is_cursor and self.has_focus)
        return Strip(merged(segments)).adjust_cell_length(width, plain)

    def _cell(
        self,
        segments: list[Segment],
        row: Row,
        index: int,
        size: int,
        plain: Style,
        *,
        flat: bool,
    ) -> None:
        cell = row.cells[index]
        spans = (cell,) if isinstance(cell, Span) else cell
        right = self.columns[index].right
        if len(spans) == 1:
            style = plain if flat else plain + self._palette.style(spans[0].role)
            cut = fit_middle if self.columns[index].cut_middle else fit
            text = fit(spans[0].text, size, right=True) if right else cut(spans[0].text, size)
            segments.append(Segment(text, style))
            return
        left = size
        for span in spans:
            text = span.text
            if width_of(text) > left:
                text = (fit_middle if self.columns[index].cut_middle else fit)(text, left)
            if text:
                style = plain if flat else plain + self._palette.style(span.role)
                segments.append(Segment(text, style))
                left -= width_of(text)
        if left > 0:
            segments.append(Segment(" " * left, plain))
