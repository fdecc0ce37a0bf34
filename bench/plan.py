"""How long a plan takes, and how long it keeps the engine's loop from anything else.

    PYTHONPATH=. python bench/plan.py --orders 10000 --days 7

Orders with random run times (daily, some days a week, grids, repeats) stand in a state; the plan
is asked for over HTTP inside one event loop in which a heartbeat wants to run every millisecond, as
the engine's owner of the state would. Its largest delay is the figure that counts; on a
busy host the clock shows what other programs take, the processor time what the plan itself takes.
"""

import argparse
import asyncio
import gc
from collections.abc import Awaitable, Mapping, MutableMapping, Sequence
from datetime import date, timedelta
from random import Random
from time import perf_counter, process_time
from typing import Any, TypeVar, cast

from engine.codec.xml.facts import EngineFacts
from engine.kernel.calendar import DayPeriods, Period, RunTime
from engine.kernel.commands import ApplyDefinitions, BeginEpoch
from engine.kernel.daily_plan import PlanBasis
from engine.kernel.definitions import (
    Chain,
    EndNode,
    Job,
    JobNode,
    OrderDefinition,
    ShellScript,
    Source,
    Text,
)
from engine.kernel.ids import Epoch, JobKey, NodeState, OrderId, OrderKey, chain_key, job_key
from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.state import State
from engine.kernel.step import step
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.engine_port import EnginePort
from engine.server.serve import SCOPE_TRUST, Scope

T = TypeVar("T")
NOW = Instant(1_893_456_000_000)  # 2030-01-01
DAY_MS = 86_400_000


class Engine:
    """As much of an engine as the plan asks for."""

    def __init__(self, state: State) -> None:
        self.state = state

    def now(self) -> Instant:
        """Return the present time."""
        return NOW

    async def settled(self) -> None:
        """There is nothing under way."""

    async def usual_durations(
        self, subjects: Sequence[OrderKey | JobKey]
    ) -> Mapping[OrderKey | JobKey, Duration]:
        """Return a minute for everything."""
        return dict.fromkeys(subjects, seconds(60))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    state = _state(arguments.orders, arguments.seed)
    begin = perf_counter()
    basis = PlanBasis.of(state, NOW)
    print(
        f"{len(basis.orders)} scheduled orders; taken from the state in "
        f"{(perf_counter() - begin) * 1e3:.1f} ms"
    )
    asyncio.run(_measure(state, arguments.days))


async def _measure(state: State, days: int) -> None:
    gc.collect()
    idle = await _with_heartbeat(asyncio.sleep(1.0))
    print(f"heartbeat without a plan: largest delay {idle[0]}")
    context = ServerContext(
        port=cast("EnginePort", Engine(state)),
        gate=Gate(TokenFiles(()), ()),
        facts=EngineFacts(version="bench"),
    )
    for _ in range(2):
        delay, took, (size, count) = await _with_heartbeat(_ask(context, days))
        print(
            f"plan of {days} days: {count} starts, {size / 1e6:.1f} MB in {took:.2f} s of work "
            f"({took / max(count, 1) * 1e6:.0f} us each); largest delay {delay}"
        )


async def _with_heartbeat(work: Awaitable[T]) -> tuple[str, float, T]:
    """Return the heartbeat's largest delay in words, the processor time of the work, its result."""
    delays: list[tuple[float, float]] = []

    async def beat() -> None:
        while True:
            due, used = perf_counter() + 0.001, process_time()
            await asyncio.sleep(0.001)
            delays.append((perf_counter() - due, process_time() - used))

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    begin = process_time()
    result = await work
    took = process_time() - begin
    heart.cancel()
    clock, processor = (max(column) * 1e3 for column in zip(*delays, strict=True))
    words = f"{clock:.1f} ms by the clock, {processor:.1f} ms of this process's own work"
    return words, took, result


async def _ask(context: ServerContext, days: int) -> tuple[int, int]:
    program = application(context)
    query = f"from=2030-01-01&to={_day(days)}&limit=1000000".encode()
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/plan",
        "raw_path": b"/api/plan",
        "query_string": query,
        "headers": [(b"host", b"localhost")],
        "client": None,
        "server": None,
        SCOPE_TRUST: Trust.OWNER,
    }
    size, tail = 0, b""
    status = 0

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal size, tail, status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            size += len(message["body"])
            tail = (tail + message["body"])[-60:]

    await program(scope, receive, send)
    assert status == 200, tail
    count = int(tail.split(b'"count":')[-1].split(b",")[0])
    return size, count


def _day(days: int) -> str:
    return (date(2030, 1, 1) + timedelta(days=days)).isoformat()


def _state(orders: int, seed: int) -> State:
    rng = Random(seed)
    state = State()
    step(state, BeginEpoch(epoch=Epoch(1), engine_id="bench", time_zone="Europe/Berlin"), NOW)
    node = JobNode(
        state=NodeState("1"),
        job=job_key("job"),
        job_path="/job",
        next_state=NodeState("end"),
        error_state=NodeState("end"),
    )
    definitions = [
        OrderDefinition(
            key=OrderKey(chain_key("chain"), OrderId(f"order-{number}")),
            title=f"Scheduled order {number}",
            run_time=_run_time(rng),
            source=Source(file=f"chain,order-{number}.order.xml", modified_at=NOW),
        )
        for number in range(orders)
    ]
    chain = Chain(path="/chain", nodes=(node, EndNode(state=NodeState("end"))))
    script = ShellScript(parts=(Text(text="true"),))
    job = Job(path="/job", is_order_job=True, tasks=1, script=script)
    step(state, ApplyDefinitions(defined=(job, chain, *definitions)), NOW)
    return state


def _run_time(rng: Random) -> RunTime:
    at = rng.randrange(86_400)
    match rng.randrange(10):
        case 0:
            return RunTime(periods=(Period(begin=6 * 3600, end=20 * 3600, repeat=seconds(3600)),))
        case 1:
            return RunTime(periods=(Period(begin=at // 2, absolute_repeat=seconds(4 * 3600)),))
        case 2 | 3:
            days = DayPeriods(days=(1, 3, 5), periods=(Period(single_start=at),))
            return RunTime(weekdays=(days,))
        case 4:
            return RunTime(
                monthdays=(DayPeriods(days=(1, 15), periods=(Period(single_start=at),)),),
                time_zone="America/New_York",
            )
        case _:
            return RunTime(periods=(Period(single_start=at),))


if __name__ == "__main__":
    main()
