"""Requests about job chains and their nodes (orders-and-jobs.md 1.5)."""

from collections.abc import Iterator

from engine.kernel import problems
from engine.kernel.commands import ModifyChain, ModifyNode, NodeAction, RemoveChain
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.definitions import EndNode
from engine.kernel.events import Event
from engine.kernel.events.definitions import (
    ChainRemovalHeld,
    ChainStopSet,
    NodeActionSet,
)
from engine.kernel.events.orders import OrderNodeChanged
from engine.kernel.ids import ChainKey, NodeState
from engine.kernel.instants import Instant
from engine.kernel.problems import Problem
from engine.kernel.replacing import is_busy, remove_chain, user_of
from engine.kernel.state import State
from engine.kernel.travel import go_to, resolve, start_node


def decide_modify_chain(state: State, request: ModifyChain, at: Instant) -> Decision:
    """Stop a chain or let it run again."""
    chain = state.chains.get(request.chain)
    if chain is None:
        return problems.unknown_object("Job_chain", request.chain)
    if chain.stopped is not request.stopped:
        yield ChainStopSet(chain=chain.key, stopped=request.stopped)
    return Answer()


def decide_modify_node(state: State, request: ModifyNode, at: Instant) -> Decision:
    """Let a node process, stop or skip its orders; waiting ones move on at once (1.5)."""
    chain = state.chains.get(request.chain)
    if chain is None:
        return problems.unknown_object("Job_chain", request.chain)
    node = state.node(chain.key, request.state)
    if node is None or isinstance(node, EndNode):
        return problems.unknown_state(chain.definition.path, request.state)
    if chain.action(request.state) is not request.action:
        yield NodeActionSet(chain=chain.key, state=request.state, action=request.action)
        if request.action is NodeAction.NEXT_STATE:
            yield from _move_waiting_on(state, chain.key, request.state, at)
        elif request.action is NodeAction.PROCESS:
            yield from _put_back_dropped(state, chain.key, at)
    return Answer()


def _move_waiting_on(
    state: State, chain: ChainKey, node: NodeState, at: Instant
) -> Iterator[Event]:
    """Send the orders that wait at a node which is skipped now to the next one."""
    if isinstance(resolve(state, chain, node), Problem):
        return
    queue = state.queues.get((chain, node))
    for key in [] if queue is None else list(queue.all):
        order = state.orders[key]
        if order.task is None and not order.blacklisted:
            start_at = order.start_at
            yield from go_to(state, key, node, at)
            moved = state.orders.get(key)
            waits = moved is not None and not moved.blacklisted and not moved.touched
            if moved is not None and waits and moved.state != node:
                # It has not begun: its start time still counts where it stands now.
                yield OrderNodeChanged(
                    order=key, state=moved.state, former=moved.state, start_at=start_at
                )


def _put_back_dropped(state: State, chain: ChainKey, at: Instant) -> Iterator[Event]:
    """Permanent orders that have not begun and stand where every node was skipped (js864).

    They are put to the first node from their initial one on that is not skipped any more.
    """
    for key in list(state.orders_of_chain.get(chain, ())):
        order = state.orders[key]
        standing = state.node(chain, order.state)
        dropped = (
            isinstance(standing, EndNode)
            or state.chains[chain].action(order.state) is NodeAction.NEXT_STATE
        )
        if order.is_permanent and not order.touched and order.outer is None and dropped:
            entry = start_node(state, chain, order.initial_state, order.end_state)
            if not isinstance(entry, Problem):
                yield OrderNodeChanged(
                    order=key, state=entry.node.state, former=order.state, start_at=order.start_at
                )


def decide_remove_chain(state: State, request: RemoveChain, at: Instant) -> Decision:
    """Remove a chain with its orders as soon as none of them is in a task."""
    chain = state.chains.get(request.chain)
    if chain is None:
        return problems.unknown_object("Job_chain", request.chain)
    user = user_of(state, chain.key)
    if user is not None:
        return problems.chain_in_use(chain.definition.path, user)
    if is_busy(state, chain.key):
        yield ChainRemovalHeld(chain=chain.key)
    else:
        yield from remove_chain(state, chain.key)
    return Answer()
