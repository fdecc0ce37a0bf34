"""Which value a parameter of an SSH job has."""

import pytest

from engine.kernel.sessions.resolution import (
    connection_of,
    resolved,
    substituted,
    without_secrets,
)

JOB = "/hosts/remote"


def value(*sources: dict[str, str], name: str = "command", node: str | None = "100") -> str | None:
    return resolved(sources, job=JOB, node=node).get(name)


def test_the_order_wins_over_the_task_and_the_job() -> None:
    assert value({"command": "job"}, {"command": "order"}) == "order"


@pytest.mark.parametrize("spelled", ["ssh_host", "HOST", "host_name", "ssh_server_name"])
def test_another_spelling_of_the_same_parameter_is_the_same_parameter(spelled: str) -> None:
    found = resolved(({spelled: "job", "host": "same job"}, {"host": "order"}), job=JOB, node=None)
    assert found == {spelled: "order"}
    found = resolved(({"host": "job"}, {spelled: "order"}), job=JOB, node=None)
    assert found == {"host": "order"}


@pytest.mark.parametrize(
    "prefixed",
    [
        "100/command",
        "job::remote/command",
        "job::/hosts/remote/command",
        "job::REMOTE/command",
        "job::remote.100/command",
    ],
)
def test_a_value_meant_for_this_node_or_job_beats_the_plain_one(prefixed: str) -> None:
    assert value({prefixed: "special"}, {"command": "order"}) == "special"
    assert prefixed not in resolved(({prefixed: "special"},), job=JOB, node="100")


@pytest.mark.parametrize("prefixed", ["200/command", "job::other/command", "job::remote.2/command"])
def test_a_value_meant_for_others_is_left_alone(prefixed: str) -> None:
    assert value({prefixed: "special", "command": "job"}) == "job"


def test_the_more_special_prefix_wins() -> None:
    params = {"job::remote.100/command": "c", "job::remote/command": "b", "100/command": "a"}
    assert value(params) == "c"


def test_placeholders_name_parameters_and_special_variables_in_any_case() -> None:
    params = {"command": "run ${File} %SCHEDULER_ORDER_ID% ${other} 100%", "file": "a.txt"}
    found = substituted(params, {"SCHEDULER_ORDER_ID": "7"})
    assert found["command"] == "run a.txt 7 ${other} 100%"


def test_a_parameter_wins_over_a_special_variable() -> None:
    params = {"command": "${SCHEDULER_ID}", "scheduler_id": "mine"}
    assert substituted(params, {"SCHEDULER_ID": "theirs"})["command"] == "theirs"
    params = {"command": "${SCHEDULER_ID}", "SCHEDULER_ID": "mine"}
    assert substituted(params, {"SCHEDULER_ID": "theirs"})["command"] == "mine"


def test_what_leads_to_a_run_again_is_kept_under_documented_names() -> None:
    params = {"ssh_host": "h", "USER": "u", "command": "x", "run_with_watchdog": "1", "port": ""}
    assert connection_of(params) == {"host": "h", "user": "u", "runWithWatchdog": "1"}


def test_a_second_order_gets_no_secret() -> None:
    params = {"host": "h", "password": "p", "proxy_password": "p", "passphrase": "p"}
    assert without_secrets(params) == {"host": "h"}
