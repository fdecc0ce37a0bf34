"""Replacing and removing objects that nothing uses any more (0.4, live-folder.md 7.1).

Requests do it at once when they can; `progress.definitions` does it when what was in use is free.
"""

from collections.abc import Iterator

from engine.kernel.definitions import Chain
from engine.kernel.events import Event
from engine.kernel.events.definitions import ChainDefined, ChainRemoved, JobRemoved
from engine.kernel.events.orders import OrderRemoved
from engine.kernel.events.tasks import TaskRemovedFromQueue
from engine.kernel.ids import ChainKey, JobKey
from engine.kernel.state import State


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
    for key in list(state.orders_of_chain.get(chain.key, ())):
        if not state.orders[key].is_permanent:
            yield OrderRemoved(order=key)


def remove_chain(state: State, key: ChainKey) -> Iterator[Event]:
    """Remove a chain none of whose orders is in a task, with its orders; their files stay."""
    for order in list(state.orders_of_chain.get(key, ())):
        yield OrderRemoved(order=order)
    yield ChainRemoved(chain=key)
