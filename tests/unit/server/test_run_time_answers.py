"""What XML answers say of run times: `show_calendar` (E97 to E102), next starts, schedules."""

from dataclasses import replace

import pytest
from lxml import etree

from engine.codec.xml.findings import Element
from engine.codec.xml.schedules import read_run_time, read_schedule
from engine.kernel.calendar import RunTime
from engine.kernel.commands import (
    AddOrder,
    AfterDelay,
    ApplyDefinitions,
    AtInstant,
    BrokenFile,
    JobAction,
    ModifyJob,
    ModifyOrder,
    ObjectKind,
    ObjectRef,
    StartAt,
    StartJob,
)
from engine.kernel.definitions import (
    Job,
    MainConfiguration,
    MonitorUse,
    OnError,
    OrderDefinition,
    ScheduleFile,
)
from engine.kernel.ids import MonitorPath, OrderId, OrderKey, SchedulePath, chain_key, job_key
from engine.kernel.instants import seconds
from tests.support.http_engine import HttpEngine
from tests.support.timetable import moment
from tests.support.world import chain, file_source, node, setback, shell_job

pytestmark = pytest.mark.anyio


def fail(element: Element, text: str) -> None:
    raise AssertionError(f"<{element.tag}>: {text}")


def no_include(_element: Element) -> Element | None:
    raise AssertionError("nothing is included")


def run_time(xml: str) -> RunTime:
    return read_run_time(etree.fromstring(xml), fail, include=no_include)


def schedule(name: str, xml: str) -> ScheduleFile:
    path = SchedulePath(f"/{name}")
    found = read_schedule(etree.fromstring(xml), path, fail, include=no_include)
    return ScheduleFile(schedule=found)


def engine(*definitions: Job | ScheduleFile, now: str = "2030-01-01", zone: str = "") -> HttpEngine:
    http = HttpEngine()
    http.engine.time = moment(now, zone or "UTC")
    main = MainConfiguration(time_zone=zone) if zone else None
    http.engine.step(
        ApplyDefinitions(
            defined=(*definitions, shell_job("work"), chain("walk", node("1", "work"))), main=main
        )
    )
    return http


def job(xml: str, **changes: object) -> Job:
    return shell_job("job", is_order_job=False, run_time=run_time(xml), **changes)


def add(http: HttpEngine, order_id: str, xml: str | None = None, at: StartAt | None = None) -> None:
    key = OrderKey(chain_key("walk"), OrderId(order_id))
    definition = OrderDefinition(key=key, run_time=None if xml is None else run_time(xml))
    http.engine.step(AddOrder(order=definition, at=at))


async def listed(http: HttpEngine, attributes: str) -> list[str]:
    answer = await http.xml(f"<show_calendar {attributes}/>")
    calendar = answer.find("calendar")
    assert calendar is not None
    return [
        " ".join([str(child.tag), *(f"{name!s}={value!s}" for name, value in child.items())])
        for child in calendar
    ]


async def test_e97_a_start_exactly_at_from_is_not_listed() -> None:
    http = engine(job('<run_time><period single_start="10:00"/></run_time>'))
    assert await listed(http, 'from="2030-01-01T10:00:00" before="2030-01-04T00:00:00"') == [
        "period single_start=2030-01-02T10:00:00Z job=/job",
        "period single_start=2030-01-03T10:00:00Z job=/job",
    ]


async def test_e98_a_repeat_is_one_element_a_period_with_its_true_begin() -> None:
    http = engine(job('<run_time><period begin="09:00" end="10:00" repeat="00:10"/></run_time>'))
    assert await listed(http, 'from="2030-01-01T09:30:00" before="2030-01-03T00:00:00"') == [
        "period begin=2030-01-01T09:00:00Z end=2030-01-01T10:00:00Z repeat=600 job=/job",
        "period begin=2030-01-02T09:00:00Z end=2030-01-02T10:00:00Z repeat=600 job=/job",
    ]


async def test_e99_plain_periods_are_not_listed() -> None:
    http = engine(job('<run_time><period begin="09:00" end="10:00"/></run_time>'))
    assert await listed(http, 'from="2030-01-01T09:30:00" before="2030-01-04T00:00:00"') == []


async def test_e100_let_run_is_shown_and_a_limit_kept() -> None:
    http = engine(job('<run_time let_run="yes" repeat="3600"/>'))
    found = await listed(http, 'from="2030-01-01T00:00:00" before="2030-02-01T00:00:00" limit="2"')
    assert found == [
        "period begin=2030-01-01T00:00:00Z end=2030-01-02T00:00:00Z let_run=yes repeat=3600 job=/job",
        "period begin=2030-01-02T00:00:00Z end=2030-01-03T00:00:00Z let_run=yes repeat=3600 job=/job",
    ]


async def test_e101_each_period_names_the_schedule_that_it_is_from() -> None:
    http = engine(
        schedule("base", '<schedule><period single_start="00:11"/></schedule>'),
        schedule(
            "s",
            '<schedule substitute="/base" valid_from="2030-01-03 00:00:00" '
            'valid_to="2030-01-03 24:00:00"><period single_start="00:44"/></schedule>',
        ),
        job('<run_time schedule="/base"/>'),
    )
    assert await listed(http, 'from="2030-01-02T00:00:00" before="2030-01-05T00:00:00"') == [
        "period single_start=2030-01-02T00:11:00Z schedule=/base job=/job",
        "period single_start=2030-01-03T00:44:00Z schedule=/s job=/job",
        "period single_start=2030-01-04T00:11:00Z schedule=/base job=/job",
    ]


async def test_e102_local_midnights_are_shown_in_utc() -> None:
    http = engine(job('<run_time repeat="60"/>'), zone="Europe/Berlin")
    limits = 'from="2030-01-01T00:00:00+01:00" before="2030-01-03T00:00:00+01:00"'
    assert await listed(http, limits) == [
        "period begin=2029-12-31T23:00:00Z end=2030-01-01T23:00:00Z repeat=60 job=/job",
        "period begin=2030-01-01T23:00:00Z end=2030-01-02T23:00:00Z repeat=60 job=/job",
    ]


async def test_without_limits_it_shows_a_week_and_a_second() -> None:
    http = engine(
        job('<run_time><period single_start="00:00"/></run_time>'), now="2030-01-01 12:00"
    )
    found = await listed(http, "")
    assert found[0] == "period single_start=2030-01-02T00:00:00Z job=/job"
    assert found[-1] == "period single_start=2030-01-08T00:00:00Z job=/job"


async def test_several_dates_of_one_day_are_all_shown() -> None:
    dates = "".join(
        f'<date date="2030-01-02"><period single_start="0{hour}:00"/></date>' for hour in (1, 2)
    )
    http = engine(job(f"<run_time>{dates}</run_time>"))
    assert [line[20:40] for line in await listed(http, "")] == [
        "2030-01-02T01:00:00Z",
        "2030-01-02T02:00:00Z",
    ]


async def test_when_holiday_is_shown_if_it_is_not_suppress() -> None:
    xml = '<run_time><period begin="09:00" repeat="60" when_holiday="ignore_holiday"/></run_time>'
    (line, *_) = await listed(engine(job(xml)), "")
    assert "when_holiday=ignore_holiday" in line


async def test_stopped_and_incomplete_jobs_are_not_shown() -> None:
    daily = '<run_time><period single_start="10:00"/></run_time>'
    http = engine(job(daily))
    http.engine.step(ModifyJob(job=job_key("job"), action=JobAction.STOP))
    assert await listed(http, "") == []
    lacking = job(daily, monitors=(MonitorUse(path=MonitorPath("/missing")),))
    assert await listed(engine(lacking), "") == []


async def test_a_queued_task_comes_after_the_periods_of_its_job_and_counts() -> None:
    http = engine(job('<run_time><period single_start="10:00"/></run_time>'))
    http.engine.step(StartJob(job=job_key("job"), at=AfterDelay(delay=seconds(3600))))
    limits = 'from="2030-01-01T00:00:00" before="2030-01-02T00:00:00"'
    assert await listed(http, limits) == [
        "period single_start=2030-01-01T10:00:00Z job=/job",
        "at at=2030-01-01T01:00:00Z job=job task=1",
    ]
    assert len(await listed(http, f'{limits} limit="1"')) == 1


async def test_orders_are_shown_when_asked_for_with_their_next_start_and_periods() -> None:
    http = engine()
    add(http, "a b", '<run_time><period single_start="10:00"/></run_time>')
    limits = 'from="2030-01-01T00:00:00" before="2030-01-02T00:00:00"'
    assert await listed(http, limits) == []
    assert await listed(http, f'{limits} what="orders"') == [
        "at at=2030-01-01T10:00:00Z job_chain=/walk order=a b",
        "period single_start=2030-01-01T10:00:00Z job_chain=/walk order=a b",
    ]
    # The next start of a waiting order is not counted.
    assert len(await listed(http, f'{limits} what="orders" limit="1"')) == 2


async def test_an_order_with_a_start_time_only_is_shown_by_it() -> None:
    http = engine()
    add(http, "x", at=AtInstant(at=moment("2030-01-01 09:00")))
    assert await listed(http, 'what="orders"') == [
        "at at=2030-01-01T09:00:00Z job_chain=/walk order=x"
    ]


async def test_a_suspended_order_shows_its_periods_only() -> None:
    http = engine()
    add(http, "x", '<run_time><period single_start="10:00"/></run_time>')
    key = OrderKey(chain_key("walk"), OrderId("x"))
    http.engine.step(ModifyOrder(order=key, suspended=True))
    found = await listed(http, 'before="2030-01-02T00:00:00" what="orders"')
    assert found == ["period single_start=2030-01-01T10:00:00Z job_chain=/walk order=x"]


async def test_an_order_in_setback_says_so() -> None:
    http = engine()
    http.engine.step(ApplyDefinitions(defined=(shell_job("work", **setback((1, 600), most=3)),)))
    http.engine.step(
        ApplyDefinitions(defined=(chain("walk", node("1", "work", on_error=OnError.SETBACK)),))
    )
    add(http, "x")
    http.engine.launch()
    http.engine.end(code=1)
    (line,) = await listed(http, 'what="orders"')
    assert line == "at at=2030-01-01T00:10:00Z job_chain=/walk order=x setback=true"


# --- what other answers say of run times ---------------------------------------------------------


async def shown_job(http: HttpEngine, path: str) -> Element:
    found = (await http.xml(f'<show_job job="{path}"/>')).find("job")
    assert found is not None
    return found


async def test_the_next_start_of_an_order_job_is_that_of_an_order_in_its_period() -> None:
    http = engine()
    date = '<date date="2030-03-05"><period begin="10:00" end="11:00"/></date>'
    worker = shell_job("work", run_time=run_time(f"<run_time>{date}</run_time>"))
    http.engine.step(ApplyDefinitions(defined=(worker,)))
    assert (await shown_job(http, "/work")).get("next_start_time") is None
    add(http, "x", at=AtInstant(at=moment("2030-03-05 09:00")))
    shown = await shown_job(http, "/work")
    assert shown.get("next_start_time") == "2030-03-05T10:00:00.000Z"
    assert shown.get("in_period") == "no"
    http.engine.step(ModifyJob(job=job_key("work"), action=JobAction.STOP))
    assert (await shown_job(http, "/work")).get("next_start_time") is None


async def test_a_running_job_shows_its_next_single_start() -> None:
    http = engine(job('<run_time><period single_start="10:00"/></run_time>'))
    http.engine.step(StartJob(job=job_key("job")))
    shown = await shown_job(http, "/job")
    assert shown.get("state") == "running"
    assert shown.get("next_start_time") == "2030-01-01T10:00:00.000Z"


async def test_the_schedule_in_force_is_shown_by_its_users_and_by_itself() -> None:
    http = engine(
        schedule("base", '<schedule><period single_start="10:00"/></schedule>'),
        schedule("s", '<schedule substitute="/base" valid_from="2030-02-01 00:00:00"/>'),
        job('<run_time schedule="/base"/>'),
    )
    add(http, "x", '<run_time schedule="/base"/>')
    assert (await shown_job(http, "/job")).get("active_schedule") == "/base"
    http.engine.time = moment("2030-02-02")
    assert (await shown_job(http, "/job")).get("active_schedule") == "/s"
    order = (await http.xml('<show_order job_chain="/walk" order="x"/>')).find("order")
    assert order is not None
    assert order.get("active_schedule") == "/s"
    shown = {each.get("path"): each for each in await schedules(http)}
    assert shown["/base"].get("active") == "no"
    assert shown["/base"].get("now_covered_by_schedule") == "/s"
    assert shown["/s"].get("active") == "yes"


async def test_substitutes_that_are_not_allowed_say_why() -> None:
    http = engine(
        schedule("base", "<schedule/>"),
        schedule("s", '<schedule substitute="/base" valid_from="2030-02-01 00:00:00"/>'),
        schedule("t", '<schedule substitute="/s" valid_from="2030-02-01 00:00:00"/>'),
        schedule("u", '<schedule substitute="/base" valid_from="2030-03-01 00:00:00"/>'),
        schedule("v", '<schedule substitute="/nowhere"/>'),
    )
    codes = {}
    states = {}
    for each in await schedules(http):
        problem = each.find("file_based/ERROR")
        codes[each.get("path")] = None if problem is None else problem.get("code")
        part = each.find("file_based")
        assert part is not None
        states[each.get("path")] = part.get("state")
    assert codes == {
        "/base": None,
        "/s": None,
        "/t": "SCHEDULER-463",
        "/u": "SCHEDULER-465",
        "/v": None,
    }
    assert states["/v"] == "incomplete"


async def schedules(http: HttpEngine) -> list[Element]:
    answer = await http.xml('<show_state what="schedules folders" subsystems="folder schedule"/>')
    return [each for each in answer.iter("schedule") if each.get("path")]


async def test_a_schedule_that_never_was_readable_is_shown_with_its_error() -> None:
    http = engine()
    ref = ObjectRef(kind=ObjectKind.SCHEDULE, path="/self")
    broken = BrokenFile(
        object=ref, file="self.schedule.xml", findings=("SCHEDULER-486 It substitutes itself",)
    )
    http.engine.step(ApplyDefinitions(broken=(broken,)))
    (shown,) = await schedules(http)
    problem = shown.find("file_based[@state='undefined']/ERROR")
    assert problem is not None
    assert problem.get("code") == "SCHEDULER-486"


WRITTEN = '<run_time><period begin="8:00" end="10:00" repeat="00:10"/></run_time>'


async def test_a_calendar_given_by_command_is_shown_as_it_was_written() -> None:
    http = engine(job("<run_time/>"))
    shows = '<show_order job_chain="/walk" order="x" what="run_time"/>'
    await http.xml(f'<order job_chain="/walk" id="x">{WRITTEN}</order>')
    assert (await http.xml(shows)).xpath("//run_time/period/@begin") == ["8:00"]
    later = WRITTEN.replace("8:00", "9:00")
    await http.xml(f'<modify_order job_chain="/walk" order="x">{later}</modify_order>')
    assert (await http.xml(shows)).xpath("//run_time/period/@begin") == ["9:00"]
    await http.xml(f'<modify_job job="/job">{WRITTEN}</modify_job>')
    shown = await http.xml('<show_job job="/job" what="run_time"/>')
    assert shown.xpath("//run_time/period/@repeat") == ["00:10"]


async def test_a_calendar_of_a_file_is_shown_as_it_is_written_there() -> None:
    xml = f'<job><script language="shell">x</script>{WRITTEN}</job>'
    source = replace(file_source("job.job.xml"), xml=xml)
    http = engine(job(WRITTEN, source=source))
    shown = await http.xml('<show_job job="/job" what="run_time"/>')
    assert shown.xpath("//run_time/period/@repeat") == ["00:10"]
    await http.xml('<modify_job job="/job"><run_time><period repeat="5"/></run_time></modify_job>')
    shown = await http.xml('<show_job job="/job" what="run_time"/>')
    assert shown.xpath("//run_time/period/@repeat") == ["5"]
