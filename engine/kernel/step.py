"""One input, carried to its end: decide -> evolve -> progress, until nothing more happens."""

from dataclasses import dataclass

from engine.kernel.commands import Request
from engine.kernel.decide import Answer, decide
from engine.kernel.events import Event
from engine.kernel.evolve import evolve
from engine.kernel.instants import Instant
from engine.kernel.limits import EVENTS_PER_STEP_MAX
from engine.kernel.problems import Problem
from engine.kernel.progress import Subject, affected_by, due_subjects, visit
from engine.kernel.reports import Report
from engine.kernel.state import State


class EndlessProgress(AssertionError):
    """The kernel does not come to rest: a bug. Names the last events, which show the circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of one input."""

    reply: Answer | Problem
    events: tuple[Event, ...]


def step(state: State, asked: Request | Report, at: Instant) -> Done:
    """Carry out one input and everything that follows from it by itself; `state` is changed.

    The caller makes the events durable before anybody sees their consequences, and throws the
    state away if it cannot.
    """
    run = _Run(state)
    decision = decide(state, asked, at)
    reply: Answer | Problem
    while True:
        try:
            run.apply(next(decision))
        except StopIteration as end:
            reply = end.value
            break
    assert not (isinstance(reply, Problem) and run.events), "a refusal changes nothing"
    run.settle(at)
    return Done(reply=reply, events=tuple(run.events))


class _Run:
    """Applies events one by one and visits whom they affect."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.events: list[Event] = []
        self._agenda: dict[Subject, None] = {}

    def apply(self, event: Event) -> None:
        for subject in affected_by(self.state, event):
            self._agenda[subject] = None
        evolve(self.state, event)
        self.events.append(event)
        if len(self.events) > EVENTS_PER_STEP_MAX:
            circle = ", ".join(type(last).__name__ for last in self.events[-10:])
            raise EndlessProgress(f"more than {EVENTS_PER_STEP_MAX} events in one step: {circle}")

    def settle(self, at: Instant) -> None:
        for subject in due_subjects(self.state, at):
            self._agenda[subject] = None
        while self._agenda:
            subject = next(iter(self._agenda))
            del self._agenda[subject]
            for event in visit(self.state, subject, at):
                self.apply(event)
