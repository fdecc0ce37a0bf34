"""Who has to be looked at after an event: the subjects it may have set free or made due."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias, assert_never

from engine.kernel.calendar import Schedule
from engine.kernel.definitions import NestedNode
from engine.kernel.events import Event
from engine.kernel.events import control as c
from engine.kernel.events import definitions as d
from engine.kernel.events import files as f
from engine.kernel.events import orders as o
from engine.kernel.events import tasks as t
from engine.kernel.ids import (
    ChainKey,
    ClassPath,
    JobKey,
    LockPath,
    NodeState,
    OrderKey,
    SchedulePath,
    TaskId,
)
from engine.kernel.reports import AgentStatus
from engine.kernel.state import State, TaskStatus, job_of_node


@dataclass(frozen=True, slots=True)
class JobSubject:
    """See what the job can start."""

    job: JobKey


@dataclass(frozen=True, slots=True)
class TaskSubject:
    """See what the task is due for."""

    task: TaskId


@dataclass(frozen=True, slots=True)
class ChainSubject:
    """See whether a held replacement or removal of the chain has become possible."""

    chain: ChainKey


@dataclass(frozen=True, slots=True)
class ClassSubject:
    """See whether the class can be removed."""

    process_class: ClassPath


@dataclass(frozen=True, slots=True)
class LockSubject:
    """See whether the lock can be removed."""

    lock: LockPath


@dataclass(frozen=True, slots=True)
class LockQueueSubject:
    """See who of those that wait for the lock may go on."""

    lock: LockPath


@dataclass(frozen=True, slots=True)
class FileSubject:
    """See whether a permanent order differs from its file."""

    order: OrderKey


@dataclass(frozen=True, slots=True)
class ScheduleSubject:
    """Plan the orders anew that have not started and that use this schedule (2.4)."""

    schedule: SchedulePath


Subject: TypeAlias = (
    JobSubject
    | TaskSubject
    | ChainSubject
    | ClassSubject
    | LockSubject
    | LockQueueSubject
    | FileSubject
    | ScheduleSubject
)


def affected_by(state: State, event: Event) -> Iterator[Subject]:
    """Yield the subjects to be visited because of an event; asked before it is applied."""
    match event:
        case o.OrderAdded():
            chain = event.inner_chain or event.definition.key.chain
            yield from _node_job(state, chain, event.state)
        case o.OrderStarted():
            # A chain that is full now has nothing more for the jobs that wait to begin orders.
            yield from _limited_chain(state, event.order.chain)
        case o.OrderFileFound():
            yield FileSubject(event.definition.key)
        case o.OrderFileGone():
            yield FileSubject(event.order)
        case o.OrderNodeChanged() | o.OrderReturned():
            yield from _node_job(state, event.order.chain, state.orders[event.order].state)
            yield from _node_job(state, event.order.chain, event.state)
            yield from _limited_chain(state, event.order.chain)
            yield FileSubject(_file_key(state, event.order))
        case o.OrderChainChanged():
            yield from _node_job(state, event.order.chain, state.orders[event.order].state)
            yield from _node_job(state, event.chain, event.state)
            yield from _limited_chain(state, event.order.chain)
        case (
            o.OrderSetBack()
            | o.OrderSuspended()
            | o.OrderSetbackEnded()
            | o.OrderResumed()
            | o.OrderStartPlanned()
            | o.OrderUnblacklisted()
            | o.OrderModified()
        ):
            order = state.orders[event.order]
            yield from _node_job(state, event.order.chain, order.state)
        case o.OrderStepEnded():
            yield from _node_job(state, event.order.chain, event.state)
            yield from _chains_of(state, event.order)
        case o.OrderFinished() | o.OrderBlacklisted() | o.OrderRemoved():
            # A job that waited to take it may have nothing to wait for any more (7.3).
            yield from _node_job(state, event.order.chain, state.orders[event.order].state)
            yield from _limited_chain(state, event.order.chain)
            yield ChainSubject(event.order.chain)
            yield from _files_of_id(state, event.order)
        case t.TaskQueued() | t.TaskRemovedFromQueue():
            if isinstance(event, t.TaskQueued):
                yield JobSubject(event.job)
            else:
                yield JobSubject(state.tasks[event.task].job)
        case t.TaskCreated() | t.TaskEnded() | t.TaskAwaitsAgent():
            yield TaskSubject(event.task)
        case t.TaskClosed():
            yield from _freed_by(state, event)
        case (
            t.JobUnstopped()
            | t.JobErrorsCounted()
            | t.JobWoken()
            | t.JobPeriodChanged()
            | t.JobRunTimeReplaced()
            | t.JobEnabledSet()
            | t.JobStopped()
            | f.JobTriggered()
        ):
            yield JobSubject(event.job)
        case f.ExitCommandCarriedOut():
            yield TaskSubject(event.task)
        case t.JobWaitEnded() | t.JobAwaitsProcess() | t.JobAwaitsLocks():
            yield from _next_waiters(state, event.job)
        case _:
            yield from _affected_by_definition(state, event)


def _affected_by_definition(state: State, event: Event) -> Iterator[Subject]:
    match event:
        case d.JobDefined():
            yield JobSubject(event.job.key)
        case d.JobReplacementHeld():
            yield JobSubject(event.job.key)
        case d.JobRemovalHeld() | d.JobRemoved():
            yield JobSubject(event.job)
            yield from _next_waiters(state, event.job)
            for path in state.process_classes:
                yield ClassSubject(path)
        case (
            d.ChainDefined()
            | d.ChainReplacementHeld()
            | d.ChainRemovalHeld()
            | d.ChainRemoved()
            | d.ChainStopSet()
            | d.NodeActionSet()
        ):
            yield from _affected_by_chain(state, event)
        case d.ProcessClassDefined():
            yield from _everything_waiting(state, event.process_class.path)
        case d.ProcessClassRemovalHeld():
            yield ClassSubject(event.process_class)
        case d.ProcessClassRemoved():
            yield from _everything_waiting(state, event.process_class)
        case d.LockRemovalHeld():
            yield LockSubject(event.lock)
        case d.LockRemoved():
            for job, known in state.jobs.items():
                if any(use.lock == event.lock for use in known.definition.locks):
                    yield JobSubject(job)
        case (
            d.LockDefined()
            | d.ScheduleDefined()
            | d.ScheduleRemoved()
            | d.MonitorDefined()
            | d.MonitorRemoved()
            | d.MainConfigured()
        ):
            for job in state.jobs:
                yield JobSubject(job)
            if isinstance(event, d.ScheduleDefined):
                yield from _users_of(state, event.schedule.schedule)
            elif isinstance(event, d.ScheduleRemoved):
                yield from _users_of(state, state.schedules[event.schedule].file.schedule)
        case c.AgentStatusChanged():
            if event.status is AgentStatus.COUPLED:
                yield from _tasks_waiting_for(state, event.agent)
        case c.EpochBegan() | c.EnginePausedSet():
            for job in state.jobs:
                yield JobSubject(job)
            for task in state.tasks:
                yield TaskSubject(task)
        case _:
            return


def _affected_by_chain(
    state: State,
    event: d.ChainDefined
    | d.ChainReplacementHeld
    | d.ChainRemovalHeld
    | d.ChainRemoved
    | d.ChainStopSet
    | d.NodeActionSet,
) -> Iterator[Subject]:
    match event:
        case d.ChainDefined():
            yield from _jobs_of_chain(state, event.chain.key)
            yield from _inner_chains(state, event.chain.key)
            for node in event.chain.nodes:
                job = job_of_node(node)
                if job is not None:
                    yield JobSubject(job)
                if isinstance(node, NestedNode):
                    yield from _jobs_of_chain(state, node.chain)
            yield from _files_of_chain(state, event.chain.key)
            for path, process_class in state.process_classes.items():
                if process_class.removal_held:
                    yield ClassSubject(path)
        case d.ChainReplacementHeld():
            yield ChainSubject(event.chain.key)
            # Its jobs do not wait for a lock or a process for it any more.
            yield from _jobs_of_chain(state, event.chain.key)
        case d.ChainRemovalHeld():
            yield ChainSubject(event.chain)
            yield from _jobs_of_chain(state, event.chain)
            yield from _inner_chains(state, event.chain)
        case d.ChainRemoved():
            yield from _jobs_of_chain(state, event.chain)
            yield from _inner_chains(state, event.chain)
            for path in state.process_classes:
                yield ClassSubject(path)
        case d.ChainStopSet() | d.NodeActionSet():
            yield from _jobs_of_chain(state, event.chain)
            # An order whose nodes were all skipped could not be placed (SCHEDULER-438).
            yield from _files_of_chain(state, event.chain)
        case _:
            assert_never(event)


def _files_of_chain(state: State, key: ChainKey) -> Iterator[Subject]:
    """Yield the order files of a chain and of the super chains that it is part of."""
    reached = {key, *state.supers_of_chain.get(key, ())}
    for file in state.order_files:
        if file.chain in reached:
            yield FileSubject(file)


def _inner_chains(state: State, key: ChainKey) -> Iterator[Subject]:
    """Yield the chains in a super chain as it was, and their files.

    They may go with it (SCHEDULER-894), and share their order ids with nobody any more.
    """
    nodes = state.node_index.get(key, {}).values()
    inner = {node.chain: None for node in nodes if isinstance(node, NestedNode)}
    for chain in inner:
        yield ChainSubject(chain)
    for file in state.order_files if inner else ():
        if file.chain in inner:
            yield FileSubject(file)


def _users_of(state: State, schedule: Schedule) -> Iterator[Subject]:
    """Yield whose users a new, changed or removed schedule concerns: its own, those it replaces."""
    former = state.schedules.get(schedule.path)
    bases = {schedule.path, schedule.substitute}
    bases |= set() if former is None else former.bases
    for base in sorted(path for path in bases if path is not None):
        yield ScheduleSubject(base)


def _file_key(state: State, key: OrderKey) -> OrderKey:
    """Return the key of the order's file, which names the super chain where there is one."""
    order = state.orders.get(key)
    return key if order is None else order.definition.key


def _files_of_id(state: State, key: OrderKey) -> Iterator[Subject]:
    """Yield the files of which an order of this id may have kept the orders out (1.10)."""
    yield FileSubject(_file_key(state, key))
    if key.chain in state.supers_of_chain:
        for chain in sorted(state.id_space(key.chain)):
            other = OrderKey(chain, key.id)
            if other in state.order_files:
                yield FileSubject(other)


def _chains_of(state: State, key: OrderKey) -> Iterator[Subject]:
    yield ChainSubject(key.chain)
    outer = state.orders[key].outer
    if outer is not None:
        yield ChainSubject(outer.chain)


def _node_job(state: State, chain: ChainKey, node_state: NodeState) -> Iterator[Subject]:
    node = state.node(chain, node_state)
    job = None if node is None else job_of_node(node)
    if job is not None:
        yield JobSubject(job)


def _jobs_of_chain(state: State, chain: ChainKey) -> Iterator[Subject]:
    for node in state.node_index.get(chain, {}).values():
        job = job_of_node(node)
        if job is not None:
            yield JobSubject(job)
        if isinstance(node, NestedNode):
            yield from _jobs_of_chain(state, node.chain)


def _limited_chain(state: State, chain: ChainKey) -> Iterator[Subject]:
    """A chain below its `max_orders` again lets the next order start (js946)."""
    for each in (chain, *state.supers_of_chain.get(chain, ())):
        known = state.chains.get(each)
        if known is not None and known.definition.max_orders is not None:
            yield from _jobs_of_chain(state, each)


def _freed_by(state: State, event: t.TaskClosed) -> Iterator[Subject]:
    """Yield who may go on with the slot and the locks that a task gives back."""
    task = state.tasks[event.task]
    yield from _class_head(state, task.process_class)
    for use in task.locks:
        yield LockSubject(use.lock)
        yield LockQueueSubject(use.lock)
    yield JobSubject(event.job)
    yield from _jobs_of_several_classes(state, task.process_class)
    yield ClassSubject(task.process_class)


def _jobs_of_several_classes(state: State, freed: ClassPath) -> Iterator[Subject]:
    """Yield jobs that wait for a slot of one class and may have orders of the freed one too."""
    for path, waiters in state.class_waiters.items():
        if path != freed:
            for job in list(waiters.keys()):
                if not state.jobs[job].definition.process_class:
                    yield JobSubject(job)


def _class_head(state: State, path: ClassPath) -> Iterator[Subject]:
    waiters = state.class_waiters.get(path)
    first = None if waiters is None else waiters.first()
    if first is not None:
        yield JobSubject(first[1])


def _next_waiters(state: State, job: JobKey) -> Iterator[Subject]:
    """A job leaves its queues: those behind it may have become first."""
    wait = state.jobs[job].wait
    if wait is None:
        return
    if wait.process_class is not None:
        waiters = state.class_waiters.get(wait.process_class)
        if waiters is not None:
            following = [
                (other.place, key)
                for key in waiters.keys()  # noqa: SIM118  # not a dict
                if key != job and (other := state.jobs[key].wait) is not None
            ]
            if following:
                yield JobSubject(min(following)[1])
    for lock in wait.locks:
        yield LockQueueSubject(lock)


def _everything_waiting(state: State, path: ClassPath) -> Iterator[Subject]:
    yield from _class_head(state, path)
    for job in state.jobs.values():
        if job.definition.process_class == path or not job.definition.process_class:
            yield JobSubject(job.key)
    for task in state.class_slots.get(path, ()):
        if state.tasks[task].status is TaskStatus.WAITING_FOR_AGENT:
            yield TaskSubject(task)


def _tasks_waiting_for(state: State, agent: str) -> Iterator[Subject]:
    for process_class in state.process_classes.values():
        if any(known.uri == agent for known in process_class.definition.agents):
            for task in state.class_slots.get(process_class.path, ()):
                if state.tasks[task].status is TaskStatus.WAITING_FOR_AGENT:
                    yield TaskSubject(task)
