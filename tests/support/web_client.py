"""A client of the JSON web service, and an engine with a little of everything to ask for."""

from collections.abc import Sequence
from typing import Any, Final

from engine.kernel.commands import AddOrder
from engine.kernel.definitions import Lock, OrderDefinition, Source
from engine.kernel.ids import ClassPath, LockPath, OrderId, OrderKey, chain_key
from engine.kernel.instants import Instant
from tests.support.http_engine import HttpEngine
from tests.support.world import agents_class, chain, node, shell_job

BASE: Final = "/jobscheduler/master/api"
SOURCE: Final = Source(file="a/first.job.xml", modified_at=Instant(1_000_000), xml="<job/>")


def engine() -> HttpEngine:
    return HttpEngine(
        agents_class("remote", "http://a:1", "http://b:1/prefix/"),
        shell_job("a/first", source=SOURCE, params={"x": "1"}),
        shell_job("second", process_class=ClassPath("/remote")),
        shell_job("alone", is_order_job=False, tasks=1),
        chain("a/b/walk", node("100", "a/first"), node("200", "second")),
        chain("other", node("1", "second"), distributed=True),
        Lock(path=LockPath("/a/lock")),
    )


def add(http: HttpEngine, order_id: str, path: str = "/a/b/walk", **changes: Any) -> None:
    at = changes.pop("at", None)
    key = OrderKey(chain_key(path), OrderId(order_id))
    http.engine.step(AddOrder(order=OrderDefinition(key=key, **changes), at=at))


async def got(http: HttpEngine, path: str, **query: str) -> Any:
    response = await http.get(f"{BASE}{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def message(http: HttpEngine, path: str, **query: str) -> str:
    return await message_with(400, http, path, **query)


async def message_with(status: int, http: HttpEngine, path: str, **query: str) -> str:
    response = await http.get(f"{BASE}{path}", params=query)
    assert response.status_code == status, response.text
    return str(response.json()["message"])


def paths(rows: Sequence[Any]) -> list[str]:
    return [row["path"] for row in rows]
