"""The records by which the processes of tasks are known."""

import os
import subprocess
from pathlib import Path

import pytest

from engine.agent import process_tree
from engine.agent.task_records import TaskRecords
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Instant
from engine.kernel.sessions.identity import (
    TOKEN_VARIABLE,
    IdentityRecord,
    fields_of,
    identity_of,
    token_of,
)

KEY = ExecutionKey("e/1.1")
TOKEN = token_of(KEY)
BOOT = "b0071d00-0000-4000-8000-000000000000"


@pytest.fixture
def records(tmp_path: Path) -> TaskRecords:
    return TaskRecords(tmp_path, BOOT)


def folder(tmp_path: Path) -> Path:
    return tmp_path / ".jobscheduler" / "run" / TOKEN


def test_a_record_is_what_the_rules_for_signals_accept(
    records: TaskRecords, tmp_path: Path
) -> None:
    own = process_tree.look(os.getpid())
    assert own is not None
    records.begin(KEY, own, Instant(5_000))
    identity = identity_of(fields_of((folder(tmp_path) / "id").read_text()), uid=os.geteuid())
    assert isinstance(identity, IdentityRecord)
    assert (identity.pid, identity.group) == (os.getpid(), os.getpgid(0))
    assert (identity.start, identity.boot) == (f"t{own.started}", BOOT)
    assert identity.began == 5
    records.end(KEY, 3)
    assert (folder(tmp_path) / "rc").read_text() == "3\n"


def test_a_record_stays_while_its_task_is_open_or_somebody_bears_its_token(
    records: TaskRecords, tmp_path: Path
) -> None:
    bearer = subprocess.Popen(["sleep", "100"], env={TOKEN_VARIABLE: TOKEN})
    try:
        process = process_tree.look(bearer.pid)
        assert process is not None
        records.begin(KEY, process, Instant(0))
        assert records.tidy([]) == 0
    finally:
        bearer.kill()
        bearer.wait()
    assert records.tidy([TOKEN]) == 0
    assert folder(tmp_path).exists()
    assert records.tidy([]) == 1
    assert not folder(tmp_path).exists()


def test_the_end_of_a_task_that_was_too_quick_to_be_seen_needs_no_record(
    records: TaskRecords, tmp_path: Path
) -> None:
    records.end(KEY, 0)
    assert not folder(tmp_path).exists()
    assert records.tidy([]) == 0
