"""A chain as a map: layers from left to right, drawn with lines that meet where they should.

Steps: longest-path layers (edges that close a circle take no part); one shared dummy per source
and layer for long edges, so that they travel as a bundle, error edges by their target; order within
layers by barycentre, the best of eight sweeps; rows so that neighbours stand as level as a minimum
gap allows; in the channel between two layers one vertical track for all sources that lead to the
same targets. Lines are sets of the four directions, turned into characters at the end.
"""

import math
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import pairwise
from operator import or_

from engine.kernel.ids import NodeState
from tui.views.glyphs import Glyphs
from tui.views.rail import DOWN, LEFT, RIGHT, UP
from tui.views.shape import EdgeKind, Shape
from tui.views.text import Line, Span, fit, width_of

SWEEPS = 8
ROW_GAP = 2
"""Rows from one node to the next below it."""
_CHANNEL_MARGIN = 1
_ARROW = 2
"""A stub and the arrow's head before a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a node stands: column, row, and how wide its label may be."""

    state: NodeState
    x: int
    y: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A drawn map without its labels."""

    boxes: Mapping[NodeState, Box]
    joints: Mapping[tuple[int, int], int]
    """Directions of the lines by (row, column)."""
    crossings: frozenset[tuple[int, int]]
    """Where a level line passes under an upright one; only the upright is among the joints."""
    heads: frozenset[tuple[int, int]]
    """Where arrows end."""
    width: int
    height: int
    layers: tuple[tuple[NodeState, ...], ...]
    """Nodes by layer, from top to bottom; for walking."""


@dataclass(slots=True)
class _Point:
    """A node, or a dummy in which the long edges of one source travel."""

    name: str
    layer: int
    state: NodeState | None = None
    below: list["_Point"] = field(default_factory=list)
    """Points of the next layer."""
    above: list["_Point"] = field(default_factory=list)
    row: float = 0.0
    place: float = 0.0
    index: int = 0
    """Place in its layer, from the top."""


def flow_of(shape: Shape, widths: Mapping[NodeState, int], *, with_errors: bool = False) -> Flow:
    """Lay a chain out; `widths` says how many cells each node's label takes."""
    layers = _layers(shape, with_errors=with_errors)
    _order(layers)
    _place_rows(layers)
    return _draw(layers, widths)


def _layers(shape: Shape, *, with_errors: bool) -> list[list[_Point]]:
    points: dict[NodeState, _Point] = {}
    edges = {
        node.state: shape.edges_from(node.state, with_errors=with_errors) for node in shape.nodes
    }
    for node in shape.nodes:
        points.setdefault(node.state, _Point(name=node.state, layer=0, state=node.state))
        for edge in edges[node.state]:
            target = points.setdefault(
                edge.target, _Point(name=edge.target, layer=0, state=edge.target)
            )
            target.layer = max(target.layer, points[node.state].layer + 1)
    layers: list[list[_Point]] = [
        [] for _ in range(max((point.layer for point in points.values()), default=0) + 1)
    ]
    entered = {edge.target for leaving in edges.values() for edge in leaving}
    for node in shape.nodes:
        point = points[node.state]
        if not edges[node.state] and node.state not in entered:
            # What no drawn edge touches stands aside, where the chain ends.
            point.layer = len(layers) - 1
        layers[point.layer].append(point)
    dummies: dict[tuple[str, int], _Point] = {}
    for node in shape.nodes:
        for edge in edges[node.state]:
            _connect(points[node.state], points[edge.target], edge.kind, layers, dummies)
    return layers


def _connect(
    source: _Point,
    target: _Point,
    kind: EdgeKind,
    layers: list[list[_Point]],
    dummies: dict[tuple[str, int], _Point],
) -> None:
    """Lead an edge through the layers between; error edges gather on their way to one target."""
    bundle = f"to {target.name}" if kind is EdgeKind.ERROR else f"from {source.name}"
    last = source
    for layer in range(source.layer + 1, target.layer):
        dummy = dummies.get((bundle, layer))
        if dummy is None:
            dummy = dummies[bundle, layer] = _Point(name=f"{bundle}/{layer}", layer=layer)
            layers[layer].append(dummy)
        _join(last, dummy)
        last = dummy
    _join(last, target)


def _join(one: _Point, other: _Point) -> None:
    if not any(point is other for point in one.below):
        one.below.append(other)
        other.above.append(one)


# --- order within layers -------------------------------------------------------------------------


def _order(layers: list[list[_Point]]) -> None:
    """Sort each layer by the middle of its neighbours; keep the best of the sweeps."""
    best = [list(layer) for layer in layers]
    _number(layers)
    fewest = _crossings(layers)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            for point in layer:
                near = point.above if downwards else point.below
                indexes = [other.index for other in near]
                point.place = sum(indexes) / len(indexes) if indexes else point.index
            layer.sort(key=lambda point: point.place)
            _number([layer])
        count = _crossings(layers)
        if count < fewest:
            fewest, best = count, [list(layer) for layer in layers]
    for index, layer in enumerate(best):
        layers[index][:] = layer
    _number(layers)


def _number(layers: list[list[_Point]]) -> None:
    for layer in layers:
        for index, point in enumerate(layer):
            point.index = index


def _crossings(layers: list[list[_Point]]) -> int:
    total = 0
    for layer, following in pairwise(layers):
        if len(layer) == 1 and len(following) == 1:
            continue
        ends = [
            index for point in layer for index in sorted(target.index for target in point.below)
        ]
        seen: list[int] = []
        for index in ends:
            total += len(seen) - bisect_right(seen, index)
            insort(seen, index)
    return total


# --- rows ----------------------------------------------------------------------------------------


def _place_rows(layers: list[list[_Point]]) -> None:
    """Give rows: level with the neighbours as far as the gap to the node above allows."""
    for layer in layers:
        for index, point in enumerate(layer):
            point.row = index * ROW_GAP
    for sweep in range(6):
        downwards = sweep % 2 == 0
        for layer in layers[1:] if downwards else layers[-2::-1]:
            wanted = []
            for point in layer:
                near = point.above if downwards else point.below
                rows = [other.row for other in near]
                wanted.append(sum(rows) / len(rows) if rows else float(point.row))
            for point, row in zip(layer, _pooled(wanted), strict=True):
                point.row = row
    lowest = min((point.row for layer in layers for point in layer), default=0)
    for layer in layers:
        for point in layer:
            # Rows differ by the gap at least, so they do after rounding.
            point.row = math.floor(point.row - lowest + 0.5)


def _pooled(wanted: Sequence[float]) -> list[float]:
    """Return rows in this order with a minimum gap, as near as possible to those wanted.

    Least squares by pooling adjacent violators: what stands too close moves as one block.
    """
    blocks: list[tuple[float, int]] = []
    for index, row in enumerate(wanted):
        blocks.append((row - index * ROW_GAP, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (one, count), (two, other) = blocks[-2], blocks[-1]
            blocks[-2:] = [((one * count + two * other) / (count + other), count + other)]
    rows: list[float] = []
    for value, count in blocks:
        first = len(rows)
        rows.extend(value + (first + i) * ROW_GAP for i in range(count))
    return rows


# --- lines ---------------------------------------------------------------------------------------


def _draw(layers: list[list[_Point]], widths: Mapping[NodeState, int]) -> Flow:
    boxes: dict[NodeState, Box] = {}
    canvas = _Canvas()
    x = 1
    for layer, following in zip(layers, [*layers[1:], []], strict=True):
        for point in layer:
            if point.state is not None:
                width = widths.get(point.state, 1)
                boxes[point.state] = Box(state=point.state, x=x, y=int(point.row), width=width)
        room = max((boxes[point.state].width for point in layer if point.state), default=1)
        if not following:
            x += room
            break
        nets = _nets([point for point in layer if point.below])
        tracks = _tracks(nets)
        track_x = x + room + _CHANNEL_MARGIN + 1
        end = track_x + 2 * max(len(set(tracks.values())), 1) + _ARROW - 1
        for number, net in enumerate(nets):
            for point in net.sources:
                own = boxes[point.state].width + 1 if point.state is not None else 0
                pen = canvas.pen((x, number))
                _lines_of(point, x + own, track_x + 2 * tracks[point.name], end, pen)
        x = end + 1
    joints, crossings = canvas.joints()
    return Flow(
        boxes=boxes,
        joints=joints,
        crossings=crossings,
        heads=frozenset(canvas.heads),
        width=x,
        height=int(max((point.row for layer in layers for point in layer), default=0)) + 1,
        layers=tuple(
            tuple(point.state for point in layer if point.state is not None) for layer in layers
        ),
    )


class _Canvas:
    """Cells with the directions of each net that passes them."""

    def __init__(self) -> None:
        self.heads: set[tuple[int, int]] = set()
        self._cells: dict[tuple[int, int], dict[tuple[int, int], int]] = {}

    def pen(self, net: tuple[int, int]) -> "_Pen":
        """Return what draws one net."""
        return _Pen(self, net)

    def add(self, net: tuple[int, int], row: int, column: int, directions: int) -> None:
        """Let a net pass a cell in these directions."""
        nets = self._cells.setdefault((row, column), {})
        nets[net] = nets.get(net, 0) | directions

    def joints(self) -> tuple[dict[tuple[int, int], int], frozenset[tuple[int, int]]]:
        """Return the directions to draw, and where a line passes under another one.

        Where two nets cross without meeting only the vertical line is drawn.
        """
        joints: dict[tuple[int, int], int] = {}
        crossings: set[tuple[int, int]] = set()
        for place, nets in self._cells.items():
            drawn = set(nets.values())
            if len(nets) > 1 and LEFT | RIGHT in drawn and UP | DOWN in drawn:
                drawn.discard(LEFT | RIGHT)
                crossings.add(place)
            joints[place] = reduce(or_, drawn)
        return joints, frozenset(crossings)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Draws the lines of one net."""

    canvas: _Canvas
    net: tuple[int, int]

    def add(self, row: int, column: int, directions: int) -> None:
        """Pass a cell."""
        self.canvas.add(self.net, row, column, directions)

    def along(self, row: int, first: int, end: int) -> None:
        """Draw a level line up to, not including, `end`."""
        for column in range(first, end):
            self.add(row, column, LEFT | RIGHT)


@dataclass(frozen=True, slots=True)
class _Net:
    """Sources that lead to the same targets: one vertical line serves them all."""

    sources: tuple[_Point, ...]
    targets: tuple[_Point, ...]

    @property
    def span(self) -> tuple[float, float]:
        """The first and last row of the vertical line."""
        rows = [point.row for point in (*self.sources, *self.targets)]
        return min(rows), max(rows)


def _nets(sources: Sequence[_Point]) -> list[_Net]:
    groups: dict[frozenset[int], list[_Point]] = {}
    for point in sources:
        groups.setdefault(frozenset(id(target) for target in point.below), []).append(point)
    return [_Net(tuple(group), tuple(group[0].below)) for group in groups.values()]


def _tracks(nets: Sequence[_Net]) -> dict[str, int]:
    """Return the vertical track of each source, counted from the left.

    Nets whose spans meet get different tracks. A net that leaves from a row on which another one
    arrives must turn before that line comes, so it gets the track further left.
    """
    placed: dict[str, int] = {}
    done: list[tuple[_Net, int]] = []
    for net in _in_turn([net for net in nets if net.span[0] != net.span[1]]):
        first, last = net.span
        track = 0
        for other, taken in done:
            low, high = other.span
            if first <= high and low <= last:
                track = max(track, taken + 1)
        done.append((net, track))
    for net, track in done:
        placed.update({point.name: track for point in net.sources})
    for net in nets:
        for point in net.sources:
            placed.setdefault(point.name, 0)
    return placed


def _in_turn(nets: Sequence[_Net]) -> list[_Net]:
    """Order nets so that those come first on whose source rows others arrive; circles by row."""
    left = sorted(nets, key=lambda net: net.span)
    found: list[_Net] = []
    while left:
        # The last of those that are left: one that arrives on no row from which another leaves.
        free = next((net for net in left if not _arrives_on_a_source(net, left)), left[0])
        left.remove(free)
        found.append(free)
    return found


def _arrives_on_a_source(net: _Net, others: Sequence[_Net]) -> bool:
    rows = {target.row for target in net.targets}
    return any(
        other is not net and any(source.row in rows for source in other.sources) for other in others
    )


def _lines_of(source: _Point, start: int, track: int, end: int, pen: _Pen) -> None:
    """Draw the lines from one source to all its targets in the next layer."""
    row = int(source.row)
    pen.along(row, start, track)
    pen.add(row, track, LEFT)
    for target in source.below:
        target_row = int(target.row)
        low, high = sorted((row, target_row))
        for between in range(low, high + 1):
            if between > low:
                pen.add(between, track, UP)
            if between < high:
                pen.add(between, track, DOWN)
        pen.add(target_row, track, RIGHT)
        if target.state is not None:
            pen.along(target_row, track + 1, end)
            pen.canvas.heads.add((target_row, end - 1))
        else:
            # A dummy has no label: the line goes on through its place.
            pen.along(target_row, track + 1, end + 1)


def draw_flow(
    flow: Flow,
    labels: Mapping[NodeState, tuple[Span, ...]],
    glyphs: Glyphs,
    selected: NodeState | None = None,
) -> list[Line]:
    """Return the lines of a map with these labels; the selected one is pointed at."""
    rows: list[list[str]] = [[" "] * (flow.width + 1) for _ in range(flow.height)]
    for (row, column), joint in flow.joints.items():
        rows[row][column] = glyphs.box[joint]
    for row, column in flow.heads:
        rows[row][column] = glyphs.arrow
    if selected is not None:
        chosen = flow.boxes[selected]
        rows[chosen.y][chosen.x - 1] = ">"
    by_row: dict[int, list[Box]] = {}
    for box in flow.boxes.values():
        by_row.setdefault(box.y, []).append(box)
    lines: list[Line] = []
    for row in range(flow.height):
        spans: list[Span] = []
        at = 0
        for box in sorted(by_row.get(row, []), key=lambda box: box.x):
            spans.append(Span("".join(rows[row][at : box.x]), "rail"))
            left = box.width
            for span in labels.get(box.state, ()):
                text = fit(span.text, left) if width_of(span.text) > left else span.text
                spans.append(Span(text, span.role))
                left -= width_of(text)
            at = box.x + box.width - left
            if left and flow.joints.get((row, box.x + box.width + 1), 0) & LEFT:
                # The line begins where the label ends, however short that is today.
                spans.append(Span(f" {glyphs.box[LEFT | RIGHT] * left}", "rail"))
                at = box.x + box.width + 1
        spans.append(Span("".join(rows[row][at:]).rstrip(), "rail"))
        lines.append(tuple(span for span in spans if span.text))
    return lines
