"""The help: a page over the screen, generated from the tables the program uses."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.views.text import Line, plain, wrapped
from tui.widgets.lines import ScrolledLines
from tui.widgets.palette import Palette


class HelpPage(ModalScreen[None]):
    """Shows lines over the screen until a key closes it."""

    DEFAULT_CSS = """
    HelpPage { align: center middle; background: $background 30%; }
    HelpPage > Vertical { width: 96; max-width: 100%; height: 90%; border: round $primary;
        background: $surface; }
    HelpPage ScrolledLines { background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        # In the program's own turn: the next key is already meant for the screen behind.
        Binding("escape,q,question_mark,enter,d,y", "close", show=False, priority=True),
        Binding("c", "copy", show=False, priority=True),
    ]

    def __init__(
        self,
        palette: Palette,
        title: str,
        lines: Sequence[Line],
        copy: Callable[[str], None],
        indent: int = 4,
    ) -> None:
        super().__init__()
        self._copy = copy
        self._indent = indent
        """Where broken lines go on."""
        self._palette = palette
        self._title = title
        self._lines = lines

    def compose(self) -> ComposeResult:
        """Build the page."""
        with Vertical() as box:
            box.border_title = self._title
            box.border_subtitle = "j k move   c copies   esc closes"
            yield ScrolledLines(self._palette, id="help")

    def on_mount(self) -> None:
        """Fill the page."""
        page = self.query_one("#help", ScrolledLines)
        page.focus()
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        page = self.query_one("#help", ScrolledLines)
        width = page.size.width
        page.show([piece for spans in self._lines for piece in wrapped(spans, width, self._indent)])

    def on_resize(self) -> None:
        """Break the lines anew."""
        self.call_after_refresh(self._fill)

    def action_copy(self) -> None:
        """Copy the page as text."""
        self._copy("\n".join(plain(spans).rstrip() for spans in self._lines) + "\n")

    def action_close(self) -> None:
        """Close the page."""
        self.dismiss(None)
