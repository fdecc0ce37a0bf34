"""Which late results are passed on."""

from collections.abc import Sequence

import pytest

from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.reports import Report, TaskExitedLate, TaskLost
from engine.server.engine_port import HistoryQuery, TaskHistoryEntry
from engine.service.late_results import LateResults

pytestmark = pytest.mark.anyio


def late(key: str) -> TaskExitedLate:
    return TaskExitedLate(key=ExecutionKey(key), exit_code=0, signal=None, ended_at=Instant(5))


def entry(task: int, code: str, text: str) -> TaskHistoryEntry:
    return TaskHistoryEntry(
        task=TaskId(task),
        job="/j",
        cause="order",
        agent="http://a:1",
        started_at=Instant(1),
        ended_at=Instant(2),
        exit_code=1,
        error_code=code,
        error_text=text,
        steps=1,
        pid=7,
        chain="/c",
        order="o",
    )


PAST = {
    1: entry(1, "SCHEDULER-202", "The connection is lost"),
    2: entry(2, "", ""),
    3: entry(3, "SCHEDULER-202", "The connection is lost; late result: exit code 0 at noon"),
}


async def passed_on(*reports: Report) -> list[Report]:
    told: list[Report] = []
    known: list[Report] = []

    async def caught_up() -> None:
        known[:] = told

    async def history(query: HistoryQuery) -> Sequence[TaskHistoryEntry]:
        just_lost = {each.key for each in known if isinstance(each, TaskLost)}
        if query.ids and f"e/{query.ids[0]}.1" in just_lost and query.ids[0] not in PAST:
            return [entry(query.ids[0], "SCHEDULER-202", "The connection is lost")]
        return [PAST[task] for task in query.ids if task in PAST]

    async def report(reports: Sequence[Report]) -> None:
        told.extend(reports)

    await LateResults(history, report, caught_up).report(reports)
    return told


async def test_a_late_result_of_a_lost_task_is_told_once() -> None:
    reports = [late("e/1.1"), late("e/2.1"), late("e/3.1"), late("e/4.1"), late("rubbish")]
    assert await passed_on(*reports) == [late("e/1.1")]


async def test_everything_else_passes() -> None:
    lost = TaskLost(key=ExecutionKey("e/2.1"), text="lost")
    assert await passed_on(lost, late("e/2.1")) == [lost]


async def test_a_late_result_may_come_together_with_the_loss() -> None:
    lost = TaskLost(key=ExecutionKey("e/9.1"), text="lost")
    assert await passed_on(lost, late("e/9.1")) == [lost, late("e/9.1")]
