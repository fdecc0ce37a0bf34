"""The live graph of one chain, with the chain's orders below it."""

from collections.abc import Iterable, Sequence
from typing import cast

from textual.containers import Container
from textual.widget import Widget

from engine.kernel.ids import ChainKey, NodeState, OrderKey, chain_key
from tui.commands import Place
from tui.mirror import Changes
from tui.screens.acting import Acting
from tui.screens.base import CockpitScreen, Look, Shell
from tui.screens.lists import show_log_of, tasks_of
from tui.screens.starting import start_at_once, start_with_form
from tui.views import orders
from tui.views.frame import rule_line
from tui.views.graph import GraphRows, orders_at
from tui.views.rows import Listing, Row, RowKey, Sorting
from tui.views.scene import Scene
from tui.views.text import Line, Span, line
from tui.widgets.lines import Lines
from tui.widgets.table import Table

_GRAPH_SHARE = 0.55
"""Part of the height that the graph may take before it scrolls."""


class GraphScreen(CockpitScreen):
    """Nodes as rows beside their rail; below, the orders as a tree."""

    noun = "graph"
    is_list = True

    DEFAULT_CSS = """
    GraphScreen #nodes { height: auto; }
    GraphScreen #orders-title { height: 1; }
    GraphScreen Container { height: 1fr; layout: vertical; }
    """

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.graph = GraphRows()
        self.acting = Acting(shell)
        self.order_listing = Listing(orders.CHAIN_VIEW.columns)

    def body(self) -> Iterable[Widget]:
        """Build graph and orders."""
        palette, glyphs = self.shell.palette, self.shell.scene().glyphs
        with Container():
            yield Table(palette, glyphs, id="nodes")
            yield Lines(palette, id="orders-title")
            lower = Table(palette, glyphs, id="orders")
            lower.empty_text = orders.CHAIN_VIEW.empty_text
            yield lower

    @property
    def nodes(self) -> Table:
        """The graph."""
        return self.query_one("#nodes", Table)

    @property
    def orders(self) -> Table:
        """The orders of the chain."""
        return self.query_one("#orders", Table)

    @property
    def main(self) -> Widget | None:
        """The graph takes the keys first."""
        return self.nodes if self.is_mounted else None

    @property
    def chain(self) -> ChainKey:
        """The chain that is shown."""
        return chain_key(self.place.argument)

    @property
    def active(self) -> Table:
        """The table that has the keys."""
        return self.orders if self.orders.has_focus else self.nodes

    # --- place -------------------------------------------------------------------------------

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show a chain."""
        if place.argument != self.place.argument:
            self.order_listing.forget()
            if self.is_mounted:
                self.orders.marks.clear()
                self.nodes.focus()
        super().open_place(place, look)
        if self.is_mounted:
            self.nodes.select(look.key if look is not None else None)
            self.orders.measure()

    def look(self) -> Look:
        """Return where the cursor stands."""
        return Look(place=self.place, key=self.nodes.cursor_key if self.is_mounted else None)

    def crumbs(self, scene: Scene) -> list[str]:
        """Return the chain."""
        return ["chains", scene.chain_name(self.chain), "graph"]

    def summary(self) -> str:
        """Return how many orders there are, and what is hidden."""
        count = len(self.orders.rows)
        hidden = "shown" if self.graph.with_errors else "hidden"
        return f"{count} orders  error edges {hidden} <e>"

    # --- draw --------------------------------------------------------------------------------

    def draw_body(self, scene: Scene, changes: Changes) -> None:
        """Bring graph and orders up to date."""
        self._draw_nodes(scene)
        view = orders.CHAIN_VIEW
        if changes:
            self.order_listing.forget(view.touched(changes))

        def make(key: RowKey) -> Row | None:
            return view.row(scene, key)

        rows = self.order_listing.rows(
            view.keys(scene, self.place.argument), make, sorting=Sorting()
        )
        lower = self.orders
        count = len(rows)
        title = f"{count} order{'s' if count != 1 else ''}, children under their parents"
        self.query_one("#orders-title", Lines).show([rule_line(scene, self.size.width, title)])
        lower.fresh = lambda row: self.order_listing.fresh(row, make)
        lower.show(view.columns, rows)

    def _draw_nodes(self, scene: Scene) -> None:
        view = self.graph.view(scene, self.chain)
        table = self.nodes
        if view is None:
            table.empty_text = "there is no such chain"
            table.show((), [])
            table.styles.height = 3
            return
        rows = [row for key in view.keys(scene, "") if (row := view.row(scene, key)) is not None]
        room = max(4, int(self.size.height * _GRAPH_SHARE))
        table.styles.height = min(len(rows) + 1, room)
        table.show(view.columns, rows)

    def strip(self, scene: Scene) -> list[Line]:
        """Return the detail of the node or order under the cursor."""
        key = self.active.cursor_key
        if isinstance(key, OrderKey):
            return orders.order_detail(scene, key)
        view = self.graph.view(scene, self.chain)
        if view is None or key is None:
            return [line(Span(" the chain is not there (any more)", "late"))]
        return view.detail(scene, key)

    def on_table_moved(self, event: Table.Moved) -> None:
        """Show the detail of what is under the cursor."""
        event.stop()
        self.draw_frame(self.shell.scene())

    def on_descendant_focus(self) -> None:
        """Show the detail of the panel that has the keys."""
        if self.is_mounted and self.size.width:
            self.draw_frame(self.shell.scene())

    # --- going about -------------------------------------------------------------------------

    def on_table_entered(self, event: Table.Entered) -> None:
        """Go in."""
        event.stop()
        self.do_enter()

    def do_enter(self) -> None:
        """Show the node's orders, or the order."""
        key = self.active.cursor_key
        if isinstance(key, OrderKey):
            self.shell.go(Place(noun="order", argument=str(key)))
        elif key is not None:
            self.shell.go(Place(noun="orders", argument=f"{self.chain} {key}"))

    def do_describe(self) -> None:
        """Show everything about what is under the cursor."""
        self.do_enter()

    def do_log(self) -> None:
        """Show the log of the order, or of the first order at the node."""
        subjects = self.subjects()
        if subjects:
            show_log_of(self.shell, subjects[0])
            return
        key = self.nodes.cursor_key
        ended = reversed(self.shell.scene().mirror.ended_tasks)
        chain, node = self.chain, str(key)
        last = next(
            (
                t
                for t in ended
                if t.order is not None and t.order.chain == chain and t.state == node
            ),
            None,
        )
        if last is None:
            self.shell.say("nothing has run at this node since the cockpit opened")
        else:
            self.shell.go(Place(noun="log", argument=str(last.task)))

    def do_errors(self) -> None:
        """Show or hide the error edges."""
        self.graph.with_errors = not self.graph.with_errors
        self.draw(Changes(everything=True))
        self.nodes.measure()
        self.nodes.refresh()

    def do_next_trouble(self) -> None:
        """Go to the next row with trouble."""
        if not self.active.find(lambda row: row.trouble, 1):
            self.shell.say("no trouble here")

    def do_last_trouble(self) -> None:
        """Go to the previous row with trouble."""
        if not self.active.find(lambda row: row.trouble, -1):
            self.shell.say("no trouble here")

    def do_wide(self) -> None:
        """Show all columns, or as many as fit."""
        self.active.toggle_wide()

    def do_mark(self) -> None:
        """Mark the order."""
        self.orders.action_mark()

    def do_mark_to(self) -> None:
        """Mark from the last mark to here."""
        self.orders.action_mark_to()

    def do_clear_marks(self) -> None:
        """Clear all marks."""
        self.orders.action_clear_marks()

    def do_escape(self) -> None:
        """Clear marks, else go back."""
        if self.orders.marks:
            self.orders.action_clear_marks()
        else:
            self.shell.go_back()

    # --- acting ------------------------------------------------------------------------------

    def subjects(self) -> Sequence[OrderKey]:
        """Return the orders an action is about: marked, under the cursor, or at the node."""
        if self.active is self.orders or self.orders.marks:
            return cast("Sequence[OrderKey]", self.orders.subjects())
        key = self.nodes.cursor_key
        if key is None:
            return []
        found = orders_at(self.shell.scene(), self.chain, NodeState(str(key)))
        return [order.key for order in found]

    def do_start(self) -> None:
        """Start an order at once."""
        start_at_once(self.shell, self.chain)

    def do_start_form(self) -> None:
        """Start an order with parameters, from the node under the cursor."""
        start_with_form(self.shell, self.chain)

    def do_suspend(self) -> None:
        """Suspend or resume."""
        self.acting.suspend(self.subjects())

    def do_run_now(self) -> None:
        """Run now."""
        self.acting.run_now(self.subjects())

    def do_reset(self) -> None:
        """Reset."""
        self.acting.reset(self.subjects())

    def do_remove(self) -> None:
        """Remove."""
        self.acting.remove(self.subjects())

    def do_kill(self) -> None:
        """Kill the tasks of the orders."""
        self.acting.kill(tasks_of(self.shell.scene(), self.subjects()))

    def _node(self) -> NodeState | None:
        key = self.nodes.cursor_key
        return None if key is None else NodeState(str(key))

    def do_stop(self) -> None:
        """Stop or unstop the node."""
        node = self._node()
        if node is not None:
            self.acting.stop_node(self.chain, node)

    def do_skip(self) -> None:
        """Skip the node, or not."""
        node = self._node()
        if node is not None:
            self.acting.skip_node(self.chain, node)
