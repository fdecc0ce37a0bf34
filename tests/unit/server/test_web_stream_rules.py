"""Events of the JSON web service and questions to agents (xml-commands.md 10, agents.md 2.8)."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from engine.errors import AgentUnreachable
from engine.kernel.commands import ApplyDefinitions, BeginEpoch, JobAction, ModifyChain, ModifyJob
from engine.kernel.definitions import Lock
from engine.kernel.ids import AgentUri, Epoch, LockPath, chain_key, job_key
from engine.kernel.instants import Instant
from engine.server import web_events
from engine.server.engine_port import AgentView
from tests.support.http_engine import HttpEngine
from tests.support.web_client import BASE, add, engine, got, message, message_with

pytestmark = pytest.mark.anyio

LIMIT_S = 10.0

# --- agents --------------------------------------------------------------------------------------


@dataclass
class Views:
    """Agents that answer with what they were asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    is_away: bool = False

    async def get(self, agent: AgentUri, path: str) -> AgentView:
        if self.is_away:
            raise AgentUnreachable(f"{agent}: no connection", agent=agent)
        self.asked.append((agent, path))
        return AgentView(status=200, content_type="application/json", body=b'{"version":"1"}')


def with_views() -> tuple[HttpEngine, Views]:
    http, views = engine(), Views()
    object.__setattr__(http.context, "agent_views", views)
    return http, views


@pytest.mark.parametrize("written", ["http://a:1", "http%3A%2F%2Fa%3A1"])
async def test_questions_to_agents_are_passed_on(written: str) -> None:
    http, views = with_views()
    response = await http.get(f"{BASE}/agent/{written}/jobscheduler/agent/api/task/?x=1")
    assert (response.status_code, response.json()) == (200, {"version": "1"})
    assert views.asked == [("http://a:1", "/jobscheduler/agent/api/task/?x=1")]
    await http.get(f"{BASE}/agent/http://b:1/prefix/jobscheduler/agent/api")
    assert views.asked[-1] == ("http://b:1/prefix/", "/jobscheduler/agent/api")


async def test_only_known_agents_and_only_their_interface_are_reached() -> None:
    http, views = with_views()
    api = "/jobscheduler/agent/api"
    assert await message(http, f"/agent/http://stranger:1{api}")
    assert await message(http, f"/agent/http://a:11{api}")
    for path in ("/etc/passwd", "/", f"{api}x", f"{api}/%2e%2e/x"):
        assert await message_with(403, http, f"/agent/http://a:1{path}")
    response = await http.post(f"{BASE}/agent/http://a:1{api}/command", json={})
    assert response.status_code == 405
    assert views.asked == []


async def test_an_agent_that_does_not_answer_is_a_bad_gateway() -> None:
    http, views = with_views()
    views.is_away = True
    said = await message_with(502, http, "/agent/http://a:1/jobscheduler/agent/api")
    assert "no connection" in said
    without = await message_with(501, engine(), "/agent/http://a:1/jobscheduler/agent/api")
    assert "passes nothing on" in without


# --- 10: events ----------------------------------------------------------------------------------


async def soon(http: HttpEngine, path: str, **query: str) -> Any:
    """Return an answer that has something in it."""
    await http.engine.tell()
    async with asyncio.timeout(LIMIT_S):
        answer = await got(http, path, timeout="PT5M", **query)
    assert answer["TYPE"] != "Empty"
    return answer


async def test_a_limit_gives_the_oldest_and_a_negative_one_the_newest_first() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    for name in ("one", "two", "three"):
        add(http, name, suspended=True)
    await soon(http, "/order/a/b/walk,three", after=start, **{"return": "OrderAdded"})
    wanted = {"return": "OrderAdded"}
    first = await got(http, "/event", after=start, limit="2", **wanted)
    assert [each["key"] for each in first["eventSnapshots"]] == ["/a/b/walk,one", "/a/b/walk,two"]
    on = str(first["eventSnapshots"][-1]["eventId"])
    rest = await got(http, "/event", after=on, limit="2", **wanted)
    assert [each["key"] for each in rest["eventSnapshots"]] == ["/a/b/walk,three"]
    newest = await got(http, "/event", limit="-2", timeout="PT5M", **wanted)
    assert [each["key"] for each in newest["eventSnapshots"]] == [
        "/a/b/walk,three",
        "/a/b/walk,two",
    ]
    assert (await got(http, "/event", after=start, **wanted)) == (
        await got(http, "/event", after=start, **wanted)
    ), "reading is repeatable"


async def test_a_negative_limit_never_waits() -> None:
    async with asyncio.timeout(LIMIT_S):
        answer = await got(
            engine(), "/event", limit="-1", timeout="PT9M", **{"return": "OrderEvent"}
        )
    assert answer["TYPE"] == "Empty"


@pytest.mark.parametrize("text", ["soon", "PT", "1d", "-1"])
async def test_a_timeout_that_is_none_is_a_400(text: str) -> None:
    assert "is not a duration" in await message(engine(), "/event", after="0", timeout=text)


async def test_unknown_events_are_a_400() -> None:
    assert "is not known here" in await message(engine(), "/event", after="0", **{"return": "No"})


async def test_each_resource_tells_only_of_its_own_objects() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    add(http, "one")
    add(http, "two", path="/other")
    http.engine.step(ModifyChain(chain=chain_key("/other"), stopped=True))
    http.engine.step(ModifyJob(job=job_key("/alone"), action=JobAction.STOP))
    http.engine.step(ApplyDefinitions(defined=(Lock(path=LockPath("/a/new")),)))
    await soon(http, "/lock/a/new", after=start, **{"return": "FileBasedAdded"})

    async def keys(path: str, **query: str) -> set[str]:
        answer = await got(http, path, after=start, **{"return": "Event"}, **query)
        snapshots = answer.get("eventSnapshots", [])
        return {
            each["key"]["jobPath"] if isinstance(each["key"], dict) else each["key"]
            for each in snapshots
        }

    assert await keys("/order/a/") == {"/a/b/walk,one"}
    assert await keys("/order/a/b/walk,one") == {"/a/b/walk,one"}
    assert await keys("/order/a/b/WALK,one") == {"/a/b/walk,one"}
    assert await keys("/order/A/b/walk,one") == set()
    assert await keys("/jobChain/other") == {"/other", "/other,two"}
    assert await keys("/job/alone") == {"/alone"}
    assert await keys("/job/a/") == {"/a/first"}
    assert await keys("/processClass/") == set()
    assert await keys("/lock/") == {"Lock:/a/new"}
    assert await keys("/schedule/") == set()
    assert await keys("/fileBased/") == {"Lock:/a/new"}
    assert await keys("/fileBased/Lock:/a/new") == {"Lock:/a/new"}
    assert await keys("/task", taskId="1") == {"/a/b/walk,one"} - {"/a/b/walk,one"}


async def test_events_of_an_order_may_be_awaited_before_it_is_there() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    waiting = asyncio.create_task(
        got(
            http,
            "/order/a/b/walk,new",
            after=start,
            timeout="PT5M",
            **{"return": "OrderAdded"},
        )
    )
    async with asyncio.timeout(LIMIT_S):
        add(http, "old")
        add(http, "new")
        await http.engine.tell()
        answer = await waiting
    assert [each["key"] for each in answer["eventSnapshots"]] == ["/a/b/walk,new"]


async def test_the_engines_log_is_told() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    log = logging.getLogger("engine.test")
    log.warning("something %s", "odd")
    await asyncio.to_thread(log.error, "from a thread")
    answer = await soon(http, "/event", after=start, **{"return": "Logged"})
    told = [(each["level"], each["message"]) for each in answer["eventSnapshots"]]
    assert ("warning", "something odd") in told
    assert "key" not in answer["eventSnapshots"][0]


async def test_changed_statistics_are_awaited() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    wanted = {"return": "JocOrderStatisticsChanged"}
    empty = await got(http, "/order/a/", after=start, **wanted)
    assert empty["TYPE"] == "Empty"
    add(http, "elsewhere", path="/other", suspended=True)
    add(http, "one", suspended=True)
    answer = await soon(http, "/order/a/", after=start, **wanted)
    (told,) = answer["eventSnapshots"]
    assert told["TYPE"] == "JocOrderStatisticsChanged"
    assert (told["orderStatistics"]["total"], told["orderStatistics"]["suspended"]) == (1, 1)
    on = str(told["eventId"])
    assert (await got(http, "/order/a/", after=on, **wanted))["TYPE"] == "Empty"
    everywhere = await got(http, "/event", after=start, **wanted)
    assert everywhere["eventSnapshots"][0]["orderStatistics"]["total"] == 2


async def test_the_end_of_the_engine_is_told() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    waiting = asyncio.create_task(
        got(http, "/event", after=start, timeout="PT5M", **{"return": "SchedulerEvent"})
    )
    async with asyncio.timeout(LIMIT_S):
        await http.engine.stop()
        answer = await waiting
    assert [each["TYPE"] for each in answer["eventSnapshots"]] == ["SchedulerClosed"]


async def test_ids_grow_even_when_the_clock_is_set_back() -> None:
    http = engine()
    start = str((await got(http, "/"))["eventId"])
    add(http, "one", suspended=True)
    http.engine.time = Instant(http.engine.time - 3_600_000)
    add(http, "two", suspended=True)
    answer = await soon(http, "/order/a/b/walk,two", after=start, **{"return": "OrderEvent"})
    assert answer["eventSnapshots"][0]["eventId"] > int(start)


async def test_the_stream_begins_anew_with_the_engine() -> None:
    http = engine()
    add(http, "one", suspended=True)
    http.engine.time = Instant(http.engine.time + 10_000)
    http.engine.step(BeginEpoch(epoch=Epoch(2), engine_id="test"))
    former = str((http.engine.time - 10_000) * 1000 + 5)
    assert (await got(http, "/event", after=former))["TYPE"] == "Torn"
    begun = await got(http, "/event", after="0")
    names = [each["TYPE"] for each in begun["eventSnapshots"]]
    assert names[:2] == ["SchedulerInitiated", "SchedulerStateChanged"]
    assert "OrderAdded" not in names


async def test_the_past_that_is_not_read_is_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_events, "CATCH_UP_MAX", 2)
    http = engine()
    for number in range(5):
        add(http, f"o{number}", suspended=True)
    answer = await got(http, "/event", after="1")
    assert answer["TYPE"] == "Torn"
    assert (await got(http, "/event", after="0"))["TYPE"] == "NonEmpty"
    assert (await got(http, "/event", after=str(answer["eventId"])))["TYPE"] == "Empty"


async def test_a_journal_that_has_forgotten_tears_the_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    http = engine()
    add(http, "one", suspended=True)
    http.engine.oldest = http.engine.number
    monkeypatch.setattr(web_events, "CATCH_UP_MAX", 3)
    answer = await got(http, "/event", after="1")
    assert answer["TYPE"] == "Torn"
    start = str(answer["eventId"])
    add(http, "two", suspended=True)
    told = await soon(http, "/event", after=start, **{"return": "OrderEvent"})
    assert [each["key"] for each in told["eventSnapshots"]] == ["/a/b/walk,two"]
