"""`scheduler.xml`: settings, objects, base files, start commands (live-folder.md 10)."""

from collections.abc import Mapping
from datetime import UTC

import pytest

from engine.codec.xml.main_configuration import (
    AllowedHost,
    EventJobs,
    Ports,
    PortSetting,
    SchedulerXml,
    read_main_configuration,
)
from engine.codec.xml.queries import Permission
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.kernel.commands import ObjectKind
from engine.kernel.definitions import Job, ProcessClass
from engine.kernel.params import NO_PARAMS
from tests.support.xml_files import SCRIPT, files


def read(
    config: str,
    *,
    engine_id: str = "",
    bases: Mapping[str, str] | None = None,
    includes: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SchedulerXml:
    """Read a configuration with its `<spooler>` around it."""
    known = bases or {}

    def read_base(file: str) -> bytes:
        if file not in known:
            raise FileNotFoundError(2, "No such file", file)
        return f"<spooler>{known[file]}</spooler>".encode()

    context = Context(
        zone=UTC,
        environment=Variables(environment or {}),
        read_include=files(includes or {}),
        engine_id=engine_id,
    )
    text = f"<spooler>{config}</spooler>"
    return read_main_configuration(text.encode(), "scheduler.xml", context, read_base)


def told(config: str, **more: Mapping[str, str]) -> list[str]:
    """Return the findings as text."""
    return [str(one) for one in read(config, bases=more.get("bases")).findings]


def test_a_configuration_without_anything_says_nothing() -> None:
    assert read("<config/>") == SchedulerXml()


def test_settings_are_read() -> None:
    found = read(
        '<config spooler_id="my" port="4444" udp_port="0" http_port="127.0.0.1:40444" '
        'https_port="48444" ip_address="10.0.0.1" log_dir="$LOGS" include_path="inc" '
        'configuration_directory="${LIVE}" central_configuration_directory="r" '
        'configuration_add_event="/on/add" configuration_modify_event="m" '
        'configuration_delete_event="d" supervisor="h:1" time_zone="Europe/Berlin" '
        'param="free" mail_xslt_stylesheet="x" priority_max="1000"/>',
        environment={"LOGS": "/l", "LIVE": "/live"},
    )
    assert not found.findings
    place = found.ports.tcp_port.place if found.ports.tcp_port else ""
    assert place.startswith("scheduler.xml:")
    assert found.ports == Ports(
        tcp_port=PortSetting("4444", place),
        http_port=PortSetting("127.0.0.1:40444", place),
        https_port=PortSetting("48444", place),
        ip_address=PortSetting("10.0.0.1", place),
    )
    assert (found.log_dir, found.live_folder, found.central_folder) == ("/l", "/live", "r")
    assert found.event_jobs == EventJobs(added="/on/add", modified="/m", deleted="/d")
    assert found.supervisor == "h:1"
    assert found.main.scheduler_id == "my"
    assert found.main.include_path == "inc"
    assert found.main.time_zone == "Europe/Berlin"


@pytest.mark.parametrize(
    "attribute",
    ['tcp_port="x"', 'port="65536"', 'udp_port="h:1"', 'http_port=":"', 'https_port="-1"'],
)
def test_a_port_that_is_none_is_told_with_its_line(attribute: str) -> None:
    [finding] = read(f"<config {attribute}/>").errors
    assert attribute.split("=", maxsplit=1)[0] in finding.text
    assert "a port number" in finding.advice


def test_a_later_file_may_close_a_port_of_its_base_file() -> None:
    base = "<config port='4444' http_port='5555'/>"
    found = read('<config tcp_port="0"><base file="b.xml"/></config>', bases={"b.xml": base})
    assert found.ports.tcp_port is None
    assert found.ports.udp_port is not None
    assert found.ports.udp_port.place.startswith("b.xml:1")
    assert found.ports.http_port is not None


def test_the_security_tells_what_hosts_may_do() -> None:
    assert read("<config/>").allowed_hosts is None
    found = read(
        '<config><security ignore_unknown_hosts="yes"><allowed_host host="127.0.0.1" level="all"/>'
        '<allowed_host host="0.0.0.0" level="no_add"/></security></config>'
    )
    assert found.allowed_hosts == (
        AllowedHost(host="127.0.0.1", level=Permission.ALL),
        AllowedHost(host="0.0.0.0", level=Permission.NO_ADD),
    )


def test_objects_live_in_the_root_folder_and_have_no_file() -> None:
    found = read(
        "<config>"
        '<params><param name="a" value="$X"/></params>'
        '<process_classes ignore="yes"><process_class max_processes="3"/>'
        '<process_class name="p"/></process_classes>'
        '<schedules><schedule name="s"/></schedules><locks><lock name="f/l"/></locks>'
        '<holidays><holiday date="2030-01-01"/></holidays>'
        f'<jobs><job name="J">{SCRIPT}</job></jobs>'
        '<job_chains><job_chain name="c"><job_chain_node state="1" job="/J"/></job_chain>'
        '</job_chains><commands><order job_chain="c" id="1"/><check_folders/></commands>'
        '<monitors><monitor name="m"><script language="javascript">1</script></monitor></monitors>'
        "</config>",
        environment={"X": "x"},
    )
    assert not found.findings
    assert found.keys == {
        (ObjectKind.PROCESS_CLASS, ""),
        (ObjectKind.PROCESS_CLASS, "/p"),
        (ObjectKind.SCHEDULE, "/s"),
        (ObjectKind.LOCK, "/f/l"),
        (ObjectKind.JOB, "/j"),
        (ObjectKind.CHAIN, "/c"),
        (ObjectKind.MONITOR, "/m"),
    }
    assert len(found.definitions) == 7
    assert all(one.source is None for one in found.definitions)
    default = found.definitions[0]
    assert isinstance(default, ProcessClass)
    assert (default.path, default.max_processes) == ("", 3)
    assert found.main.params == {"a": "x"}
    assert found.main.ignore_process_classes
    assert found.main.holidays is not None
    assert found.main.holidays.dates == ("2030-01-01",)
    assert found.start_commands == ('<order job_chain="c" id="1"/>', "<check_folders/>")


def test_base_files_are_read_first_and_later_ones_win() -> None:
    found = read(
        '<config time_zone="UTC"><base file="b/one.xml"/><base file="$TWO"/>'
        '<params><param name="c" value="main"/></params></config>',
        environment={"TWO": "two.xml"},
        bases={
            "b/one.xml": '<config time_zone="Asia/Tokyo" log_dir="one"><base file="deep.xml"/>'
            '<params><param name="a" value="one"/><param name="b" value="one"/>'
            '<param name="c" value="one"/></params></config>',
            "b/deep.xml": '<config><params><param name="a" value="deep"/><param name="d" '
            f'value="deep"/></params><jobs><job name="j">{SCRIPT}</job></jobs></config>',
            "two.xml": '<config><params><param name="b" value="two"/></params></config>',
        },
    )
    assert not found.findings
    assert found.main.params == {"a": "one", "b": "two", "c": "main", "d": "deep"}
    assert (found.main.time_zone, found.log_dir) == ("UTC", "one")
    assert isinstance(found.definitions[0], Job)


def test_base_files_in_a_circle_are_told() -> None:
    assert any(
        "nested too deep" in one
        for one in told(
            '<config><base file="a"/></config>', bases={"a": '<config><base file="a"/></config>'}
        )
    )


def test_only_the_configuration_of_this_engine_is_used() -> None:
    two = '<config spooler_id="a" log_dir="A"/><config spooler_id="b" log_dir="B"/>'
    assert read(two, engine_id="b").log_dir == "B"
    assert read('<config spooler_id="a"/>').main.scheduler_id == "a"
    assert [one.code for one in read(two, engine_id="c").errors] == ["SCHEDULER-479"]
    assert [one.code for one in read("<config/><config/>").errors] == ["SCHEDULER-480"]


def test_includes_begin_in_the_include_path() -> None:
    found = read(
        '<config include_path="inc"><params><include file="p.xml"/><include live_file="q.xml"/>'
        "</params></config>",
        includes={
            "inc/p.xml": '<params><param name="a" value="1"/></params>',
            "/q.xml": '<params><param name="b" value="2"/></params>',
        },
    )
    assert found.main.params == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("config", "place", "text"),
    [
        ("<config tcp_prt='1'/>", "1:18", "Did you mean 'tcp_port'"),
        ("<config java_options='x'/>", "1:18", "SCHEDULER-475"),
        ("<config time_zone='Mars'/>", "1:18", "time_zone='Mars'"),
        ("<config><job/></config>", "1:18", "Did you mean 'jobs'"),
        ("<config><jobs><job/></jobs></config>", "1:24", "needs the attribute 'name'"),
        ("<config><schedules><schedule/></schedules></config>", "1:29", "attribute 'name'"),
        ("<config><base file='x'/></config>", "1:24", "SCHEDULER-399"),
        ("<config><commands><show/></commands></config>", "1:28", "There is no command <show>"),
        ("<config><commands><start_job/></commands></config>", "1:28", "attribute 'job'"),
        (
            "<config><security><allowed_host host='x' level='some'/></security></config>",
            "1:51",
            "no_add",
        ),
        (
            f"<config><jobs><job name='a'>{SCRIPT}</job><job name='A'>{SCRIPT}</job></jobs></config>",
            "1:89",
            "SCHEDULER-148",
        ),
        ("<config><locks><lock name='a'/><lock name='a'/></locks></config>", "1:47", "twice"),
        ("<config><locks><lock name='../a'/></locks></config>", "1:31", "SCHEDULER-461"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(config: str, place: str, text: str) -> None:
    (finding,) = told(config)
    assert finding.startswith(f"scheduler.xml:{place}: error: ")
    assert text in finding


def test_what_has_no_effect_is_told_as_warning() -> None:
    found = read(
        "<config><plugins><plugin java_class='com.sos.scheduler.engine.plugins.nodeorder."
        "NodeOrderPlugin'/><plugin java_class='x'/></plugins><cluster heart_beat_timeout='60'/>"
        "<script language='java:javascript'>1</script><http_server/></config>"
    )
    assert not found.errors
    assert len(found.findings) == 4


def test_a_file_of_another_kind_is_refused() -> None:
    context = Context(zone=UTC)
    for data in (b"<job/>", b"<spooler>", b""):
        found = read_main_configuration(data, "scheduler.xml", context, lambda _: b"")
        assert len(found.errors) == 1
        assert found.main.params == NO_PARAMS
