"""How long large XML answers keep the engine's loop from anything else.

    PYTHONPATH=. python bench/xml_answers.py [--orders 10000]

Orders wait in one chain; its answers are asked for over HTTP inside one event loop, in which a
heartbeat wants to run every millisecond, as the engine's owner of the state would. The heartbeat's
largest delay is the figure that counts; 50 ms is the rule. On a busy host the clock shows what
other programs take besides: the delays of the same heartbeat without an answer tell how much. The
processor time is that of the loop's own thread.
"""

import argparse
import asyncio
import gc
from time import perf_counter, thread_time

from engine.kernel.commands import AddOrder, AfterDelay
from engine.kernel.definitions import (
    Chain,
    EndNode,
    Job,
    JobNode,
    OrderDefinition,
    ShellScript,
    Text,
)
from engine.kernel.ids import NodeState, job_key, order_key
from engine.kernel.instants import seconds
from tests.support.http_engine import COMMAND, HttpEngine

QUESTIONS = (
    '<show_job_chain job_chain="/chain"/>',
    '<show_job_chain job_chain="/chain" max_orders="10"/>',
    '<show_state what="job_chains,job_chain_orders"/>',
    '<show_state what="folders job_chains orders job_orders payload"/>',
    "<show_state/>",
)
ORDERS_MAX, ROUNDS = 1_000_000, 3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=10_000)
    asyncio.run(_measure(max(1, min(parser.parse_args().orders, ORDERS_MAX))))


async def _measure(orders: int) -> None:
    http = _engine(orders)
    gc.collect()
    calm = await _delays_while(asyncio.sleep(1.0))
    print(f"{orders} orders; heartbeat without an answer: largest delay {calm[1]}")
    for question in QUESTIONS:
        print(question)
        for _ in range(ROUNDS):
            begin = perf_counter()
            size, delay = await _delays_while(_ask(http, question))
            took = perf_counter() - begin
            print(f"  {size / 1e6:.1f} MB in {took:.2f} s; largest delay {delay}")


async def _ask(http: HttpEngine, question: str) -> int:
    headers = {"Content-Type": "application/xml"}
    response = await http.post(COMMAND, content=question, headers=headers, timeout=600)
    assert response.status_code == 200, response.text[:500]
    assert b"<ERROR" not in response.content, response.text[:500]
    return len(response.content)


async def _delays_while(work: object) -> tuple[int, str]:
    """Return the work's result and the heartbeat's largest delay in words."""
    assert asyncio.iscoroutine(work)
    delays: list[tuple[float, float]] = []

    async def beat() -> None:
        while True:
            due, used = perf_counter() + 0.001, thread_time()
            await asyncio.sleep(0.001)
            delays.append((perf_counter() - due, thread_time() - used))

    heart = asyncio.create_task(beat())
    await asyncio.sleep(0)
    result = await work
    await asyncio.sleep(0.01)
    heart.cancel()
    clock, processor = (max(column) * 1e3 for column in zip(*delays, strict=True))
    words = f"{clock:.1f} ms by the clock, {processor:.1f} ms of the loop's own work"
    return (result if isinstance(result, int) else 0), words


def _engine(orders: int) -> HttpEngine:
    node = JobNode(
        state=NodeState("1"), job=job_key("job"), job_path="/job", next_state=NodeState("end")
    )
    chain = Chain(path="/chain", nodes=(node, EndNode(state=NodeState("end"))))
    script = ShellScript(parts=(Text(text="true"),))
    http = HttpEngine(Job(path="/job", is_order_job=True, tasks=1, script=script), chain)
    for number in range(orders):
        definition = OrderDefinition(
            key=order_key("/chain", f"order-{number}"),
            title=f"Order {number}",
            params={"number": str(number)},
        )
        http.engine.step(AddOrder(order=definition, at=AfterDelay(delay=seconds(86_400))))
    return http


if __name__ == "__main__":
    main()
