"""What something waits for, over HTTP."""

import pytest

from tests.support.http_engine import HttpEngine
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio

WALK = (shell_job("work"), chain("walk", node("100", "work")))


async def added(http: HttpEngine, order: str, suspended: str = "no") -> None:
    answer = await http.xml(f'<add_order job_chain="/walk" id="{order}" suspended="{suspended}"/>')
    assert answer.find(".//ERROR") is None


async def test_the_first_reason_says_who_has_what_an_order_waits_for() -> None:
    http = HttpEngine(*WALK)
    await added(http, "first")
    await added(http, "second")
    answer = (await http.get("/api/why", params={"chain": "/walk", "order": "second"})).json()
    reason = answer["reasons"][0]
    assert (reason["kind"], reason["used"], reason["limit"]) == ("job_busy", 1, 1)
    assert reason["holders"] == [{"task": 1, "chain": "/walk", "order": "first"}]
    assert reason["sentence"] == "the job /work (1 of 1), held by order first"


async def test_jobs_and_tasks_can_be_asked_about() -> None:
    http = HttpEngine(*WALK)
    await added(http, "first")
    job = (await http.get("/api/why", params={"job": "/Work"})).json()
    assert job["subject"] == "/work"
    assert job["reasons"][0]["kind"] == "job_busy"
    task = (await http.get("/api/why", params={"task": "1"})).json()
    assert task["reasons"][0]["kind"] == "start"


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"chain": "/walk", "order": "nobody"}, 404),
        ({"task": "99"}, 404),
        ({"job": "/nobody"}, 404),
        ({}, 400),
    ],
)
async def test_what_does_not_exist_is_said_so(query: dict[str, str], status: int) -> None:
    response = await HttpEngine(*WALK).get("/api/why", params=query)
    assert response.status_code == status
