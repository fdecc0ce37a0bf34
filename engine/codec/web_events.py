"""Kernel events -> events of the JSON web service, pure (xml-commands.md 10).

The web service tells a change with names and former values that the kernel's event does not carry,
and some of its events follow from several of ours. So this remembers a little of every order, task,
job and object; it reads only names and present states from the live state, which may be ahead.
"""

from collections.abc import Iterator
from typing import Any, Final

from engine.codec.streamed_json import Json
from engine.codec.web_file_events import FileEvents, object_path
from engine.codec.web_obstacles import jobs_using, present
from engine.codec.xml.answers_chains import chain_state_name
from engine.codec.xml.answers_jobs import job_state_name
from engine.kernel.events import Event, control, definitions, orders, tasks
from engine.kernel.ids import ChainKey, JobKey, NodeState, OrderKey, TaskId
from engine.kernel.state import State

GROUPS: Final[dict[str, str]] = {
    "JocOrderStatistics": "JocOrderStatisticsEvent",
    "JobChain": "JobChainEvent",
    "Order": "OrderEvent",
    "Task": "TaskEvent",
    "Job": "JobEvent",
    "FileBased": "FileBasedEvent",
    "Scheduler": "SchedulerEvent",
    "Logged": "LogEvent",
    "Variables": "CustomEvent",
}
"""What names of events begin with, longest first, and the group that means all of them."""
NAMES: Final = frozenset(
    {
        "FileBasedActivated",
        "FileBasedAdded",
        "FileBasedRemoved",
        "FileBasedReplaced",
        "JobChainNodeActionChanged",
        "JobChainStateChanged",
        "JobStateChanged",
        "JobTaskQueueChanged",
        "JobUnstopped",
        "JocOrderStatisticsChanged",
        "Logged",
        "OrderAdded",
        "OrderFinished",
        "OrderNestedFinished",
        "OrderNestedStarted",
        "OrderNodeChanged",
        "OrderRemoved",
        "OrderResumed",
        "OrderSetBack",
        "OrderStarted",
        "OrderStepEnded",
        "OrderStepStarted",
        "OrderSuspended",
        "OrderWaitingInTask",
        "SchedulerClosed",
        "SchedulerInitiated",
        "SchedulerStateChanged",
        "TaskClosed",
        "TaskEnded",
        "TaskStarted",
        "VariablesCustomEvent",
    }
)
"""Every event there is."""
STATISTICS_CHANGED: Final = "JocOrderStatisticsChanged"
CLOSED: Final[Json] = {"TYPE": "SchedulerClosed"}


def group_of(name: str) -> str:
    """Return the group of an event, empty for a name that is none."""
    return next((group for prefix, group in GROUPS.items() if name.startswith(prefix)), "")


def are_events(names: frozenset[str]) -> bool:
    """Return whether `return=` names events or groups of them, and nothing else."""
    return bool(names) and names <= NAMES | {*GROUPS.values(), "Event"}


def is_asked_for(event: Json, types: frozenset[str]) -> bool:
    """Return whether `return=` names this event, its group, or every event."""
    name = str(event["TYPE"])
    return "Event" in types or name in types or group_of(name) in types


def subject_of(event: Json) -> tuple[str, str]:
    """Return what an event is about: `Job` and `/path`; for orders `Order` and `/chain,id`."""
    key = event.get("key")
    if isinstance(key, dict):
        return "Task", str(key.get("jobPath", ""))
    if not isinstance(key, str):
        return "", ""
    group = group_of(str(event["TYPE"]))
    if group == "FileBasedEvent":
        kind, _, path = key.partition(":")
        return kind, path
    return group.removesuffix("Event"), key


class WebEventMaker:
    """Makes the events of the web service from those of the journal, in their order."""

    def __init__(self, state: State, *, from_the_first: bool) -> None:
        """`from_the_first`: the journal's events come from its first one on."""
        self._state = state
        self._nodes: dict[OrderKey, NodeState] = {}
        """Where orders stood after the last event that was told."""
        self._super_starts: dict[OrderKey, NodeState] = {}
        """Orders of super chains, and the node of that chain where they begin (1.10)."""
        self._travelled: set[OrderKey] = set()
        """Those of them that have gone on to another inner chain in this run."""
        self._over: set[OrderKey] = set()
        """Orders whose run has ended and that have not gone back yet."""
        self._tasks: dict[TaskId, tuple[JobKey, OrderKey | None]] = {}
        self._waiting: set[TaskId] = set()
        """Tasks that were told to wait for an agent."""
        self._ended: dict[TaskId, Json] = {}
        """What is to be told of the end of tasks, when that of the order's step has been told."""
        self._jobs: dict[JobKey, str] = {}
        self._chains: dict[ChainKey, str] = {}
        self._job_paths: dict[JobKey, str] = {}
        """As they are written, until all is told of their end."""
        self._chain_paths: dict[ChainKey, str] = {}
        self._files = FileEvents(state, from_the_first=from_the_first)
        if not from_the_first:
            self._look_around()

    def _look_around(self) -> None:
        for order in self._state.orders.values():
            self._nodes[order.key] = order.state
            if order.outer is not None:
                self._super_starts[order.key] = order.outer.initial_state
                if order.outer.state != order.outer.initial_state:
                    self._travelled.add(order.key)
        for task in self._state.tasks.values():
            self._tasks[task.id] = task.job, task.order
        for job in self._state.jobs.values():
            self._jobs[job.key] = job_state_name(self._state, job)
            self._job_path(job.key)
        for chain in self._state.chains.values():
            self._chains[chain.key] = chain_state_name(chain)
            self._chain_path(chain.key)

    def events(self, event: Event) -> Iterator[Json]:
        """Yield what the web service tells of an event; nothing of many."""
        yield from self._of_orders(event)
        yield from self._of_tasks(event)
        yield from self._of_definitions(event)
        yield from self._files.events(event)

    # --- orders ------------------------------------------------------------------------------

    def _of_orders(self, event: Event) -> Iterator[Json]:
        match event:
            case orders.OrderAdded():
                key = event.definition.key
                if event.inner_chain is not None:
                    key = OrderKey(event.inner_chain, key.id)
                    self._super_starts[key] = event.initial_state
                self._nodes[key] = event.state
                yield self._order(key, "OrderAdded", nodeId=event.state)
            case orders.OrderStarted():
                goes_on = event.order in self._travelled
                yield self._order(event.order, "OrderNestedStarted" if goes_on else "OrderStarted")
            case orders.OrderStepStarted():
                yield self._order(
                    event.order, "OrderStepStarted", nodeId=event.state, taskId=str(event.task)
                )
            case orders.OrderStepEnded():
                yield self._order(event.order, "OrderStepEnded", nodeTransition=_transition(event))
            case orders.OrderSetBack():
                yield self._order(event.order, "OrderSetBack", nodeId=self._nodes.get(event.order))
            case orders.OrderSuspended():
                yield self._order(event.order, "OrderSuspended")
            case orders.OrderResumed():
                yield self._order(event.order, "OrderResumed")
            case _:
                yield from self._of_travelling_orders(event)

    def _of_travelling_orders(self, event: Event) -> Iterator[Json]:
        match event:
            case orders.OrderNodeChanged():
                yield from self._moved(event.order, event.state, event.former)
            case orders.OrderChainChanged():
                yield from self._chain_changed(event)
            case orders.OrderFinished():
                self._over.add(event.order)
                yield from self._arrived(event.order, event.state)
                if event.order in self._super_starts:
                    yield self._order(event.order, "OrderNestedFinished")
                yield self._order(event.order, "OrderFinished", nodeId=event.state)
            case orders.OrderReturned():
                self._over.discard(event.order)
                self._travelled.discard(event.order)
                former = self._nodes.get(event.order, event.state)
                yield from self._moved(event.order, event.state, former)
            case orders.OrderRemoved():
                yield self._order(event.order, "OrderRemoved")
                self._forget(event.order)
            case _:
                pass

    def _arrived(self, key: OrderKey, end: NodeState) -> Iterator[Json]:
        """The order has come to an end node; without an error node it has come to none."""
        if end:
            yield from self._moved(key, end, self._nodes.get(key, end))

    def _moved(self, key: OrderKey, node: NodeState, former: NodeState) -> Iterator[Json]:
        self._nodes[key] = node
        if node != former:
            yield self._order(key, "OrderNodeChanged", nodeId=node, fromNodeId=former)

    def _chain_changed(self, event: orders.OrderChainChanged) -> Iterator[Json]:
        """The order goes to the next inner chain, or back to the first one when its run is over."""
        start = self._super_starts.get(event.order)
        begins_anew = event.order in self._over or event.outer_state == start
        if not begins_anew:
            yield from self._arrived(event.order, event.former_state)
            yield self._order(event.order, "OrderNestedFinished")
        self._forget(event.order)
        key = OrderKey(event.chain, event.order.id)
        self._nodes[key] = event.state
        if start is not None:
            self._super_starts[key] = start
        if not begins_anew:
            self._travelled.add(key)
        yield self._order(
            key, "OrderNodeChanged", nodeId=event.state, fromNodeId=event.former_state
        )

    def _forget(self, key: OrderKey) -> None:
        self._nodes.pop(key, None)
        self._super_starts.pop(key, None)
        self._travelled.discard(key)
        self._over.discard(key)

    def _order(self, key: OrderKey, kind: str, **fields: Any) -> Json:
        return present(TYPE=kind, key=f"{self._chain_path(key.chain)},{key.id}", **fields)

    def _chain_path(self, key: ChainKey) -> str:
        chain = self._state.chains.get(key)
        if chain is None:
            return self._chain_paths.get(key, key)
        return self._chain_paths.setdefault(key, chain.definition.path)

    # --- tasks and jobs ----------------------------------------------------------------------

    def _of_tasks(self, event: Event) -> Iterator[Json]:
        match event:
            case tasks.TaskCreated():
                was_queued = event.task in self._tasks
                self._tasks[event.task] = event.job, event.order
                if was_queued:
                    yield self._queue_changed(event.job)
                yield from self._job_state(event.job)
            case tasks.TaskAwaitsAgent():
                _, order = self._tasks.get(event.task, (None, None))
                if order is not None and event.task not in self._waiting:
                    self._waiting.add(event.task)
                    yield self._order(order, "OrderWaitingInTask")
            case tasks.TaskStarted():
                yield self._task(event.task, "TaskStarted")
            case tasks.TaskEnded():
                ended = self._task(event.task, "TaskEnded", returnCode=event.exit_code)
                if event.error_code and not event.monitored:
                    yield ended
                else:
                    # Of a success the order's step is told first (orders-and-jobs.md 5.3).
                    self._ended[event.task] = ended
            case tasks.TaskClosed():
                self._tasks.setdefault(event.task, (event.job, None))
                if event.task in self._ended:
                    yield self._ended.pop(event.task)
                yield self._task(event.task, "TaskClosed")
                self._tasks.pop(event.task, None)
                self._waiting.discard(event.task)
                yield from self._job_state(event.job)
            case tasks.TaskQueued():
                self._tasks[event.task] = event.job, None
                yield self._queue_changed(event.job)
            case tasks.TaskRemovedFromQueue():
                job, _ = self._tasks.pop(event.task, (None, None))
                if job is not None:
                    yield self._queue_changed(job)
            case tasks.JobStopped():
                yield from self._job_state(event.job)
            case tasks.JobUnstopped():
                yield present(TYPE="JobUnstopped", key=self._job_path(event.job))
                yield from self._job_state(event.job)
            case _:
                pass

    def _job_path(self, key: JobKey) -> str:
        job = self._state.jobs.get(key)
        if job is None:
            return self._job_paths.get(key, key)
        return self._job_paths.setdefault(key, job.definition.path)

    def _queue_changed(self, job: JobKey) -> Json:
        return present(TYPE="JobTaskQueueChanged", key=self._job_path(job))

    def _task(self, task: TaskId, kind: str, **fields: Any) -> Json:
        job, _ = self._tasks.get(task, (None, None))
        path = None if job is None else self._job_path(job)
        return present(TYPE=kind, key=present(jobPath=path, taskId=str(task)), **fields)

    def _job_state(self, key: JobKey) -> Iterator[Json]:
        """Tell the state of a job if it is not the one that was told last."""
        job = self._state.jobs.get(key)
        if job is None:
            self._jobs.pop(key, None)
            return
        name = job_state_name(self._state, job)
        if self._jobs.get(key) != name:
            self._jobs[key] = name
            yield present(TYPE="JobStateChanged", key=job.definition.path, state=name)

    # --- definitions and the engine ----------------------------------------------------------

    def _of_definitions(self, event: Event) -> Iterator[Json]:
        match event:
            case definitions.JobDefined():
                self._job_paths[event.job.key] = event.job.path
                yield from self._job_state(event.job.key)
            case definitions.JobRemoved():
                self._jobs.pop(event.job, None)
                self._job_paths.pop(event.job, None)
            case definitions.JobReplacementHeld():
                yield from self._job_state(event.job.key)
            case definitions.JobRemovalHeld():
                yield from self._job_state(event.job)
            case definitions.ChainDefined():
                self._chain_paths[event.chain.key] = event.chain.path
                yield from self._chain_state(event.chain.key)
            case definitions.ChainRemoved():
                self._chains.pop(event.chain, None)
                self._chain_paths.pop(event.chain, None)
            case definitions.ChainStopSet():
                yield from self._chain_state(event.chain)
            case definitions.NodeActionSet():
                yield present(
                    TYPE="JobChainNodeActionChanged",
                    key=self._chain_path(event.chain),
                    nodeId=event.state,
                    action=event.action.value,
                )
            case control.EnginePausedSet():
                name = "paused" if event.paused else "running"
                yield present(TYPE="SchedulerStateChanged", state=name)
            case control.EpochBegan():
                yield present(TYPE="SchedulerInitiated")
                yield present(TYPE="SchedulerStateChanged", state="running")
            case _:
                path = object_path(event)
                if path is not None:
                    for job in jobs_using(self._state, path):
                        yield from self._job_state(job.key)

    def _chain_state(self, key: ChainKey) -> Iterator[Json]:
        chain = self._state.chains.get(key)
        if chain is None:
            self._chains.pop(key, None)
            return
        name = chain_state_name(chain)
        if self._chains.get(key) != name:
            self._chains[key] = name
            yield present(TYPE="JobChainStateChanged", key=chain.definition.path, state=name)


def _transition(event: orders.OrderStepEnded) -> Json:
    match event.transition:
        case orders.Transition.SUCCESS:
            return {"TYPE": "Success"}
        case orders.Transition.ERROR:
            return {"TYPE": "Error", "returnCode": event.return_code}
        case orders.Transition.KEEP:
            return {"TYPE": "Keep"}
