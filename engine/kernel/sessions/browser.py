"""The remote-process browser in values: what is shown, what is asked for, what may be done.

A screen reads `HostView`s and sends `SignalRequest`s; whether a request may be carried out, needs a
confirmation first or is refused is decided here (ssh-and-jitl.md 3.2, 3.3).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from engine.kernel.instants import Instant
from engine.kernel.sessions.identity import RunToken
from engine.kernel.sessions.marks import HostMarks, KnownRun, Mark, Marked, RunEnd
from engine.kernel.sessions.processes import HostTable
from engine.kernel.sessions.verdicts import Alive, Member, Verdict

SIGNALS = frozenset({"TERM", "KILL", "HUP", "INT", "QUIT", "STOP", "CONT", "USR1", "USR2"})


class HostState(Enum):
    """What is known of a host."""

    WAITING = "waiting"
    """Not yet asked."""
    SHOWN = "shown"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """The last look at a host; immutable, so that anybody may read it at any time."""

    host: str
    state: HostState
    at: Instant | None = None
    problem: str = ""
    table: HostTable | None = None
    marks: HostMarks = field(default_factory=lambda: HostMarks(processes=()))
    took_s: float = 0.0
    is_protected: bool = False
    version: int = 0
    """Grows with every look; a confirmation belongs to one version."""


def each_once(
    views: Mapping[str, HostView], owner_of: Callable[[RunToken], str | None]
) -> dict[str, HostView]:
    """Return the views with each process at one host only: the one that its run belongs to.

    An agent and an SSH account may be two ways to one machine, which its boot id tells. Without
    this an orphan would be counted once for each way. A run that nobody knows stands with the
    first of them.
    """
    boots = {
        name: view.table.boot
        for name, view in views.items()
        if view.table is not None and view.table.boot != "-"
    }
    if len(set(boots.values())) == len(boots):
        return dict(views)
    owners: dict[tuple[RunToken, str], str] = {}

    def is_here(token: RunToken | None, host: str) -> bool:
        if token is None or host not in boots:
            return True
        place = (token, boots[host])
        if place not in owners:
            owner = owner_of(token)
            owners[place] = owner if owner is not None and boots.get(owner) == place[1] else host
        return owners[place] == host

    found = {}
    for name, view in views.items():
        shown = tuple(row for row in view.marks.processes if is_here(row.token, name))
        verdicts = {
            token: verdict for token, verdict in view.marks.verdicts.items() if is_here(token, name)
        }
        found[name] = replace(view, marks=HostMarks(processes=shown, verdicts=verdicts))
    return found


class Act(Enum):
    """What is to be done."""

    DRY_RUN = "dry run"
    """Show which processes would get which signal, and why."""
    END = "end"
    """TERM, then KILL after the job's time or ten seconds."""
    KILL = "kill"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRequest:
    """A person, a key, a cleanup order asks for a signal."""

    host: str
    act: Act
    by: str
    origin: str
    """`key`, `cleanup order`, `API`, `command line`."""
    token: RunToken | None = None
    """The run to be signalled as a whole; or:"""
    pid: int | None = None
    """a process that belongs to no run, with its start mark."""
    start: str = ""
    signal: str = "TERM"
    """For `SIGNAL`, and what a dry run explains."""
    expected: str = ""
    """`verdict/leader` as the screen showed it; another one on the host means: send nothing."""
    is_confirmed: bool = False
    may_act: bool = False
    """The role allows more than looking."""


class Outcome(Enum):
    """What became of a request."""

    DONE = "done"
    """Everything signalled has gone, or got its signal."""
    STILL_ALIVE = "still alive"
    DRY = "dry run"
    NOTHING_THERE = "nothing there"
    CHANGED = "changed"
    """The host shows something else than the screen: nothing was sent."""
    UNSURE = "unsure"
    """It may be a stranger: nothing was sent."""
    NEEDS_CONFIRMATION = "needs confirmation"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalResult:
    """The answer to a request."""

    outcome: Outcome
    text: str
    members: tuple[Member, ...] = ()
    """Whom the signal went to, or would go to."""
    before: Verdict | None = None
    after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One attempt, for ever (3.4). Never an environment, never full command lines."""

    at: Instant
    by: str
    origin: str
    host: str
    account: str
    act: Act
    signal: str
    scope: str
    token: str
    order: str
    state: str
    job: str
    task: int | None
    members: tuple[Member, ...]
    verdict_before: str
    verdict_after: str
    outcome: Outcome
    took_s: float
    text: str


def refusal_of(
    request: SignalRequest, view: HostView, known: KnownRun | None, *, allow_foreign_kill: bool
) -> SignalResult | None:
    """Say why a request is not carried out, or what it needs first; None when it may go on.

    Only an orphan goes at one keypress, and not for root nor on a protected host.
    """
    if request.act is Act.DRY_RUN:
        return None
    if not request.may_act:
        return _refused("this role may look and try, but not signal")
    if request.act is Act.SIGNAL and request.signal not in SIGNALS:
        allowed = ", ".join(sorted(SIGNALS))
        return _refused(f"{request.signal} is no signal that may be sent; {allowed} are")
    mark = mark_of(request, view, known)
    if mark is Mark.FOREIGN and request.act is Act.KILL and not allow_foreign_kill:
        return _refused("a process that is none of ours is not killed (allow_foreign_kill)")
    if request.is_confirmed:
        return None
    if mark is not Mark.ORPHAN:
        what = mark.value if mark is not None else "not shown on the screen"
        return SignalResult(outcome=Outcome.NEEDS_CONFIRMATION, text=f"it is {what}")
    if view.is_protected or (view.table is not None and view.table.uid == 0):
        text = "the host or account is protected"
        return SignalResult(outcome=Outcome.NEEDS_CONFIRMATION, text=text)
    return None


def mark_of(request: SignalRequest, view: HostView, known: KnownRun | None) -> Mark | None:
    """Return whose the target is: by what the engine knows, then by the last look."""
    if request.token is not None:
        if known is None:
            return Mark.LOST
        match known.end:
            case RunEnd.OPEN:
                return Mark.STEP
            case RunEnd.NORMAL:
                return Mark.LEFT_BEHIND
            case RunEnd.BROKEN:
                return Mark.ORPHAN
    for row in view.marks.processes:
        if row.process.pid == request.pid and row.process.start == request.start:
            # A single process never profits from its run's mark: it is signalled by itself.
            return Mark.FOREIGN if row.mark is Mark.FOREIGN else Mark.OTHER_SESSION
    return None


def confirmation(request: SignalRequest, view: HostView, known: KnownRun | None) -> str:
    """Return the question a person answers before anything is sent (3.3); default is no."""
    table = view.table
    rows = [row for row in view.marks.processes if _is_meant(row, request)]
    ages = [table.now - row.process.began for row in rows if table and row.process.began]
    age = f", {max(ages)} s old" if ages else ""
    command = rows[0].process.arguments[:80] if rows else "not shown"
    order = f" of order {known.order}" if known is not None and known.order else ""
    user = table.user if table is not None else "?"
    scope = known.scope.value if known is not None else "token"
    what = f"{request.act.value.capitalize()} {len(rows)} process(es){order}"
    return f"{what} on {view.host} as {user}: {command}{age}, scope {scope}?"


def _is_meant(row: Marked, request: SignalRequest) -> bool:
    if request.token is not None:
        return row.token == request.token and not row.is_inherited
    return row.process.pid == request.pid


def shown_state(verdict: Verdict | None) -> str:
    """Return what a request carries as `expected` for a verdict on the screen."""
    if isinstance(verdict, Alive):
        return f"alive/{verdict.leader.value}"
    return ""


def _refused(text: str) -> SignalResult:
    return SignalResult(outcome=Outcome.REFUSED, text=text)
