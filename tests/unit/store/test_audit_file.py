"""The audit of signals: append-only, newest first, robust against a crash."""

import asyncio
from pathlib import Path

import pytest

from engine.kernel.instants import Instant
from engine.kernel.sessions.browser import Act, AuditRecord, Outcome
from engine.kernel.sessions.verdicts import Member, Reason
from engine.store.audit_file import AuditFile

pytestmark = pytest.mark.anyio


def record(number: int, text: str = "") -> AuditRecord:
    return AuditRecord(
        at=Instant(number),
        by="somebody",
        origin="key",
        host="h",
        account="a",
        act=Act.END,
        signal="TERM, KILL",
        scope="token",
        token="js-x",
        order="/c,1",
        state="100",
        job="/j",
        task=number,
        members=(Member(pid=5, start="t1", reason=Reason.GROUP),),
        verdict_before="alive",
        verdict_after="gone",
        outcome=Outcome.DONE,
        took_s=0.1,
        text=text,
    )


async def test_records_come_back_newest_first(tmp_path: Path) -> None:
    file = AuditFile(tmp_path / "audit.jsonl")
    assert await file.last(5) == []
    for number in range(1, 4):
        await file.append(record(number))
    assert await AuditFile(tmp_path / "audit.jsonl").last(2) == [record(3), record(2)]
    assert (tmp_path / "audit.jsonl").stat().st_mode & 0o777 == 0o600


async def test_long_files_are_read_from_their_end(tmp_path: Path) -> None:
    file = AuditFile(tmp_path / "audit.jsonl")
    await asyncio.gather(*(file.append(record(number, "x" * 700)) for number in range(400)))
    found = await file.last(1000)
    assert {each.task for each in found} == set(range(400))


async def test_a_line_that_a_crash_cut_off_is_left_out_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    await AuditFile(path).append(record(1))
    with path.open("ab") as opened:
        opened.write(b'{"at":2,"by":"some')
    await AuditFile(path).append(record(3))
    assert await AuditFile(path).last(9) == [record(3), record(1)]
