"""Questions before anything that cannot be taken back. The safe answer is the default."""

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen

from tui.views.text import Line, Span, line
from tui.widgets.lines import Lines
from tui.widgets.palette import Palette

PATIENCE_S = 10.0
QUIET_S = 0.15
"""A question does not open under typing fingers: keys are ignored so long at first."""


class Question(ModalScreen[bool]):
    """Asks yes or no; Enter, Escape and silence are No.

    The answer arrives through the callback of `push_screen`.
    """

    DEFAULT_CSS = """
    Question { align: center middle; background: $background 30%; }
    Question > Vertical { width: 68; max-width: 96%; height: auto; border: round $error;
        background: $surface; padding: 0 1; }
    Question Lines { background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,enter,escape,q", "answer(False)", show=False),
    ]

    def __init__(
        self,
        palette: Palette,
        title: str,
        consequences: Sequence[Line],
        *,
        yes: str,
        counted: int = 0,
    ) -> None:
        super().__init__()
        self._palette = palette
        self._title = title
        self._consequences = list(consequences)
        self._yes = yes
        self._left = PATIENCE_S
        self._typed = ""
        self._counted = str(counted) if counted else ""
        self._is_quiet = False

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical() as box:
            box.border_title = self._title
            yield Lines(self._palette, id="question")

    def on_mount(self) -> None:
        """Begin to wait."""
        self.set_timer(QUIET_S, self._open)
        self.set_interval(1.0, self._tick)
        self._draw()

    def _open(self) -> None:
        self._is_quiet = True

    def _tick(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.dismiss(False)  # the answer
            return
        self._draw()

    def _draw(self) -> None:
        lines: list[Line] = [(), *self._consequences, ()]
        if self._counted:
            lines.append(line("type the number to go on: ", Span(f"{self._typed}_", "bold")))
        else:
            lines.append(line(Span(" <y>", "key"), self._yes))
        lines.append(line(Span(" <enter>", "key"), "no, leave everything as it is"))
        lines.append(line(Span(f" default is no, in {self._left:.0f} s", "dim")))
        shown = self.query_one("#question", Lines)
        shown.styles.height = len(lines)
        shown.show(lines)

    def on_key(self, event: events.Key) -> None:
        """Gather the digits where the count must be typed; swallow hasty keys."""
        if not self._is_quiet:
            event.stop()
            event.prevent_default()
        elif self._counted and event.character and event.character.isdigit():
            event.stop()
            self._typed += event.character
            if self._typed == self._counted:
                self.dismiss(True)  # the answer
            elif not self._counted.startswith(self._typed):
                self._typed = ""
            self._draw()

    def action_answer(self, yes: bool) -> None:
        """Take the answer."""
        if not self._is_quiet or (yes and self._counted):
            return
        self.dismiss(yes)
