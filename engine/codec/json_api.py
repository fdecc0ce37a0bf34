"""JSON shapes of the HTTP API: requests in, rows for scripts out.

Rows are plain dictionaries with times as `2026-11-21T10:00:00.123Z`; what does not apply is null.
Whoever needs everything takes `/api/snapshot` and `/api/events` and folds (engine.codec.snapshot).
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from engine.codec.records import RecordCodec, codec_for, parse_json
from engine.errors import CodecError
from engine.kernel.commands import (
    AddOrder,
    KillTask,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    ModifyOrder,
    PauseEngine,
    RemoveChain,
    RemoveOrder,
    StartJob,
)
from engine.kernel.ids import EventNumber
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, utc_text
from engine.kernel.problems import Problem
from engine.kernel.state import (
    Agent,
    ChainState,
    JobState,
    Order,
    State,
    Task,
    TaskStatus,
    job_of_node,
)

Row: TypeAlias = dict[str, Any]

PublicRequest: TypeAlias = (
    AddOrder
    | ModifyOrder
    | RemoveOrder
    | ModifyJob
    | StartJob
    | KillTask
    | ModifyChain
    | ModifyNode
    | RemoveChain
    | PauseEngine
)
"""What may come over the wire; the rest of the kernel's requests is the engine's own affair."""

REQUESTS: Final[RecordCodec[PublicRequest]] = codec_for(PublicRequest)


def parse_request(data: bytes) -> PublicRequest:
    """Read `{"kind": "AddOrder", …}`. Raises CodecError with the place that does not fit."""
    return REQUESTS.from_builtins(parse_json(data))


def problem_row(problem: Problem) -> Row:
    """Return a refusal."""
    return {"problem": {"code": problem.code, "text": problem.text, "subject": problem.subject}}


def accepted_row(number: EventNumber, subject: str) -> Row:
    """Return what an accepted request is answered with."""
    return {"accepted": {"number": number, "subject": subject}}


def time_text(at: Instant | None) -> str | None:
    """Return a point in time as text; null for none, immediately and never."""
    if at is None or at <= IMMEDIATELY or at >= NEVER:
        return None
    return utc_text(at)


# --- rows ----------------------------------------------------------------------------------------


def overview_row(state: State, now: Instant) -> Row:
    """Return the counts that tell at a glance how the engine is."""
    orders, tasks = state.orders.values(), state.tasks.values()
    return {
        "engine_id": state.main.scheduler_id or state.control.engine_id,
        "state": "paused" if state.control.paused else "running",
        "epoch": state.control.epoch,
        "began_at": time_text(state.control.began_at),
        "time": utc_text(now),
        "time_zone": state.main.time_zone or state.control.time_zone,
        "chains": len(state.chains),
        "jobs": len(state.jobs),
        "jobs_stopped": sum(job.stopped for job in state.jobs.values()),
        "orders": len(state.orders),
        "orders_suspended": sum(order.suspended for order in orders),
        "orders_blacklisted": sum(order.blacklisted for order in orders),
        "orders_in_tasks": sum(order.task is not None for order in orders),
        "tasks": len(state.tasks),
        "tasks_running": sum(task.status is TaskStatus.RUNNING for task in tasks),
        "agents": {agent.uri: agent.status.value for agent in state.agents.values()},
        "broken_files": len(state.broken),
        "next_due": time_text(state.next_due()),
    }


def order_status(state: State, order: Order, now: Instant) -> str:
    """Return in one word what the order does."""
    if order.blacklisted:
        return "blacklisted"
    if order.suspended and order.task is None:
        return "suspended"
    if order.task is not None:
        status = state.tasks[order.task].status
        return "running" if status is TaskStatus.RUNNING else status.value
    if order.start_at > now:
        if order.setback_count:
            return "setback"
        return "planned" if order.start_at < NEVER else "not_planned"
    return "waiting"


def order_row(state: State, order: Order, now: Instant, *, detailed: bool = False) -> Row:
    """Return an order; `detailed` adds its parameters."""
    chain = state.chains.get(order.key.chain)
    node = state.node(order.key.chain, order.state)
    job = None if node is None else job_of_node(node)
    row: Row = {
        "chain": order.key.chain if chain is None else chain.definition.path,
        "id": order.key.id,
        "state": order.state,
        "status": order_status(state, order, now),
        "job": job,
        "title": order.title,
        "priority": order.priority,
        "start_at": time_text(order.start_at),
        "started_at": time_text(order.started_at),
        "suspended": order.suspended,
        "setback_count": order.setback_count,
        "task": order.task,
        "history": order.history,
        "permanent": order.is_permanent,
        "state_text": order.state_text,
        "last_error": order.last_error,
        "parent": None if order.parent is None else str(order.parent),
    }
    if detailed:
        row["params"] = dict(order.params)
        row["initial_state"] = order.initial_state
        row["end_state"] = order.end_state
        row["children"] = [str(key) for key in state.children.get(order.key, ())]
    return row


def job_row(state: State, job: JobState) -> Row:
    """Return a job."""
    definition = job.definition
    queued = state.queued_tasks.get(job.key)
    return {
        "path": definition.path,
        "title": definition.title,
        "is_order_job": definition.is_order_job,
        "stopped": job.stopped,
        "enabled": job.enabled,
        "tasks_running": len(state.tasks_of_job.get(job.key, ())),
        "tasks_max": definition.tasks,
        "tasks_queued": 0 if queued is None else len(queued),
        "process_class": definition.process_class,
        "next_start": time_text(job.next_start),
        "delayed_until": time_text(job.delayed_until),
        "state_text": job.state_text,
    }


def chain_row(state: State, chain: ChainState) -> Row:
    """Return a chain with the number of orders at each node."""
    definition = chain.definition
    nodes = []
    for node in definition.nodes:
        queue = state.queues.get((chain.key, node.state))
        nodes.append(
            {
                "state": node.state,
                "job": job_of_node(node),
                "action": chain.action(node.state).value,
                "orders": 0 if queue is None else len(queue.all),
            }
        )
    return {
        "path": definition.path,
        "title": definition.title,
        "stopped": chain.stopped,
        "orders": len(state.orders_of_chain.get(chain.key, ())),
        "orders_started": state.started_in_chain.get(chain.key, 0),
        "orders_in_tasks": state.busy_in_chain.get(chain.key, 0),
        "orders_max": definition.max_orders,
        "nodes": nodes,
    }


def task_row(state: State, task: Task) -> Row:
    """Return a waiting or running task."""
    job = state.jobs.get(task.job)
    return {
        "id": task.id,
        "job": task.job if job is None else job.definition.path,
        "status": task.status.value,
        "cause": task.cause.value,
        "order": None if task.order is None else str(task.order),
        "state": task.state,
        "process_class": task.process_class,
        "agent": task.agent,
        "pid": task.pid,
        "created_at": time_text(task.created_at),
        "start_at": time_text(task.start_at),
        "started_at": time_text(task.started_at),
        "kill": None if task.kill is None else task.kill.value,
    }


def agent_row(agent: Agent) -> Row:
    """Return an agent as the journal knows it."""
    return {
        "uri": agent.uri,
        "status": agent.status.value,
        "since": time_text(agent.since),
        "run_id": agent.run_id,
        "text": agent.text,
    }


def parse_object(data: bytes) -> Mapping[str, Any]:
    """Read a JSON object; an empty body is an empty one. Raises CodecError."""
    found = parse_json(data) if data.strip() else {}
    if not isinstance(found, dict):
        raise CodecError("must be an object")
    return found
