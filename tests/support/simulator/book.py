"""The independent book-keeper: sees what really happens, and complains at once.

It folds what has become durable in each engine's journal into a state of its own, from the bytes,
and compares: with the processes that really run (agents.md 3.3, I1 to I6), with what each recovery
makes of the journal, with what was answered and told. It trusts nobody's memory.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.agent.ledger import RETENTION_MS
from engine.codec.agent_messages import Channel
from engine.codec.journal import JOURNAL, StoredEvent
from engine.kernel.events import Event
from engine.kernel.events.files import ExitCommandCarriedOut
from engine.kernel.events.orders import OrderAdded
from engine.kernel.events.tasks import (
    TaskAssigned,
    TaskAwaitsAgent,
    TaskEnded,
    TaskEndedLate,
    TaskKillRequested,
)
from engine.kernel.evolve import evolve
from engine.kernel.ids import ExecutionKey, OrderKey, TaskId, chain_key
from engine.kernel.state import State
from tests.support.protocol.checker import Violation
from tests.support.protocol.clock import Clock

LOST = "SCHEDULER-202"
FORGOTTEN = "forgotten its result"
TIMED_OUT = "SCHEDULER-272"
CLOCK_TOLERANCE = 0.99
FOLLOW_UP = chain_key("follow")
"""Where the on-exit commands of the workload add their orders."""
Output = Mapping[Channel, bytes]


@dataclass(slots=True)
class Truth:
    """What really happened to one key."""

    starts: int = 0
    started_at: int = 0
    is_alive: bool = False
    exit_code: int | None = None
    output: Output = field(default_factory=dict)
    ended_at: int = 0
    is_over: bool = False
    """Its end is in the journal."""


@dataclass(slots=True)
class Assigned:
    """What the journal says of a key."""

    task: TaskId
    agent: str
    order: OrderKey | None


@dataclass(slots=True)
class Record:
    """One engine: what its disks have."""

    mirror: State = field(default_factory=State)
    number: int = 0
    bodies: dict[int, bytes] = field(default_factory=dict)
    assigned: dict[ExecutionKey, Assigned] = field(default_factory=dict)
    keys_of_task: dict[TaskId, list[ExecutionKey]] = field(default_factory=dict)
    added: set[OrderKey] = field(default_factory=set)
    logs: dict[tuple[TaskId, Channel], bytes] = field(default_factory=dict)
    ends: dict[TaskId, str] = field(default_factory=dict)
    """Error codes of tasks that have ended; empty: without an error."""
    follow_ups: int = 0
    """Orders that on-exit commands have added."""
    carried_out: int = 0
    """On-exit commands that were."""
    late: set[TaskId] = field(default_factory=set)
    """Lost ones whose end was told later."""


class Book:
    """Knows all keys of all engines."""

    def __init__(self, clock: Clock, *, keeps_trace: bool) -> None:
        self._clock = clock
        self._keeps_trace = keeps_trace
        self.lines: list[str] = []
        self.failure: Violation | None = None
        self.truths: dict[ExecutionKey, Truth] = {}
        self.records: dict[str, Record] = {}
        self.frozen: set[ExecutionKey] = set()
        """Keys whose host was asleep while they ran: nobody can end them in time."""
        self.protected: set[str] = set()
        """Engines that nothing has happened to which a task must not survive."""
        self.set_clocks: set[str] = set()
        """Hosts whose wall clock was set."""
        self.retention: int = RETENTION_MS
        """How long agents keep results for engines that are away."""
        self.emptied: set[str] = set()
        """Agents that have lost their disk."""
        self.at_next_start: list[Callable[[str, str], None]] = []
        """What is to happen as soon as the next process starts, told its engine and its agent."""
        self.counts = dict.fromkeys(("starts", "lost", "late", "steps", "lives"), 0)

    def trace(self, text: str) -> None:
        if self._keeps_trace:
            self.lines.append(f"{self._clock.now / 1000:9.3f} {text}")

    def fail(self, text: str) -> None:
        """Take note of something that must never happen. Raises Violation."""
        self.note(text)
        assert self.failure is not None
        raise self.failure

    def note(self, text: str) -> None:
        """Take note of it where nobody can take the exception."""
        if self.failure is None:
            self.trace(f"VIOLATION {text}")
            self.failure = Violation(text)

    # --- what really happens ---------------------------------------------------------------------

    def started(self, key: ExecutionKey, agent: str) -> None:
        self.trace(f"{agent} {key} starts")
        self.counts["starts"] += 1
        engine = key.rpartition("/")[0]
        record = self.records[engine]
        truth = self.truths.setdefault(key, Truth())
        truth.starts += 1
        truth.started_at = self._clock.now
        truth.is_alive = True
        known = record.assigned.get(key)
        if known is None:
            self.fail(f"{key} was started, and the journal knows nothing of it")
            return
        if known.agent != agent:
            self.fail(f"{key} was started at {agent}, and belongs to {known.agent}")
        if truth.starts > 1:
            self.fail(f"I1: {key} was started {truth.starts} times")
        if truth.is_over:
            self.fail(f"{key} was started after its end")
        for other in record.keys_of_task[known.task]:
            if other != key and other in self.truths and self.truths[other].starts:
                self.fail(f"I1: the task {known.task} was started as {other} and as {key}")
        if known.order is not None:
            self._look_for_another(record, key, known.order)
        if self.at_next_start:
            self.at_next_start.pop(0)(engine, agent)

    def _look_for_another(self, record: Record, key: ExecutionKey, order: OrderKey) -> None:
        for other, assigned in record.assigned.items():
            is_other = other != key and assigned.order == order and other not in self.frozen
            if is_other and other in self.truths and self.truths[other].is_alive:
                self.fail(f"I2: {key} and {other} run at the same time for {order}")

    def ended(self, key: ExecutionKey, exit_code: int | None, output: Output) -> None:
        """A process is over; None: its host went down."""
        self.trace(f"{key} ends with {exit_code}")
        truth = self.truths[key]
        truth.is_alive = False
        truth.exit_code = exit_code
        truth.ended_at = self._clock.now
        truth.output = dict(output)

    # --- what becomes durable --------------------------------------------------------------------

    def durable(self, engine: str, rows: Iterable[StoredEvent]) -> None:
        """The journal has these; those that are known already are passed over."""
        record = self.records[engine]
        for row in rows:
            if row.number <= record.number:
                continue
            if row.number != record.number + 1:
                self.fail(f"{engine}: after event {record.number} comes {row.number}")
            event = JOURNAL.event_of(row)
            self.trace(f"{engine} #{row.number} {_short(event)}")
            self._before(record, event, engine)
            evolve(record.mirror, event)
            self._after(record, event)
            record.number = row.number
            record.bodies[row.number] = row.body

    def _before(self, record: Record, event: Event, engine: str) -> None:
        if isinstance(event, TaskKillRequested) and engine not in self.set_clocks:
            self._look_at_timeout(record, event)
        if not isinstance(event, TaskAwaitsAgent | TaskEnded):
            return
        task = record.mirror.tasks[event.task]
        if task.key is None:
            return
        truth = self.truths.setdefault(task.key, Truth())
        if truth.is_over:
            self.fail(f"I3: {task.key} ends twice")
        truth.is_over = True
        if isinstance(event, TaskAwaitsAgent) or not (event.ran or event.error_code == LOST):
            if truth.starts:
                self.fail(f"{task.key} is said not to have been started, and was")
        else:
            self._ended(record, task.key, event, truth)

    def _look_at_timeout(self, record: Record, event: TaskKillRequested) -> None:
        """A job's timeout is over when it is over, whatever clocks of agents show."""
        task = record.mirror.tasks[event.task]
        timeout = record.mirror.jobs[task.job].definition.timeout
        if event.error_code != TIMED_OUT or timeout is None or task.key is None:
            return
        took = self._clock.now - self.truths[task.key].started_at
        if took < timeout * CLOCK_TOLERANCE:
            self.fail(f"{task.key} is ended after {took} ms, its timeout is {timeout}")

    def _ended(self, record: Record, key: ExecutionKey, event: TaskEnded, truth: Truth) -> None:
        if event.error_code == LOST:
            self.counts["lost"] += 1
            if truth.is_alive and key not in self.frozen:
                self.fail(f"I2: {key} is said to be lost, and runs")
            if key.rpartition("/")[0] in self.protected:
                self.fail(f"I4, I5: {key} was lost: {event.error_text}")
            may_forget = truth.ended_at + self.retention * CLOCK_TOLERANCE <= self._clock.now
            is_forgotten = FORGOTTEN in event.error_text
            if is_forgotten and record.assigned[key].agent not in self.emptied and not may_forget:
                self.fail(f"I3: the result of {key} was forgotten")
            return
        if not truth.starts or truth.is_alive:
            self.fail(f"{key} is said to have ended, and has not")
        if event.exit_code != truth.exit_code and not event.error_code:
            self.fail(f"I3: {key} ended with {truth.exit_code}, told is {event.exit_code}")
        self._look_at_log(record, key, event.task, truth)

    def _look_at_log(self, record: Record, key: ExecutionKey, task: TaskId, truth: Truth) -> None:
        for channel in Channel:
            logged = record.logs.get((task, channel), b"")
            if logged != truth.output[channel]:
                self.fail(f"I6: {key} wrote {truth.output[channel]!r}, logged is {logged!r}")

    def _ended_late(self, record: Record, event: TaskEndedLate) -> None:
        self.counts["late"] += 1
        if record.ends.get(event.task) != LOST or event.task in record.late:
            self.fail(f"I3: the task {event.task} was not lost, or is told of again")
        record.late.add(event.task)
        key = record.keys_of_task[event.task][-1]
        truth = self.truths[key]
        if truth.is_alive or truth.exit_code != event.exit_code:
            self.fail(f"I3: {key} ended with {truth.exit_code}, told late is {event.exit_code}")
        self._look_at_log(record, key, event.task, truth)

    def _after(self, record: Record, event: Event) -> None:
        match event:
            case TaskAssigned():
                order = record.mirror.tasks[event.task].order
                if event.key in record.assigned:
                    self.fail(f"the key {event.key} was given out twice")
                record.assigned[event.key] = Assigned(event.task, event.agent, order)
                record.keys_of_task.setdefault(event.task, []).append(event.key)
            case TaskEnded():
                record.ends[event.task] = event.error_code
            case TaskEndedLate():
                self._ended_late(record, event)
            case ExitCommandCarriedOut():
                record.carried_out += not event.problem
            case OrderAdded():
                record.added.add(event.definition.key)
                record.follow_ups += event.definition.key.chain == FOLLOW_UP
            case _:
                pass

    # --- what the engine says --------------------------------------------------------------------

    def recovered(self, engine: str, state: State, number: int) -> None:
        """A new life has read the journal: nothing must be missing, nothing new be there."""
        record = self.records[engine]
        if number != record.number:
            self.fail(f"{engine} recovers event {number}, durable were {record.number}")
        self.same(engine, state)

    def same(self, engine: str, state: State) -> None:
        """At rest the live state is the fold of the journal."""
        mirror = self.records[engine].mirror
        for name in State.PRIMARY:
            if getattr(state, name) != getattr(mirror, name):
                self.fail(f"{engine}: {name} are not what the journal says")
        if state.control != mirror.control:
            self.fail(f"{engine}: the control is not what the journal says")

    def told(self, engine: str, rows: Sequence[StoredEvent]) -> None:
        """Something was published."""
        record = self.records[engine]
        for row in rows:
            if record.bodies.get(row.number) != row.body:
                self.fail(f"{engine} tells of event {row.number}, which is not in the journal")

    def accepted(self, engine: str, order: OrderKey, number: int) -> None:
        """Somebody was told that the order is there."""
        record = self.records[engine]
        if order not in record.added or number > record.number:
            self.fail(f"{engine} has accepted {order}, which is not in the journal")

    def logged(self, engine: str, task: TaskId, channel: Channel, offset: int, data: bytes) -> None:
        """The task log has more."""
        log = self.records[engine].logs.get((task, channel), b"")
        if offset != len(log):
            self.fail(f"I6: the log of task {task} goes on at {offset}, it has {len(log)}")
        self.records[engine].logs[task, channel] = log + data

    # --- at the end ------------------------------------------------------------------------------

    def at_rest(self) -> None:
        """After the faults have stopped for long enough."""
        for key, truth in self.truths.items():
            if truth.is_alive:
                self.fail(f"{key} still runs")
            if truth.starts and not truth.is_over:
                self.fail(f"no end of {key} was ever told")
        for engine, record in self.records.items():
            if record.follow_ups != record.carried_out:
                counts = f"{record.carried_out} are done, {record.follow_ups} orders were added"
                self.fail(f"{engine}: of on-exit commands {counts}")


def _short(event: Event) -> str:
    """Return an event in one short line."""
    text = repr(event)
    return text if len(text) < 200 else text[:200] + " …"
