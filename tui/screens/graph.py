"""The live graph of one chain, with the chain's orders below it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from textual.containers import Container
from textual.widget import Widget

from engine.kernel.definitions import JobNode, NestedNode
from engine.kernel.ids import ChainKey, NodeState, OrderKey, TaskId, chain_key
from tui.commands import Place
from tui.mirror import Changes
from tui.screens.acting import Acting
from tui.screens.lists import last_task_of, show_log_of
from tui.screens.order_keys import OrderKeys
from tui.screens.panel import Panel
from tui.screens.reading import Reading, read_log
from tui.screens.shell import Look, Shell
from tui.screens.starting import start_at_once, start_with_form
from tui.screens.table_screen import show_definition, text_of_row, wide_words
from tui.views import orders
from tui.views.describe import description
from tui.views.export import exported
from tui.views.filtering import FilterProblem, Predicate, compile_filter
from tui.views.flow import Flow
from tui.views.frame import rule_line
from tui.views.graph import (
    LABEL_MAX,
    GraphRows,
    fitting_flow,
    flow_for,
    node_label,
    orders_at,
    sign_label,
)
from tui.views.lineup import Query
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.text import Line, Span, line
from tui.views.trail import trail_line
from tui.widgets.flow_map import FlowMap
from tui.widgets.lines import Lines
from tui.widgets.log import LogView
from tui.widgets.table import Table

_GRAPH_SHARE = 0.55
"""Part of the height that the graph may take before it scrolls."""
_TALL = 34
_WIDE = 140
_MAP_LEAST = 120


class GraphScreen(OrderKeys):
    """Nodes as rows beside their rail; below, the orders as a tree."""

    noun = "graph"

    DEFAULT_CSS = """
    GraphScreen #nodes { height: auto; }
    GraphScreen #map { display: none; height: 12; }
    GraphScreen .lower { height: 1fr; layout: vertical; }
    GraphScreen .lower.-beside { layout: horizontal; }
    GraphScreen .panel { height: 1fr; width: 1fr; layout: vertical; }
    GraphScreen .panel.-log { display: none; }
    GraphScreen .panel.-log.-on { display: block; }
    GraphScreen .title { height: 1; }
    GraphScreen .-beside .panel.-log { padding-left: 1; }
    """

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell)
        self.graph = GraphRows()
        self.acting = Acting(shell, self.take_gone)
        self.order_panel = Panel(orders.CHAIN_VIEW)
        self.shows_map = False
        self.fits_map = False
        """Whether the map's labels are as short as its width demands."""
        self.is_zoomed = False
        """Whether the panel with the keys has all the room."""
        self.troubles_only = False
        self.followed: OrderKey | None = None
        self._followed_at: NodeState | None = None
        self._flow: tuple[Flow, int] | None = None
        self._flow_of: tuple[object, int] | None = None
        self._filter_text = ""
        self._keep: Predicate | None = None
        self._filter_problem = ""
        self._reading = Reading(task=TaskId(0))

    def body(self) -> Iterable[Widget]:
        """Build graph and orders."""
        palette, glyphs = self.shell.palette, self.shell.scene().glyphs
        yield Table(palette, glyphs, id="nodes")
        yield FlowMap(palette, id="map")
        with Container(classes="lower"):
            with Container(classes="panel"):
                yield Lines(palette, id="orders-title", classes="title")
                yield Table(palette, glyphs, id="orders")
            with Container(classes="panel -log"):
                yield Lines(palette, id="log-title", classes="title")
                log = LogView(palette, id="log")
                log.can_focus = False
                yield log

    @property
    def nodes(self) -> Table:
        """The graph."""
        return self.query_one("#nodes", Table)

    @property
    def orders(self) -> Table:
        """The orders of the chain."""
        return self.query_one("#orders", Table)

    def take_gone(self) -> list[RowKey]:
        """Return the marked orders that have vanished, and forget them."""
        return self.orders.take_gone()

    @property
    def map(self) -> FlowMap:
        """The graph as a map."""
        return self.query_one("#map", FlowMap)

    @property
    def main(self) -> Widget | None:
        """The graph takes the keys first."""
        if not self.is_ready:
            return None
        return self.map if self.shows_map else self.nodes

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
        self.set_filter(place.filter_text)
        self.troubles_only = look is not None and look.troubles_only
        if place.argument != self.place.argument:
            self.order_panel.lineup.forget()
            self.followed = None
            if self.is_ready:
                self.orders.marks.clear()
                self.set_focus(self.main)
        super().open_place(place, look)
        if self.is_ready:
            self.nodes.select(look.key if look is not None else None)
            self.orders.measure()

    def look(self) -> Look:
        """Return where the cursor stands."""
        key = self.nodes.cursor_key if self.is_ready else None
        return Look(place=self.link_place(), key=key, troubles_only=self.troubles_only)

    def link_place(self) -> Place:
        """Return the place with the filter in force."""
        place = self.place
        return Place(noun=place.noun, argument=place.argument, filter_text=self._filter_text)

    @property
    def filter_text(self) -> str:
        """The filter of the orders."""
        return self._filter_text

    def set_filter(self, text: str) -> None:
        """Take another filter; one that cannot be understood leaves the rows as they were."""
        self._filter_text = text
        try:
            self._keep = compile_filter(text, self.shell.settings.filters)
            self._filter_problem = ""
        except FilterProblem as problem:
            self._filter_problem = str(problem)

    def crumbs(self, scene: Scene) -> list[str]:
        """Return the chain."""
        return ["chains", scene.chain_name(self.chain), "graph"]

    def summary(self) -> str:
        """Return how many orders there are, and what is hidden."""
        if self._filter_problem:
            return self._filter_problem
        marked = f"{self.orders.marked_count} marked  " if self.orders.marks else ""
        hidden = "shown" if self.graph.with_errors else "hidden"
        return f"{marked}{self._orders_title()}  error edges {hidden} <e>"

    def _orders_title(self) -> str:
        shown, total = len(self.orders.rows), self.order_panel.lineup.total
        count = f"{shown} of {total}" if shown != total else f"{total}"
        return f"{count} order{'' if total == 1 else 's'}"

    # --- draw --------------------------------------------------------------------------------

    def draw_body(self, scene: Scene, changes: Changes) -> None:
        """Bring graph and orders up to date."""
        self._resolve(scene)
        self._draw_nodes(scene)
        self._keep_followed(scene)
        self._draw_map(scene)
        self._draw_log(scene)
        query = Query(
            keep=self._keep, troubles_only=self.troubles_only, subject=self.place.argument
        )
        self.order_panel.draw(self.orders, scene, query, changes)
        if not self.order_panel.lineup.is_complete:
            self.call_later(self._go_on)
        only = ", problems only" if self.troubles_only else ""
        title = f"{self._orders_title()}{only}, children under their parents"
        shown = self.query_one("#orders-title", Lines)
        shown.show([rule_line(scene, shown.size.width or self.size.width, title)])

    def _go_on(self) -> None:
        """Look at the orders that one drawing left for the next."""
        if self.is_current:
            self.draw(Changes())

    def _resolve(self, scene: Scene) -> None:
        """Take the chain that is meant where a person has given its name alone."""
        name = self.place.argument.casefold()
        if self.chain in scene.state.chains:
            return
        found = [key for key in scene.state.chains if scene.chain_name(key).casefold() == name]
        if len(found) == 1:
            place = self.place
            self.place = Place(noun=place.noun, argument=found[0], filter_text=place.filter_text)
            self.order_panel.lineup.forget()

    def _draw_nodes(self, scene: Scene) -> None:
        view = self.graph.view(scene, self.chain)
        table = self.nodes
        if view is None:
            table.empty_text = "there is no such chain; :chains lists all"
            table.show((), [])
            table.styles.height = 3
            return
        rows = [row for key in view.keys(scene, "") if (row := view.row(scene, key)) is not None]
        room = max(4, int(self.size.height * _GRAPH_SHARE))
        table.styles.height = "1fr" if self.is_zoomed else min(len(rows) + 1, room)
        table.show(view.columns, rows)

    def _draw_map(self, scene: Scene) -> None:
        drawing = self.graph.drawing(scene, self.chain)
        if not self.shows_map or drawing is None:
            return
        width = (self.map.size.width or self.size.width) if self.fits_map else 0
        if self._flow is None or self._flow_of != (drawing, width):
            full = flow_for(scene, drawing), LABEL_MAX
            self._flow = fitting_flow(scene, drawing, width) if width else full
            self._flow_of = (drawing, width)
        flow, label_max = self._flow
        label = sign_label if label_max == 1 else node_label
        labels = {node.state: label(scene, drawing, node.state) for node in drawing.shape.nodes}
        room = max(6, int(self.size.height * _GRAPH_SHARE))
        self.map.styles.height = "1fr" if self.is_zoomed else min(flow.height + 2, room)
        shape, errors = drawing.shape, drawing.with_errors
        self.map.targets = {
            node.state: [edge.target for edge in shape.edges_from(node.state, with_errors=errors)]
            for node in shape.nodes
        }
        selected = self.nodes.cursor_key
        self.map.draw_flow(
            flow, labels, scene.glyphs, None if selected is None else NodeState(str(selected))
        )

    def _keep_followed(self, scene: Scene) -> None:
        """Keep the order that is followed in view."""
        if self.followed is None:
            return
        order = scene.state.orders.get(self.followed)
        state = None if order is None else order.state
        if state is not None and state != self._followed_at:
            self._followed_at = state
            self.nodes.select(state)

    def on_flow_map_selected(self, event: FlowMap.Selected) -> None:
        """Let the rail's cursor follow the map's."""
        event.stop()
        self.nodes.select(event.state)
        self._draw_map(self.shell.scene())

    def on_resize(self) -> None:
        """Show the log where there is room; beside the orders on a wide screen."""
        tall = self.size.height >= _TALL
        self.query_one(".lower").set_class(tall and self.size.width >= _WIDE, "-beside")
        self.query_one(".panel.-log").set_class(tall, "-on")
        if self.shows_map and self.size.width < _MAP_LEAST:
            self.do_map()

    def _draw_log(self, scene: Scene) -> None:
        """Follow the log of the task behind the cursor, in tall screens."""
        if self.size.height < _TALL:
            return
        subjects = self.subjects()
        task = last_task_of(scene, subjects[0]) if subjects else self._last_task_at_node(scene)
        title = "log" if task is None else f"log of task {task}"
        if self._reading.problem:
            title += f": {self._reading.problem}"
        shown = self.query_one("#log-title", Lines)
        shown.show([rule_line(scene, shown.size.width or self.size.width, title)])
        if task is None or task == self._reading.task:
            return
        log = self.query_one("#log", LogView)
        log.clear()
        log.set_follow(follow=True)
        self._reading = Reading(task=task)
        work = read_log(self.shell.client, self._reading, log, lambda: None)
        self.run_worker(work, exclusive=True, group="log", exit_on_error=False)

    def _last_task_at_node(self, scene: Scene) -> TaskId | None:
        node = self.nodes.cursor_key
        return next(
            (
                ended.task
                for ended in reversed(scene.mirror.ended_tasks)
                if ended.order is not None
                and ended.order.chain == self.chain
                and ended.state == node
            ),
            None,
        )

    def do_map(self) -> None:
        """Show the graph as a map, or as a rail again."""
        if not self.shows_map and self.size.width < _MAP_LEAST:
            self.shell.say(f"the map needs {_MAP_LEAST} columns; this is the rail")
            return
        self.shows_map = not self.shows_map
        self.map.styles.display = "block" if self.shows_map else "none"
        self.nodes.styles.display = "none" if self.shows_map else "block"
        self.set_focus(self.main)
        self.draw(Changes(everything=True))

    def strip(self, scene: Scene) -> list[Line]:
        """Return the way of the order that is followed, and what is under the cursor."""
        if self.followed is not None:
            return [trail_line(scene, self.followed), *self._detail(scene)]
        return self._detail(scene)

    def _detail(self, scene: Scene) -> list[Line]:
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
        if self.is_ready and self.size.width:
            self.draw_frame(self.shell.scene())

    # --- going about -------------------------------------------------------------------------

    def on_table_entered(self, event: Table.Entered) -> None:
        """Go in."""
        event.stop()
        self.do_enter()

    def do_enter(self) -> None:
        """Show the order, the node's orders, or the chain that the node stands for."""
        key = self.active.cursor_key
        if isinstance(key, OrderKey):
            self.shell.go(Place(noun="order", argument=str(key)))
        elif key is not None:
            node = self.shell.scene().state.node(self.chain, NodeState(str(key)))
            if isinstance(node, NestedNode):
                self.shell.go(Place(noun="chain", argument=node.chain))
            else:
                self.shell.go(Place(noun="orders", argument=f"{self.chain} {key}"))

    def do_describe(self) -> None:
        """Show everything about what is under the cursor, with nothing cut."""
        scene = self.shell.scene()
        key = self.active.cursor_key
        if isinstance(key, OrderKey):
            self.do_enter()
            return
        row = self.nodes.cursor_row
        view = self.graph.view(scene, self.chain)
        if view is None or row is None or key is None:
            return
        title = f"{scene.chain_name(self.chain)}: node {key}"
        self.shell.show_page(title, description(view.columns, row, view.detail(scene, key)))

    def do_definition(self) -> None:
        """Show the definition of the order, or of the chain."""
        key = self.active.cursor_key
        if isinstance(key, OrderKey):
            show_definition(self.shell, "orders", key)
        else:
            show_definition(self.shell, "chains", self.chain)

    def do_follow(self) -> None:
        """Keep the order under the cursor in view, or no longer."""
        subjects = self.subjects()
        if self.followed is not None and self.followed not in subjects[:1]:
            subjects = subjects[:1]
        elif self.followed is not None:
            subjects = ()
        self.followed = subjects[0] if subjects else None
        self._followed_at = None
        if self.followed is None:
            self.shell.say("no order is followed")
        else:
            self.shell.say(f"follows {self.followed.id}; <.> again ends that")
        self.draw(Changes(everything=True))

    def do_copy(self) -> None:
        """Copy the row with the cursor."""
        row = self.active.cursor_row
        if row is not None:
            self.shell.copy(text_of_row(row), "the row")

    def do_filter(self) -> None:
        """Filter the orders."""
        self.open_entry("filter", "/", self._filter_text)

    def filter_typed(self, text: str) -> None:
        """Narrow while typing."""
        self.set_filter(text)
        self.draw(Changes(others=True))

    def filter_done(self, text: str) -> None:
        """Take the filter."""
        self.orders.take_gone()
        self.filter_typed(text)
        self.orders.forget_hidden()

    def do_problems(self) -> None:
        """Show only orders with trouble, or all."""
        self.orders.take_gone()
        self.troubles_only = not self.troubles_only
        self.draw(Changes(everything=True))
        self.orders.forget_hidden()

    def do_zoom(self) -> None:
        """Fit the map; else give the panel with the keys all the room, or share it again."""
        if self.shows_map and self.map.has_focus:
            self.fits_map = not self.fits_map
        else:
            self.is_zoomed = not self.is_zoomed
            on_orders = self.active is self.orders
            upper = self.map if self.shows_map else self.nodes
            upper.display = not (self.is_zoomed and on_orders)
            self.query_one(".lower").display = not self.is_zoomed or on_orders
        self.draw(Changes(everything=True))

    def do_log(self) -> None:
        """Show the log of the order, or of the first order at the node."""
        subjects = self.subjects()
        if subjects:
            show_log_of(self.shell, subjects[0])
            return
        scene = self.shell.scene()
        node = None if (state := self._node()) is None else scene.state.node(self.chain, state)
        if self._last_task_at_node(scene) is None and isinstance(node, JobNode):
            self.shell.recall(self._show_node_log, job=node.job)
        else:
            self._show_node_log()

    def _show_node_log(self) -> None:
        last = self._last_task_at_node(self.shell.scene())
        if last is None:
            self.shell.say("nothing has run at this node, as far as the engine remembers")
        else:
            self.shell.go(Place(noun="log", argument=str(last)))

    def do_node_log(self) -> None:
        """Show the log, on the map as well."""
        self.do_log()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """On the map leave `h` and `l` to walking."""
        if action == "act" and parameters == ("row.log",) and self.map.has_focus:
            return "l" not in next(one.keys for one in self.actions if one.id == "row.log")
        return super().check_action(action, parameters)

    def do_errors(self) -> None:
        """Show or hide the error edges."""
        self.graph.with_errors = not self.graph.with_errors
        self.draw(Changes(everything=True))
        self.nodes.measure()
        self.nodes.refresh()

    def save(self, name: str) -> None:
        """Save the orders of the chain."""
        rows = self.orders.rows
        text = exported(self.orders.columns, rows, Path(name).suffix)
        self.write_file(name, text, f"{len(rows)} row{'' if len(rows) == 1 else 's'}")

    def _to_trouble(self, direction: int) -> None:
        former = self.active.cursor_key
        if not self.active.find(lambda row: row.trouble, direction):
            self.shell.say("no trouble here")
        elif self.active.cursor_key == former:
            self.shell.say("no other trouble here")

    def do_next_trouble(self) -> None:
        """Go to the next row with trouble."""
        self._to_trouble(1)

    def do_last_trouble(self) -> None:
        """Go to the previous row with trouble."""
        self._to_trouble(-1)

    def do_wide(self) -> None:
        """Show all columns, or as many as fit."""
        self.active.toggle_wide()
        self.shell.say(wide_words(wide=self.active.wide))

    def do_mark(self) -> None:
        """Mark the order."""
        self.orders.action_mark()

    def do_mark_to(self) -> None:
        """Mark from the last mark to here."""
        self.orders.action_mark_to()

    def do_clear_marks(self) -> None:
        """Clear all marks."""
        if not self.orders.marks:
            self.shell.say("nothing is marked")
        self.orders.action_clear_marks()

    def do_escape(self) -> None:
        """Clear marks, then the filter, else go back."""
        if self.orders.marks:
            self.orders.action_clear_marks()
        elif self._filter_text:
            self.filter_done("")
        else:
            self.do_back()

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
        node = self._node() if self.active is self.nodes else None
        known = None if node is None else self.shell.scene().state.node(self.chain, node)
        is_place = isinstance(known, JobNode | NestedNode)
        start_with_form(self.shell, self.chain, state=node if is_place else None)

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
