"""The map of a chain: drawn lines, and a selection that walks from node to node."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from engine.kernel.ids import NodeState
from tui.views.flow import Flow, draw_flow
from tui.views.glyphs import Glyphs
from tui.views.text import Line, Span
from tui.widgets.lines import ScrolledLines


class FlowMap(ScrolledLines):
    """Shows a flow; follows the selection when it does not fit."""

    class Selected(Message):
        """Another node is selected."""

        def __init__(self, state: NodeState) -> None:
            super().__init__()
            self.state = state

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h", "sideways(-8)", "along the edge", show=False, priority=True),
        Binding("l", "sideways(8)", "along the edge", show=False, priority=True),
    ]

    flow: Flow | None = None
    targets: Mapping[NodeState, Sequence[NodeState]] = {}
    """Where the edges that are drawn lead, by node."""
    selected: NodeState | None = None
    _above = 0

    def draw_flow(
        self,
        flow: Flow,
        labels: Mapping[NodeState, tuple[Span, ...]],
        glyphs: Glyphs,
        selected: NodeState | None,
    ) -> None:
        """Show a map with these labels."""
        self.flow = flow
        self.selected = selected if selected in flow.boxes else next(iter(flow.boxes), None)
        shown = dict(labels)
        if self.selected is not None:
            whole = "".join(span.text for span in labels.get(self.selected, ()))
            shown[self.selected] = (Span(whole, "cursor"),)
        lines: list[Line] = draw_flow(flow, shown, glyphs, self.selected)
        # In the middle of the room, so that a small chain does not cling to the edge.
        above = max((self.size.height - len(lines)) // 2, 0)
        super().show([*[()] * above, *lines])
        self._above = above
        self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        if self.flow is None or self.selected is None or not self.size.width:
            return
        box = self.flow.boxes[self.selected]
        row = box.y + self._above
        if not self.top <= row < self.top + self.size.height:
            self.move(row - self.size.height // 2 - self.top)
        right = box.x + box.width + 2
        if box.x < self.left or right > self.left + self.size.width:
            self.move(0, max(0, box.x - self.size.width // 3) - self.left)

    def action_move(self, rows: int) -> None:
        """Select the next or previous node of the same layer; at its end, of the next layer."""
        self._select_by(rows)

    def action_page(self, pages: float) -> None:
        """Select a few nodes further."""
        self._select_by(5 if pages > 0 else -5)

    def action_edge(self, direction: int) -> None:
        """Select the first or the last node."""
        if self.flow is not None:
            states = [state for layer in self.flow.layers for state in layer]
            self._select(states[0] if direction < 0 else states[-1])

    def action_sideways(self, columns: int) -> None:
        """Walk along an edge, forth or back; without one to the nearest node of that side."""
        if self.flow is None or self.selected is None:
            return
        step = 1 if columns > 0 else -1
        reached = self._along_edges(step)
        if reached is not None:
            self._select(reached)
            return
        index = next(i for i, layer in enumerate(self.flow.layers) if self.selected in layer)
        here = self.flow.boxes[self.selected]
        while 0 <= (index := index + step) < len(self.flow.layers):
            layer = self.flow.layers[index]
            if layer:
                boxes = self.flow.boxes
                self._select(min(layer, key=lambda state: abs(boxes[state].y - here.y)))
                return

    def _along_edges(self, step: int) -> NodeState | None:
        """Return the node at the other end of an edge, the most level one of several."""
        assert self.flow is not None, "a map is drawn"
        assert self.selected is not None, "a node is selected"
        here = self.flow.boxes[self.selected]
        if step > 0:
            ends = list(self.targets.get(self.selected, ()))
        else:
            ends = [state for state, found in self.targets.items() if self.selected in found]
        sides = [
            box
            for state in ends
            if (box := self.flow.boxes.get(state)) is not None and (box.x - here.x) * step > 0
        ]
        best = min(sides, key=lambda box: (abs(box.y - here.y), abs(box.x - here.x)), default=None)
        return None if best is None else best.state

    def _select_by(self, steps: int) -> None:
        if self.flow is None or self.selected is None:
            return
        states = [state for layer in self.flow.layers for state in layer]
        index = states.index(self.selected) + steps
        self._select(states[max(0, min(index, len(states) - 1))])

    def _select(self, state: NodeState) -> None:
        if state != self.selected:
            self.selected = state
            self.post_message(self.Selected(state))

    def on_click(self, event: events.Click) -> None:
        """Select the node under the mouse."""
        event.stop()
        if self.flow is None:
            return
        row, column = event.y + self.top - self._above, event.x + self.left
        for state, box in self.flow.boxes.items():
            if box.y == row and box.x <= column < box.x + box.width:
                self._select(state)
