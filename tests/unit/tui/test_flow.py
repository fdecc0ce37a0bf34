"""The map drawing of chains: joints, no two nodes on one place, connected lines."""

import random
from collections import deque

import pytest

from engine.kernel.definitions import Chain, CodeRange, EndNode, JobNode, Node, OnReturnCodes
from engine.kernel.ids import NodeState, job_key
from tui.views.flow import Flow, draw_flow, flow_of
from tui.views.glyphs import ASCII, UNICODE, Glyphs
from tui.views.rail import DOWN, LEFT, RIGHT, UP
from tui.views.shape import Shape, shape_of
from tui.views.text import Span, plain


def job(state: str, target: str, error: str | None = None, *codes: str) -> JobNode:
    return JobNode(
        state=NodeState(state),
        job=job_key(f"/{state}"),
        job_path=f"/{state}",
        next_state=NodeState(target),
        error_state=NodeState(error) if error else None,
        on_return_codes=tuple(
            OnReturnCodes(codes=(CodeRange(first=i, last=i),), to_state=NodeState(code))
            for i, code in enumerate(codes)
        ),
    )


def end(state: str) -> EndNode:
    return EndNode(state=NodeState(state))


def drawn(
    *nodes: Node, with_errors: bool = False, glyphs: Glyphs = UNICODE, width: int | None = None
) -> list[str]:
    shape = shape_of(Chain(path="/chain", nodes=nodes))
    labels = {node.state: (Span(node.state),) for node in shape.nodes}
    widths = {state: width or len(state) for state in labels}
    flow = flow_of(shape, widths, with_errors=with_errors)
    return [plain(line) for line in draw_flow(flow, labels, glyphs)]


FORK = (
    job("check", "load_a", "err", "load_b", "load_c"),
    job("load_a", "join", "err"),
    job("load_b", "join", "err"),
    job("load_c", "join", "err"),
    job("join", "end", "err"),
    end("end"),
    end("err"),
)


def test_a_fork_and_its_join() -> None:
    assert drawn(*FORK) == [
        "        ╭─▸ load_a ─╮",
        "        │           │",
        " check ─┼─▸ load_b ─┼─▸ join ───▸ end",
        "        │           │",
        "        ╰─▸ load_c ─╯             err",
    ]


def test_the_line_begins_at_the_label_however_short_it_is() -> None:
    assert drawn(job("a", "b"), end("b"), width=6) == [" a ────────▸ b"]


def test_error_edges_gather_on_their_way() -> None:
    lines = drawn(
        job("split", "create", "error"),
        job("create", "sync", "error"),
        job("sync", "success", "error"),
        end("success"),
        end("error"),
        with_errors=True,
    )
    assert sum(line.count("▸") for line in lines) == 4
    assert len(lines) <= 5


def test_the_same_in_ascii() -> None:
    text = "\n".join(drawn(*FORK, glyphs=ASCII))
    assert text.isascii()
    assert "> load_b" in text


def _random_shape(seed: int) -> Shape:
    dice = random.Random(seed)
    names = [f"n{i}" for i in range(dice.randint(2, 40))]
    nodes: list[Node] = [
        job(
            name,
            dice.choice(names[i + 1 : i + 4]),
            dice.choice([None, names[-1]]),
            *[dice.choice(names[i + 1 : i + 6]) for _ in range(dice.choice([0, 0, 1, 2]))],
        )
        for i, name in enumerate(names[:-1])
    ]
    return shape_of(Chain(path="/chain", nodes=(*nodes, end(names[-1]))))


def _reached(flow: Flow, source: NodeState) -> set[NodeState]:
    """Return the nodes that the lines from a node lead to, following joints."""
    box = flow.boxes[source]
    arrivals = {(other.y, other.x - 3): state for state, other in flow.boxes.items()}
    begin = (box.y, box.x + box.width + 1, RIGHT)
    waiting = deque([begin])
    seen = {begin}
    found: set[NodeState] = set()
    steps = {UP: (-1, 0), DOWN: (1, 0), LEFT: (0, -1), RIGHT: (0, 1)}
    opposite = {UP: DOWN, DOWN: UP, LEFT: RIGHT, RIGHT: LEFT}
    while waiting:
        row, column, heading = waiting.popleft()
        if arrivals.get((row, column), source) != source:
            found.add(arrivals[row, column])
        joint = flow.joints.get((row, column), 0)
        under = (row, column) in flow.crossings and heading in {LEFT, RIGHT}
        ways = [heading] if under else [each for each in steps if joint & each]
        for way in ways:
            following = (row + steps[way][0], column + steps[way][1])
            arrives = flow.joints.get(following, 0) & opposite[way]
            passes = following in flow.crossings and way in {LEFT, RIGHT}
            if (arrives or passes) and (*following, way) not in seen:
                seen.add((*following, way))
                waiting.append((*following, way))
    return found


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("with_errors", [False, True])
def test_every_edge_is_a_connected_path_and_no_two_nodes_overlap(
    seed: int, *, with_errors: bool
) -> None:
    shape = _random_shape(seed)
    widths = {node.state: len(node.state) + 2 for node in shape.nodes}
    flow = flow_of(shape, widths, with_errors=with_errors)
    assert flow == flow_of(shape, widths, with_errors=with_errors)
    cells = [
        (box.y, column) for box in flow.boxes.values() for column in range(box.x, box.x + box.width)
    ]
    assert len(cells) == len(set(cells)), "no two nodes overlap"
    assert not set(cells) & set(flow.joints), "no line runs through a node"
    for node in shape.nodes:
        targets = {edge.target for edge in shape.edges_from(node.state, with_errors=with_errors)}
        assert targets <= _reached(flow, node.state)


def test_a_circle_is_drawn_without_the_edge_that_closes_it() -> None:
    assert drawn(job("a", "b"), job("b", "a")) == [" a ───▸ b"]
