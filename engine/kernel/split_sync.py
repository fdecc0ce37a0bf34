"""Split and sync: one order becomes several, several wait for each other (agents.md chapter 7).

Split: one child order for each agent that is there, each with its part of a range of numbers.
Sync: orders wait at the nodes of one sync job until each of these nodes has as many as it requires.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.kernel.definitions import JobNode, OrderDefinition
from engine.kernel.events import Event
from engine.kernel.events.orders import (
    OrderNodeChanged,
    OrderParamsChanged,
    OrderResumed,
    OrderStateTextSet,
)
from engine.kernel.events.tasks import TaskEnded
from engine.kernel.ids import (
    DEFAULT_CLASS,
    AgentUri,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    name_of,
)
from engine.kernel.instants import IMMEDIATELY, Duration, Instant, seconds
from engine.kernel.params import Params, merge, value_of, without
from engine.kernel.problems import Problem
from engine.kernel.state import FILE_ORDER_PARAM, JobState, NodeKey, Order, State
from engine.kernel.travel import place, start_node

READY_PARAM = "scheduler_sync_ready"
SESSION_PARAM = "sync_session_id"
CONTEXT_CHAIN_PARAM = "job_chain_name2synchronize"
CONTEXT_STATE_PARAM = "job_chain_state2synchronize"
SETBACK_INTERVAL = seconds(600)
STATE_TEXT_MAX = 100


class SplitRefused(Exception):  # caught where it is raised for: the task's error
    """The split cannot be done; the text is the task's error."""


# --- split ---------------------------------------------------------------------------------------


def successor_agents(state: State, order: Order) -> tuple[AgentUri, ...]:
    """Return the agents of the process class in which the next node's job runs (7.2)."""
    node = state.node(order.key.chain, order.state)
    following = None
    if isinstance(node, JobNode) and node.next_state is not None:
        following = state.node(order.key.chain, node.next_state)
    if not isinstance(following, JobNode) or following.job not in state.jobs:
        return ()
    job = state.jobs[following.job].definition
    chain = state.chains[order.key.chain].definition
    path = job.process_class or chain.process_class or DEFAULT_CLASS
    process_class = state.process_classes.get(path)
    if process_class is None:
        return ()
    return tuple(agent.uri for agent in process_class.definition.agents)


def ranges(first: int, last: int, parts: int) -> list[tuple[int, int]]:
    """Cut `first`..`last` into at most `parts` ranges whose sizes differ by at most one."""
    size = last - first + 1
    parts = min(parts, size)
    cuts = [first + size * part // parts for part in range(parts + 1)]
    return [(cuts[part], cuts[part + 1] - 1) for part in range(parts)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One child order to be."""

    id: OrderId
    first: int
    last: int


def split(
    state: State, task_id: TaskId, available: Sequence[AgentUri], at: Instant
) -> Iterator[Event]:
    """End a split task: its children start at the next node, its order goes to the sync node."""
    task = state.tasks[task_id]
    assert task.order is not None
    order = state.orders[task.order]
    params = merge(task.params, order.params)
    if not available:
        yield failed(task_id, at, _nobody_there(successor_agents(state, order)))
        return
    try:
        first, last, sync_state = _split_parameters(state, order, params)
    except SplitRefused as refusal:
        yield failed(task_id, at, str(refusal))
        return
    parts = _parts(state, order, first, last, len(available))
    shared = _shared_params(state, order, len(parts))
    node = state.node(order.key.chain, order.state)
    assert isinstance(node, JobNode)
    for part in parts:
        definition = OrderDefinition(
            key=OrderKey(order.key.chain, part.id),
            title=f"child order of parent order: {order.key.id}",
            params=merge(
                shared,
                {
                    "number_of_orders": str(len(parts)),
                    _range_names(params)[0]: str(part.first),
                    _range_names(params)[1]: str(part.last),
                },
            ),
            state=node.next_state,
            end_state=sync_state,
        )
        start = start_node(state, order.key.chain, node.next_state, sync_state)
        if isinstance(start, Problem):
            yield failed(task_id, at, str(start))
            return
        yield from place(state, definition, start, IMMEDIATELY, at, parent=order.key)
    yield OrderParamsChanged(order=order.key, params=merge(order.params, shared))
    yield TaskEnded(
        task=task_id,
        at=at,
        exit_code=0,
        state_text=f"split into {len(parts)} orders",
        moved_to=sync_state,
    )


def _nobody_there(agents: Sequence[AgentUri]) -> str:
    if not agents:
        return (
            "The process class of the next node's job has no agents, "
            "so there is nothing to split the order over"
        )
    return "None of these agents is available: " + ", ".join(agents)


def _range_names(params: Params) -> tuple[str, str]:
    return (
        value_of(params, "min_parameter") or "min_account",
        value_of(params, "max_parameter") or "max_account",
    )


def _split_parameters(state: State, order: Order, params: Params) -> tuple[int, int, NodeState]:
    numbers = []
    for name in _range_names(params):
        text = value_of(params, name)
        if text is None:
            raise SplitRefused(f"The parameter {name!r} is missing")
        try:
            numbers.append(int(text))
        except ValueError:
            raise SplitRefused(f"The parameter {name}={text!r} is not a whole number") from None
    sync_state = value_of(params, "sync_state_name")
    if not sync_state:
        raise SplitRefused("The parameter 'sync_state_name' is missing")
    if state.node(order.key.chain, NodeState(sync_state)) is None:
        raise SplitRefused(f"The job chain has no node {sync_state!r} to meet at")
    if numbers[0] > numbers[1]:
        raise SplitRefused(f"The range {numbers[0]} to {numbers[1]} is empty")
    return numbers[0], numbers[1], NodeState(sync_state)


def _parts(state: State, order: Order, first: int, last: int, count: int) -> list[Part]:
    cut = ranges(first, last, count)

    def ids(stem: str) -> list[OrderId]:
        return [OrderId(f"{stem}_child_order_{number + 1}") for number in range(len(cut))]

    chosen = ids(order.key.id)
    if any(OrderKey(order.key.chain, child) in state.orders for child in chosen):
        # Children of a former run are still there; theirs and ours must not be mixed up (7.4.5).
        chosen = ids(f"{order.key.id}_{order.history}")
    return [
        Part(id=child, first=bounds[0], last=bounds[1])
        for child, bounds in zip(chosen, cut, strict=True)
    ]


def _shared_params(state: State, order: Order, count: int) -> dict[str, str]:
    path = state.chains[order.key.chain].definition.path
    return {
        f"{name_of(path)}_required_orders": str(count + 1),
        SESSION_PARAM: f"{order.key.id}-{order.history}",
        CONTEXT_CHAIN_PARAM: path,
    }


def failed(task: TaskId, at: Instant, text: str) -> TaskEnded:
    """Return the end of a native task that could not do its work; `text` may begin with a code."""
    code, _, rest = text.partition(" ")
    if code.startswith("SCHEDULER-"):
        text = rest
    else:
        code = "SCHEDULER-280"
    return TaskEnded(
        task=task,
        at=at,
        exit_code=1,
        error_code=code,
        error_text=text,
        state_text=text[:STATE_TEXT_MAX],
        succeeded=False,
    )


# --- sync ----------------------------------------------------------------------------------------


def sync(state: State, task_id: TaskId, at: Instant) -> Iterator[Event]:
    """Let an order wait at its sync node, or release all that wait for each other (7.5)."""
    task = state.tasks[task_id]
    if task.order is None:
        yield failed(task_id, at, "The sync job works only for orders of a job chain")
        return
    order = state.orders[task.order]
    path = value_of(order.params, FILE_ORDER_PARAM)
    if path and path != order.key.id:
        cleared = merge(order.params, {FILE_ORDER_PARAM: ""})
        yield OrderParamsChanged(order=order.key, params=cleared)
        order = state.orders[order.key]
    if value_of(order.params, READY_PARAM) == "true":
        yield OrderParamsChanged(order=order.key, params=without(order.params, READY_PARAM))
        yield TaskEnded(task=task_id, at=at, exit_code=0)
        return
    params = merge(task.params, order.params)
    job = state.jobs[task.job]
    nodes = _sync_nodes(state, job, params)
    waiting = {node: _waiting_at(state, node, order, params) for node in nodes}
    required = {node: _required(state, node, params) for node in nodes}
    if any(len(waiting[node]) < required[node] for node in nodes):
        own = (order.key.chain, order.state)
        text = f"required: {required.get(own, 1)}, waiting: {len(waiting.get(own, ()))}"
        yield _hold(task_id, order, params, text[:STATE_TEXT_MAX], at)
        return
    for node in nodes:
        for key in waiting[node]:
            if key != order.key:
                yield from _release(state, node, key)
    yield TaskEnded(task=task_id, at=at, exit_code=0, state_text="all orders have arrived")


def _hold(task: TaskId, order: Order, params: Params, text: str, at: Instant) -> TaskEnded:
    sets_back: Duration | None = None
    if value_of(params, "setback_type") == "setback":
        interval = value_of(params, "setback_interval") or ""
        sets_back = seconds(int(interval)) if interval.strip().isdecimal() else SETBACK_INTERVAL
    return TaskEnded(
        task=task,
        at=at,
        exit_code=0,
        state_text=text,
        moved_to=order.state,
        suspends=sets_back is None,
        sets_back_for=sets_back,
    )


def _context(params: Params) -> tuple[str | None, str | None]:
    if (value_of(params, "disable_sync_context") or "").lower() in {"true", "yes", "1"}:
        return None, None
    chain = value_of(params, CONTEXT_CHAIN_PARAM) or None
    return (None if chain is None else chain_key(chain)), (
        value_of(params, CONTEXT_STATE_PARAM) or None
    )


def _sync_nodes(state: State, job: JobState, params: Params) -> list[NodeKey]:
    chain_wanted, state_wanted = _context(params)
    ignored = "scheduler.ignore_sync_jobs_in_stopped_jobchains"
    skips = value_of(params, ignored) or value_of(state.main.params, ignored)
    return [
        (chain, node)
        for chain, node in state.nodes_of_job.get(job.key, ())
        if (chain_wanted is None or chain == chain_wanted)
        and (state_wanted is None or node == state_wanted)
        and (skips != "true" or not state.chains[chain].stopped)
    ]


def _waiting_at(state: State, node: NodeKey, current: Order, params: Params) -> list[OrderKey]:
    """Return the orders that wait at this sync node, the current one included."""
    session = value_of(params, SESSION_PARAM) or ""
    context = _context(params)
    queue = state.queues.get(node)
    found = []
    for key in () if queue is None else queue.all:
        order = state.orders[key]
        waits = order.suspended or (order.setback_count > 0 and order.start_at > IMMEDIATELY)
        if key != current.key and (order.task is not None or order.blacklisted or not waits):
            continue
        if session and (value_of(order.params, SESSION_PARAM) or "") != session:
            continue
        if context != (None, None) and _context(order.params) != context:
            continue
        found.append(key)
    return found


def _required(state: State, node: NodeKey, params: Params) -> int:
    chain, place_name = node
    name = name_of(state.chains[chain].definition.path)
    required = 1
    for parameter in (
        "required_orders",
        f"{name}_required_orders",
        f"{name},{place_name}_required_orders",
    ):
        text = value_of(params, parameter)
        if text is not None and text.strip().isdecimal():
            required = int(text)
    return required


def _release(state: State, node: NodeKey, key: OrderKey) -> Iterator[Event]:
    """Let one waiting order go on (7.5 step 10)."""
    order = state.orders[key]
    here = state.node(*node)
    following = None
    if isinstance(here, JobNode) and here.next_state is not None:
        following = state.node(order.key.chain, here.next_state)
    runs_again = not isinstance(following, JobNode) or order.end_state == order.state
    if runs_again:
        ready = merge(order.params, {READY_PARAM: "true"})
        yield OrderParamsChanged(order=key, params=ready)
    if order.suspended:
        yield OrderResumed(order=key)
    if order.state_text:
        yield OrderStateTextSet(order=key, text="")
    if not isinstance(following, JobNode) or runs_again:
        yield OrderNodeChanged(
            order=key, state=order.state, former=order.state, start_at=IMMEDIATELY
        )
    else:
        yield OrderNodeChanged(
            order=key, state=following.state, former=order.state, start_at=IMMEDIATELY
        )
