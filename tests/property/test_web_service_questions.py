"""Whatever is asked of the JSON web service, the answer is JSON, GET and POST agree, nothing fails."""

import asyncio
import json
from typing import Any
from urllib.parse import quote

import httpx
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec.web_events import NAMES
from engine.kernel.commands import AddOrder, AfterDelay, StartJob
from engine.kernel.definitions import OrderDefinition, Source
from engine.kernel.ids import OrderId, OrderKey, chain_key, job_key
from engine.kernel.instants import Instant, seconds
from tests.support.http_engine import HttpEngine
from tests.support.web_client import BASE
from tests.support.world import agents_class, chain, node, shell_job

WALK = (
    agents_class("remote", "http://a:1"),
    shell_job("a/work", source=Source(file="a/work.job.xml", modified_at=Instant(1), xml="<job/>")),
    shell_job("alone", is_order_job=False),
    chain("a/walk", node("100", "a/work"), node("200", "alone")),
)
ANSWERS = {200, 400, 403, 404, 405, 501}

_RESOURCES = st.sampled_from(
    [
        *("", "/", "/order", "/order/", "/jobChain", "/jobChain/", "/job", "/job/", "/task"),
        *("/processClass/", "/fileBased/", "/folder/", "/schedule/", "/lock", "/monitor/"),
        *("/agent/", "/scheduler", "/event", "/nonsense"),
    ]
)
_TEXTS = st.one_of(
    st.sampled_from(
        [
            *("a/walk", "/a/walk,o1", "a/work", "*", "a/*", "a/|alone", "|", ",", "Job:/a/work"),
            *("/", "//", "o1", "100", "http://a:1/jobscheduler/agent/api", "%2e%2e", "A/WALK,o2"),
        ]
    ),
    st.text(max_size=6),
)
_RETURNS = st.sampled_from(
    [
        *("OrderOverview", "OrderDetailed", "OrdersComplemented/OrderOverview", "Event", ""),
        *("OrdersComplemented/OrderDetailed", "OrderTreeComplemented/OrderOverview", "TaskEvent"),
        *("JocOrderStatistics", "JocOrderStatisticsChanged", "JobChainOverview", "Nonsense"),
        *("JobChainDetailed", "JobOverview", "JobDetailed", "JobDescription", "History"),
        *("ProcessClassOverview", "ProcessClassDetailed", "TaskOverview", "TaskDetailed"),
        *("FileBasedOverview", "FileBasedDetailed", *sorted(NAMES), "OrderAdded,JobEvent"),
    ]
)
_VALUES = st.one_of(
    st.sampled_from(["true", "false", "0", "1", "-1", "99999999999999999999", "Planned,Due", ""]),
    _TEXTS,
)
_QUERIES = st.dictionaries(
    st.sampled_from(
        [
            *("after", "limit", "taskId", "nodeId", "path", "paths", "isSuspended", "state"),
            *("orIsSuspended", "isDistributed", "isStopped", "isSetback", "isBlacklisted"),
            *("orderIds", "nodeIds", "jobPaths", "isOrderSourceType", "isOrderProcessingState"),
            *("notInTaskLimitPerNode", "unknown"),
        ]
    ),
    _VALUES,
    max_size=4,
)


def _engine() -> HttpEngine:
    http = HttpEngine(*WALK)
    for number in (1, 2):
        key = OrderKey(chain_key("/a/walk"), OrderId(f"o{number}"))
        http.engine.step(AddOrder(order=OrderDefinition(key=key, params={"p": "1"})))
    http.engine.step(StartJob(job=job_key("/alone"), at=AfterDelay(delay=seconds(60))))
    return http


@settings(deadline=None)
@given(
    resource=_RESOURCES,
    rest=st.one_of(st.just(""), _TEXTS),
    wanted=_RETURNS,
    query=_QUERIES,
    accept=st.sampled_from(["", "application/json", "text/html"]),
)
def test_every_question_gets_an_answer(
    resource: str, rest: str, wanted: str, query: dict[str, str], accept: str
) -> None:
    asked = dict(query)
    if wanted:
        asked["return"] = wanted
    url = BASE + resource + (quote(rest, safe="/:|*,") if resource.endswith("/") else "")

    async def ask() -> None:
        http = _engine()
        headers = {"Accept": accept}
        got = await http.get(url, params=asked, headers=headers)
        posted = await http.post(url, json=asked, headers=headers)
        assert got.status_code in ANSWERS, got.text
        if accept == "text/html":
            return
        told = _content(got)
        assert told is not None
        if "agent" not in resource:
            assert posted.status_code == got.status_code
            assert _without_process(_content(posted)) == _without_process(told)

    asyncio.run(ask())


def _content(response: httpx.Response) -> Any:
    if not response.headers["content-type"].startswith("application/json"):
        return response.text
    content = json.loads(response.content)
    assert "eventId" in content or set(content) <= {"message", "problem"}
    return content


def _without_process(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: value for name, value in content.items() if name not in {"java", "system"}}
    return content


@settings(deadline=None)
@given(body=st.one_of(st.binary(max_size=30), st.text(max_size=30).map(str.encode)))
def test_every_body_gets_an_answer(body: bytes) -> None:
    async def ask() -> None:
        response = await _engine().post(f"{BASE}/order", content=body)
        assert response.status_code in {200, 400}
        json.loads(response.content)

    asyncio.run(ask())


@settings(deadline=None)
@given(
    values=st.dictionaries(
        st.sampled_from(["paths", "orderIds", "isSuspended", "limit", "after", "return", "path"]),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
            max_leaves=5,
        ),
    )
)
def test_every_json_gets_an_answer(values: dict[str, Any]) -> None:
    async def ask() -> None:
        body = json.dumps(values, allow_nan=False).encode()
        for resource in ("order", "event", "jobChain"):
            response = await _engine().post(f"{BASE}/{resource}", content=body)
            assert response.status_code in {200, 400}
            json.loads(response.content)

    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        return
    asyncio.run(ask())
