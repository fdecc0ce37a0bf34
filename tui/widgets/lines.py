"""Lines of text with roles, in a widget that repaints only the lines that changed."""

from collections.abc import Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.views.glyphs import Glyphs
from tui.views.text import Line, fit_line
from tui.widgets.moves import move_bindings
from tui.widgets.palette import Palette
from tui.widgets.segments import merged


def strip_of(spans: Line, width: int, base: Style, palette: Palette) -> Strip:
    """Return a drawn line in exactly `width` cells."""
    pieces = (
        Segment(span.text, base + palette.style(span.role)) for span in fit_line(spans, width)
    )
    return Strip(merged(pieces), width)


class Lines(Widget):
    """A few lines that stand still: header, crumbs, detail, hints."""

    DEFAULT_CSS = """
    Lines { height: 1; width: 1fr; }
    """

    def __init__(
        self,
        palette: Palette,
        *,
        id: str | None = None,  # noqa: A002  # Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._palette = palette
        self._lines: tuple[Line, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines; unchanged ones are not painted again."""
        former, self._lines = self._lines, tuple(lines)
        width = self.size.width
        for index in range(max(len(former), len(self._lines))):
            old = former[index] if index < len(former) else ()
            new = self._lines[index] if index < len(self._lines) else ()
            if old != new:
                self.refresh(Region(0, index, width, 1))

    def repaint(self, palette: Palette, glyphs: Glyphs) -> None:
        """Take another theme."""
        _ = glyphs
        self._palette = palette
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        spans = self._lines[y] if y < len(self._lines) else ()
        return strip_of(spans, self.size.width, self.rich_style, self._palette)


class ScrolledLines(Lines, can_focus=True):
    """Many lines that are moved through: help, details, definitions."""

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    DEFAULT_CSS = """
    ScrolledLines { height: 1fr; }
    """

    top = 0
    left = 0

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines, keeping the position as far as it exists."""
        if tuple(lines) != self._lines:
            self._lines = tuple(lines)
            self.move(0)
            self.refresh()

    @property
    def below(self) -> int:
        """How many lines are out of sight below; none as long as the height is not known."""
        height = self.size.height
        return max(len(self._lines) - self.top - height, 0) if height else 0

    def move(self, rows: int, columns: int = 0) -> None:
        """Move so many lines down and columns right."""
        top = max(0, min(self.top + rows, len(self._lines) - self.size.height))
        left = max(0, self.left + columns)
        if (top, left) != (self.top, self.left):
            self.top, self.left = top, left
            self.refresh()

    def action_move(self, rows: int) -> None:
        """Move by lines."""
        self.move(rows)

    def action_page(self, pages: float) -> None:
        """Move by part of the height."""
        self.move(round(pages * self.size.height))

    def action_edge(self, direction: int) -> None:
        """Move to the beginning (-1) or the end (1)."""
        self.move(direction * len(self._lines))

    def action_sideways(self, columns: int) -> None:
        """Move sideways."""
        self.move(0, columns)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move down with the wheel."""
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move up with the wheel."""
        event.stop()
        self.move(-3)

    def render_line(self, y: int) -> Strip:
        """Draw one line of the part in sight."""
        index = y + self.top
        spans = self._lines[index] if index < len(self._lines) else ()
        width = self.size.width
        whole = strip_of(spans, width + self.left, self.rich_style, self._palette)
        return whole.crop(self.left, self.left + width) if self.left else whole
