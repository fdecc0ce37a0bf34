"""One order: everything known about it, with the keys that change it."""

from collections.abc import Iterable

from textual.widget import Widget

from engine.kernel.ids import NodeState, OrderKey
from tui.mirror import Changes
from tui.screens.acting import Acting
from tui.screens.base import CockpitScreen
from tui.screens.lists import node_of, show_graph_of, show_log_of, tasks_of
from tui.screens.shell import Shell
from tui.screens.starting import edit_order, start_again, start_at_once, start_with_form
from tui.screens.table_screen import show_definition
from tui.views.order import find_order, key_of_argument, order_lines
from tui.views.orders import order_detail
from tui.views.scene import Scene
from tui.views.text import Line, Span, clean, line, plain
from tui.widgets.lines import ScrolledLines


class OrderScreen(CockpitScreen):
    """The page of one order."""

    noun = "order"
    strip_lines = 1

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.acting = Acting(shell)

    def body(self) -> Iterable[Widget]:
        """Build the page."""
        yield ScrolledLines(self.shell.palette, id="page")

    @property
    def page(self) -> ScrolledLines:
        """The page."""
        return self.query_one("#page", ScrolledLines)

    @property
    def main(self) -> Widget | None:
        """The page takes the keys."""
        return self.page if self.is_ready else None

    @property
    def key(self) -> OrderKey | None:
        """The order that is shown."""
        argument = self.place.argument
        return find_order(self.shell.scene(), argument) or key_of_argument(argument)

    def crumbs(self, scene: Scene) -> list[str]:
        """Return chain and order."""
        key = self.key
        if key is None:
            return ["order", self.place.argument]
        return ["orders", scene.chain_name(key.chain), clean(key.id)]

    def draw_body(self, scene: Scene, changes: Changes) -> None:
        """Bring the page up to date."""
        _ = changes
        key = self.key
        if key is None:
            said = f" no order, or more than one, is called {clean(self.place.argument)}"
            self.page.show([line(Span(said, "late"))])
        else:
            self.page.show(order_lines(scene, key))

    def strip(self, scene: Scene) -> list[Line]:
        """Return the order in one line."""
        key = self.key
        return [] if key is None else order_detail(scene, key)[:1]

    def _keys(self) -> list[OrderKey]:
        key = self.key
        return [] if key is None else [key]

    def do_definition(self) -> None:
        """Show the definition of the order."""
        for key in self._keys():
            show_definition(self.shell, "orders", key)

    def do_graph(self) -> None:
        """Show the graph of its chain."""
        show_graph_of(self.shell, self.key)

    def do_copy(self) -> None:
        """Copy the page as text."""
        self.shell.copy(self._text(), "the page")

    def save(self, name: str) -> None:
        """Save the page as text."""
        self.write_file(name, self._text(), "the page")

    def _text(self) -> str:
        return "\n".join(plain(spans).rstrip() for spans in self.page.lines) + "\n"

    def do_edit(self) -> None:
        """Change what the order was given."""
        for key in self._keys():
            edit_order(self.shell, self.acting, key)

    def do_again(self) -> None:
        """Repeat the last start."""
        start_again(self.shell)

    def do_stop(self) -> None:
        """Stop or unstop the node where the order stands."""
        node = node_of(self.shell.scene(), self.key)
        if node is not None:
            self.acting.stop_node(*node)

    def do_skip(self) -> None:
        """Let orders pass the node where the order stands, or not."""
        node = node_of(self.shell.scene(), self.key)
        if node is not None:
            self.acting.skip_node(*node)

    def do_log(self) -> None:
        """Show the log of its task."""
        for key in self._keys():
            show_log_of(self.shell, key)

    def do_start(self) -> None:
        """Start an order in its chain."""
        for key in self._keys():
            start_at_once(self.shell, key.chain)

    def do_start_form(self) -> None:
        """Start another one like it."""
        for key in self._keys():
            start_with_form(self.shell, key.chain, like=key)

    def do_suspend(self) -> None:
        """Suspend or resume."""
        self.acting.suspend(self._keys())

    def do_run_now(self) -> None:
        """Run now."""
        self.acting.run_now(self._keys())

    def do_move(self) -> None:
        """Ask for the node."""
        self.open_entry("move", "move to node: ")

    def entry_done(self, purpose: str, text: str) -> None:
        """Take the node."""
        if purpose == "move":
            self.acting.move(self._keys(), NodeState(text))
        else:
            super().entry_done(purpose, text)

    def do_reset(self) -> None:
        """Reset."""
        self.acting.reset(self._keys())

    def do_remove(self) -> None:
        """Remove."""
        self.acting.remove(self._keys())

    def do_kill(self) -> None:
        """Kill its task."""
        self.acting.kill(tasks_of(self.shell.scene(), self._keys()))
