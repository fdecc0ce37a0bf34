"""One order: everything known about it, with the keys that change it."""

from collections.abc import Iterable
from functools import partial

from textual.widget import Widget

from engine.kernel.ids import OrderKey
from tui.client import EngineAway, NotAdmitted
from tui.commands import Place
from tui.mirror import Changes, LinkStatus
from tui.recalling import Work
from tui.screens.acting import Acting
from tui.screens.lists import node_of, show_graph_of, show_log_of
from tui.screens.order_keys import OrderKeys
from tui.screens.shell import Look, Shell
from tui.screens.starting import edit_order, start_at_once, start_with_form
from tui.screens.table_screen import show_definition
from tui.views.frame import rule_line
from tui.views.order import find_order, key_of_argument, no_order_lines, order_lines
from tui.views.orders import order_detail
from tui.views.scene import Scene
from tui.views.text import Line, clean, plain
from tui.widgets.lines import ScrolledLines

LOG_EVERY_S = 2.0
"""How soon what happened to the order is asked for again after something did."""
LOG_LINES_MAX = 500


class OrderScreen(OrderKeys):
    """The page of one order."""

    noun = "order"
    strip_lines = 1

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.acting = Acting(shell)
        self._log: tuple[str, ...] = ()
        """What happened to it, as the engine tells."""
        self._log_is_old = True

    def on_mount(self) -> None:
        """Keep what happened up to date."""
        super().on_mount()
        self.set_interval(LOG_EVERY_S, self._refresh_log)

    def on_screen_resume(self) -> None:
        """Ask at once what happened."""
        super().on_screen_resume()
        self._refresh_log()

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show another order."""
        if place.argument != self.place.argument:
            self._log = ()
        self._log_is_old = True
        super().open_place(place, look)
        if self.is_ready:
            self._refresh_log()

    def _refresh_log(self) -> None:
        key = self.key
        is_present = self.shell.scene().mirror.link.status is LinkStatus.LIVE
        if self._log_is_old and is_present and key is not None and self.is_current:
            self._log_is_old = False
            work: Work = partial(self._read_log, key)
            self.run_worker(work, exclusive=True, group="order log", exit_on_error=False)

    async def _read_log(self, key: OrderKey) -> None:
        try:
            text = await self.shell.client.order_log(key)
        except (EngineAway, NotAdmitted):
            self._log_is_old = True
            return
        if key == self.key:
            self._log = tuple(text.splitlines()[-LOG_LINES_MAX:])
            self.draw(Changes(others=True))

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
        key = self.key
        self._log_is_old |= changes.everything or key in changes.orders
        if key is None:
            self.page.show(no_order_lines(scene, self.place.argument))
        else:
            told = self._log if scene.mirror.link.status is not LinkStatus.PAST else ()
            self.page.show(order_lines(scene, key, told))

    def rule(self, scene: Scene, width: int) -> Line:
        """Return the line below the page, with how much of it is out of sight."""
        return rule_line(scene, width, below=self.page.below)

    def strip(self, scene: Scene) -> list[Line]:
        """Return the order in one line."""
        key = self.key
        return [] if key is None else order_detail(scene, key)[:1]

    def subjects(self) -> list[OrderKey]:
        """Return the order that is shown."""
        key = self.key
        return [] if key is None else [key]

    def do_definition(self) -> None:
        """Show the definition of the order."""
        for key in self.subjects():
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
        for key in self.subjects():
            edit_order(self.shell, self.acting, key)

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
        for key in self.subjects():
            show_log_of(self.shell, key)

    def do_start(self) -> None:
        """Start an order in its chain."""
        for key in self.subjects():
            start_at_once(self.shell, key.chain)

    def do_start_form(self) -> None:
        """Start another one like it."""
        for key in self.subjects():
            start_with_form(self.shell, key.chain, like=key)
