"""Questions before anything that cannot be taken back. The safe answer is the default."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from tui.views.text import Line, Span, line, width_of
from tui.widgets.field import OrderedField
from tui.widgets.lines import Lines
from tui.widgets.palette import Palette

PATIENCE_S = 10.0
QUIET_S = 0.15
"""A question does not open under typing fingers: it hears nothing until they have been still."""
CHECK_S = 0.25
"""How often a question looks whether what it is about has changed."""
_ROOM = 62
_NAMES_SHOWN = 6
_LINES_MAX = 12
"""So many lines of names or of a try are shown at most; a small terminal has no more room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is asked before something is done."""

    title: str
    """`Remove 12 marked orders?`"""
    consequences: Sequence[Line]
    """What would happen, a line for each group."""
    yes: str
    """What `y` does: `remove 12 orders`."""
    no: str = "no, leave everything as it is"
    engine: str = ""
    """The engine that would be changed."""
    names: Sequence[str] = ()
    """What it is about, by name."""
    counted: int = 0
    """A number that must be typed in place of `y`; 0: none."""
    wants_reason: bool = False
    """Whether there is a field for the reason, which goes into the journal."""
    moot: Callable[[], str] = str
    """Returns why the question has become moot; nothing while it has not."""
    try_it: Callable[[], Awaitable[Sequence[Line]]] | None = None
    """Returns what would happen, asked of the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a question ended."""

    yes: bool = False
    reason: str = ""
    moot: str = ""
    """Why the question went away by itself."""


class Question(ModalScreen[Verdict]):
    """Asks yes or no; Enter, Escape and silence are No.

    The answer arrives through the callback of `push_screen`.
    """

    DEFAULT_CSS = """
    Question { align: center middle; background: $background 30%; }
    Question > Vertical { width: 68; max-width: 96%; height: auto; border: round $error;
        background: $surface; padding: 0 1; }
    Question Lines { background: $surface; }
    Question Horizontal { height: 1; display: none; }
    Question Horizontal.-on { display: block; layout: horizontal; }
    Question Label { width: 9; height: 1; color: $foreground; }
    Question Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    Question Input:focus { border: none; background: $background; text-style: underline;
        background-tint: transparent; }
    """
    AUTO_FOCUS = ""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", show=False),
        Binding("n,enter,escape,q", "answer(False)", show=False),
        Binding("v", "names", show=False),
        Binding("ctrl+t", "try_it", show=False),
        Binding("tab", "reason", show=False),
        Binding("ctrl+c", "answer(False)", show=False),
    ]

    def __init__(self, palette: Palette, query: Query) -> None:
        super().__init__()
        self._palette = palette
        self._query = query
        self._left = PATIENCE_S
        self._typed = ""
        self._counted = str(query.counted) if query.counted else ""
        self._hears = False
        self._shows_names = False
        self._tried: Sequence[Line] | None = None

    @property
    def hears(self) -> bool:
        """Whether keys count: the fingers have been still since it opened."""
        return self._hears

    def compose(self) -> ComposeResult:
        """Build the box."""
        with Vertical() as box:
            box.border_title = self._query.title
            yield Lines(self._palette, id="question")
            with Horizontal(classes="-on" if self._query.wants_reason else ""):
                yield Label(" Reason", markup=False)
                yield OrderedField(
                    placeholder="<tab> to type one; it goes into the journal",
                    keys={"enter": self._leave_field, "escape": self._leave_field},
                    id="reason",
                )
            yield Lines(self._palette, id="choices")

    def on_mount(self) -> None:
        """Begin to wait."""
        self._quiet = self.set_timer(QUIET_S, self._open)
        self.set_interval(CHECK_S, self._tick)
        # The field is reached with a key of its own: what is typed first belongs to the question.
        self.query_one("#reason").can_focus = False
        self._draw()

    def _open(self) -> None:
        self._hears = True

    def _tick(self) -> None:
        moot = self._query.moot()
        if moot:
            self._end(Verdict(moot=moot))
            return
        self._left -= CHECK_S
        if self._left <= 0:
            self._end(Verdict(moot="no answer for 10 s"))
            return
        self._draw()

    def _end(self, verdict: Verdict) -> None:
        if self.is_current:
            self.dismiss(verdict)

    # --- drawing -----------------------------------------------------------------------------

    def _draw(self) -> None:
        query = self._query
        lines: list[Line] = [(), *query.consequences]
        if query.names:
            lines += [(), *self._names()]
        if self._tried is not None:
            lines += [(), *self._tried[:_LINES_MAX]]
        lines.append(())
        self._show("#question", lines)
        self._show("#choices", self._choices())
        left = f"default is no, in {max(self._left, 0):.0f} s"
        box = self.query_one(Vertical)
        box.border_subtitle = f"{query.engine}: {left}" if query.engine else left

    def _show(self, name: str, lines: Sequence[Line]) -> None:
        shown = self.query_one(name, Lines)
        if shown.styles.height is None or shown.styles.height.value != len(lines):
            shown.styles.height = len(lines)
        shown.show(lines)

    def _names(self) -> list[Line]:
        names = list(self._query.names)
        if not self._shows_names and len(names) > _NAMES_SHOWN:
            shown = " ".join(names[:_NAMES_SHOWN])
            return [line(f" {shown} … {len(names) - _NAMES_SHOWN} more")]
        rows: list[str] = [""]
        for name in names:
            if width_of(rows[-1]) + width_of(name) + 1 > _ROOM and rows[-1]:
                rows.append("")
            rows[-1] += f" {name}"
        if len(rows) > _LINES_MAX:
            hidden = sum(len(row.split()) for row in rows[_LINES_MAX - 1 :])
            rows = [*rows[: _LINES_MAX - 1], f" and {hidden} more"]
        return [line(row) for row in rows]

    def _choices(self) -> list[Line]:
        query = self._query
        if self._counted:
            first = line(f" type {self._counted} to {query.yes}: ", Span(f"{self._typed}_", "bold"))
        else:
            first = line(Span(" <y>", "key"), query.yes)
        second: list[str | Span] = [Span(" <enter>", "key"), query.no]
        third: list[str | Span] = [" "]
        if query.wants_reason:
            third += [Span("<tab>", "key"), "reason "]
        if len(query.names) > _NAMES_SHOWN:
            third += [Span("<v>", "key"), "fewer " if self._shows_names else "show all "]
        if query.try_it is not None:
            third += [Span("<ctrl+t>", "key"), "try, no change"]
        return [first, line(*second), *([line(*third)] if len(third) > 1 else [])]

    # --- keys --------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Gather the digits where the count must be typed; swallow hasty keys."""
        if not self._hears:
            event.stop()
            event.prevent_default()
            self._quiet.stop()
            self._quiet = self.set_timer(QUIET_S, self._open)
            return
        self._left = PATIENCE_S
        if self._counted and self.focused is None and event.character is not None:
            self._count(event)

    def _count(self, event: events.Key) -> None:
        if event.character is None or not event.character.isdigit():
            return
        event.stop()
        self._typed += event.character
        if self._typed == self._counted:
            self._yes()
        elif not self._counted.startswith(self._typed):
            self._typed = ""
        self._draw()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Wait for whoever is typing."""
        event.stop()
        self._left = PATIENCE_S

    def _leave_field(self) -> None:
        self.set_focus(None)
        self._field.can_focus = False
        self._draw()

    @property
    def _field(self) -> OrderedField:
        return self.query_one("#reason", OrderedField)

    def action_reason(self) -> None:
        """Type a reason; Enter comes back."""
        if self._hears and self._query.wants_reason:
            self._field.can_focus = True
            self.set_focus(self._field)

    def action_names(self) -> None:
        """Show all names, or a few."""
        if self._hears:
            self._shows_names = not self._shows_names
            self._draw()

    def action_try_it(self) -> None:
        """Ask the engine what would happen."""
        if self._hears and self._query.try_it is not None:
            self._tried = [line(Span(" asking the engine …", "dim"))]
            self._draw()
            self.run_worker(self._try(), exclusive=True, group="try", exit_on_error=False)

    async def _try(self) -> None:
        if self._query.try_it is not None:
            self._tried = await self._query.try_it()
            self._left = PATIENCE_S
            self._draw()

    def action_answer(self, yes: bool) -> None:
        """Take the answer."""
        if not self._hears or (yes and self._counted):
            return
        if yes:
            self._yes()
        else:
            self._end(Verdict())

    def _yes(self) -> None:
        moot = self._query.moot()
        if moot:
            self._end(Verdict(moot=moot))
        else:
            self._end(Verdict(yes=True, reason=self._field.value.strip()))
