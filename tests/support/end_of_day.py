"""The end-of-day chain as a story of events, for cockpit tests and for looking at screens."""

from engine.kernel.commands import ObjectKind, ObjectRef
from engine.kernel.definitions import (
    AgentReference,
    Chain,
    EndNode,
    Job,
    JobNode,
    Lock,
    LockUse,
    NativeScript,
    OrderDefinition,
    ProcessClass,
    Select,
    ShellScript,
    Source,
    Text,
)
from engine.kernel.events.control import AgentStatusChanged, EpochBegan
from engine.kernel.events.definitions import (
    ChainDefined,
    FileBroken,
    JobDefined,
    LockDefined,
    ProcessClassDefined,
)
from engine.kernel.events.orders import (
    OrderAdded,
    OrderFinished,
    OrderNodeChanged,
    OrderRemoved,
    OrderReturned,
    OrderStarted,
    OrderStepEnded,
    OrderStepStarted,
    OrderSuspended,
    Transition,
)
from engine.kernel.events.tasks import (
    Cause,
    TaskAssigned,
    TaskClosed,
    TaskCreated,
    TaskEnded,
    TaskStarted,
)
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    Epoch,
    ExecutionKey,
    HistoryId,
    JobKey,
    LockPath,
    NodeState,
    OrderKey,
    TaskId,
    job_key,
    order_key,
)
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, seconds
from engine.kernel.reports import AgentStatus
from tests.support.recorded_engine import RecordedEngine

AGENTS = tuple(f"http://127.0.0.1:4446{i}" for i in (1, 2, 3))
CHAIN = "/end_of_day/end_of_day"
CLASS = ClassPath("/end_of_day/end_of_day")
MAIN = order_key(CHAIN, "end_of_day")
JOBS = {
    "split": "/end_of_day/end_of_day_split",
    "create": "/end_of_day/create_balance_statements",
    "sync": "/end_of_day/end_of_day_sync",
}


class EndOfDay:
    """Plays the story into a recorded engine, step by step."""

    def __init__(self, engine: RecordedEngine) -> None:
        self.engine = engine
        self._task = 0
        self._history = 0
        self._tasks: dict[OrderKey, TaskId] = {}
        self._jobs: dict[TaskId, JobKey] = {}

    def define(self) -> None:
        """Let the live folder be read."""
        engine, at = self.engine, self.engine.time
        shell = ShellScript(parts=(Text(text="echo hello"),))
        engine.play(EpochBegan(epoch=Epoch(1), engine_id="demo", time_zone="UTC", at=at))
        references = tuple(AgentReference(uri=AgentUri(uri)) for uri in AGENTS)
        engine.play(
            ProcessClassDefined(
                process_class=ProcessClass(
                    path=CLASS, max_processes=10, agents=references, select=Select.NEXT
                )
            ),
            LockDefined(lock=Lock(path=LockPath("/end_of_day/accounts"))),
            JobDefined(
                job=Job(
                    path=JOBS["split"],
                    script=NativeScript(kind="split", java_class="split"),
                    is_order_job=True,
                )
            ),
            JobDefined(
                job=Job(
                    path=JOBS["create"],
                    script=shell,
                    is_order_job=True,
                    tasks=10,
                    process_class=CLASS,
                    title="balance statements of a range of accounts",
                )
            ),
            JobDefined(
                job=Job(
                    path=JOBS["sync"],
                    script=NativeScript(kind="sync", java_class="sync"),
                    is_order_job=True,
                    locks=(LockUse(lock=LockPath("/end_of_day/accounts")),),
                )
            ),
            ChainDefined(chain=self.chain()),
            ChainDefined(
                chain=Chain(
                    path="/nightly/archive",
                    title="moves old files",
                    nodes=(
                        _node("pack", JOBS["create"], "ship", "failed"),
                        _node("ship", JOBS["create"], "done", "failed"),
                        EndNode(state=NodeState("done")),
                        EndNode(state=NodeState("failed")),
                    ),
                )
            ),
        )
        self._add_main(at)
        for uri in AGENTS:
            engine.play(
                AgentStatusChanged(
                    agent=AgentUri(uri), status=AgentStatus.COUPLED, run_id="r1", text="", at=at
                )
            )
            engine.pulse(uri)

    def chain(self) -> Chain:
        """Return the chain."""
        return Chain(
            path=CHAIN,
            title="Creates balance statements on all agents",
            nodes=(
                _node("split", JOBS["split"], "create", "error"),
                _node("create", JOBS["create"], "sync", "error"),
                _node("sync", JOBS["sync"], "success", "error"),
                EndNode(state=NodeState("success")),
                EndNode(state=NodeState("error")),
            ),
        )

    def _add_main(self, at: Instant) -> None:
        definition = OrderDefinition(
            key=MAIN,
            title="all accounts",
            params={"min_account": "100000", "max_account": "200000"},
            source=Source(file="end_of_day/end_of_day,end_of_day.order.xml", modified_at=at),
        )
        self.engine.play(
            OrderAdded(
                definition=definition,
                state=NodeState("split"),
                initial_state=NodeState("split"),
                start_at=NEVER,
                at=at,
            )
        )

    def begin(self, order: OrderKey = MAIN) -> TaskId:
        """Let an order enter a task at its node."""
        engine, at = self.engine, self.engine.time
        known = engine.state.orders[order]
        if not known.touched:
            self._history += 1
            engine.play(OrderStarted(order=order, history=HistoryId(self._history), at=at))
        self._task += 1
        task = TaskId(self._task)
        state = known.state
        job = job_key(JOBS.get(state, JOBS["create"]))
        self._tasks[order], self._jobs[task] = task, job
        agent = AGENTS[self._task % 3] if state == "create" else ""
        engine.play(
            TaskCreated(
                task=task,
                job=job,
                cause=Cause.ORDER,
                process_class=CLASS if agent else ClassPath(""),
                at=at,
                order=order,
                state=state,
            ),
            TaskAssigned(
                task=task, agent=AgentUri(agent), key=ExecutionKey(f"demo/{task}.1"), at=at
            ),
            OrderStepStarted(order=order, task=task, state=state, step=1, at=at),
            TaskStarted(task=task, pid=20_000 + task, at=at),
        )
        engine.write(task, f"account range of {order.id}\n")
        return task

    def end(self, order: OrderKey = MAIN, *, code: int = 0, error: str = "") -> None:
        """Let the step end and the order go on."""
        engine, at = self.engine, self.engine.time
        known = engine.state.orders[order]
        task = self._tasks.pop(order)
        node = engine.state.node(order.chain, known.state)
        assert isinstance(node, JobNode)
        good = not code
        engine.play(
            TaskEnded(task=task, at=at, exit_code=code, error_text=error, succeeded=good),
            OrderStepEnded(
                order=order,
                task=task,
                state=known.state,
                transition=Transition.SUCCESS if good else Transition.ERROR,
                return_code=code,
                error_text=error,
                last_error=error,
                at=at,
            ),
            TaskClosed(task=task, job=self._jobs[task]),
        )
        target = node.next_state if good else node.error_state
        assert target is not None
        engine.play(
            OrderNodeChanged(
                order=order, state=target, former=known.state, start_at=Instant(IMMEDIATELY)
            )
        )
        engine.write(task, f"{error or 'done'}\n", complete=True)
        if isinstance(engine.state.node(order.chain, target), EndNode):
            self.finish(order)

    def finish(self, order: OrderKey) -> None:
        """Let a run end: the permanent order goes back, others go."""
        engine, at = self.engine, self.engine.time
        known = engine.state.orders[order]
        engine.play(OrderFinished(order=order, state=known.state, at=at))
        if known.is_permanent:
            engine.play(
                OrderReturned(
                    order=order,
                    state=known.initial_state,
                    start_at=NEVER,
                    params=known.definition.params,
                )
            )
        else:
            engine.play(OrderRemoved(order=order))

    def suspend(self, order: OrderKey = MAIN, *, reason: str = "", by: str = "ops2") -> None:
        """Let somebody suspend an order."""
        self.engine.play(OrderSuspended(order=order, reason=reason), cause=by)

    def plan(self, order_id: str = "later", in_s: float = 3600) -> OrderKey:
        """Let an order be placed that starts later."""
        key = order_key("/nightly/archive", order_id)
        self.engine.play(
            OrderAdded(
                definition=OrderDefinition(key=key, params={"region": "EU"}),
                state=NodeState("pack"),
                initial_state=NodeState("pack"),
                start_at=Instant(self.engine.time + seconds(in_s)),
                at=self.engine.time,
            )
        )
        return key

    def children(self, count: int = 3) -> list[OrderKey]:
        """Let the split make child orders."""
        found = []
        for number in range(1, count + 1):
            key = order_key(CHAIN, f"end_of_day_{number}")
            low = 100_000 + (number - 1) * 33_334
            definition = OrderDefinition(
                key=key,
                params={"min_account": str(low), "max_account": str(low + 33_333)},
                state=NodeState("create"),
                end_state=NodeState("sync"),
            )
            self.engine.play(
                OrderAdded(
                    definition=definition,
                    state=NodeState("create"),
                    initial_state=NodeState("create"),
                    start_at=Instant(IMMEDIATELY),
                    at=self.engine.time,
                    parent=MAIN,
                )
            )
            found.append(key)
        return found

    def break_file(self) -> None:
        """Let a definition file be refused."""
        self.engine.play(
            FileBroken(
                object=ObjectRef(kind=ObjectKind.JOB, path="/nightly/tidy"),
                file="nightly/tidy.job.xml",
                findings=("nightly/tidy.job.xml:7:3: unknown attribute 'taks', nearest: 'tasks'",),
            )
        )


def _node(state: str, job: str, next_state: str, error_state: str) -> JobNode:
    return JobNode(
        state=NodeState(state),
        job=job_key(job),
        job_path=job,
        next_state=NodeState(next_state),
        error_state=NodeState(error_state),
    )
