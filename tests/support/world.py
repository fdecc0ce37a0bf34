"""A small world around the kernel: definitions by builders, time by hand, drivers played by tests."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from engine.kernel.commands import (
    AddOrder,
    ApplyDefinitions,
    BeginEpoch,
    ModifyOrder,
    Request,
    StartAt,
    Tick,
)
from engine.kernel.definitions import (
    AgentReference,
    Chain,
    Definition,
    EndNode,
    Job,
    JobNode,
    NativeScript,
    Node,
    OnError,
    OrderDefinition,
    ProcessClass,
    Script,
    Select,
    SetbackDelay,
    ShellScript,
    Source,
    Text,
)
from engine.kernel.events import Event
from engine.kernel.evolve import evolve
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    Epoch,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.invariants import check
from engine.kernel.problems import Problem
from engine.kernel.reports import EndReason, NativeEnded, Report, TaskExited, TaskLaunched
from engine.kernel.state import Order, State, Task, TaskStatus
from engine.kernel.step import Done, step

E = TypeVar("E")

START = Instant(1_700_000_000_000)
SCRIPT = ShellScript(parts=(Text(text="true"),))


def shell_job(name: str, **changes: object) -> Job:
    """A shell job for orders; `stop_on_error` is off unless asked for."""
    values: dict[str, object] = {"stop_on_error": False, "is_order_job": True, "script": SCRIPT}
    values.update(changes)
    return Job(path=f"/{name}", **values)  # type: ignore[arg-type]  # by name


def native_job(name: str, kind: str, **changes: object) -> Job:
    """A job whose code is one of ours."""
    script: Script = NativeScript(kind=kind, java_class=f"test.{kind}")
    return shell_job(name, script=script, **changes)


def node(
    state: str,
    job: str,
    next_state: str | None = None,
    error_state: str | None = "error",
    on_error: OnError | None = None,
    **changes: object,
) -> JobNode:
    """A job node."""
    return JobNode(
        state=NodeState(state),
        job=job_key(job),
        job_path=f"/{job}",
        next_state=None if next_state is None else NodeState(next_state),
        error_state=None if error_state is None else NodeState(error_state),
        on_error=on_error,
        **changes,  # type: ignore[arg-type]  # by name
    )


def chain(name: str, *nodes: Node, **changes: object) -> Chain:
    """A chain with the end nodes `end` and `error`; missing successors are the next in line."""
    listed: list[Node] = [
        *nodes,
        EndNode(state=NodeState("end")),
        EndNode(state=NodeState("error")),
    ]
    completed: list[Node] = []
    for index, entry in enumerate(listed):
        if isinstance(entry, JobNode) and entry.next_state is None:
            entry = _with_next(entry, listed[index + 1].state)  # noqa: PLW2901
        completed.append(entry)
    return Chain(path=f"/{name}", nodes=tuple(completed), **changes)  # type: ignore[arg-type]


def _with_next(entry: JobNode, state: NodeState) -> JobNode:
    from dataclasses import replace  # noqa: PLC0415  # only here

    return replace(entry, next_state=state)


def setback(*delays: tuple[int, float], most: int) -> dict[str, object]:
    """Job attributes: setback delays in seconds, and how often at most."""
    return {
        "setback_delays": tuple(
            SetbackDelay(count=count, delay=seconds(delay)) for count, delay in delays
        ),
        "setback_max": most,
    }


def agents_class(
    name: str, *uris: str, select: Select = Select.NEXT, most: int = 10
) -> ProcessClass:
    """A process class with agents."""
    return ProcessClass(
        path=ClassPath(f"/{name}"),
        max_processes=most,
        agents=tuple(AgentReference(uri=AgentUri(uri)) for uri in uris),
        select=select,
    )


class World:
    """The kernel with a clock in the test's hand. Invariants are checked after every input."""

    def __init__(self, *definitions: Definition) -> None:
        self.state = State()
        self.now = START
        self.journal: list[Event] = []
        self.last: tuple[Event, ...] = ()
        self.does(BeginEpoch(epoch=Epoch(1), engine_id="test"))
        self.defines(*definitions)

    # --- inputs ------------------------------------------------------------------------------

    def gives(self, asked: Request | Report) -> Done:
        """Carry out one input and check everything that must hold."""
        done = step(self.state, asked, self.now)
        self.last = done.events
        self.journal += done.events
        check(self.state)
        return done

    def does(self, asked: Request | Report) -> str:
        """Carry out one input that must not be refused; returns its answer's subject."""
        reply = self.gives(asked).reply
        assert not isinstance(reply, Problem), str(reply)
        return reply.subject

    def refused(self, asked: Request) -> Problem:
        """Carry out one input that must be refused."""
        reply = self.gives(asked).reply
        assert isinstance(reply, Problem)
        return reply

    def defines(self, *definitions: Definition) -> None:
        self.does(ApplyDefinitions(defined=tuple(definitions)))

    def passes(self, duration: Duration) -> None:
        """Let time pass, stopping wherever something is due."""
        until = Instant(self.now + duration)
        while self.state.next_due() <= until:
            self.now = max(self.now, self.state.next_due())
            self.does(Tick())
        self.now = until
        self.does(Tick())

    def adds(
        self,
        order_id: str,
        chain: str = "walk",
        at: StartAt | None = None,
        **changes: object,
    ) -> OrderKey:
        key = OrderKey(chain_key(chain), OrderId(order_id))
        definition = OrderDefinition(key=key, **changes)  # type: ignore[arg-type]  # by name
        subject = self.does(AddOrder(order=definition, at=at))
        return OrderKey(key.chain, OrderId(subject))

    def modifies(self, key: OrderKey, **changes: object) -> None:
        self.does(ModifyOrder(order=key, **changes))  # type: ignore[arg-type]  # by name

    # --- drivers -----------------------------------------------------------------------------

    def tasks(self, *statuses: TaskStatus) -> list[Task]:
        return [
            task for task in self.state.tasks.values() if not statuses or task.status in statuses
        ]

    def task(self) -> Task:
        """The only task there is."""
        (only,) = self.tasks()
        return only

    def launches(self, task: Task | None = None, pid: int = 4711) -> Task:
        task = task or self.task()
        assert task.key is not None
        self.does(TaskLaunched(key=task.key, pid=pid, started_at=self.now))
        return self.state.tasks[task.id]

    def ends(
        self,
        task: Task | None = None,
        code: int = 0,
        returned: Mapping[str, str] | None = None,
        signal: int | None = None,
        reason: EndReason = EndReason.EXITED,
        error_line: str | None = None,
        first_line: str = "",
    ) -> None:
        task = task or self.task()
        if task.status is TaskStatus.STARTING:
            task = self.launches(task)
        assert task.key is not None
        self.does(
            TaskExited(
                key=task.key,
                exit_code=code,
                signal=signal,
                reason=reason,
                ended_at=self.now,
                returned={} if returned is None else returned,
                error_line=error_line,
                first_line=first_line,
            )
        )

    def native_ends(self, available: Sequence[str] = (), task: Task | None = None) -> None:
        task = task or self.task()
        assert task.key is not None
        self.does(
            NativeEnded(
                key=task.key, succeeded=True, available=tuple(AgentUri(uri) for uri in available)
            )
        )

    # --- looking -----------------------------------------------------------------------------

    def order(self, key: OrderKey) -> Order:
        return self.state.orders[key]

    def happened(self, kind: type[E]) -> list[E]:
        """The events of one kind that the last input caused."""
        return [event for event in self.last if isinstance(event, kind)]

    def ever(self, kind: type[E]) -> list[E]:
        return [event for event in self.journal if isinstance(event, kind)]

    def replayed(self) -> State:
        """The fold of the whole journal."""
        state = State()
        for event in self.journal:
            evolve(state, event)
        return state


def file_source(name: str, modified_at: int = 0) -> Source:
    return Source(file=name, modified_at=Instant(modified_at))


def task_number(number: int) -> TaskId:
    return TaskId(number)
