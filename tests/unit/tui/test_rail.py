"""The rail drawing: joints, edges as connected paths, the same for the same chain."""

import random
from collections.abc import Sequence

import pytest

from engine.kernel.definitions import Chain, CodeRange, EndNode, JobNode, Node, OnReturnCodes
from engine.kernel.ids import NodeState, job_key
from tui.views.glyphs import ASCII, UNICODE, Glyphs
from tui.views.rail import DOWN, UP, draw_rail, node_sign, rail_of
from tui.views.shape import shape_of


def job(state: str, target: str, error: str | None = None, codes: Sequence[str] = ()) -> JobNode:
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


def chain(*nodes: Node) -> Chain:
    return Chain(path="/chain", nodes=nodes)


def end(state: str) -> EndNode:
    return EndNode(state=NodeState(state))


def drawing(
    of: Chain, *, with_errors: bool = False, glyphs: Glyphs = UNICODE
) -> list[tuple[str, str]]:
    shape = shape_of(of)
    return [
        (draw_rail(row, node_sign(shape, row.state, glyphs), glyphs), row.state)
        for row in rail_of(shape, with_errors=with_errors)
    ]


INVOICE = chain(
    job("start", "fetch", "err"),
    job("fetch", "check", "err"),
    job("check", "load_a", "err", ["load_b", "load_c"]),
    job("load_a", "join", "err"),
    job("load_b", "join", "err"),
    job("load_c", "join", "err"),
    job("join", "report", "fetch"),
    job("report", "end", "err"),
    end("end"),
    end("err"),
)


def test_a_chain_that_forks_and_joins() -> None:
    assert drawing(INVOICE) == [
        ("●", "start"),
        ("●", "fetch"),
        ("●─┬─╮", "check"),
        ("● │ │", "load_a"),
        ("├─● │", "load_b"),
        ("├───●", "load_c"),
        ("●", "join"),
        ("●", "report"),
        ("○", "end"),
        ("○", "err"),
    ]


def test_error_edges_gather_in_one_rail() -> None:
    assert drawing(INVOICE, with_errors=True) == [
        ("●─╮", "start"),
        ("●─┤", "fetch"),
        ("●─┼─┬─╮", "check"),
        ("●─┤ │ │", "load_a"),
        ("├─┼─● │", "load_b"),
        ("├─┼───●", "load_c"),
        ("● │", "join"),
        ("●─┤", "report"),
        ("○ │", "end"),
        ("  ○", "err"),
    ]


def test_the_same_in_ascii() -> None:
    assert drawing(INVOICE, glyphs=ASCII)[2:6] == [
        ("*-+-.", "check"),
        ("* | |", "load_a"),
        ("+-* |", "load_b"),
        ("+---*", "load_c"),
    ]


def test_an_edge_that_closes_a_circle_is_no_rail() -> None:
    shape = shape_of(INVOICE)
    assert [(edge.source, edge.target) for edge in shape.back] == [("join", "fetch")]


def test_a_chain_that_is_one_circle_begins_with_its_first_node() -> None:
    circle = chain(job("a", "b"), job("b", "c"), job("c", "a"))
    assert [node.state for node in shape_of(circle).nodes] == ["a", "b", "c"]


def test_nodes_come_after_all_that_lead_to_them() -> None:
    mixed = chain(job("c", "end"), job("a", "b"), job("b", "c"), end("end"))
    states = [node.state for node in shape_of(mixed).nodes]
    assert states.index(NodeState("b")) < states.index(NodeState("c"))
    assert states[0] == "a"


def test_edges_to_nodes_that_do_not_exist_are_left_out() -> None:
    assert drawing(chain(job("a", "nowhere"), end("end"))) == [("●", "a"), ("○", "end")]


@pytest.mark.parametrize("seed", range(20))
def test_every_edge_is_a_connected_path_and_no_two_nodes_overlap(seed: int) -> None:
    dice = random.Random(seed)
    names = [f"n{i}" for i in range(dice.randint(2, 60))]
    nodes: list[Node] = [
        job(
            name,
            dice.choice(names[i + 1 :]),
            dice.choice([None, names[-1]]),
            [dice.choice(names[i + 1 :]) for _ in range(dice.choice([0, 0, 1, 2]))],
        )
        for i, name in enumerate(names[:-1])
    ]
    shape = shape_of(chain(*nodes, end(names[-1])))
    rows = rail_of(shape, with_errors=True)
    assert rows == rail_of(shape, with_errors=True)
    at = {row.state: index for index, row in enumerate(rows)}
    for edge in {(e.source, e.target) for e in shape.forward}:
        source, target = rows[at[edge[0]]], rows[at[edge[1]]]
        rails = [rail for state, rail in source.departures if state == edge[1]]
        assert len(rails) == 1, "an edge leaves on one rail"
        assert rails[0] in target.arrivals, "and arrives on it"
        assert source.joints[2 * rails[0]] & DOWN
        for between in rows[at[edge[0]] + 1 : at[edge[1]]]:
            joint = between.joints[2 * rails[0]]
            assert joint & UP, "the rail comes from above"
            assert joint & DOWN, "the rail goes on"
            assert between.column != rails[0], "no node stands on it"
        assert target.joints[2 * rails[0]] & UP
