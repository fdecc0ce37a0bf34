"""The form that starts an order: id, time, nodes, parameters; Enter starts, Escape leaves."""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label

from tui.views.starting import StartPlan
from tui.views.text import Line, Span, clean, line
from tui.widgets.field import OrderedField
from tui.widgets.lines import Lines
from tui.widgets.palette import Palette


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What stands in the form."""

    order_id: str = ""
    at: str = "now"
    state: str = ""
    end_state: str = ""
    priority: str = ""
    suspended: bool = False
    params: Mapping[str, str] = field(default_factory=dict)


class StartForm(ModalScreen[Entered | None], inherit_bindings=False):
    """Asks for what a new order gets."""

    DEFAULT_CSS = """
    StartForm { align: center middle; background: $background 30%; }
    StartForm > Vertical { width: 72; max-width: 98%; height: auto; max-height: 95%;
        border: round $primary; background: $surface; padding: 0 1; }
    StartForm VerticalScroll { height: auto; max-height: 14; background: $surface; }
    StartForm Horizontal { height: 1; }
    StartForm Label { width: 22; height: 1; color: $foreground; }
    StartForm Input { width: 1fr; height: 1; border: none; padding: 0; background: $panel; }
    StartForm Input:focus { border: none; background: $background; text-style: underline;
        background-tint: transparent; }
    StartForm Lines { background: $surface; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False, priority=True),
        # With priority: what is typed next must not reach the field that is being left.
        Binding("tab,down", "app.focus_next", show=False, priority=True),
        Binding("shift+tab,up", "app.focus_previous", show=False, priority=True),
        Binding("ctrl+t", "try_it", show=False, priority=True),
        Binding("ctrl+y", "copy", show=False, priority=True),
        Binding("ctrl+c", "app.quit", show=False, priority=True),
    ]

    def __init__(
        self,
        palette: Palette,
        *,
        title: str,
        plan: StartPlan,
        state: str,
        check: Callable[[Entered], str | None],
        forecast: Callable[[Entered], str],
        copy: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._palette = palette
        self._title = title
        self._plan = plan
        self._state = state
        self._check = check
        self._forecast = forecast
        self._copy = copy
        self._added = 0
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Build the fields."""
        nodes = SuggestFromList([*self._plan.nodes, *self._plan.ends], case_sensitive=False)
        with Vertical() as box:
            box.border_title = self._title
            yield self._row("Order id", "id", "", "(generated)")
            yield self._row("Start at", "at", "", "now   or 14:30, now+60, 2026-01-31 14:30")
            yield self._row("From node", "state", self._state, "(the first)", nodes)
            yield self._row("Until node", "end_state", "", "(the end)", nodes)
            yield self._row("Priority", "priority", "", "0")
            yield self._row("Suspended", "suspended", "", "no   or yes")
            with VerticalScroll(can_focus=False):
                for index, parameter in enumerate(self._plan.parameters):
                    name = f"  {clean(parameter.name)}"
                    yield self._row(name, f"param-{index}", parameter.value, parameter.origin)
                yield self._row("+ parameter", "add-0", "", "name=value")
            yield Lines(self._palette, id="form-notes")

    def _row(
        self,
        label: str,
        name: str,
        value: str,
        placeholder: str,
        suggester: SuggestFromList | None = None,
    ) -> Horizontal:
        entry = OrderedField(
            value,
            keys={"enter": self.action_start},
            placeholder=placeholder,
            id=name,
            suggester=suggester,
        )
        return Horizontal(Label(label, markup=False), entry)

    def on_mount(self) -> None:
        """Begin with the first parameter, or with the id."""
        first = "#param-0" if self._plan.parameters else "#id"
        self.query_one(first, Input).focus()
        self._draw()

    # --- what stands there -------------------------------------------------------------------

    def entered(self) -> Entered:
        """Return what stands in the form."""

        def value(name: str) -> str:
            return self.query_one(f"#{name}", Input).value.strip()

        params = {
            parameter.name: self.query_one(f"#param-{index}", Input).value
            for index, parameter in enumerate(self._plan.parameters)
        }
        # The line that was added last may not be there yet.
        for added in self.query(OrderedField):
            if not (added.id or "").startswith("add-"):
                continue
            name, sign, text = added.value.strip().partition("=")
            if sign and name.strip():
                params[name.strip()] = text
        return Entered(
            order_id=value("id"),
            at=value("at") or "now",
            state=value("state"),
            end_state=value("end_state"),
            priority=value("priority"),
            suspended=value("suspended").casefold() in {"yes", "y", "true", "1"},
            params=params,
        )

    def as_command(self) -> str:
        """Return the command line that does the same."""
        entered = self.entered()
        words = ["start", self._plan.path]
        words += [f"{name}={value}" for name, value in entered.params.items()]
        for name, value in (
            ("id", entered.order_id),
            ("at", entered.at if entered.at != "now" else ""),
            ("from", entered.state),
            ("until", entered.end_state),
            ("priority", entered.priority),
            ("suspended", "yes" if entered.suspended else ""),
        ):
            if value:
                words += [f"--{name}={value}"]
        return shlex.join(words)

    # --- keys --------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer another line once the last one is used."""
        event.stop()
        if event.input.id == f"add-{self._added}" and "=" in event.value:
            self._added += 1
            row = self._row("+ parameter", f"add-{self._added}", "", "name=value")
            self.query_one(VerticalScroll).mount(row)
        self._problem = ""
        self._draw()

    def action_start(self) -> None:
        """Start when nothing is wrong."""
        entered = self.entered()
        problem = self._check(entered)
        if problem is not None:
            self._problem = problem
            self._draw()
            return
        for field_ in self.query(OrderedField):
            field_.is_done = True
        self.dismiss(entered)

    def action_try_it(self) -> None:
        """Say what would happen, without starting."""
        self._problem = self._check(self.entered()) or ""
        self._draw()

    def action_copy(self) -> None:
        """Copy the same as a command."""
        self._copy(f":{self.as_command()}")

    def action_leave(self) -> None:
        """Leave without starting."""
        self.dismiss(None)

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        notes: list[Line] = [()]
        if self._problem:
            notes.append(line(Span(f" {self._problem}", "fail")))
        else:
            notes.append(line(Span(f" {self._forecast(self.entered())}", "dim")))
        notes.append(
            line(
                Span(" <enter>", "key"),
                "start ",
                Span("<esc>", "key"),
                "cancel ",
                Span("<tab>", "key"),
                "next ",
                Span("<ctrl-t>", "key"),
                "try ",
                Span("<ctrl-y>", "key"),
                "copy as command",
            )
        )
        shown = self.query_one("#form-notes", Lines)
        shown.styles.height = len(notes)
        shown.show(notes)
