"""Adding orders: by request, by file, by a node of another order's chain (2.3, 1.9)."""

from collections.abc import Generator
from dataclasses import replace

from engine.kernel import problems
from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.events import Event
from engine.kernel.events.orders import (
    REPLACED,
    OrderFileGone,
    OrderRemoved,
    OrderReplacementHeld,
)
from engine.kernel.ids import OrderId, OrderKey
from engine.kernel.instants import Instant
from engine.kernel.limits import ORDER_ID_CHARACTERS_MAX, PARAMS_BYTES_MAX, TITLE_CHARACTERS_MAX
from engine.kernel.params import Params
from engine.kernel.plans import first_start, refers_to_substitute
from engine.kernel.problems import Problem
from engine.kernel.state import Order, State
from engine.kernel.travel import place, start_node


def add_order(
    state: State, request: AddOrder, at: Instant
) -> Generator[Event, None, OrderId | Problem]:
    """Place an order, replace one, or hold the replacement until its step has ended (2.3).

    Returns the order's id, or a problem without any event.
    """
    definition = _with_id(state, request.order)
    chain = state.chains.get(definition.key.chain)
    if chain is None:
        return problems.unknown_object("Job_chain", definition.key.chain)
    if chain.removal_held:
        return problems.chain_being_removed(chain.definition.path)
    refusal = _check_sizes(definition) or refers_to_substitute(state, definition.run_time)
    if refusal is not None:
        return refusal
    if definition.end_state is not None and not chain.definition.is_nested:
        if state.node(chain.key, definition.end_state) is None:
            return problems.unknown_state(chain.definition.path, definition.end_state)
    existing = order_of_same_id(state, definition.key)
    if existing is not None and not request.replace:
        return problems.order_exists(chain.definition.path, definition.key.id)
    entry = start_node(state, chain.key, definition.state, definition.end_state)
    if isinstance(entry, Problem):
        return entry
    start_at = first_start(state, definition, request.at, at)
    if existing is not None and existing.task is not None:
        yield OrderReplacementHeld(
            order=existing.key, definition=definition, start_at=start_at, parent=request.parent
        )
    else:
        # It replaces the file's order in memory, until the file is read again (2.3).
        if definition.key in state.order_files:
            yield OrderFileGone(order=definition.key)
        if existing is not None:
            if existing.is_permanent and existing.definition.key in state.order_files:
                yield OrderFileGone(order=existing.definition.key)
            if existing.key in state.orders:
                yield OrderRemoved(order=existing.key, reason=REPLACED)
        yield from place(state, definition, entry, start_at, at, request.parent)
    return definition.key.id


def order_of_same_id(state: State, key: OrderKey) -> Order | None:
    """Return the order that has this id in the chain or in its id space (1.10)."""
    if not state.chains[key.chain].definition.is_nested and key.chain not in state.supers_of_chain:
        return state.orders.get(key)
    for chain in state.id_space(key.chain):
        found = state.orders.get(OrderKey(chain, key.id))
        if found is not None:
            return found
    return None


def _with_id(state: State, definition: OrderDefinition) -> OrderDefinition:
    """Return the definition with a generated id if it has none, and its title cut (2.2)."""
    key = definition.key
    if not key.id:
        number = state.control.last_order_number + 1
        while OrderKey(key.chain, OrderId(str(number))) in state.orders:
            number += 1
        key = OrderKey(key.chain, OrderId(str(number)))
    return replace(definition, key=key, title=definition.title[:TITLE_CHARACTERS_MAX])


def _check_sizes(definition: OrderDefinition) -> Problem | None:
    if len(definition.key.id) > ORDER_ID_CHARACTERS_MAX:
        return problems.order_id_too_long(len(definition.key.id), ORDER_ID_CHARACTERS_MAX)
    return check_params(definition.params)


def check_params(params: Params) -> Problem | None:
    """Return a problem if the set is larger than the engine keeps."""
    size = sum(len(name) + len(value) for name, value in params.items())
    if size > PARAMS_BYTES_MAX:
        return problems.bad_value("params", f"{size} characters", f"{PARAMS_BYTES_MAX} at most")
    return None
