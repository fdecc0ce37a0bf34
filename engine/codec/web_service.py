"""Jobs, tasks, chains and process classes in the shapes of the JSON web service, pure.

JobScheduler 1.11 and later, xml-commands.md 9.3. Optional fields are left out, never null. `TYPE`
tells variants apart. Ids of tasks are texts.
"""

from typing import assert_never

from engine.codec.json_api import time_text
from engine.codec.streamed_json import Json, Parts, Rows
from engine.codec.web_obstacles import (
    broken_file,
    chain_obstacles,
    class_obstacles,
    error_of,
    file_based_state,
    job_obstacles,
    missing_of_chain,
    node_obstacles,
    present,
    task_obstacles,
)
from engine.codec.xml.answers_chains import chain_state_name
from engine.codec.xml.answers_jobs import job_state_name, task_state_name
from engine.codec.xml.answers_orders import chain_path, job_path
from engine.kernel.capacity import is_in_period, is_incomplete
from engine.kernel.commands import ObjectKind
from engine.kernel.definitions import (
    EndNode,
    JobNode,
    NativeScript,
    NestedNode,
    Node,
    Select,
    SinkNode,
)
from engine.kernel.ids import ChainKey
from engine.kernel.instants import Instant
from engine.kernel.plans import start_ahead
from engine.kernel.state import ChainState, ClassState, JobState, State, Task

# --- jobs and tasks ------------------------------------------------------------------------------


def job_overview(state: State, job: JobState, now: Instant) -> Json:
    """Return JobOverview."""
    definition = job.definition
    queued = state.queued_tasks.get(job.key)
    running = state.tasks_of_job.get(job.key, {})
    return present(
        path=definition.path,
        fileBasedState="incomplete" if is_incomplete(state, job) else "active",
        defaultProcessClassPath=definition.process_class,
        isOrderJob=definition.is_order_job,
        title=definition.title or None,
        enabled=job.enabled,
        state=job_state_name(state, job),
        stateText=job.state_text,
        isInPeriod=is_in_period(job, now),
        nextStartTime=_next_start_time(state, job, now),
        taskLimit=definition.tasks,
        usedTaskCount=len(running),
        queuedTaskCount=0 if queued is None else len(queued),
        lateTaskCount=_late_tasks(state, job, now),
        obstacles=job_obstacles(state, job, now),
        taskObstacles={
            str(task): obstacles
            for task in running
            if (obstacles := task_obstacles(state, state.tasks[task], now))
        },
        error=error_of(broken_file(state, ObjectKind.JOB, definition.path)),
    )


def _next_start_time(state: State, job: JobState, now: Instant) -> str | None:
    if job.stopped or is_incomplete(state, job):
        return None
    return time_text(start_ahead(state, job, now))


def _late_tasks(state: State, job: JobState, now: Instant) -> int:
    """Return how many queued tasks should have started by now."""
    queue = state.queued_tasks.get(job.key)
    if queue is None:
        return 0
    keys = queue.keys()  # not a dictionary
    return sum(state.tasks[key].start_at <= now for key in keys)


def job_detailed(state: State, job: JobState, now: Instant) -> Json:
    """Return JobDetailed."""
    queue = state.queued_tasks.get(job.key)
    queued = [] if queue is None else sorted(queue.keys())
    return Parts(
        overview=job_overview(state, job, now),
        defaultParameters=dict(job.definition.params),
        queuedTasks=Rows(
            present(
                taskId=str(task),
                enqueuedAt=time_text(state.tasks[task].created_at),
                startAt=time_text(state.tasks[task].start_at),
            )
            for task in queued
        ),
        runningTasks=[_running_task(state, task) for task in state.running_tasks(job.key)],
    )


def _running_task(state: State, task: Task) -> Json:
    order = None
    if task.order is not None:
        order = present(
            orderId=task.order.id,
            jobChainPath=chain_path(state, task.order.chain),
            nodeId=task.state,
        )
    return present(
        taskId=str(task.id),
        pid=task.pid,
        cause=task.cause.value,
        enqueuedAt=time_text(task.created_at) if task.cause.value.startswith("queue") else None,
        startAt=time_text(task.start_at),
        startedAt=time_text(task.started_at),
        stepCount=int(task.started_at is not None),
        order=order,
    )


def task_overview(state: State, task: Task, now: Instant) -> Json:
    """Return TaskOverview."""
    job = state.jobs.get(task.job)
    is_native = job is not None and isinstance(job.definition.script, NativeScript)
    return present(
        taskId=str(task.id),
        jobPath=job_path(state, task.job),
        state=task_state_name(task, is_native=is_native),
        processClassPath=task.process_class or "/",
        agent=task.agent or None,
        obstacles=task_obstacles(state, task, now),
    )


def task_detailed(state: State, task: Task, now: Instant) -> Json:
    """Return TaskDetailed: the overview, how the task runs, and its parameters."""
    details = _running_task(state, task)
    del details["taskId"]
    overview = task_overview(state, task, now)
    return {"overview": overview, **details, "variables": dict(task.params)}


# --- chains --------------------------------------------------------------------------------------


def chain_overview(state: State, chain: ChainState) -> Json:
    """Return JobChainOverview."""
    definition = chain.definition
    keys = state.orders_of_chain.get(chain.key, {})
    blacklisted = len(state.blacklisted_in_chain.get(chain.key, ()))
    return present(
        path=definition.path,
        fileBasedState=file_based_state(missing_of_chain(state, chain)),
        state=chain_state_name(chain),
        title=definition.title or None,
        isDistributed=definition.distributed,
        hasJobChainNodes=definition.is_nested,
        orderLimit=definition.max_orders,
        jobOrJobChainNodeCount=sum(not isinstance(node, EndNode) for node in definition.nodes),
        nonBlacklistedOrderCount=len(keys) - blacklisted,
        blacklistedOrderCount=blacklisted,
        orderIdSpaceName=_order_id_space(state, chain),
        obstacles=chain_obstacles(state, chain),
    )


def _order_id_space(state: State, chain: ChainState) -> str | None:
    """Return the name of the order ids that nested chains share: their first super chain."""
    if not chain.definition.is_nested and chain.key not in state.supers_of_chain:
        return None
    supers = [key for key in state.id_space(chain.key) if _is_nested(state, key)]
    return chain_path(state, min(supers)) if supers else None


def _is_nested(state: State, key: ChainKey) -> bool:
    chain = state.chains.get(key)
    return chain is not None and chain.definition.is_nested


def node_shape(state: State, chain: ChainState, node: Node, now: Instant) -> Json:
    """Return a node: Job, Sink, NestedJobChain or End."""
    queue = state.queues.get((chain.key, node.state))
    count = 0 if queue is None else len(queue.all)
    obstacles = node_obstacles(state, chain, node, now)
    place: Json = {"jobChainPath": chain.definition.path, "nodeId": node.state}
    action = chain.action(node.state).value
    match node:
        case JobNode():
            return present(
                TYPE="Job",
                **place,
                nextNodeId=node.next_state,
                errorNodeId=node.error_state,
                jobPath=node.job_path,
                action=action,
                orderCount=count,
                obstacles=obstacles,
            )
        case SinkNode():
            return present(
                TYPE="Sink",
                **place,
                jobPath="/scheduler_file_order_sink",
                action=action,
                orderCount=count,
                obstacles=obstacles,
            )
        case NestedNode():
            return present(
                TYPE="NestedJobChain",
                **place,
                nextNodeId=node.next_state,
                errorNodeId=node.error_state,
                nestedJobChainPath=node.chain_path,
                obstacles=obstacles,
            )
        case EndNode():
            return {"TYPE": "End", **place}
        case _:
            assert_never(node)


# --- process classes -------------------------------------------------------------------------


def process_class_overview(state: State, process_class: ClassState) -> Json:
    """Return ProcessClassOverview."""
    return {
        "path": process_class.path or "/",
        "fileBasedState": "active",
        "processLimit": process_class.definition.max_processes,
        "usedProcessCount": len(state.class_slots.get(process_class.path, ())),
        "obstacles": class_obstacles(state, process_class),
    }


def process_class_detailed(state: State, process_class: ClassState) -> Json:
    """Return ProcessClassDetailed."""
    definition = process_class.definition
    fixed = definition.select is Select.FIRST
    return {
        "overview": process_class_overview(state, process_class),
        "selectionMethod": "FixedPriority" if fixed else "RoundRobin",
        "agents": [agent.uri for agent in definition.agents],
        "processes": [
            present(
                jobPath=job_path(state, state.tasks[task].job),
                taskId=str(task),
                startedAt=time_text(state.tasks[task].started_at),
                pid=state.tasks[task].pid,
                agent=state.tasks[task].agent or None,
            )
            for task in state.class_slots.get(process_class.path, ())
        ],
    }
