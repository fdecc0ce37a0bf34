"""The plan over HTTP, and that it keeps nobody waiting."""

import asyncio
import gc
import time
from itertools import pairwise
from typing import Any

import pytest

from engine.kernel.calendar import Period, RunTime
from engine.kernel.commands import AddOrder, ApplyDefinitions
from engine.kernel.definitions import MainConfiguration, OrderDefinition
from engine.kernel.ids import OrderId, OrderKey, chain_key
from engine.kernel.instants import seconds
from engine.server import plan_endpoint
from engine.server.auth import Trust
from tests.support.http_engine import HttpEngine
from tests.support.timetable import moment
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio

DAILY = RunTime(periods=(Period(single_start=36_000),))


def engine(orders: int = 1, run_time: RunTime = DAILY) -> HttpEngine:
    http = HttpEngine(shell_job("work"), chain("walk", node("100", "work")))
    http.engine.time = moment("2030-01-01 08:00")
    for number in range(orders):
        key = OrderKey(chain_key("walk"), OrderId(f"x{number}"))
        http.engine.step(AddOrder(order=OrderDefinition(key=key, run_time=run_time)))
    return http


async def got(http: HttpEngine, query: str = "") -> dict[str, Any]:
    response = await http.get(f"/api/plan{query}")
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_it_lists_today_unless_told_otherwise() -> None:
    http = engine()
    http.engine.durations = {OrderKey(chain_key("walk"), OrderId("x0")): seconds(90)}
    answer = await got(http)
    assert answer["from"] == "2030-01-01T00:00:00.000Z"
    assert answer["to"] == "2030-01-02T00:00:00.000Z"
    assert answer["complete"] is True
    assert answer["entries"] == [
        {
            "at": "2030-01-01T10:00:00.000Z",
            "status": "planned",
            "kind": "single_start",
            "path": "/walk",
            "order": "x0",
            "title": "",
            "task": None,
            "schedule": None,
            "duration_ms": 90_000,
            "end": "2030-01-01T10:01:30.000Z",
            "count": 1,
        }
    ]


async def test_local_times_are_those_of_the_engine() -> None:
    http = engine()
    main = MainConfiguration(time_zone="Europe/Berlin")
    http.engine.step(ApplyDefinitions(main=main))
    answer = await got(http, "?from=2030-07-01T10:00&to=2030-07-03T09:00Z")
    assert answer["time_zone"] == "Europe/Berlin"
    assert [entry["at"] for entry in answer["entries"]] == [
        "2030-07-01T08:00:00.000Z",
        "2030-07-02T08:00:00.000Z",
        "2030-07-03T08:00:00.000Z",
    ]


async def test_nothing_planned_is_an_empty_list() -> None:
    answer = await got(engine(0))
    assert (answer["entries"], answer["count"], answer["complete"]) == ([], 0, True)


async def test_a_limit_ends_the_list_and_says_so() -> None:
    answer = await got(engine(5), "?limit=3")
    assert (len(answer["entries"]), answer["count"], answer["complete"]) == (3, 3, False)


@pytest.mark.parametrize(
    "query",
    [
        "?from=yesterday",
        "?from=9999-12-31",
        "?from=2030-01-02&to=2030-01-01",
        "?from=2030-01-01&to=2032-01-01",
        "?limit=0",
        "?limit=-1",
        "?limit=2000000",
    ],
)
async def test_what_makes_no_sense_is_refused(query: str) -> None:
    response = await engine().get(f"/api/plan{query}")
    assert response.status_code == 400
    assert response.json()["problem"]["text"]


async def test_nobody_sees_it_without_a_token() -> None:
    http = engine()
    response = await HttpEngine(trust=Trust.NOBODY).get("/api/plan")
    assert response.status_code == 401
    assert http.engine.state.orders


async def test_a_plan_that_takes_too_long_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_endpoint, "WORK_MAX_S", 0.0)
    answer = await got(engine(200), "?to=2030-12-31")
    assert answer["complete"] is False
    assert answer["count"] == len(answer["entries"]) < 200 * 364


async def test_others_get_their_turn_while_a_long_plan_is_made() -> None:
    turns: list[float] = []

    async def others() -> None:
        while True:
            turns.append(time.process_time())
            await asyncio.sleep(0)

    http = engine(300)
    worker = asyncio.create_task(others())
    thresholds = gc.get_threshold()
    answer = await got(http, "?to=2030-04-01")
    worker.cancel()
    assert answer["count"] == 300 * 90
    longest = max(later - earlier for earlier, later in pairwise(turns))
    assert len(turns) > 20
    assert longest < 0.5  # the bench measures it to the millisecond
    assert gc.get_threshold() == thresholds
