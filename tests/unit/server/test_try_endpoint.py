"""What would come of a request, without carrying it out."""

from typing import Any

import pytest

from engine.codec.json_api import REQUESTS, PublicRequest
from engine.kernel.commands import (
    AddOrder,
    ModifyChain,
    ModifyNode,
    ModifyOrder,
    NodeAction,
    RemoveOrder,
    StartJob,
)
from engine.kernel.definitions import Lock as LockDefinition
from engine.kernel.definitions import LockUse, OrderDefinition
from engine.kernel.ids import LockPath, NodeState, OrderId, OrderKey, chain_key, job_key, order_key
from tests.support.http_engine import HttpEngine
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio

USES = (LockUse(lock=LockPath("/door")),)
WALK = (
    LockDefinition(path=LockPath("/door")),
    shell_job("a"),
    shell_job("b", locks=USES),
    chain("walk", node("1", "a"), node("2", "b")),
    chain("other", node("1", "b")),
)


def new_order(path: str, order_id: str = "", **changes: Any) -> AddOrder:
    key = OrderKey(chain_key(path), OrderId(order_id))
    return AddOrder(order=OrderDefinition(key=key, **changes), replace=False)


async def tried(http: HttpEngine, request: PublicRequest) -> dict[str, Any]:
    response = await http.post("/api/try", json=REQUESTS.to_builtins(request))
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def done(http: HttpEngine, request: PublicRequest) -> None:
    response = await http.post("/api/command", json=REQUESTS.to_builtins(request))
    assert response.status_code == 200, response.text


async def test_a_try_names_the_lock_with_its_holder_and_changes_nothing() -> None:
    http = HttpEngine(*WALK)
    await done(http, new_order("/other", "holder"))
    before = http.engine.number
    answer = await tried(http, new_order("/walk"))
    assert answer["refused"] is None
    assert answer["changes"]
    locks = [met for met in answer["met"] if met["reason"]["kind"] == "lock"]
    assert [met["node"] for met in locks] == ["2"]
    assert locks[0]["reason"]["holders"][0]["order"] == "holder"
    assert http.engine.number == before
    assert order_key("/walk", "1") not in http.engine.state.orders


async def test_a_try_refuses_in_the_engines_words() -> None:
    http = HttpEngine(*WALK)
    answer = await tried(http, RemoveOrder(order=order_key("/walk", "missing")))
    assert answer["refused"]["code"] == "SCHEDULER-162"
    assert not answer["changes"]
    answer = await tried(http, new_order("/nowhere"))
    assert answer["refused"] is not None


async def test_stopped_chains_and_nodes_are_met_in_order_of_the_way() -> None:
    http = HttpEngine(*WALK)
    walk = chain_key("/walk")
    await done(http, ModifyChain(chain=walk, stopped=True))
    await done(http, ModifyNode(chain=walk, state=NodeState("2"), action=NodeAction.STOP))
    answer = await tried(http, new_order("/walk"))
    assert [(met["node"], met["reason"]["kind"]) for met in answer["met"]] == [
        ("", "chain_stopped"),
        ("2", "node_stopped"),
    ]


async def test_a_moved_order_meets_what_lies_behind_its_new_node() -> None:
    http = HttpEngine(*WALK)
    await done(http, new_order("/other", "holder"))
    await done(http, new_order("/walk", "w", suspended=True))
    key = order_key("/walk", "w")
    answer = await tried(http, ModifyOrder(order=key, state=NodeState("2")))
    assert {met["node"] for met in answer["met"]} == {"2"}
    answer = await tried(http, ModifyOrder(order=key, suspended=True))
    assert (answer["refused"], answer["met"]) == (None, [])


async def test_a_job_meets_what_keeps_it_from_starting() -> None:
    http = HttpEngine(*WALK, shell_job("lonely", is_order_job=False, locks=USES))
    await done(http, new_order("/other", "holder"))
    answer = await tried(http, StartJob(job=job_key("/lonely")))
    assert [met["reason"]["kind"] for met in answer["met"]] == ["lock"]


async def test_the_reason_of_a_request_stands_in_the_journal() -> None:
    http = HttpEngine(*WALK)
    body = REQUESTS.to_builtins(new_order("/walk", "w"))
    query = {"reason": "  month end,\nsecond\x1b try "}
    response = await http.post("/api/command", json=body, params=query)
    assert response.status_code == 200
    assert http.engine.causes[-1].endswith(": month end, second try")
