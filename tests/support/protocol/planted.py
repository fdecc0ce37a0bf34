"""Bugs on purpose: each is one that somebody could write, and the simulator has to find it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine.agent.ledger import Ledger
from engine.agent.ledger_parts import Action, Session
from engine.codec.agent_messages import (
    CommandAnswer,
    CommandRequest,
    Refusal,
    SessionAnswer,
    SessionRequest,
)
from engine.drivers.link_core import Link
from engine.drivers.link_executions import Executions
from engine.drivers.link_parts import Deliver, LinkAction, Phase
from engine.kernel.reports import LaunchFailure, TaskLost, TaskNotLaunched

# --- in the agent ----------------------------------------------------------------------------------


class WatchdogLedger(Ledger):
    """Extends the lease for every request that comes in, as the original does (agents.md 3.4)."""

    def _renew(self, session: Session, stamp: str, at: int) -> list[Action]:
        del stamp
        return super()._renew(session, self.stamp(at), at)


class LatecomerLedger(Ledger):
    """Carries out command requests that others have overtaken."""

    def command(
        self, request: CommandRequest, at: int
    ) -> tuple[CommandAnswer | Refusal, list[Action]]:
        session = self.sessions.get(request.engine)
        if session is not None:
            session.command = 0
        return super().command(request, at)


class CarelessLedger(Ledger):
    """Throws events away as soon as they were sent, not when they are acknowledged."""

    def attend(self, request: SessionRequest, at: int) -> Any:
        return super().attend(replace(request, ack=request.seen), at)


# --- in the engine ---------------------------------------------------------------------------------


class HastyLink(Link):
    """Acknowledges what it has received before the journal has it."""

    def session_answered(self, ticket: int, answer: SessionAnswer, at: int) -> list[LinkAction]:
        actions = super().session_answered(ticket, answer, at)
        self._ack = self._seen
        return actions


class ImpatientLink(Link):
    """Gives tasks up before their lease is over."""

    def tick(self, at: int) -> list[LinkAction]:
        self._executions.lose(self._heard_at, "impatience", at + self._timeout // 2)
        return super().tick(at)


class NoDoubtLink(Link):
    """Believes after a restart that it knows what its former life has sent."""

    def demand(self, keep: Any, runs: Any, at: int, *, may_be_older: bool = False) -> Any:
        del may_be_older
        return super().demand(keep, runs, at, may_be_older=False)


class _FailsOver(Executions):
    def fail_waiting(self, asked_until: int, failure: LaunchFailure, text: str) -> bool:
        for key in list(self.to_begin):
            execution = self._items[key]
            if execution.phase is Phase.BEGUN:
                self._not_launched(key, execution, failure, text)
        return super().fail_waiting(asked_until, failure, text)


class FailOverLink(Link):
    """Tries another agent although the begin was sent."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._executions = _FailsOver(arguments["agent"], arguments["settings"])


class _ClosesEarly(Executions):
    def lose(self, heard_at: int, why: str, at: int) -> None:
        before = set(self.begun)
        super().lose(heard_at, why, at)
        for key in before - set(self.begun):
            self.close(key, at)


class EarlyCloseLink(Link):
    """Has the agent forget a lost task before the journal has its end."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._executions = _ClosesEarly(arguments["agent"], arguments["settings"])


class DeafLink(Link):
    """Takes every ledger for the one it knew."""

    def _couple(self, answer: SessionAnswer, at: int) -> None:
        super()._couple(replace(answer, executions=answer.executions or ()), at)
        self._seen = 10**6


class LostOutputLink(Link):
    """Delivers the reports of an answer without the output before them."""

    def session_answered(self, ticket: int, answer: SessionAnswer, at: int) -> list[LinkAction]:
        actions = super().session_answered(ticket, answer, at)
        return [_without_output(action) for action in actions]


def _without_output(action: LinkAction) -> LinkAction:
    if isinstance(action, Deliver) and len(action.items) > 2:
        return Deliver(mark=action.mark, items=action.items[1:])
    return action


class ForgetfulLink(Link):
    """Tells of a lost task that it never ran."""

    def tick(self, at: int) -> list[LinkAction]:
        return [_denied(action) for action in super().tick(at)]


def _denied(action: LinkAction) -> LinkAction:
    if not isinstance(action, Deliver):
        return action
    items: Sequence[Any] = [
        TaskNotLaunched(key=item.key, failure=LaunchFailure.UNREACHABLE, text="")
        if isinstance(item, TaskLost)
        else item
        for item in action.items
    ]
    return Deliver(mark=action.mark, items=tuple(items))


LEDGERS: dict[type[Ledger], int] = {
    WatchdogLedger: 19,
    LatecomerLedger: 28,
    CarelessLedger: 17,
}
LINKS: dict[type[Link], int] = {
    HastyLink: 17,
    ImpatientLink: 19,
    NoDoubtLink: 8,
    FailOverLink: 64,
    EarlyCloseLink: 180,
    DeafLink: 0,
    LostOutputLink: 0,
    ForgetfulLink: 2,
}
"""With a seed that finds each. A search begins there, to be short as long as worlds stay the same."""
