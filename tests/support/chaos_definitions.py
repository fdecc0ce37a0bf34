"""Random definitions for the chaos world: jobs, chains, nested chains, run times, monitors."""

import random
from typing import TypeVar

from engine.kernel.calendar import Period, RunTime, Schedule
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
    Monitor,
    MonitorUse,
    NativeScript,
    NestedNode,
    Node,
    OnError,
    OnReturnCodes,
    OrderDefinition,
    ProcessClass,
    ScheduleFile,
    Script,
    Select,
    SetbackDelay,
    ShellScript,
    Source,
    Text,
)
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    LockPath,
    MonitorPath,
    NodeState,
    OrderId,
    OrderKey,
    SchedulePath,
    chain_key,
    job_key,
)
from engine.kernel.instants import Duration, Instant, seconds

AGENTS = [AgentUri(f"http://agent-{name}:1") for name in "abc"]
JOBS = 5
CHAINS = 3
CLASSES = [None, None, ClassPath("/agents"), ClassPath("/few"), ClassPath("/missing")]
SHELL = ShellScript(parts=(Text(text="true"),))
CONFIGURATION = NativeScript(kind="configuration_monitor", java_class="test")
SCHEDULE = SchedulePath("/shifts")
ENDS = (NodeState("end"), NodeState("error"))

T = TypeVar("T")


class ChaosDefinitions:
    """Draws definitions from a run's random numbers."""

    def __init__(self, rnd: random.Random) -> None:
        self.random = rnd

    def all(self) -> list[Definition]:
        """Everything the world begins with."""
        return [
            *self.classes(),
            *self.locks(),
            self.schedule(),
            Monitor(path=MonitorPath("/configure"), script=CONFIGURATION),
            *(self.job(number) for number in range(JOBS)),
            *(self.chain(number) for number in range(CHAINS)),
            self.super_chain(),
            *(self.order_file(number) for number in range(CHAINS + 1)),
        ]

    def _maybe(self, chance: float, value: T) -> T | None:
        return value if self.random.random() < chance else None

    def classes(self) -> list[Definition]:
        rnd = self.random
        return [
            ProcessClass(
                path=ClassPath("/agents"),
                max_processes=rnd.randint(1, 4),
                agents=tuple(AgentReference(uri=uri) for uri in AGENTS),
                select=rnd.choice(list(Select)),
                timeout=rnd.choice([None, seconds(40)]),
            ),
            ProcessClass(path=ClassPath("/few"), max_processes=1),
        ]

    def locks(self) -> list[Definition]:
        return [
            Lock(path=LockPath("/one")),
            Lock(path=LockPath("/shared"), max_non_exclusive=2),
            Lock(path=LockPath("/third"), max_non_exclusive=self.random.choice([None, 1, 2])),
        ]

    def run_time(self) -> RunTime | None:
        """Periods around the hour in which the world lives: 22:13 on its first day."""
        rnd = self.random
        draw = rnd.random()
        if draw < 0.6:
            return None
        if draw < 0.7:
            return RunTime(schedule=SCHEDULE)
        begin = 80_000 + rnd.randint(-60, 600)
        periods = [
            Period(
                begin=begin,
                end=begin + rnd.randint(10, 900),
                repeat=rnd.choice([Duration(0), seconds(20)]),
                absolute_repeat=rnd.choice([Duration(0), Duration(0), seconds(30)]),
            )
        ]
        if rnd.random() < 0.3:
            periods.append(Period(single_start=begin + rnd.randint(0, 300)))
        return RunTime(periods=tuple(periods), once=rnd.random() < 0.2)

    def schedule(self) -> ScheduleFile:
        begin = 80_000 + self.random.randint(-60, 600)
        periods = (Period(begin=begin, end=begin + 400, repeat=seconds(25)),)
        schedule = Schedule(path=SCHEDULE, run_time=RunTime(periods=periods))
        return ScheduleFile(schedule=schedule)

    def order_file(self, number: int, modified_at: int = 0) -> OrderDefinition:
        """A permanent order of a chain; the last one is the super chain's."""
        chain, order_id = f"chain-{number}", OrderId("permanent")
        if number == CHAINS:
            chain, order_id = "super", OrderId(self.random.choice(["permanent", "whole", "a"]))
        return OrderDefinition(
            key=OrderKey(chain_key(chain), order_id),
            run_time=self.run_time(),
            title=f"version {modified_at}",
            params={"from": "file"},
            source=Source(
                file=f"{chain},{order_id}.order.xml", modified_at=Instant(1000 * modified_at)
            ),
        )

    def job(self, number: int) -> Job:
        rnd = self.random
        script: Script = SHELL
        if rnd.random() < 0.1:
            script = NativeScript(kind="sync", java_class="sync")
        uses = [
            LockUse(lock=LockPath(path), exclusive=rnd.random() < 0.5)
            for path in ("/one", "/shared", "/third")
            if rnd.random() < 0.2
        ]
        is_order_job = rnd.random() < 0.7
        return Job(
            path=f"/Job-{number}",
            script=script,
            is_order_job=is_order_job,
            temporary=not is_order_job and rnd.random() < 0.1,
            tasks=rnd.choice([0, 1, 1, 2, 3]),
            stop_on_error=rnd.random() < 0.3,
            locks=tuple(uses),
            monitors=self._monitors(),
            run_time=self.run_time(),
            process_class=rnd.choice(CLASSES[:-1]),
            setback_max=rnd.randint(0, 3),
            setback_delays=(SetbackDelay(count=1, delay=seconds(rnd.randint(0, 30))),),
            error_delays=self._error_delays(),
            timeout=rnd.choice([None, None, seconds(5)]),
            ignore_signals=rnd.choice([(), ("all",), ("SIGTERM",)]),
        )

    def _monitors(self) -> tuple[MonitorUse, ...]:
        draw = self.random.random()
        if draw < 0.1:
            return (MonitorUse(script=CONFIGURATION),)
        if draw < 0.2:
            return (MonitorUse(name="/configure", path=MonitorPath("/configure")),)
        return ()

    def _error_delays(self) -> tuple[ErrorDelay, ...]:
        delay = self.random.choice([None, seconds(20)])
        first = self.random.choice([1, 2])
        found = self._maybe(0.2, (ErrorDelay(count=first, delay=delay),))
        return () if found is None else found

    def chain(self, number: int) -> Chain:
        rnd = self.random
        count = rnd.randint(1, 4)
        states = [NodeState(str(100 * (place + 1))) for place in range(count)]
        nodes: list[Node] = []
        for place, state in enumerate(states):
            following = states[place + 1] if place + 1 < count else ENDS[0]
            nodes.append(self._job_node(state, following, states))
        nodes += [EndNode(state=state) for state in ENDS]
        return Chain(
            path=f"/Chain-{number}",
            nodes=tuple(nodes),
            max_orders=rnd.choice([None, None, None, 1, 2]),
            process_class=rnd.choice(CLASSES),
            orders_recoverable=rnd.random() < 0.9,
        )

    def _job_node(self, state: NodeState, following: NodeState, states: list[NodeState]) -> JobNode:
        rnd = self.random
        job = f"job-{rnd.randrange(JOBS + 1)}"  # one of them does not exist
        codes = (CodeRange(first=3, last=5),)
        rules = self._maybe(0.2, (OnReturnCodes(codes=codes, to_state=rnd.choice(states)),))
        return JobNode(
            state=state,
            job=job_key(job),
            job_path=f"/{job}",
            next_state=following,
            error_state=rnd.choice([None, ENDS[1], ENDS[1], following]),
            on_error=rnd.choice([None, None, *OnError]),
            suspend=rnd.random() < 0.1,
            delay=Duration(seconds(rnd.choice([0, 0, 0, 7]))),
            on_return_codes=() if rules is None else rules,
        )

    def super_chain(self) -> Chain:
        """A chain of the first two chains."""
        rnd = self.random
        nodes: list[Node] = [
            NestedNode(
                state=NodeState(f"in-{number}"),
                chain=chain_key(f"chain-{number}"),
                chain_path=f"/Chain-{number}",
                next_state=NodeState("in-1") if number == 0 else ENDS[0],
                error_state=rnd.choice([None, ENDS[1], NodeState("in-1")]) if number == 0 else None,
            )
            for number in range(2)
        ]
        nodes += [EndNode(state=state) for state in ENDS]
        return Chain(path="/Super", nodes=tuple(nodes), max_orders=rnd.choice([None, None, 1, 2]))
