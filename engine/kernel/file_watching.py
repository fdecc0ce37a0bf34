"""Which directories and files are to be looked at: the file side of `demands` (1.11, 3.11).

A directory is read only while the first job behind it can take an order, so that no file becomes an
order that nobody would work on.
"""

from collections.abc import Iterator

from engine.kernel.capacity import (
    at_order_limit,
    chain_serves,
    class_of,
    is_held,
    is_in_period,
    next_order,
)
from engine.kernel.definitions import Chain, FileOrderSource
from engine.kernel.effects import CheckFile, WatchDirectory, WatchForJob
from engine.kernel.ids import LOCAL, AgentUri, ChainKey, JobKey, OrderId, OrderKey
from engine.kernel.instants import Instant, seconds
from engine.kernel.pending import source_key
from engine.kernel.problems import Problem
from engine.kernel.reports import AgentStatus
from engine.kernel.state import ChainState, JobState, State, job_of_node
from engine.kernel.travel import Entry, start_node

UNREPEATED = seconds(10)
"""Between looks with `repeat="no"`: it means to be told of changes, and looking often is how that
is done here."""


# --- files that become orders --------------------------------------------------------------------


def watch_demands(state: State, chain_key: ChainKey, at: Instant) -> Iterator[WatchDirectory]:
    """Yield the directories of a chain that are to be read now."""
    chain = state.chains.get(chain_key)
    agent = None if chain is None else watching_agent(state, chain.definition)
    if chain is None or agent is None:
        return
    for index, source in enumerate(chain.definition.file_order_sources):
        room = room_for_files(state, chain, source, at)
        if room <= 0:
            continue
        repeat = UNREPEATED if source.repeat is None else source.repeat
        yield WatchDirectory(
            chain=chain_key,
            source=index,
            directory=source.directory,
            regex=source.regex,
            repeat=repeat,
            delay_after_error=(
                repeat if source.delay_after_error is None else source.delay_after_error
            ),
            agent=agent,
            room=room,
            turn=chain.file_turn,
        )


def watching_agent(state: State, chain: Chain) -> AgentUri | None:
    """Return where a chain's directories are; None while the process class is missing (js1399)."""
    path = chain.file_watching_process_class or chain.process_class
    if not path:
        return LOCAL
    process_class = state.process_classes.get(path)
    if process_class is None:
        return None
    agents = process_class.definition.agents
    for agent in agents:
        known = state.agents.get(agent.uri)
        if known is None or known.status not in {AgentStatus.LOST, AgentStatus.TERMINATING}:
            return agent.uri
    return agents[0].uri if agents else LOCAL


def entry_of(state: State, chain: ChainState, source: FileOrderSource) -> Entry | None:
    """Return the node at which the files of a source begin: the first that is not skipped."""
    if chain.definition.is_nested:
        return None
    entry = start_node(state, chain.key, source.next_state, None)
    return None if isinstance(entry, Problem) else entry


def first_job(state: State, chain: ChainState, source: FileOrderSource) -> JobState | None:
    """Return the job that takes the files of a source."""
    entry = entry_of(state, chain, source)
    key = None if entry is None else job_of_node(entry.node)
    return None if key is None else state.jobs.get(key)


def room_for_files(state: State, chain: ChainState, source: FileOrderSource, at: Instant) -> int:
    """Return how many files could become orders that start at once, 0 for none.

    A job that waits for a process or a lock gets one file all the same: its order keeps the place
    in the queue.
    """
    entry = entry_of(state, chain, source)
    job = first_job(state, chain, source)
    if entry is None or job is None or not chain_serves(chain, entry.node.state):
        return 0
    if not is_in_period(job, at) or is_held(state, job, at) or at_order_limit(state, chain):
        return 0
    process_class = state.process_classes.get(class_of(state, job, chain.key))
    if process_class is None or next_order(state, job.key, at) is not None:
        return 0
    room = job.definition.tasks - len(state.tasks_of_job.get(job.key, ()))
    if chain.definition.max_orders is not None:
        room = min(room, chain.definition.max_orders - state.started_in_chain.get(chain.key, 0))
    if not state.main.ignore_process_classes:
        slots = len(state.class_slots.get(process_class.path, ()))
        room = min(room, max(1, process_class.definition.max_processes - slots))
    return min(room, 1) if job.definition.locks else room


def is_new_file(state: State, chain: ChainState, directory: str, path: str) -> bool:
    """Whether no order stands for the file, and it is not one that cannot become an order."""
    order_id = OrderId(path)
    if OrderKey(chain.key, order_id) in state.orders:
        return False
    if chain.key in state.supers_of_chain and any(
        OrderKey(other, order_id) in state.orders for other in state.id_space(chain.key)
    ):
        return False
    known = state.sources.get(source_key(chain.key, directory))
    return known is None or path not in known.ignored


def new_files(
    state: State, chain_key: ChainKey, directory: str, paths: Iterator[str]
) -> Iterator[str]:
    """Yield the paths for which no order exists."""
    chain = state.chains.get(chain_key)
    if chain is not None:
        yield from (path for path in paths if is_new_file(state, chain, directory, path))


def held_paths(state: State, chain: ChainKey, directory: str, agent: AgentUri) -> list[str]:
    """Return the paths whose disappearance is to be told with the next look (1.11.2)."""
    known = state.sources.get(source_key(chain, directory))
    paths = [] if known is None else list(known.ignored)
    for key in state.blacklisted_in_chain.get(chain, ()):
        order = state.orders[key]
        if order.is_file_order and order.file_agent == agent:
            paths.append(order.file_path)
    return paths


def check_demand(state: State, key: OrderKey) -> CheckFile | None:
    """Return the check whether a finished order's file is still there, if that is to be done."""
    order = state.orders.get(key)
    if order is None or not order.blacklisted or not order.is_file_order or order.file_stays:
        return None
    return CheckFile(order=key, path=order.file_path, agent=order.file_agent)


# --- directories that start jobs -----------------------------------------------------------------


def job_watch_demand(state: State, key: JobKey) -> WatchForJob | None:
    """Return the directories that a job watches; none while it is stopped (3.11)."""
    job = state.jobs.get(key)
    if job is None or job.stopped or not job.definition.directory_watches:
        return None
    return WatchForJob(
        job=key,
        watches=job.definition.directory_watches,
        version=None if job.definition.source is None else job.definition.source.modified_at,
        awaits_start=job.trigger_files is not None,
    )
