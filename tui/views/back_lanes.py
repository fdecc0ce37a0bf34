"""Edges that lead back, on lanes at the left of the rail: from the row with `↺` up to `╭▸`."""

from dataclasses import dataclass

from engine.kernel.ids import NodeState
from tui.views.glyphs import Glyphs
from tui.views.rail import DOWN, LEFT, RIGHT, UP
from tui.views.shape import EdgeKind, Shape

_LANE = 2
"""Cells of a lane: the line, and what leads to the rail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One edge back, by rows."""

    top: int
    """The row where it arrives."""
    bottom: int
    """The row where it leaves; the same as `top` for a node that leads to itself."""
    place: int
    """0 is the lane nearest to the rail."""


def lanes_of(shape: Shape, *, with_errors: bool) -> tuple[Lane, ...]:
    """Return the edges back on lanes; shorter ones lie nearer to the rail."""
    rows = {node.state: index for index, node in enumerate(shape.nodes)}
    spans = {
        (rows[edge.target], rows[edge.source])
        for edge in shape.back
        if with_errors or edge.kind is not EdgeKind.ERROR
    }
    taken: list[list[tuple[int, int]]] = []
    found: list[Lane] = []
    for top, bottom in sorted(spans, key=lambda span: (span[1] - span[0], span)):
        free = (
            place
            for place, others in enumerate(taken)
            if all(bottom < first or last < top for first, last in others)
        )
        place = next(free, len(taken))
        if place == len(taken):
            taken.append([])
        taken[place].append((top, bottom))
        found.append(Lane(top=top, bottom=bottom, place=place))
    return tuple(found)


def draw_lanes(lanes: tuple[Lane, ...], row: int, glyphs: Glyphs) -> str:
    """Return what stands before the rail in a row."""
    width = _LANE * (max((lane.place for lane in lanes), default=-1) + 1)
    joints = [0] * width
    signs: dict[int, str] = {}
    for lane in lanes:
        if not lane.top <= row <= lane.bottom:
            continue
        column = width - _LANE * (lane.place + 1)
        if row not in {lane.top, lane.bottom}:
            joints[column] = UP | DOWN
            continue
        leaves, arrives = row == lane.bottom, row == lane.top
        joints[column] = RIGHT | (UP if leaves and not arrives else 0)
        joints[column] |= DOWN if arrives and not leaves else 0
        signs[column + 1] = glyphs.back if leaves else glyphs.arrow
        for cell in range(column + _LANE, width):
            # A line that crosses another one passes under it.
            joints[cell] = joints[cell] or LEFT | RIGHT
    return "".join(signs.get(cell) or glyphs.box[joint] for cell, joint in enumerate(joints))


def back_target(shape: Shape, state: NodeState, *, with_errors: bool) -> NodeState | None:
    """Return where an edge leads back from a node, None when none does."""
    return next(
        (
            edge.target
            for edge in shape.back
            if edge.source == state and (with_errors or edge.kind is not EdgeKind.ERROR)
        ),
        None,
    )
