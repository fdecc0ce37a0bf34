"""What it costs the engine to hold sessions with many agents, each with a task open.

    python bench/many_agents.py --agents 1000 --period 10 --seconds 40

Other processes play the agents with the real ledger behind a bare HTTP server, so that the figures
are those of the engine's side. All agents are told at once, as at the start of an engine. Printed:
how long it takes until each has its task, CPU share of one core, memory, heartbeats a second, and
the share of heartbeats that were late (came after the period and the allowed delay). On a machine
whose cores are busy with other things heartbeats are late because of them.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing.connection import Connection

from engine.agent.ledger import Ledger
from engine.agent.ledger_parts import Launch, News
from engine.agent.service import boot_time
from engine.codec import agent_wire
from engine.codec.agent_messages import Numbered, Refusal, SessionAnswer
from engine.codec.records import parse_json
from engine.drivers.agent_link import AgentDriver, AgentPulse
from engine.kernel.effects import KeepAgent, ProcessSpec, RunProcess
from engine.kernel.ids import AgentUri, Epoch, ExecutionKey, TaskId
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import AgentContact, AgentStatus, Report, TaskLaunched, TaskNotLaunched
from engine.service.garbage import short_collections

AGENTS_EACH = 2500
"""Played by one process."""
ADDRESSES = 50

# --- the agents ----------------------------------------------------------------------------------


class PlayedAgents:
    """All agents of the bench: a ledger each, and no processes."""

    def __init__(self) -> None:
        self._ledgers: dict[str, Ledger] = {}
        self._news: dict[str, asyncio.Event] = {}

    async def answer(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer one request of `/agentN/...`."""
        name = path.split("/", 2)[1]
        ledger = self._ledgers.setdefault(name, Ledger(run=f"run-{name}", boot="boot"))
        news = self._news.setdefault(name, asyncio.Event())
        if path.endswith("/command"):
            news.set()
            return self._command(ledger, body)
        return await self._session(ledger, body, news)

    def _command(self, ledger: Ledger, body: bytes) -> tuple[int, dict[str, str], bytes]:
        data = parse_json(body)
        data.pop("$TYPE")
        reply, actions = ledger.command(agent_wire.command_request.from_builtins(data), boot_time())
        for action in actions:
            if isinstance(action, Launch):
                ledger.launched(action.key, 1, Instant(1))
        assert not isinstance(reply, Refusal)
        return 200, {}, agent_wire.command_answer.to_json(reply)

    async def _session(
        self, ledger: Ledger, body: bytes, has_news: asyncio.Event
    ) -> tuple[int, dict[str, str], bytes]:
        request = agent_wire.session_request.from_json(body)
        news, _ = ledger.attend(request, boot_time())
        assert isinstance(news, News)
        if news.is_empty() and request.wait:
            # News come only with commands here. Looking for them each second would cost more than
            # all heartbeats, and make them late.
            has_news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(request.wait / 1000):
                    await has_news.wait()
            news = ledger.news(request)
        answer = SessionAnswer(
            run=ledger.run,
            ledger="ledger",
            stamp=ledger.stamp(boot_time()),
            executions=news.executions,
            events=tuple(
                Numbered(number=offer.number, event=offer.content)  # type: ignore[arg-type]
                for offer in news.offers
            ),
        )
        if agent_wire.is_heartbeat(answer):
            return 202, agent_wire.heartbeat_headers(answer), b""
        return 200, {}, agent_wire.session_answer.to_json(answer)


class PlainServer(asyncio.Protocol):
    """Just enough HTTP/1.1 for one client that we know."""

    def __init__(self, agents: PlayedAgents) -> None:
        self._agents = agents
        self._data = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Collect a request and answer it."""
        self._data += data
        head, separator, rest = self._data.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.split(b"\r\n")
        length = next(
            int(line.split(b":")[1]) for line in lines if line.lower().startswith(b"content-length")
        )
        if len(rest) >= length:
            self._data = rest[length:]
            path = lines[0].split(b" ")[1].decode()
            asyncio.get_running_loop().create_task(self._answer(path, rest[:length]))

    async def _answer(self, path: str, body: bytes) -> None:
        status, headers, content = await self._agents.answer(path, body)
        lines = [f"HTTP/1.1 {status} OK", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._transport.write("\r\n".join([*lines, "", ""]).encode() + content)


async def play_agents(ready: Connection) -> None:
    """Serve until the process is ended."""
    agents = PlayedAgents()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: PlainServer(agents), "0.0.0.0", 0, backlog=4096)
    ready.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def agents_process(ready: Connection) -> None:
    """Be one of the other processes."""
    _allow_many_files()
    asyncio.run(play_agents(ready))


# --- the engine ----------------------------------------------------------------------------------


class Counts:
    """What the engine's side sees."""

    def __init__(self) -> None:
        self.launched = 0
        self.refused: Counter[str] = Counter()
        """Starts that came to nothing while everybody connected at once, by reason."""
        self._changed = asyncio.Event()
        self.delayed = 0
        self.heartbeats = 0
        self.late = 0
        self._heard: dict[AgentUri, int] = {}

    async def report(self, reports: Sequence[Report]) -> None:
        """Count what is reported."""
        for report in reports:
            self.launched += isinstance(report, TaskLaunched)
            if isinstance(report, TaskNotLaunched):
                self.refused[report.text] += 1
            self._changed.set()
            if isinstance(report, AgentContact):
                self.delayed += report.status in {AgentStatus.DELAYED, AgentStatus.LOST}

    async def reached(self, count: int) -> None:
        """Wait until so many tasks are reported as running."""
        while self.launched + self.refused.total() < count:
            self._changed.clear()
            await self._changed.wait()

    def pulse(self, pulse: AgentPulse) -> None:
        """Count heartbeats and how late they are."""
        if pulse.heard_at is None or pulse.heard_at == self._heard.get(pulse.agent):
            return
        before = self._heard.get(pulse.agent)
        self._heard[pulse.agent] = pulse.heard_at
        self.heartbeats += 1
        if before is not None:
            allowed = pulse.period + min(2000, pulse.period // 5)
            self.late += pulse.heard_at - before > allowed


async def measure(count: int, period_s: float, seconds: float, ports: Sequence[int]) -> None:
    """Hold the sessions and print what they cost."""
    counts = Counts()

    async def output(*_: object) -> None:
        raise AssertionError("nothing writes here")

    driver = AgentDriver(
        engine_id="bench",
        epoch=Epoch(1),
        report=counts.report,
        output=output,
        output_offsets=lambda _: (0, 0),
        pulse=counts.pulse,
    )
    period, timeout = Duration(int(period_s * 1000)), Duration(int(period_s * 6000))
    # Over several addresses: one alone has too few ports for so many connections.
    addresses = [
        AgentUri(
            f"http://127.0.0.{1 + number % ADDRESSES}:{ports[number % len(ports)]}/agent{number}"
        )
        for number in range(count)
    ]
    keeps = [
        KeepAgent(agent=each, heartbeat_period=period, heartbeat_timeout=timeout)
        for each in addresses
    ]
    runs = [
        RunProcess(
            key=ExecutionKey(f"bench/{number}.1"),
            task=TaskId(number),
            agent=each,
            heartbeat_period=period,
            heartbeat_timeout=timeout,
            spec=ProcessSpec(job="/bench", script="true", environment={}),
        )
        for number, each in enumerate(addresses)
    ]
    task = asyncio.get_running_loop().create_task(driver.run())
    driver.demands(keeps, runs)
    with short_collections():  # as in the engine
        await _held(counts, count, period_s, seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _held(counts: Counts, count: int, period_s: float, seconds: float) -> None:
    """Wait until all have a task, then count for a while."""
    began, cpu = time.perf_counter(), time.process_time()
    await counts.reached(count)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"{count} agents have a task after {took:.1f} s, {cpu:.1f} s of CPU", flush=True)
    if counts.refused:
        print(f"without a task: {counts.refused.total()}, {counts.refused.most_common(1)}")
    await asyncio.sleep(period_s)
    counts.heartbeats = counts.late = counts.delayed = 0
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"CPU {100 * cpu / wall:.1f} % of a core, memory {memory:.0f} MiB")
    print(
        f"{counts.heartbeats / wall:.0f} heartbeats/s, {1e6 * cpu / counts.heartbeats:.0f} us each"
    )
    print(f"late {counts.late} of {counts.heartbeats}, delayed or lost {counts.delayed}")


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main() -> int:
    """Run the bench."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--period", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    chosen = parser.parse_args()
    _allow_many_files()
    context = multiprocessing.get_context("spawn")
    players = []
    ports = []
    for _ in range(0, chosen.agents, AGENTS_EACH):
        here, there = multiprocessing.Pipe()
        player = context.Process(target=agents_process, args=(there,), daemon=True)
        player.start()
        players.append(player)
        ports.append(here.recv())
    try:
        asyncio.run(measure(chosen.agents, chosen.period, chosen.seconds, ports))
    finally:
        for player in players:
            player.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
