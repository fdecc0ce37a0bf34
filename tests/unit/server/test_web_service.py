"""The JSON web service of JobScheduler 1.11: paths, shapes, events, files."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from engine.codec.web_query import path_query
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    JobAction,
    ModifyChain,
    ModifyJob,
    ModifyNode,
    NodeAction,
    StartJob,
)
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import ClassPath, NodeState, OrderId, OrderKey, chain_key, job_key
from engine.kernel.instants import seconds
from engine.server import web_events
from engine.server.auth import Trust
from tests.support.http_engine import HttpEngine
from tests.support.world import agents_class, chain, node, shell_job

pytestmark = pytest.mark.anyio

BASE = "/jobscheduler/master/api"
LIMIT_S = 10.0


def engine() -> HttpEngine:
    return HttpEngine(
        agents_class("remote", "http://a:1", "http://b:1"),
        shell_job("a/first", title="First"),
        shell_job("second", process_class=ClassPath("/remote")),
        chain("a/walk", node("100", "a/first"), node("200", "second")),
        chain("other", node("1", "second")),
    )


def add(http: HttpEngine, order_id: str, path: str = "/a/walk", **changes: Any) -> None:
    at = changes.pop("at", None)
    key = OrderKey(chain_key(path), OrderId(order_id))
    http.engine.step(AddOrder(order=OrderDefinition(key=key, **changes), at=at))


async def got(http: HttpEngine, path: str, **query: str) -> Any:
    response = await http.get(f"{BASE}{path}", params=query)
    assert response.status_code == 200, response.text
    answer = response.json()
    assert answer["eventId"] > 0
    return answer


@pytest.mark.parametrize(
    ("pattern", "selected"),
    [
        ("/", ["/x", "/f/y", "/f/g/z"]),
        ("", ["/x", "/f/y", "/f/g/z"]),
        ("/f/", ["/f/y", "/f/g/z"]),
        ("/f/*", ["/f/y"]),
        ("/*", ["/x"]),
        ("/f/Y", ["/f/y"]),
        ("/F/y", []),
        ("/x|/f/g/", ["/x", "/f/g/z"]),
    ],
)
def test_paths_select_folders_and_objects(pattern: str, selected: list[str]) -> None:
    query = path_query(pattern)
    assert [path for path in ("/x", "/f/y", "/f/g/z") if query.selects(path)] == selected


async def test_the_overview_tells_what_engine_this_is() -> None:
    answer = await got(engine(), "/")
    assert (answer["version"], answer["pid"], answer["state"]) == ("1.2.3", 4711, "running")


async def test_orders_are_listed_with_their_processing_state() -> None:
    http = engine()
    add(http, "now")
    add(http, "later", at=AfterDelay(delay=seconds(60)))
    add(http, "held", suspended=True)
    orders = {row["path"]: row for row in (await got(http, "/order/"))["orders"]}
    assert orders["/a/walk,now"]["orderProcessingState"] == {
        "TYPE": "WaitingInTask",
        "taskId": "1",
        "processClassPath": "/",
    }
    assert orders["/a/walk,later"]["orderProcessingState"] == {
        "TYPE": "Planned",
        "at": "2023-11-14T22:14:20.000Z",
    }
    assert orders["/a/walk,held"]["obstacles"] == [{"TYPE": "Suspended"}]
    assert "startedAt" not in orders["/a/walk,held"]
    http.engine.launch(pid=7)
    order = await got(http, "/order/a/walk,now")
    assert order["orderProcessingState"]["TYPE"] == "InTaskProcess"


async def test_orders_are_chosen_by_path_and_properties() -> None:
    http = engine()
    add(http, "one", suspended=True)
    add(http, "two", path="/other", suspended=True)
    add(http, "three", path="/other", at=AfterDelay(delay=seconds(60)))

    async def ids(path: str = "/order/", **query: str) -> list[str]:
        rows = (await got(http, path, **query))["orders"]
        return [row["path"].partition(",")[2] for row in rows]

    assert await ids() == ["one", "two", "three"]
    assert await ids("/order/a/") == ["one"]
    assert await ids("/order/other") == ["two", "three"]
    assert await ids(isSuspended="true") == ["one", "two"]
    assert await ids(orderIds="two,three", isSuspended="false") == ["three"]
    assert await ids(isOrderProcessingState="Planned") == ["three"]
    assert await ids(jobPaths="/second") == ["two", "three"]
    assert await ids(nodeIds="100") == ["one"]
    assert await ids(isOrderSourceType="Permanent") == []
    assert await ids(notInTaskLimitPerNode="1") == ["one", "two"]
    response = await http.post(f"{BASE}/order", json={"path": "/other", "orderIds": ["two"]})
    assert [row["path"] for row in response.json()["orders"]] == ["/other,two"]


async def test_other_representations_of_orders() -> None:
    http = engine()
    add(http, "one", title="T", params={"p": "1"}, suspended=True)
    detailed = await got(http, "/order/a/walk,one", **{"return": "OrderDetailed"})
    assert (detailed["title"], detailed["variables"]) == ("T", {"p": "1"})
    complemented = await got(http, "/order/", **{"return": "OrdersComplemented/OrderOverview"})
    assert [row["path"] for row in complemented["usedJobs"]] == ["/a/first"]
    assert complemented["usedNodes"][0]["nodeId"] == "100"
    tree = await got(http, "/order/", **{"return": "OrderTreeComplemented/OrderOverview"})
    assert tree["orderTree"]["subfolders"][0]["leafs"][0]["path"] == "/a/walk,one"
    statistics = await got(http, "/order/", **{"return": "JocOrderStatistics"})
    assert (statistics["total"], statistics["suspended"]) == (1, 1)


async def test_what_is_not_there_is_a_400_with_one_blank() -> None:
    http = engine()
    for path, kind in (
        ("/jobChain/missing", "JobChain"),
        ("/job/missing", "Job"),
        ("/processClass/missing", "ProcessClass"),
    ):
        response = await http.get(f"{BASE}{path}")
        assert response.status_code == 400
        message = response.json()["message"]
        assert message.startswith(f"SCHEDULER-161 There is no {kind} ")
    assert (await http.get(f"{BASE}/order/a/walk,missing")).status_code == 400
    assert (await http.get(f"{BASE}/order/", params={"return": "Nonsense"})).status_code == 400
    assert (await http.get(f"{BASE}/nonsense")).status_code == 404


async def test_chains_have_nodes() -> None:
    http = engine()
    add(http, "one", suspended=True)
    http.engine.step(ModifyChain(chain=chain_key("/a/walk"), stopped=True))
    http.engine.step(
        ModifyNode(chain=chain_key("/a/walk"), state=NodeState("200"), action=NodeAction.NEXT_STATE)
    )
    listed = (await got(http, "/jobChain/"))["elements"]
    assert [row["path"] for row in listed] == ["/a/walk", "/other"]
    assert listed[0]["obstacles"] == [{"TYPE": "Stopped"}]
    assert (listed[0]["nonBlacklistedOrderCount"], listed[0]["jobOrJobChainNodeCount"]) == (1, 2)
    detailed = await got(http, "/jobChain/a/walk", **{"return": "JobChainDetailed"})
    assert [node["TYPE"] for node in detailed["nodes"]] == ["Job", "Job", "End", "End"]
    one = await got(http, "/jobChain/a/walk", nodeId="200")
    assert (one["action"], one["jobPath"]) == ("next_state", "/second")


async def test_jobs_have_obstacles_and_tasks() -> None:
    http = engine()
    http.engine.step(ModifyJob(job=job_key("/second"), action=JobAction.STOP))
    listed = (await got(http, "/job/*"))["elements"]
    second = next(row for row in listed if row["path"] == "/second")
    assert (second["state"], second["obstacles"]) == ("stopped", [{"TYPE": "Stopped"}])
    assert (await got(http, "/job/", state="stopped"))["elements"] == [second]
    add(http, "one")
    http.engine.step(StartJob(job=job_key("/a/first"), at=AfterDelay(delay=seconds(60))))
    detailed = await got(http, "/job/a/first", **{"return": "JobDetailed"})
    assert detailed["runningTasks"][0]["order"]["orderId"] == "one"
    assert detailed["queuedTasks"][0]["taskId"] == "2"
    task = await got(http, "/task", taskId="1")
    assert (task["jobPath"], task["state"]) == ("/a/first", "starting")
    assert (await http.get(f"{BASE}/task", params={"taskId": "9"})).status_code == 400
    assert (await got(http, "/job/a/first", **{"return": "History"}))["elements"] == []


async def test_process_classes_agents_and_files_are_listed() -> None:
    http = engine()
    detailed = await got(http, "/processClass/remote", **{"return": "ProcessClassDetailed"})
    assert (detailed["selectionMethod"], detailed["agents"]) == (
        "RoundRobin",
        ["http://a:1", "http://b:1"],
    )
    assert (await got(http, "/agent/"))["elements"] == ["http://a:1", "http://b:1"]
    files = (await got(http, "/fileBased/a/"))["elements"]
    assert [row["path"] for row in files] == ["Job:/a/first", "JobChain:/a/walk"]
    assert (await got(http, "/lock/"))["elements"] == []


async def test_events_are_read_from_where_the_client_is() -> None:
    http = engine()
    start = (await got(http, "/"))["eventId"]
    empty = await got(http, "/event", after=str(start))
    assert (empty["TYPE"], empty["lastEventId"]) == ("Empty", start)
    add(http, "one")
    http.engine.launch()
    http.engine.end()
    await http.engine.tell()
    async with asyncio.timeout(LIMIT_S):
        answer = await got(http, "/event", after=str(start), timeout="5")
    assert answer["TYPE"] == "NonEmpty"
    names = [each["TYPE"] for each in answer["eventSnapshots"]]
    assert names[:3] == ["OrderAdded", "OrderStarted", "TaskStarted"]
    ids = [each["eventId"] for each in answer["eventSnapshots"]]
    assert ids == sorted(set(ids))
    orders = await got(
        http, "/order/a/walk,one", after=str(start), **{"return": "OrderAdded,OrderNodeChanged"}
    )
    assert [each["TYPE"] for each in orders["eventSnapshots"]] == ["OrderAdded", "OrderNodeChanged"]
    newest = await got(http, "/event", limit="-1")
    assert newest["eventSnapshots"][0]["eventId"] == ids[-1]
    grouped = await got(http, "/event", after=str(start), **{"return": "TaskEvent"})
    assert {each["TYPE"] for each in grouped["eventSnapshots"]} == {
        "TaskStarted",
        "TaskEnded",
        "TaskClosed",
    }
    assert (await http.get(f"{BASE}/event")).status_code == 400
    assert (await http.get(f"{BASE}/event", params={"limit": "0"})).status_code == 400


async def test_a_waiting_client_is_woken_by_an_event() -> None:
    http = engine()
    start = (await got(http, "/"))["eventId"]
    waiting = asyncio.create_task(
        got(http, "/event", after=str(start), timeout="PT1M", **{"return": "CustomEvent"})
    )
    command = '{"TYPE":"VariablesCustomEvent","key":"K","variables":{"a":"b"}}'
    async with asyncio.timeout(LIMIT_S):
        await http.xml(f"<publish_event>{command}</publish_event>")
        answer = await waiting
    (told,) = answer["eventSnapshots"]
    assert (told["key"], told["variables"]) == ("K", {"a": "b"})


async def test_a_client_that_is_too_far_behind_is_torn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_events, "KEPT_MAX", 3)
    http = engine()
    start = (await got(http, "/"))["eventId"]
    for number in range(5):
        add(http, f"o{number}", suspended=True)
    await http.engine.tell()
    async with asyncio.timeout(LIMIT_S):
        while (answer := await got(http, "/event", after=str(start - 10)))["TYPE"] != "Torn":
            await http.engine.tell()
    assert "eventSnapshots" not in answer


# --- files of the live folder --------------------------------------------------------------------


def with_folder(tmp_path: Path) -> HttpEngine:
    return HttpEngine(live_folder=str(tmp_path))


async def test_files_are_written_read_and_removed(tmp_path: Path) -> None:
    http = with_folder(tmp_path)
    url = f"{BASE}/live/folder/a.job.xml"
    assert (await http.send("PUT", url, content=b"<job/>")).status_code == 201
    assert (await http.send("PUT", url, content=b"<job />")).status_code == 200
    assert (tmp_path / "folder" / "a.job.xml").read_bytes() == b"<job />"
    assert (await http.get(url)).content == b"<job />"
    assert (await http.get(f"{BASE}/live/")).json() == ["folder/"]
    assert (await http.get(f"{BASE}/live/folder/")).json() == ["a.job.xml"]
    assert http.engine.looked == 2
    assert (await http.send("DELETE", url)).status_code == 200
    assert (await http.send("DELETE", url)).status_code == 404
    assert (await http.send("DELETE", f"{BASE}/live/folder/")).status_code == 200
    assert (await http.get(f"{BASE}/live/")).json() == []


async def test_folders_are_made(tmp_path: Path) -> None:
    http = with_folder(tmp_path)
    assert (await http.send("PUT", f"{BASE}/live/new/")).status_code == 201
    assert (await http.send("PUT", f"{BASE}/live/new/")).status_code == 200
    assert (await http.send("PUT", f"{BASE}/live/new/", content=b"x")).status_code == 400
    (tmp_path / "file").write_text("x")
    assert (await http.send("PUT", f"{BASE}/live/file/")).status_code == 409


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "", 400),
        ("GET", "/missing", 404),
        ("GET", "/missing/", 404),
        ("GET", "/file/", 400),
        ("DELETE", "/folder", 400),
        ("DELETE", "/file/", 400),
        ("DELETE", "/", 403),
        ("GET", "//x", 403),
        ("GET", "/a/%2e%2e/b", 403),
        ("GET", "/a%5Cb", 403),
        ("PUT", "/x%00y", 403),
    ],
)
async def test_odd_paths_are_refused(tmp_path: Path, method: str, path: str, status: int) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    response = await with_folder(tmp_path).send(method, f"{BASE}/live{path}")
    assert response.status_code == status


# --- classic pages -------------------------------------------------------------------------------


async def test_logs_are_shown_as_pages(tmp_path: Path) -> None:
    http = engine()
    http.engine.logs[1] = "<b>output</b>"
    page = (await http.get("/show_log?task=1")).text
    assert "&lt;b&gt;output&lt;/b&gt;" in page
    assert (await http.get("/show_log?task=9")).status_code == 404
    assert (await http.get("/show_log?job=missing")).status_code == 404
    assert (await http.get("/jobscheduler/engine-cpp/show_log")).status_code == 200
    assert "log of run 7" in (await http.get("/show_log?order=x&job_chain=y&history_id=7")).text


async def test_the_log_of_the_engine_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "engine.log"
    file.write_text("a line & more\n")
    http = HttpEngine(log_file=str(file))
    assert (await http.get(f"{BASE}/scheduler?return=log")).text == "a line & more\n"
    assert "a line &amp; more" in (await http.get("/show_log")).text
    assert (await got(http, "/scheduler"))["state"] == "running"


async def test_descriptions_are_html_or_text() -> None:
    http = HttpEngine(shell_job("told", description="<p>hello</p>"), shell_job("mute"))
    page = await http.get("/job_description?job=/told", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert page.text == "<p>hello</p>"
    plain = await http.get("/job_description?job=/told", headers={"Accept": "*/*"})
    assert plain.headers["content-type"].startswith("text/plain")
    assert (await http.get("/job_description?job=/mute")).status_code == 404


async def test_the_web_service_wants_a_token_like_everything_else() -> None:
    http = HttpEngine(trust=Trust.NOBODY)
    for path in ("/", "/order/", "/event", "/live/", "/agent/"):
        assert (await http.get(f"{BASE}{path}")).status_code == 401
    assert (await http.get("/show_log")).status_code == 401
