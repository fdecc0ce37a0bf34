"""Answers with thousands of objects are made beside the event loop, and are the same."""

import asyncio
from threading import get_ident

import pytest
from lxml import etree

from engine.codec.xml.answers import View, answer_document
from engine.codec.xml.deferred import Deferred
from engine.kernel.commands import AddOrder, AfterDelay
from engine.kernel.definitions import (
    Chain,
    EndNode,
    Job,
    JobNode,
    OrderDefinition,
    ShellScript,
    Text,
)
from engine.kernel.ids import NodeState, TaskId, job_key, order_key
from engine.kernel.instants import Instant, seconds
from engine.server import xml_questions
from engine.server.auth import Role
from engine.server.engine_port import TaskHistoryEntry
from engine.server.large_answers import AT_ONCE_MAX, LargeAnswers
from engine.server.xml_execution import client_with
from tests.support.fake_engine import FACTS
from tests.support.http_engine import COMMAND, HttpEngine, answer_of

pytestmark = pytest.mark.anyio

ORDERS = AT_ONCE_MAX + 100
XML = {"Content-Type": "application/xml"}


def engine_with_orders(count: int) -> HttpEngine:
    node = JobNode(
        state=NodeState("1"), job=job_key("/job"), job_path="/job", next_state=NodeState("end")
    )
    chain = Chain(path="/chain", nodes=(node, EndNode(state=NodeState("end"))))
    script = ShellScript(parts=(Text(text="true"),))
    http = HttpEngine(Job(path="/job", is_order_job=True, script=script), chain)
    for number in range(count):
        order = OrderDefinition(
            key=order_key("/chain", f"o{number}"), title="<?deferred 0-0?> é", params={"a": "ü"}
        )
        http.engine.step(AddOrder(order=order, at=AfterDelay(delay=seconds(3_600))))
    return http


@pytest.mark.parametrize(
    "command",
    [
        '<show_job_chain job_chain="/chain"/>',
        '<show_job_chain job_chain="/chain" max_orders="120" what="job_chain_jobs,job_orders"/>',
        '<show_state what="job_chains job_orders payload"/>',
        '<show_state what="folders orders"/>',
        '<show_job job="/job" what="job_orders"/>',
        '<show_job_chains what="orders"/>',
    ],
)
async def test_a_large_answer_is_the_same_as_one_that_is_made_as_a_whole(command: str) -> None:
    http = engine_with_orders(ORDERS)
    whole = await http.context.commands.execute(command.encode(), client_with(Role.ADMIN, "test"))
    in_pieces = await http.xml(command)
    found = whole.find("answer")
    assert found is not None
    assert etree.tostring(in_pieces) == etree.tostring(found)
    assert len(in_pieces.findall(".//order_queue/order")) >= 100


@pytest.mark.parametrize(("objects", "is_beside"), [(AT_ONCE_MAX, False), (AT_ONCE_MAX + 1, True)])
async def test_only_large_answers_are_made_beside_the_loop(objects: int, is_beside: bool) -> None:
    http = engine_with_orders(1)
    view = View(state=http.engine.state, now=http.engine.now(), facts=FACTS)
    threads: list[int] = []

    def make(shown: View) -> etree._Element:
        threads.append(get_ident())
        return etree.Element("made", orders=str(len(shown.state.orders)))

    made = await LargeAnswers().made(make, view, objects, None)
    assert made.get("orders") == "1"
    assert (threads != [get_ident()]) == is_beside


async def test_a_large_answer_tells_of_one_moment() -> None:
    http = engine_with_orders(ORDERS)
    asked = asyncio.create_task(
        http.post(COMMAND, content='<show_job_chain job_chain="/chain"/>', headers=XML)
    )
    for number in range(20):
        await asyncio.sleep(0)
        order = OrderDefinition(key=order_key("/chain", f"later{number}"))
        http.engine.step(AddOrder(order=order))
    chain = answer_of((await asked).content).find("job_chain")
    assert chain is not None
    assert chain.get("orders") == str(len(chain.findall(".//order_queue/order")))


def test_text_that_looks_like_a_mark_stays_text() -> None:
    deferred = Deferred("n0")
    root = etree.Element("list")
    root.append(deferred.mark([lambda: etree.Element("made")]))
    etree.SubElement(root, "text").text = "<?deferred n0-0?>"
    document = answer_document([root], Instant(0))
    text = b"".join(deferred.pieces(etree.tostring(document), "ascii"))
    assert len(etree.fromstring(text).findall(".//made")) == 1


def test_deferred_elements_may_have_deferred_parts_of_their_own() -> None:
    deferred = Deferred("n0")

    def outer() -> etree._Element:
        found = etree.Element("outer")
        found.append(deferred.mark([lambda: etree.Element("inner")]))
        return found

    root = etree.Element("list")
    root.append(deferred.mark([outer, outer]))
    text = b"".join(deferred.pieces(etree.tostring(root), "ascii"))
    assert text == b"<list><outer><inner/></outer><outer><inner/></outer></list>"


@pytest.mark.parametrize("command", ["<show_calendar what='orders'/>", "<job.why job='/job'/>"])
async def test_searches_for_starts_and_reasons_are_made_beside_the_loop(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = engine_with_orders(ORDERS)
    threads: list[int] = []

    def noted(*_arguments: object, **_named: object) -> etree._Element:
        threads.append(get_ident())
        return etree.Element("made")

    monkeypatch.setattr(xml_questions, "calendar_element", noted)
    monkeypatch.setattr(xml_questions, "job_why_element", noted)
    assert (await http.xml(command)).find("made") is not None
    assert threads
    assert threads != [get_ident()]


async def test_the_logs_of_a_long_history_are_bounded_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    http = engine_with_orders(0)
    monkeypatch.setattr(xml_questions, "LOGS_OF_ANSWER_BYTES_MAX", 250)
    for number in range(1, 6):
        http.engine.logs[number] = str(number) * 100
        http.engine.tasks_past.append(
            TaskHistoryEntry(
                task=TaskId(number),
                job="/job",
                cause="queue",
                agent="",
                started_at=Instant(number),
                ended_at=Instant(number),
                exit_code=0,
                error_code="",
                error_text="",
                steps=1,
                pid=None,
                chain="",
                order="",
            )
        )
    answer = await http.xml('<show_history job="/job" what="log"/>')
    logs = [str(each.text) for each in answer.iterfind(".//history.entry/log")]
    assert sorted(map(len, logs[:3])) == [50, 100, 100]
    assert set(logs[3:]) == {xml_questions.LOG_LEFT_OUT}
