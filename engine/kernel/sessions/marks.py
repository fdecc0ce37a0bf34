"""How a host's processes are shown: whose they are and what is odd about them (3.2, 3.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from engine.kernel.ids import ExecutionKey, TaskId
from engine.kernel.instants import Duration
from engine.kernel.sessions.identity import (
    BadRecord,
    IdentityRecord,
    RunToken,
    identity_of,
)
from engine.kernel.sessions.processes import HostTable, Process
from engine.kernel.sessions.verdicts import (
    Alive,
    Leader,
    Scope,
    Unsure,
    Verdict,
    judge,
    leader_of,
)


class RunEnd(Enum):
    """How the step of a run stands, as the engine knows it."""

    OPEN = "open"
    NORMAL = "normal"
    """Closed by the job's own end."""
    BROKEN = "broken"
    """Closed as failed, ended or timed out, or its task is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """A run of this engine."""

    token: RunToken
    key: ExecutionKey
    task: TaskId
    job: str
    end: RunEnd
    order: str = ""
    """`/chain,order`; empty for a task without an order."""
    state: str = ""
    scope: Scope = Scope.TOKEN
    kill_after: Duration | None = None


class Mark(Enum):
    """Whose a process is."""

    STEP = "step"
    LEFT_BEHIND = "left behind"
    ORPHAN = "orphan"
    LOST = "lost"
    OTHER_SESSION = "other session"
    FOREIGN = "foreign"


class Badge(Enum):
    """What is odd about a process."""

    ZOMBIE = "zombie"
    STOPPED = "stopped"
    UNINTERRUPTIBLE = "uninterruptible"
    OTHER_USER = "other user"
    OLDER_THAN_RECORD = "started before its record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A process with its mark."""

    process: Process
    mark: Mark
    token: RunToken | None = None
    is_inherited: bool = False
    """Only a parent in the tree bears the mark; a kill verifies each process by itself."""
    badges: frozenset[Badge] = frozenset()
    depth: int = 0
    """Distance from the root of its tree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMarks:
    """A host's processes in the order of the tree, and the verdict over each run."""

    processes: tuple[Marked, ...]
    verdicts: Mapping[RunToken, Verdict] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class _Claim:
    mark: Mark
    token: RunToken


def mark_host(
    table: HostTable, known: Mapping[RunToken, KnownRun], *, everyone: bool = False
) -> HostMarks:
    """Mark the processes of a host; without `everyone` only the account's own are listed."""
    records = {
        token: identity_of(run.fields, uid=table.uid)
        for token, run in table.runs.items()
        if run.fields
    }
    verdicts: dict[RunToken, Verdict] = {
        token: judge(
            table,
            token,
            records.get(token),
            scope=known[token].scope if token in known else Scope.TOKEN,
            result=table.runs[token].result if token in table.runs else None,
        )
        for token in table.runs.keys() | (known.keys() & _carried(table))
    }
    claims = _by_group(table, known, records, verdicts)
    claims |= _by_token(table, known)
    return HostMarks(processes=_tree(table, claims, records, everyone=everyone), verdicts=verdicts)


def _carried(table: HostTable) -> set[RunToken]:
    return {process.token for process in table.processes.values() if process.token is not None}


def _mark_of(token: RunToken, known: Mapping[RunToken, KnownRun]) -> Mark:
    run = known.get(token)
    if run is None:
        return Mark.LOST
    match run.end:
        case RunEnd.OPEN:
            return Mark.STEP
        case RunEnd.NORMAL:
            return Mark.LEFT_BEHIND
        case RunEnd.BROKEN:
            return Mark.ORPHAN


def _by_token(table: HostTable, known: Mapping[RunToken, KnownRun]) -> dict[int, _Claim]:
    return {
        process.pid: _Claim(_mark_of(process.token, known), process.token)
        for process in table.processes.values()
        if process.token is not None
    }


def _by_group(
    table: HostTable,
    known: Mapping[RunToken, KnownRun],
    records: Mapping[RunToken, IdentityRecord | BadRecord],
    verdicts: Mapping[RunToken, Verdict],
) -> dict[int, _Claim]:
    claims: dict[int, _Claim] = {}
    for token, record in records.items():
        if isinstance(record, BadRecord):
            continue
        verdict = verdicts[token]
        if isinstance(verdict, Unsure) or _resembles(table, record, verdict):
            for process in table.processes.values():
                if record.group == process.group or (
                    record.session is not None and record.session == process.session
                ):
                    claims.setdefault(process.pid, _Claim(Mark.OTHER_SESSION, token))
        if isinstance(verdict, Alive):
            for member in verdict.members:
                claims[member.pid] = _Claim(_mark_of(token, known), token)
    return claims


def _resembles(table: HostTable, record: IdentityRecord, verdict: Verdict) -> bool:
    """Tell whether numbers of the record are borne by processes that are not its own."""
    if table.boot != "-" and record.boot not in {"-", table.boot}:
        return False
    return not isinstance(verdict, Alive) or leader_of(table, record) is not Leader.OURS


def _tree(
    table: HostTable,
    claims: Mapping[int, _Claim],
    records: Mapping[RunToken, IdentityRecord | BadRecord],
    *,
    everyone: bool,
) -> tuple[Marked, ...]:
    shown = {
        process.pid: process
        for process in table.processes.values()
        if everyone or process.is_own or process.user == table.user or process.pid in claims
    }
    children: dict[int, list[Process]] = {}
    roots = []
    for process in sorted(shown.values(), key=lambda each: each.pid):
        if process.parent in shown and process.parent != process.pid:
            children.setdefault(process.parent, []).append(process)
        else:
            roots.append(process)
    rows: list[Marked] = []
    seen: set[int] = set()
    # A table read line by line may show a circle of parents: what no root reaches comes last.
    for root in (*roots, *shown.values()):
        _walk(root, children, claims, records, table, rows, seen)
    return tuple(rows)


def _walk(
    root: Process,
    children: Mapping[int, list[Process]],
    claims: Mapping[int, _Claim],
    records: Mapping[RunToken, IdentityRecord | BadRecord],
    table: HostTable,
    rows: list[Marked],
    seen: set[int],
) -> None:
    waiting: list[tuple[Process, int, _Claim | None]] = [(root, 0, None)]
    while waiting:
        process, depth, inherited = waiting.pop()
        if process.pid in seen:
            continue
        seen.add(process.pid)
        claim = claims.get(process.pid)
        shown = claim or inherited
        rows.append(
            Marked(
                process=process,
                mark=shown.mark if shown is not None else Mark.FOREIGN,
                token=shown.token if shown is not None else None,
                is_inherited=claim is None and inherited is not None,
                badges=_badges(process, table, records.get(shown.token) if shown else None),
                depth=depth,
            )
        )
        waiting += [(child, depth + 1, shown) for child in reversed(children.get(process.pid, []))]


def _badges(
    process: Process, table: HostTable, record: IdentityRecord | BadRecord | None
) -> frozenset[Badge]:
    found = set()
    if process.is_zombie:
        found.add(Badge.ZOMBIE)
    if process.state in {"T", "t"}:
        found.add(Badge.STOPPED)
    if process.state == "D":
        found.add(Badge.UNINTERRUPTIBLE)
    if not process.is_own and process.user != table.user:
        found.add(Badge.OTHER_USER)
    if isinstance(record, IdentityRecord) and _is_older(process.start, record.start):
        found.add(Badge.OLDER_THAN_RECORD)
    return frozenset(found)


def _is_older(start: str, recorded: str) -> bool:
    ticks = start.startswith("t") and recorded.startswith("t")
    return ticks and int(start[1:]) < int(recorded[1:])
