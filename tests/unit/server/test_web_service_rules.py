"""The JSON web service rule by rule (xml-commands.md 9 and 10, agents.md 2.8)."""

from typing import Any

import pytest

from engine.kernel.commands import (
    AfterDelay,
    ApplyDefinitions,
    BrokenFile,
    ModifyChain,
    ObjectKind,
    ObjectRef,
    PauseEngine,
    StartJob,
)
from engine.kernel.definitions import (
    FileOrderSource,
    Lock,
    LockUse,
    MonitorUse,
    NestedNode,
    OnError,
)
from engine.kernel.ids import (
    ClassPath,
    HistoryId,
    LockPath,
    MonitorPath,
    NodeState,
    chain_key,
    job_key,
)
from engine.kernel.instants import Instant, seconds
from engine.server.engine_port import OrderHistoryEntry
from tests.support.http_engine import HttpEngine
from tests.support.web_client import BASE, add, engine, got, message, paths
from tests.support.world import agents_class, chain, node, setback, shell_job

pytestmark = pytest.mark.anyio

# --- 9.1: rules ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/", {}),
        ("/order/", {"return": "OrderDetailed", "isSuspended": "true"}),
        ("/order/a/", {"return": "OrdersComplemented/OrderOverview"}),
        ("/order/", {"return": "JocOrderStatistics"}),
        ("/jobChain/a/b/walk", {"return": "JobChainDetailed"}),
        ("/job/", {"state": "pending"}),
        ("/processClass/", {"return": "ProcessClassDetailed"}),
        ("/fileBased/", {"return": "FileBasedDetailed"}),
        ("/folder/", {}),
        ("/event", {"after": "0", "return": "OrderEvent"}),
    ],
)
async def test_get_and_post_are_equal(path: str, query: dict[str, str]) -> None:
    http = engine()
    add(http, "one", suspended=True)
    asked = await got(http, path, **query)
    posted = await http.post(f"{BASE}{path}", json=query)
    asked.pop("java", None)
    told = posted.json()
    told.pop("java", None)
    asked.pop("system", None)
    told.pop("system", None)
    assert told == asked


@pytest.mark.parametrize("path", ["/", "/order/", "/event?after=0", "/jobChain/missing"])
async def test_no_answer_is_kept_by_anybody(path: str) -> None:
    response = await engine().get(f"{BASE}{path}")
    assert response.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("application/json, text/html;q=0.5", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("text/html;q=0.9, application/json;q=0.1", "text/html"),
        ("text/html;q=oops", "application/json"),
    ],
)
async def test_browsers_get_pages_and_everybody_else_json(accept: str, kind: str) -> None:
    http = engine()
    add(http, "<b>&", suspended=True)
    for path in ("/order/", "/order/a/b/walk,<b>&"):
        response = await http.get(f"{BASE}{path}", headers={"Accept": accept})
        assert response.status_code == 200
        assert response.headers["content-type"].startswith(kind)
        assert ("&lt;b&gt;&amp;" in response.text) is (kind == "text/html")
        assert ("<b>" in response.text) is (kind != "text/html")


async def test_an_error_is_a_page_for_a_browser() -> None:
    response = await engine().get(f"{BASE}/job/missing", headers={"Accept": "text/html"})
    assert response.status_code == 400
    assert "SCHEDULER-161 There is no Job" in response.text
    assert response.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(("coding", "packed"), [("gzip", True), ("gzip;q=0", False), ("br", False)])
async def test_lists_are_compressed_for_those_who_take_that(coding: str, packed: bool) -> None:
    http = engine()
    add(http, "one", suspended=True)
    response = await http.get(f"{BASE}/order/", headers={"Accept-Encoding": coding})
    assert (response.headers.get("content-encoding") == "gzip") is packed
    assert paths(response.json()["orders"]) == ["/a/b/walk,one"]


async def test_an_unknown_resource_is_a_404_in_the_same_shape() -> None:
    response = await engine().get(f"{BASE}/nonsense/x")
    assert response.status_code == 404
    assert response.json() == {"message": "There is no such resource"}
    assert response.headers["cache-control"] == "no-store"


async def test_the_overview_tells_how_the_engine_stands() -> None:
    http = engine()
    http.engine.step(PauseEngine(paused=True))
    assert (await got(http, "/"))["state"] == "paused"
    http.engine.obstacle = "the engine is stopping"
    assert (await got(http, "/"))["state"] == "stopping"


async def test_lists_are_objects_with_the_event_they_are_as_of() -> None:
    http = engine()
    for path, name in (
        ("/order/", "orders"),
        ("/jobChain/", "elements"),
        ("/job/", "elements"),
        ("/processClass/", "elements"),
        ("/lock/", "elements"),
        ("/agent/", "elements"),
    ):
        answer = await got(http, path)
        assert list(answer) == ["eventId", name]


async def test_absent_fields_are_left_out_and_never_null() -> None:
    http = engine()
    add(http, "one", at=AfterDelay(delay=seconds(60)))

    def assert_without_null(value: Any) -> None:
        assert value is not None
        if isinstance(value, dict):
            for each in value.values():
                assert_without_null(each)
        elif isinstance(value, list):
            for each in value:
                assert_without_null(each)

    for path, shape in (
        ("/order/", "OrderDetailed"),
        ("/jobChain/", "JobChainDetailed"),
        ("/job/", "JobDetailed"),
        ("/processClass/", "ProcessClassDetailed"),
        ("/fileBased/", "FileBasedDetailed"),
    ):
        assert_without_null(await got(http, path, **{"return": shape}))


# --- 9.2: queries --------------------------------------------------------------------------------


async def test_or_is_suspended_adds_suspended_orders_to_those_of_the_processing_states() -> None:
    http = engine()
    add(http, "held", suspended=True)
    add(http, "later", at=AfterDelay(delay=seconds(60)))
    add(http, "works")
    planned = {"isOrderProcessingState": "Planned"}
    assert paths((await got(http, "/order/", **planned))["orders"]) == ["/a/b/walk,later"]
    both = await got(http, "/order/", orIsSuspended="true", **planned)
    assert paths(both["orders"]) == ["/a/b/walk,held", "/a/b/walk,later"]


async def test_chains_and_orders_are_chosen_by_distribution_and_stop() -> None:
    http = engine()
    add(http, "one", suspended=True)
    add(http, "two", path="/other", suspended=True)
    http.engine.step(ModifyChain(chain=chain_key("/other"), stopped=True))
    assert paths((await got(http, "/jobChain/", isDistributed="true"))["elements"]) == ["/other"]
    assert paths((await got(http, "/jobChain/", isStopped="false"))["elements"]) == ["/a/b/walk"]
    orders = (await got(http, "/order/", isDistributed="false"))["orders"]
    assert paths(orders) == ["/a/b/walk,one"]
    assert await message(http, "/order/", isDistributed="maybe")


async def test_a_body_may_name_one_order_or_several_paths() -> None:
    http = engine()
    add(http, "one", suspended=True)
    add(http, "two", path="/other", suspended=True)
    one = await http.post(f"{BASE}/order", json={"path": "/a/b/walk,one"})
    assert one.json()["path"] == "/a/b/walk,one"
    both = await http.post(f"{BASE}/order", json={"paths": ["/other", "/a/"]})
    assert paths(both.json()["orders"]) == ["/a/b/walk,one", "/other,two"]


async def test_folders_are_objects_too() -> None:
    http = engine()
    assert paths((await got(http, "/folder/"))["elements"]) == [
        "Folder:/",
        "Folder:/a",
        "Folder:/a/b",
    ]
    assert paths((await got(http, "/folder/a/*"))["elements"]) == ["Folder:/a/b"]
    assert (await got(http, "/folder/a/b"))["path"] == "Folder:/a/b"
    assert "There is no Folder" in await message(http, "/folder/missing")


async def test_the_source_of_an_object_is_its_xml() -> None:
    http = engine()
    for path in ("/fileBased/Job:/a/first", "/job/a/first"):
        response = await http.get(f"{BASE}{path}", params={"return": "FileBasedSource"})
        assert (response.status_code, response.text) == (200, "<job/>")
        assert response.headers["content-type"].startswith("application/xml")
    detailed = await got(http, "/job/a/first", **{"return": "FileBasedDetailed"})
    assert detailed["file"] == "/etc/live/a/first.job.xml"
    assert detailed["fileModifiedAt"] == "1970-01-01T00:16:40.000Z"
    assert detailed["overview"] == {"path": "Job:/a/first", "fileBasedState": "active"}
    assert await message(http, "/lock/a/lock", **{"return": "FileBasedSource"})
    assert await message(http, "/lock/", **{"return": "FileBasedSource"})


async def test_a_task_is_shown_with_its_order_and_variables() -> None:
    http = engine()
    http.engine.step(StartJob(job=job_key("/alone"), params={"y": "2"}))
    http.engine.launch(pid=7)
    task = await got(http, "/task", taskId="1", **{"return": "TaskDetailed"})
    assert task["overview"]["jobPath"] == "/alone"
    assert (task["pid"], task["cause"], task["stepCount"]) == (7, "queue", 1)
    assert task["variables"]["y"] == "2"
    assert await message(http, "/task", taskId="1", **{"return": "Nonsense"})
    assert await message(http, "/task", taskId="99999999999999999999")


async def test_the_log_of_an_order_that_has_gone_is_that_of_its_last_run() -> None:
    http = engine()
    past = OrderHistoryEntry(
        history=HistoryId(7),
        chain="/a/b/walk",
        order="gone",
        title="",
        state="end",
        state_text="",
        started_at=Instant(1),
        ended_at=Instant(2),
    )
    http.engine.orders_past.append(past)
    response = await http.get(f"{BASE}/order/a/b/walk,gone?return=log")
    assert (response.status_code, response.text) == (200, "log of run 7")
    assert "SCHEDULER-162" in await message(http, "/order/a/b/walk,never", **{"return": "log"})


async def test_an_order_of_an_unknown_chain_is_refused_with_the_chain() -> None:
    assert "SCHEDULER-161 There is no JobChain" in await message(engine(), "/order/missing,x")


@pytest.mark.parametrize(
    "shape", ["Nonsense", "OrdersComplemented/Nonsense", "Order/OrderOverview"]
)
async def test_an_unknown_representation_is_a_400(shape: str) -> None:
    assert "is not known here" in await message(engine(), "/order/", **{"return": shape})


async def test_the_tree_of_orders_has_the_folders_that_lead_to_them() -> None:
    http = engine()
    add(http, "one", suspended=True)
    add(http, "two", path="/other", suspended=True)
    wanted = {"return": "OrderTreeComplemented/OrderDetailed"}
    answer = await got(http, "/order/", **wanted)
    tree = answer["orderTree"]
    assert (tree["path"], len(tree["leafs"])) == ("/", 1)
    (a,) = tree["subfolders"]
    assert (a["path"], a["leafs"]) == ("/a", [])
    assert a["subfolders"][0]["leafs"][0]["overview"]["path"] == "/a/b/walk,one"
    assert paths(answer["usedJobs"]) == ["/a/first", "/second"]
    assert paths(answer["usedProcessClasses"]) == ["/", "/remote"]


async def test_long_answers_are_written_in_pieces() -> None:
    from engine.codec.streamed_json import Rows, pieces  # noqa: PLC0415  # only here

    made: list[int] = []

    def rows() -> Any:
        for number in range(3):
            made.append(number)
            yield {"n": number}

    written = pieces(Rows(rows()))
    first = next(written)
    assert (first, made) == (b"[", [0])
    assert b"".join((first, *written)) == b'[{"n":0},{"n":1},{"n":2}]'
    assert b"".join(pieces(Rows([]))) == b"[]"


# --- 9.3: shapes ---------------------------------------------------------------------------------


async def test_an_order_of_this_second_is_still_planned() -> None:
    http = engine()
    add(http, "one", at=AfterDelay(delay=seconds(1)), suspended=True)
    http.engine.time = Instant(http.engine.time + 1_900)

    async def state() -> str:
        row = await got(http, "/order/a/b/walk,one")
        return str(row["orderProcessingState"]["TYPE"])

    assert await state() == "Planned"
    http.engine.time = Instant(http.engine.time + 200)
    assert await state() == "Due"


async def test_a_setback_lasts_until_the_next_step() -> None:
    patient = shell_job("one", **setback((1, 60), most=3))
    http = HttpEngine(patient, chain("walk", node("1", "one", on_error=OnError.SETBACK)))
    add(http, "o", path="/walk")
    http.engine.launch()
    http.engine.end(code=1)
    row = await got(http, "/order/walk,o")
    until = row["orderProcessingState"]["until"]
    assert row["orderProcessingState"] == {"TYPE": "Setback", "until": until}
    assert {"TYPE": "Setback", "until": until} in row["obstacles"]
    http.engine.time = Instant(http.engine.time + 120_000)
    late = await got(http, "/order/walk,o")
    assert late["orderProcessingState"]["TYPE"] == "Setback"
    assert late["obstacles"] == []
    statistics = await got(http, "/order/", **{"return": "JocOrderStatistics"})
    assert (statistics["setback"], statistics["started"]) == (1, 1)


async def test_a_job_tells_what_its_file_and_its_needs_lack() -> None:
    http = HttpEngine(shell_job("j", monitors=(MonitorUse(path=MonitorPath("/m")),)))
    row = await got(http, "/job/j")
    assert (row["fileBasedState"], row["state"]) == ("incomplete", "loaded")
    missing = {"TYPE": "MissingRequisites", "paths": ["Monitor:/m"]}
    assert {"TYPE": "FileBasedObstacles", "fileBasedObstacles": [missing]} in row["obstacles"]
    assert {"TYPE": "BadState", "jobState": "loaded"} in row["obstacles"]


def broken(kind: ObjectKind, path: str, finding: str) -> ApplyDefinitions:
    name = f"{path.removeprefix('/')}.{kind.value}.xml"
    ref = ObjectRef(kind=kind, path=path)
    return ApplyDefinitions(broken=(BrokenFile(object=ref, file=name, findings=(finding,)),))


async def test_a_broken_new_version_is_an_obstacle_and_an_error() -> None:
    http = engine()
    http.engine.step(broken(ObjectKind.JOB, "/second", "SCHEDULER-428  something is wrong"))
    row = await got(http, "/job/second")
    assert row["error"] == {"code": "SCHEDULER-428", "message": "something is wrong"}
    (obstacle,) = row["obstacles"]
    assert obstacle["fileBasedObstacles"][0]["TYPE"] == "Replaced"
    assert "something is wrong" in obstacle["fileBasedObstacles"][0]["error"]


async def test_a_file_that_never_was_readable_is_listed() -> None:
    http = engine()
    http.engine.step(broken(ObjectKind.CHAIN, "/a/bad", "not well-formed"))
    files = (await got(http, "/fileBased/a/"))["elements"]
    assert {"path": "JobChain:/a/bad", "fileBasedState": "undefined"} in files


async def test_a_full_job_and_a_full_class_are_obstacles_of_the_node() -> None:
    http = HttpEngine(
        agents_class("narrow", "http://a:1", most=1),
        shell_job("one", process_class=ClassPath("/narrow"), tasks=1),
        chain("walk", node("1", "one")),
    )
    add(http, "o", path="/walk")
    job = await got(http, "/job/one")
    assert {"TYPE": "TaskLimitReached", "limit": 1} in job["obstacles"]
    full = {"TYPE": "ProcessLimitReached", "limit": 1}
    assert {"TYPE": "ProcessClassObstacles", "processClassObstacles": [full]} in job["obstacles"]
    found = await got(http, "/jobChain/walk", nodeId="1")
    assert found["obstacles"] == [{"TYPE": "WaitingForJob"}]
    assert "JobChainNode" in await message(http, "/jobChain/walk", nodeId="nowhere")


async def test_a_queued_task_tells_whether_it_is_late_and_for_what_it_waits() -> None:
    lock = LockPath("/l")
    http = HttpEngine(
        Lock(path=lock),
        shell_job("holds", is_order_job=False, locks=(LockUse(lock=lock),)),
        shell_job("waits", is_order_job=False, locks=(LockUse(lock=lock),)),
    )
    http.engine.step(StartJob(job=job_key("/holds")))
    http.engine.step(StartJob(job=job_key("/waits")))
    assert (await got(http, "/task", taskId="2"))["obstacles"] == [{"TYPE": "WaitingForLock"}]
    job = await got(http, "/job/waits")
    assert {"TYPE": "WaitingForLocks", "lockPaths": ["/l"]} in job["obstacles"]
    assert (job["queuedTaskCount"], job["lateTaskCount"]) == (1, 1)
    http.engine.step(StartJob(job=job_key("/waits"), at=AfterDelay(delay=seconds(60))))
    assert (await got(http, "/task", taskId="3"))["obstacles"] == [{"TYPE": "Delayed"}]


async def test_nested_chains_share_the_name_of_their_ids_and_miss_each_other() -> None:
    inner = NestedNode(
        state=NodeState("A"),
        chain=chain_key("/inner"),
        chain_path="/inner",
        next_state=NodeState("end"),
    )
    http = HttpEngine(shell_job("one"), chain("inner", node("1", "one")), chain("super", inner))
    for path in ("/super", "/inner"):
        assert (await got(http, f"/jobChain{path}"))["orderIdSpaceName"] == "/super"
    lonely = HttpEngine(chain("super", inner))
    row = await got(lonely, "/jobChain/super")
    assert row["fileBasedState"] == "incomplete"
    assert row["obstacles"][0]["fileBasedObstacles"] == [
        {"TYPE": "MissingRequisites", "paths": ["JobChain:/inner"]}
    ]


async def test_a_chain_tells_its_directories_with_the_files_that_are_orders() -> None:
    source = FileOrderSource(directory="/in", regex="x$", delay_after_error=seconds(5))
    http = HttpEngine(
        shell_job("one"), chain("walk", node("1", "one"), file_order_sources=(source,))
    )
    for name in ("/in/x", "/elsewhere/x"):
        add(http, name, path="/walk", params={"scheduler_file_path": name}, suspended=True)
    detailed = await got(http, "/jobChain/walk", **{"return": "JobChainDetailed"})
    assert detailed["fileOrderSources"] == [
        {
            "directory": "/in",
            "regex": "x$",
            "repeat": 10.0,
            "delayAfterError": 5.0,
            "files": [{"file": "/in/x"}],
            "alertWhenDirectoryMissing": True,
        }
    ]
    assert detailed["blacklistedOrders"] == []
