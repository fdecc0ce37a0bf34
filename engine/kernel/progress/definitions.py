"""Definitions that waited: replacements and removals that have become possible (0.4)."""

from collections.abc import Iterator

from engine.kernel.adding import order_of_same_id
from engine.kernel.events import Event
from engine.kernel.events.definitions import (
    JobDefined,
    LockRemoved,
    ProcessClassRemoved,
)
from engine.kernel.events.orders import REPLACED, OrderRemoved, OrderReturned, OrderSuspended
from engine.kernel.ids import ChainKey, ClassPath, JobKey, LockPath, OrderKey
from engine.kernel.instants import Instant
from engine.kernel.plans import has_begun, start_of_file
from engine.kernel.problems import Problem
from engine.kernel.replacing import define_chain, is_busy, remove_chain, remove_job, user_of
from engine.kernel.state import Order, State
from engine.kernel.travel import place, start_node


def settle_job(state: State, key: JobKey) -> Iterator[Event]:
    """Replace or remove a job once no task of it runs."""
    job = state.jobs.get(key)
    if job is None or state.tasks_of_job.get(key):
        return
    if job.replacement is not None:
        yield JobDefined(job=job.replacement)
    elif job.removal_held:
        yield from remove_job(state, key)


def settle_chain(state: State, key: ChainKey) -> Iterator[Event]:
    """Replace or remove a chain once none of its orders is in a task."""
    chain = state.chains.get(key)
    if chain is None or is_busy(state, key):
        return
    if chain.replacement is not None:
        yield from define_chain(state, chain.replacement)
    elif chain.removal_held and user_of(state, key) is None:
        yield from remove_chain(state, key)


def settle_class(state: State, path: ClassPath) -> Iterator[Event]:
    """Remove a process class once nothing uses it."""
    process_class = state.process_classes.get(path)
    if process_class is None or not process_class.removal_held or class_is_used(state, path):
        return
    yield ProcessClassRemoved(process_class=path)


def class_is_used(state: State, path: ClassPath) -> bool:
    """Whether a task or a file order source needs the class (js1301, js1399)."""
    return bool(state.class_slots.get(path)) or any(
        path == (chain.definition.file_watching_process_class or chain.definition.process_class)
        for chain in state.chains.values()
        if chain.definition.file_order_sources
    )


def settle_lock(state: State, path: LockPath) -> Iterator[Event]:
    """Remove a lock once nobody holds it; those who wait for it become incomplete."""
    lock = state.locks.get(path)
    if lock is None or not lock.removal_held or state.lock_holders.get(path):
        return
    yield LockRemoved(lock=path)


def settle_order_file(state: State, key: OrderKey, at: Instant) -> Iterator[Event]:
    """Bring a permanent order to what its file says, as soon as it may change (0.4)."""
    definition = state.order_files.get(key)
    order = state.find_order(key)
    if order is not None and order.definition.key != key:
        return  # the same id in a chain that a super chain joins (SCHEDULER-426)
    if definition is None:
        if order is not None and order.is_permanent and not has_begun(order):
            yield OrderRemoved(order=order.key, reason="its file has gone")
        return
    chain = state.chains.get(key.chain)
    if chain is None or chain.removal_held:
        return
    suspended = False
    if order is not None:
        if has_begun(order):
            return
        if order.definition == definition:
            yield from _to_new_first_node(state, order)
            return
        suspended = order.suspended
        yield OrderRemoved(order=order.key, reason=REPLACED)
    entry = start_node(state, key.chain, definition.state, definition.end_state)
    if isinstance(entry, Problem) or order_of_same_id(state, key) is not None:
        return
    start_at = start_of_file(state, definition, at)
    yield from place(state, definition, entry, start_at, at)
    placed = OrderKey(entry.inner_chain or key.chain, key.id)
    if suspended and not state.orders[placed].suspended:
        yield OrderSuspended(order=placed, reason="it was suspended before its file changed")


def _to_new_first_node(state: State, order: Order) -> Iterator[Event]:
    """A permanent order that has not begun goes with the first node of its chain (0.4, js1836)."""
    chain = state.chains[order.key.chain].definition
    if order.outer is not None or not chain.nodes:
        return
    first = order.definition.state or chain.nodes[0].state
    if order.initial_state == first and state.node(chain.key, order.state) is not None:
        return
    entry = start_node(state, chain.key, first, order.definition.end_state)
    if not isinstance(entry, Problem):
        yield OrderReturned(
            order=order.key,
            state=entry.node.state,
            start_at=order.start_at,
            params=order.params,
            initial_state=first,
        )
