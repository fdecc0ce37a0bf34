"""Answers about orders: `order`, `order_queue`, `order_history` (xml-commands.md 7.5, 7.6)."""

from collections.abc import Iterable, Iterator
from functools import partial
from heapq import nsmallest

from engine.codec.xml.answers import (
    PastOrder,
    Requisite,
    View,
    active_schedule,
    element,
    file_based,
    given,
    history_moment,
    log,
    moment,
    params,
    ref,
    source_element,
    xml_fragment,
    yes,
)
from engine.codec.xml.answers_run_time import written_run_time
from engine.codec.xml.deferred import appended
from engine.codec.xml.findings import Element
from engine.kernel.calendar import CalendarUser
from engine.kernel.commands import ObjectKind
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import ChainKey, name_of
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant
from engine.kernel.state import NodeKey, Order, State, job_of_node


def chain_path(state: State, key: ChainKey) -> str:
    """Return a chain's path in the spelling of its file."""
    chain = state.chains.get(key)
    return key if chain is None else chain.definition.path


def job_path(state: State, key: str) -> str:
    """Return a job's path in the spelling of its file."""
    job = state.jobs.get(key)  # type: ignore[call-overload]  # a plain text may be a key
    return key if job is None else str(job.definition.path)


def order_type(order: Order) -> str:
    """Return where an order comes from: Permanent, FileOrder or AdHoc."""
    if order.is_permanent:
        return "Permanent"
    return "FileOrder" if order.is_file_order else "AdHoc"


def order_element(view: View, order: Order) -> Element:
    """Return `<order>` with everything that was asked for."""
    result = element("order", **_attributes(view, order))
    result.append(_file_part(view, order))
    if order.replacement is not None:
        result.append(element("replacement", waiting_order_element(view, order)))
    elif (file := _waiting_file(view.state, order)) is not None:
        result.append(element("replacement", _order_of_new_file(view, order, file)))
    if view.wants("source"):
        source = source_element(order.definition.source)
        if source is not None:
            result.append(source)
    if view.wants("payload"):
        result.append(element("payload", params(order.params)))
    if view.wants("run_time") and order.run_time is not None:
        result.append(written_run_time(order.run_time, order.definition.source))
    payload = xml_fragment("xml_payload", order.xml_payload) if view.wants("payload") else None
    if payload is not None:
        result.append(payload)
    if order.outer is not None:
        entry = element(
            "order.job_chain_stack.entry",
            job_chain=chain_path(view.state, order.outer.chain),
            state=order.outer.state,
        )
        result.append(element("order.job_chain_stack", entry))
    result.append(log(view, last_error=order.last_error))
    return result


def _waiting_file(state: State, order: Order) -> OrderDefinition | None:
    """Return the new content of an order's file that waits for the end of the run (7.1)."""
    if not order.is_permanent:
        return None
    file = state.order_files.get(order.definition.key)
    return None if file is None or file == order.definition else file


def _goes(state: State, order: Order) -> bool:
    """Whether the order goes at the end of its step, or of its run: its file is no longer there."""
    file_is_gone = order.is_permanent and order.definition.key not in state.order_files
    return order.removal_held or file_is_gone


def _order_of_new_file(view: View, order: Order, file: OrderDefinition) -> Element:
    chain = chain_path(view.state, order.definition.key.chain)
    path = f"{chain},{order.key.id}"
    part = file_based(view, file.source, None, state="initialized")
    return _order_of_file(path, chain, order.key.id, part, title=given(file.title))


def waiting_order_element(view: View, present: Order) -> Element:
    """Return `<order>` of a new order that waits until the present one has left its task."""
    definition = present.replacement
    assert definition is not None, "only for orders with a replacement"
    chain = view.state.chains.get(present.key.chain)
    first = None if chain is None else chain.definition.nodes[0].state
    state = definition.state or first
    return element(
        "order",
        element("file_based", element("requisites"), state="initialized"),
        log(view),
        path="/",
        order=present.key.id,
        id=present.key.id,
        title=given(definition.title),
        state=state,
        initial_state=state,
        job_chain=chain_path(view.state, present.key.chain),
        priority=definition.priority,
        order_source_type="AdHoc",
        suspended=yes(definition.suspended),
        replacement="yes",
        end_state=definition.end_state,
    )


def _attributes(view: View, order: Order) -> dict[str, object]:
    state = view.state
    node = state.node(order.key.chain, order.state)
    job = None if node is None else job_of_node(node)
    task = None if order.task is None else state.tasks[order.task]
    chain = chain_path(state, order.key.chain)
    start = moment(order.start_at) if order.task is None else None
    is_set_back = order.setback_count > 0
    return {
        "history_id": order.shown_history,
        "last_error": given(order.last_error),
        "path": f"{chain},{order.key.id}" if order.is_permanent else "/",
        "name": f"{chain.rpartition('/')[2]},{order.key.id}" if order.is_permanent else None,
        "order": order.key.id,
        "id": order.key.id,
        "next_start_time": start,
        "active_schedule": active_schedule(view, order.run_time, CalendarUser.ORDER),
        "title": given(order.title),
        "state": order.state,
        "initial_state": order.initial_state,
        "job_chain": chain,
        "replaced": yes(order.replacement is not None or _waiting_file(state, order) is not None),
        "removed": yes(_goes(state, order)),
        "job": None if job is None else job_path(state, job),
        "task": order.task,
        "in_process_since": None if task is None else moment(task.started_at or task.created_at),
        "state_text": given(order.state_text),
        "priority": order.priority,
        "created": moment(order.created_at),
        "order_source_type": order_type(order),
        "at": None if is_set_back else start,
        "setback": start if is_set_back else None,
        "setback_count": order.setback_count if is_set_back else None,
        "web_service": given(order.definition.web_service),
        "on_blacklist": yes(order.blacklisted),
        "suspended": yes(order.suspended),
        "touched": yes(order.touched),
        "start_time": moment(order.started_at),
        "original_end_state": order.definition.end_state,
        "end_state": order.end_state,
    }


def _file_part(view: View, order: Order) -> Element:
    if not order.is_permanent:
        return element("file_based", element("requisites"), state="active")
    state = view.state
    chain = chain_path(state, order.key.chain)
    needs = [
        Requisite(kind="Job_chain", path=chain, is_missing=order.key.chain not in state.chains)
    ]
    schedule = None if order.run_time is None else order.run_time.schedule
    if schedule is not None:
        missing = schedule not in state.schedules
        needs.append(Requisite(kind="Schedule", path=schedule, is_missing=missing))
    return file_based(
        view,
        order.definition.source,
        ref(ObjectKind.ORDER, f"{chain},{order.key.id}"),
        state="incomplete" if any(need.is_missing for need in needs) else "active",
        requisites=needs,
        removed=_goes(view.state, order),
    )


def order_without_chain_element(view: View, definition: OrderDefinition) -> Element:
    """Return `<order>` of a file whose job chain is missing: it waits in its folder (7.2)."""
    key = definition.key
    file = "" if definition.source is None else f"/{definition.source.file}"
    path = file.removesuffix(".order.xml")
    chain = path.removesuffix(f",{key.id}")
    needs = [Requisite(kind="Job_chain", path=chain, is_missing=True)]
    part = file_based(
        view,
        definition.source,
        ref(ObjectKind.ORDER, path),
        state="incomplete",
        requisites=needs,
    )
    return _order_of_file(path, chain, key.id, part, title=given(definition.title))


def broken_order_element(view: View, path: str) -> Element:
    """Return `<order>` of a file that never was readable."""
    folder, _, name = path.rpartition("/")
    chain, _, order_id = name.partition(",")
    part = file_based(view, None, ref(ObjectKind.ORDER, path), state="undefined")
    return _order_of_file(path, f"{folder}/{chain}", order_id, part)


def _order_of_file(
    path: str, chain: str, order_id: str, part: Element, *, title: str | None = None
) -> Element:
    return element(
        "order",
        part,
        path=path,
        name=name_of(path),
        order=order_id,
        id=order_id,
        title=title,
        job_chain=chain,
        order_source_type="Permanent",
    )


# --- queues --------------------------------------------------------------------------------------


def orders_at(state: State, node: NodeKey) -> Iterator[Order]:
    """Iterate over the orders at a node without those of the blacklist."""
    queue = state.queues.get(node)
    if queue is None:
        return iter(())
    orders = (state.orders[key] for key in queue.all)
    return (order for order in orders if not order.blacklisted)


def count_at(state: State, node: NodeKey) -> int:
    """Return how many orders `orders_at` would yield, without looking at each of them."""
    queue = state.queues.get(node)
    if queue is None:
        return 0
    blacklisted = state.blacklisted_in_chain.get(node[0], ())
    return len(queue.all) - sum(key in queue.all for key in blacklisted)


def order_queue(view: View, nodes: Iterable[NodeKey], *, with_orders: bool) -> Element:
    """Return `<order_queue>` over one node, or over all nodes of a job."""
    state = view.state
    keys = list(nodes)
    result = element(
        "order_queue",
        length=sum(count_at(state, node) for node in keys),
        next_start_time=moment(_next_start(view, keys)),
    )
    if with_orders and view.max_orders != 0:
        orders = [order for node in keys for order in orders_at(state, node)]
        limit = len(orders) if view.max_orders is None else view.max_orders
        chosen = nsmallest(limit, orders, key=_place)
        appended(result, view.deferred, [partial(order_element, view, each) for each in chosen])
    return result


def _place(order: Order) -> tuple[bool, Instant, int, int]:
    """Orders in tasks come first, then the order of the queue (1.7)."""
    return order.task is None, order.start_at, -order.priority, order.place


def _next_start(view: View, nodes: Iterable[NodeKey]) -> Instant:
    """Return when the first order may start: now for those that may at once."""
    found = NEVER
    for node in nodes:
        queue = view.state.queues.get(node)
        if queue is not None:
            for priority, _ in queue.firsts():
                found = min(found, priority[0])
    return view.now if found <= IMMEDIATELY else found


def blacklist(view: View, chain: ChainKey) -> Element | None:
    """Return `<blacklist>` of a chain, None when it is empty."""
    keys = view.state.blacklisted_in_chain.get(chain)
    if not keys:
        return None
    result = element("blacklist", count=len(keys))
    if view.wants("blacklist"):
        found = sorted((view.state.orders[key] for key in keys), key=lambda order: order.place)
        limit = len(found) if view.max_orders is None else view.max_orders
        makes = [partial(order_element, view, order) for order in found[:limit]]
        appended(result, view.deferred, makes)
    return result


# --- history -------------------------------------------------------------------------------------


def past_order_element(past: PastOrder) -> Element:
    """Return the `<order>` of an order history; its chain has no leading slash."""
    return element(
        "order",
        history_id=past.history,
        order=past.order,
        id=past.order,
        job_chain=past.chain.lstrip("/"),
        title=given(past.title),
        state=past.state,
        state_text=given(past.state_text),
        start_time=history_moment(past.started_at),
        end_time=history_moment(past.ended_at),
    )
