"""The shape of a chain: its nodes in the order in which orders pass them, and its edges.

Computed when a definition changes, never when an order moves.
"""

from dataclasses import dataclass
from enum import Enum

from engine.kernel.definitions import Chain, EndNode, JobNode, NestedNode, Node, SinkNode
from engine.kernel.ids import NodeState


class EdgeKind(Enum):
    """Why an order takes an edge."""

    NEXT = "next"
    CODE = "code"
    """A return code of the step says so."""
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One way from a node to another."""

    source: NodeState
    target: NodeState
    kind: EdgeKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A chain as a graph."""

    nodes: tuple[Node, ...]
    """In the order of passing: each after all that lead to it, but for circles."""
    forward: tuple[Edge, ...]
    """Edges to later nodes."""
    back: tuple[Edge, ...]
    """Edges that close a circle."""

    def edges_from(self, state: NodeState, *, with_errors: bool) -> list[Edge]:
        """Return the forward edges that leave a node, without doubles."""
        found: dict[NodeState, Edge] = {}
        for edge in self.forward:
            if edge.source == state and (with_errors or edge.kind is not EdgeKind.ERROR):
                found.setdefault(edge.target, edge)
        return list(found.values())

    def error_target(self, state: NodeState) -> NodeState | None:
        """Return where a failing step at this node leads."""
        edges = (*self.forward, *self.back)
        return next(
            (e.target for e in edges if e.source == state and e.kind is EdgeKind.ERROR), None
        )


def edges_of(node: Node) -> list[Edge]:
    """Return the edges that leave a node, the usual one first."""
    match node:
        case JobNode():
            codes = [
                Edge(source=node.state, target=rule.to_state, kind=EdgeKind.CODE)
                for rule in node.on_return_codes
                if rule.to_state is not None
            ]
            return [*_next_and_error(node), *codes]
        case NestedNode():
            return _next_and_error(node)
        case SinkNode() | EndNode():
            return []


def _next_and_error(node: JobNode | NestedNode) -> list[Edge]:
    found = []
    if node.next_state is not None:
        found.append(Edge(source=node.state, target=node.next_state, kind=EdgeKind.NEXT))
    if node.error_state is not None:
        found.append(Edge(source=node.state, target=node.error_state, kind=EdgeKind.ERROR))
    return found


def shape_of(chain: Chain) -> Shape:
    """Return the chain as a graph; edges to nodes that do not exist are left out."""
    by_state = {node.state: node for node in chain.nodes}
    edges = {
        node.state: [edge for edge in edges_of(node) if edge.target in by_state]
        for node in chain.nodes
    }
    order = _order_of_passing(list(by_state), edges)
    position = {state: index for index, state in enumerate(order)}
    every = [edge for state in order for edge in edges[state]]
    return Shape(
        nodes=tuple(by_state[state] for state in order),
        forward=tuple(e for e in every if position[e.target] > position[e.source]),
        back=tuple(e for e in every if position[e.target] <= position[e.source]),
    )


def _order_of_passing(
    states: list[NodeState], edges: dict[NodeState, list[Edge]]
) -> list[NodeState]:
    """Return a topological order: depth first, the usual way before codes before errors."""
    rank = {EdgeKind.ERROR: 0, EdgeKind.CODE: 1, EdgeKind.NEXT: 2}
    done: list[NodeState] = []
    seen: set[NodeState] = set()
    # What is visited last comes first: the chain's first node is visited last, before it what
    # nothing leads to (other places where orders enter), before those what is left.
    entered = {edge.target for leaving in edges.values() for edge in leaving}
    others = [state for state in reversed(states[1:]) if state not in entered]
    reached = _reached([*others, *states[:1]], edges)
    leftover = [state for state in reversed(states) if state not in reached]
    for root in [*leftover, *others, *states[:1]]:
        stack: list[tuple[NodeState, list[NodeState]]] = []
        if root not in seen:
            seen.add(root)
            stack.append((root, _targets(edges[root], rank)))
        while stack:
            state, waiting = stack[-1]
            while waiting and waiting[0] in seen:
                waiting.pop(0)
            if waiting:
                target = waiting.pop(0)
                seen.add(target)
                stack.append((target, _targets(edges[target], rank)))
            else:
                done.append(state)
                stack.pop()
    return done[::-1]


def _targets(edges: list[Edge], rank: dict[EdgeKind, int]) -> list[NodeState]:
    """Return where edges lead, the last of the document first, errors before all."""
    numbered = sorted(enumerate(edges), key=lambda entry: (rank[entry[1].kind], -entry[0]))
    return [edge.target for _, edge in numbered]


def _reached(roots: list[NodeState], edges: dict[NodeState, list[Edge]]) -> set[NodeState]:
    found: set[NodeState] = set()
    waiting = list(roots)
    while waiting:
        state = waiting.pop()
        if state not in found:
            found.add(state)
            waiting.extend(edge.target for edge in edges[state])
    return found
