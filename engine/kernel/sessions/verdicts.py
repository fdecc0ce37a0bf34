"""Whether a run still lives, and exactly which processes may be signalled for it.

The same rules stand in `engine/drivers/shell/control.sh`, which looks and signals in one breath on
the host; this module explains what it will do (dry run, browser) and is the measure it is tested
against. Every rule is on the side of leaving a process alone (ssh-and-jitl.md 2.10.3, 2.10.4).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from engine.kernel.sessions.identity import BadRecord, IdentityRecord, RunToken
from engine.kernel.sessions.processes import HostTable, Process

LEADERLESS = "its number may belong to a group of strangers by now"


class Scope(Enum):
    """How widely a run's processes are looked for, narrow to wide (`ssh_job_kill_scope`)."""

    GROUP = "group"
    SESSION = "session"
    TOKEN = "token"  # noqa: S105 -- the name of a scope


class Leader(Enum):
    """What became of the process the record names."""

    OURS = "ours"
    GONE = "gone"
    REUSED = "reused"
    """The number belongs to a stranger now."""


class Reason(Enum):
    """What proves that a process belongs to the run."""

    GROUP = "in the run's process group"
    SESSION = "in the run's session"
    TOKEN = "carries the run's token"  # noqa: S105 -- not a secret
    EXTRA = "named by the job's pid command"
    ONE = "the very process that was shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A process of the run, with what is needed to recognise it again."""

    pid: int
    start: str
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Alive:
    """Processes of the run are there; only these may be signalled."""

    leader: Leader
    members: tuple[Member, ...]
    result: int | None = None
    """Exit status of the job, when its script has ended but processes were left behind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Nothing of the run is left."""

    result: int | None
    rebooted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsure:
    """Something is there that may or may not be ours: never signal, let a person decide."""

    pids: tuple[int, ...]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRecord:
    """The run left no identity record (yet)."""

    result: int | None
    has_directory: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """The record cannot be what we wrote: never signal."""

    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The host cannot be looked at; nothing follows from that."""

    why: str


Verdict = Alive | Gone | Unsure | NoRecord | Bad | Unknown


def judge(
    table: HostTable,
    token: RunToken,
    record: IdentityRecord | BadRecord | None,
    *,
    scope: Scope = Scope.TOKEN,
    result: int | None = None,
) -> Verdict:
    """Return the verdict over one run; the checks stand in the order of 2.10.4."""
    if record is None:
        return NoRecord(result=result, has_directory=token in table.runs)
    if isinstance(record, BadRecord):
        return Bad(why=record.why)
    if record.uid != table.uid:
        return Bad(why="the record of another account")
    if table.boot != "-" and record.boot not in {"-", table.boot}:
        return Gone(result=result, rebooted=True)
    if not table.processes:
        return Unknown(why="the process table cannot be read")
    leader = leader_of(table, record)
    carriers = {process.pid for process in _own(table) if process.token == token}
    related = _related(table, record, scope) if leader is not Leader.REUSED else {}
    if leader is Leader.GONE:
        proven = _proven(table, record, related, carriers)
        if related and not proven and not carriers:
            return Unsure(pids=tuple(sorted(related)), why=LEADERLESS)
        related = proven
    members = dict(related)
    members |= {pid: Reason.EXTRA for pid in _extra(table, record) if pid not in members}
    if scope is Scope.TOKEN:
        members |= {pid: Reason.TOKEN for pid in carriers if pid not in members}
    if not members:
        return Gone(result=result)
    return Alive(
        leader=leader,
        members=tuple(
            Member(pid=pid, start=table.processes[pid].start, reason=members[pid])
            for pid in sorted(members)
        ),
        result=result,
    )


def may_be_signalled(verdict: Verdict) -> frozenset[int]:
    """Return the processes a signal may go to: none unless the verdict is alive."""
    if isinstance(verdict, Alive):
        return frozenset(member.pid for member in verdict.members)
    return frozenset()


def leader_of(table: HostTable, record: IdentityRecord) -> Leader:
    """Tell whether the recorded process is still itself. A zombie is: its number is not free."""
    process = table.processes.get(record.pid)
    if process is None:
        return Leader.GONE
    return Leader.OURS if process.start == record.start else Leader.REUSED


def _is_ours_to_touch(process: Process) -> bool:
    """Tell whether it may be touched at all: of this account, not dead, not 0 or 1."""
    return process.is_own and not process.is_zombie and process.pid > 1


def _own(table: HostTable) -> Iterable[Process]:
    return (process for process in table.processes.values() if _is_ours_to_touch(process))


def _related(table: HostTable, record: IdentityRecord, scope: Scope) -> dict[int, Reason]:
    found: dict[int, Reason] = {}
    for process in _own(table):
        if process.group == record.group:
            found[process.pid] = Reason.GROUP
        elif scope is not Scope.GROUP and _in_session(process, record):
            found[process.pid] = Reason.SESSION
    return found


def _in_session(process: Process, record: IdentityRecord) -> bool:
    return record.session is not None and process.session == record.session


def _proven(
    table: HostTable, record: IdentityRecord, related: dict[int, Reason], carriers: set[int]
) -> dict[int, Reason]:
    """Keep a leaderless group or session only when one of its own members carries the token.

    A number stays reserved while a group or session bears it, but the whole group may have ended
    and a later one with the same number may have lost its leader too.
    """
    witnesses = [table.processes[pid] for pid in related if pid in carriers]
    group = any(process.group == record.group for process in witnesses)
    session = any(_in_session(process, record) for process in witnesses)
    return {
        pid: reason
        for pid, reason in related.items()
        if (group and table.processes[pid].group == record.group)
        or (session and _in_session(table.processes[pid], record))
    }


def _extra(table: HostTable, record: IdentityRecord) -> tuple[int, ...]:
    process = table.processes.get(record.extra_pid or 0)
    if process is None or not _is_ours_to_touch(process):
        return ()
    return (process.pid,) if process.start == record.extra_start else ()
