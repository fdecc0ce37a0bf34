"""Edges that lead back: lanes at the left of the rail."""

from engine.kernel.definitions import Chain, EndNode, JobNode, Node
from engine.kernel.ids import NodeState, job_key
from tui.views.back_lanes import back_target, draw_lanes, lanes_of
from tui.views.glyphs import ASCII, UNICODE, Glyphs
from tui.views.shape import shape_of
from tui.views.text import Span, plain, wrapped


def job(state: str, target: str, error: str | None = None) -> JobNode:
    return JobNode(
        state=NodeState(state),
        job=job_key(f"/{state}"),
        job_path=f"/{state}",
        next_state=NodeState(target),
        error_state=NodeState(error) if error else None,
    )


def drawn(*nodes: Node, with_errors: bool = False, glyphs: Glyphs = UNICODE) -> list[str]:
    shape = shape_of(Chain(path="/chain", nodes=nodes))
    lanes = lanes_of(shape, with_errors=with_errors)
    return [draw_lanes(lanes, row, glyphs) for row in range(len(shape.nodes))]


CIRCLE = (job("a", "b"), job("b", "c"), job("c", "a"))


def test_an_edge_back_leads_from_its_sign_up_to_an_arrow() -> None:
    assert drawn(*CIRCLE) == ["╭▸", "│ ", "╰↺"]


def test_the_same_in_ascii() -> None:
    assert drawn(*CIRCLE, glyphs=ASCII) == [".>", "| ", "`^"]


def test_longer_edges_lie_further_out_and_pass_under_shorter_ones() -> None:
    nodes = (job("a", "b"), job("b", "c"), job("c", "d", "b"), job("d", "a"))
    assert drawn(*nodes, with_errors=True) == ["╭▸──", "│ ╭▸", "│ ╰↺", "╰↺──"]


def test_a_node_that_leads_to_itself_has_its_sign_alone() -> None:
    assert drawn(job("a", "a"), EndNode(state=NodeState("end"))) == ["╶↺", "  "]


def test_error_edges_back_are_hidden_with_the_other_error_edges() -> None:
    nodes = (job("a", "b"), job("b", "end", "a"), EndNode(state=NodeState("end")))
    shape = shape_of(Chain(path="/chain", nodes=nodes))
    assert lanes_of(shape, with_errors=False) == ()
    assert back_target(shape, NodeState("b"), with_errors=False) is None
    assert back_target(shape, NodeState("b"), with_errors=True) == "a"


def test_long_lines_are_broken_at_spaces_and_keep_their_roles() -> None:
    pieces = wrapped((Span("one two three ", "bold"), Span("four five")), 14, indent=2)
    assert [plain(piece) for piece in pieces] == ["one two three ", "  four five"]
    assert wrapped((Span("short"),), 80) == [(Span("short"),)]
