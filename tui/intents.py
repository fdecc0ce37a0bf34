"""What a person asks for, as requests to the engine; `tui.asking` sends them."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    JobAction,
    KillTask,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    ModifyOrder,
    NodeAction,
    RemoveOrder,
    Request,
    StartAt,
    StartJob,
)
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import ChainKey, JobKey, NodeState, OrderId, OrderKey, TaskId
from engine.kernel.instants import seconds

KILL_GRACE = seconds(10)
"""Between SIGTERM and SIGKILL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One request with its subject and its name in words."""

    subject: object
    what: str
    request: Request


def start_order(  # noqa: PLR0913  # one for each field of the form
    chain: ChainKey,
    *,
    order_id: str = "",
    params: Mapping[str, str] | None = None,
    at: StartAt | None = None,
    state: NodeState | None = None,
    end_state: NodeState | None = None,
    priority: int = 0,
    suspended: bool = False,
    title: str = "",
) -> Intent:
    """Ask for a new order; an empty id lets the engine make one."""
    key = OrderKey(chain, OrderId(order_id))
    definition = OrderDefinition(
        key=key,
        title=title,
        priority=priority,
        params=dict(params or {}),
        state=state,
        end_state=end_state,
        suspended=suspended,
    )
    name = f" {order_id}" if order_id else ""
    return Intent(
        subject=key,
        what=f"start{name} in {chain}",
        request=AddOrder(order=definition, at=at or AfterDelay(), replace=False),
    )


def run_now(order: OrderKey) -> Intent:
    """Ask for a start at once, setback or not."""
    return Intent(
        subject=order,
        what=f"run {order.id} now",
        request=ModifyOrder(order=order, at=AfterDelay(), end_setback=True),
    )


def set_suspended(order: OrderKey, *, suspended: bool) -> Intent:
    """Ask for an order to stop, or to go on."""
    return Intent(
        subject=order,
        what=f"{'suspend' if suspended else 'resume'} {order.id}",
        request=ModifyOrder(order=order, suspended=suspended),
    )


def reset_order(order: OrderKey) -> Intent:
    """Ask for an order to go back to its first node."""
    return Intent(
        subject=order, what=f"reset {order.id}", request=ModifyOrder(order=order, reset=True)
    )


def move_order(order: OrderKey, state: NodeState) -> Intent:
    """Ask for an order to go to another node."""
    return Intent(
        subject=order,
        what=f"move {order.id} to {state}",
        request=ModifyOrder(order=order, state=state),
    )


def change_order(request: ModifyOrder) -> Intent:
    """Ask for an order to get other parameters, another time, priority, end or title."""
    return Intent(subject=request.order, what=f"change {request.order.id}", request=request)


def remove_order(order: OrderKey) -> Intent:
    """Ask for an order to go."""
    return Intent(subject=order, what=f"remove {order.id}", request=RemoveOrder(order=order))


def kill_task(task: TaskId) -> Intent:
    """Ask for a task to end: SIGTERM, later SIGKILL."""
    return Intent(
        subject=task,
        what=f"kill task {task}",
        request=KillTask(task=task, immediately=True, timeout=KILL_GRACE),
    )


def stop_job(job: JobKey, *, stopped: bool) -> Intent:
    """Ask for a job to start no tasks, or to go on."""
    action = JobAction.STOP if stopped else JobAction.UNSTOP
    return Intent(
        subject=job, what=f"{action.value} job {job}", request=ModifyJob(job=job, action=action)
    )


def start_job(job: JobKey) -> Intent:
    """Ask for a task of a job, now."""
    return Intent(subject=job, what=f"start job {job}", request=StartJob(job=job))


def stop_chain(chain: ChainKey, *, stopped: bool) -> Intent:
    """Ask for a chain to start no steps, or to go on."""
    return Intent(
        subject=chain,
        what=f"{'stop' if stopped else 'unstop'} chain {chain}",
        request=ModifyChain(chain=chain, stopped=stopped),
    )


def set_node(chain: ChainKey, state: NodeState, action: NodeAction) -> Intent:
    """Ask for a node to process, to hold or to pass its orders."""
    words = {
        NodeAction.PROCESS: "process at",
        NodeAction.STOP: "stop",
        NodeAction.NEXT_STATE: "skip",
    }
    return Intent(
        subject=(chain, state),
        what=f"{words[action]} node {state}",
        request=ModifyNode(chain=chain, state=state, action=action),
    )
