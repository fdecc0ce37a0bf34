"""What goes to the remote side, what comes back, and whether that is success."""

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.kernel.sessions.exports import (
    RETURNED_LENGTH_MAX,
    VALUE_LENGTH_MAX,
    environment_file,
    exports_of,
    returned_values,
)
from engine.kernel.sessions.outcome import RemoteEnd, step_result
from engine.kernel.sessions.parameters import ResultRules


def test_parameters_are_exported_as_written_and_in_upper_case() -> None:
    exports = exports_of({"File.Name": "x", "UP": "y"}).values
    assert exports == {
        "SCHEDULER_PARAM_File_Name": "x",
        "SCHEDULER_PARAM_FILE_NAME": "x",
        "SCHEDULER_PARAM_UP": "y",
    }


def test_secrets_other_nodes_and_names_no_shell_takes_are_not_exported() -> None:
    parameters = {
        "Password": "x",
        "db_password": "x",
        "api_token": "x",
        "next/other": "x",
        "a-b": "x",
        "JobSchedulerEventJob.events": "x",
        "here/mine": "y",
    }
    assert exports_of(parameters, state="here").values == {
        "SCHEDULER_PARAM_mine": "y",
        "SCHEDULER_PARAM_MINE": "y",
    }
    allowed = exports_of(parameters, allowed=frozenset({"api_token"})).values
    assert allowed["SCHEDULER_PARAM_api_token"] == "x"


def test_names_of_the_scheduler_stay_apart_and_the_prefix_may_be_empty() -> None:
    assert set(exports_of({"SCHEDULER_HOST": "h"}).values) == {"SCHEDULER_MASTER_SCHEDULER_HOST"}
    assert set(exports_of({"SCHEDULER_PARAM_X": "h"}).values) == {"SCHEDULER_PARAM_X"}
    assert set(exports_of({"a": "1", "js_d": "/", "9x": "1"}, prefix="").values) == {"a", "A"}


def test_a_zero_byte_is_a_problem_not_a_surprise() -> None:
    assert exports_of({"a": "x\0y"}).problems
    with pytest.raises(ValueError, match="zero byte"):
        environment_file({"A": "\0"})
    with pytest.raises(ValueError, match="cannot be the name"):
        environment_file({"A B": "x"})


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=50))
@settings(max_examples=40, deadline=None)
def test_every_value_arrives_as_it_was(value: str) -> None:
    text = environment_file({"VALUE": value}) + 'printf %s "$VALUE"'
    done = subprocess.run(
        ["sh", "-s"], input=text.encode(), capture_output=True, timeout=10, check=True
    )
    assert done.stdout == value.encode()


def test_return_values_are_lines_with_an_equals_sign() -> None:
    returned = returned_values("a=1\nnonsense\n b = two = 2 \na=3\n=x\n")
    assert returned.values == {"a": "3", "b": "two = 2"}


def test_return_values_cannot_redirect_the_job() -> None:
    returned = returned_values("host=evil\nssh_user=root\nSCHEDULER_X=1\ncommand=fine\n")
    assert returned.values == {"command": "fine"}
    assert len(returned.warnings) == 3


def test_return_values_have_limits_that_are_named() -> None:
    assert str(RETURNED_LENGTH_MAX) in (
        returned_values("x" * (RETURNED_LENGTH_MAX + 1)).error or ""
    )
    long = returned_values("a=" + "x" * (VALUE_LENGTH_MAX + 1))
    assert "a is longer" in (long.error or "")
    assert returned_values("a=" + "x" * VALUE_LENGTH_MAX).error is None


FAILED = RemoteEnd(status=5, wrote_stderr=True)


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (ResultRules(), (False, 1)),
        (ResultRules(ignore_stderr=True), (False, 1)),
        (ResultRules(ignore_error=True), (False, 1)),
        (ResultRules(ignore_stderr=True, ignore_error=True), (True, 0)),
        (ResultRules(raise_on_error=False), (True, 5)),
        (ResultRules(raise_on_error=False, ignore_error=True), (True, 5)),
        (ResultRules(raise_on_error=False, ignore_stderr=True, ignore_error=True), (True, 0)),
        (ResultRules(ignore_stderr=True, ignored_codes=frozenset({5})), (True, 0)),
    ],
)
def test_success_follows_the_documented_matrix(
    rules: ResultRules, expected: tuple[bool, int]
) -> None:
    result = step_result(FAILED, rules)
    assert (result.succeeded, result.exit_code) == expected


def test_signals_count_unless_ignored() -> None:
    killed = RemoteEnd(status=143, signal="TERM")
    assert not step_result(killed, ResultRules()).succeeded
    assert step_result(killed, ResultRules(ignore_signal=True)).succeeded
    assert step_result(killed, ResultRules(raise_on_error=False)).exit_code == 143


def test_results_become_parameters_unless_switched_off() -> None:
    end = RemoteEnd(status=3, output_tail="x" * 70000)
    rules = ResultRules(ignored_codes=frozenset({3}))
    parameters = step_result(end, rules).parameters
    assert (parameters["exit_code"], parameters["exit_code_ignored"]) == ("3", "true")
    tolerant = step_result(end, ResultRules(ignore_error=True)).parameters
    assert tolerant["exit_code_ignored"] == "true"
    assert step_result(end, ResultRules()).parameters["exit_code_ignored"] == "false"
    assert len(parameters["std_out_output"]) == 65536
    assert "std_out_output" not in step_result(end, ResultRules(output_parameters=False)).parameters


def test_what_stands_in_a_credential_store_is_not_exported() -> None:
    parameters = {"db_user": "cs://hosts/db1@user", "plain": "x"}
    assert exports_of(parameters).values == {
        "SCHEDULER_PARAM_plain": "x",
        "SCHEDULER_PARAM_PLAIN": "x",
    }
    allowed = exports_of(parameters, allowed=frozenset({"db_user"})).values
    assert allowed["SCHEDULER_PARAM_DB_USER"] == "cs://hosts/db1@user"
