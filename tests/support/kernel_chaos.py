"""Random chains and random inputs against the kernel: the book-keeper of the simulation.

One seed is one run. Faults of this world: any command at any time, tasks that end in any way, late,
doubled and stray reports, agents that go and come back, restarts of the engine. It never reports
that a task runs which was not demanded, since a driver never starts one.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from engine.codec.snapshot import snapshot_bytes, state_from_snapshot
from engine.kernel import commands as c
from engine.kernel.calendar import RunTime
from engine.kernel.capacity import (
    ORIGINAL_LOCK_QUEUES,
    is_in_period,
    missing_requisites,
    next_order,
)
from engine.kernel.definitions import Definition, EndNode, Job, JobNode, OrderDefinition
from engine.kernel.demands import demand_of
from engine.kernel.effects import ReadNodeSettings
from engine.kernel.events import Event
from engine.kernel.events.orders import OrderAdded, OrderChainChanged, OrderRemoved
from engine.kernel.events.tasks import (
    JobAwaitsLocks,
    JobAwaitsProcess,
    TaskAssigned,
    TaskStarted,
)
from engine.kernel.evolve import evolve
from engine.kernel.ids import (
    Epoch,
    ExecutionKey,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import FOREVER, Instant, seconds
from engine.kernel.invariants import check
from engine.kernel.progress import visit
from engine.kernel.progress.affected import (
    ChainSubject,
    ClassSubject,
    FileSubject,
    JobSubject,
    LockSubject,
    Subject,
    TaskSubject,
)
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    EndReason,
    LaunchFailure,
    NativeEnded,
    NodeSettingsRead,
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.state import Order, State, Task, TaskStatus
from engine.kernel.step import Done, step
from engine.kernel.travel import KEEP_CONTENT
from tests.support.chaos_definitions import AGENTS, CHAINS, JOBS, SCHEDULE, SHELL, ChaosDefinitions

START = Instant(1_700_000_000_000)
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
            case OrderChainChanged():
                self.present.discard(event.order)
                moved = OrderKey(event.chain, event.order.id)
                assert moved not in self.present, f"the order {moved} was there already"
                self.present.add(moved)
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
        self.definitions = ChaosDefinitions(self.random)
        self.locks = self.definitions.locks()
        self.classes = self.definitions.classes()
        self.begin()
        first = [*self.definitions.all(), *self.locks, *self.classes]
        self.give(c.ApplyDefinitions(defined=tuple(first), complete=True))

    # --- inputs ------------------------------------------------------------------------------

    def give(self, asked: c.Request | Report) -> Done:
        done = step(self.state, asked, self.now)
        for event in done.events:
            self.book.note(event)
        self.journal += done.events
        check(self.state)
        assert self.book.present == set(self.state.orders), "the book knows other orders"
        self._check_rest()
        return done

    def _check_rest(self) -> None:
        """Nothing may be left to do: a step looks at all whom its events concern."""
        state = self.state
        subjects: list[Subject] = [
            *map(JobSubject, state.jobs),
            *map(TaskSubject, state.tasks),
            *map(ChainSubject, state.chains),
            *map(ClassSubject, state.process_classes),
            *map(LockSubject, state.locks),
            *map(FileSubject, state.order_files),
        ]
        for subject in subjects:
            overlooked = next(visit(state, subject, self.now), None)
            if isinstance(overlooked, JobAwaitsLocks | JobAwaitsProcess):
                # Who waits in one queue may find another thing taken when its turn has come.
                overlooked = None if state.jobs[overlooked.job].wait is not None else overlooked
            assert overlooked is None, f"{subject} was overlooked: {overlooked}"

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
        self._mend_definitions()
        for chain in list(self.state.chains.values()):
            self.give(c.ModifyChain(chain=chain.key, stopped=False))
            for node in chain.definition.nodes:
                if not isinstance(node, EndNode):
                    process = c.NodeAction.PROCESS
                    self.give(c.ModifyNode(chain=chain.key, state=node.state, action=process))
        for key in list(self.state.orders):
            order = self.state.orders.get(key)
            if order is not None:
                self.give(c.ModifyOrder(order=key, suspended=False, run_time=RunTime()))
                if self.state.node(key.chain, order.state) is None and order.task is None:
                    self.give(c.ModifyOrder(order=key, state=NodeState("100")))
        self._let_everything_end()
        # A task that fails whenever it runs is tried again for ever, with a pause in between.
        left = [task for task in self.state.tasks.values() if self._could_run(task)]
        assert not left, f"tasks never end: {left[:2]}"
        stuck = [order.key for order in self.state.orders.values() if self._could_move(order)]
        assert not stuck, f"orders could move and do not: {stuck[:2]}"

    def _mend_definitions(self) -> None:
        """Bring back what is missing, and end what starts by itself for ever."""
        missing = Job(path=f"/Job-{JOBS}", script=SHELL)
        self.give(
            c.ApplyDefinitions(
                defined=(*self.locks, *self.classes, self.definitions.schedule(), missing)
            )
        )
        for file in list(self.state.order_files.values()):
            self.give(c.ApplyDefinitions(defined=(replace(file, run_time=RunTime()),)))
        for job in list(self.state.jobs.values()):
            definition = job.replacement or job.definition
            tame = replace(definition, run_time=None, temporary=False, monitors=())
            self.give(c.ApplyDefinitions(defined=(tame,)))

    def _let_everything_end(self) -> None:
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

    def _could_run(self, task: Task) -> bool:
        job = self.state.jobs[task.job]
        return task.start_at <= self.now and job.definition.tasks > 0

    def _could_move(self, order: Order) -> bool:
        """Whether the job of an order's node would take it: then the job has overlooked it."""
        node = self.state.node(order.key.chain, order.state)
        job = self.state.jobs.get(node.job) if isinstance(node, JobNode) else None
        if job is None or job.definition.tasks == 0 or not is_in_period(job, self.now):
            return False
        if any(True for _ in missing_requisites(self.state, job)):
            return False
        return next_order(self.state, job.key, self.now) == order.key

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
            self._reload,
            self._remove_object,
            self._configure_engine,
            self._pause,
            self.restart,
        ]

    def _any_order(self) -> OrderKey:
        known = list(self.state.orders)
        if known and self.random.random() < 0.9:
            return self.random.choice(known)
        return OrderKey(chain_key("chain-0"), OrderId("nobody"))

    def _any_chain(self) -> str:
        return self.random.choice([*(f"chain-{number}" for number in range(CHAINS + 1)), "super"])

    def _add(self) -> None:
        rnd = self.random
        chain = chain_key(self._any_chain())
        definition = OrderDefinition(
            key=OrderKey(chain, OrderId(rnd.choice(["", "a", "b", "c", "d"]))),
            priority=rnd.randint(-2, 2),
            state=rnd.choice([None, None, NodeState("200"), NodeState("end"), NodeState("in-1")]),
            end_state=rnd.choice(
                [None, None, NodeState("100"), NodeState("200"), NodeState("in-0")]
            ),
            run_time=self.definitions.run_time() if rnd.random() < 0.2 else None,
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
        report = self._settings_of(task) or self._report_for(task.key, task.status)
        self.reported.append(report)
        self.give(report)

    def _settings_of(self, task: Task) -> Report | None:
        """What the service answers before a step of a job with the configuration monitor."""
        demand = demand_of(self.state, task)
        if not isinstance(demand, ReadNodeSettings):
            return None
        return NodeSettingsRead(
            key=demand.key,
            order_params={**demand.order_params, "own": "1", "wide": "2"},
            task_params=demand.task_params,
            xml_payload="<settings/>",
            taken_back=("own",),
            problem=self.random.choice(["", "", "", "not well-formed"]),
        )

    def _report_for(self, key: ExecutionKey, status: TaskStatus) -> Report:
        rnd = self.random
        draw = rnd.random()
        if status is TaskStatus.STARTING and draw < 0.6:
            pid = rnd.randint(2, 99999)
            record = "v=1" if pid % 5 == 0 else ""
            return TaskLaunched(key=key, pid=pid, started_at=self.now, record=record)
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
            monitored_result=rnd.choice([None, None, None, True, False]),
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
        settings = self._settings_of(task)
        if settings is not None:
            self.give(settings)
            return
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
                c.ModifyOrder(order=key, run_time=self.definitions.run_time()),
                c.ModifyOrder(order=key, reset=True, suspended=True),
            ]
        )
        self.give(request)

    def _remove(self) -> None:
        self.give(c.RemoveOrder(order=self._any_order()))

    def _job_command(self) -> None:
        job = job_key(f"job-{self.random.randrange(JOBS + 1)}")
        run_time = self.definitions.run_time() if self.random.random() < 0.1 else None
        action = self.random.choice(list(c.JobAction))
        self.give(c.ModifyJob(job=job, action=action, run_time=run_time))

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
        """Files come or change: a removed one may come back."""
        rnd, make = self.random, self.definitions
        number = rnd.randrange(CHAINS + 1)
        makers: list[Callable[[], Definition]] = [
            lambda: make.job(rnd.randrange(JOBS)),
            lambda: make.super_chain() if number == CHAINS else make.chain(number),
            lambda: make.order_file(number, rnd.randint(1, 3)),
            lambda: rnd.choice([*self.locks, *self.classes]),
            make.schedule,
        ]
        self.give(c.ApplyDefinitions(defined=(rnd.choice(makers)(),)))

    def _remove_object(self) -> None:
        rnd, kinds = self.random, c.ObjectKind
        number = rnd.randrange(CHAINS)
        kind, path = rnd.choice(
            [
                (kinds.ORDER, f"/chain-{number},permanent"),
                (kinds.ORDER, rnd.choice(["/super,permanent", "/super,whole"])),
                (kinds.JOB, f"/job-{rnd.randrange(JOBS)}"),
                (kinds.CHAIN, rnd.choice([f"/chain-{number}", "/super"])),
                (kinds.LOCK, rnd.choice(["/one", "/third"])),
                (kinds.PROCESS_CLASS, rnd.choice(["/few", "/agents"])),
                (kinds.SCHEDULE, SCHEDULE),
                (kinds.MONITOR, "/configure"),
            ]
        )
        self.give(c.ApplyDefinitions(removed=(c.ObjectRef(kind=kind, path=path),)))

    def _configure_engine(self) -> None:
        rnd = self.random
        params = {
            KEEP_CONTENT: rnd.choice(["true", "false"]),
            ORIGINAL_LOCK_QUEUES: rnd.choice(["yes", "no"]),
        }
        self.give(c.ApplyDefinitions(main=replace(self.state.main, params=params)))


def run_seed(seed: int) -> None:
    """Run one seed; raises AssertionError with the seed in front."""
    try:
        KernelChaos(seed).run()
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}") from error
