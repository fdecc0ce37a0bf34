"""Kernel events -> events of the JSON web service, pure (xml-commands.md 10)."""

from collections.abc import Iterator
from typing import Any, Final

from engine.codec.web_service import Json, present
from engine.codec.xml.answers_orders import chain_path, job_path
from engine.kernel.events import Event, control, definitions, orders, tasks
from engine.kernel.ids import JobKey, OrderKey, TaskId
from engine.kernel.state import State

GROUPS: Final[dict[str, str]] = {
    "Order": "OrderEvent",
    "Task": "TaskEvent",
    "JobChain": "JobChainEvent",
    "Job": "JobEvent",
    "FileBased": "FileBasedEvent",
    "Scheduler": "SchedulerEvent",
    "Variables": "CustomEvent",
}
"""What names of events begin with, longest first, and the group that means all of them."""


def is_asked_for(event: Json, types: frozenset[str]) -> bool:
    """Return whether `return=` names this event, its group, or every event."""
    name = str(event["TYPE"])
    groups = [group for prefix, group in GROUPS.items() if name.startswith(prefix)]
    return "Event" in types or name in types or bool(groups and groups[0] in types)


def web_events(state: State, event: Event) -> Iterator[Json]:
    """Yield the events of the web service that a kernel event means; names come from `state`."""
    match event:
        case orders.OrderAdded():
            yield _order(state, event.definition.key, "OrderAdded", nodeId=event.state)
        case orders.OrderStarted():
            yield _order(state, event.order, "OrderStarted")
        case orders.OrderStepStarted():
            yield _order(
                state,
                event.order,
                "OrderStepStarted",
                nodeId=event.state,
                taskId=str(event.task),
            )
        case orders.OrderStepEnded():
            yield _order(state, event.order, "OrderStepEnded", nodeTransition=_transition(event))
        case orders.OrderNodeChanged():
            if event.state != event.former:
                yield _order(
                    state,
                    event.order,
                    "OrderNodeChanged",
                    nodeId=event.state,
                    fromNodeId=event.former,
                )
        case orders.OrderSetBack():
            order = state.orders.get(event.order)
            node = None if order is None else order.state
            yield _order(state, event.order, "OrderSetBack", nodeId=node)
        case orders.OrderSuspended():
            yield _order(state, event.order, "OrderSuspended")
        case orders.OrderResumed():
            yield _order(state, event.order, "OrderResumed")
        case orders.OrderFinished():
            yield _order(state, event.order, "OrderFinished", nodeId=event.state)
        case orders.OrderRemoved():
            yield _order(state, event.order, "OrderRemoved")
        case definitions.ChainStopSet():
            chain = chain_path(state, event.chain)
            name = "stopped" if event.stopped else "running"
            yield present(TYPE="JobChainStateChanged", key=chain, state=name)
        case definitions.NodeActionSet():
            yield present(
                TYPE="JobChainNodeActionChanged",
                key=chain_path(state, event.chain),
                nodeId=event.state,
                action=event.action.value,
            )
        case _:
            yield from _of_tasks(state, event)


def _of_tasks(state: State, event: Event) -> Iterator[Json]:
    match event:
        case tasks.TaskStarted():
            yield _task(state, event.task, None, "TaskStarted")
        case tasks.TaskEnded():
            yield _task(state, event.task, None, "TaskEnded", returnCode=event.exit_code)
        case tasks.TaskClosed():
            yield _task(state, event.task, event.job, "TaskClosed")
        case tasks.TaskQueued():
            yield present(TYPE="JobTaskQueueChanged", key=job_path(state, event.job))
        case tasks.JobStopped():
            runs = bool(state.tasks_of_job.get(event.job))
            name = "stopping" if runs else "stopped"
            yield present(TYPE="JobStateChanged", key=job_path(state, event.job), state=name)
        case tasks.JobUnstopped():
            yield present(TYPE="JobUnstopped", key=job_path(state, event.job))
            yield present(TYPE="JobStateChanged", key=job_path(state, event.job), state="pending")
        case _:
            yield from _of_definitions(event)


def _of_definitions(event: Event) -> Iterator[Json]:
    match event:
        case definitions.JobDefined():
            yield present(TYPE="FileBasedActivated", key=f"Job:{event.job.path}")
        case definitions.JobRemoved():
            yield present(TYPE="FileBasedRemoved", key=f"Job:{event.job}")
        case definitions.ChainDefined():
            yield present(TYPE="FileBasedActivated", key=f"JobChain:{event.chain.path}")
        case definitions.ChainRemoved():
            yield present(TYPE="FileBasedRemoved", key=f"JobChain:{event.chain}")
        case definitions.ProcessClassDefined():
            path = event.process_class.path or "/"
            yield present(TYPE="FileBasedActivated", key=f"ProcessClass:{path}")
        case definitions.ProcessClassRemoved():
            yield present(TYPE="FileBasedRemoved", key=f"ProcessClass:{event.process_class}")
        case definitions.LockDefined():
            yield present(TYPE="FileBasedActivated", key=f"Lock:{event.lock.path}")
        case definitions.LockRemoved():
            yield present(TYPE="FileBasedRemoved", key=f"Lock:{event.lock}")
        case definitions.ScheduleDefined():
            path = event.schedule.schedule.path
            yield present(TYPE="FileBasedActivated", key=f"Schedule:{path}")
        case definitions.ScheduleRemoved():
            yield present(TYPE="FileBasedRemoved", key=f"Schedule:{event.schedule}")
        case definitions.MonitorDefined():
            yield present(TYPE="FileBasedActivated", key=f"Monitor:{event.monitor.path}")
        case definitions.MonitorRemoved():
            yield present(TYPE="FileBasedRemoved", key=f"Monitor:{event.monitor}")
        case control.EnginePausedSet():
            name = "paused" if event.paused else "running"
            yield present(TYPE="SchedulerStateChanged", state=name)
        case control.EpochBegan():
            yield present(TYPE="SchedulerInitiated")
        case _:
            pass  # the web service of the original tells nothing of it


def _order(state: State, key: OrderKey, kind: str, **fields: Any) -> Json:
    return present(TYPE=kind, key=f"{chain_path(state, key.chain)},{key.id}", **fields)


def _task(state: State, task: TaskId, job: JobKey | None, kind: str, **fields: Any) -> Json:
    found = state.tasks.get(task)
    key = job if job is not None else (None if found is None else found.job)
    path = None if key is None else job_path(state, key)
    return present(TYPE=kind, key=present(jobPath=path, taskId=str(task)), **fields)


def _transition(event: orders.OrderStepEnded) -> Json:
    match event.transition:
        case orders.Transition.SUCCESS:
            return {"TYPE": "Success"}
        case orders.Transition.ERROR:
            return {"TYPE": "Error", "returnCode": event.return_code}
        case orders.Transition.KEEP:
            return {"TYPE": "Keep"}
