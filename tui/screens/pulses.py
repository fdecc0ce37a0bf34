"""The start screen: four counters, what needs a person, what runs, agents, next starts."""

from collections.abc import Iterable
from dataclasses import replace

from textual.containers import Container
from textual.widget import Widget

from tui.commands import Place
from tui.mirror import Changes
from tui.screens.base import CockpitScreen
from tui.screens.more_lists import enter_need
from tui.screens.panel import Panel
from tui.screens.shell import Shell
from tui.screens.starting import start_again
from tui.views import agents, needs, plan, tasks
from tui.views.frame import rule_line
from tui.views.lineup import Query
from tui.views.pulses import counter_lines, living_tasks
from tui.views.scene import Scene
from tui.views.text import Line
from tui.widgets.lines import Lines
from tui.widgets.table import Table

WIDE = 120

_RUNNING = replace(tasks.VIEW, keys=living_tasks, empty_text="no task runs")


class PulsesScreen(CockpitScreen):
    """Everything at a glance."""

    noun = "pulses"
    strip_lines = 2

    DEFAULT_CSS = """
    PulsesScreen #counters { height: 3; }
    PulsesScreen .panels { height: 1fr; layout: vertical; }
    PulsesScreen .panels.-wide { layout: horizontal; }
    PulsesScreen .column { height: 1fr; width: 1fr; layout: vertical; }
    PulsesScreen .-wide .column.-left { width: 3fr; }
    PulsesScreen .-wide .column.-right { width: 2fr; }
    PulsesScreen .title { height: 1; }
    PulsesScreen .-wide .column.-right { padding-left: 1; }
    """

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.zoomed: Table | None = None
        """The panel that has all the room."""
        self._panels = {
            "needs": ("needs a person", Panel(needs.VIEW)),
            "running": ("running", Panel(_RUNNING)),
            "agents": ("agents", Panel(agents.SMALL)),
            "plan": ("next starts", Panel(plan.VIEW)),
        }

    def body(self) -> Iterable[Widget]:
        """Build counters and panels."""
        palette = self.shell.palette
        yield Lines(palette, id="counters")
        with Container(classes="panels"):
            with Container(classes="column -left"):
                yield from self._panel("needs")
                yield from self._panel("running")
            with Container(classes="column -right"):
                yield from self._panel("agents")
                yield from self._panel("plan")

    def _panel(self, name: str) -> Iterable[Widget]:
        yield Lines(self.shell.palette, id=f"{name}-title", classes="title")
        table = Table(self.shell.palette, self.shell.scene().glyphs, id=name)
        # What needs a person is sorted by how bad it is: whoever looks at the worst goes on so.
        table.stays_at_top = name == "needs"
        yield table

    @property
    def main(self) -> Widget | None:
        """What needs a person takes the keys first."""
        return self.query_one("#needs", Table) if self.is_ready else None

    @property
    def active(self) -> Table | None:
        """The table that has the keys."""
        focused = self.focused
        return focused if isinstance(focused, Table) else None

    def on_resize(self) -> None:
        """Put the panels beside one another where there is room."""
        self._lay_out()

    def _lay_out(self) -> None:
        wide = self.size.width >= WIDE
        self.query_one(".panels").set_class(wide, "-wide")
        self.query_one(".column.-left").display = True
        # Narrow: the agents and next starts have screens of their own.
        self.query_one(".column.-right").display = wide or self.size.height >= 34
        for name in self._panels:
            table = self.query_one(f"#{name}", Table)
            shown = self.zoomed in {None, table}
            table.display = shown
            self.query_one(f"#{name}-title").display = shown
        if self.zoomed is not None:
            for column in self.query(".column"):
                column.display = self.zoomed in column.query(Table)

    def draw_body(self, scene: Scene, changes: Changes) -> None:
        """Bring counters and panels up to date."""
        width = self.size.width
        self.query_one("#counters", Lines).show(counter_lines(scene, width))
        is_complete = True
        for name, (title, panel) in self._panels.items():
            table = self.query_one(f"#{name}", Table)
            if not table.is_on_screen and name in {"agents", "plan"} and not self._shows_right():
                panel.pass_over()
                continue
            panel.draw(table, scene, Query(), changes)
            is_complete &= panel.lineup.is_complete
            self._draw_title(scene, name, title)
        if not is_complete:
            self.call_later(self._go_on)

    def _go_on(self) -> None:
        """Look at the rows that one drawing left for the next."""
        if self.is_current:
            self.draw(Changes())

    def _draw_title(self, scene: Scene, name: str, title: str) -> None:
        """Draw the line above a panel: its name, how many rows, how many of them are not seen."""
        table = self.query_one(f"#{name}", Table)
        shown = self.query_one(f"#{name}-title", Lines)
        width = shown.size.width or self.size.width
        text = f"{title}: {len(table.rows)}"
        shown.show([rule_line(scene, width, text, below=table.below)])

    def _shows_right(self) -> bool:
        return bool(self.query_one(".column.-right").display)

    def strip(self, scene: Scene) -> list[Line]:
        """Return the detail of the row under the cursor."""
        table = self.active
        key = table.cursor_key if table is not None else None
        if table is None or key is None or table.id not in self._panels:
            return []
        _, panel = self._panels[table.id]
        return panel.view.detail(scene, key)

    def on_table_moved(self, event: Table.Moved) -> None:
        """Show the detail of the row under the cursor."""
        event.stop()
        scene = self.shell.scene()
        if event.table.id in self._panels:
            title, _ = self._panels[event.table.id]
            self._draw_title(scene, event.table.id, title)
        self.draw_frame(scene)

    def on_descendant_focus(self) -> None:
        """Show the detail of the panel that has the keys."""
        if self.is_ready and self.size.width:
            self.draw_frame(self.shell.scene())

    def on_table_entered(self, event: Table.Entered) -> None:
        """Go in."""
        event.stop()
        self.do_enter()

    def do_enter(self) -> None:
        """Go to what the row is about."""
        table = self.active
        key = table.cursor_key if table is not None else None
        if table is None or key is None:
            self.shell.go(Place(noun="chains"))
            return
        match table.id:
            case "needs":
                enter_need(self.shell, key)
            case "running":
                self.shell.go(Place(noun="log", argument=str(key)))
            case "agents":
                self.shell.go(Place(noun="agents"), key=key)
            case _:
                self.shell.go(Place(noun="plan"), key=key)

    def do_again(self) -> None:
        """Repeat the last start."""
        start_again(self.shell)

    def do_zoom(self) -> None:
        """Give the panel with the keys all the room, or share it again."""
        self.zoomed = None if self.zoomed is not None else self.active
        self._lay_out()
        self.draw(Changes(everything=True))

    def do_chains(self) -> None:
        """Show the chains."""
        self.shell.go(Place(noun="chains"))

    def do_orders(self) -> None:
        """Show the orders."""
        self.shell.go(Place(noun="orders"))

    def do_agents(self) -> None:
        """Show the agents."""
        self.shell.go(Place(noun="agents"))
