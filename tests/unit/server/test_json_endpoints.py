"""JSON resources and requests."""

from pathlib import Path
from typing import Any

import pytest

from engine.codec.json_api import REQUESTS, PublicRequest
from engine.kernel.commands import (
    AddOrder,
    JobAction,
    ModifyJob,
    ModifyOrder,
    PauseEngine,
    RemoveChain,
    StartJob,
)
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import (
    AgentUri,
    HistoryId,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
    order_key,
)
from engine.kernel.instants import Instant, seconds
from engine.kernel.reports import AgentContact, AgentStatus
from engine.server.auth import Role, TokenFiles, Trust, token_line
from engine.server.engine_port import (
    AgentPulse,
    OrderHistoryEntry,
    OrderStepEntry,
    TaskHistoryEntry,
)
from engine.server.json_endpoints import role_for
from tests.support.fake_engine import NOW
from tests.support.http_engine import HttpEngine
from tests.support.world import agents_class, chain, node, shell_job

pytestmark = pytest.mark.anyio

WALK = (shell_job("work"), chain("walk", node("100", "work")))


def new_order(order_id: str = "", **changes: object) -> AddOrder:
    key = OrderKey(chain_key("/walk"), OrderId(order_id))
    return AddOrder(order=OrderDefinition(key=key, **changes))  # type: ignore[arg-type]  # by name


async def send(http: HttpEngine, request: PublicRequest) -> dict[str, Any]:
    response = await http.post("/api/command", json=REQUESTS.to_builtins(request))
    answer: dict[str, Any] = response.json()
    return answer


async def got(http: HttpEngine, path: str) -> dict[str, Any]:
    response = await http.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["cache-control"] == "no-store"
    answer: dict[str, Any] = response.json()
    return answer


async def test_a_request_is_answered_with_its_subject_and_event_number() -> None:
    http = HttpEngine(*WALK)
    answer = await send(http, new_order())
    assert answer == {"accepted": {"number": http.engine.number, "subject": "1"}}


async def test_a_refusal_is_a_conflict_with_code_and_text() -> None:
    http = HttpEngine(*WALK)
    response = await http.post(
        "/api/command",
        json={"kind": "RemoveOrder", "order": ["/walk", "missing"]},
    )
    assert response.status_code == 409
    assert response.json()["problem"]["code"] == "SCHEDULER-162"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "not JSON"),
        (b"{}", "kind"),
        (b'{"kind": "Tick"}', "kind"),
        (b'{"kind": "ApplyDefinitions"}', "kind"),
        (b'{"kind": "RemoveOrder", "order": 7}', "order"),
        (b'{"kind": "PauseEngine", "paused": true, "more": 1}', "more"),
    ],
)
async def test_what_is_no_request_is_told_where(body: bytes, text: str) -> None:
    response = await HttpEngine().post(
        "/api/command", content=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert text in response.json()["problem"]["text"]


async def test_forms_are_no_requests() -> None:
    response = await HttpEngine().post("/api/command", data={"kind": "PauseEngine"})
    assert response.status_code == 415


async def test_too_large_a_request_is_refused() -> None:
    response = await HttpEngine(request_bytes_max=10).post(
        "/api/command", content=b" " * 100, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 413


def test_removing_definitions_is_for_administrators() -> None:
    assert role_for(RemoveChain(chain=chain_key("/walk"))) is Role.ADMIN
    assert role_for(ModifyJob(job=job_key("/work"), action=JobAction.REMOVE)) is Role.ADMIN
    assert role_for(ModifyJob(job=job_key("/work"), action=JobAction.STOP)) is Role.OPERATOR


async def test_roles_bound_requests(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("read-only reader\noperator mover\n")
    http = HttpEngine(*WALK, trust=Trust.NOBODY, tokens=TokenFiles([file]))
    body = REQUESTS.to_builtins(PauseEngine(paused=True))
    removal = REQUESTS.to_builtins(RemoveChain(chain=chain_key("/walk")))

    async def status(token: str, content: object) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await http.post("/api/command", json=content, headers=headers)).status_code

    assert await status("reader", body) == 403
    assert await status("mover", body) == 200
    assert await status("mover", removal) == 403
    assert await status("nobody", body) == 401
    assert (await http.get("/api/overview")).status_code == 401
    reader = {"Authorization": "Bearer reader"}
    assert (await http.get("/api/overview", headers=reader)).status_code == 200


async def test_everybody_learns_their_own_name_and_role(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{token_line('secret', Role.OPERATOR, 'anna')}\n")
    http = HttpEngine(*WALK, trust=Trust.NOBODY, tokens=TokenFiles([file]))
    own = await http.get("/api/me", headers={"Authorization": "Bearer secret"})
    assert own.json() == {"name": "anna", "role": "operator"}
    assert (await http.get("/api/me")).status_code == 401
    owner = HttpEngine(*WALK, trust=Trust.OWNER)
    assert (await owner.get("/api/me")).json() == {"name": "local", "role": "admin"}


async def test_a_stopping_engine_takes_nothing() -> None:
    http = HttpEngine()
    await http.engine.stop()
    response = await http.post("/api/command", json={"kind": "PauseEngine", "paused": True})
    assert response.status_code == 503


async def test_the_snapshot_names_its_event() -> None:
    http = HttpEngine(*WALK)
    response = await http.get("/api/snapshot")
    assert response.content == b"snapshot"
    assert response.headers["x-event-number"] == str(http.engine.number)


async def test_orders_are_listed_by_chain_and_status() -> None:
    http = HttpEngine(*WALK, chain("other", node("1", "work")))
    await send(http, new_order("a", suspended=True, title="A"))
    await send(http, new_order("b", suspended=True))
    listed = await got(http, "/api/orders?chain=/WALK&status=suspended&limit=1")
    assert listed["total"] == 2
    assert [row["id"] for row in listed["orders"]] == ["a"]
    assert listed["orders"][0]["chain"] == "/walk"
    assert (await got(http, "/api/orders?chain=other"))["orders"] == []
    assert (await got(http, "/api/orders"))["total"] == 2
    assert (await http.get("/api/orders?chain=missing")).status_code == 404
    assert (await http.get("/api/orders?limit=0")).status_code == 400


async def test_one_order_is_shown_with_its_params() -> None:
    http = HttpEngine(*WALK)
    await send(http, new_order("a", params={"p": "1"}, suspended=True))
    row = await got(http, "/api/orders?chain=/walk&order=a")
    assert row["params"] == {"p": "1"}
    assert (await http.get("/api/orders?chain=/walk&order=b")).status_code == 404


async def test_the_status_of_an_order_is_one_word() -> None:
    http = HttpEngine(*WALK)
    await send(http, new_order("a"))

    async def status() -> str:
        row = await got(http, "/api/orders?chain=/walk&order=a")
        return str(row["status"])

    assert await status() == "starting"
    http.engine.launch()
    assert await status() == "running"
    await send(http, ModifyOrder(order=order_key("/walk", "a"), suspended=True))
    assert await status() == "running"


async def test_chains_jobs_and_tasks_are_listed() -> None:
    http = HttpEngine(*WALK)
    await send(http, new_order("a"))
    http.engine.launch(pid=77)
    (walk,) = (await got(http, "/api/chains"))["chains"]
    assert (walk["path"], walk["orders"], walk["orders_in_tasks"]) == ("/walk", 1, 1)
    assert walk["nodes"][0] == {
        "state": "100",
        "job": "/work",
        "action": "process",
        "orders": 1,
    }
    (work,) = (await got(http, "/api/jobs"))["jobs"]
    assert (work["path"], work["tasks_running"], work["next_start"]) == ("/work", 1, None)
    (task,) = (await got(http, "/api/tasks"))["tasks"]
    assert (task["id"], task["pid"], task["status"]) == (1, 77, "running")
    overview = await got(http, "/api/overview")
    assert (overview["orders"], overview["tasks_running"]) == (1, 1)
    assert overview["number"] == http.engine.number


async def test_queued_tasks_are_tasks() -> None:
    http = HttpEngine(shell_job("alone", is_order_job=False))
    await send(http, PauseEngine(paused=True))
    answer = await send(http, StartJob(job=job_key("/alone")))
    assert answer["accepted"]["subject"] == "1"
    (task,) = (await got(http, "/api/tasks"))["tasks"]
    assert task["status"] == "queued"


async def test_agents_show_their_last_sign_of_life() -> None:
    uri = AgentUri("http://a:1")
    http = HttpEngine(agents_class("remote", uri))
    http.engine.step(AgentContact(agent=uri, status=AgentStatus.COUPLED, run_id="r"))
    (row,) = (await got(http, "/api/agents"))["agents"]
    assert (row["uri"], row["status"]) == (uri, "coupled")
    http.engine.last_pulses[uri] = AgentPulse(
        agent=uri,
        status=AgentStatus.DELAYED,
        heard_at=NOW,
        heartbeat_period=seconds(10),
        heartbeat_timeout=seconds(60),
        tasks=3,
    )
    (row,) = (await got(http, "/api/agents"))["agents"]
    assert (row["status"], row["tasks"], row["heartbeat_period_ms"]) == ("delayed", 3, 10_000)


async def test_a_task_log_is_read_in_pieces() -> None:
    http = HttpEngine()
    http.engine.logs[1] = "0123456789"
    piece = await got(http, "/api/tasks/1/log?offset=2&limit=3")
    assert (piece["text"], piece["next_offset"], piece["complete"]) == ("234", 5, False)
    last = await got(http, "/api/tasks/1/log?offset=-3")
    assert (last["text"], last["complete"]) == ("789", True)
    assert (await http.get("/api/tasks/9/log")).status_code == 404
    assert (await http.get("/api/tasks/1/log?offset=x")).status_code == 400


async def test_histories_come_newest_first() -> None:
    http = HttpEngine()
    for number in (1, 2, 3):
        http.engine.tasks_past.append(
            TaskHistoryEntry(
                task=TaskId(number),
                job="/work",
                cause="order",
                agent="",
                started_at=Instant(1_000),
                ended_at=None,
                exit_code=None,
                error_code="",
                error_text="",
                steps=1,
                pid=None,
            )
        )
    rows = (await got(http, "/api/history/tasks?job=/work&limit=2"))["tasks"]
    assert [row["task"] for row in rows] == [3, 2]
    step = OrderStepEntry(
        step=1,
        task=TaskId(3),
        state="100",
        started_at=Instant(1_000),
        ended_at=Instant(2_000),
        error_code="",
        error_text="",
    )
    http.engine.orders_past.append(
        OrderHistoryEntry(
            history=HistoryId(1),
            chain="/walk",
            order="a",
            title="T",
            state="end",
            state_text="",
            started_at=Instant(1_000),
            ended_at=Instant(2_000),
            steps=(step,),
        )
    )
    (row,) = (await got(http, "/api/history/orders?chain=/walk&order=a"))["orders"]
    assert row["ended_at"] == "1970-01-01T00:00:02.000Z"
    assert row["steps"][0]["task"] == 3
    assert (await http.get("/api/history/tasks?ids=x")).status_code == 400


async def test_health_tells_whether_requests_are_taken() -> None:
    http = HttpEngine(trust=Trust.NOBODY)
    assert (await got(http, "/health/live"))["live"] is True
    assert (await got(http, "/health/ready"))["ready"] is True
    http.engine.obstacle = "the engine is starting"
    response = await http.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["reason"] == "the engine is starting"


async def test_metrics_are_computed_from_the_state() -> None:
    http = HttpEngine(*WALK)
    await send(http, new_order("a"))
    text = (await http.get("/metrics")).text
    assert 'pointsman_orders{chain="/walk",node="100"} 1.0' in text
    assert 'pointsman_tasks{status="starting"} 1.0' in text
    assert 'pointsman_process_class_used{process_class="/"} 1.0' in text
    assert 'pointsman_http_requests_total{outcome="2xx"} 1.0' in text
    assert f"pointsman_journal_event_number {float(http.engine.number)}" in text


async def test_folders_are_looked_at_and_the_engine_is_ended() -> None:
    http = HttpEngine()
    assert (await http.post("/api/check-folders")).status_code == 200
    assert http.engine.looked == 1
    assert (await http.post("/api/terminate", json={"timeout_s": 5})).status_code == 200
    assert (await http.post("/api/terminate", json={"timeout_s": "x"})).status_code == 400
    assert http.engine.terminated == [(seconds(5), False)]


async def test_unknown_paths_and_methods_are_told() -> None:
    http = HttpEngine()
    assert (await http.get("/api/nonsense")).status_code == 404
    response = await http.post("/api/orders")
    assert response.status_code == 405
    assert response.json()["problem"]["code"] == "405"
