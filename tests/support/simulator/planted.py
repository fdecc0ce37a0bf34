"""Bugs on purpose in the whole product: each is one that somebody could write.

`PLANTS` names them; `tests/simulation/test_whole.py` holds the simulator to finding each one.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from unittest import mock

from engine.agent.host import FoundRun
from engine.agent.ledger import Ledger
from engine.agent.ledger_parts import Action, Bury, Discard, Session
from engine.codec.agent_messages import SessionAnswer, SessionRequest
from engine.codec.journal import JOURNAL, NewEvent
from engine.drivers.link_core import Link
from engine.drivers.link_executions import Executions
from engine.drivers.link_parts import FAR, Deliver, LinkAction
from engine.kernel.commands import BeginEpoch, Request
from engine.kernel.decide import reports
from engine.kernel.events import Event
from engine.kernel.events.tasks import TaskAwaitsAgent
from engine.kernel.evolve import evolve
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Instant
from engine.kernel.reports import Report, TaskExited
from engine.kernel.state import State, Task, TaskStatus
from engine.service.inbox import Letter
from engine.service.outputs import TaskOutputs
from engine.store.memory import MemoryStore
from tests.support.simulator.agent_machine import LedgerFactory
from tests.support.simulator.book import Book
from tests.support.simulator.engine_machine import Parts, WatchedLoop
from tests.support.simulator.processes import TaskHostTwin
from tests.support.simulator.world import World

# --- in the agent ----------------------------------------------------------------------------------


class WatchdogLedger(Ledger):
    """Every request that comes in restarts the watchdog, as in the original (agents.md 3.4)."""

    def _renew(self, session: Session, stamp: str, at: int) -> list[Action]:
        del stamp
        return super()._renew(session, self.stamp(at), at)


class LeaselessLedger(Ledger):
    """Nobody looks at the leases."""

    def tick(self, _at: int) -> list[Action]:
        return []

    def may_start(self, _key: ExecutionKey, _at: int) -> bool:
        return True


class CourteousLedger(Ledger):
    """Goes on listening to a life of an engine that another one has succeeded."""

    def attend(self, request: SessionRequest, at: int) -> Any:
        session = self.sessions.get(request.engine)
        if session is not None:
            session.epoch = min(session.epoch, request.epoch)
        return super().attend(request, at)

    def command(self, request: Any, at: int) -> Any:
        session = self.sessions.get(request.engine)
        if session is not None:
            session.epoch = request.epoch
            session.command = 0
        return super().command(request, at)


class KeylessLedger(Ledger):
    """Keeps nothing of a result that nobody has fetched, not even its key."""

    def sweep(self, at: int) -> list[Action]:
        actions = super().sweep(at)
        for session in self.sessions.values():
            session.tombstones.clear()
        return [Discard(key=each.key) if isinstance(each, Bury) else each for each in actions]


class ForgetfulHost(TaskHostTwin):
    """A program that starts again knows what runs, and not what has ended meanwhile."""

    def open(self) -> Sequence[FoundRun]:
        for key, folder in list(self._disk.folders.items()):
            if folder.pid is not None and not folder.is_alive:
                del self._disk.folders[key]
                self._disk.begun.pop(key, None)
        return super().open()


# --- in the engine's service -----------------------------------------------------------------------


class HastyDispatchLoop(WatchedLoop):
    """Lets the drivers act on what is decided and not yet durable."""

    async def _commit(self, events: Sequence[Event], rows: Sequence[NewEvent]) -> None:
        self.dispatch(events)
        await super()._commit(events, rows)


class PoliteLoop(WatchedLoop):
    """Answers whoever has asked before the commit."""

    async def _process(self, letters: Sequence[Letter]) -> None:
        for letter in letters:
            events: list[Event] = []
            rows: list[NewEvent] = []
            reply = self._step(letter.content, letter.by, events, rows)
            if not letter.answer.done():
                letter.answer.set_result(reply)
            await self._commit(events, rows)
        if not letters:
            await super()._process(letters)


class AnewLoop(WatchedLoop):
    """After a restart, starts under a new key what was about to start before it."""

    def _step(
        self, asked: Request | Report, by: str, events: list[Event], rows: list[NewEvent]
    ) -> Any:
        reply = super()._step(asked, by, events, rows)
        if isinstance(asked, BeginEpoch):
            at = self._clock.now()
            for task in list(self.state.tasks.values()):
                if task.status is TaskStatus.STARTING and task.key is not None:
                    again = TaskAwaitsAgent(task=task.id, until=at, since=at)
                    evolve(self.state, again)
                    events.append(again)
                    rows.append(JOURNAL.new_event(again, at, by))
        return reply


async def _append_unfenced(self: MemoryStore, epoch: Any, events: Any) -> Any:
    """Take events of a life that another one has succeeded."""
    del epoch
    return await _APPEND(self, self.disk.epoch, events)


_APPEND = MemoryStore.append


async def _write_anywhere(
    self: TaskOutputs, task: Any, channel: Any, offset: int, data: bytes
) -> None:
    """Append output without looking at what is there already."""
    del offset
    reached = sum(self._stored.get(task, (0, 0))[index] for index in (channel == "stderr",))
    await _WRITE(self, task, channel, reached, data)


_WRITE = TaskOutputs.write


async def _submit_apart(self: Any, request: Request, by: str) -> Any:
    """Carry out an on-exit command, and note only afterwards that it is done."""
    return await self._engine.submit(request, by)


# --- in the kernel ---------------------------------------------------------------------------------


def _begin_by_the_agents_clock(
    state: State, task: Task, pid: int, started_at: Instant, _at: Instant
) -> Iterator[Event]:
    """Count a job's timeout from what the wall clock of the agent's host shows."""
    yield from _BEGIN(state, task, pid, started_at, started_at)


_BEGIN = reports._begin


# --- in the session driver -------------------------------------------------------------------------


class DoubtlessLink(Link):
    """Believes after a restart that it knows what its former life has sent."""

    def demand(self, keep: Any, runs: Any, at: int, *, may_be_older: bool = False) -> Any:
        del may_be_older
        return super().demand(keep, runs, at, may_be_older=False)


class UnreadLink(Link):
    """Does not look whether the journal has a task's start before it is started."""

    def demand(self, keep: Any, runs: Any, at: int, *, may_be_older: bool = False) -> Any:
        runs = {key: replace(run, has_started=False) for key, run in runs.items()}
        return super().demand(keep, runs, at, may_be_older=may_be_older)


class TrustingLink(Link):
    """Believes every agent that it remembers all it has begun, whatever has become of its disk."""

    def _couple(self, answer: SessionAnswer, at: int) -> None:
        for execution in self._executions._items.values():
            execution.ledger = answer.ledger
        super()._couple(answer, at)


def _close_at_once(_: Executions, __: ExecutionKey) -> bool:
    """Have agents forget lost tasks whose loss is still on its way into the journal."""
    return True


class ImpatientLink(Link):
    """Gives tasks up before their lease is over."""

    def tick(self, at: int) -> list[LinkAction]:
        self._executions.lose(self._heard_at, "impatience", at + self._timeout // 2)
        return super().tick(at)


class BlindLink(Link):
    """Acknowledges events when they arrive."""

    def session_answered(self, ticket: int, answer: SessionAnswer, at: int) -> list[LinkAction]:
        actions = super().session_answered(ticket, answer, at)
        self._ack = self._seen
        return actions


class ClosingLink(Link):
    """Confirms results to the agent, which forgets them then, before the journal has them."""

    def session_answered(self, ticket: int, answer: SessionAnswer, at: int) -> list[LinkAction]:
        actions = super().session_answered(ticket, answer, at)
        for action in actions:
            if isinstance(action, Deliver):
                for item in action.items:
                    if isinstance(item, TaskExited):
                        self._executions.close(item.key, at)
        return actions


class _GivesUpNothing(Executions):
    def next_loss(self, _heard_at: int) -> int:
        return FAR

    def lose(self, heard_at: int, why: str, at: int) -> None:
        """Wait for ever."""


class PatientLink(Link):
    """Waits for ever for agents that do not come back."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._executions = _GivesUpNothing(arguments["agent"], arguments["settings"])


# --- the list --------------------------------------------------------------------------------------


class PatchedWorld(World):
    """A world in which something of the product is another thing."""

    patch: tuple[str, Callable[..., Any]]

    def play(self) -> Book:
        with mock.patch(*self.patch):
            return super().play()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """How to put one bug into a world."""

    ledger: LedgerFactory = Ledger
    task_host: type[TaskHostTwin] = TaskHostTwin
    parts: Parts = field(default_factory=Parts)
    patch: tuple[str, Callable[..., Any]] | None = None
    """A name of the product's, and what stands there instead."""

    found_at: int = 0
    """A seed that finds it. A search begins there, to be short as long as worlds stay the same."""

    def world(self, seed: int, *, keeps_trace: bool = False) -> World:
        """Return a world with the bug in it."""
        kind = World if self.patch is None else PatchedWorld
        world = kind(seed, keeps_trace, self.ledger, self.task_host, self.parts)
        if isinstance(world, PatchedWorld) and self.patch is not None:
            world.patch = self.patch
        return world


_LINK = "engine.drivers.agent_link.Link"

PLANTS = {
    "watchdog-instead-of-lease": Plant(found_at=336, ledger=WatchdogLedger),
    "lease-not-checked": Plant(found_at=336, ledger=LeaselessLedger),
    "old-epoch-not-refused": Plant(found_at=153, ledger=CourteousLedger),
    "results-forgotten-at-agent-restart": Plant(found_at=6, task_host=ForgetfulHost),
    "acknowledged-before-commit": Plant(found_at=24, patch=(_LINK, ClosingLink)),
    "acknowledged-on-arrival": Plant(found_at=250, patch=(_LINK, BlindLink)),
    "dispatch-before-commit": Plant(found_at=18, parts=Parts(loop=HastyDispatchLoop)),
    "answer-before-commit": Plant(parts=Parts(loop=PoliteLoop)),
    "new-key-after-restart": Plant(found_at=3, parts=Parts(loop=AnewLoop)),
    "journal-not-fenced": Plant(
        found_at=31, patch=("engine.store.memory.MemoryStore.append", _append_unfenced)
    ),
    "output-without-offsets": Plant(
        found_at=4, patch=("engine.service.outputs.TaskOutputs.write", _write_anywhere)
    ),
    "exit-command-noted-later": Plant(
        found_at=121, patch=("engine.service.exit_commands._Port.submit", _submit_apart)
    ),
    "agents-clock-decides": Plant(
        found_at=18, patch=("engine.kernel.decide.reports._begin", _begin_by_the_agents_clock)
    ),
    "no-doubt-after-restart": Plant(found_at=14, patch=(_LINK, DoubtlessLink)),
    "keys-forgotten-with-results": Plant(found_at=53, ledger=KeylessLedger),
    "started-again-when-forgotten": Plant(found_at=229, patch=(_LINK, UnreadLink)),
    "new-disk-believed": Plant(found_at=37, patch=(_LINK, TrustingLink)),
    "closed-before-its-loss-is-committed": Plant(
        found_at=37,
        patch=("engine.drivers.link_executions.Executions._may_be_forgotten", _close_at_once),
    ),
    "lost-too-early": Plant(found_at=70, patch=(_LINK, ImpatientLink)),
    "never-lost": Plant(found_at=37, patch=(_LINK, PatientLink)),
}
