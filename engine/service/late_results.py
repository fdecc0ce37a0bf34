"""Keeps results that come late apart: worth telling only for tasks that were called lost.

An agent offers whatever nobody has asked it to forget. After a crash between a commit and the
request to forget, that includes results which the journal has; the histories know which is which.
"""

from collections.abc import Awaitable, Callable, Sequence

from engine.kernel.ids import task_of_key
from engine.kernel.reports import Report, TaskExitedLate
from engine.server.engine_port import HistoryQuery, TaskHistoryEntry
from engine.service.histories import LATE_RESULT

_LOST = "SCHEDULER-202"

Ask = Callable[[HistoryQuery], Awaitable[Sequence[TaskHistoryEntry]]]
Sink = Callable[[Sequence[Report]], Awaitable[None]]


class LateResults:
    """Stands between the agents and who takes their reports."""

    def __init__(
        self, history: Ask, report: Sink, caught_up: Callable[[], Awaitable[None]]
    ) -> None:
        """`caught_up` returns when the histories have all that is committed by now."""
        self._history = history
        self._report = report
        self._caught_up = caught_up

    async def report(self, reports: Sequence[Report]) -> None:
        """Pass reports on, without late results of tasks that were not lost."""
        kept: list[Report] = []
        for each in reports:
            if isinstance(each, TaskExitedLate):
                # What comes before it may be the loss itself.
                await self._pass_on(kept)
                if not await self._was_lost(each):
                    continue
            kept.append(each)
        await self._pass_on(kept)

    async def _pass_on(self, kept: list[Report]) -> None:
        if kept:
            await self._report(list(kept))
            kept.clear()

    async def _was_lost(self, report: TaskExitedLate) -> bool:
        task = task_of_key(report.key)
        if task is None:
            return False
        await self._caught_up()
        entries = await self._history(HistoryQuery(ids=(task,), limit=1))
        return any(
            entry.error_code == _LOST and LATE_RESULT not in entry.error_text for entry in entries
        )
