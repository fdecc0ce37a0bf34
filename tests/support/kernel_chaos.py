"""Random chains and random inputs against the kernel: the book-keeper of the simulation.

One seed is one run. Faults of this world: any command at any time, tasks that end in any way, late,
doubled and stray reports, agents that go and come back, restarts of the engine. It never reports
that a task runs which was not demanded, since a driver never starts one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.codec.snapshot import snapshot_bytes, state_from_snapshot
from engine.kernel import commands as c
from engine.kernel.capacity import at_order_limit
from engine.kernel.definitions import (
    AgentReference,
    Chain,
    CodeRange,
    Definition,
    EndNode,
    ErrorDelay,
    Job,
    JobNode,
    Lock,
    LockUse,
    NativeScript,
    Node,
    OnError,
    OnReturnCodes,
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
from engine.kernel.events.orders import OrderAdded, OrderRemoved
from engine.kernel.events.tasks import TaskAssigned, TaskStarted
from engine.kernel.evolve import evolve
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    Epoch,
    ExecutionKey,
    LockPath,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import FOREVER, Duration, Instant, seconds
from engine.kernel.invariants import check
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    EndReason,
    LaunchFailure,
    NativeEnded,
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.state import Order, State, TaskStatus
from engine.kernel.step import Done, step

START = Instant(1_700_000_000_000)
AGENTS = [AgentUri(f"http://agent-{name}:1") for name in "abc"]
JOBS = 5
CHAINS = 3
STEPS = 80


@dataclass
class Book:
    """What an independent observer notes down."""

    keys: set[ExecutionKey] = field(default_factory=set)
    started: set[TaskId] = field(default_factory=set)
    present: set[OrderKey] = field(default_factory=set)

    def note(self, event: Event) -> None:
        match event:
            case TaskAssigned():
                assert event.key not in self.keys, f"the key {event.key} was given out twice"
                self.keys.add(event.key)
            case TaskStarted():
                assert event.task not in self.started, f"the task {event.task} started twice"
                self.started.add(event.task)
            case OrderAdded():
                key = OrderKey(
                    event.inner_chain or event.definition.key.chain, event.definition.key.id
                )
                assert key not in self.present, f"the order {key} was added twice"
                self.present.add(key)
            case OrderRemoved():
                assert event.order in self.present, f"the order {event.order} went twice"
                self.present.discard(event.order)
            case _:
                pass


class KernelChaos:
    """One random run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.state = State()
        self.now = START
        self.journal: list[Event] = []
        self.book = Book()
        self.epoch = 0
        self.reported: list[Report] = []
        self.limits_change = False
        self.begin()
        self.give(c.ApplyDefinitions(defined=tuple(self._definitions()), complete=True))

    # --- inputs ------------------------------------------------------------------------------

    def give(self, asked: c.Request | Report) -> Done:
        done = step(self.state, asked, self.now)
        for event in done.events:
            self.book.note(event)
        self.journal += done.events
        check(self.state)
        assert self.book.present == set(self.state.orders), "the book knows other orders"
        return done

    def begin(self) -> None:
        self.epoch += 1
        self.give(c.BeginEpoch(epoch=Epoch(self.epoch), engine_id="chaos"))

    def restart(self) -> None:
        """Throw the memory away, as a crash does, and go on from the journal or a snapshot."""
        if self.random.random() < 0.5:
            replayed = State()
            for event in self.journal:
                evolve(replayed, event)
        else:
            replayed = state_from_snapshot(snapshot_bytes(self.state))
        for name in State.PRIMARY:
            assert getattr(replayed, name) == getattr(self.state, name), f"{name} differ"
        assert replayed.control == self.state.control
        self.state = replayed
        check(self.state)
        self.begin()

    def run(self) -> None:
        for _ in range(STEPS):
            self.random.choice(self._moves())()
        self.come_to_rest()

    def come_to_rest(self) -> None:
        """End all faults and let everything finish: every order that can move moves."""
        self.give(c.PauseEngine(paused=False))
        for agent in AGENTS:
            self.give(AgentContact(agent=agent, status=AgentStatus.COUPLED, run_id="rest"))
        for chain in list(self.state.chains.values()):
            self.give(c.ModifyChain(chain=chain.key, stopped=False))
            for node in chain.definition.nodes:
                if not isinstance(node, EndNode):
                    process = c.NodeAction.PROCESS
                    self.give(c.ModifyNode(chain=chain.key, state=node.state, action=process))
        missing = Job(path=f"/Job-{JOBS}", script=ShellScript(parts=(Text(text="true"),)))
        self.give(c.ApplyDefinitions(defined=(missing,)))
        for key in list(self.state.orders):
            order = self.state.orders.get(key)
            if order is not None:
                self.give(c.ModifyOrder(order=key, suspended=False))
                if self.state.node(key.chain, order.state) is None and order.task is None:
                    self.give(c.ModifyOrder(order=key, state=NodeState("100")))
        for _ in range(3000):
            for job in list(self.state.jobs.values()):
                if job.stopped:
                    self.give(c.ModifyJob(job=job.key, action=c.JobAction.UNSTOP))
            busy = [task for task in self.state.tasks.values() if task.key is not None]
            if busy:
                self._succeed(busy[0].id)
                continue
            due = self.state.next_due()
            if due >= Instant(START + seconds(10_000_000)):
                break
            self.now = max(self.now, due)
            self.give(c.Tick())
        # A task that fails whenever it runs is tried again for ever, with a pause in between.
        left = [task for task in self.state.tasks.values() if task.start_at <= self.now]
        assert not left, f"tasks never end: {left[:2]}"
        stuck = [order.key for order in self.state.orders.values() if self._could_move(order)]
        assert not stuck, f"orders could move and do not: {stuck[:2]}"

    def _could_move(self, order: Order) -> bool:
        chain = self.state.chains[order.key.chain]
        is_shut_out = not order.touched and at_order_limit(self.state, chain)
        node = self.state.node(order.key.chain, order.state)
        job = self.state.jobs.get(node.job) if isinstance(node, JobNode) else None
        pauses = job is not None and (job.delayed_until or self.now) > self.now
        is_due = order.waits_in_queue and order.start_at <= self.now
        return is_due and not is_shut_out and not pauses

    # --- the world ---------------------------------------------------------------------------

    def _definitions(self) -> list[Definition]:
        rnd = self.random
        classes: list[Definition] = [
            ProcessClass(
                path=ClassPath("/agents"),
                max_processes=rnd.randint(1, 4),
                agents=tuple(AgentReference(uri=uri) for uri in AGENTS),
                select=rnd.choice(list(Select)),
                timeout=rnd.choice([None, seconds(40)]),
            ),
            ProcessClass(path=ClassPath("/few"), max_processes=1),
        ]
        locks: list[Definition] = [
            Lock(path=LockPath("/one")),
            Lock(path=LockPath("/shared"), max_non_exclusive=2),
        ]
        jobs = [self._job(number) for number in range(JOBS)]
        chains = [self._chain(number) for number in range(CHAINS)]
        orders = [
            OrderDefinition(
                key=OrderKey(chain_key(f"chain-{number}"), OrderId("permanent")),
                source=Source(file=f"chain-{number},permanent.order.xml", modified_at=Instant(0)),
            )
            for number in range(CHAINS)
        ]
        return [*classes, *locks, *jobs, *chains, *orders]

    def _job(self, number: int) -> Job:
        rnd = self.random
        script: Script = ShellScript(parts=(Text(text="true"),))
        if rnd.random() < 0.1:
            script = NativeScript(kind="sync", java_class="sync")
        uses = [
            LockUse(lock=LockPath(path), exclusive=rnd.random() < 0.5)
            for path in ("/one", "/shared")
            if rnd.random() < 0.25
        ]
        return Job(
            path=f"/Job-{number}",
            script=script,
            is_order_job=rnd.random() < 0.7,
            tasks=rnd.randint(1, 3),
            stop_on_error=rnd.random() < 0.3,
            locks=tuple(uses),
            process_class=rnd.choice([None, ClassPath("/agents"), ClassPath("/few")]),
            setback_max=rnd.randint(0, 3),
            setback_delays=(SetbackDelay(count=1, delay=seconds(rnd.randint(0, 30))),),
            error_delays=(
                (ErrorDelay(count=2, delay=rnd.choice([None, seconds(20)])),)
                if rnd.random() < 0.2
                else ()
            ),
            timeout=rnd.choice([None, None, seconds(5)]),
            ignore_signals=rnd.choice([(), ("all",), ("SIGTERM",)]),
        )

    def _chain(self, number: int) -> Chain:
        rnd = self.random
        count = rnd.randint(1, 4)
        states = [NodeState(str(100 * (place + 1))) for place in range(count)]
        ends = [NodeState("end"), NodeState("error")]
        nodes: list[Node] = []
        for place, state in enumerate(states):
            following = states[place + 1] if place + 1 < count else ends[0]
            job = f"job-{rnd.randrange(JOBS + 1)}"  # one of them does not exist
            nodes.append(
                JobNode(
                    state=state,
                    job=job_key(job),
                    job_path=f"/{job}",
                    next_state=following,
                    error_state=rnd.choice([None, ends[1], ends[1], following]),
                    on_error=rnd.choice([None, None, *OnError]),
                    suspend=rnd.random() < 0.1,
                    delay=Duration(seconds(rnd.choice([0, 0, 0, 7]))),
                    on_return_codes=(
                        (
                            OnReturnCodes(
                                codes=(CodeRange(first=3, last=5),), to_state=rnd.choice(states)
                            ),
                        )
                        if rnd.random() < 0.2
                        else ()
                    ),
                )
            )
        nodes += [EndNode(state=state) for state in ends]
        return Chain(
            path=f"/Chain-{number}",
            nodes=tuple(nodes),
            max_orders=rnd.choice([None, None, 1, 2]),
            process_class=rnd.choice([None, ClassPath("/agents"), ClassPath("/missing")]),
            orders_recoverable=rnd.random() < 0.9,
        )

    # --- moves -------------------------------------------------------------------------------

    def _moves(self) -> list[Callable[[], None]]:
        return [  # the more often, the more likely
            *[self._add] * 5,
            *[self._task_goes_on] * 12,
            *[self._time_passes] * 5,
            self._modify,
            self._modify,
            self._remove,
            self._job_command,
            self._start_job,
            self._kill,
            self._chain_command,
            self._agent_news,
            self._repeat_report,
            self._reload,
            self._pause,
            self.restart,
        ]

    def _any_order(self) -> OrderKey:
        known = list(self.state.orders)
        if known and self.random.random() < 0.9:
            return self.random.choice(known)
        return OrderKey(chain_key("chain-0"), OrderId("nobody"))

    def _any_chain(self) -> str:
        return f"chain-{self.random.randrange(CHAINS + 1)}"

    def _add(self) -> None:
        rnd = self.random
        chain = chain_key(self._any_chain())
        definition = OrderDefinition(
            key=OrderKey(chain, OrderId(rnd.choice(["", "a", "b", "c", "d"]))),
            priority=rnd.randint(-2, 2),
            state=rnd.choice([None, None, NodeState("200"), NodeState("end")]),
            end_state=rnd.choice([None, None, NodeState("100"), NodeState("200")]),
            suspended=rnd.random() < 0.1,
            params={"required_orders": str(rnd.randint(1, 2))},
        )
        at = rnd.choice([None, None, c.AfterDelay(delay=seconds(rnd.randint(0, 20)))])
        self.give(c.AddOrder(order=definition, at=at, replace=rnd.random() < 0.7))

    def _task_goes_on(self) -> None:
        tasks = [task for task in self.state.tasks.values() if task.key is not None]
        if not tasks:
            return
        task = self.random.choice(tasks)
        assert task.key is not None
        report = self._report_for(task.key, task.status)
        self.reported.append(report)
        self.give(report)

    def _report_for(self, key: ExecutionKey, status: TaskStatus) -> Report:
        rnd = self.random
        draw = rnd.random()
        if status is TaskStatus.STARTING and draw < 0.6:
            return TaskLaunched(key=key, pid=rnd.randint(2, 99999), started_at=self.now)
        if status is TaskStatus.STARTING and draw < 0.75:
            failure = rnd.choice(list(LaunchFailure))
            return TaskNotLaunched(key=key, failure=failure, text="no answer")
        if draw < 0.8:
            return TaskLost(key=key, text="silence")
        if draw < 0.83:
            return NativeEnded(key=key, succeeded=rnd.random() < 0.5, text="native")
        return TaskExited(
            key=key,
            exit_code=rnd.choice([0, 0, 0, 1, 4, 9]),
            signal=rnd.choice([None, None, None, 15]),
            reason=rnd.choice([*[EndReason.EXITED] * 4, *EndReason]),
            ended_at=self.now,
            first_line="hello",
            returned={"x": str(rnd.randint(0, 9))},
            error_line=rnd.choice([None, None, "oops"]),
        )

    def _repeat_report(self) -> None:
        if self.reported:
            self.give(self.random.choice(self.reported))
        stray = ExecutionKey("chaos/999999.1")
        self.give(TaskLaunched(key=stray, pid=1, started_at=self.now))

    def _succeed(self, task_id: TaskId) -> None:
        task = self.state.tasks[task_id]
        assert task.key is not None
        self.give(
            TaskExited(
                key=task.key,
                exit_code=0,
                signal=None,
                reason=EndReason.EXITED,
                ended_at=self.now,
                returned={},
            )
        )

    def _time_passes(self) -> None:
        self.now = Instant(self.now + seconds(self.random.choice([0.5, 3, 12, 45])))
        self.give(c.Tick())

    def _modify(self) -> None:
        rnd = self.random
        key = self._any_order()
        request = rnd.choice(
            [
                c.ModifyOrder(order=key, suspended=True),
                c.ModifyOrder(order=key, suspended=False),
                c.ModifyOrder(order=key, reset=True),
                c.ModifyOrder(order=key, at=c.AfterDelay(delay=seconds(rnd.randint(0, 9)))),
                c.ModifyOrder(order=key, state=NodeState(rnd.choice(["100", "200", "end"]))),
                c.ModifyOrder(order=key, end_setback=True),
                c.ModifyOrder(order=key, params={"y": "1"}, priority=3, title="new"),
                c.ModifyOrder(order=key, end_state=NodeState("end")),
            ]
        )
        self.give(request)

    def _remove(self) -> None:
        self.give(c.RemoveOrder(order=self._any_order()))

    def _job_command(self) -> None:
        job = job_key(f"job-{self.random.randrange(JOBS + 1)}")
        actions = [action for action in c.JobAction if action is not c.JobAction.REMOVE]
        self.give(c.ModifyJob(job=job, action=self.random.choice(actions)))

    def _start_job(self) -> None:
        rnd = self.random
        job = job_key(f"job-{rnd.randrange(JOBS)}")
        starts: list[c.AfterDelay | c.InPeriod] = [
            c.AfterDelay(),
            c.AfterDelay(delay=seconds(9)),
            c.InPeriod(),
        ]
        self.give(c.StartJob(job=job, at=rnd.choice(starts), force=rnd.random() < 0.5))

    def _kill(self) -> None:
        rnd = self.random
        tasks = list(self.state.tasks) or [TaskId(1)]
        timeout = rnd.choice([None, seconds(5), FOREVER])
        self.give(
            c.KillTask(task=rnd.choice(tasks), immediately=rnd.random() < 0.8, timeout=timeout)
        )

    def _chain_command(self) -> None:
        rnd = self.random
        chain = chain_key(self._any_chain())
        if rnd.random() < 0.3:
            self.give(c.ModifyChain(chain=chain, stopped=rnd.random() < 0.5))
        else:
            state = NodeState(rnd.choice(["100", "200", "end", "nowhere"]))
            action = rnd.choice(list(c.NodeAction))
            self.give(c.ModifyNode(chain=chain, state=state, action=action))

    def _agent_news(self) -> None:
        rnd = self.random
        self.give(
            AgentContact(agent=rnd.choice(AGENTS), status=rnd.choice(list(AgentStatus)), run_id="r")
        )

    def _pause(self) -> None:
        self.give(c.PauseEngine(paused=self.random.random() < 0.3))

    def _reload(self) -> None:
        rnd = self.random
        kind = rnd.randrange(3)
        if kind == 0:
            number = rnd.randrange(JOBS)
            known = self.state.jobs.get(job_key(f"job-{number}"))
            if known is None or known.replacement is None:
                job = self._job(number)
                if known is not None and job.tasks < known.definition.tasks:
                    return
                self.give(c.ApplyDefinitions(defined=(job,)))
        elif kind == 1:
            self.give(c.ApplyDefinitions(defined=(self._chain(rnd.randrange(CHAINS)),)))
        else:
            path = f"/chain-{rnd.randrange(CHAINS)},permanent"
            self.give(
                c.ApplyDefinitions(removed=(c.ObjectRef(kind=c.ObjectKind.ORDER, path=path),))
            )


def run_seed(seed: int) -> None:
    """Run one seed; raises AssertionError with the seed in front."""
    try:
        KernelChaos(seed).run()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}") from error
