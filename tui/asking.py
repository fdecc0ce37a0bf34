"""Requests on their way: nothing asked for is lost from sight.

A subject stays marked from the key that asked until the event arrives that the engine answered
with, or until the engine has refused. What has no answer after five seconds says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from engine.kernel.ids import EventNumber
from engine.kernel.problems import Problem
from tui.client import EngineAway, EngineClient, NotAdmitted
from tui.intents import Intent
from tui.mirror import Mirror

PATIENCE_S = 5.0
"""Then a row says that there is no answer yet."""
FORGOTTEN_S = 60.0
"""An answer whose event never comes (it changed nothing here) is let go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """One request on its way."""

    what: str
    since: float
    """On the program's own clock, in seconds."""
    number: EventNumber | None = None
    """The event after which it is done; None: no answer yet."""


class Teller(Protocol):
    """What is told to the person."""

    def say(self, text: str, *, bad: bool = False) -> None:
        """Show a notice."""
        ...


class Asking:
    """Sends requests and remembers those that are on their way."""

    def __init__(self, client: EngineClient, mirror: Mirror, teller: Teller) -> None:
        self._client = client
        self._mirror = mirror
        self._teller = teller
        self._pending: dict[object, Pending] = {}

    def marks(self, now: float) -> dict[object, str]:
        """Return the subjects that wait, each with what to say about it (at first nothing)."""
        self._settle(now)
        return {subject: _words(pending, now) for subject, pending in self._pending.items()}

    @property
    def is_waiting(self) -> bool:
        """Whether anything is on its way."""
        return bool(self._pending)

    def begin(self, asked: Sequence[Intent], now: float) -> list[Intent]:
        """Mark what is about to be asked; return it without what is on its way already.

        Asking again for the same thing while there is no answer would do it twice.
        """
        fresh = [
            intent
            for intent in asked
            if (known := self._pending.get(intent.subject)) is None or known.what != intent.what
        ]
        for intent in fresh:
            self._pending[intent.subject] = Pending(what=intent.what, since=now)
            self._mirror.touch(intent.subject)
        return fresh

    async def send(self, asked: Sequence[Intent], reason: str, gone: Sequence[str] = ()) -> None:
        """Send the requests one after the other; tell in one line what became of all."""
        refused: list[tuple[Intent, str]] = []
        created = ""
        for intent in asked:
            try:
                answer = await self._client.ask(intent.request, reason)
            except (EngineAway, NotAdmitted) as away:
                self._forget(intent)
                refused.append((intent, str(away)))
                continue
            if isinstance(answer, Problem):
                self._forget(intent)
                refused.append((intent, str(answer)))
            else:
                created = answer.subject or created
                pending = self._pending.get(intent.subject)
                if pending is not None:
                    self._pending[intent.subject] = replace(pending, number=answer.number)
        text = outcome(asked, refused, created, gone)
        self._teller.say(text, bad=bool(refused) or bool(gone))

    def _forget(self, intent: Intent) -> None:
        self._pending.pop(intent.subject, None)
        self._mirror.touch(intent.subject)

    def _settle(self, now: float) -> None:
        """Let go of what the mirror has heard of."""
        done = [
            subject
            for subject, pending in self._pending.items()
            if pending.number is not None
            and (self._mirror.number >= pending.number or now - pending.since > FORGOTTEN_S)
        ]
        for subject in done:
            del self._pending[subject]
            self._mirror.touch(subject)


def outcome(
    asked: Sequence[Intent],
    refused: Sequence[tuple[Intent, str]],
    created: str = "",
    gone: Sequence[str] = (),
) -> str:
    """Return what became of one or more requests, in one line."""
    count = len(asked) + len(gone)
    missing = "".join(_missing(gone))
    if count == 1 and asked:
        (intent,) = asked
        if refused:
            return f"{intent.what}: refused: {refused[0][1]}"
        new = f", {created}" if created and created not in intent.what else ""
        return f"{intent.what}: done{new}"
    done = len(asked) - len(refused)
    if done == count:
        return f"{asked[0].what} and {count - 1} more: all {count} done"
    text = f"{done} of {count} done"
    if refused:
        intent, why = refused[0]
        text += f", {len(refused)} refused: {intent.what}: {why}"
    return text + missing


def _missing(gone: Sequence[str]) -> Iterator[str]:
    if gone:
        names = " ".join(gone[:3])
        more = f" and {len(gone) - 3} more" if len(gone) > 3 else ""
        yield f", {len(gone)} not there any more: {names}{more}"


def _words(pending: Pending, now: float) -> str:
    if pending.number is not None or now - pending.since < PATIENCE_S:
        return ""
    return f"asked, no answer yet: {pending.what}"
