"""Replacing and removing objects that nothing uses any more (0.4, live-folder.md 7.1).

Requests do it at once when they can; `progress.definitions` does it when what was in use is free.
"""

from collections.abc import Iterator

from engine.kernel.definitions import Chain, NestedNode
from engine.kernel.events import Event
from engine.kernel.events.definitions import ChainDefined, ChainRemoved, JobRemoved
from engine.kernel.events.orders import OrderRemoved
from engine.kernel.events.tasks import TaskRemovedFromQueue
from engine.kernel.ids import ChainKey, JobKey
from engine.kernel.state import Order, State


def remove_job(state: State, key: JobKey) -> Iterator[Event]:
    """Remove a job of which no task runs, with what it has queued."""
    queue = state.queued_tasks.get(key)
    for task in [] if queue is None else sorted(queue.keys()):
        yield TaskRemovedFromQueue(task=task, reason="its job is removed")
    yield JobRemoved(job=key)


def define_chain(state: State, chain: Chain) -> Iterator[Event]:
    """Take over a chain none of whose orders is in a task.

    If its orders are not recoverable, before or after, they do not outlive the change (js1040).
    """
    known = state.chains.get(chain.key)
    yield ChainDefined(chain=chain)
    if known is None or (known.definition.orders_recoverable and chain.orders_recoverable):
        return
    for order in _orders_of(state, chain.key):
        if not order.is_permanent:
            yield OrderRemoved(order=order.key, reason="its job chain keeps no orders")


def remove_chain(state: State, key: ChainKey) -> Iterator[Event]:
    """Remove a chain none of whose orders is in a task, with its orders; their files stay."""
    for order in _orders_of(state, key):
        yield OrderRemoved(order=order.key, reason="its job chain has gone")
    yield ChainRemoved(chain=key)


def is_busy(state: State, key: ChainKey) -> bool:
    """Whether an order of the chain is in a task; those of a super chain are in its inner ones."""
    return key in state.busy_in_chain or key in state.busy_in_super


def user_of(state: State, key: ChainKey) -> str | None:
    """Return the path of a super chain that still needs the chain (live-folder.md 7.1)."""
    for user in state.supers_of_chain.get(key, ()):
        known = state.chains.get(user)
        if known is not None and not known.removal_held:
            return known.definition.path
    return None


def _orders_of(state: State, key: ChainKey) -> list[Order]:
    found = dict.fromkeys(state.orders_of_chain.get(key, ()))
    for node in state.chains[key].definition.nodes:
        if isinstance(node, NestedNode):
            for inner in state.orders_of_chain.get(node.chain, ()):
                outer = state.orders[inner].outer
                if outer is not None and outer.chain == key:
                    found[inner] = None
    return [state.orders[order] for order in found]
