"""A saved journal in place of an engine: an incident can be handed over as a file.

Each line is an event as the engine's stream and `pointsman tail --json` write it: an object with
`number`, `at`, `kind`, `body` and `cause`.
"""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

from engine.errors import CodecError
from engine.kernel.commands import Request
from engine.kernel.ids import EventNumber, JobKey, OrderKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.problems import Problem
from engine.kernel.state import State
from tui.answers import Person, Trial
from tui.client import (
    Accepted,
    EngineAway,
    FactDecoder,
    LogLines,
    LogPart,
    LogWish,
    Overview,
    Snapshot,
)
from tui.mirror import AgentPulse, Fact, FinishedRun, FinishedTask
from tui.remote import AuditLine, HostLook, SignalAnswer, SignalAsked


class JournalFile:
    """An `EngineClient` that plays a file and refuses everything else."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._facts: list[Fact] | None = None

    @property
    def address(self) -> str:
        """The file, for people."""
        return str(self._path)

    async def facts(self) -> list[Fact]:
        """Return all events. Raises EngineAway when the file cannot be read."""
        if self._facts is None:
            self._facts = await asyncio.to_thread(self._parse)
        return self._facts

    def _parse(self) -> list[Fact]:
        decoder = FactDecoder()
        found: list[Fact] = []
        number = 0
        try:
            with self._path.open(encoding="utf-8") as lines:
                for text in lines:
                    number += 1
                    if text.strip():
                        found.append(decoder.fact(text))
        except OSError as error:
            raise EngineAway(f"{self._path}: {error.strerror or error}") from error
        except (CodecError, KeyError, TypeError) as error:
            raise EngineAway(f"{self._path}:{number}: {error}") from error
        return found

    async def snapshot(self) -> Snapshot:
        """Return nothing: everything comes from the events."""
        await self.facts()
        return Snapshot(state=State(), number=EventNumber(0))

    async def pulses(self) -> tuple[Instant, list[AgentPulse]]:
        """Return the time of the last event; there are no signs of life."""
        facts = await self.facts()
        return (facts[-1].at if facts else Instant(0)), []

    async def notices(self, after: EventNumber) -> AsyncGenerator[Fact | AgentPulse, None]:
        """Play the events; then nothing happens any more."""
        for fact in await self.facts():
            if fact.number > after:
                yield fact
        await asyncio.Event().wait()

    async def ask(self, request: Request, reason: str = "") -> Accepted | Problem:
        """Refuse: nobody is there."""
        _ = (request, reason)
        return Problem(code="POINTSMAN", text="this is a saved journal, not an engine")

    async def try_request(self, request: Request) -> Trial:
        """Refuse: nobody is there."""
        _ = request
        return Trial(refusal="this is a saved journal, not an engine")

    async def me(self) -> Person | None:
        """Return nobody."""
        return None

    async def task_log(self, task: TaskId, offset: int, limit: int) -> LogPart | None:
        """Return nothing: logs are not in the journal."""
        _ = (task, offset, limit)
        return None

    async def log_lines(self, task: TaskId, wish: LogWish) -> LogLines | None:
        """Return nothing: logs are not in the journal."""
        _ = (task, wish)
        return None

    async def past_runs(self) -> list[FinishedRun]:
        """Return nothing: they come from the events."""
        return []

    async def past_tasks(
        self, *, order: OrderKey | None = None, job: JobKey | None = None
    ) -> list[FinishedTask]:
        """Return nothing: they come from the events."""
        _ = (order, job)
        return []

    async def order_log(self, order: OrderKey) -> str:
        """Return nothing: logs are not in the journal."""
        _ = order
        return ""

    async def overview(self) -> Overview:
        """Refuse: there is no engine."""
        raise EngineAway("this is a saved journal, not an engine")

    async def processes(self) -> list[HostLook] | None:
        """Return nothing: hosts are not in the journal."""
        return None

    async def host_processes(
        self, host: str, *, everyone: bool = False, refresh: bool = False
    ) -> HostLook | None:
        """Return nothing: hosts are not in the journal."""
        _ = (host, everyone, refresh)
        return None

    async def signal(self, asked: SignalAsked) -> SignalAnswer:
        """Refuse: nobody is there."""
        _ = asked
        return SignalAnswer(outcome="refused", text="this is a saved journal, not an engine")

    async def process_audit(self, limit: int) -> list[AuditLine]:
        """Return nothing: that is another file."""
        _ = limit
        return []

    async def close(self) -> None:
        """Nothing to let go of."""
