"""XML commands over HTTP: transport, permissions, envelope."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from engine.kernel.commands import (
    ApplyDefinitions,
    BrokenFile,
    ModifyOrder,
    ObjectKind,
    ObjectRef,
    StartJob,
)
from engine.kernel.definitions import FileOrderSource
from engine.kernel.ids import TaskId, job_key, order_key
from engine.kernel.instants import seconds
from engine.server.auth import TokenFiles, Trust
from engine.server.engine_port import TaskHistoryEntry
from engine.store.task_logs import TaskLogs
from tests.support.fake_engine import FACTS, NOW
from tests.support.http_engine import COMMAND, HttpEngine, answer_of
from tests.support.world import chain, node, shell_job

pytestmark = pytest.mark.anyio

WALK = (shell_job("work"), chain("walk", node("100", "work")))
XML = {"Content-Type": "application/xml"}


async def test_an_order_is_added_and_shown_with_its_number() -> None:
    http = HttpEngine(*WALK)
    answer = await http.xml(
        '<add_order job_chain="walk"><params><param name="a" value="1"/></params></add_order>'
    )
    order = answer.find("ok/order")
    assert order is not None
    assert order.get("id") == order.get("order") == "1"
    assert order.get("job_chain") == "/walk"
    assert http.engine.state.orders[order_key("/walk", "1")].params == {"a": "1"}


async def test_a_started_task_is_answered_with_its_number() -> None:
    http = HttpEngine(shell_job("alone", is_order_job=False))
    answer = await http.xml('<start_job job="/alone"/>')
    task = answer.find("ok/task")
    assert task is not None
    assert task.get("id") == task.get("task") == "1"


async def test_commands_stop_at_the_first_failure_and_keep_what_was_done() -> None:
    http = HttpEngine(*WALK)
    answer = await http.xml(
        '<commands><add_order job_chain="walk" id="a"/><show_job job="missing"/>'
        '<add_order job_chain="walk" id="b"/></commands>'
    )
    assert [child.tag for child in answer] == ["ok", "ERROR"]
    assert answer[1].get("code") == "SCHEDULER-161"
    assert str(answer[1].get("text")).startswith("SCHEDULER-161  ")
    assert [str(key) for key in http.engine.state.orders] == ["/walk,a"]


@pytest.mark.parametrize(
    "command",
    [
        "<nonsense/>",
        "<show_state",
        '<show_state nonsense="1"/>',
        '<!DOCTYPE x [<!ENTITY y "z">]><show_state/>',
        "",
        "\x00\xff",
        "<commands>" + "<commands>" * 200,
    ],
)
async def test_what_is_no_command_is_answered_with_a_schema_error(command: str) -> None:
    answer = await HttpEngine().xml(command)
    assert [child.tag for child in answer] == ["ERROR"]
    assert answer[0].get("code") == "Z-JAVA-105"


async def test_too_large_a_body_is_answered_not_kept() -> None:
    http = HttpEngine(request_bytes_max=1_000)
    answer = await http.xml("<show_state/>" + " " * 100_000)
    assert answer[0].get("code") == "Z-JAVA-105"


async def test_text_that_xml_does_not_know_stays_well_formed() -> None:
    http = HttpEngine(*WALK)
    await http.xml('<add_order job_chain="walk" id="a"/>')
    http.engine.launch()
    http.engine.logs[1] = "bell \x07 and escape \x1b[0m"
    answer = await http.xml('<show_task id="1" what="log"/>')
    assert "bell \ufffd and escape" in str(answer.findtext("task/log"))


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
async def test_forms_of_browsers_are_refused_where_the_original_does(kind: str) -> None:
    http = HttpEngine()
    response = await http.post(COMMAND, content="<show_state/>", headers={"Content-Type": kind})
    assert response.status_code == 403


@pytest.mark.parametrize(
    "path", ["/jobscheduler/engine/command", "/jobscheduler/engine/command/", "/"]
)
async def test_old_clients_send_any_type_to_the_classic_paths(path: str) -> None:
    response = await HttpEngine().post(
        path, content="<show_state/>", headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer_of(response.content).find("state") is not None


@pytest.mark.parametrize("path", ["/jobscheduler/engine/command", "/", "/any/path"])
async def test_classic_paths_answer_in_latin_1_with_references_for_the_rest(path: str) -> None:
    http = HttpEngine(*WALK)
    await http.xml('<add_order job_chain="walk" id="ü"><params/></add_order>')
    http.engine.step(ModifyOrder(order=order_key("/walk", "ü"), title="ä 10 € \U0001f682"))
    response = await http.post(path, content=b'<show_order job_chain="walk" order="&#252;"/>')
    assert response.headers["content-type"] == "text/xml; charset=iso-8859-1"
    assert response.content.startswith(b'<?xml version="1.0" encoding="ISO-8859-1"?>')
    assert b'title="\xe4 10 &#8364; &#128642;"' in response.content
    order = answer_of(response.content).find("order")
    assert order is not None
    assert (order.get("id"), order.get("title")) == ("ü", "ä 10 € \U0001f682")


async def test_the_web_service_answers_in_utf_8() -> None:
    response = await HttpEngine().get(COMMAND, params={"command": "show_state"})
    assert response.headers["content-type"] == "application/xml; charset=utf-8"
    assert response.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')


async def test_get_shows_and_nothing_else() -> None:
    http = HttpEngine(*WALK)
    shown = await http.get(COMMAND, params={"command": "show_state"})
    assert answer_of(shown.content).find("state") is not None
    assert answer_of((await http.get(COMMAND)).content).find("state/folder") is not None
    changed = await http.get(COMMAND, params={"command": '<add_order job_chain="walk"/>'})
    assert changed.status_code == 403
    assert (await http.get(COMMAND, params={"command": "<"})).status_code == 400
    assert (await http.get(COMMAND, params={"command": "s", "x": "y"})).status_code == 400
    assert not http.engine.state.orders


async def test_the_command_may_be_the_path() -> None:
    http = HttpEngine()
    response = await http.get("/%3Cshow_state/%3E")
    assert answer_of(response.content).find("state") is not None
    assert (await http.get("/nothing/here")).status_code == 404


async def test_the_charset_of_the_request_counts_without_a_declaration() -> None:
    http = HttpEngine(*WALK)
    command = '<add_order job_chain="walk" id="ü"/>'.encode("latin-1")
    answer = await http.xml(command, {"Content-Type": "text/xml; charset=iso-8859-1"})
    assert answer.find("ok/order[@id='ü']") is not None


async def test_roles_bound_what_commands_do(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("read-only reader\noperator mover\nadmin boss\n")
    http = HttpEngine(*WALK, trust=Trust.NOBODY, tokens=TokenFiles([file]))
    show, add, remove = (
        "<show_state/>",
        '<add_order job_chain="walk" id="a" at="2040-01-01 00:00:00"/>',
        '<remove_job_chain job_chain="walk"/>',
    )

    async def outcome(token: str, command: str) -> str:
        answer = await http.xml(command, {"Authorization": f"Bearer {token}"})
        error = answer.find("ERROR")
        return "done" if error is None else str(error.get("code"))

    assert await outcome("reader", show) == "done"
    assert await outcome("reader", add) == "SCHEDULER-121"
    assert await outcome("mover", add) == "done"
    assert await outcome("mover", remove) == "SCHEDULER-121"
    assert await outcome("mover", "<terminate/>") == "SCHEDULER-121"
    assert await outcome("boss", remove) == "done"
    assert (await http.post(COMMAND, content=show, headers=XML)).status_code == 401


async def test_who_asked_is_the_cause(tmp_path: Path) -> None:
    http = HttpEngine(*WALK)
    await http.xml('<add_order job_chain="walk" id="a"/>')
    assert http.engine.causes == ["local"]


async def test_scheduler_variables_are_set_and_shown() -> None:
    http = HttpEngine()
    await http.xml('<param name="Region" value="EU"/>')
    answer = await http.xml('<param.get name="REGION"/>')
    param = answer.find("param")
    assert param is not None
    assert param.get("value") == "EU"
    answer = await http.xml("<params.get/>")
    assert answer.find("params[@count='1']/param[@name='Region']") is not None
    assert (await http.xml('<param.get name="missing"/>')).find("ok") is not None


async def test_removing_commands_delete_files() -> None:
    from tests.support.world import file_source  # noqa: PLC0415  # only here

    source = file_source("walk.job_chain.xml")
    http = HttpEngine(shell_job("work"), chain("walk", node("100", "work"), source=source))
    await http.xml('<remove_job_chain job_chain="/walk"/>')
    assert [ref.path for ref in http.engine.removed_files] == ["/walk"]


async def test_hot_folder_commands_reach_the_folder() -> None:
    http = HttpEngine()
    answer = await http.xml(
        '<modify_hot_folder folder="/a"><lock name="l" max_non_exclusive="2"/></modify_hot_folder>'
    )
    assert answer.find("ok") is not None
    assert list(http.engine.live_files) == ["a/l.lock.xml"]
    await http.xml("<check_folders/>")
    assert http.engine.looked == 1


async def test_objects_are_defined_by_command() -> None:
    http = HttpEngine()
    script = '<script language="shell">true</script>'
    assert (await http.xml(f'<job name="j" order="no">{script}</job>')).find("ok") is not None
    answer = await http.xml(f'<add_jobs><job name="j">{script}</job></add_jobs>')
    error = answer.find("ERROR")
    assert error is not None
    assert error.get("code") == "SCHEDULER-141"
    await http.xml(f'<add_jobs><job name="k">{script}</job></add_jobs>')
    assert [task.job for task in http.engine.state.tasks.values()] == ["/k"]
    assert (await http.xml('<show_job job="k"/>')).xpath("string(job/@temporary)") == "yes"


async def test_a_lock_goes_with_its_file_or_without_one() -> None:
    http = HttpEngine()
    await http.xml('<lock name="l"/>')
    http.engine.has_files = False
    assert (await http.xml('<lock.remove lock="/l"/>')).find("ok") is not None
    assert not http.engine.state.locks
    error = (await http.xml('<lock.remove lock="/l"/>')).find("ERROR")
    assert error is not None
    assert error.get("code") == "SCHEDULER-161"


async def test_the_engine_is_ended_by_command() -> None:
    http = HttpEngine()
    await http.xml('<modify_spooler cmd="terminate" timeout="60"/>')
    await http.xml('<terminate restart="yes"/>')
    assert http.engine.terminated == [(seconds(60), False), (None, True)]
    await http.xml('<modify_spooler cmd="rotate_logs"/>')
    assert http.engine.rotated == 1
    response = await http.post(
        COMMAND, content='<modify_spooler cmd="abort_immediately"/>', headers=XML
    )
    assert response.status_code == 204
    assert http.engine.aborts == [False]


async def test_a_pausing_engine_says_so() -> None:
    http = HttpEngine()
    await http.xml('<modify_spooler cmd="pause"/>')
    state = (await http.xml("<show_state/>")).find("state")
    assert state is not None
    assert state.get("state") == "paused"


async def test_a_stopping_engine_says_so() -> None:
    http = HttpEngine(*WALK)
    await http.engine.stop()
    error = (await http.xml('<add_order job_chain="walk"/>')).find("ERROR")
    assert error is not None
    assert error.get("code") == "SCHEDULER-381"


async def test_a_command_without_meaning_is_named() -> None:
    error = (await HttpEngine().xml("<plugin.command/>")).find("ERROR")
    assert error is not None
    assert error.get("code") == "SCHEDULER-105"
    assert "plugin.command" in str(error.get("text"))


@pytest.mark.parametrize("name", ["licence.use", "setting.set", "job_chain.check_distributed"])
async def test_what_does_not_exist_here_is_accepted(name: str) -> None:
    assert (await HttpEngine().xml(f'<{name} key="x"/>')).find("ok") is not None


async def test_log_categories_are_switched() -> None:
    http = HttpEngine()
    answer = await http.xml('<scheduler_log.log_categories.set category="unit.test" value="1"/>')
    assert answer.find("log_categories/log_category[@path='unit.test'][@value='1']") is not None
    answer = await http.xml("<scheduler_log.log_categories.reset/>")
    assert answer.find("log_categories/log_category") is None
    error = (await http.xml('<scheduler_log.log_categories.set category="x" value="?"/>')).find(
        "ERROR"
    )
    assert error is not None


async def test_custom_events_must_have_their_shape() -> None:
    http = HttpEngine()
    good = '<publish_event>{"TYPE":"VariablesCustomEvent","key":"K","variables":{"a":"b"}}</publish_event>'
    assert (await http.xml(good)).find("ok") is not None
    for bad in ("{", '{"TYPE":"Other"}', '{"TYPE":"VariablesCustomEvent","key":1}'):
        error = (await http.xml(f"<publish_event>{bad}</publish_event>")).find("ERROR")
        assert error is not None
        assert error.get("code") == "Z-JAVA-105"


async def test_the_log_of_a_task_is_where_the_answer_says(tmp_path: Path) -> None:
    logs = TaskLogs(tmp_path)
    try:
        for number in (7, 12_345):
            await logs.append_line(TaskId(number), NOW, "info", "text")
            shown = replace(FACTS, task_log_folder=str(tmp_path)).task_log_file(number)
            assert shown is not None
            assert await asyncio.to_thread(Path(shown).is_file)
    finally:
        await logs.close()


async def test_an_object_whose_file_is_broken_is_shown_as_undefined() -> None:
    http = HttpEngine()
    kinds = {"job": ObjectKind.JOB, "job_chain": ObjectKind.CHAIN}
    broken = [
        BrokenFile(
            object=ObjectRef(kind=kind, path="/Odd"), file=f"Odd.{tag}.xml", findings=("bad",)
        )
        for tag, kind in kinds.items()
    ]
    await http.engine.submit(ApplyDefinitions(broken=tuple(broken)), "test")
    for tag in kinds:
        answer = await http.xml(f'<show_{tag} {tag}="odd"/>')
        assert answer.xpath(f"string({tag}/@name)") == "Odd"
        assert answer.xpath(f"string({tag}/file_based/@state)") == "undefined"
        assert answer.xpath(f"count({tag}/file_based/ERROR)") == 1


async def test_the_loaded_main_configuration_is_shown(tmp_path: Path) -> None:
    file = tmp_path / "scheduler.xml"
    file.write_text("<spooler><config/></spooler>")
    http = HttpEngine(config_file=str(file))
    shown = await http.get("/show_config?")
    assert shown.headers["content-type"].startswith("text/xml")
    assert shown.content == file.read_bytes()
    assert (await HttpEngine().get("/show_config?")).status_code == 404


async def test_a_path_that_leads_upwards_is_refused_by_its_code() -> None:
    refused = await HttpEngine().get("/files/%2e%2e/secret")
    assert refused.status_code == 403
    assert "SCHEDULER-214" in refused.text


async def test_a_task_of_the_queue_tells_when_it_may_start() -> None:
    http = HttpEngine(shell_job("alone", is_order_job=False))
    task = (await http.xml('<start_job job="/alone"/>')).find("ok/task")
    assert task is not None
    assert task.get("start_at") == task.get("enqueued")


async def test_an_order_that_waits_for_its_forerunner_says_so() -> None:
    http = HttpEngine(*WALK)
    await http.xml('<add_order job_chain="walk" id="1"/>')
    http.engine.launch()
    order = (await http.xml('<add_order job_chain="/walk" id="1" title="new"/>')).find("ok/order")
    assert order is not None
    told = {name: order.get(name) for name in ("id", "title", "replacement", "state", "job_chain")}
    assert told == {
        "id": "1",
        "title": "new",
        "replacement": "yes",
        "state": "100",
        "job_chain": "/walk",
    }
    present = (await http.xml('<show_order job_chain="walk" order="1"/>')).find("order")
    assert present is not None
    assert (present.get("task"), present.get("replaced")) == ("1", "yes")


@pytest.mark.parametrize(
    "command",
    [
        '<add_order job_chain="walk" id="1" web_service="nope"/>',
        '<start_job job="first" web_service="nope"/>',
    ],
)
async def test_a_web_service_that_does_not_exist_is_refused_by_its_name(command: str) -> None:
    error = (await HttpEngine(*WALK).xml(command)).find("ERROR")
    assert error is not None
    assert error.get("code") == "SCHEDULER-161"
    assert "There is no Web_service 'nope'" in str(error.get("text"))


async def test_the_state_shows_why_a_job_has_stopped() -> None:
    http = HttpEngine(shell_job("alone", is_order_job=False, stop_on_error=True))
    http.engine.step(StartJob(job=job_key("alone")))
    http.engine.launch()
    http.engine.end(code=7)
    http.engine.tasks_past.append(failed_task("/alone"))
    error = (await http.xml("<show_state/>")).find("state/jobs/job/ERROR")
    assert error is not None
    assert error.get("code") == "SCHEDULER-280"


def failed_task(job: str) -> TaskHistoryEntry:
    return TaskHistoryEntry(
        task=TaskId(1),
        job=job,
        cause="queue",
        agent="",
        started_at=NOW,
        ended_at=NOW,
        exit_code=7,
        error_code="SCHEDULER-280",
        error_text="The process ended with exit code 7",
        steps=1,
        pid=100,
    )


async def test_files_that_wait_in_a_file_order_source_are_shown_when_asked_for(
    tmp_path: Path,
) -> None:
    for name, at_s in (("b.txt", 1_000), ("a.txt", 2_000), ("other", 3_000)):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (at_s, at_s))
    here = FileOrderSource(directory=str(tmp_path), regex=r"\.txt$")
    gone = FileOrderSource(directory=str(tmp_path / "gone"))
    http = HttpEngine(
        shell_job("work"), chain("walk", node("100", "work"), file_order_sources=(here, gone))
    )
    assert (await http.xml('<show_job_chain job_chain="walk"/>')).find(".//files") is None
    for command in (
        '<show_job_chain job_chain="walk" what="order_source_files"/>',
        '<show_state what="job_chains order_source_files"/>',
    ):
        first, second = (await http.xml(command)).findall(".//file_order_source/files")
        assert [(file.get("path"), file.get("last_write_time")) for file in first] == [
            (str(tmp_path / "b.txt"), "1970-01-01T00:16:40.000Z"),
            (str(tmp_path / "a.txt"), "1970-01-01T00:33:20.000Z"),
        ]
        assert first.get("count") == "2"
        assert second.get("count") == "0"


@pytest.mark.parametrize("states", [["100", "200"], ["100"]], ids=["goes on", "goes"])
async def test_an_order_that_goes_on_while_its_log_is_read_is_shown_as_it_is_then(
    monkeypatch: pytest.MonkeyPatch, states: list[str]
) -> None:
    nodes = [node(state, "work") for state in states]
    http = HttpEngine(shell_job("work"), chain("walk", *nodes))
    await http.xml('<add_order job_chain="walk" id="1"/>')
    http.engine.launch()

    async def order_log(_about: object, _size: int) -> str:
        http.engine.end()
        return "text"

    monkeypatch.setattr(http.engine, "order_log", order_log)
    answer = await http.xml('<show_order job_chain="walk" order="1" what="log"/>')
    if len(states) > 1:
        assert answer.xpath("string(order/@state)") == "200"
        assert answer.xpath("string(order/log)") == "text"
    else:
        assert answer.xpath("string(ERROR/@code)") == "SCHEDULER-162", "it has no history here"
