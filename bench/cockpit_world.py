"""An engine for the cockpit's bench: the real kernel and HTTP interface, drivers played at a rate.

    PYTHONPATH=. python bench/cockpit_world.py SOCKET --orders 10000 --chains 500 --agents 200

Chains are circles, so their orders go on for ever: a task is launched, another ends, its order
moves on, all by the kernel's own events. Lines on standard input command it: `rate 1000` (events a
second), `beat 1` (signs of life of each agent a second), `cpu` (prints the seconds used), `quit`.
"""

import argparse
import asyncio
import sys
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

from engine.codec.journal import JOURNAL, StoredEvent
from engine.codec.snapshot import snapshot_bytes
from engine.kernel.commands import AddOrder, AfterDelay, ApplyDefinitions, Request
from engine.kernel.definitions import (
    AgentReference,
    Chain,
    Definition,
    Job,
    JobNode,
    OrderDefinition,
    ProcessClass,
    ShellScript,
    Text,
)
from engine.kernel.ids import (
    AgentUri,
    ClassPath,
    EventNumber,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import Instant, seconds
from engine.kernel.problems import Problem
from engine.kernel.reports import (
    AgentContact,
    AgentStatus,
    EndReason,
    Report,
    TaskExited,
    TaskLaunched,
)
from engine.kernel.state import TaskStatus
from engine.kernel.step import step
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.engine_port import Accepted, AgentPulse, LogPart, Notice, TooOld
from engine.server.serve import HttpServer, Listener, bind_unix
from tests.support.fake_engine import FACTS, FakeEngine

NODES = 6
TICK_S = 0.05
ROWS_MAX = 50_000
LOG_LINES = 100_000
CLASS = ClassPath("/agents")
A_YEAR = seconds(365 * 86_400)


class CircleEngine(FakeEngine):
    """Forgets old events, and knows what becomes of a task without drivers."""

    def __init__(self, chains: int, orders: int, agents: int, *, at_rest: bool = False) -> None:
        self.recent: deque[StoredEvent] = deque(maxlen=ROWS_MAX)
        self.count = 0
        super().__init__()
        self.step(ApplyDefinitions(defined=definitions(chains, agents)))
        for agent in agent_uris(agents):
            self.step(AgentContact(agent=agent, status=AgentStatus.COUPLED, run_id="bench"))
        for number in range(orders):
            chain = chain_key(f"/chain{number % chains:03}")
            key = OrderKey(chain, OrderId(f"order{number:06}"))
            at = AfterDelay(delay=A_YEAR) if at_rest else None
            self.step(AddOrder(order=OrderDefinition(key=key), at=at))
        self.log = "".join(
            f"{number:06} line {number} of a log, as long as such lines are on average\n"
            for number in range(LOG_LINES)
        )

    def step(self, asked: Request | Report, by: str = "") -> Accepted | Problem:
        """Carry out an input at once."""
        now = self.now()
        done = step(self._state, asked, now)
        for event in done.events:
            new = JOURNAL.new_event(event, now, by)
            self.count += 1
            number = EventNumber(self.count)
            self.recent.append(
                StoredEvent(number=number, at=new.at, kind=new.kind, body=new.body, cause=new.cause)
            )
        if isinstance(done.reply, Problem):
            return done.reply
        return Accepted(number=self.number, subject=done.reply.subject)

    def now(self) -> Instant:
        """Return the present time of this host."""
        return Instant(round(time.time() * 1000))

    @property
    def number(self) -> EventNumber:
        """The last event's number."""
        return EventNumber(self.count)

    async def snapshot(self) -> tuple[EventNumber, bytes]:
        """Return the state."""
        return self.number, snapshot_bytes(self._state)

    async def notices(self, after: EventNumber) -> AsyncIterator[Notice]:
        """Follow from an event that is not too old."""
        reached, told = int(after), len(self._volatile)
        while not self.is_stopping:
            while reached < self.count:
                oldest = self.count - len(self.recent)
                if reached < oldest:
                    raise TooOld
                yield Notice(event=self.recent[reached - oldest])
                reached += 1
            while told < len(self._volatile):
                told += 1
                yield Notice(pulse=self._volatile[told - 1])
            async with self._changed:
                if reached == self.count and told == len(self._volatile) and not self.is_stopping:
                    await self._changed.wait()

    async def task_log(self, _task: TaskId, offset: int, size_bytes_max: int) -> LogPart | None:
        """Return a piece of the one long log."""
        begin = max(0, len(self.log) + offset) if offset < 0 else min(offset, len(self.log))
        piece = self.log[begin : begin + size_bytes_max]
        end = begin + len(piece)
        return LogPart(text=piece, offset=begin, next_offset=end, complete=end == len(self.log))

    def play(self, events: int, chance: Random) -> None:
        """Let this many events happen, or a few more."""
        until = self.count + events
        tasks = list(self._state.tasks.values())
        chance.shuffle(tasks)
        for task in tasks:
            if self.count >= until:
                return
            if task.key is None:
                continue
            if task.status is TaskStatus.RUNNING:
                self.step(
                    TaskExited(
                        key=task.key,
                        exit_code=0,
                        signal=None,
                        reason=EndReason.EXITED,
                        ended_at=self.now(),
                        returned={},
                    )
                )
            elif task.pid is None:
                self.step(TaskLaunched(key=task.key, pid=1000 + task.id, started_at=self.now()))

    def beat(self, agents: list[AgentUri]) -> None:
        """Let these agents be heard of."""
        for agent in agents:
            pulse = AgentPulse(
                agent=agent,
                status=AgentStatus.COUPLED,
                heard_at=self.now(),
                heartbeat_period=seconds(10),
                heartbeat_timeout=seconds(60),
                tasks=1,
            )
            self.last_pulses[agent] = pulse
            self._volatile.append(pulse)


def definitions(chains: int, agents: int) -> tuple[Definition, ...]:
    """Return a class of agents, and chains that are circles, each with jobs of its own."""
    contacts = tuple(AgentReference(uri=uri) for uri in agent_uris(agents))
    defined: list[Definition] = [ProcessClass(path=CLASS, max_processes=1_000_000, agents=contacts)]
    for number in range(chains):
        path = f"/chain{number:03}"
        defined.extend(_job(f"{path}_job{at}", agents) for at in range(NODES))
        defined.append(Chain(path=path, nodes=tuple(_node(path, at) for at in range(NODES))))
    return tuple(defined)


def _job(path: str, agents: int) -> Job:
    return Job(
        path=path,
        is_order_job=True,
        tasks=1,
        script=ShellScript(parts=(Text(text="true"),)),
        process_class=CLASS if agents else None,
    )


def _node(chain: str, at: int) -> JobNode:
    job = f"{chain}_job{at}"
    following = NodeState(f"node{(at + 1) % NODES}")
    return JobNode(
        state=NodeState(f"node{at}"),
        job=job_key(job),
        job_path=job,
        next_state=following,
        error_state=following,
    )


def agent_uris(count: int) -> list[AgentUri]:
    """Return the agents' addresses."""
    return [AgentUri(f"http://agent-{number:03}:4445") for number in range(count)]


async def serve(engine: CircleEngine, path: Path, agents: int) -> None:
    """Serve until `quit`."""
    context = ServerContext(port=engine, gate=Gate(TokenFiles(())), facts=FACTS)
    listener = Listener(socket=bind_unix(path), trust=Trust.OWNER)
    server = HttpServer(application(context), (listener,))
    await server.start()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    print("ready", flush=True)
    wishes = {"rate": 0.0, "beat": 0.0}
    player = asyncio.create_task(play(engine, wishes, agent_uris(agents)))
    while line := (await reader.readline()).decode().split():
        if line[0] == "quit":
            break
        if line[0] == "cpu":
            print(time.process_time(), engine.count, flush=True)
        elif line[0] in wishes:
            wishes[line[0]] = float(line[1])
    player.cancel()
    await engine.stop()
    await server.stop()


async def play(engine: CircleEngine, wishes: dict[str, float], agents: list[AgentUri]) -> None:
    """Keep to the rates."""
    chance = Random(1)
    owed, beats = 0.0, 0.0
    due = time.monotonic()
    while True:
        owed += wishes["rate"] * TICK_S
        beats += wishes["beat"] * TICK_S * len(agents)
        if owed >= 1:
            before = engine.count
            engine.play(int(owed), chance)
            owed -= engine.count - before
        if beats >= 1:
            engine.beat([chance.choice(agents) for _ in range(int(beats))])
            beats -= int(beats)
        await engine.tell()
        due += TICK_S
        await asyncio.sleep(max(0.0, due - time.monotonic()))


def main() -> None:
    """Serve until told to quit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("socket", type=Path)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--chains", type=int, default=500)
    parser.add_argument("--agents", type=int, default=0)
    parser.add_argument("--at-rest", action="store_true", help="all orders are for next year")
    arguments = parser.parse_args()
    engine = CircleEngine(
        arguments.chains, arguments.orders, arguments.agents, at_rest=arguments.at_rest
    )
    asyncio.run(serve(engine, arguments.socket, arguments.agents))


if __name__ == "__main__":
    main()
