"""The form of an order, to start or to change one: Enter does it, Escape leaves everything."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
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

_YES = frozenset({"yes", "y", "true", "1"})
_TRIED_SHOWN = 6
"""Lines of a try; the form must fit a small terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entered:
    """What stands in the form."""

    order_id: str = ""
    at: str = ""
    """As typed; nothing: now for a start, as it is for a change."""
    state: str = ""
    end_state: str = ""
    priority: str = ""
    suspended: bool = False
    title: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRow:
    """One field above the parameters."""

    label: str
    name: str
    """The field of `Entered`."""
    value: str = ""
    placeholder: str = ""
    is_node: bool = False
    """Nodes of the chain are offered while typing."""


def start_rows(state: str, zone: str) -> tuple[FormRow, ...]:
    """Return what a new order can be given.

    `state` is the node where it begins, `zone` that in which times are read.
    """
    return (
        FormRow(label="Order id", name="order_id", placeholder="(generated)"),
        FormRow(
            label="Start at",
            name="at",
            placeholder=f"now   or now+60, 14:30, 2026-01-31 14:30 ({zone})",
        ),
        FormRow(
            label="From node", name="state", value=state, placeholder="(the first)", is_node=True
        ),
        FormRow(label="Until node", name="end_state", placeholder="(the end)", is_node=True),
        FormRow(label="Priority", name="priority", placeholder="0"),
        FormRow(label="Suspended", name="suspended", placeholder="no   or yes"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FormWork:
    """What a form does with what was entered."""

    check: Callable[[Entered], str | None]
    """Returns what is wrong, None when nothing is."""
    forecast: Callable[[Entered], str]
    """Returns what it would meet, as far as this cockpit knows."""
    try_it: Callable[[Entered], Awaitable[Sequence[Line]]]
    """Returns what the engine says would happen; nothing is changed."""
    as_command: Callable[[Entered], str]
    """Returns the command line that does the same."""
    copy: Callable[[str], None]


class StartForm(ModalScreen[Entered | None], inherit_bindings=False):
    """Asks for what an order gets."""

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
        rows: Sequence[FormRow],
        work: FormWork,
        verb: str = "start",
    ) -> None:
        super().__init__()
        self._palette = palette
        self._title = title
        self._plan = plan
        self._rows = tuple(rows)
        self._work = work
        self._verb = verb
        self._added = 0
        self._problem = ""
        self._tried: Sequence[Line] = ()

    def compose(self) -> ComposeResult:
        """Build the fields."""
        nodes = SuggestFromList([*self._plan.nodes, *self._plan.ends], case_sensitive=False)
        with Vertical() as box:
            box.border_title = self._title
            for row in self._rows:
                suggester = nodes if row.is_node else None
                yield self._row(row.label, row.name, row.value, row.placeholder, suggester)
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
        first = "#param-0" if self._plan.parameters else f"#{self._rows[0].name}"
        self.set_focus(self.query_one(first, Input))
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
        names = {row.name for row in self._rows}
        texts = {name: value(name) for name in names - {"suspended"}}
        suspended = "suspended" in names and value("suspended").casefold() in _YES
        return Entered(params=params, suspended=suspended, **texts)

    # --- keys --------------------------------------------------------------------------------

    def on_input_changed(self, event: Input.Changed) -> None:
        """Offer another line once the last one is used."""
        event.stop()
        if event.input.id == f"add-{self._added}" and "=" in event.value:
            self._added += 1
            row = self._row("+ parameter", f"add-{self._added}", "", "name=value")
            self.query_one(VerticalScroll).mount(row)
        self._problem, self._tried = "", ()
        self._draw()

    def action_start(self) -> None:
        """Start when nothing is wrong."""
        entered = self.entered()
        problem = self._work.check(entered)
        if problem is not None:
            self._problem = problem
            self._draw()
            return
        for field_ in self.query(OrderedField):
            field_.is_done = True
        self.dismiss(entered)

    def action_try_it(self) -> None:
        """Say what would happen, without starting."""
        entered = self.entered()
        self._problem = self._work.check(entered) or ""
        if not self._problem:
            self._tried = [line(Span(" asking the engine …", "dim"))]
            self.run_worker(self._try(entered), exclusive=True, group="try", exit_on_error=False)
        self._draw()

    async def _try(self, entered: Entered) -> None:
        self._tried = await self._work.try_it(entered)
        self._draw()

    def action_copy(self) -> None:
        """Copy the same as a command line."""
        self._work.copy(self._work.as_command(self.entered()))

    def action_leave(self) -> None:
        """Leave without starting."""
        self.dismiss(None)

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        notes: list[Line] = [()]
        if self._problem:
            notes.append(line(Span(f" {self._problem}", "fail")))
        elif self._tried:
            notes += self._tried[:_TRIED_SHOWN]
        else:
            notes.append(line(Span(f" {self._work.forecast(self.entered())}", "dim")))
        notes.append(
            line(
                Span(" <enter>", "key"),
                f"{self._verb} ",
                Span("<esc>", "key"),
                "leave ",
                Span("<tab>", "key"),
                "next ",
                Span("<ctrl-t>", "key"),
                "try ",
                Span("<ctrl-y>", "key"),
                "copy command",
            )
        )
        shown = self.query_one("#form-notes", Lines)
        shown.styles.height = len(notes)
        shown.show(notes)
