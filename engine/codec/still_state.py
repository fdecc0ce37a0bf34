"""A copy of the state that stands still, for answers that take longer than one turn of the loop.

Records are frozen, so a copy of the dictionaries is a copy of everything: some milliseconds for
100,000 orders. What orders the
queues of nodes and the timers is left out: nothing may be decided on such a copy.
"""

from typing import Any

from engine.kernel.queues import NodeQueue
from engine.kernel.state import State

_FLAT_INDEXES = ("started_in_chain", "busy_in_chain", "node_index")
"""Indexes whose values are never changed in place."""
_NESTED_INDEXES = (
    "orders_of_chain",
    "blacklisted_in_chain",
    "children",
    "nodes_of_job",
    "supers_of_chain",
    "tasks_of_job",
    "class_slots",
    "lock_holders",
)


def still_state(state: State) -> State:
    """Return the state of this moment; it may be read while the live one goes on."""
    still = State()
    still.control, still.main = state.control, state.main
    for name in (*State.PRIMARY, *_FLAT_INDEXES):
        setattr(still, name, dict(getattr(state, name)))
    for name in _NESTED_INDEXES:
        index: dict[Any, dict[Any, Any]] = getattr(state, name)
        setattr(still, name, {key: dict(entries) for key, entries in index.items()})
    still.queues = {key: _orders_at(queue) for key, queue in state.queues.items()}
    still.queued_tasks = {key: queue.copy() for key, queue in state.queued_tasks.items()}
    return still


def _orders_at(queue: NodeQueue) -> NodeQueue:
    copy = NodeQueue()
    copy.all = dict(queue.all)
    return copy
