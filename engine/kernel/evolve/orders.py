"""The fold of order events."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.events import orders as e
from engine.kernel.ids import OrderKey
from engine.kernel.instants import IMMEDIATELY, Instant
from engine.kernel.state import Missed, Order, Outer, State, job_of_node
from engine.kernel.versions import replace


def _order_file_found(state: State, event: e.OrderFileFound) -> None:
    state.order_files[event.definition.key] = event.definition


def _order_file_gone(state: State, event: e.OrderFileGone) -> None:
    state.order_files.pop(event.order, None)


def _order_added(state: State, event: e.OrderAdded) -> None:
    definition = event.definition
    key = definition.key
    outer = None
    if event.inner_chain is not None and event.outer_state is not None:
        key = OrderKey(event.inner_chain, key.id)
        outer = Outer(
            chain=definition.key.chain,
            state=event.outer_state,
            initial_state=event.initial_state,
        )
    assert key not in state.orders, "an order is placed once"
    order = Order(
        key=key,
        definition=definition,
        title=definition.title,
        priority=definition.priority,
        params=definition.params,
        state=event.state,
        initial_state=event.initial_state,
        end_state=definition.end_state,
        run_time=definition.run_time,
        xml_payload=definition.xml_payload,
        start_at=event.start_at,
        place=0,
        created_at=event.at,
        suspended=event.suspended,
        parent=event.parent,
        outer=outer,
    )
    state.put_order(state.order_with_place(order))
    _show(state, order)
    if definition.key.id.isdecimal():
        number = max(state.control.last_order_number, int(definition.key.id))
        state.control = replace(state.control, last_order_number=number)


def _replacement_held(state: State, event: e.OrderReplacementHeld) -> None:
    order = state.orders[event.order]
    state.put_order(
        replace(
            order,
            replacement=event.definition,
            replacement_start_at=event.start_at,
            removal_held=False,
        )
    )


def _removal_held(state: State, event: e.OrderRemovalHeld) -> None:
    state.put_order(replace(state.orders[event.order], removal_held=True, replacement=None))


def _started(state: State, event: e.OrderStarted) -> None:
    order = state.orders[event.order]
    assert not order.touched, "a run starts once"
    state.put_order(
        replace(order, touched=True, history=event.history, step=0, started_at=event.at)
    )
    state.control = replace(
        state.control, last_history=max(state.control.last_history, event.history)
    )


def _step_started(state: State, event: e.OrderStepStarted) -> None:
    order = state.orders[event.order]
    assert order.task == event.task, "only the task that holds the order works on it"
    state.put_order(replace(order, step=event.step))


def _step_ended(state: State, event: e.OrderStepEnded) -> None:
    order = state.orders[event.order]
    assert order.task == event.task, "only the task that holds the order gives it back"
    state.put_order(
        state.order_with_place(
            replace(
                order,
                task=None,
                last_task=event.task,
                last_error=event.last_error,
                start_at=IMMEDIATELY,
                setback_count=0,
                step=max(order.step, event.step),
            )
        )
    )


def _set_back(state: State, event: e.OrderSetBack) -> None:
    order = state.orders[event.order]
    assert order.task is None, "an order leaves its task before it is set back"
    state.put_order(replace(order, setback_count=event.count, start_at=event.start_at))


def _setback_ended(state: State, event: e.OrderSetbackEnded) -> None:
    state.put_order(replace(state.orders[event.order], start_at=IMMEDIATELY))


def _node_changed(state: State, event: e.OrderNodeChanged) -> None:
    order = state.orders[event.order]
    assert order.task is None, "an order leaves its task before it moves"
    state.put_order(
        state.order_with_place(
            replace(
                order,
                state=event.state,
                start_at=event.start_at,
                setback_count=event.setback_count,
                blacklisted=False,
            )
        )
    )
    _show(state, state.orders[event.order])


def _chain_changed(state: State, event: e.OrderChainChanged) -> None:
    order = state.orders[event.order]
    assert order.outer is not None, "only orders of super chains change their chain"
    state.drop_order(order.key)
    key = OrderKey(event.chain, order.key.id)
    moved = replace(
        order,
        key=key,
        state=event.state,
        start_at=event.start_at,
        setback_count=0,
        outer=replace(order.outer, state=event.outer_state),
        history=None,
        step=0,
        touched=False,
    )
    state.put_order(state.order_with_place(moved))
    _show(state, moved)


def _show(state: State, order: Order) -> None:
    """Show a hidden chain and the hidden job at whose node the order stands now (0.6)."""
    node = state.node(order.key.chain, order.state)
    state.show_enqueued(job=None if node is None else job_of_node(node), chain=order.key.chain)
    if order.outer is not None:
        state.show_enqueued(chain=order.outer.chain)


def _suspended(state: State, event: e.OrderSuspended) -> None:
    state.put_order(replace(state.orders[event.order], suspended=True))


def _resumed(state: State, event: e.OrderResumed) -> None:
    order = replace(state.orders[event.order], suspended=False)
    state.put_order(state.order_with_place(order))


def _start_planned(state: State, event: e.OrderStartPlanned) -> None:
    order = state.orders[event.order]
    count = 0 if event.clears_setback else order.setback_count
    state.put_order(replace(order, start_at=event.start_at, setback_count=count))


def _params_changed(state: State, event: e.OrderParamsChanged) -> None:
    state.put_order(replace(state.orders[event.order], params=event.params))


def _modified(state: State, event: e.OrderModified) -> None:
    order = state.orders[event.order]
    state.put_order(
        replace(
            order,
            title=order.title if event.title is None else event.title,
            priority=order.priority if event.priority is None else event.priority,
            end_state=order.end_state if event.end_state is None else event.end_state,
            xml_payload=order.xml_payload if event.xml_payload is None else event.xml_payload,
            run_time=order.run_time if event.run_time is None else event.run_time,
            modified=True,
        )
    )


def _state_text_set(state: State, event: e.OrderStateTextSet) -> None:
    state.put_order(replace(state.orders[event.order], state_text=event.text))


def _finished(state: State, event: e.OrderFinished) -> None:
    order = state.orders[event.order]
    assert order.task is None, "an order leaves its task before it ends"
    ended = replace(order, state=event.state, last_history=order.history or order.last_history)
    state.put_order(_without_run(ended))


def _returned(state: State, event: e.OrderReturned) -> None:
    order = state.orders[event.order]
    back = replace(
        _without_run(order),
        state=event.state,
        start_at=event.start_at,
        params=event.params,
        setback_count=0,
        suspended=order.suspended and not event.unsuspended,
        blacklisted=False,
    )
    if event.initial_state is not None:
        back = replace(back, initial_state=event.initial_state)
    if back.outer is not None and event.outer_state is not None:
        back = replace(back, outer=replace(back.outer, state=event.outer_state))
    state.put_order(state.order_with_place(back))
    _show(state, back)


def _without_run(order: Order) -> Order:
    """Return the order with its run over (2.10 step 5)."""
    return replace(
        order,
        touched=False,
        history=None,
        step=0,
        started_at=None,
        state_text="",
        last_error="",
        end_state=order.definition.end_state,
        start_at=Instant(IMMEDIATELY),
    )


def _blacklisted(state: State, event: e.OrderBlacklisted) -> None:
    state.put_order(replace(state.orders[event.order], blacklisted=True, file_stays=False))


def _unblacklisted(state: State, event: e.OrderUnblacklisted) -> None:
    state.put_order(replace(state.orders[event.order], blacklisted=False))


def _starts_missed(state: State, event: e.OrderStartsMissed) -> None:
    missed = Missed(first=event.first, count=event.count, until=event.at)
    state.put_order(replace(state.orders[event.order], missed=missed))


def _removed(state: State, event: e.OrderRemoved) -> None:
    chain = state.chains.get(event.order.chain)
    if chain is not None and state.orders[event.order].is_file_order:
        state.put_chain(replace(chain, file_turn=chain.file_turn + 1))
    state.drop_order(event.order)


HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    e.OrderFileFound: _order_file_found,
    e.OrderFileGone: _order_file_gone,
    e.OrderAdded: _order_added,
    e.OrderReplacementHeld: _replacement_held,
    e.OrderRemovalHeld: _removal_held,
    e.OrderStarted: _started,
    e.OrderStepStarted: _step_started,
    e.OrderStepEnded: _step_ended,
    e.OrderSetBack: _set_back,
    e.OrderSetbackEnded: _setback_ended,
    e.OrderNodeChanged: _node_changed,
    e.OrderChainChanged: _chain_changed,
    e.OrderSuspended: _suspended,
    e.OrderResumed: _resumed,
    e.OrderStartPlanned: _start_planned,
    e.OrderParamsChanged: _params_changed,
    e.OrderModified: _modified,
    e.OrderStateTextSet: _state_text_set,
    e.OrderFinished: _finished,
    e.OrderReturned: _returned,
    e.OrderBlacklisted: _blacklisted,
    e.OrderUnblacklisted: _unblacklisted,
    e.OrderStartsMissed: _starts_missed,
    e.OrderRemoved: _removed,
}
