"""A world from a seed: engines, agents, a network, a workload, and what goes wrong.

Faults stop after a while; then everything must come to rest: every order has gone or is in a state
that only a person can change, no process runs, no agent keeps anything.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from heapq import heappop

from engine.agent.ledger import Ledger
from engine.codec.agent_messages import TakeOver
from engine.drivers.link_parts import LinkSettings
from engine.kernel import commands as c
from engine.kernel.definitions import JobNode, OrderDefinition
from engine.kernel.ids import (
    AgentUri,
    ExecutionKey,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import Duration, seconds
from engine.kernel.state import Order, State, Task, TaskStatus
from engine.server.engine_port import Accepted
from engine.service.engine import Engine
from tests.support.protocol.clock import Clock
from tests.support.simulator import workload
from tests.support.simulator.agent_machine import AgentMachine, LedgerFactory
from tests.support.simulator.book import Book
from tests.support.simulator.engine_machine import EngineMachine, Parts, Work
from tests.support.simulator.processes import TaskHostTwin
from tests.support.simulator.trouble import (
    ABSENCE_TIMEOUTS,
    Kind,
    Trouble,
    WorldNetwork,
    draw_faults,
    draw_proxy,
)
from tests.support.simulator.wire import Wiring

SHORT, SHORTER = (5_000, 10_000), (1_000, 2_000)
PROFILES = (*[SHORT] * 3, *[SHORTER] * 3, (2_000, 30_000), (10_000, 60_000))
"""Heartbeat period and timeout; long ones take long to play."""
TICKS_PER_LEASE = 10
"""Leases are looked at so often at least, and every second (agents.md 3.11)."""
TROUBLE_MS_MIN = 40_000
TROUBLE_TIMEOUTS = 3
REST_MS_MAX = 600_000
LOOK_MS = 2_000
ASK_AGAIN_MS = 7_000


class WatchedClock(Clock):
    """Virtual time that stands still when something has gone wrong."""

    book: Book

    def run_until(self, end: int) -> None:
        heap, book = self._heap, self.book
        while heap and heap[0][0] <= end:
            self.now, _, timer = heappop(heap)
            if timer.work is not None:
                timer.work()
            if book.failure is not None:
                raise book.failure
        self.now = end


@dataclass
class World:
    """Everything in one place."""

    seed: int
    keeps_trace: bool = True
    ledger_factory: LedgerFactory = Ledger
    task_host: type[TaskHostTwin] = TaskHostTwin
    parts: Parts = field(default_factory=Parts)

    def play(self) -> Book:
        """Play the seed. Raises Violation."""
        rng = self.rng = random.Random(self.seed)
        self.kind = Kind.of_seed(self.seed)
        self.clock = WatchedClock()
        self.book = self.clock.book = Book(self.clock, keeps_trace=self.keeps_trace)
        self.period, self.timeout = rng.choice(PROFILES)
        self.until = max(TROUBLE_MS_MIN, TROUBLE_TIMEOUTS * self.timeout)
        self.is_forgetful = self.seed % 8 == 5
        if self.is_forgetful:
            self.until += ABSENCE_TIMEOUTS * self.timeout
            self.book.retention = self.timeout
        self.network = WorldNetwork(self.clock, rng, draw_faults(rng, self.kind))
        self.network.timeout = self.timeout
        self._unanswered = 0
        self._build()
        trouble = Trouble(
            self.clock,
            rng,
            self.book,
            self.network,
            self.engines,
            self.agents,
            self.timeout,
            self.until,
        )
        self._plan_work()
        trouble.plan(self.kind, self.period)
        if self.seed % 8 == 1:
            trouble.plan_deaths(random.Random(-self.seed))
        elif self.is_forgetful:
            trouble.plan_absences(random.Random(-self.seed))
        try:
            self.clock.run_until(self.until)
            self.proxy.error = self.proxy.unavailable = 0
            trouble.end()
            self._come_to_rest()
        finally:
            for engine in self.engines:
                engine.close()
            for agent in self.agents:
                agent.close()
        return self.book

    @property
    def lines(self) -> list[str]:
        return self.book.lines

    # --- building --------------------------------------------------------------------------------

    def _build(self) -> None:
        rng = self.rng
        self.agents = [
            AgentMachine(
                f"http://agent{number}",
                self.clock,
                rng,
                self.book,
                self.ledger_factory,
                self.task_host,
                min(1.0, self.timeout / TICKS_PER_LEASE / 1000),
                Duration(self.book.retention),
            )
            for number in range(rng.randrange(1, 4))
        ]
        for agent in self.agents:
            agent.processes.durations_ms = (50, 2_000, self.timeout, 3 * self.timeout)
        uris = [AgentUri(agent.name) for agent in self.agents]
        count = 2 if self.kind is Kind.NEIGHBOURLY else rng.choice((1, 1, 1, 2))
        if self.kind is Kind.GENTLE:
            self.book.protected = {f"engine{number}" for number in range(count)}
        elif self.kind is Kind.NEIGHBOURLY:
            self.book.protected = {"engine1"}
        self.proxy = draw_proxy(rng, self.kind)
        kills = self.kind is Kind.ROUGH and rng.random() < 0.2
        link = LinkSettings(take_over=TakeOver.KILL if kills else TakeOver.ADOPT)
        by_uri = dict(zip(uris, self.agents, strict=True))
        self.engines: list[EngineMachine] = []
        for number in range(count):
            name = f"engine{number}"
            wiring = Wiring(
                engine=name, agents=by_uri, network=self.network, rng=rng, proxy=self.proxy
            )
            found = workload.definitions(rng, uris, self.period, self.timeout)
            self.engines.append(
                EngineMachine(name, self.clock, rng, self.book, wiring, found, link, self.parts)
            )

    # --- work ------------------------------------------------------------------------------------

    def _plan_work(self) -> None:
        rng = self.rng
        for number in range(rng.randrange(2, 14)):
            self._unanswered += 1
            add = self._add(rng.choice(self.engines), number)
            self.clock.after(rng.randrange(self.until), add)
        for _ in range(rng.randrange(6)):
            ask = self._ask_something(rng.choice(self.engines))
            self.clock.after(rng.randrange(self.until), ask)

    def _add(self, engine: EngineMachine, number: int) -> Callable[[], None]:
        """Somebody wants an order to run, and asks until it is answered."""
        chain = chain_key(f"walk-{self.rng.randrange(workload.CHAINS)}")
        key = OrderKey(chain, OrderId(f"order-{number}"))
        delay = c.AfterDelay(delay=seconds(self.rng.choice((0, 0, 3))))
        request = c.AddOrder(order=OrderDefinition(key=key), at=delay, replace=False)
        is_answered = False

        async def work(port: Engine) -> None:
            nonlocal is_answered
            reply = await port.submit(request, "client")
            if isinstance(reply, Accepted):
                self.book.accepted(engine.name, key, reply.number)
            if not is_answered:
                is_answered = True
                self._unanswered -= 1

        def ask() -> None:
            if not is_answered:
                engine.ask(work)
                self.clock.after(ASK_AGAIN_MS, ask)

        return ask

    def _ask_something(self, engine: EngineMachine) -> Callable[[], None]:
        rng = self.rng
        requests: list[Callable[[State], c.Request | None]] = [
            self._kill,
            self._kill,
            lambda _: c.ModifyJob(job=job_key("job-0"), action=c.JobAction.STOP),
            lambda _: c.ModifyJob(job=job_key("job-0"), action=c.JobAction.UNSTOP),
            self._modify_order,
            self._remove_order,
            lambda _: c.StartJob(job=job_key("job-1")),
            lambda _: self._new_class(engine),
        ]
        choose = rng.choice(requests)
        number = rng.randrange(1000)

        async def work(port: Engine) -> None:
            self._draw = number
            request = choose(port.state)
            if request is not None:
                self.book.trace(f"{engine.name} is asked {request!r:.150}")
                await port.submit(request, "client")

        return lambda: self._once(engine, work)

    def _once(self, engine: EngineMachine, work: Work) -> None:
        engine.ask(work)

    def _kill(self, state: State) -> c.Request | None:
        tasks = list(state.tasks)
        if not tasks:
            return None
        task: TaskId = tasks[self._draw % len(tasks)]
        timeout = (None, seconds(1), seconds(10))[self._draw % 3]
        return c.KillTask(task=task, immediately=self._draw % 4 > 0, timeout=timeout)

    def _modify_order(self, state: State) -> c.Request | None:
        orders = list(state.orders)
        if not orders:
            return None
        order = orders[self._draw % len(orders)]
        suspended = (None, True, False)[self._draw % 3]
        return c.ModifyOrder(order=order, suspended=suspended, state=NodeState("100"))

    def _remove_order(self, state: State) -> c.Request | None:
        orders = list(state.orders)
        return c.RemoveOrder(order=orders[self._draw % len(orders)]) if orders else None

    def _new_class(self, engine: EngineMachine) -> c.Request:
        """Somebody edits a process class: other agents, other limits."""
        rng = random.Random(self._draw)
        uris = [AgentUri(agent.name) for agent in self.agents]
        # A limit lowered under running tasks is exceeded for a while, and rightly so.
        former = workload.process_class(rng, "class-0", uris, self.period, self.timeout)
        changed = replace(former, max_processes=workload.PROCESSES_MAX)
        others = [each for each in engine.definitions if getattr(each, "path", "") != changed.path]
        engine.definitions = (*others, changed)
        return c.ApplyDefinitions(defined=(changed,))

    # --- rest ------------------------------------------------------------------------------------

    def _come_to_rest(self) -> None:
        quiet_at = self.until + 2 * self.timeout + ASK_AGAIN_MS
        self.clock.run_until(quiet_at)
        why = self._why_not_at_rest()
        while why:
            if self.clock.now > self.until + REST_MS_MAX:
                self.book.fail(f"no rest: {why}")
            self.clock.run_until(self.clock.now + LOOK_MS)
            why = self._why_not_at_rest()
        self.book.at_rest()
        for machine in self.engines:
            engine = machine.look()
            assert engine is not None
            self.book.same(machine.name, engine.state)

    def _why_not_at_rest(self) -> str:
        if self._unanswered:
            return f"{self._unanswered} requests are not answered"
        for machine in self.engines:
            engine = machine.look()
            why = "it does not run" if engine is None else self._why_busy(engine.state)
            if why:
                return f"{machine.name}: {why}"
        for agent in self.agents:
            left = [key for key in agent.left_over() if not self._may_keep(agent, key)]
            if left:
                return f"{agent.name} keeps {left[:3]}"
        return ""

    def _why_busy(self, state: State) -> str:
        """Return what is still going on, empty when only a person could change anything."""
        is_held_up = False
        for task in state.tasks.values():
            if self._waits_for_a_lost_agent(state, task):
                is_held_up = True  # and with it who waits for its job, its class, its locks
                continue
            is_queued = task.key is None and (is_held_up or state.jobs[task.job].stopped)
            if not is_queued:
                return f"the task {task.id} is {task.status.value}, its key is {task.key}"
        for order in state.orders.values():
            waits = is_held_up or _waits_for_a_person(state, order)
            if order.task is None and not waits:
                return f"the order {order.key} stands at {order.state}"
        return f"commands of {list(state.exit_commands)}" if state.exit_commands else ""

    def _waits_for_a_lost_agent(self, state: State, task: Task) -> bool:
        """Return whether every agent that could run it is gone for good, and it has not run."""
        scrapped = {agent.name for agent in self.agents if agent.is_scrapped}
        agents = state.process_classes[task.process_class].definition.agents
        has_run = task.status in {TaskStatus.RUNNING, TaskStatus.ENDED}
        return not has_run and all(each.uri in scrapped for each in agents)

    def _may_keep(self, agent: AgentMachine, key: str) -> bool:
        """Return whether nobody will ask the agent to forget a result, until it does by itself.

        An engine that died before it could ask, and does not name the agent any more, does not.
        """
        truth = self.book.truths.get(ExecutionKey(key))
        if truth is None or not truth.is_over or truth.is_alive:
            return False
        state = self.book.records[key.rpartition("/")[0]].mirror
        classes = [each.definition for each in state.process_classes.values()]
        return not any(each.uri == agent.name for one in classes for each in one.agents)


def _waits_for_a_person(state: State, order: Order) -> bool:
    if order.suspended:
        return True
    node = state.node(order.key.chain, order.state)
    return isinstance(node, JobNode) and state.jobs[node.job].stopped
