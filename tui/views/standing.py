"""Where an order or a task stands, in one word, one sign and one role."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from engine.kernel.ids import OrderKey
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant
from engine.kernel.reports import AgentStatus
from engine.kernel.state import Order, State, Task, TaskStatus
from tui.views.glyphs import Glyphs
from tui.views.text import Span

AGAIN = 500
"""So many orders are looked at again each time."""
SYNC_TEXT = "required: "
"""How a sync node's text begins (engine.kernel.reasons)."""
OUT_OF_TOUCH = frozenset({AgentStatus.DELAYED, AgentStatus.LOST})


class Standing(Enum):
    """The states of affairs, worst first."""

    FAIL = "FAIL"
    BLACK = "black"
    LATE = "late"
    SETBACK = "setback"
    SUSPENDED = "susp"
    RUNS = "runs"
    WAITS = "waits"
    PLANNED = "planned"
    IDLE = "idle"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How a standing is shown."""

    glyph: str
    role: str


_GLYPH_FIELDS = {
    Standing.FAIL: ("fail", "fail"),
    Standing.BLACK: ("black", "fail"),
    Standing.LATE: ("late", "late"),
    Standing.SETBACK: ("retry", "retry"),
    Standing.SUSPENDED: ("held", "held"),
    Standing.RUNS: ("run", "run"),
    Standing.WAITS: ("wait", "wait"),
    Standing.PLANNED: ("plan", "plan"),
    Standing.IDLE: ("idle", "dim"),
    Standing.DONE: ("ok", "ok"),
}

WORST_FIRST = tuple(Standing)
RANK = {standing: float(rank) for rank, standing in enumerate(Standing)}
"""For sorting: the worst comes first."""
TROUBLES = frozenset({Standing.FAIL, Standing.BLACK, Standing.LATE})


def look_of(standing: Standing, glyphs: Glyphs) -> Look:
    """Return sign and role of a standing."""
    glyph, role = _GLYPH_FIELDS[standing]
    return Look(glyph=getattr(glyphs, glyph), role=role)


def role_of(standing: Standing) -> str:
    """Return the role in which a standing is drawn."""
    return _GLYPH_FIELDS[standing][1]


def glyph_span(standing: Standing, glyphs: Glyphs) -> Span:
    """Return the sign of a standing in its role."""
    look = look_of(standing, glyphs)
    return Span(look.glyph, look.role)


def standing_of_order(state: State, order: Order, now: Instant) -> Standing:
    """Return where an order stands."""
    if order.blacklisted:
        return Standing.BLACK
    if order.task is not None:
        task = state.tasks.get(order.task)
        if task is None:
            return Standing.RUNS
        found = standing_of_task(state, task)
        return Standing.RUNS if found in {Standing.DONE, Standing.FAIL} else found
    if order.suspended:
        if order.state_text.startswith(SYNC_TEXT) and not order.last_error:
            # Held by a sync node: it waits for other orders, not for a person.
            return Standing.WAITS
        return Standing.FAIL if order.last_error else Standing.SUSPENDED
    if order.state == "" and order.last_error:
        return Standing.FAIL
    if order.start_at > now:
        if order.setback_count:
            return Standing.SETBACK
        return Standing.IDLE if order.start_at >= NEVER else Standing.PLANNED
    return Standing.WAITS


NEEDING = frozenset({Standing.FAIL, Standing.BLACK, Standing.SUSPENDED})


def may_need_a_person(order: Order, standing: Standing) -> bool:
    """Return whether an order is one of the few that *needs a person* has to look at."""
    return standing in NEEDING or order.missed is not None


class Tally:
    """How many orders stand how and which may need a person, anew only for those that changed.

    Time alone changes standings too (a start time is reached): each time some of the others are
    looked at again, one after the other.
    """

    def __init__(self) -> None:
        self.counts: Counter[Standing] = Counter()
        self.needing: dict[OrderKey, None] = {}
        """Orders that may need a person."""
        self._known: dict[OrderKey, Standing] = {}
        self._again: list[OrderKey] = []

    def update(self, state: State, now: Instant, changed: Iterable[OrderKey] | None) -> None:
        """Take changed orders in; None: all may have changed."""
        if changed is None:
            self._known = {
                key: standing_of_order(state, order, now) for key, order in state.orders.items()
            }
            self.counts = Counter(self._known.values())
            self.needing = {
                key: None
                for key, order in state.orders.items()
                if may_need_a_person(order, self._known[key])
            }
            return
        again, self._again = self._again[-AGAIN:], self._again[:-AGAIN]
        for key in (*changed, *again):
            former = self._known.pop(key, None)
            if former is not None:
                self.counts[former] -= 1
            self.needing.pop(key, None)
            order = state.orders.get(key)
            if order is not None:
                standing = self._known[key] = standing_of_order(state, order, now)
                self.counts[standing] += 1
                if may_need_a_person(order, standing):
                    self.needing[key] = None
        if not self._again:
            self._again = list(self._known)


def standing_of_task(state: State, task: Task) -> Standing:
    """Return where a task stands."""
    match task.status:
        case TaskStatus.QUEUED:
            return Standing.PLANNED if task.start_at > IMMEDIATELY else Standing.WAITS
        case TaskStatus.WAITING_FOR_AGENT:
            return Standing.WAITS
        case TaskStatus.ENDED:
            succeeded = task.outcome is not None and task.outcome.succeeded
            return Standing.DONE if succeeded else Standing.FAIL
        case TaskStatus.STARTING | TaskStatus.RUNNING:
            agent = None if not task.agent else state.agents.get(task.agent)
            is_late = agent is not None and agent.status in OUT_OF_TOUCH
            return Standing.LATE if is_late else Standing.RUNS
