"""The answer to `job.why`: everything that keeps a job from starting (xml-commands.md 7.10).

Only `<obstacle>` prevents; a reason to start without an obstacle beside it means: it starts.
"""

from engine.codec.xml.answers import View, element, moment, yes_no
from engine.codec.xml.answers_jobs import job_state_name
from engine.codec.xml.answers_objects import process_class_element
from engine.codec.xml.answers_orders import chain_path, orders_at
from engine.codec.xml.answers_state import engine_state_name
from engine.codec.xml.findings import Element
from engine.kernel.capacity import at_order_limit, at_task_limit, missing_requisites
from engine.kernel.commands import NodeAction
from engine.kernel.ids import DEFAULT_CLASS
from engine.kernel.instants import NEVER
from engine.kernel.state import JobState, NodeKey, Order, Task

ORDERS_MAX = 1_000
"""Orders of one node that are explained."""


def job_why_element(view: View, job: JobState) -> Element:
    """Return `<job.why>`."""
    state = view.state
    result = element("job.why", job=job.definition.path)
    result.extend(_obstacles(view, job))
    queue = state.queued_tasks.get(job.key)
    if queue:
        tasks = [state.tasks[task] for task in queue.keys()]  # noqa: SIM118  # not a dictionary
        elements = [_queued(view, task) for task in sorted(tasks, key=lambda task: task.id)]
        result.append(element("task_queue.why", *elements, length=len(tasks)))
    if job.next_start < NEVER:
        due = job.next_start <= view.now
        reason = element("start_reason.why", next_start_time=moment(job.next_start))
        if not due:
            reason.append(obstacle("now", moment(view.now)))
        result.append(reason)
    for watch in job.definition.directory_watches:
        result.append(element("start_when_directory_changed.why", directory=watch.directory))
    _append_waits(view, job, result)
    nodes = list(state.nodes_of_job.get(job.key, ()))
    if nodes:
        result.append(element("job_chain_nodes.why", *(_node(view, node) for node in nodes)))
    return result


def obstacle(name: str, value: object) -> Element:
    """Return `<obstacle NAME="VALUE">`."""
    return element("obstacle", **{name: value})


def _obstacles(view: View, job: JobState) -> list[Element]:
    state, found = view.state, []
    if state.control.paused:
        found.append(obstacle("scheduler_state", engine_state_name(state)))
    name = job_state_name(state, job)
    if job.stopped or name == "loaded":
        found.append(obstacle("state", name))
    for kind, path in missing_requisites(state, job):
        found.append(obstacle(f"missing_{kind}", path))
    if not job.is_open:
        found.append(obstacle("in_period", yes_no(flag=False)))
    if at_task_limit(state, job):
        found.append(obstacle("max_tasks", job.definition.tasks))
    if job.delayed_until is not None and job.delayed_until > view.now:
        found.append(obstacle("delay_until", moment(job.delayed_until)))
    if job.removal_held:
        found.append(obstacle("to_be_removed", "yes"))
    if job.replacement is not None:
        found.append(obstacle("to_be_replaced", "yes"))
    return found


def _queued(view: View, task: Task) -> Element:
    result = element("task_queue_element.why", id=task.id)
    if task.start_at > view.now:
        result.append(obstacle("start_at", moment(task.start_at)))
    return result


def _append_waits(view: View, job: JobState, result: Element) -> None:
    state, wait = view.state, job.wait
    if wait is not None and wait.locks:
        uses = [
            element(
                "lock.use",
                *([obstacle("lock", lock)] if lock in state.lock_holders else ()),
                lock=lock,
                is_available=yes_no(lock not in state.lock_holders),
            )
            for lock in wait.locks
        ]
        result.append(element("lock.requestor", *uses, waiting="yes"))
    if wait is not None and wait.process_class is not None:
        found = state.process_classes.get(wait.process_class or DEFAULT_CLASS)
        if found is not None:
            shown = process_class_element(view, found)
            shown.append(obstacle("max_processes", found.definition.max_processes))
            result.append(shown)


def _node(view: View, node: NodeKey) -> Element:
    state = view.state
    chain = state.chains[node[0]]
    result = element(
        "job_chain_node.why", job_chain=chain_path(state, node[0]), order_state=node[1]
    )
    action = chain.action(node[1])
    if action is not NodeAction.PROCESS:
        result.append(obstacle("action", action.value))
    chain_why = element("job_chain.why", path=chain.definition.path)
    if chain.stopped:
        chain_why.append(obstacle("state", "stopped"))
    if at_order_limit(state, chain):
        chain_why.append(obstacle("max_orders", chain.definition.max_orders))
    result.append(chain_why)
    orders = list(orders_at(state, node))
    elements = [_order(view, order) for order in orders[:ORDERS_MAX]]
    result.append(element("order_queue.why", *elements, length=len(orders)))
    return result


def _order(view: View, order: Order) -> Element:
    result = element("order.why", order=order.key.id)
    if order.task is not None:
        result.append(obstacle("task", order.task))
    if order.suspended:
        result.append(obstacle("suspended", "yes"))
    if order.start_at > view.now:
        name = "setback" if order.setback_count else "start_time"
        result.append(obstacle(name, moment(order.start_at)))
    return result
