"""How long large answers of the JSON web service keep the engine's loop from anything else.

    PYTHONPATH=. python bench/web_answers.py [--orders 100000]

Orders wait in ten chains; lists of them are asked for over HTTP inside one event loop, in which a
heartbeat wants to run all the time, as the engine's owner of the state would. Its largest delay is
the figure that counts; 50 ms is the rule. On a busy host the clock shows what other programs take
besides: the delay of the same heartbeat without an answer, and the processor time of the loop's own
thread between two beats, tell how much. The client is in the same loop, so answers are asked for
uncompressed: what unpacking costs it is not the engine's.
"""

import argparse
import asyncio
import gc
from collections.abc import Coroutine
from time import perf_counter, thread_time

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import OrderId, OrderKey, chain_key
from engine.kernel.step import step
from tests.support.http_engine import HttpEngine
from tests.support.world import chain, node, shell_job

BASE = "/jobscheduler/master/api"
QUESTIONS = (
    f"{BASE}/order/?return=OrderOverview",
    f"{BASE}/order/?return=OrderDetailed",
    f"{BASE}/order/?return=OrdersComplemented/OrderOverview",
    f"{BASE}/order/?return=OrderTreeComplemented/OrderDetailed",
    f"{BASE}/order/?return=JocOrderStatistics",
    f"{BASE}/order/?isSuspended=false",
    "/api/orders?limit=100000",
    "/api/overview",
)
CHAINS, ORDERS_MAX = 10, 1_000_000


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    asyncio.run(_measure(max(1, min(parser.parse_args().orders, ORDERS_MAX))))


async def _measure(orders: int) -> None:
    http = _engine(orders)
    await _ask(http, f"{BASE}/")  # the journal's past is read
    gc.collect()
    calm = (await _watched(asyncio.sleep(1.0, 0)))[1]
    print(f"{orders} orders; heartbeat without an answer: {calm}")
    for question in QUESTIONS:
        begin = perf_counter()
        size, delay = await _watched(_ask(http, question))
        took = perf_counter() - begin
        print(f"{question:62} {size / 1e6:6.1f} MB in {took:5.2f} s; {delay}")


def _engine(orders: int) -> HttpEngine:
    chains = [chain(f"chain{number}", node("1", "job")) for number in range(CHAINS)]
    http = HttpEngine(shell_job("job"), *chains)
    for number in range(orders):
        key = OrderKey(chain_key(f"/chain{number % CHAINS}"), OrderId(f"order{number}"))
        definition = OrderDefinition(key=key, suspended=True, params={"name": "value"})
        step(http.engine.state, AddOrder(order=definition), http.engine.time)
    return http


async def _ask(http: HttpEngine, question: str) -> int:
    headers = {"Accept-Encoding": "identity"}
    response = await http.get(question, headers=headers, timeout=600)
    assert response.status_code == 200, response.text[:500]
    return len(response.content)


async def _watched(work: Coroutine[object, object, int]) -> tuple[int, str]:
    """Return the work's result and the heartbeat's largest delay in words."""
    worst = used = 0.0

    async def beat() -> None:
        nonlocal worst, used
        while True:
            at, before = perf_counter(), thread_time()
            await asyncio.sleep(0)
            worst, used = max(worst, perf_counter() - at), max(used, thread_time() - before)

    beating = asyncio.create_task(beat())
    result = await work
    beating.cancel()
    return result, f"largest delay {worst * 1e3:.0f} ms, of it {used * 1e3:.0f} ms at work"


if __name__ == "__main__":
    main()
