"""The aggregate: what the engine knows, as the fold of its journal.

One mutable object that holds dictionaries of frozen records. Only `evolve` writes it. The
dictionaries named in `State.PRIMARY` are the truth; the indexes beside them are derived, kept up to
date by the few methods below and re-computed from scratch by `invariants` to compare.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias, TypeVar, assert_never, cast

from engine.kernel.calendar import RunTime
from engine.kernel.commands import NodeAction, ObjectKind, ObjectRef
from engine.kernel.definitions import (
    Chain,
    EndNode,
    Job,
    JobNode,
    Lock,
    LockUse,
    MainConfiguration,
    Monitor,
    NestedNode,
    Node,
    OrderDefinition,
    ProcessClass,
    ScheduleFile,
    SinkNode,
    Visible,
)
from engine.kernel.effects import KillMode
from engine.kernel.events.tasks import Cause
from engine.kernel.ids import (
    DEFAULT_CLASS,
    AgentUri,
    ChainKey,
    ClassPath,
    Epoch,
    ExecutionKey,
    HistoryId,
    JobKey,
    LockPath,
    MonitorPath,
    NodeState,
    OrderKey,
    SchedulePath,
    TaskId,
    folded_path,
)
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration, Instant
from engine.kernel.params import NO_PARAMS, Params, value_of
from engine.kernel.pending import PendingCommands, SourceState
from engine.kernel.queues import Lane, NodeQueue, PriorityQueue
from engine.kernel.reports import AgentStatus
from engine.kernel.ssh_runs import SshRunState
from engine.kernel.versions import replace

FILE_ORDER_PARAM = "scheduler_file_path"
"""An order with this parameter is a file order, however it was created (2.1)."""

FILE_AGENT_PARAM = "scheduler_file_remote_scheduler"
"""Names the agent on whose host the file of a file order is (1.11.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """The engine itself: its identity, its life, its counters."""

    engine_id: str = ""
    epoch: Epoch = Epoch(0)
    time_zone: str = "UTC"
    paused: bool = False
    began_at: Instant = Instant(0)
    last_task: TaskId = TaskId(0)
    last_history: HistoryId = HistoryId(0)
    last_order_number: int = 0
    """For generated order ids."""
    last_place: int = 0
    """Counts arrivals in queues, for first-in first-out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer:
    """Where an order of a super chain stands in that chain (1.10)."""

    chain: ChainKey
    state: NodeState
    initial_state: NodeState


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed:
    """Starts that passed while the engine was down the last time; they are not made up."""

    first: Instant
    count: int
    until: Instant
    """When the engine was up again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What travels through a chain."""

    key: OrderKey
    definition: OrderDefinition
    """As configured; a reset and the next run go back to it."""
    title: str
    priority: int
    params: Params
    state: NodeState
    """The node it stands at; empty after a failure at a node without an error node."""
    initial_state: NodeState
    end_state: NodeState | None
    run_time: RunTime | None
    xml_payload: str
    start_at: Instant
    place: int
    created_at: Instant
    touched: bool = False
    """The run has started."""
    suspended: bool = False
    blacklisted: bool = False
    setback_count: int = 0
    task: TaskId | None = None
    state_text: str = ""
    last_error: str = ""
    history: HistoryId | None = None
    step: int = 0
    started_at: Instant | None = None
    parent: OrderKey | None = None
    outer: Outer | None = None
    replacement: OrderDefinition | None = None
    """A new version that waits for the end of the step (2.3)."""
    replacement_start_at: Instant | None = None
    removal_held: bool = False
    modified: bool = False
    """A command changed it, so it does not start afresh with the engine (chapter 10)."""
    last_task: TaskId | None = None
    """The task of its last step."""
    last_history: HistoryId | None = None
    """The run that has ended last."""
    file_stays: bool = False
    """It is blacklisted and its file was looked for: it is still there (1.11.2)."""
    missed: Missed | None = None

    @property
    def is_permanent(self) -> bool:
        """Whether it came from a file of a live folder."""
        return self.definition.source is not None

    @property
    def is_file_order(self) -> bool:
        """Whether it stands for a file; a blank path stands for none (agents.md 7.5)."""
        return bool(value_of(self.params, FILE_ORDER_PARAM))

    @property
    def file_path(self) -> str:
        """The file it stands for, empty when it is no file order."""
        return value_of(self.params, FILE_ORDER_PARAM) or ""

    @property
    def file_agent(self) -> AgentUri:
        """The agent whose file it stands for; empty for the engine's own host."""
        return AgentUri(value_of(self.params, FILE_AGENT_PARAM) or "")

    @property
    def shown_history(self) -> HistoryId | None:
        """The run that answers and logs are about: of a blacklisted order its last one."""
        return self.last_history if self.blacklisted else self.history

    @property
    def lane(self) -> Lane:
        """With which orders it waits at its node."""
        if self.outer is None:
            return Lane(self.touched)
        return Lane(self.touched, self.outer.chain, self.started_at is not None)

    @property
    def waits_in_queue(self) -> bool:
        """Whether it stands at its node, ready for a job but for its start time."""
        return self.task is None and not self.suspended and not self.blacklisted


class TaskStatus(Enum):
    """The life cycle of a task."""

    QUEUED = "queued"
    WAITING_FOR_AGENT = "waiting_for_agent"
    STARTING = "starting"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a task ended."""

    at: Instant
    exit_code: int
    signal: int | None = None
    error_code: str = ""
    error_text: str = ""
    state_text: str = ""
    ran: bool = True
    kept: bool = False
    succeeded: bool = True
    monitored: bool = False
    moved_to: NodeState | None = None
    suspends: bool = False
    sets_back_for: Duration | None = None
    waits_for: Duration | None = None
    tolerated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One run of a job."""

    id: TaskId
    job: JobKey
    status: TaskStatus
    cause: Cause
    created_at: Instant
    """When it was queued or created."""
    start_at: Instant = IMMEDIATELY
    name: str = ""
    force: bool = True
    in_period: bool = False
    params: Params = NO_PARAMS
    environment: Mapping[str, str] = NO_PARAMS
    order: OrderKey | None = None
    state: NodeState | None = None
    process_class: ClassPath = DEFAULT_CLASS
    locks: tuple[LockUse, ...] = ()
    agent: AgentUri | None = None
    key: ExecutionKey | None = None
    key_ledger: str = ""
    """What was known of the agent's memory when the key was given out, or first after it; when the
    agent has another one now, it cannot say that the key was never begun."""
    attempt: int = 0
    await_until: Instant | None = None
    awaits_since: Instant | None = None
    await_text: str = ""
    configured: bool = False
    """The configuration monitor has done its part before the step (9.2)."""
    taken_back: tuple[str, ...] = ()
    """Parameters of the order that are for this step only."""
    pid: int | None = None
    started_at: Instant | None = None
    deadline: Instant | None = None
    """When the job's `timeout` is over."""
    kill: KillMode | None = None
    escalate_at: Instant | None = None
    kill_error: str = ""
    trigger_files: tuple[str, ...] = ()
    warn_at: Instant | None = None
    """When the step will have lasted longer than expected (3.7)."""
    exit_commands_chosen: bool = False
    """Its end has asked for commands, see `State.exit_commands`."""
    outcome: Outcome | None = None

    @property
    def holds_slot(self) -> bool:
        """Whether it counts against `tasks` of its job and the limit of its class."""
        return self.status is not TaskStatus.QUEUED


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWait:
    """What a job with something to start is waiting for, and since when in the queue."""

    place: int
    process_class: ClassPath | None = None
    locks: tuple[LockPath, ...] = ()


def _visible(configured: Visible, *, was_enqueued: bool) -> Visible:
    return Visible.YES if configured is Visible.NO and was_enqueued else configured


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """A job with what has become of it."""

    definition: Job
    stopped: bool = False
    stop_persistent: bool = True
    enabled: bool = True
    consecutive_errors: int = 0
    delayed_until: Instant | None = None
    wait: JobWait | None = None
    replacement: Job | None = None
    removal_held: bool = False
    next_start: Instant = NEVER
    """The next start by the run time; while a task runs none is planned (schedules.md 12)."""
    next_start_cause: Cause = Cause.NONE
    is_planned: bool = False
    """False: the run time has to be asked again."""
    is_open: bool = True
    """Whether a period of the run time is open; always so without a run time."""
    open_until: Instant = NEVER
    """When `is_open` changes."""
    last_end: Instant | None = None
    """End of the last task in this life of the engine, from which `repeat` counts."""
    once_pending: bool = True
    """No task has started since the job was loaded or the engine began."""
    restarts: bool = False
    woken: Cause | None = None
    woken_in_period_only: bool = False
    trigger_files: tuple[str, ...] | None = None
    """A watched directory has changed and no task has started for it yet: its matching files."""
    steps_measured: int = 0
    time_measured: Duration = Duration(0)
    """How long the tasks that ran took together, for averages (3.7)."""
    missed: Missed | None = None
    state_text: str = ""
    was_enqueued: bool = False
    """An order or a task has waited for it while it was hidden."""

    @property
    def key(self) -> JobKey:
        """The job's key."""
        return self.definition.key

    @property
    def visible(self) -> Visible:
        """Whether listings show it; hidden ones come out with their first work, for good (0.6)."""
        return _visible(self.definition.visible, was_enqueued=self.was_enqueued)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainState:
    """A chain with what has become of it."""

    definition: Chain
    stopped: bool = False
    actions: Mapping[str, NodeAction] = cast("Mapping[str, NodeAction]", NO_PARAMS)
    """By node; those not named process."""
    replacement: Chain | None = None
    removal_held: bool = False
    file_turn: int = 0
    """Counts file orders that have gone; what was seen in a directory before then is outdated."""
    was_enqueued: bool = False
    """An order has come into it while it was hidden."""

    @property
    def key(self) -> ChainKey:
        """The chain's key."""
        return self.definition.key

    @property
    def visible(self) -> Visible:
        """Whether listings show it; hidden ones come out with their first order, for good (0.6)."""
        return _visible(self.definition.visible, was_enqueued=self.was_enqueued)

    def action(self, state: NodeState) -> NodeAction:
        """Return what happens to orders at this node."""
        return self.actions.get(state, NodeAction.PROCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFailure:
    """A start on an agent failed."""

    at: Instant
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassState:
    """A process class with its round robin and failure marks (agents.md 4.1)."""

    definition: ProcessClass
    cursor: int = 0
    failures: Mapping[AgentUri, AgentFailure] = cast("Mapping[AgentUri, AgentFailure]", NO_PARAMS)
    removal_held: bool = False

    @property
    def path(self) -> ClassPath:
        """The class's path."""
        return self.definition.path


@dataclass(frozen=True, slots=True, kw_only=True)
class LockState:
    """A lock; who holds it follows from the tasks."""

    definition: Lock
    removal_held: bool = False

    @property
    def path(self) -> LockPath:
        """The lock's path."""
        return self.definition.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What is known of an agent."""

    uri: AgentUri
    status: AgentStatus
    run_id: str
    text: str
    since: Instant
    ledger: str = ""
    """Identity of the agent's data folder, in which it keeps what it has begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A definition file that cannot be used."""

    object: ObjectRef
    file: str
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A named schedule as it stands in its file."""

    path: SchedulePath
    file: ScheduleFile

    @property
    def bases(self) -> frozenset[SchedulePath]:
        """The schedules whose users it concerns: itself, and the one it substitutes."""
        substituted = self.file.schedule.substitute
        return frozenset([self.path] if substituted is None else [self.path, substituted])


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedMonitor:
    """A named monitor as it stands in its file."""

    path: MonitorPath
    definition: Monitor


NodeKey: TypeAlias = tuple[ChainKey, NodeState]

K = TypeVar("K", bound=str)

SINK_JOB = JobKey("/scheduler_file_order_sink")
"""The internal job that carries out file order sinks (1.11.3)."""


def job_of_node(node: Node) -> JobKey | None:
    """Return the job that works at a node, None where orders only end or enter a chain."""
    match node:
        case JobNode():
            return node.job
        case SinkNode():
            return SINK_JOB
        case NestedNode() | EndNode():
            return None
        case _:
            assert_never(node)


TimerSubject: TypeAlias = OrderKey | TaskId | JobKey
"""What becomes due: an order's start, a task's retry or escalation, a job's pause or start."""


class State:
    """Everything the engine knows. See the module's docstring."""

    PRIMARY: Mapping[str, tuple[type, str]] = {
        "jobs": (JobState, "key"),
        "chains": (ChainState, "key"),
        "order_files": (OrderDefinition, "key"),
        "orders": (Order, "key"),
        "tasks": (Task, "id"),
        "process_classes": (ClassState, "path"),
        "locks": (LockState, "path"),
        "schedules": (Schedule, "path"),
        "monitors": (NamedMonitor, "path"),
        "agents": (Agent, "uri"),
        "broken": (Broken, "object"),
        "sources": (SourceState, "key"),
        "exit_commands": (PendingCommands, "task"),
        "ssh_runs": (SshRunState, "task"),
    }
    """The dictionaries that are the truth: record class and the attribute that is the key.
    With `control` and `main` they make a snapshot."""

    def __init__(self) -> None:
        self.control = Control()
        self.main = MainConfiguration()
        self.jobs: dict[JobKey, JobState] = {}
        self.chains: dict[ChainKey, ChainState] = {}
        self.order_files: dict[OrderKey, OrderDefinition] = {}
        self.orders: dict[OrderKey, Order] = {}
        self.tasks: dict[TaskId, Task] = {}
        self.process_classes: dict[ClassPath, ClassState] = {
            DEFAULT_CLASS: ClassState(definition=ProcessClass(path=DEFAULT_CLASS))
        }
        self.locks: dict[LockPath, LockState] = {}
        self.schedules: dict[SchedulePath, Schedule] = {}
        self.monitors: dict[MonitorPath, NamedMonitor] = {}
        self.agents: dict[AgentUri, Agent] = {}
        self.broken: dict[ObjectRef, Broken] = {}
        self.sources: dict[str, SourceState] = {}
        self.exit_commands: dict[TaskId, PendingCommands] = {}
        self.ssh_runs: dict[TaskId, SshRunState] = {}
        self._clear_indexes()

    # --- indexes -----------------------------------------------------------------------------

    def _clear_indexes(self) -> None:
        self.queues: dict[NodeKey, NodeQueue] = {}
        self.orders_of_chain: dict[ChainKey, dict[OrderKey, None]] = {}
        self.started_in_chain: dict[ChainKey, int] = {}
        self.busy_in_chain: dict[ChainKey, int] = {}
        self.busy_in_super: dict[ChainKey, int] = {}
        self.blacklisted_in_chain: dict[ChainKey, dict[OrderKey, None]] = {}
        self.children: dict[OrderKey, dict[OrderKey, None]] = {}
        self.nodes_of_job: dict[JobKey, dict[NodeKey, None]] = {}
        self.node_index: dict[ChainKey, dict[NodeState, Node]] = {}
        self.supers_of_chain: dict[ChainKey, dict[ChainKey, None]] = {}
        self.tasks_of_job: dict[JobKey, dict[TaskId, None]] = {}
        self.queued_tasks: dict[JobKey, PriorityQueue[TaskId, tuple[Instant, int]]] = {}
        self.class_slots: dict[ClassPath, dict[TaskId, None]] = {}
        self.class_waiters: dict[ClassPath, PriorityQueue[JobKey, int]] = {}
        self.lock_holders: dict[LockPath, dict[TaskId, bool]] = {}
        self.lock_waiters: dict[LockPath, PriorityQueue[JobKey, int]] = {}
        self.timers: PriorityQueue[TimerSubject, Instant] = PriorityQueue()

    def rebuild_indexes(self) -> None:
        """Derive every index from the primary dictionaries; after loading a snapshot."""
        self._clear_indexes()
        for chain in self.chains.values():
            self._index_chain(chain.definition)
        for order in self.orders.values():
            self._index_order(order)
        for task in self.tasks.values():
            self._index_task(task)
        for job in self.jobs.values():
            self._index_job(job)

    def put_order(self, order: Order) -> None:
        """Store an order in its present version."""
        former = self.orders.get(order.key)
        if former is not None:
            self._unindex_order(former)
        self.orders[order.key] = order
        self._index_order(order)

    def drop_order(self, key: OrderKey) -> None:
        """Forget an order."""
        self._unindex_order(self.orders.pop(key))

    def _index_order(self, order: Order) -> None:
        key, chain = order.key, order.key.chain
        self.orders_of_chain.setdefault(chain, {})[key] = None
        queue = self.queues.setdefault((chain, order.state), NodeQueue())
        queue.all[key] = None
        if order.waits_in_queue:
            queue.wait(key, order.lane, (order.start_at, -order.priority, order.place))
            if IMMEDIATELY < order.start_at < NEVER:
                self.timers.set(key, order.start_at)
        if order.touched and not order.blacklisted:
            _count(self.started_in_chain, chain, +1)
        if order.outer is not None and order.started_at is not None and not order.blacklisted:
            _count(self.started_in_chain, order.outer.chain, +1)
        if order.task is not None:
            self._count_busy(order, +1)
        if order.blacklisted:
            self.blacklisted_in_chain.setdefault(chain, {})[key] = None
        if order.parent is not None:
            self.children.setdefault(order.parent, {})[key] = None

    def _unindex_order(self, order: Order) -> None:
        key, chain = order.key, order.key.chain
        del self.orders_of_chain[chain][key]
        if not self.orders_of_chain[chain]:
            del self.orders_of_chain[chain]
        node = (chain, order.state)
        queue = self.queues[node]
        queue.drop(key)
        if not queue.all:
            del self.queues[node]
        self.timers.discard(key)
        if order.touched and not order.blacklisted:
            _count(self.started_in_chain, chain, -1)
        if order.outer is not None and order.started_at is not None and not order.blacklisted:
            _count(self.started_in_chain, order.outer.chain, -1)
        if order.task is not None:
            self._count_busy(order, -1)
        if order.blacklisted:
            blacklist = self.blacklisted_in_chain[chain]
            del blacklist[key]
            if not blacklist:
                del self.blacklisted_in_chain[chain]
        if order.parent is not None:
            siblings = self.children[order.parent]
            del siblings[key]
            if not siblings:
                del self.children[order.parent]

    def _count_busy(self, order: Order, change: int) -> None:
        _count(self.busy_in_chain, order.key.chain, change)
        if order.outer is not None:
            _count(self.busy_in_super, order.outer.chain, change)

    def put_task(self, task: Task) -> None:
        """Store a task in its present version."""
        former = self.tasks.get(task.id)
        if former is not None:
            self._unindex_task(former)
        self.tasks[task.id] = task
        self._index_task(task)

    def drop_task(self, task: TaskId) -> None:
        """Forget a task."""
        self._unindex_task(self.tasks.pop(task))

    def _index_task(self, task: Task) -> None:
        if not task.holds_slot:
            queue = self.queued_tasks.setdefault(task.job, PriorityQueue())
            queue.set(task.id, (task.start_at, task.id))
            if IMMEDIATELY < task.start_at < NEVER:
                self.timers.set(task.id, task.start_at)
            return
        self.tasks_of_job.setdefault(task.job, {})[task.id] = None
        self.class_slots.setdefault(task.process_class, {})[task.id] = None
        for use in task.locks:
            self.lock_holders.setdefault(use.lock, {})[task.id] = use.exclusive
        due = min(
            task.escalate_at or NEVER,
            task.await_until or NEVER,
            task.deadline or NEVER,
            task.warn_at or NEVER,
        )
        if due < NEVER:
            self.timers.set(task.id, due)

    def _unindex_task(self, task: Task) -> None:
        self.timers.discard(task.id)
        if not task.holds_slot:
            self.queued_tasks[task.job].discard(task.id)
            if not self.queued_tasks[task.job]:
                del self.queued_tasks[task.job]
            return
        _drop(self.tasks_of_job, task.job, task.id)
        _drop(self.class_slots, task.process_class, task.id)
        for use in task.locks:
            holders = self.lock_holders[use.lock]
            holders.pop(task.id, None)
            if not holders:
                del self.lock_holders[use.lock]

    def put_job(self, job: JobState) -> None:
        """Store a job in its present version."""
        former = self.jobs.get(job.key)
        if former is not None:
            self._unindex_job(former)
        self.jobs[job.key] = job
        self._index_job(job)

    def drop_job(self, key: JobKey) -> None:
        """Forget a job."""
        self._unindex_job(self.jobs.pop(key))

    def _index_job(self, job: JobState) -> None:
        if job.wait is not None:
            if job.wait.process_class is not None:
                waiters = self.class_waiters.setdefault(job.wait.process_class, PriorityQueue())
                waiters.set(job.key, job.wait.place)
            for lock in job.wait.locks:
                self.lock_waiters.setdefault(lock, PriorityQueue()).set(job.key, job.wait.place)
        due = min(job.delayed_until or NEVER, job.next_start, job.open_until)
        if due < NEVER:
            self.timers.set(job.key, due)

    def _unindex_job(self, job: JobState) -> None:
        self.timers.discard(job.key)
        if job.wait is None:
            return
        if job.wait.process_class is not None:
            waiters = self.class_waiters[job.wait.process_class]
            waiters.discard(job.key)
            if not waiters:
                del self.class_waiters[job.wait.process_class]
        for lock in job.wait.locks:
            queue = self.lock_waiters[lock]
            queue.discard(job.key)
            if not queue:
                del self.lock_waiters[lock]

    def put_chain(self, chain: ChainState) -> None:
        """Store a chain in its present version."""
        former = self.chains.get(chain.key)
        self.chains[chain.key] = chain
        if former is None or former.definition is not chain.definition:
            if former is not None:
                self._unindex_chain(former.definition)
            self._index_chain(chain.definition)

    def drop_chain(self, key: ChainKey) -> None:
        """Forget a chain."""
        self._unindex_chain(self.chains.pop(key).definition)

    def _index_chain(self, chain: Chain) -> None:
        self.node_index[chain.key] = {node.state: node for node in chain.nodes}
        for node in chain.nodes:
            job = job_of_node(node)
            if job is not None:
                self.nodes_of_job.setdefault(job, {})[chain.key, node.state] = None
            if isinstance(node, NestedNode):
                self.supers_of_chain.setdefault(node.chain, {})[chain.key] = None

    def _unindex_chain(self, chain: Chain) -> None:
        del self.node_index[chain.key]
        for node in chain.nodes:
            job = job_of_node(node)
            if job is not None:
                nodes = self.nodes_of_job[job]
                nodes.pop((chain.key, node.state), None)
                if not nodes:
                    del self.nodes_of_job[job]
            if isinstance(node, NestedNode):
                supers = self.supers_of_chain.get(node.chain, {})
                supers.pop(chain.key, None)
                if not supers:
                    self.supers_of_chain.pop(node.chain, None)

    def show_enqueued(self, *, job: JobKey | None = None, chain: ChainKey | None = None) -> None:
        """Note that something was enqueued at a job or came into a chain that was hidden (0.6)."""
        known_job = None if job is None else self.jobs.get(job)
        if known_job is not None and known_job.visible is Visible.NO:
            self.put_job(replace(known_job, was_enqueued=True))
        known_chain = None if chain is None else self.chains.get(chain)
        if known_chain is not None and known_chain.visible is Visible.NO:
            self.put_chain(replace(known_chain, was_enqueued=True))

    # --- questions ---------------------------------------------------------------------------

    def node(self, chain: ChainKey, state: NodeState) -> Node | None:
        """Return the node of this name, None when chain or node is missing."""
        return self.node_index.get(chain, {}).get(state)

    def running_tasks(self, job: JobKey) -> Iterator[Task]:
        """Iterate over the tasks of a job that hold a slot."""
        return (self.tasks[task] for task in self.tasks_of_job.get(job, ()))

    def unreadable(self, kind: ObjectKind, key: str) -> ObjectRef | None:
        """Return the name of a job or chain whose file is broken, in its own spelling."""
        for broken in self.broken:
            if broken.kind is kind and folded_path(broken.path) == key:
                return broken
        return None

    def find_order(self, key: OrderKey) -> Order | None:
        """Return an order by its chain, or by the super chain that it belongs to (1.10)."""
        order = self.orders.get(key)
        if order is not None:
            return order
        for node in self.node_index.get(key.chain, {}).values():
            if isinstance(node, NestedNode):
                inner = self.orders.get(OrderKey(node.chain, key.id))
                if inner is not None and inner.outer is not None:
                    if inner.outer.chain == key.chain:
                        return inner
        return None

    def id_space(self, chain: ChainKey) -> set[ChainKey]:
        """Return the chains that share their order ids with this one (1.10)."""
        found = {chain}
        unseen = [chain]
        while unseen:
            current = unseen.pop()
            linked = list(self.supers_of_chain.get(current, ()))
            nodes = self.node_index.get(current, {}).values()
            linked += [node.chain for node in nodes if isinstance(node, NestedNode)]
            for other in linked:
                if other not in found:
                    found.add(other)
                    unseen.append(other)
        return found

    def watch_job_after(self, key: JobKey, at: Instant) -> None:
        """Wait for what becomes due at a job after this instant: earlier things were looked at."""
        job = self.jobs[key]
        instants = (job.delayed_until or NEVER, job.next_start, job.open_until)
        due = min((each for each in instants if each > at), default=NEVER)
        if due < NEVER:
            self.timers.set(key, due)

    def next_due(self) -> Instant:
        """Return when the engine has something to do by itself; NEVER when nothing waits."""
        first = self.timers.first()
        return NEVER if first is None else first[0]

    def order_with_place(self, order: Order) -> Order:
        """Return the order as the last one in its queue; `evolve` counts the place."""
        self.control = replace(self.control, last_place=self.control.last_place + 1)
        return replace(order, place=self.control.last_place)


def _drop(index: dict[K, dict[TaskId, None]], key: K, task: TaskId) -> None:
    entries = index[key]
    entries.pop(task, None)
    if not entries:
        del index[key]


def _count(counts: dict[ChainKey, int], chain: ChainKey, change: int) -> None:
    count = counts.get(chain, 0) + change
    if count:
        counts[chain] = count
    else:
        del counts[chain]
