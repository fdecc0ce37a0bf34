"""How orders travel: which node comes next, what happens on arrival, how a run ends.

The functions yield events one at a time; `step` applies each before it asks for the next, so that
every line sees the state as it has become.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from engine.kernel import problems
from engine.kernel.commands import NodeAction
from engine.kernel.definitions import (
    EndNode,
    JobNode,
    NestedNode,
    Node,
    OnError,
    OrderDefinition,
    SinkNode,
)
from engine.kernel.events import Event
from engine.kernel.events.orders import (
    REPLACED,
    OrderAdded,
    OrderBlacklisted,
    OrderChainChanged,
    OrderFileGone,
    OrderFinished,
    OrderNodeChanged,
    OrderRemoved,
    OrderReturned,
    OrderSetBack,
    OrderSuspended,
)
from engine.kernel.ids import ChainKey, NodeState, OrderKey
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration, Instant, later
from engine.kernel.params import is_no, is_yes, value_of
from engine.kernel.plans import next_start, schedule_is_missing, start_of_file
from engine.kernel.problems import Problem
from engine.kernel.state import JobState, Order, State, job_of_node

KEEP_CONTENT = "scheduler.order.keep_order_content_on_reschedule"
"""Parameter of the engine: `false` gives permanent orders the parameters of their file back when a
run has ended (2.10 step 5)."""

ENDLESS_SETBACK = "pointsman.setback.endless_without_maximum"
"""Parameter of the engine: `yes` reads the old documentation's way; the original's engine sends an
order to the error node at its first setback when the job names no maximum (4.1)."""

NOWHERE = NodeState("")
"""Where an order ends that fails at a node without an error node (1.4.3)."""


# --- finding the way -----------------------------------------------------------------------------


def resolve(
    state: State, chain: ChainKey, target: NodeState, end_state: NodeState | None = None
) -> Node | Problem:
    """Return the first node from `target` on that does not skip its orders (13.1).

    A skipped node that is the order's end state is returned itself: nobody travels past it.
    """
    seen: set[NodeState] = set()
    current = target
    actions = state.chains[chain]
    while True:
        node = state.node(chain, current)
        if node is None:
            return problems.unknown_state(actions.definition.path, current)
        if actions.action(current) is not NodeAction.NEXT_STATE or isinstance(node, EndNode):
            return node
        if end_state is not None and current == end_state:
            return node
        if current in seen:
            return problems.skipping_loop(actions.definition.path, target)
        seen.add(current)
        following = None if isinstance(node, SinkNode) else node.next_state
        if following is None:
            return node
        current = following


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Where an order begins: a node, and for an order of a super chain which one it is in."""

    node: Node
    inner_chain: ChainKey | None = None
    outer_state: NodeState | None = None


def start_node(
    state: State, chain: ChainKey, wanted: NodeState | None, end_state: NodeState | None
) -> Entry | Problem:
    """Return where an order of this chain begins (2.3 step 3)."""
    definition = state.chains[chain].definition
    if wanted is None:
        if not definition.nodes:
            return problems.not_addable(definition.path, NOWHERE)
        wanted = definition.nodes[0].state
    if definition.is_nested:
        entry = enter_nested(state, chain, wanted, end_state)
        return problems.not_addable(definition.path, wanted) if entry is None else entry
    node = resolve(state, chain, wanted, end_state)
    if isinstance(node, Problem):
        return node
    skipped = state.chains[chain].action(node.state) is NodeAction.NEXT_STATE
    if skipped or job_of_node(node) is None:
        return problems.not_addable(definition.path, wanted)
    return Entry(node=node)


def enter_nested(
    state: State, super_chain: ChainKey, wanted: NodeState, end_state: NodeState | None
) -> Entry | Problem | None:
    """Return the first inner chain from `wanted` on that has something to do (1.10, js1476).

    None: an end node of the super chain was reached.
    """
    seen: set[NodeState] = set()
    outer_state = wanted
    if super_chain not in state.chains:
        return problems.unknown_object("Job_chain", super_chain)
    while outer_state not in seen:
        seen.add(outer_state)
        node = resolve(state, super_chain, outer_state, end_state)
        if isinstance(node, Problem):
            return node
        if not isinstance(node, NestedNode):
            return None
        inner = state.chains.get(node.chain)
        if inner is None or not inner.definition.nodes:
            return problems.unknown_object("Job_chain", node.chain_path)
        first = resolve(state, node.chain, inner.definition.nodes[0].state)
        if isinstance(first, Problem):
            return first
        if job_of_node(first) is not None:
            return Entry(node=first, inner_chain=node.chain, outer_state=node.state)
        if node.next_state is None or node.state == end_state:
            return None
        outer_state = node.next_state
    return problems.skipping_loop(state.chains[super_chain].definition.path, wanted)


def suspends_on_arrival(node: Node) -> bool:
    """Whether an order is suspended when it arrives at the node (1.6)."""
    return not isinstance(node, EndNode) and node.suspend


def _delay(node: Node) -> Duration:
    return Duration(0) if isinstance(node, EndNode) else node.delay


# --- moving --------------------------------------------------------------------------------------


def place(
    state: State,
    definition: OrderDefinition,
    entry: Entry,
    start_at: Instant,
    at: Instant,
    parent: OrderKey | None = None,
) -> Iterator[Event]:
    """Put a new order at its first node; a delay there does not count (1.6).

    A first node that suspends its orders does so even when it is skipped (1.5).
    """
    first = definition.state or state.chains[definition.key.chain].definition.nodes[0].state
    named = state.node(definition.key.chain, first)
    suspends = suspends_on_arrival(entry.node) or (named is not None and suspends_on_arrival(named))
    yield OrderAdded(
        definition=definition,
        state=entry.node.state,
        initial_state=first,
        start_at=start_at,
        at=at,
        suspended=definition.suspended or suspends,
        parent=parent,
        inner_chain=entry.inner_chain,
        outer_state=entry.outer_state,
    )


def go_to(
    state: State, key: OrderKey, target: NodeState, at: Instant, *, succeeded: bool = True
) -> Iterator[Event]:
    """Send an order that is in no task to a node, or end its run there (2.7 A).

    `succeeded` counts at the end of an inner chain: it chooses the way through the super chain.
    """
    order = state.orders[key]
    node = resolve(state, key.chain, target, order.end_state)
    if isinstance(node, Problem):
        # The chain was changed under the order: it waits, visibly, for somebody to send it on.
        yield OrderSuspended(order=key, reason=str(node))
        yield OrderNodeChanged(order=key, state=target, former=order.state, start_at=IMMEDIATELY)
        return
    skipped = _skipped(state, key.chain, target, node)
    if isinstance(node, EndNode):
        yield from end_chain(state, key, node.state, at, succeeded=succeeded, skipped=skipped)
    elif is_skipped_end(state, order, node):
        yield from finish(state, key, order.state, at, at_end_state=True)
    else:
        yield from arrive(state, key, node, at, skipped=skipped)


def _skipped(
    state: State, chain: ChainKey, target: NodeState, reached: Node
) -> tuple[NodeState, ...]:
    """Return the nodes that lie between a target and where `resolve` says it leads."""
    found: list[NodeState] = []
    node = state.node(chain, target)
    while isinstance(node, JobNode | NestedNode) and node.state != reached.state:
        found.append(node.state)
        node = None if node.next_state is None else state.node(chain, node.next_state)
    return tuple(found)


def is_skipped_end(state: State, order: Order, node: Node) -> bool:
    """Whether the node is skipped and nevertheless the last one: the order ends before it (2.8)."""
    return (
        order.outer is None
        and node.state == order.end_state
        and state.chains[order.key.chain].action(node.state) is NodeAction.NEXT_STATE
    )


def arrive(
    state: State,
    key: OrderKey,
    node: Node,
    at: Instant,
    start_at: Instant = IMMEDIATELY,
    *,
    skipped: tuple[NodeState, ...] = (),
) -> Iterator[Event]:
    """Let an order come to a node where it waits for a job (1.6).

    The node's delay counts only for an order that has no start time.
    """
    order = state.orders[key]
    if suspends_on_arrival(node) and not order.suspended:
        yield OrderSuspended(order=key, reason=f"the node {node.state} suspends its orders")
    if start_at == IMMEDIATELY and _delay(node):
        start_at = later(at, _delay(node))
    yield OrderNodeChanged(
        order=key, state=node.state, former=order.state, start_at=start_at, skipped=skipped
    )


def stay(state: State, key: OrderKey, start_at: Instant, at: Instant) -> Iterator[Event]:
    """Let an order wait at its node again after a step that kept it or set it back (2.7 D)."""
    order = state.orders[key]
    node = state.node(key.chain, order.state)
    if node is None:
        return
    if state.chains[key.chain].action(order.state) is NodeAction.NEXT_STATE:
        yield from go_to(state, key, order.state, at)
        return
    if suspends_on_arrival(node) and not order.suspended:
        yield OrderSuspended(order=key, reason=f"the node {node.state} suspends its orders")
    if start_at == IMMEDIATELY and _delay(node):
        yield OrderNodeChanged(
            order=key,
            state=order.state,
            former=order.state,
            start_at=later(at, _delay(node)),
            setback_count=order.setback_count,
        )


def advance(
    state: State,
    key: OrderKey,
    target: NodeState | None,
    error_state: NodeState | None,
    at: Instant,
) -> Iterator[Event]:
    """Move an order on after a step: to `target`, or without one to its node's error state.

    An order whose end state is its present node, or the next one if that is skipped, ends where it
    stands (2.8).
    """
    order = state.orders[key]
    goto = target if target is not None else error_state
    if order.outer is None and order.end_state is not None:
        if order.state == order.end_state or _skips_end_state(state, order, goto):
            yield from finish(state, key, order.state, at, at_end_state=True)
            return
    succeeded = target is not None
    if goto is None:
        yield from end_chain(state, key, NOWHERE, at, succeeded=succeeded)
    else:
        yield from go_to(state, key, goto, at, succeeded=succeeded)


def _skips_end_state(state: State, order: Order, goto: NodeState | None) -> bool:
    if goto is None:
        return False
    node = resolve(state, order.key.chain, goto, order.end_state)
    return not isinstance(node, Problem) and is_skipped_end(state, order, node)


# --- the end of a run ----------------------------------------------------------------------------


def end_chain(
    state: State,
    key: OrderKey,
    end: NodeState,
    at: Instant,
    *,
    succeeded: bool,
    skipped: tuple[NodeState, ...] = (),
) -> Iterator[Event]:
    """End an order's way through a chain: in a super chain it goes on to the next inner one."""
    order = state.orders[key]
    if order.outer is None:
        yield from finish(state, key, end, at, skipped=skipped)
        return
    node = state.node(order.outer.chain, order.outer.state)
    following = None
    if isinstance(node, NestedNode) and order.outer.state != order.end_state:
        following = node.next_state if succeeded else node.error_state
    entry = None
    if following is not None:
        entry = enter_nested(state, order.outer.chain, following, order.end_state)
    if isinstance(entry, Entry):
        entry = _unless_taken(state, order, entry)
    if isinstance(entry, Problem):
        yield OrderSuspended(order=key, reason=str(entry))
        yield OrderNodeChanged(order=key, state=end, former=order.state, start_at=IMMEDIATELY)
    elif entry is None:
        ends = order.outer.state == order.end_state
        yield from finish(state, key, end, at, skipped=skipped, at_end_state=ends)
    else:
        yield from _change_chain(state, key, entry, end, IMMEDIATELY, at)


def _unless_taken(state: State, order: Order, entry: Entry) -> Entry | Problem:
    """Return a problem if the inner chain has another order of this id.

    The chains have got orders of one id before the super chain joined them (SCHEDULER-426).
    """
    if entry.inner_chain is None or entry.inner_chain == order.key.chain:
        return entry
    if OrderKey(entry.inner_chain, order.key.id) not in state.orders:
        return entry
    path = state.chains[entry.inner_chain].definition.path
    return problems.order_ids_collide(path, order.key.id)


def _change_chain(
    state: State, key: OrderKey, entry: Entry, end: NodeState, start_at: Instant, at: Instant
) -> Iterator[Event]:
    assert entry.inner_chain is not None
    assert entry.outer_state is not None
    yield OrderChainChanged(
        order=key,
        chain=entry.inner_chain,
        state=entry.node.state,
        outer_state=entry.outer_state,
        start_at=start_at,
        former_state=end,
        at=at,
    )
    moved = OrderKey(entry.inner_chain, key.id)
    if suspends_on_arrival(entry.node) and not state.orders[moved].suspended:
        yield OrderSuspended(order=moved, reason=f"the node {entry.node.state} suspends its orders")


def finish(
    state: State,
    key: OrderKey,
    end: NodeState,
    at: Instant,
    *,
    skipped: tuple[NodeState, ...] = (),
    at_end_state: bool = False,
) -> Iterator[Event]:
    """End the run of an order (2.10): it returns to its start, stays blacklisted, or goes."""
    order = state.orders[key]
    start_at = next_start(state, order, at)
    repeats = (
        order.is_permanent or start_at < NEVER or schedule_is_missing(state, order.run_time)
    ) and (
        order.outer is not None
        or end != order.initial_state
        or order.initial_state == order.end_state
    )
    yield OrderFinished(order=key, state=end, at=at, skipped=skipped, at_end_state=at_end_state)
    if order.removal_held or order.replacement is not None:
        yield from carry_out_held(state, key, at)
        return
    if repeats:
        yield from return_to_start(state, key, start_at, at)
    elif order.is_file_order or order.suspended:
        yield OrderBlacklisted(order=key)
    else:
        if order.is_permanent and order.definition.key in state.order_files:
            # Its run ends where it began: it goes, and stays away until its file is read again.
            yield OrderFileGone(order=order.definition.key)
        if key in state.orders:
            yield OrderRemoved(order=key)


def return_to_start(
    state: State, key: OrderKey, start_at: Instant, at: Instant, *, unsuspend: bool = False
) -> Generator[Event, None, OrderKey]:
    """Put an order back to its initial node, its run over (2.10 step 3, 2.14).

    Returns the order's key, which changes with the inner chain of a super chain's order.
    """
    order = state.orders[key]
    params = order.params
    if order.is_permanent and is_no(value_of(state.main.params, KEEP_CONTENT)):
        params = order.definition.params
    new_initial: NodeState | None = None
    if order.outer is not None:
        entry = enter_nested(state, order.outer.chain, order.outer.initial_state, None)
        if isinstance(entry, Entry):
            entry = _unless_taken(state, order, entry)
        if isinstance(entry, Entry) and entry.inner_chain not in {None, key.chain}:
            yield from _change_chain(state, key, entry, order.state, start_at, at)
            assert entry.inner_chain is not None
            key = OrderKey(entry.inner_chain, key.id)
        first = entry.node.state if isinstance(entry, Entry) else order.state
        node: Node | None = entry.node if isinstance(entry, Entry) else None
        outer_state = entry.outer_state if isinstance(entry, Entry) else None
    else:
        initial = order.initial_state
        nodes = state.chains[key.chain].definition.nodes
        if state.node(key.chain, initial) is None and nodes:
            initial = new_initial = nodes[0].state
        found = resolve(state, key.chain, initial)
        node = None if isinstance(found, Problem | EndNode) else found
        first = initial if node is None else node.state
        outer_state = None
    yield OrderReturned(
        order=key,
        state=first,
        start_at=start_at,
        params=params,
        unsuspended=unsuspend,
        outer_state=outer_state,
        initial_state=new_initial,
    )
    if node is not None and suspends_on_arrival(node) and not state.orders[key].suspended:
        yield OrderSuspended(order=key, reason=f"the node {first} suspends its orders")
    return key


def carry_out_held(state: State, key: OrderKey, at: Instant) -> Iterator[Event]:
    """Remove or replace an order for which that was asked while it was in a task (2.3)."""
    order = state.orders.get(key)
    if order is None or order.task is not None:
        return
    if order.removal_held:
        yield OrderRemoved(order=key, reason="by command")
    elif order.replacement is not None:
        definition = order.replacement
        start_at = order.replacement_start_at
        if definition.source is None and order.definition.key in state.order_files:
            # It replaces the file's order in memory, until the file is read again (2.3).
            yield OrderFileGone(order=order.definition.key)
        yield OrderRemoved(order=key, reason=REPLACED)
        entry = start_node(state, definition.key.chain, definition.state, definition.end_state)
        if not isinstance(entry, Problem):
            if start_at is None:
                start_at = start_of_file(state, definition, at)
            yield from place(state, definition, entry, start_at, at)


# --- setback -------------------------------------------------------------------------------------


def setback_delay(state: State, order: Order, count: int) -> Duration | None:
    """Return how long the order waits at its `count`-th setback; None: too often (4.3)."""
    node = state.node(order.key.chain, order.state)
    job = state.jobs.get(node.job) if isinstance(node, JobNode) else None
    if job is None or (count > job.definition.setback_max and not _is_endless(state, job)):
        return None
    fitting = [entry for entry in job.definition.setback_delays if entry.count <= count]
    return max(fitting, key=lambda entry: entry.count).delay if fitting else Duration(0)


def _is_endless(state: State, job: JobState) -> bool:
    """Whether a job that names no maximum sets its orders back for ever, by a setting (15.2)."""
    definition = job.definition
    if definition.setback_max or not definition.setback_delays:
        return False
    return is_yes(value_of(state.main.params, ENDLESS_SETBACK))


def set_back(state: State, key: OrderKey, count: int, at: Instant) -> Iterator[Event]:
    """Set an order back for the `count`-th time; one time too many gives no event."""
    order = state.orders[key]
    delay = setback_delay(state, order, count)
    if delay is not None:
        start_at = later(at, delay) if delay else IMMEDIATELY
        yield OrderSetBack(order=key, count=count, start_at=start_at)


def on_error_of(node: Node | None) -> OnError | None:
    """Return what a failing step does at this node beside going to the error state."""
    return node.on_error if isinstance(node, JobNode) else None
