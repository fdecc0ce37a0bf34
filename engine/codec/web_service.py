"""JSON shapes of the web service of JobScheduler 1.11 and later (xml-commands.md 9), pure.

Optional fields are left out, never null. `TYPE` tells variants apart. Ids of tasks are texts.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from engine.codec.json_api import time_text
from engine.codec.xml.answers_chains import chain_state_name
from engine.codec.xml.answers_jobs import job_state_name, task_state_name
from engine.codec.xml.answers_orders import chain_path, job_path, order_type
from engine.kernel.capacity import at_order_limit, at_task_limit, missing_requisites
from engine.kernel.commands import NodeAction
from engine.kernel.definitions import (
    EndNode,
    JobNode,
    NativeScript,
    NestedNode,
    Node,
    Select,
    SinkNode,
    Source,
)
from engine.kernel.ids import folder_of
from engine.kernel.instants import NEVER, Instant, utc_text
from engine.kernel.state import ChainState, ClassState, JobState, Order, State, Task, TaskStatus

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

REQUISITE_TYPES: Final = {
    "process_class": "ProcessClass",
    "lock": "Lock",
    "monitor": "Monitor",
    "schedule": "Schedule",
}


def present(**fields: object) -> Json:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


# --- which objects -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PathQuery:
    """Which paths are meant: `/`, `/folder/`, `/folder/*`, `/folder/name`, several with `|`."""

    patterns: tuple[str, ...] = ("/",)

    @property
    def single(self) -> str | None:
        """The path of the one object that is meant, None for a collection."""
        only = self.patterns[0]
        if len(self.patterns) > 1 or only.endswith(("/", "/*")):
            return None
        return only

    def selects(self, path: str) -> bool:
        """Return whether an object of this path is meant; case does not matter."""
        folded = path.casefold()
        return any(_matches(pattern.casefold(), folded) for pattern in self.patterns)


def path_query(text: str) -> PathQuery:
    """Read the path part of a resource."""
    patterns = tuple(f"/{part.lstrip('/')}" for part in text.split("|") if part)
    return PathQuery(patterns=patterns or ("/",))


def _matches(pattern: str, path: str) -> bool:
    if pattern.endswith("/*"):
        return folder_of(path) == (pattern[:-2] or "/")
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return path == pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuery:
    """Which orders are meant; absent fields do not filter."""

    paths: PathQuery = PathQuery()
    """Of their chains."""
    order_ids: frozenset[str] | None = None
    node_ids: frozenset[str] | None = None
    job_paths: frozenset[str] | None = None
    source_types: frozenset[str] | None = None
    processing_states: frozenset[str] | None = None
    is_suspended: bool | None = None
    is_setback: bool | None = None
    is_blacklisted: bool | None = None
    not_in_task_per_node_max: int | None = None

    def orders(self, state: State, now: Instant) -> list[Order]:
        """Return the orders, by chain and place in their queue."""
        chains = [key for key in state.orders_of_chain if self.paths.selects(key)]
        found = [
            state.orders[key] for chain in sorted(chains) for key in state.orders_of_chain[chain]
        ]
        chosen = [order for order in found if self._selects(state, order, now)]
        chosen.sort(key=lambda order: (order.key.chain, order.place))
        return self._limited(chosen)

    def _selects(self, state: State, order: Order, now: Instant) -> bool:
        node = state.node(order.key.chain, order.state)
        job = node.job if isinstance(node, JobNode) else None
        return (
            (self.order_ids is None or order.key.id in self.order_ids)
            and (self.node_ids is None or order.state in self.node_ids)
            and (self.job_paths is None or job in self.job_paths)
            and (self.source_types is None or order_type(order) in self.source_types)
            and self.is_suspended in {None, order.suspended}
            and self.is_setback in {None, order.setback_count > 0}
            and self.is_blacklisted in {None, order.blacklisted}
            and (
                self.processing_states is None
                or processing_state(state, order, now)["TYPE"] in self.processing_states
            )
        )

    def _limited(self, orders: list[Order]) -> list[Order]:
        most = self.not_in_task_per_node_max
        if most is None:
            return orders
        counts: Counter[tuple[str, str]] = Counter()
        kept = []
        for order in orders:
            if order.task is None:
                counts[order.key.chain, order.state] += 1
            if order.task is not None or counts[order.key.chain, order.state] <= most:
                kept.append(order)
        return kept


# --- orders --------------------------------------------------------------------------------------


def processing_state(state: State, order: Order, now: Instant) -> Json:
    """Return where the order stands in its processing."""
    if order.blacklisted:
        return {"TYPE": "Blacklisted"}
    if order.task is not None:
        task = state.tasks[order.task]
        path = task.process_class or "/"
        fields: Json = {"taskId": str(task.id), "processClassPath": path}
        if task.status in {TaskStatus.RUNNING, TaskStatus.ENDED}:
            fields |= present(since=time_text(task.started_at), agentUri=task.agent or None)
            return {"TYPE": "InTaskProcess", **fields}
        return {"TYPE": "WaitingInTask", **fields}
    if order.setback_count and order.start_at > now:
        return {"TYPE": "Setback", "until": utc_text(order.start_at)}
    if order.touched:
        return {"TYPE": "WaitingForResource"}
    if order.start_at >= NEVER:
        return {"TYPE": "NotPlanned"}
    if order.start_at > now:
        return {"TYPE": "Planned", "at": utc_text(order.start_at)}
    return {"TYPE": "Due", "at": utc_text(order.start_at or order.created_at)}


def order_overview(state: State, order: Order, now: Instant) -> Json:
    """Return OrderOverview."""
    chain = chain_path(state, order.key.chain)
    obstacles: list[Json] = []
    if order.suspended:
        obstacles.append({"TYPE": "Suspended"})
    if order.blacklisted:
        obstacles.append({"TYPE": "Blacklisted"})
    if order.setback_count and now < order.start_at < NEVER:
        obstacles.append({"TYPE": "Setback", "until": utc_text(order.start_at)})
    return present(
        path=f"{chain},{order.key.id}",
        fileBasedState="active",
        historyId=order.history,
        orderSourceType=order_type(order),
        jobChainPath=chain,
        nodeId=order.state,
        orderProcessingState=processing_state(state, order, now),
        obstacles=obstacles,
        startedAt=time_text(order.started_at),
        nextStepAt=time_text(order.start_at),
        outerJobChainPath=None if order.outer is None else chain_path(state, order.outer.chain),
    )


def order_detailed(state: State, order: Order, now: Instant) -> Json:
    """Return OrderDetailed."""
    return present(
        overview=order_overview(state, order, now),
        priority=order.priority,
        initialNodeId=order.initial_state,
        endNodeId=order.end_state,
        stateText=order.state_text or None,
        title=order.title or None,
        historyId=order.history,
        variables=dict(order.params),
    )


def orders_complemented(
    state: State, orders: Iterable[Order], now: Instant, detailed: bool
) -> Json:
    """Return OrdersComplemented: the orders with what they use."""
    shape = order_detailed if detailed else order_overview
    chosen = list(orders)
    nodes = {(order.key.chain, order.state) for order in chosen}
    used_nodes, used_jobs, used_classes = [], set(), set()
    for chain_key, node_id in sorted(nodes):
        node = state.node(chain_key, node_id)
        chain = state.chains.get(chain_key)
        if isinstance(node, JobNode) and chain is not None:
            used_nodes.append(node_shape(state, chain, node))
            job = state.jobs.get(node.job)
            if job is not None:
                used_jobs.add(job.key)
                used_classes.add(job.definition.process_class or "")
    return {
        "orders": [shape(state, order, now) for order in chosen],
        "usedNodes": used_nodes,
        "usedJobs": [job_overview(state, state.jobs[key]) for key in sorted(used_jobs)],
        "usedProcessClasses": [
            process_class_overview(state, found)
            for path, found in sorted(state.process_classes.items())
            if path in used_classes
        ],
    }


def order_statistics(state: State, orders: Iterable[Order], now: Instant) -> Json:
    """Return JocOrderStatistics."""
    chosen = list(orders)
    kinds = Counter(str(processing_state(state, order, now)["TYPE"]) for order in chosen)
    types = Counter(order_type(order) for order in chosen)
    return {
        "total": len(chosen),
        "notPlanned": kinds["NotPlanned"],
        "planned": kinds["Planned"],
        "due": kinds["Due"],
        "started": sum(order.touched for order in chosen),
        "inTask": kinds["InTaskProcess"] + kinds["WaitingInTask"],
        "inTaskProcess": kinds["InTaskProcess"],
        "occupiedByClusterMember": 0,
        "setback": kinds["Setback"],
        "waitingForResource": kinds["WaitingForResource"],
        "suspended": sum(order.suspended for order in chosen),
        "blacklisted": kinds["Blacklisted"],
        "permanent": types["Permanent"],
        "fileOrder": types["FileOrder"],
    }


# --- jobs and tasks ------------------------------------------------------------------------------


def job_overview(state: State, job: JobState) -> Json:
    """Return JobOverview."""
    definition = job.definition
    queued = state.queued_tasks.get(job.key)
    running = state.tasks_of_job.get(job.key, {})
    return present(
        path=definition.path,
        fileBasedState=_file_based_state(any(True for _ in missing_requisites(state, job))),
        defaultProcessClassPath=definition.process_class,
        isOrderJob=definition.is_order_job,
        title=definition.title or None,
        enabled=job.enabled,
        state=job_state_name(state, job),
        stateText=job.state_text,
        isInPeriod=job.is_open,
        nextStartTime=time_text(job.next_start),
        taskLimit=definition.tasks,
        usedTaskCount=len(running),
        queuedTaskCount=0 if queued is None else len(queued),
        lateTaskCount=0,
        obstacles=_job_obstacles(state, job),
        taskObstacles={
            str(task): obstacles
            for task in running
            if (obstacles := _task_obstacles(state.tasks[task]))
        },
    )


def _file_based_state(is_incomplete: bool) -> str:
    return "incomplete" if is_incomplete else "active"


def _job_obstacles(state: State, job: JobState) -> list[Json]:
    obstacles: list[Json] = []
    missing = [f"{REQUISITE_TYPES[kind]}:{path}" for kind, path in missing_requisites(state, job)]
    if missing:
        inner = [{"TYPE": "MissingRequisites", "paths": missing}]
        obstacles.append({"TYPE": "FileBasedObstacles", "fileBasedObstacles": inner})
    if job.stopped:
        obstacles.append({"TYPE": "Stopped"})
    if at_task_limit(state, job):
        obstacles.append({"TYPE": "TaskLimitReached", "limit": job.definition.tasks})
    if job.wait is not None and job.wait.process_class is not None:
        obstacles.append({"TYPE": "WaitingForProcessClass"})
    if job.wait is not None and job.wait.locks:
        obstacles.append({"TYPE": "WaitingForLocks", "lockPaths": list(job.wait.locks)})
    if not job.is_open:
        planned = time_text(job.open_until)
        obstacles.append(present(TYPE="NoRuntime", plannedAt=planned))
    return obstacles


def _task_obstacles(task: Task) -> list[Json]:
    if task.status is TaskStatus.WAITING_FOR_AGENT:
        return [{"TYPE": "WaitingForAgent"}]
    return []


def job_detailed(state: State, job: JobState) -> Json:
    """Return JobDetailed."""
    queue = state.queued_tasks.get(job.key)
    queued = [] if queue is None else sorted(queue.keys())
    return {
        "overview": job_overview(state, job),
        "defaultParameters": dict(job.definition.params),
        "queuedTasks": [
            present(
                taskId=str(task),
                enqueuedAt=time_text(state.tasks[task].created_at),
                startAt=time_text(state.tasks[task].start_at),
            )
            for task in queued
        ],
        "runningTasks": [_running_task(state, task) for task in state.running_tasks(job.key)],
    }


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


def task_overview(state: State, task: Task) -> Json:
    """Return TaskOverview."""
    job = state.jobs.get(task.job)
    is_native = job is not None and isinstance(job.definition.script, NativeScript)
    return present(
        taskId=str(task.id),
        jobPath=job_path(state, task.job),
        state=task_state_name(task, is_native=is_native),
        processClassPath=task.process_class or "/",
        agent=task.agent or None,
        obstacles=_task_obstacles(task),
    )


# --- chains --------------------------------------------------------------------------------------


def chain_overview(state: State, chain: ChainState) -> Json:
    """Return JobChainOverview."""
    definition = chain.definition
    keys = state.orders_of_chain.get(chain.key, {})
    blacklisted = len(state.blacklisted_in_chain.get(chain.key, ()))
    obstacles: list[Json] = []
    if chain.stopped:
        obstacles.append({"TYPE": "Stopped"})
    if at_order_limit(state, chain):
        obstacles.append({"TYPE": "OrderLimitReached", "limit": definition.max_orders})
    return present(
        path=definition.path,
        fileBasedState="active",
        state=chain_state_name(chain),
        title=definition.title or None,
        isDistributed=definition.distributed,
        hasJobChainNodes=definition.is_nested,
        orderLimit=definition.max_orders,
        jobOrJobChainNodeCount=sum(not isinstance(node, EndNode) for node in definition.nodes),
        nonBlacklistedOrderCount=len(keys) - blacklisted,
        blacklistedOrderCount=blacklisted,
        obstacles=obstacles,
    )


def chain_detailed(state: State, chain: ChainState, now: Instant) -> Json:
    """Return JobChainDetailed."""
    return {
        "overview": chain_overview(state, chain),
        "nodes": [node_shape(state, chain, node) for node in chain.definition.nodes],
        "fileOrderSources": [
            present(
                directory=source.directory,
                regex=source.regex,
                repeat=None if source.repeat is None else source.repeat / 1000,
                delayAfterError=None
                if source.delay_after_error is None
                else source.delay_after_error / 1000,
                files=[],
                alertWhenDirectoryMissing=source.alert_when_directory_missing,
            )
            for source in chain.definition.file_order_sources
        ],
        "blacklistedOrders": [
            order_overview(state, state.orders[key], now)
            for key in state.blacklisted_in_chain.get(chain.key, ())
        ],
    }


def node_shape(state: State, chain: ChainState, node: Node) -> Json:
    """Return a node: Job, Sink, NestedJobChain or End."""
    queue = state.queues.get((chain.key, node.state))
    action = chain.action(node.state)
    obstacles: list[Json] = []
    if action is NodeAction.STOP:
        obstacles.append({"TYPE": "Stopping"})
    place: Json = {"jobChainPath": chain.definition.path, "nodeId": node.state}
    match node:
        case JobNode():
            if node.job not in state.jobs:
                obstacles.append({"TYPE": "MissingJob", "jobPath": node.job_path})
            if node.delay:
                obstacles.append({"TYPE": "Delaying", "duration": node.delay / 1000})
            return present(
                TYPE="Job",
                **place,
                nextNodeId=node.next_state,
                errorNodeId=node.error_state,
                jobPath=node.job_path,
                action=action.value,
                orderCount=0 if queue is None else len(queue.all),
                obstacles=obstacles,
            )
        case SinkNode():
            return present(
                TYPE="Sink",
                **place,
                jobPath="/scheduler_file_order_sink",
                action=action.value,
                orderCount=0 if queue is None else len(queue.all),
                obstacles=obstacles,
            )
        case NestedNode():
            return present(
                TYPE="NestedJobChain",
                **place,
                nextNodeId=node.next_state,
                errorNodeId=node.error_state,
                nestedJobChainPath=node.chain_path,
            )
        case EndNode():
            return {"TYPE": "End", **place}


# --- process classes and the rest ----------------------------------------------------------------


def process_class_overview(state: State, process_class: ClassState) -> Json:
    """Return ProcessClassOverview."""
    used = len(state.class_slots.get(process_class.path, ()))
    limit = process_class.definition.max_processes
    obstacles = [{"TYPE": "ProcessLimitReached", "limit": limit}] if used >= limit else []
    return {
        "path": process_class.path or "/",
        "fileBasedState": "active",
        "processLimit": limit,
        "usedProcessCount": used,
        "obstacles": obstacles,
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


def file_based_objects(state: State) -> Mapping[str, Mapping[str, Source | None]]:
    """Return every object with its file: by type and path."""
    return {
        "Job": {one.definition.path: one.definition.source for one in state.jobs.values()},
        "JobChain": {one.definition.path: one.definition.source for one in state.chains.values()},
        "Order": {
            f"{chain_path(state, one.key.chain)},{one.key.id}": one.definition.source
            for one in state.orders.values()
            if one.is_permanent
        },
        "ProcessClass": {
            one.path or "/": one.definition.source for one in state.process_classes.values()
        },
        "Lock": {one.path: one.definition.source for one in state.locks.values()},
        "Schedule": {one.path: one.file.source for one in state.schedules.values()},
        "Monitor": {one.path: one.definition.source for one in state.monitors.values()},
    }


def file_based_shape(
    kind: str, path: str, source: Source | None, folder: str, detailed: bool
) -> Json:
    """Return FileBasedOverview or FileBasedDetailed."""
    overview: Json = {"path": f"{kind}:{path}", "fileBasedState": "active"}
    if not detailed:
        return overview
    if source is None:
        return {"overview": overview}
    return present(
        overview=overview,
        file=f"{folder.rstrip('/')}/{source.file}",
        fileModifiedAt=utc_text(source.modified_at),
        sourceXml=source.xml or None,
    )


def chosen(objects: Mapping[str, T], paths: PathQuery, shape: Callable[[T], Json]) -> list[Json]:
    """Return the shapes of the objects that are meant, by folded path."""
    ordered = sorted(objects, key=str.casefold)
    return [shape(objects[path]) for path in ordered if paths.selects(path)]
