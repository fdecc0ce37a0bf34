"""Orders, process classes, locks, monitors and schedules from XML; names of files."""

import pytest

from engine.codec.xml.definition_files import file_name
from engine.kernel.calendar import RunTime
from engine.kernel.commands import ObjectKind, ObjectRef
from engine.kernel.definitions import (
    AgentReference,
    Lock,
    Monitor,
    NativeScript,
    ProcessClass,
    ScheduleFile,
    Select,
)
from engine.kernel.ids import AgentUri, NodeState, OrderId, OrderKey, chain_key
from engine.kernel.instants import Duration, Instant, seconds
from tests.support.xml_files import content, definition, order, told

# --- file names ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "kind", "path"),
    [
        ("a.job.xml", ObjectKind.JOB, "/a"),
        ("f/g/a.b.job.xml", ObjectKind.JOB, "/f/g/a.b"),
        ("f/A, b #ü.job_chain.xml", ObjectKind.CHAIN, "/f/A, b #ü"),
        ("c,1,2.order.xml", ObjectKind.ORDER, "/c,1,2"),
        ("p.process_class.xml", ObjectKind.PROCESS_CLASS, "/p"),
        ("l.lock.xml", ObjectKind.LOCK, "/l"),
        ("s.schedule.xml", ObjectKind.SCHEDULE, "/s"),
        ("m.monitor.xml", ObjectKind.MONITOR, "/m"),
    ],
)
def test_a_file_name_says_kind_and_path(file: str, kind: ObjectKind, path: str) -> None:
    name = file_name(file)
    assert name is not None
    assert name.ref == ObjectRef(kind=kind, path=path)


@pytest.mark.parametrize(
    "file",
    [
        "a.xml",
        "a.job.XML",
        "a.job.xml~",
        "holidays.xml",
        "c.config.xml",
        "x.params.xml",
        "job.xml",
        ".job.xml",
        "f/.order.xml",
        "a.job.xml.bak",
    ],
)
def test_other_files_are_no_objects(file: str) -> None:
    assert file_name(file) is None


def test_names_of_jobs_and_chains_have_no_case() -> None:
    def key(file: str) -> tuple[ObjectKind, str]:
        name = file_name(file)
        assert name is not None
        return name.key

    assert key("A.job.xml") == key("a.job.xml")
    assert key("A,x.order.xml") == key("a,x.order.xml")
    assert key("f/A.job.xml") == key("f/a.job.xml")
    assert key("F/a.job.xml") != key("f/a.job.xml"), "folders have case"
    assert key("F/a,x.order.xml") != key("f/a,x.order.xml")
    assert key("a,X.order.xml") != key("a,x.order.xml")
    assert key("A.lock.xml") != key("a.lock.xml")
    assert key("A.schedule.xml") != key("a.schedule.xml")


# --- orders --------------------------------------------------------------------------------------


def test_an_order_file_names_chain_and_order() -> None:
    assert order().key == OrderKey(chain_key("/f/c"), OrderId("1"))
    assert order().run_time is None


def test_the_id_of_an_order_begins_behind_the_first_comma() -> None:
    name = file_name("Chain,a,b c.order.xml")
    assert name is not None
    assert name.order_key == OrderKey(chain_key("/chain"), OrderId("a,b c"))


def test_a_web_service_that_does_not_exist_is_told_with_the_order() -> None:
    [finding] = told("c,1.order.xml", '<order web_service="nope"/>')
    assert finding.startswith("c,1.order.xml:1:8: warning: SCHEDULER-161 There is no Web_service")


def test_all_attributes_and_children_of_an_order_are_read() -> None:
    read = order(
        '<params><param name="a" value="$X"/></params><run_time/>'
        "<xml_payload><x><y/></x></xml_payload>",
        'job_chain="C" id="1" title="T" priority="-3" state="s" end_state="e" suspended="yes" '
        'web_service="w"',
        environment={"X": "x"},
    )
    assert (read.title, read.priority, read.suspended, read.web_service) == ("T", -3, True, "w")
    assert (read.state, read.end_state) == (NodeState("s"), NodeState("e"))
    assert read.params == {"a": "x"}
    assert read.run_time == RunTime()
    assert read.xml_payload == "<x><y/></x>"


def test_parameters_of_an_order_may_stand_in_its_payload() -> None:
    inner = '<payload><params><param name="a" value="1"/></params></payload>'
    assert order(inner).params == {"a": "1"}


def test_an_order_file_may_have_the_root_of_the_command() -> None:
    assert definition("c,1.order.xml", "<add_order title='x'/>")


def test_an_order_file_may_name_its_first_start_beside_a_run_time() -> None:
    assert order(attributes='at="now"').first_delay == 0
    assert order(attributes='at="now+60"').first_delay == seconds(60)
    dated = order("<run_time/>", attributes='at="2030-01-02 10:00"')
    assert (dated.first_start, dated.run_time) == (Instant(1_893_578_400_000), RunTime())
    assert not told("c,1.order.xml", "<order at='2030-01-02 10:00'><run_time/></order>")


def test_long_titles_are_cut() -> None:
    assert order(attributes=f'title="{"x" * 500}"').title == "x" * 200


@pytest.mark.parametrize(
    ("name", "attributes", "code"),
    [
        ("nothing.order.xml", "", "SCHEDULER-435"),
        (",1.order.xml", "", "SCHEDULER-435"),
        ("c,.order.xml", "", "SCHEDULER-435"),
        ("c,1.order.xml", 'id="2"', "SCHEDULER-436"),
        ("c,1.order.xml", 'job_chain="d"', "SCHEDULER-437"),
        ("c,1.order.xml", 'replace="no"', "SCHEDULER-232"),
        (f"c,{'x' * 251}.order.xml", "", "SCHEDULER-344"),
    ],
)
def test_an_order_that_contradicts_its_file_name_is_refused(
    name: str, attributes: str, code: str
) -> None:
    (finding,) = told(name, f"<order {attributes}/>")
    assert f" {code} " in finding


# --- process classes and locks -------------------------------------------------------------------


def process_class(text: str) -> ProcessClass:
    read = definition("p.process_class.xml", text)
    assert isinstance(read, ProcessClass)
    return read


def test_a_process_class_without_anything_is_a_limit_of_thirty() -> None:
    assert process_class("<process_class/>") == ProcessClass(
        path=process_class("<process_class/>").path,
        max_processes=30,
        source=process_class("<process_class/>").source,
    )


def test_the_agents_of_a_process_class_are_read_the_attributes_first() -> None:
    read = process_class(
        '<process_class max_processes="10" remote_scheduler="http://z:1/" timeout="20">'
        '<remote_schedulers select="next"><remote_scheduler remote_scheduler="https://a:2"/>'
        '<remote_scheduler remote_scheduler="http://b:3" http_heartbeat_period="5" '
        'http_heartbeat_timeout="30"/></remote_schedulers></process_class>'
    )
    assert (read.max_processes, read.select, read.timeout) == (10, Select.NEXT, seconds(20))
    assert read.agents == (
        AgentReference(uri=AgentUri("http://z:1")),
        AgentReference(uri=AgentUri("https://a:2")),
        AgentReference(
            uri=AgentUri("http://b:3"),
            heartbeat_period=seconds(5),
            heartbeat_timeout=seconds(30),
        ),
    )


@pytest.mark.parametrize(
    ("attributes", "period_s", "timeout_s"),
    [
        ("", 10, 60),
        ('http_heartbeat_period="20"', 20, 60),
        ('http_heartbeat_timeout="120"', 10, 120),
        ('http_heartbeat_timeout="5"', 2.5, 5),
        ('http_heartbeat_timeout="10"', 5, 10),
    ],
)
def test_heartbeat_period_and_timeout_default_on_their_own(
    attributes: str, period_s: float, timeout_s: float
) -> None:
    read = process_class(
        '<process_class><remote_schedulers><remote_scheduler remote_scheduler="http://a:1" '
        f"{attributes}/></remote_schedulers></process_class>"
    )
    assert read.agents[0].heartbeat_period == seconds(period_s)
    assert read.agents[0].heartbeat_timeout == seconds(timeout_s)


@pytest.mark.parametrize(
    "attributes",
    [
        'http_heartbeat_period="60"',
        'http_heartbeat_period="70"',
        'http_heartbeat_period="10" http_heartbeat_timeout="10"',
        'http_heartbeat_period="0"',
    ],
)
def test_a_period_that_is_not_shorter_than_the_timeout_is_refused(attributes: str) -> None:
    (finding,) = told(
        "p.process_class.xml",
        '<process_class><remote_schedulers><remote_scheduler remote_scheduler="http://a:1" '
        f"{attributes}/></remote_schedulers></process_class>",
    )
    assert "error: http_heartbeat_period" in finding


@pytest.mark.parametrize("uri", ["a b", "http://a b:1", "http://a:1/%zz", "http://{a}:1"])
def test_what_cannot_be_a_uri_is_no_address_of_an_agent(uri: str) -> None:
    (finding,) = told("p.process_class.xml", f'<process_class remote_scheduler="{uri}"/>')
    assert "Allowed: http://HOST:PORT" in finding


@pytest.mark.parametrize("uri", ["http:", "ftp://a:1", "http://a:x", "http://a:99999", "a"])
def test_a_uri_that_leads_to_no_agent_is_kept_with_a_warning(uri: str) -> None:
    """JS-1187: the class is there, and the tasks fail."""
    read = content("p.process_class.xml", f'<process_class remote_scheduler="{uri}"/>')
    assert isinstance(read.definition, ProcessClass)
    assert [agent.is_usable for agent in read.definition.agents] == [False]
    assert [one.severity.value for one in read.findings] == ["warning"]


def test_the_address_of_a_classic_agent_is_taken_as_http_with_a_warning() -> None:
    read = content("p.process_class.xml", '<process_class remote_scheduler="host:4445"/>')
    assert isinstance(read.definition, ProcessClass)
    assert read.definition.agents == (AgentReference(uri=AgentUri("http://host:4445")),)
    assert [one.severity.value for one in read.findings] == ["warning"]


def test_a_lock_may_limit_its_shared_holders() -> None:
    for attribute, expected in (("", None), ('max_non_exclusive="0"', 0)):
        read = definition("l.lock.xml", f"<lock {attribute}/>")
        assert isinstance(read, Lock)
        assert (read.path, read.max_non_exclusive) == ("/l", expected)


# --- monitors and schedules ----------------------------------------------------------------------


def test_a_named_monitor_is_read() -> None:
    read = definition(
        "f/m.monitor.xml",
        '<monitor name="M" ordering="7"><script language="java" java_class='
        '"sos.scheduler.managed.configuration.ConfigurationOrderMonitor"/></monitor>',
    )
    assert isinstance(read, Monitor)
    assert (read.path, read.ordering) == ("/f/m", 7)
    assert isinstance(read.script, NativeScript)
    assert read.script.kind == "configuration_monitor"


def test_a_schedule_is_read_with_its_substitute() -> None:
    read = definition(
        "f/s.schedule.xml",
        '<schedule title="T" substitute="../base" valid_from="2030-01-01 00:00">'
        '<period repeat="10"/></schedule>',
    )
    assert isinstance(read, ScheduleFile)
    assert read.schedule.path == "/f/s"
    assert read.schedule.substitute == "/base"
    assert read.schedule.run_time.periods[0].repeat == Duration(10_000)


def test_a_schedule_file_may_have_the_root_run_time() -> None:
    read = definition("s.schedule.xml", '<run_time><period begin="10:00"/></run_time>')
    assert isinstance(read, ScheduleFile)


def test_a_name_inside_the_file_may_differ_in_case_only() -> None:
    assert definition("Lock.lock.xml", '<lock name="lOCK"/>')
    (finding,) = told("l.lock.xml", '<lock name="m"/>')
    assert "SCHEDULER-429" in finding


def test_names_that_are_not_in_the_originals_character_set_are_refused() -> None:
    (finding,) = told("€.lock.xml", "<lock/>")
    assert "SCHEDULER-417" in finding


def test_attributes_of_editors_on_the_root_are_ignored() -> None:
    assert definition(
        "l.lock.xml",
        '<lock xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
        'xsi:noNamespaceSchemaLocation="http://www.sos-berlin.com/schema/scheduler.xsd"/>',
    )
