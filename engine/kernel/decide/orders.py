"""Requests about orders: add, modify, remove (orders-and-jobs.md 2.3, 2.13, 2.14)."""

from collections.abc import Generator, Iterator
from dataclasses import replace

from engine.kernel import problems
from engine.kernel.adding import add_order, check_params
from engine.kernel.commands import AddOrder, AfterDelay, ModifyOrder, RemoveOrder
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.definitions import EndNode
from engine.kernel.events import Event
from engine.kernel.events.orders import (
    OrderFileGone,
    OrderModified,
    OrderParamsChanged,
    OrderRemovalHeld,
    OrderRemoved,
    OrderResumed,
    OrderSetbackEnded,
    OrderStartPlanned,
    OrderSuspended,
    OrderUnblacklisted,
)
from engine.kernel.ids import OrderKey
from engine.kernel.instants import IMMEDIATELY, Instant
from engine.kernel.limits import TITLE_CHARACTERS_MAX
from engine.kernel.params import merge
from engine.kernel.plans import (
    has_begun,
    planned_start,
    refers_to_substitute,
    requested_start,
    schedule_is_missing,
    start_after_reset,
)
from engine.kernel.problems import Problem
from engine.kernel.state import State
from engine.kernel.travel import (
    arrive,
    carry_out_held,
    end_chain,
    finish,
    is_skipped_end,
    resolve,
    return_to_start,
)


def decide_add_order(state: State, request: AddOrder, at: Instant) -> Decision:
    """Place an order."""
    placed = yield from add_order(state, request, at)
    return placed if isinstance(placed, Problem) else Answer(subject=placed)


# --- modify --------------------------------------------------------------------------------------


def decide_modify_order(state: State, request: ModifyOrder, at: Instant) -> Decision:
    """Change an order; the parts are carried out in the order of 2.13."""
    found = state.find_order(request.order)
    if found is not None:
        request = replace(request, order=found.key)
    refusal = _check_modification(state, request)
    if refusal is not None:
        return refusal
    if request.reset:
        key = yield from _reset(state, request.order, at)
        request = replace(request, order=key)
    yield from _modify_properties(state, request, at)
    if request.state is not None:
        key = yield from _send_to(state, request, at)
        request = replace(request, order=key)
    key = request.order
    if key in state.orders and request.end_state is not None:
        yield OrderModified(order=key, end_state=request.end_state)
    if key in state.orders and request.at is not None:
        yield from _set_start(state, request, at)
    if key in state.orders and request.end_setback and state.orders[key].setback_count:
        yield OrderSetbackEnded(order=key)
    if key in state.orders and request.suspended is not None:
        yield from _set_suspended(state, key, suspended=request.suspended)
    if key in state.orders and request.title is not None:
        yield OrderModified(order=key, title=request.title[:TITLE_CHARACTERS_MAX])
    if key in state.orders and not state.orders[key].modified:
        yield OrderModified(order=key)
    return Answer(subject=key.id)


def _check_modification(state: State, request: ModifyOrder) -> Problem | None:
    order = state.orders.get(request.order)
    chain = state.chains.get(request.order.chain)
    if chain is None:
        return problems.unknown_object("Job_chain", request.order.chain)
    path = chain.definition.path
    if order is None:
        return problems.unknown_order(path, request.order.id)
    if order.task is not None:
        for change, asked in (
            ("a reset", request.reset),
            ("a change of its state", request.state is not None),
            ("a change of its start time", request.at is not None),
            ("the end of a setback", request.end_setback),
        ):
            if asked:
                return problems.order_in_task(order.key.id, change)
    if request.state is not None and state.node(chain.key, request.state) is None:
        return problems.unknown_state(path, request.state)
    ends_in = chain.key if order.outer is None else order.outer.chain
    if request.end_state is not None and state.node(ends_in, request.end_state) is None:
        return problems.unknown_state(path, request.end_state)
    if request.state is not None:
        node = resolve(state, chain.key, request.state, order.end_state)
        if isinstance(node, Problem):
            return node
    return refers_to_substitute(state, request.run_time) or check_params(request.params)


def _reset(state: State, key: OrderKey, at: Instant) -> Generator[Event, None, OrderKey]:
    order = state.orders[key]
    start_at = start_after_reset(state, order, at)
    key = yield from return_to_start(state, key, start_at, at, unsuspend=True)
    yield from carry_out_held(state, key, at)
    return key


def _modify_properties(state: State, request: ModifyOrder, at: Instant) -> Iterator[Event]:
    key = request.order
    if request.run_time is not None:
        yield OrderModified(order=key, run_time=request.run_time)
        if not has_begun(state.orders[key]):
            start_at = planned_start(state, request.run_time, at)
            yield OrderStartPlanned(order=key, start_at=start_at)
    if request.params:
        params = merge(state.orders[key].params, request.params)
        yield OrderParamsChanged(order=key, params=params)
    if request.xml_payload is not None:
        yield OrderModified(order=key, xml_payload=request.xml_payload)
    if request.priority is not None:
        yield OrderModified(order=key, priority=request.priority)


def _send_to(state: State, request: ModifyOrder, at: Instant) -> Generator[Event, None, OrderKey]:
    """Send the order to a node; returns its key, which changes at the end of an inner chain."""
    key = request.order
    assert request.state is not None
    order = state.orders[key]
    if order.blacklisted:
        yield OrderUnblacklisted(order=key)
    node = resolve(state, key.chain, request.state, order.end_state)
    assert not isinstance(node, Problem), "checked before"
    if isinstance(node, EndNode):
        yield from end_chain(state, key, node.state, at, succeeded=True)
    elif is_skipped_end(state, order, node):
        yield from finish(state, key, order.state, at, at_end_state=True)
    else:
        # A pending setback is over; the start time of a run that has not begun stays (2.13).
        start_at = IMMEDIATELY if order.setback_count else order.start_at
        yield from arrive(state, key, node, at, start_at)
    if key in state.orders or order.outer is None:
        return key
    moved = state.find_order(OrderKey(order.outer.chain, key.id))
    return key if moved is None else moved.key


def _set_start(state: State, request: ModifyOrder, at: Instant) -> Iterator[Event]:
    order = state.orders[request.order]
    assert request.at is not None
    if schedule_is_missing(state, order.run_time) and not has_begun(order):
        return  # js1031: without its schedule it does not start by `at` either
    start_at = requested_start(request.at, at)
    now = isinstance(request.at, AfterDelay) and start_at == IMMEDIATELY
    if now and order.touched and order.start_at == IMMEDIATELY:
        return  # js578: it waits at a later node without a start time
    yield OrderStartPlanned(order=order.key, start_at=start_at, clears_setback=True)


def _set_suspended(state: State, key: OrderKey, *, suspended: bool) -> Iterator[Event]:
    order = state.orders[key]
    if suspended and not order.suspended:
        yield OrderSuspended(order=key, reason="by command")
    elif not suspended and order.suspended:
        yield OrderResumed(order=key)
        if order.blacklisted and not order.is_file_order:
            yield OrderRemoved(order=key)
    elif not suspended and order.blacklisted and not order.is_file_order:
        yield OrderRemoved(order=key)


# --- remove --------------------------------------------------------------------------------------


def decide_remove_order(state: State, request: RemoveOrder, at: Instant) -> Decision:
    """Remove an order, after its step if it is in one; a permanent one with its file."""
    order = state.find_order(request.order)
    chain = state.chains.get(request.order.chain)
    if chain is None:
        return problems.unknown_object("Job_chain", request.order.chain)
    if order is None:
        return problems.unknown_order(chain.definition.path, request.order.id)
    if order.is_permanent and order.definition.key in state.order_files:
        yield OrderFileGone(order=order.definition.key)
    if order.task is not None:
        yield OrderRemovalHeld(order=order.key)
    else:
        yield OrderRemoved(order=order.key, reason="by command")
    return Answer(subject=order.key.id)
