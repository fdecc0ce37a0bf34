"""Super chains: their orders are in the chains that they join, and shown in both."""
# ruff: noqa: RUF001  # the signs of the screen

from typing import Any

import pytest

from engine.kernel.definitions import Chain, EndNode, NestedNode, OrderDefinition
from engine.kernel.events.definitions import ChainDefined
from engine.kernel.events.orders import OrderAdded
from engine.kernel.ids import NodeState, chain_key, order_key
from engine.kernel.instants import Instant

pytestmark = pytest.mark.anyio

ARCHIVE = "/nightly/archive"


def join(d: Any) -> None:
    """Let a super chain begin with the archive, and place an order in it."""
    inner = chain_key(ARCHIVE)
    node = NestedNode(
        state=NodeState("first"),
        chain=inner,
        chain_path=ARCHIVE,
        next_state=NodeState("over"),
        error_state=NodeState("over"),
    )
    joined = Chain(path="/month", nodes=(node, EndNode(state=NodeState("over"))))
    d.engine.play(
        ChainDefined(chain=joined),
        OrderAdded(
            definition=OrderDefinition(key=order_key("/month", "close")),
            state=NodeState("pack"),
            initial_state=NodeState("first"),
            start_at=Instant(d.engine.time + 60_000),
            at=d.engine.time,
            inner_chain=inner,
            outer_state=NodeState("first"),
        ),
    )


async def test_a_super_chain_counts_and_lists_the_orders_of_its_inner_chains(desk: Any) -> None:
    async with desk("chains") as d:
        join(d)
        await d.shows("month")
        await d.until(
            lambda: any("month" in row and " 1 " in row for row in d.lines()), "an order of month"
        )
        await d.command("orders")
        await d.shows("close")
        await d.command("chain /month")
        await d.shows("1 planned", "close", "1 order")


async def test_enter_on_its_node_goes_into_the_inner_chain_and_escape_comes_out(desk: Any) -> None:
    async with desk("chain /month") as d:
        join(d)
        await d.shows("first", "close")
        await d.keys("enter")
        await d.shows("chains › archive", "pack")
        await d.keys("escape")
        await d.shows("chains › month", "first")


async def test_a_chain_is_found_by_its_name_alone(desk: Any) -> None:
    async with desk("chains") as d:
        await d.shows("archive")
        await d.command("chain Archive")
        await d.shows("chains › archive › graph", "pack")
        await d.command("chain nowhere")
        await d.shows("there is no such chain")
