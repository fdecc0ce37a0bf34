"""SSH jobs and cleanup jobs from XML: what is told when the file is read."""

import pytest

from engine.codec.xml.findings import Severity
from engine.kernel.definitions import Job, NativeScript
from engine.kernel.native import NATIVE_KINDS, SSH
from tests.support.ssh_engine import KILL_JOB, READ_PID_JOB, SEED_PARAMETERS, ssh_job_xml
from tests.support.xml_files import content

LOGIN = {"host": "[HOST]", "port": "[SSHPORT]", "user": "[USERNAME]", "password": "[PASSWORD]"}


def told(xml: str) -> list[tuple[Severity, str]]:
    return [(one.severity, one.text) for one in content("f/j.job.xml", xml).findings]


def test_the_published_example_is_read_as_it_stands() -> None:
    read = content("f/j.job.xml", ssh_job_xml(LOGIN | SEED_PARAMETERS))
    assert isinstance(read.definition, Job)
    assert not [one for one in read.findings if one.severity is Severity.ERROR]
    assert read.definition.params["ssh_job_kill_pid_command"] == "kill -9 ${pid}"
    assert read.definition.params["ssh_job_get_pid_command"] == "echo $$"
    assert not read.definition.stop_on_error


def test_the_cleanup_jobs_of_the_example_are_read_with_one_word_about_their_setbacks() -> None:
    assert told(READ_PID_JOB) == []
    ((severity, text),) = told(KILL_JOB)
    assert severity is Severity.WARNING
    assert "uses up no setback" in text


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("ssh_job_timeout_kill_after", "soon", "is not a number"),
        ("ssh_session_mode", "old", "none of native, legacy"),
        ("ssh_job_kill_scope", "all", "none of"),
        ("proxy_jump", "cs://hosts/db@user", "cannot come from a credential store"),
        ("user", "cs://hosts/db", "write cs://GROUP/ENTRY@FIELD"),
        ("ssh_job_kill_pid_command", r"kill -9 \${command}", "${command} is not replaced"),
    ],
)
def test_a_value_that_can_mean_nothing_is_an_error_at_once(
    name: str, value: str, said: str
) -> None:
    ((severity, text),) = told(ssh_job_xml(LOGIN | {name: value}))
    assert severity is Severity.ERROR
    assert name in text
    assert said in text


def test_taking_unknown_host_keys_is_told_once_for_each_job() -> None:
    ((severity, text),) = told(ssh_job_xml(LOGIN | {"ssh_strict_hostkey_checking": "false"}))
    assert severity is Severity.WARNING
    assert "a changed one is refused" in text
    assert told(ssh_job_xml(LOGIN | {"strict_hostKey_checking": "true"})) == []


@pytest.mark.parametrize(
    "params",
    [
        {"runWithWatchdog": "true"},
        {"ssh_job_timeout_kill_after": r"\${seconds}"},
        {"ssh_job_timeout_kill_after": "%seconds%"},
        {"user": "cs://@user", "password": "cs://hosts/db@password"},
    ],
    ids=["chain of the order", "placeholder", "old placeholder", "credential store"],
)
def test_what_the_order_may_still_bring_is_no_error(params: dict[str, str]) -> None:
    assert told(ssh_job_xml(params)) == []


@pytest.mark.parametrize("name", [name for name, kind in NATIVE_KINDS.items() if kind == SSH])
def test_all_names_of_the_ssh_job_are_one_job(name: str) -> None:
    xml = ssh_job_xml(LOGIN).replace("sos.scheduler.job.SOSSSHJob2JSAdapter", name)
    read = content("f/j.job.xml", xml).definition
    assert isinstance(read, Job)
    assert isinstance(read.script, NativeScript)
    assert read.script.kind == SSH
