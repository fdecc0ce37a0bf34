"""Jobs from XML (orders-and-jobs.md chapter 3)."""

import pytest

from engine.kernel.definitions import (
    DirectoryWatch,
    ErrorDelay,
    ExitCommands,
    ForeignScript,
    Include,
    LockUse,
    MonitorUse,
    NativeScript,
    SetbackDelay,
    ShellScript,
    StepDurationLimit,
    Text,
    Visible,
)
from engine.kernel.ids import LockPath, MonitorPath
from engine.kernel.instants import Duration, seconds
from engine.kernel.native import NATIVE_KINDS
from tests.support.xml_files import SCRIPT, content, job, told


def test_a_job_without_attributes_has_the_defaults_of_the_original() -> None:
    read = job()
    assert read.path == "/f/j"
    assert read.script == ShellScript(parts=(Text(text="exit 0"),))
    assert (read.tasks, read.min_tasks, read.stop_on_error, read.enabled) == (1, 0, True, True)
    assert read.idle_timeout == seconds(5)
    assert (read.timeout, read.run_time, read.process_class) == (None, None, None)
    assert read.visible is Visible.YES
    assert read.source is not None
    assert (read.source.file, read.source.modified_at) == ("f/j.job.xml", 1_000)
    assert read.source.xml == f"<job>{SCRIPT}</job>"


def test_all_attributes_of_a_job_are_read() -> None:
    read = job(
        attributes='title="T" visible="never" order="true" tasks="10" timeout="00:01" '
        'idle_timeout="never" force_idle_timeout="1" stop_on_error="no" '
        'ignore_signals="SIGTERM 15" priority="below_normal" process_class="../p" enabled="0" '
        'log_append="yes" stderr_log_level="error" warn_if_shorter_than="50%" '
        'warn_if_longer_than="00:00:10" java_options="-Xmx" load_user_profile="no" '
        'separate_process="yes" mail_xslt_stylesheet="x" credentials_key="k"'
    )
    assert (read.title, read.visible, read.is_order_job, read.tasks) == (
        "T",
        Visible.NEVER,
        True,
        10,
    )
    assert read.timeout == seconds(60)
    assert read.idle_timeout == seconds(365 * 24 * 3600)
    assert read.force_idle_timeout
    assert not read.stop_on_error
    assert read.ignore_signals == ("SIGTERM", "15")
    assert read.priority == "below_normal"
    assert read.process_class == "/p"
    assert not read.enabled
    assert read.log_append
    assert read.stderr_is_error
    assert read.warn_if_shorter_than == StepDurationLimit(percent=50)
    assert read.warn_if_longer_than == StepDurationLimit(duration=seconds(10))


def test_an_endless_timeout_is_none_at_all() -> None:
    assert job(attributes='timeout="never"').timeout is None


def test_all_children_of_a_job_are_read() -> None:
    read = job(
        "<extensions><x xmlns='www.sos-berlin.com/schema/joe'/></extensions>"
        "<settings><mail_on_error>yes</mail_on_error><log_level>info</log_level></settings>"
        "<description>What it does</description>"
        '<lock.use lock="l"/><lock.use lock="/m" exclusive="no"/>'
        '<params><param name="A" value="1"/><param name="a" value="$X-\\$Y"/></params>'
        '<environment><variable name="E" value="$X"/></environment>'
        '<login user="me"><password.plain password="p"/></login>'
        f"{SCRIPT}"
        '<monitor name="m" ordering="2"><script language="java:javascript">f()</script></monitor>'
        '<monitor.use monitor="n" ordering="3"/>'
        '<start_when_directory_changed directory="$X/d" regex="^a"/>'
        '<delay_after_error error_count="2" delay="10"/>'
        '<delay_after_error error_count="5" delay="stop"/>'
        '<delay_order_after_setback setback_count="1" delay="60"/>'
        '<delay_order_after_setback setback_count="3" is_maximum="yes" delay="0"/>'
        "<run_time/>"
        '<commands on_exit_code="success 7"><start_job job="x"/></commands>'
        '<commands on_exit_code="error"/>',
        environment={"X": "x"},
    )
    assert read.settings == {"mail_on_error": "yes", "log_level": "info"}
    assert read.description == "What it does"
    assert read.locks == (
        LockUse(lock=LockPath("/f/l")),
        LockUse(lock=LockPath("/m"), exclusive=False),
    )
    assert read.params == {"A": "x-$Y"}
    assert read.environment == {"E": "$X"}
    assert read.login_user == "me"
    assert read.monitors == (
        MonitorUse(
            name="m",
            ordering=2,
            script=ForeignScript(language="java:javascript", parts=(Text(text="f()"),)),
        ),
        MonitorUse(name="/f/n", ordering=3, path=MonitorPath("/f/n")),
    )
    assert read.directory_watches == (DirectoryWatch(directory="x/d", regex="^a"),)
    assert read.error_delays == (
        ErrorDelay(count=2, delay=seconds(10)),
        ErrorDelay(count=5, delay=None),
    )
    assert read.setback_delays == (
        SetbackDelay(count=1, delay=seconds(60)),
        SetbackDelay(count=3, delay=Duration(0)),
    )
    assert read.setback_max == 3
    assert read.run_time is not None
    assert read.exit_commands == (
        ExitCommands(codes=("success", "7"), xml=('<start_job job="x"/>',)),
        ExitCommands(codes=("error",), xml=()),
    )


def test_texts_and_includes_of_a_script_keep_their_order() -> None:
    read = job(
        '<script language="Shell">  \n<![CDATA[a < b]]>\n <!-- no -->'
        '<include file="x.sh"/>c &amp;&lt;&#228; d<include live_file="../y.sh"/></script>'
    )
    assert read.script == ShellScript(
        parts=(
            Text(text="a < b"),
            Include(file="x.sh"),
            Text(text="c &<ä d"),
            Include(live_file="/y.sh"),
        )
    )


def test_variables_in_scripts_are_not_replaced_but_those_in_includes_are() -> None:
    read = job(
        '<script language="shell">echo $X<include file="$X.sh"/></script>', environment={"X": "x"}
    )
    assert read.script == ShellScript(parts=(Text(text="echo $X"), Include(file="x.sh")))


@pytest.mark.parametrize("java_class", sorted(NATIVE_KINDS))
def test_known_java_classes_become_native_jobs(java_class: str) -> None:
    read = job(f'<script language="java" java_class="{java_class}"/>')
    assert read.script == NativeScript(kind=NATIVE_KINDS[java_class], java_class=java_class)


def test_the_language_java_may_be_left_out_when_a_class_is_named() -> None:
    java_class = "pointsman.jobs.SplitOrderByAgents"
    assert isinstance(job(f'<script java_class="{java_class}"/>').script, NativeScript)


def test_unknown_classes_and_languages_are_kept_by_name() -> None:
    assert job('<script language="java" java_class="org.X"/>').script == ForeignScript(
        language="java", java_class="org.X"
    )
    assert job('<script language="PerlScript">1;</script>').script == ForeignScript(
        language="perlscript", parts=(Text(text="1;"),)
    )


def test_missing_documentation_of_a_library_job_does_not_fail_the_job() -> None:
    for inner in (
        '<description><include file="jobs/JobSchedulerSSHJob.xml"/></description>',
        '<include file="jobs/JobSchedulerSSHJob.xml"/>',
    ):
        read = job(
            f'{inner}<script language="java" java_class="sos.scheduler.job.SOSSSHJob2JSAdapter"/>'
        )
        assert isinstance(read.script, NativeScript)
        assert read.script.kind == "ssh"


def test_an_included_description_is_read_as_text() -> None:
    read = job(
        f'<description>See: <include live_file="d.txt"/></description>{SCRIPT}',
        includes={"/f/d.txt": "grün".encode("latin-1").decode("latin-1")},
    )
    assert read.description == "See: grün"


def test_included_parameters_follow_the_order_of_the_document() -> None:
    read = job(
        '<params><param name="a" value="1"/><include live_file="p.xml"/>'
        '<include file="q.xml" node="/all/params[2]/param"/><param name="d" value="4"/></params>'
        f"{SCRIPT}",
        environment={"X": "x"},
        includes={
            "/f/p.xml": '<params><param name="A" value="2$X"/><param name="b" value="2"/></params>',
            "q.xml": '<all><params/><params><param name="c" value="3"/></params></all>',
        },
    )
    assert read.params == {"a": "2x", "b": "2", "c": "3", "d": "4"}


def test_a_job_remembers_the_live_files_whose_change_changes_it() -> None:
    text = (
        '<job><description><include live_file="d"/></description>'
        '<params><include live_file="p.xml"/></params>'
        '<script language="shell"><include live_file="s.sh"/></script>'
        '<run_time><holidays><include live_file="/h.xml"/></holidays></run_time></job>'
    )
    read = content("f/j.job.xml", text, includes={"/f/p.xml": "<params/>", "/h.xml": "<holidays/>"})
    assert read.definition is not None
    assert set(read.live_files) == {"/f/p.xml", "/h.xml"}


def test_a_broken_file_remembers_its_includes_too() -> None:
    text = f'<job><params><include live_file="p.xml"/></params>{SCRIPT}</job>'
    read = content("f/j.job.xml", text)
    assert read.definition is None
    assert read.live_files == ("/f/p.xml",)


def test_of_two_anonymous_monitors_the_later_one_counts() -> None:
    one = '<monitor><script language="javascript">1</script></monitor>'
    two = '<monitor ordering="4"><script language="javascript">2</script></monitor>'
    (monitor,) = job(f"{SCRIPT}{one}{two}").monitors
    assert (monitor.name, monitor.ordering) == ("scheduler", 4)


def test_a_named_schedule_is_resolved_from_the_jobs_folder() -> None:
    read = job(f'{SCRIPT}<run_time schedule="../s"/>')
    assert read.run_time is not None
    assert read.run_time.schedule == "/s"


def test_setbacks_without_delay_only_count() -> None:
    read = job(f'{SCRIPT}<delay_order_after_setback setback_count="2" is_maximum="yes"/>')
    assert (read.setback_delays, read.setback_max) == ((), 2)


def test_the_minimum_of_tasks_has_no_effect_in_shell_jobs() -> None:
    read = content("j.job.xml", f'<job tasks="3" min_tasks="2">{SCRIPT}</job>')
    assert read.definition is not None
    assert [one.severity.value for one in read.findings] == ["warning"]


def test_an_object_for_another_engine_is_not_loaded() -> None:
    text = f'<job spooler_id="other">{SCRIPT}</job>'
    assert content("j.job.xml", text).definition is None
    assert not content("j.job.xml", text).errors
    assert content("j.job.xml", text, engine_id="other").definition is not None


def test_a_file_has_all_its_findings_at_once_each_once() -> None:
    text = (
        '<job tytle="x" tasks="-1" order="maybe" temporary="yes">\n'
        "  <scrpt/>\n"
        '  <script language="shell"/>\n'
        '  <run_time let_rum="yes"><period begin="25:00"/></run_time>\n'
        "</job>"
    )
    assert [line.split(" error: ")[0] for line in told("j.job.xml", text)] == [
        "j.job.xml:1:6:",
        "j.job.xml:1:16:",
        "j.job.xml:1:27:",
        "j.job.xml:2:3:",
        "j.job.xml:3:3:",
        "j.job.xml:4:13:",
        "j.job.xml:4:35:",
    ]


def test_children_in_another_order_are_read_with_a_warning() -> None:
    (finding,) = told("j.job.xml", f"<job>{SCRIPT}<params/></job>")
    assert "warning: <params> stands behind <script>" in finding


def test_parts_that_change_nothing_are_accepted_with_a_notice() -> None:
    settings = (
        "<settings><mail_on_error>yes</mail_on_error><mail_on_success>no</mail_on_success>"
        "<log_level>info</log_level><history_with_log>no</history_with_log></settings>"
    )
    text = f'<job log_append="yes" load_user_profile="no" java_options="-Xmx1g">{settings}{SCRIPT}</job>'
    notices = told("f/j.job.xml", text)
    for name in ("log_append", "java_options", "mail_on_error", "history_with_log"):
        assert any(name in notice for notice in notices), name
    assert len(notices) == 4
