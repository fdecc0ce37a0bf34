"""Tokens and identity records."""

import pytest

from engine.kernel.ids import ExecutionKey
from engine.kernel.sessions.identity import (
    BadRecord,
    IdentityRecord,
    fields_of,
    identity_of,
    is_token,
    token_of,
)

GOOD = "v=1 pid=42 pgid=42 sid=42 start=t99 boot=11111111-2222 uid=7 began=1700000000"


def test_a_token_belongs_to_its_key_alone_and_has_a_fixed_length() -> None:
    tokens = {token_of(ExecutionKey(f"engine/{number}.1")) for number in range(200)}
    assert len(tokens) == 200
    assert {len(token) for token in tokens} == {23}
    assert all(is_token(token) for token in tokens)
    assert token_of(ExecutionKey("a/1.1")) == token_of(ExecutionKey("a/1.1"))


@pytest.mark.parametrize(
    "text", ["", "js-", "js-" + "a" * 19, "js-" + "a" * 21, "js-../../etc/passwd0123"]
)
def test_anything_else_is_no_token(text: str) -> None:
    assert not is_token(text)


def test_a_record_is_read_as_it_was_written() -> None:
    assert identity_of(fields_of(GOOD), uid=7) == IdentityRecord(
        pid=42,
        group=42,
        session=42,
        start="t99",
        boot="11111111-2222",
        uid=7,
        began=1700000000,
    )


def test_a_session_shared_with_others_proves_nothing() -> None:
    record = identity_of(fields_of(GOOD + " sid=17"), uid=7)
    assert isinstance(record, IdentityRecord)
    assert record.session is None


@pytest.mark.parametrize(
    "change",
    [
        "pid=-1",
        "pid=0",
        "pid=1",
        "pid=5;id",
        "pid=",
        "pid=12345678901",
        "pgid=0",
        "pgid=x",
        "uid=8",
        "uid=root",
        "start=",
        "start=99",
        "start=t9;rm",
        "boot=../x",
    ],
)
def test_a_record_with_a_strange_field_is_bad(change: str) -> None:
    assert isinstance(identity_of(fields_of(f"{GOOD} {change}"), uid=7), BadRecord)


def test_an_additional_pid_counts_only_with_its_start() -> None:
    with_start = identity_of(fields_of(GOOD + " xpid=50 xstart=t7"), uid=7)
    without = identity_of(fields_of(GOOD + " xpid=50"), uid=7)
    assert isinstance(with_start, IdentityRecord)
    assert isinstance(without, IdentityRecord)
    assert (with_start.extra_pid, without.extra_pid) == (50, None)
