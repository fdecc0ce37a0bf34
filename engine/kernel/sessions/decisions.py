"""What the supervision of an SSH step does next: the table of ssh-and-jitl.md 2.6 as a function.

Inputs are what a look at the host and at the engine's own state has shown; the answer says what to
do on the host, what becomes of the step, and when the cleanup comes again. Time comes in.
"""

from dataclasses import dataclass
from enum import Enum

from engine.kernel.instants import Duration, Instant, seconds
from engine.kernel.sessions.verdicts import Alive, Bad, Gone, NoRecord, Unknown, Unsure, Verdict

UNREACHABLE_LIMIT = seconds(24 * 3600)
"""Default of `ssh_session_unreachable_limit`."""
START_GRACE = seconds(60)
"""Default of `ssh_session_start_grace`: a run may take so long to write its record."""
RESULT_GRACE = seconds(10)
"""How long the open channel may take to deliver what the host already shows."""
UNKILLABLE_AFTER = seconds(30)
REPROBE_AFTER_KILL = seconds(2)
REPROBE_AFTER_TERM = seconds(5)
WATCH_PERIOD = seconds(30)
BACKOFF_FIRST = seconds(30)
BACKOFF_MAX = seconds(600)


class StepState(Enum):
    """Whether this very order step is still being processed."""

    OPEN = "open"
    OVER = "over"
    UNKNOWN = "unknown"
    """The engine is still restoring its state."""


class SessionMode(Enum):
    """`ssh_session_mode`."""

    NATIVE = "native"
    LEGACY = "legacy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """All that a decision depends on."""

    at: Instant
    step: StepState
    verdict: Verdict
    """`Unknown` also stands for a host that cannot be reached."""
    launched_at: Instant
    unreachable_since: Instant | None = None
    failures: int = 0
    """Looks in a row that did not reach the host; sets the backoff."""
    first_gone_at: Instant | None = None
    terminated_at: Instant | None = None
    """When the first TERM was sent."""
    killed_at: Instant | None = None
    """When the first KILL was sent."""
    kill_after: Duration | None = None
    """`ssh_job_timeout_kill_after`; None or 0: KILL at once."""
    mode: SessionMode = SessionMode.NATIVE
    unreachable_limit: Duration = UNREACHABLE_LIMIT
    start_grace: Duration = START_GRACE
    result_grace: Duration = RESULT_GRACE


class Deed(Enum):
    """What is done, on the host or to the step."""

    NOTHING = "nothing"
    TERMINATE = "verify, then TERM to the whole scope"
    KILL = "verify, then KILL to the whole scope"
    CLOSE_WITH_RESULT = "close the step with the exit status the host has kept"
    CLOSE_AS_VANISHED = "end the step as failed: the remote process vanished"
    END_TASK = "end the task at once"
    REMOVE_DIRECTORY = "remove the run directory"
    GIVE_UP = "report that the process cannot be ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComeAgain:
    """The cleanup order waits so long; `is_setback` uses up one of the job's setbacks."""

    after: Duration
    is_setback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveOn:
    """The cleanup order goes to the next state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GoToError:
    """The cleanup order goes to its error state."""


OrderMove = ComeAgain | MoveOn | GoToError


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One row of the table, applied."""

    row: int
    deed: Deed
    order: OrderMove
    text: str = ""
    """For a person: why."""


def decide(seen: Observation) -> Decision:
    """Return what follows from an observation; total, and the same for the same observation."""
    match seen.verdict:
        case Unknown(why=why):
            return _unreachable(seen, why)
        case Alive():
            return _alive(seen)
        case Gone(result=result, rebooted=rebooted):
            return _gone(seen, result, rebooted=rebooted)
        case Unsure(why=why) | Bad(why=why):
            return Decision(
                row=12,
                deed=Deed.NOTHING,
                order=ComeAgain(after=WATCH_PERIOD, is_setback=True),
                text=f"needs decision: {why}",
            )
        case NoRecord(result=result):
            return _no_record(seen, result)


def backoff(failures: int) -> Duration:
    """Return the wait after so many failures in a row; the caller spreads it by a fifth."""
    return min(BACKOFF_MAX, Duration(BACKOFF_FIRST * 2 ** min(max(failures - 1, 0), 10)))


def _unreachable(seen: Observation, why: str) -> Decision:
    since = seen.at if seen.unreachable_since is None else seen.unreachable_since
    if seen.at - since >= seen.unreachable_limit:
        return Decision(
            row=1,
            deed=Deed.NOTHING,
            order=GoToError(),
            text=f"host unreachable for {(seen.at - since) // 1000} s; "
            f"the remote process and the task were left as they are ({why})",
        )
    again = ComeAgain(after=backoff(seen.failures), is_setback=seen.mode is SessionMode.LEGACY)
    return Decision(row=1, deed=Deed.NOTHING, order=again, text=f"host unreachable: {why}")


def _alive(seen: Observation) -> Decision:
    match seen.step:
        case StepState.OPEN:
            again = ComeAgain(after=WATCH_PERIOD, is_setback=seen.mode is SessionMode.LEGACY)
            return Decision(row=2, deed=Deed.NOTHING, order=again)
        case StepState.UNKNOWN:
            return Decision(row=3, deed=Deed.NOTHING, order=ComeAgain(after=WATCH_PERIOD))
        case StepState.OVER:
            return _end(seen)


def _end(seen: Observation) -> Decision:
    """Rows 4 to 8: the step is over, its processes are not."""
    after_kill = ComeAgain(after=REPROBE_AFTER_KILL)
    if seen.killed_at is not None:
        if seen.at - seen.killed_at >= UNKILLABLE_AFTER:
            text = "cannot be killed: waiting in the kernel, or owned by another account"
            return Decision(row=8, deed=Deed.GIVE_UP, order=GoToError(), text=text)
        # Whatever was forked while the signal was on its way is met by the next one.
        return Decision(row=4, deed=Deed.KILL, order=after_kill, text="still alive after KILL")
    if not seen.kill_after:
        return Decision(row=4, deed=Deed.KILL, order=after_kill)
    if seen.terminated_at is None:
        wait = min(seen.kill_after, REPROBE_AFTER_TERM)
        return Decision(row=5, deed=Deed.TERMINATE, order=ComeAgain(after=wait))
    kill_at = seen.terminated_at + seen.kill_after
    if seen.at < kill_at:
        wait = min(Duration(kill_at - seen.at), REPROBE_AFTER_TERM)
        return Decision(row=6, deed=Deed.NOTHING, order=ComeAgain(after=wait))
    return Decision(row=7, deed=Deed.KILL, order=after_kill, text="still alive after TERM")


def _gone(seen: Observation, result: int | None, *, rebooted: bool) -> Decision:
    match seen.step:
        case StepState.OVER:
            return Decision(row=11, deed=Deed.REMOVE_DIRECTORY, order=MoveOn())
        case StepState.UNKNOWN:
            return Decision(row=3, deed=Deed.NOTHING, order=ComeAgain(after=WATCH_PERIOD))
        case StepState.OPEN:
            row = 10 if result is None else 9
            since = seen.at if seen.first_gone_at is None else seen.first_gone_at
            waits = seen.mode is SessionMode.NATIVE  # the old mode ends the task at once
            if waits and seen.at - since < seen.result_grace:
                wait = ComeAgain(after=Duration(since + seen.result_grace - seen.at))
                return Decision(row=row, deed=Deed.NOTHING, order=wait)
            return _close(seen, row, rebooted=rebooted)


def _close(seen: Observation, row: int, *, rebooted: bool) -> Decision:
    if seen.mode is SessionMode.LEGACY:
        text = "the remote process has ended: the task is ended"
        return Decision(row=row, deed=Deed.END_TASK, order=MoveOn(), text=text)
    if row == 9:
        return Decision(row=9, deed=Deed.CLOSE_WITH_RESULT, order=MoveOn())
    why = ": the host was rebooted" if rebooted else ""
    text = f"remote process vanished{why}"
    return Decision(row=row, deed=Deed.CLOSE_AS_VANISHED, order=MoveOn(), text=text)


def _no_record(seen: Observation, result: int | None) -> Decision:
    match seen.step:
        case StepState.OVER:
            text = "the run left no record"
            return Decision(row=14, deed=Deed.NOTHING, order=MoveOn(), text=text)
        case StepState.UNKNOWN:
            return Decision(row=13, deed=Deed.NOTHING, order=ComeAgain(after=WATCH_PERIOD))
        case StepState.OPEN:
            waited = seen.at - seen.launched_at
            if waited < seen.start_grace:
                again = ComeAgain(
                    after=min(REPROBE_AFTER_KILL, Duration(seen.start_grace - waited))
                )
                return Decision(row=13, deed=Deed.NOTHING, order=again)
            if result is not None and seen.mode is SessionMode.NATIVE:
                return Decision(row=13, deed=Deed.CLOSE_WITH_RESULT, order=MoveOn())
            return _close(seen, 13, rebooted=False)
