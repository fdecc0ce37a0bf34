"""What keeps objects from going on, as the web service tells it (xml-commands.md 9.3), pure."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from engine.codec.json_api import time_text
from engine.codec.streamed_json import Json
from engine.codec.xml.answers_jobs import job_state_name
from engine.kernel.capacity import at_order_limit, at_task_limit, is_in_period, missing_requisites
from engine.kernel.commands import NodeAction, ObjectKind, ObjectRef
from engine.kernel.definitions import JobNode, NestedNode, Node
from engine.kernel.ids import DEFAULT_CLASS
from engine.kernel.instants import NEVER, Instant, utc_text
from engine.kernel.plans import schedule_is_missing
from engine.kernel.state import (
    Broken,
    ChainState,
    ClassState,
    JobState,
    Order,
    Schedule,
    State,
    Task,
    TaskStatus,
)

PREFIXES: Final = {
    ObjectKind.JOB: "Job",
    ObjectKind.CHAIN: "JobChain",
    ObjectKind.ORDER: "Order",
    ObjectKind.PROCESS_CLASS: "ProcessClass",
    ObjectKind.LOCK: "Lock",
    ObjectKind.SCHEDULE: "Schedule",
    ObjectKind.MONITOR: "Monitor",
}
"""How paths of files name the type of their object."""
_REQUISITES: Final = {
    "process_class": "ProcessClass",
    "lock": "Lock",
    "monitor": "Monitor",
    "schedule": "Schedule",
}
_CODE = re.compile(r"((?:SCHEDULER|Z-JAVA)-\d+) +")


def present(**fields: object) -> Json:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


# --- files ---------------------------------------------------------------------------------------


def file_based_state(missing: Iterable[str]) -> str:
    """Return the state of an object that is there: complete or not."""
    return "incomplete" if any(True for _ in missing) else "active"


def broken_file(state: State, kind: ObjectKind, path: str) -> Broken | None:
    """Return what is wrong with the object's file, None when it can be used."""
    return state.broken.get(ObjectRef(kind=kind, path=path))


def error_of(broken: Broken | None) -> Json | None:
    """Return code and message of the first finding."""
    if broken is None:
        return None
    text = broken.findings[0] if broken.findings else "The file cannot be used"
    found = _CODE.match(text)
    code = found[1] if found else "Z-JAVA-105"
    return {"code": code, "message": text[found.end() :] if found else text}


def _file_obstacles(
    broken: Broken | None, missing: list[str], *, is_replaced: bool, is_removed: bool
) -> list[Json]:
    """Return FileBasedObstacles, none when there are none."""
    inner: list[Json] = []
    if broken is not None:
        findings = "; ".join(broken.findings)
        inner.append({"TYPE": "Replaced", "error": findings or "The file cannot be used"})
    elif is_replaced:
        inner.append({"TYPE": "Replaced"})
    if is_removed:
        inner.append({"TYPE": "Removed"})
    if missing:
        inner.append({"TYPE": "MissingRequisites", "paths": missing})
    return [{"TYPE": "FileBasedObstacles", "fileBasedObstacles": inner}] if inner else []


def missing_of_job(state: State, job: JobState) -> list[str]:
    """Return what the job needs and what is not there."""
    return [f"{_REQUISITES[kind]}:{path}" for kind, path in missing_requisites(state, job)]


def jobs_using(state: State, path: str) -> Iterator[JobState]:
    """Yield the jobs that name this process class, lock, monitor or schedule."""
    for job in state.jobs.values():
        definition = job.definition
        run_time = definition.run_time
        if (
            definition.process_class == path
            or (run_time is not None and run_time.schedule == path)
            or any(use.lock == path for use in definition.locks)
            or any(monitor.path == path for monitor in definition.monitors)
        ):
            yield job


def missing_of_chain(state: State, chain: ChainState) -> list[str]:
    """Return the chains that are nested in this one and not there (live-folder.md 7.2)."""
    return [
        f"JobChain:{node.chain_path}"
        for node in chain.definition.nodes
        if isinstance(node, NestedNode) and node.chain not in state.chains
    ]


def missing_of_order(state: State, order: Order) -> list[str]:
    """Return the schedule that the order needs, when it is not there."""
    run_time = order.run_time
    if run_time is None or not schedule_is_missing(state, run_time):
        return []
    return [f"Schedule:{run_time.schedule}"]


def missing_of_schedule(state: State, schedule: Schedule) -> list[str]:
    """Return the schedule that it substitutes, when that is not there."""
    base = schedule.file.schedule.substitute
    return [] if base is None or base in state.schedules else [f"Schedule:{base}"]


# --- orders --------------------------------------------------------------------------------------


def order_obstacles(state: State, order: Order, path: str, now: Instant) -> list[Json]:
    """Return what keeps an order from going on; `path` is its own."""
    obstacles: list[Json] = []
    if order.is_permanent:
        obstacles = _file_obstacles(
            broken_file(state, ObjectKind.ORDER, path),
            missing_of_order(state, order),
            is_replaced=order.replacement is not None,
            is_removed=order.removal_held,
        )
    if order.suspended:
        obstacles.append({"TYPE": "Suspended"})
    if order.blacklisted:
        obstacles.append({"TYPE": "Blacklisted"})
    if order.setback_count and now < order.start_at < NEVER:
        obstacles.append({"TYPE": "Setback", "until": utc_text(order.start_at)})
    return obstacles


# --- jobs and tasks ------------------------------------------------------------------------------


def job_obstacles(state: State, job: JobState, now: Instant) -> list[Json]:
    """Return what keeps a job from starting tasks."""
    definition = job.definition
    missing = missing_of_job(state, job)
    obstacles = _file_obstacles(
        broken_file(state, ObjectKind.JOB, definition.path),
        missing,
        is_replaced=job.replacement is not None,
        is_removed=job.removal_held,
    )
    process_class = state.process_classes.get(definition.process_class or DEFAULT_CLASS)
    if process_class is not None and (full := class_obstacles(state, process_class)):
        obstacles.append({"TYPE": "ProcessClassObstacles", "processClassObstacles": full})
    name = job_state_name(state, job)
    if job.stopped:
        obstacles.append({"TYPE": "Stopped"})
    elif name in {"stopping", "loaded"}:
        obstacles.append({"TYPE": "BadState", "jobState": name})
    if at_task_limit(state, job):
        obstacles.append({"TYPE": "TaskLimitReached", "limit": definition.tasks})
    if job.wait is not None and job.wait.process_class is not None:
        obstacles.append({"TYPE": "WaitingForProcessClass"})
    if not is_in_period(job, now):
        until = job.open_until if not job.is_open else job.delayed_until
        obstacles.append(present(TYPE="NoRuntime", plannedAt=time_text(until)))
    if job.wait is not None and job.wait.locks:
        obstacles.append({"TYPE": "WaitingForLocks", "lockPaths": list(job.wait.locks)})
    return obstacles


def task_obstacles(state: State, task: Task, now: Instant) -> list[Json]:
    """Return what keeps a task from going on."""
    if task.status is TaskStatus.WAITING_FOR_AGENT:
        return [{"TYPE": "WaitingForAgent"}]
    if task.status is not TaskStatus.QUEUED:
        return []
    if task.start_at > now:
        return [{"TYPE": "Delayed"}]
    job = state.jobs.get(task.job)
    wait = None if job is None else job.wait
    obstacles: list[Json] = []
    if wait is not None and wait.locks:
        obstacles.append({"TYPE": "WaitingForLock"})
    if wait is not None and wait.process_class is not None:
        obstacles.append({"TYPE": "WaitingForProcessClass"})
    return obstacles


# --- chains and process classes ------------------------------------------------------------------


def chain_obstacles(state: State, chain: ChainState) -> list[Json]:
    """Return what keeps the orders of a chain from going on."""
    definition = chain.definition
    obstacles = _file_obstacles(
        broken_file(state, ObjectKind.CHAIN, definition.path),
        missing_of_chain(state, chain),
        is_replaced=chain.replacement is not None,
        is_removed=chain.removal_held,
    )
    if chain.stopped:
        obstacles.append({"TYPE": "Stopped"})
    if at_order_limit(state, chain):
        obstacles.append({"TYPE": "OrderLimitReached", "limit": definition.max_orders})
    return obstacles


def node_obstacles(state: State, chain: ChainState, node: Node, now: Instant) -> list[Json]:
    """Return what keeps orders at a node."""
    obstacles: list[Json] = []
    if chain.action(node.state) is NodeAction.STOP:
        obstacles.append({"TYPE": "Stopping"})
    if not isinstance(node, JobNode):
        return obstacles
    if node.delay:
        obstacles.append({"TYPE": "Delaying", "duration": node.delay / 1000})
    job = state.jobs.get(node.job)
    if job is None:
        obstacles.append({"TYPE": "MissingJob", "jobPath": node.job_path})
    elif job_obstacles(state, job, now):
        obstacles.append({"TYPE": "WaitingForJob"})
    return obstacles


def class_obstacles(state: State, process_class: ClassState) -> list[Json]:
    """Return what keeps a process class from taking tasks."""
    limit = process_class.definition.max_processes
    obstacles = _file_obstacles(
        broken_file(state, ObjectKind.PROCESS_CLASS, process_class.path),
        [],
        is_replaced=False,
        is_removed=process_class.removal_held,
    )
    if len(state.class_slots.get(process_class.path, ())) >= limit:
        obstacles.append({"TYPE": "ProcessLimitReached", "limit": limit})
    return obstacles
