"""The palette: everything that can be reached or done, by a few letters of its name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from tui.views.glyphs import UNICODE
from tui.views.text import Line, Span, fit, line
from tui.widgets.field import OrderedField
from tui.widgets.lines import Lines
from tui.widgets.palette import Palette

SHOWN = 12
_NAME = 44
"""Cells of a name; actions are named by what they do, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One thing to choose."""

    name: str
    note: str
    act: Callable[[], None]
    preview: Callable[[], None] | None = None
    """Shows what it would be like, as long as it is the selected one."""


def score(letters: str, name: str) -> int | None:
    """Return how well letters fit a name, lower is better; None when they do not.

    All letters must come in this order; letters side by side and at the start of words are better.
    """
    folded = name.casefold()
    if not letters:
        return 0
    whole = folded.find(letters)
    if whole >= 0:
        return whole
    at, total = -1, 100
    for letter in letters:
        found = folded.find(letter, at + 1)
        if found < 0:
            return None
        total += 0 if found == at + 1 else found - at
        at = found
    return total


class PaletteBox(ModalScreen[Choice | None], inherit_bindings=False):
    """Narrows as one types; Enter takes the first or the selected one."""

    DEFAULT_CSS = """
    PaletteBox { align: center top; background: $background 30%; }
    PaletteBox > Vertical { margin-top: 2; width: 76; max-width: 98%; height: auto;
        border: round $primary; background: $surface; padding: 0 1; }
    PaletteBox Input { height: 1; border: none; padding: 0; background: $panel; }
    PaletteBox Input:focus { border: none; background-tint: transparent; }
    PaletteBox Lines { background: $surface; height: 12; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False, priority=True),
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("down,ctrl+n,tab", "step(1)", show=False, priority=True),
        Binding("up,ctrl+p,shift+tab", "step(-1)", show=False, priority=True),
    ]

    def __init__(
        self,
        palette: Palette,
        choices: Sequence[Choice],
        *,
        title: str = "find",
        at: int = 0,
    ) -> None:
        super().__init__()
        self._palette = palette
        self._choices = list(choices)
        self._found: list[Choice] = self._choices
        self._at = at
        self._title = title

    def repaint(self, palette: Palette) -> None:
        """Take another theme."""
        self._palette = palette
        if self.is_mounted:
            shown = self.query_one("#choices", Lines)
            shown.repaint(palette, UNICODE)

    def compose(self) -> ComposeResult:
        """Build field and list."""
        with Vertical() as box:
            box.border_title = self._title
            box.border_subtitle = "enter goes   esc closes"
            yield OrderedField(
                placeholder="a few letters of a screen, chain, order, action …",
                keys={"enter": self._take},
            )
            yield Lines(self._palette, id="choices")

    def on_mount(self) -> None:
        """Show everything at first."""
        self.set_focus(self.query_one(OrderedField))
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Narrow."""
        event.stop()
        letters = event.value.strip().casefold()
        scored = [
            (points, index, choice)
            for index, choice in enumerate(self._choices)
            if (points := score(letters, choice.name)) is not None
        ]
        self._found = [choice for _, _, choice in sorted(scored, key=lambda entry: entry[:2])]
        if letters or len(self._found) != len(self._choices):
            self._at = 0
        self._draw()
        self._preview()

    def _preview(self) -> None:
        preview = self._found[self._at].preview if self._found else None
        if preview is not None:
            preview()

    def _take(self) -> None:
        """Take the selected one."""
        self.query_one(OrderedField).is_done = True
        self.dismiss(self._found[self._at] if self._found else None)

    def action_step(self, steps: int) -> None:
        """Select another one."""
        if self._found:
            self._at = (self._at + steps) % len(self._found)
            self._draw()
            self._preview()

    def action_leave(self) -> None:
        """Close without doing anything."""
        self.dismiss(None)

    def _draw(self) -> None:
        first = max(0, min(self._at - SHOWN // 2, len(self._found) - SHOWN))
        lines: list[Line] = []
        for index in range(first, min(first + SHOWN, len(self._found))):
            choice = self._found[index]
            chosen = index == self._at
            role = "cursor" if chosen else ""
            sign = ">" if chosen else " "
            lines.append(
                line(
                    Span(f"{sign} {fit(choice.name, _NAME)}", role), Span(f" {choice.note}", "dim")
                )
            )
        self.query_one("#choices", Lines).show(lines or [line(Span("  nothing fits", "dim"))])
