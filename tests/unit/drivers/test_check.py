"""`pointsman check`: fifty broken files, each with one finding; references between files."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.codec.xml.findings import Finding, Severity
from engine.drivers.check import check_folder
from engine.drivers.folder_watch import LiveFolder
from engine.kernel.instants import from_datetime

SCRIPT = '<script language="shell">exit 0</script>'
NODE = '<job_chain_node state="1" job="good"/>'
NOW = from_datetime(datetime(2030, 1, 1, tzinfo=UTC))

BROKEN: list[tuple[str, str, int, str, str]] = [
    # file, content, line, what is told, advice
    ("j01.job.xml", "", 1, "empty", "still being written"),
    ("j02.job.xml", f"<job>\n{SCRIPT}", 2, "not finished|Premature|end", ""),
    ("j03.job.xml", f"<job>\n{SCRIPT}\n</jobb>", 3, "mismatch", "Close each element"),
    ("j04.job.xml", f"<job title=x>{SCRIPT}</job>", 1, "AttValue", "quotes"),
    ("j05.job.xml", f"<job>\n<params><param name='a' value='1 & 2'/></params>{SCRIPT}</job>", 2,
     "EntityRef", "&amp;"),
    ("j06.job.xml", f'<!DOCTYPE job [<!ENTITY a "b">]>\n<job title="&a;">{SCRIPT}</job>', 1,
     "DOCTYPE", "Remove"),
    ("j07.job.xml", f"<job title='\x07'>{SCRIPT}</job>", 1, "well-formed", ""),
    ("j08.job.xml", "<?xml version='1.0' encoding='klingon'?><job/>", 1, "klingon", "UTF-8"),
    ("j09.job.xml", "<job_chain/>", 1, "root element is <job_chain>", "begins with <job>"),
    ("j10.job.xml", f"<job>\n{SCRIPT}\n<run_tyme/></job>", 3, "<run_tyme>", "'run_time'"),
    ("j11.job.xml", f'<job\n stop_on_eror="no">{SCRIPT}</job>', 2, "'stop_on_eror'",
     "'stop_on_error'"),
    ("j12.job.xml", f'<job tasks="many">{SCRIPT}</job>', 1, "tasks='many'", "whole number"),
    ("j13.job.xml", f'<job order="ja">{SCRIPT}</job>', 1, "order='ja'", "yes, no"),
    ("j14.job.xml", f'<job visible="maybe">{SCRIPT}</job>', 1, "visible", "never"),
    ("j15.job.xml", f'<job timeout="1 hour">{SCRIPT}</job>', 1, "timeout", "HH:MM"),
    ("j16.job.xml", f'<job stderr_log_level="debug">{SCRIPT}</job>', 1, "stderr", "info, error"),
    ("j17.job.xml", f'<job priority="highest">{SCRIPT}</job>', 1, "priority", "above_normal"),
    ("j18.job.xml", f'<job warn_if_longer_than="50 %">{SCRIPT}</job>', 1, "warn_if", "NN%"),
    ("j19.job.xml", f'<job ignore_signals="SIG TERM!">{SCRIPT}</job>', 1, "signals", "SIGTERM"),
    ("j20.job.xml", f'<job order="yes" temporary="yes">{SCRIPT}</job>', 1, "temporary",
     "Remove temporary"),
    ("j21.job.xml", ('<job tasks="1" min_tasks="2"><script language="java" java_class='
     '"sos.scheduler.job.SOSSSHJob2JSAdapter"/></job>'), 1, "min_tasks=2", "Raise tasks"),
    ("j22.job.xml", "<job>\n</job>", 1, "no script", "<script"),
    ("j23.job.xml", '<job>\n<script language="shell"> \n</script></job>', 2, "empty", "commands"),
    ("j24.job.xml", f"<job>{SCRIPT}\n{SCRIPT}</job>", 2, "more than one <script>", "Keep one"),
    ("j25.job.xml", f"<job>words\n{SCRIPT}</job>", 1, "no text belongs", "Remove"),
    ("j26.job.xml", f"<job><params>\n<param name='a'/></params>{SCRIPT}</job>", 2,
     "needs the attribute 'value'", "value="),
    ("j27.job.xml", f"<job><params>\n<include/></params>{SCRIPT}</job>", 2, "names no file",
     "live_file"),
    ("j28.job.xml", f"<job><params>\n<include file='a' live_file='b'/></params>{SCRIPT}</job>", 2,
     "both", "Keep"),
    ("j29.job.xml", f"<job><params>\n<include live_file='none.xml'/></params>{SCRIPT}</job>", 2,
     "none.xml", "Create"),
    ("j30.job.xml", (f"<job><params><include\nlive_file='good.xml' node='//['/></params>"
     f"{SCRIPT}</job>"), 2, "no XPath", "Select"),
    ("j31.job.xml", (f"<job><params><include\nlive_file='good.xml' node='/params'/></params>"
     f"{SCRIPT}</job>"), 2, "selects <params>", "Select"),
    ("j32.job.xml", f'<job><lock.use lock="good"/>\n<lock.use lock="./good"/>{SCRIPT}</job>', 2,
     "twice", "Remove one"),
    ("j33.job.xml", f"<job>{SCRIPT}\n<delay_after_error error_count='1' delay='stopp'/></job>", 2,
     "delay='stopp'", "STOP"),
    ("j34.job.xml", f"<job>{SCRIPT}\n<delay_order_after_setback setback_count='1'/></job>", 2,
     "neither delay", "delay="),
    ("j35.job.xml", (f"<job>{SCRIPT}\n<start_when_directory_changed directory='/x' regex='('/>"
     "</job>"), 2, "regex", "regular expression"),
    ("j36.job.xml", f"<job>{SCRIPT}\n<monitor><script language='shell'>x</script></monitor></job>",
     2, "monitor cannot", "functions"),
    ("j37.job.xml", f"<job>{SCRIPT}\n<run_time><period begin='25:00'/></run_time></job>", 2,
     "25:00", "calendar"),
    ("j38.job.xml", f"<job>{SCRIPT}\n<commands on_exit_code='0 ten'/></job>", 2, "on_exit_code",
     "SIGTERM"),
    ("j39.job.xml", f"<job>{SCRIPT}<commands on_exit_code='0'/>\n<commands on_exit_code='0'/></job>",
     2, "already", "one <commands>"),
    ("j40.job.xml", (f"<job>{SCRIPT}<commands on_exit_code='0'>\n<start_jobb job='x'/></commands>"
     "</job>"), 2, "start_jobb", "'start_job'"),
    ("c01.job_chain.xml", f"<job_chain>{NODE}\n{NODE}</job_chain>", 2, "more than one node", "own"),
    ("c02.job_chain.xml", ('<job_chain>\n<job_chain_node state="a" job="good" next_state="b"/>'
     "</job_chain>"), 2, "no node 'b'", "Known here: a"),
    ("c03.job_chain.xml", f'<job_chain>{NODE}\n<file_order_sink state="s"/></job_chain>', 2,
     "either remove or move_to", "remove="),
    ("c04.job_chain.xml", ('<job_chain>\n<file_order_source directory="/x"/>'
     '<job_chain_node state="e"/></job_chain>'), 2, "no job", "between source and sink"),
    ("c05.job_chain.xml", ('<job_chain><job_chain_node state="1" job="good"><on_return_codes>\n'
     '<on_return_code return_code="3..1"/></on_return_codes></job_chain_node></job_chain>'), 2,
     "3..1", "1..3"),
    ("c06.job_chain.xml", ('<job_chain>\n<job_chain_node.job_chain state="a" job_chain="C06"/>'
     "</job_chain>"), 2, "contains itself", "another"),
    ("c07.job_chain.xml", (f'<job_chain distributed="yes"\norders_recoverable="no">{NODE}'
     "</job_chain>"), 2, "distributed", "Remove"),
    ("good,1.order.xml", '<order\nid="2"/>', 2, "id='2'", "rename the file"),
    ("order.order.xml", "<order/>", 1, "names no job chain", "JOBCHAIN,ORDERID"),
    ("p01.process_class.xml", '<process_class><remote_schedulers select="last"/></process_class>',
     1, "select='last'", "first, next"),
    ("p02.process_class.xml", ('<process_class>\n<remote_schedulers><remote_scheduler\n'
     'remote_scheduler="server 1"/></remote_schedulers></process_class>'), 3, "server 1", "http://"),
    ("p03.process_class.xml", ('<process_class><remote_schedulers><remote_scheduler '
     'remote_scheduler="http://a:1"\nhttp_heartbeat_period="90"/></remote_schedulers>'
     "</process_class>"), 2, "not shorter", "several times"),
    ("l01.lock.xml", '<lock max_non_exclusive="-1"/>', 1, "max_non_exclusive", "0 or more"),
    ("l02.lock.xml", '<lock\nname="other"/>', 2, "name='other'", "rename the file"),
    ("m01.monitor.xml", "<monitor/>", 1, "needs a <script>", "Add"),
    ("s01.schedule.xml", "<schedule>\n<perriod/></schedule>", 2, "perriod", "calendar"),
]  # fmt: skip


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A folder with one good object of each kind."""
    folder = tmp_path / "live"
    folder.mkdir()
    (folder / "good.job.xml").write_text(f"<job>{SCRIPT}</job>")
    (folder / "good.job_chain.xml").write_text(f"<job_chain>{NODE}</job_chain>")
    (folder / "good,0.order.xml").write_text("<order/>")
    (folder / "good.lock.xml").write_text("<lock/>")
    (folder / "good.process_class.xml").write_text("<process_class/>")
    (folder / "good.xml").write_text("<params><param name='a' value='1'/></params>")
    return folder


def check(folder: Path) -> list[Finding]:
    return check_folder(folder, environment={}, now=NOW)


def test_a_good_folder_has_no_findings(live: Path) -> None:
    assert check(live) == []
    assert check(live.parent) == []


def test_fifty_broken_files_have_one_finding_each_and_the_rest_is_read(live: Path) -> None:
    assert len(BROKEN) >= 50
    for file, content, _, _, _ in BROKEN:
        (live / file).write_text(content)
    found = {finding.file: finding for finding in check(live)}
    assert len(found) == len(check(live)) == len(BROKEN)
    for file, _, line, text, advice in BROKEN:
        finding = found[file]
        assert finding.severity is Severity.ERROR, finding
        assert (finding.line, bool(finding.column)) == (line, True), finding
        assert any(word in finding.text for word in text.split("|")), finding
        assert advice in finding.advice, finding
        assert finding.advice, finding
    difference = LiveFolder(live, {}, UTC).scan()
    assert difference is not None
    assert len(difference.broken) == len(BROKEN)
    assert len(difference.defined) == 5


def test_findings_are_sorted_by_file_and_line(live: Path) -> None:
    (live / "b.job.xml").write_text(f"<job a='1' b='2'>\n{SCRIPT}<x/></job>")
    (live / "a.lock.xml").write_text("<lock x='1'/>")
    assert [(one.file, one.line, one.column) for one in check(live)] == [
        ("a.lock.xml", 1, 7),
        ("b.job.xml", 1, 6),
        ("b.job.xml", 1, 12),
        ("b.job.xml", 2, 41),
    ]


@pytest.mark.parametrize(
    ("file", "content", "place", "text"),
    [
        (
            "f/a.job.xml",
            f"<job\n process_class='../goood'>{SCRIPT}</job>",
            (2, 2),
            "no process_class '/goood'. Did you mean '/good'?",
        ),
        (
            "a.job.xml",
            f"<job>\n<lock.use lock='x'/>{SCRIPT}</job>",
            (2, 11),
            "no lock '/x'. Create x.lock.xml",
        ),
        (
            "a.job.xml",
            f"<job>{SCRIPT}\n<monitor.use monitor='x'/></job>",
            (2, 14),
            "no monitor '/x'",
        ),
        (
            "a.job.xml",
            f"<job>{SCRIPT}\n<run_time schedule='x'/></job>",
            (2, 11),
            "no schedule '/x'",
        ),
        (
            "a.job_chain.xml",
            "<job_chain>\n<job_chain_node state='1' job='God'/></job_chain>",
            (2, 27),
            "no job '/God'. Did you mean '/good'?",
        ),
        (
            "a.job_chain.xml",
            f"<job_chain\nfile_watching_process_class='x'>{NODE}</job_chain>",
            (2, 1),
            "no process_class '/x'",
        ),
        (
            "a.job_chain.xml",
            "<job_chain>\n<job_chain_node.job_chain state='1' job_chain='x'/></job_chain>",
            (2, 37),
            "no job_chain '/x'",
        ),
        ("x,1.order.xml", "<order/>", (1, 1), "no job_chain '/x'"),
        ("good,1.order.xml", "<order\nstate='2'/>", (2, 1), "no node '2'"),
        ("good,1.order.xml", "<order\nend_state='2'/>", (2, 1), "no node '2'"),
        ("a.schedule.xml", "<schedule\nsubstitute='x'/>", (2, 1), "no schedule '/x'"),
        (
            "a.job.xml",
            "<job><script language='shell'>\n<include live_file='x'/></script></job>",
            (2, 10),
            "'/x' cannot be read",
        ),
    ],
)
def test_missing_references_are_errors_with_their_place(
    live: Path, file: str, content: str, place: tuple[int, int], text: str
) -> None:
    (live / file).parent.mkdir(exist_ok=True)
    (live / file).write_text(content)
    (finding,) = check(live)
    assert (finding.file, finding.line, finding.column) == (file, *place)
    assert finding.severity is Severity.ERROR
    assert text in f"{finding.text}. {finding.advice}"


def test_a_reference_to_a_broken_file_is_not_missing(live: Path) -> None:
    (live / "good.lock.xml").write_text("<lock x='1'/>")
    (live / "a.job.xml").write_text(f"<job><lock.use lock='good'/>{SCRIPT}</job>")
    assert [one.file for one in check(live)] == ["good.lock.xml"]


def test_jobs_and_chains_must_fit_together(live: Path) -> None:
    (live / "api.job.xml").write_text(
        "<job><script language='java' java_class='sos.scheduler.job.SOSSSHJob2JSAdapter'/></job>"
    )
    (live / "a.job_chain.xml").write_text(
        "<job_chain><job_chain_node state='1' job='api'/></job_chain>"
    )
    (live / "outer.job_chain.xml").write_text(
        "<job_chain><job_chain_node.job_chain state='1' job_chain='inner'/></job_chain>"
    )
    (live / "inner.job_chain.xml").write_text(
        "<job_chain><job_chain_node.job_chain state='1' job_chain='good'/></job_chain>"
    )
    assert [(one.file, one.code) for one in check(live)] == [
        ("a.job_chain.xml", "SCHEDULER-147"),
        ("outer.job_chain.xml", "SCHEDULER-412"),
    ]


def test_suspicious_things_are_warnings(live: Path) -> None:
    (live / "GOOD.job.xml").write_text(f"<job>{SCRIPT}</job>")
    (live / "api.job.xml").write_text(
        "<job order='yes'><script language='java' java_class='org.X'/></job>"
    )
    (live / "old.job.xml").write_text(
        f"<job>{SCRIPT}<run_time><at at='2020-01-01 10:00'/></run_time></job>"
    )
    (live / "idle.job.xml").write_text(f"<job>{SCRIPT}<run_time/></job>")
    assert [(one.file, one.severity) for one in check(live)] == [
        ("api.job.xml", Severity.WARNING),
        ("good.job.xml", Severity.WARNING),
        ("old.job.xml", Severity.WARNING),
    ]


def test_a_configuration_folder_is_checked_with_its_main_file(tmp_path: Path, live: Path) -> None:
    (tmp_path / "scheduler.xml").write_text(
        "<spooler><config>\n<jobs><job name='m' process_class='none'>"
        f"{SCRIPT}</job></jobs>\n<locks><lock name='l'/></locks></config></spooler>"
    )
    (live / "a.job.xml").write_text(f"<job><lock.use lock='l'/>{SCRIPT}</job>")
    (live / "l.lock.xml").write_text("<lock/>")
    assert [(one.file, one.line) for one in check(tmp_path)] == [
        ("live/l.lock.xml", 1),
        ("scheduler.xml", 2),
    ]


def test_the_live_folder_may_be_elsewhere(tmp_path: Path, live: Path) -> None:
    live.rename(tmp_path / "else")
    (tmp_path / "scheduler.xml").write_text(
        "<spooler><config configuration_directory='else'/></spooler>"
    )
    (tmp_path / "else/good.lock.xml").write_text("<lock x=''/>")
    assert [one.file for one in check(tmp_path)] == ["else/good.lock.xml"]


def test_a_folder_that_does_not_exist_is_a_finding(tmp_path: Path) -> None:
    (finding,) = check(tmp_path / "none")
    assert "no such folder" in finding.text
