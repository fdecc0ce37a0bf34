"""A chain as a rail: one row a node, rails at the left, like a version history.

A rail is held from a node to each of its targets; free rails are used again, nearest first; a
node's row carries its joints. Lines are sets of the four directions, turned into characters at the
end, so joints are always right.
"""

from dataclasses import dataclass

from engine.kernel.definitions import EndNode, NestedNode
from engine.kernel.ids import NodeState
from tui.views.glyphs import Glyphs
from tui.views.shape import Shape

UP, RIGHT, DOWN, LEFT = 1, 2, 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RailRow:
    """One node with the rails beside it."""

    state: NodeState
    column: int
    """The rail on which the node stands."""
    joints: tuple[int, ...]
    """Directions of each cell, two cells a rail; the node's own cell counts too."""
    arrivals: tuple[int, ...]
    """Rails that end here, the node's own among them."""
    departures: tuple[tuple[NodeState, int], ...]
    """Targets with the rails that lead to them."""


def rail_of(shape: Shape, *, with_errors: bool = False) -> tuple[RailRow, ...]:
    """Return the rows of a chain."""
    held: list[NodeState | None] = []
    return tuple(_row(shape, node.state, held, with_errors=with_errors) for node in shape.nodes)


def _row(
    shape: Shape, state: NodeState, held: list[NodeState | None], *, with_errors: bool
) -> RailRow:
    arriving = [index for index, target in enumerate(held) if target == state]
    before = [target is not None for target in held]
    for index in arriving:
        held[index] = None
    column = arriving[0] if arriving else _free_rail(held, 0)
    joined: list[int] = []
    departures: list[tuple[NodeState, int]] = []
    for edge in shape.edges_from(state, with_errors=with_errors):
        if edge.target in held:
            index = held.index(edge.target)
            joined.append(index)
        else:
            index = _free_rail(held, column)
            held[index] = edge.target
            joined.append(index)
        departures.append((edge.target, index))
    touched = {column, *arriving, *joined}
    return RailRow(
        state=state,
        column=column,
        joints=_joints(before, held, column, touched),
        arrivals=tuple(arriving),
        departures=tuple(departures),
    )


def _free_rail(held: list[NodeState | None], near: int) -> int:
    """Return the free rail nearest to `near`, at the right in case of doubt."""
    free = [index for index, target in enumerate(held) if target is None]
    if near < len(held) and held[near] is None:
        return near
    free.append(len(held))
    best = min(free, key=lambda index: (abs(index - near), -index))
    if best == len(held):
        held.append(None)
    return best


def _joints(
    before: list[bool], held: list[NodeState | None], column: int, touched: set[int]
) -> tuple[int, ...]:
    count = len(held)
    cells = [0] * (2 * count)
    for index in range(count):
        above = index < len(before) and before[index]
        below = held[index] is not None
        cells[2 * index] = (UP if above else 0) | (DOWN if below else 0)
    first, last = min(touched), max(touched)
    for index in sorted(touched - {column}):
        cells[2 * index] |= LEFT if index > column else RIGHT
    for cell in range(2 * first + 1, 2 * last):
        is_rail = cell % 2 == 0
        if is_rail and cell // 2 in touched:
            # The line goes on beyond this joint.
            cells[cell] |= LEFT | RIGHT
        elif not is_rail or not cells[cell]:
            cells[cell] |= LEFT | RIGHT
    return tuple(cells)


def draw_rail(row: RailRow, sign: str, glyphs: Glyphs) -> str:
    """Return the rail part of a row; a crossing that is no joint is the vertical line alone."""
    drawn = [glyphs.box[joint] for joint in row.joints]
    drawn[2 * row.column] = sign
    return "".join(drawn).rstrip()


def node_sign(shape: Shape, state: NodeState, glyphs: Glyphs) -> str:
    """Return the sign of a node: a job, another chain, or an end."""
    node = next(node for node in shape.nodes if node.state == state)
    match node:
        case EndNode():
            return glyphs.end
        case NestedNode():
            return glyphs.nested
        case _:
            return glyphs.node
