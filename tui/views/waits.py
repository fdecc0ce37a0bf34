"""What a waiting order or task waits for. "Waiting" alone is a defect."""

from engine.kernel.commands import NodeAction
from engine.kernel.definitions import EndNode, JobNode
from engine.kernel.ids import DEFAULT_CLASS, ClassPath, JobKey, LockPath, TaskId, name_of
from engine.kernel.instants import IMMEDIATELY, NEVER
from engine.kernel.state import JobState, Order, Task, TaskStatus
from tui.views.durations import clock_text, duration_text
from tui.views.scene import Scene
from tui.views.standing import OUT_OF_TOUCH
from tui.views.text import clean


def order_waits_for(scene: Scene, order: Order) -> str:
    """Return what an order waits for; empty when it is being worked on."""
    if order.blacklisted:
        return "its file to go"
    if order.task is not None:
        task = scene.state.tasks.get(order.task)
        return "" if task is None else task_waits_for(scene, task)
    if order.suspended:
        if order.last_error:
            return f"a person: {clean(order.last_error)}"
        return _suspended(scene, order)
    if order.start_at > scene.now:
        return _time(scene, order)
    return _obstacle(scene, order)


def task_waits_for(scene: Scene, task: Task) -> str:
    """Return what a task waits for; empty while it runs in touch."""
    match task.status:
        case TaskStatus.QUEUED:
            if IMMEDIATELY < task.start_at < NEVER and task.start_at > scene.now:
                return clock_text(task.start_at, scene.now, scene.zone)
            job = scene.state.jobs.get(task.job)
            return job_obstacle(scene, job) if job is not None else "its job, which is missing"
        case TaskStatus.WAITING_FOR_AGENT:
            until = task.await_until
            again = (
                f", again {clock_text(until, scene.now, scene.zone)}"
                if until is not None and until < NEVER
                else ""
            )
            return f"an agent{again}"
        case TaskStatus.STARTING:
            return f"the start on {agent_name(task.agent)}" if task.agent else "its start"
        case TaskStatus.RUNNING:
            agent = scene.state.agents.get(task.agent) if task.agent else None
            if agent is not None and agent.status in OUT_OF_TOUCH:
                return f"agent {agent_name(agent.uri)}, {agent.status.value}"
            return ""
        case TaskStatus.ENDED:
            return "its clean-up"


def agent_name(uri: str | None) -> str:
    """Return an agent's address without the scheme; `local` for the engine's own host."""
    if not uri:
        return "local"
    return clean(uri.removeprefix("https://").removeprefix("http://").rstrip("/"))


def _suspended(scene: Scene, order: Order) -> str:
    """Return why an order is suspended, since when and by whom, as far as it was heard."""
    known = scene.mirror.suspensions.get(order.key)
    reason = known.reason if known is not None else ""
    by = f" by {clean(known.by)}" if known is not None and known.by else ""
    since = f" {duration_text(scene.now - known.at)}" if known is not None else ""
    said = clean(reason if reason and reason != "by command" else order.state_text)
    if said:
        return f"{said}{since and f', held{since}'}"
    return f"suspended{since}{by}, s resumes"


def _time(scene: Scene, order: Order) -> str:
    if order.start_at >= NEVER:
        return "a start time or a start by hand" if not order.setback_count else "a person"
    clock = clock_text(order.start_at, scene.now, scene.zone)
    left = duration_text(order.start_at - scene.now)
    if not order.setback_count:
        return f"{clock} (in {left})"
    node = scene.state.node(order.key.chain, order.state)
    job = scene.state.jobs.get(node.job) if isinstance(node, JobNode) else None
    most = job.definition.setback_max if job is not None else 0
    count = f"{order.setback_count}/{most}" if most else f"{order.setback_count}"
    return f"setback {count}, {clock} (in {left})"


def _obstacle(scene: Scene, order: Order) -> str:
    state = scene.state
    if state.control.paused:
        return "the engine, which is paused"
    chain = state.chains.get(order.key.chain)
    if chain is None:
        return "its chain, which is missing"
    if chain.stopped:
        return "the chain, which is stopped"
    if chain.action(order.state) is NodeAction.STOP:
        return "the node, which is stopped"
    limit = chain.definition.max_orders
    started = state.started_in_chain.get(order.key.chain, 0)
    if limit is not None and not order.touched and started >= limit:
        return f"the chain: {started}/{limit} orders"
    node = state.node(order.key.chain, order.state)
    if isinstance(node, EndNode):
        return "its end"
    if not isinstance(node, JobNode):
        return "the next step"
    job = state.jobs.get(node.job)
    if job is None:
        return f"job {clean(name_of(node.job_path))}, which is missing"
    return job_obstacle(scene, job)


def job_obstacle(scene: Scene, job: JobState) -> str:
    """Return what keeps a job from starting another task."""
    if job.stopped or not job.enabled:
        return f"job {_name(job)}, which is {'stopped' if job.enabled else 'disabled'}"
    if job.delayed_until is not None and job.delayed_until > scene.now:
        return f"job {_name(job)}, pausing until " + clock_text(
            job.delayed_until, scene.now, scene.zone
        )
    if job.wait is not None and job.wait.locks:
        return ", ".join(lock_text(scene, lock) for lock in job.wait.locks)
    if job.wait is not None and job.wait.process_class is not None:
        return class_text(scene, job.wait.process_class)
    busy = len(scene.state.tasks_of_job.get(job.key, ()))
    if busy >= job.definition.tasks:
        return f"job {_name(job)}: {busy}/{job.definition.tasks} tasks{_holders(scene, job.key)}"
    return f"job {_name(job)}"


def _name(job: JobState) -> str:
    return clean(name_of(job.definition.path))


def _holders(scene: Scene, job: JobKey) -> str:
    tasks = scene.state.tasks_of_job.get(job, {})
    first = next(iter(tasks), None)
    return "" if first is None else f", {holder_text(scene, first)}"


def holder_text(scene: Scene, task_id: TaskId) -> str:
    """Return who holds something: the order of a task, or the task itself."""
    task = scene.state.tasks.get(task_id)
    if task is not None and task.order is not None:
        return clean(task.order.id)
    return f"task {task_id}"


def lock_text(scene: Scene, lock: LockPath) -> str:
    """Return a lock with its holders."""
    holders = scene.state.lock_holders.get(lock, {})
    names = [holder_text(scene, task) for task in holders]
    held = f": {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}" if names else ""
    missing = "" if lock in scene.state.locks else ", which is missing"
    return f"lock {clean(name_of(lock))}{held}{missing}"


def class_text(scene: Scene, path: ClassPath) -> str:
    """Return a process class with its count."""
    found = scene.state.process_classes.get(path)
    used = len(scene.state.class_slots.get(path, ()))
    name = "default" if path == DEFAULT_CLASS else clean(name_of(path))
    if found is None:
        return f"class {name}, which is missing"
    return f"class {name} {used}/{found.definition.max_processes}"
