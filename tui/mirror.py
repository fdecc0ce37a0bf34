"""The cockpit's copy of the state: a snapshot, then events, folded by the engine's own `evolve`.

Beside the state the mirror remembers, in bounded rings, what the state forgets and a person wants
to see: finished runs, how long jobs usually take, the last events, what moved a moment ago. It
tells which keys changed, never "something changed".
"""

from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from statistics import median
from typing import Any

from engine.kernel.definitions import Chain, EndNode, JobNode, NestedNode
from engine.kernel.events import Event
from engine.kernel.events import control as control_events
from engine.kernel.events import definitions as definition_events
from engine.kernel.events import orders as order_events
from engine.kernel.events import tasks as task_events
from engine.kernel.evolve import evolve
from engine.kernel.ids import (
    AgentUri,
    ChainKey,
    EventNumber,
    HistoryId,
    JobKey,
    NodeState,
    OrderKey,
    TaskId,
    name_of,
)
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import AgentStatus
from engine.kernel.state import State
from tui.remote import Remote

FACTS_MAX = 5_000
RUNS_MAX = 2_000
TASKS_MAX = 1_000
DURATIONS_PER_JOB_MAX = 20
SAMPLES_MAX = 120
BEATS_MAX = 12
SAMPLE_EVERY = Duration(10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One event of the journal with its place and time."""

    number: EventNumber
    at: Instant
    event: Event
    cause: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPulse:
    """A sign of life of an agent, or of its absence; not journaled."""

    agent: AgentUri
    status: AgentStatus
    heard_at: Instant | None
    heartbeat_period: Duration
    heartbeat_timeout: Duration
    round_trip: Duration | None = None
    tasks: int = 0
    run_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedRun:
    """One run of an order that is over."""

    order: OrderKey
    history: HistoryId | None
    end_state: NodeState
    at: Instant
    started_at: Instant | None
    failed: bool
    error_text: str
    failed_at: NodeState | None = None
    """The node whose step failed."""
    task: TaskId | None = None
    """The last task that worked on it, for its log."""
    parent: OrderKey | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedTask:
    """One task that is over."""

    task: TaskId
    job: JobKey
    order: OrderKey | None
    state: NodeState | None
    agent: AgentUri | None
    started_at: Instant | None
    at: Instant
    exit_code: int
    succeeded: bool
    error_text: str


class LinkStatus(Enum):
    """How the cockpit stands with its engine."""

    CONNECTING = "connecting"
    LIVE = "live"
    AWAY = "away"
    PAST = "past"
    """Not the present: a moment of the journal."""
    REFUSED = "refused"
    """The engine answers but does not let us in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The connection, since when it stands so, and why."""

    status: LinkStatus = LinkStatus.CONNECTING
    since: Instant = Instant(0)
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspension:
    """Why and by whom an order was suspended."""

    at: Instant
    reason: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """How much was going on at one moment."""

    at: Instant
    running: int
    waiting: int


@dataclass(slots=True)
class Changes:
    """Which subjects changed since the last look."""

    everything: bool = False
    orders: set[OrderKey] = field(default_factory=set)
    tasks: set[TaskId] = field(default_factory=set)
    jobs: set[JobKey] = field(default_factory=set)
    chains: set[ChainKey] = field(default_factory=set)
    agents: set[AgentUri] = field(default_factory=set)
    contacts: bool = False
    """How the engine stands with an agent, and with it every order that is there."""
    remote: bool = False
    """Remote hosts and their processes."""
    others: bool = False
    """Locks, process classes, files, the engine itself, the link."""

    def __bool__(self) -> bool:
        return bool(
            self.everything
            or self.orders
            or self.tasks
            or self.jobs
            or self.chains
            or self.agents
            or self.remote
            or self.others
        )


class MirrorBroken(Exception):  # says what happened
    """An event does not fit the copy of the state; a new snapshot is needed."""


class Mirror:
    """Folds what the engine tells. One task writes it, between two awaits of which it is whole."""

    def __init__(self) -> None:
        self.state = State()
        self.number = EventNumber(0)
        self.link = Link()
        self.is_filled = False
        """Whether there has been a snapshot; before that, nothing shown means nothing known."""
        self.pulses: dict[AgentUri, AgentPulse] = {}
        self.beats: dict[AgentUri, deque[int]] = {}
        """How long each agent was silent between its last signs of life, in milliseconds."""
        self.remote = Remote()
        """Hosts and processes, as far as anybody looked; not journaled."""
        self.facts: deque[Fact] = deque(maxlen=FACTS_MAX)
        self.runs: deque[FinishedRun] = deque(maxlen=RUNS_MAX)
        self.ended_tasks: deque[FinishedTask] = deque(maxlen=TASKS_MAX)
        self.suspensions: dict[OrderKey, Suspension] = {}
        """Why orders were suspended, as far as it was heard."""
        self.samples: deque[Sample] = deque(maxlen=SAMPLES_MAX)
        self.moved: dict[object, Instant] = {}
        """Orders and nodes that an order left or entered, and when."""
        self._durations: dict[JobKey, array[int]] = {}
        """Milliseconds, the last one at the end: there may be thousands of jobs."""
        self._failed_steps: dict[OrderKey, order_events.OrderStepEnded] = {}
        """Of orders whose last step failed; of the others the state knows enough."""
        self._changes = Changes(everything=True)
        self._chain_names: dict[ChainKey, str] = {}

    # --- what it is told ---------------------------------------------------------------------

    def reset(self, state: State, number: EventNumber) -> None:
        """Take a snapshot in place of everything before."""
        self.state = state
        self.number = number
        self.is_filled = True
        self._failed_steps.clear()
        self.moved.clear()
        self._chain_names.clear()
        self._changes.everything = True

    def copied(self, state: State) -> "Mirror":
        """Return another mirror with this state and all that this one remembers beside its own."""
        other = Mirror()
        other.state, other.number, other.link = state, self.number, self.link
        other.is_filled = self.is_filled
        other.facts.extend(self.facts)
        other.runs.extend(self.runs)
        other.ended_tasks.extend(self.ended_tasks)
        other.suspensions.update(self.suspensions)
        other._durations = {job: one[:] for job, one in self._durations.items()}
        other._failed_steps.update(self._failed_steps)
        return other

    def set_link(self, link: Link) -> None:
        """Take note of how the connection stands."""
        self.link = link
        self._changes.others = True

    def hear(self, pulse: AgentPulse) -> None:
        """Take note of a sign of life; one like the last is shown with the next second."""
        former = self.pulses.get(pulse.agent)
        self.pulses[pulse.agent] = pulse
        if former is not None and former.heard_at is not None and pulse.heard_at is not None:
            if pulse.heard_at > former.heard_at:
                beats = self.beats.setdefault(pulse.agent, deque(maxlen=BEATS_MAX))
                beats.append(pulse.heard_at - former.heard_at)
        if former is None or (former.status, former.tasks) != (pulse.status, pulse.tasks):
            self._changes.agents.add(pulse.agent)

    def note_remote(self) -> None:
        """Take note that something about remote hosts is new."""
        self._changes.remote = True

    def apply(self, fact: Fact) -> None:
        """Fold one event; one that is already in is passed over. Raises MirrorBroken."""
        if fact.number and fact.number <= self.number:
            return
        self._remember_before(fact)
        try:
            evolve(self.state, fact.event)
        except (AssertionError, LookupError, TypeError) as error:
            raise MirrorBroken(f"{type(fact.event).__name__}: {error}") from error
        if fact.number:
            self.number = fact.number
        self.facts.append(fact)
        self._note_changes(fact.event)

    def recall(self, runs: Iterable[FinishedRun], tasks: Iterable[FinishedTask]) -> None:
        """Take older runs and tasks from the engine's history, newest first."""
        known_runs = {(run.order, run.at) for run in self.runs}
        for run in runs:
            if (run.order, run.at) not in known_runs and len(self.runs) < RUNS_MAX:
                self.runs.appendleft(run)
        known_tasks = {task.task for task in self.ended_tasks}
        for task in tasks:
            if task.task not in known_tasks and len(self.ended_tasks) < TASKS_MAX:
                self.ended_tasks.appendleft(task)
                self._remember_duration(task.job, task.started_at, task.at, at_end=False)
        self._changes.everything = True

    def recall_facts(self, facts: Sequence[Fact]) -> None:
        """Take events from before the first one that is remembered, in their order."""
        first = self.facts[0].number if self.facts else self.number + 1
        for fact in reversed(facts):
            if fact.number < first and len(self.facts) < FACTS_MAX:
                self.facts.appendleft(fact)
        self._changes.everything = True

    def take_sample(self, now: Instant) -> None:
        """Note how much is going on, every ten seconds."""
        if self.samples and now - self.samples[-1].at < SAMPLE_EVERY:
            return
        running = sum(self.state.busy_in_chain.values())
        started = sum(self.state.started_in_chain.values())
        self.samples.append(Sample(at=now, running=running, waiting=max(started - running, 0)))

    # --- what it can be asked ----------------------------------------------------------------

    def take_changes(self) -> Changes:
        """Return what changed since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def touch(self, subject: object) -> None:
        """Have whatever shows this subject drawn anew."""
        match subject:
            case OrderKey():
                self._changes.orders.add(subject)
                self._changes.chains.add(subject.chain)
            case int():
                self._changes.tasks.add(TaskId(subject))
            case str():
                self._changes.chains.add(ChainKey(subject))
                self._changes.jobs.add(JobKey(subject))
            case _:
                self._changes.others = True

    def chain_name(self, key: ChainKey) -> str:
        """Return the last part of a chain's path, or the whole path where that is not unique."""
        if not self._chain_names:
            paths = {chain.key: chain.definition.path for chain in self.state.chains.values()}
            count = Counter(name_of(key) for key in paths)
            self._chain_names = {
                key: name_of(path) if count[name_of(key)] == 1 else path
                for key, path in paths.items()
            }
        return self._chain_names.get(key, key)

    def usual(self, job: JobKey) -> Duration | None:
        """Return how long tasks of this job usually take; None without any experience."""
        known = self._durations.get(job)
        return Duration(round(median(known))) if known else None

    def last_durations(self, job: JobKey) -> tuple[int, ...]:
        """Return the durations of the last tasks of a job, oldest first, in milliseconds."""
        return tuple(self._durations.get(job, ()))

    def forget_moves(self, before: Instant) -> bool:
        """Forget what moved before this time; return whether there was anything."""
        old = [key for key, at in self.moved.items() if at < before]
        for key in old:
            del self.moved[key]
            if isinstance(key, OrderKey):
                self._changes.orders.add(key)
        return bool(old)

    # --- beside the state --------------------------------------------------------------------

    def _remember_before(self, fact: Fact) -> None:
        """Note what the fold is about to forget."""
        event = fact.event
        match event:
            case order_events.OrderStepEnded(transition=order_events.Transition.ERROR):
                self._failed_steps[event.order] = event
            case order_events.OrderStepEnded():
                self._failed_steps.pop(event.order, None)
            case order_events.OrderFinished():
                self._remember_run(event)
            case order_events.OrderNodeChanged():
                self._remember_move(event.order, event.state, fact.at)
            case order_events.OrderReturned():
                self._remember_move(event.order, event.state, fact.at)
            case order_events.OrderAdded():
                self.moved[event.definition.key] = fact.at
                self.moved[event.definition.key.chain, event.state] = fact.at
            case order_events.OrderSuspended():
                self.suspensions[event.order] = Suspension(
                    at=fact.at, reason=event.reason, by=fact.cause
                )
            case order_events.OrderResumed():
                self.suspensions.pop(event.order, None)
            case order_events.OrderRemoved():
                self._failed_steps.pop(event.order, None)
                self.moved.pop(event.order, None)
                self.suspensions.pop(event.order, None)
            case task_events.TaskEnded():
                self._remember_task(event)
            case _:
                pass

    def _remember_move(self, key: OrderKey, state: NodeState, at: Instant) -> None:
        order = self.state.orders.get(key)
        if order is not None and order.state != state:
            self.moved[key] = at
            self.moved[key.chain, order.state] = at
            self.moved[key.chain, state] = at

    def _remember_run(self, event: order_events.OrderFinished) -> None:
        order = self.state.orders.get(event.order)
        if order is None:
            return
        step = self._failed_steps.pop(event.order, None)
        chain = self.state.chains.get(event.order.chain)
        bad_end = not event.state or (
            chain is not None and is_bad_end(chain.definition, event.state)
        )
        failed = step is not None or bad_end
        last_task = order.last_task if order.step else None
        self.runs.append(
            FinishedRun(
                order=event.order,
                history=order.history,
                end_state=event.state,
                at=event.at,
                started_at=order.started_at,
                failed=failed,
                error_text=_error_of(step) or order.last_error if failed else "",
                failed_at=step.state if step is not None and failed else None,
                task=last_task if step is None else step.task,
                parent=order.parent,
            )
        )

    def _remember_task(self, event: task_events.TaskEnded) -> None:
        task = self.state.tasks.get(event.task)
        if task is None:
            return
        self.ended_tasks.append(
            FinishedTask(
                task=task.id,
                job=task.job,
                order=task.order,
                state=task.state,
                agent=task.agent,
                started_at=task.started_at,
                at=event.at,
                exit_code=event.exit_code,
                succeeded=event.succeeded and not event.error_code,
                error_text=event.error_text,
            )
        )
        self._remember_duration(task.job, task.started_at, event.at, at_end=True)

    def _remember_duration(
        self, job: JobKey, started_at: Instant | None, ended_at: Instant, *, at_end: bool
    ) -> None:
        if started_at is None:
            return
        known = self._durations.setdefault(job, array("q"))
        if at_end:
            known.append(ended_at - started_at)
            del known[:-DURATIONS_PER_JOB_MAX]
        elif len(known) < DURATIONS_PER_JOB_MAX:
            known.insert(0, ended_at - started_at)

    # --- which keys --------------------------------------------------------------------------

    def _note_changes(self, event: Event) -> None:
        changes = self._changes
        order = _subject(event, "order")
        if isinstance(order, OrderKey):
            changes.orders.add(order)
            changes.chains.add(order.chain)
        definition = _subject(event, "definition")
        if definition is not None:
            changes.orders.add(definition.key)
            changes.chains.add(definition.key.chain)
        self._note_task(_subject(event, "task"))
        job = _subject(event, "job")
        if isinstance(job, str):
            changes.jobs.add(JobKey(job))
        chain = _subject(event, "chain")
        if isinstance(chain, str):
            changes.chains.add(ChainKey(chain))
        agent = _subject(event, "agent")
        if agent is not None:
            changes.agents.add(agent)
        if isinstance(event, control_events.AgentStatusChanged):
            changes.contacts = True
        if isinstance(event, definition_events.DefinitionEvent):
            changes.everything = True
            self._chain_names.clear()
        changes.others = True

    def _note_task(self, task_id: TaskId | None) -> None:
        if task_id is None:
            return
        changes = self._changes
        changes.tasks.add(task_id)
        task = self.state.tasks.get(task_id)
        if task is None:
            return
        changes.jobs.add(task.job)
        if task.agent is not None:
            changes.agents.add(task.agent)
        if task.order is not None:
            changes.orders.add(task.order)
            changes.chains.add(task.order.chain)


def _subject(event: Event, name: str) -> Any:
    """Return the event's field of this name, None when it has none."""
    return getattr(event, name, None)


def _error_of(step: order_events.OrderStepEnded | None) -> str:
    if step is None:
        return ""
    return step.error_text or (f"exit code {step.return_code}" if step.return_code else "")


def is_bad_end(chain: Chain, state: NodeState) -> bool:
    """Return whether only failing steps lead to this end node."""
    good: set[NodeState] = set()
    bad: set[NodeState] = set()
    for node in chain.nodes:
        if isinstance(node, JobNode | NestedNode):
            if node.next_state is not None:
                good.add(node.next_state)
            if node.error_state is not None:
                bad.add(node.error_state)
        if isinstance(node, JobNode):
            good.update(rule.to_state for rule in node.on_return_codes if rule.to_state)
    is_end = any(isinstance(node, EndNode) and node.state == state for node in chain.nodes)
    return is_end and state in bad and state not in good
