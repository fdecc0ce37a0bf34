"""What a request would come to, without carrying it out: refused or not, and what it would meet.

A refusal is known before the first event of a decision, so the decision is begun and dropped. The
way of an order is followed along the usual ends of its steps; at each node stands what would hold
it up if it came there now.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.kernel.capacity import at_order_limit
from engine.kernel.commands import AddOrder, ModifyOrder, NodeAction, Request, StartJob
from engine.kernel.decide import decide
from engine.kernel.definitions import EndNode, NestedNode, SinkNode
from engine.kernel.ids import ChainKey, NodeState
from engine.kernel.instants import Instant
from engine.kernel.problems import Problem
from engine.kernel.reasons import Reason, ReasonKind, job_reasons
from engine.kernel.state import ChainState, State, job_of_node
from engine.kernel.travel import Entry, resolve, start_node

MET_MAX = 100
"""Obstacles that are told at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """Something that would hold an order up."""

    node: NodeState
    """Where; empty: before its first node."""
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Foresight:
    """What would come of a request now."""

    refusal: Problem | None = None
    changes: bool = False
    """Whether anything would happen at once."""
    met: tuple[Met, ...] = ()
    """What the order (or task) would meet on its way, the nearest first."""


def foresee(state: State, asked: Request, at: Instant) -> Foresight:
    """Return what a request would come to; `state` stays as it is."""
    decision = decide(state, asked, at)
    try:
        next(decision)
    except StopIteration as end:
        if isinstance(end.value, Problem):
            return Foresight(refusal=end.value)
        return Foresight()
    finally:
        decision.close()
    met = tuple(each for each, _ in zip(_met(state, asked, at), range(MET_MAX), strict=False))
    return Foresight(changes=True, met=met)


def _met(state: State, asked: Request, at: Instant) -> Iterator[Met]:
    match asked:
        case AddOrder(order=order):
            entry = start_node(state, order.key.chain, order.state, order.end_state)
            if isinstance(entry, Entry):
                chain = entry.inner_chain or order.key.chain
                yield from _before(state.chains[order.key.chain])
                if at_order_limit(state, state.chains[chain]):
                    yield Met(node=NodeState(""), reason=_full(state, state.chains[chain]))
                yield from _along(state, chain, entry.node.state, order.end_state, at)
                if entry.outer_state is not None:
                    yield from _outer(state, order.key.chain, entry.outer_state, at)
        case ModifyOrder():
            order_now = state.find_order(asked.order)
            if order_now is None or order_now.task is not None or asked.suspended:
                return
            chain = order_now.key.chain
            target = asked.state or (order_now.initial_state if asked.reset else order_now.state)
            yield from _before(state.chains[chain])
            yield from _along(state, chain, target, asked.end_state or order_now.end_state, at)
        case StartJob(job=job):
            for reason in job_reasons(state, job, at):
                yield Met(node=NodeState(""), reason=reason)
        case _:
            return


def _before(chain: ChainState) -> Iterator[Met]:
    if chain.stopped:
        path = chain.definition.path
        reason = Reason(kind=ReasonKind.CHAIN_STOPPED, subject=path)
        yield Met(node=NodeState(""), reason=reason)


def _full(state: State, chain: ChainState) -> Reason:
    return Reason(
        kind=ReasonKind.CHAIN_FULL,
        subject=chain.definition.path,
        used=state.started_in_chain.get(chain.key, 0),
        limit=chain.definition.max_orders,
    )


def _along(
    state: State, key: ChainKey, start: NodeState, end: NodeState | None, at: Instant
) -> Iterator[Met]:
    """Follow the usual way through one chain."""
    chain = state.chains[key]
    seen: set[NodeState] = set()
    current: NodeState | None = start
    while current is not None:
        node = resolve(state, key, current, end)
        if isinstance(node, Problem | EndNode) or node.state in seen:
            return
        seen.add(node.state)
        if chain.action(node.state) is NodeAction.STOP:
            stopped = Reason(kind=ReasonKind.NODE_STOPPED, subject=node.state)
            yield Met(node=node.state, reason=stopped)
        if node.suspend:
            yield Met(node=node.state, reason=Reason(kind=ReasonKind.RESUME))
        job = job_of_node(node)
        if job is not None:
            for reason in job_reasons(state, job, at, chain):
                yield Met(node=node.state, reason=reason)
        if node.state == end or isinstance(node, SinkNode):
            return
        current = node.next_state


def _outer(state: State, key: ChainKey, after: NodeState, at: Instant) -> Iterator[Met]:
    """Follow a super chain through the chains behind the first one."""
    seen: set[NodeState] = set()
    node = state.node(key, after)
    while isinstance(node, NestedNode) and node.state not in seen:
        seen.add(node.state)
        if node.state != after and (inner := state.chains.get(node.chain)) is not None:
            yield from _before(inner)
            if inner.definition.nodes:
                yield from _along(state, node.chain, inner.definition.nodes[0].state, None, at)
        node = None if node.next_state is None else state.node(key, node.next_state)
