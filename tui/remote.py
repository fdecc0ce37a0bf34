"""What the engine's remote-process service shows, as values: hosts, processes, runs, answers.

A process is named by its identity (host, run, number, start mark), never by its place in a list:
what a key meant stays what it meant when the list moves. Parsing is here, once; the shapes are
those of `engine/server/processes_endpoint.py`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple

from engine.kernel.ids import TaskId
from engine.kernel.instants import Instant, from_datetime
from engine.kernel.sessions.marks import Mark


class Identity(NamedTuple):
    """Which process on which host; two looks agree on it or it is another process."""

    host: str
    token: str
    """Of its run; empty for a process that belongs to none."""
    pid: int
    start: str


class Subject(NamedTuple):
    """What a signal is for: a run as a whole, or one process that belongs to none."""

    host: str
    token: str
    pid: int = 0
    start: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteProcess:
    """One process of a host."""

    identity: Identity
    ppid: int
    pgid: int
    sid: int
    user: str
    is_own: bool
    state: str
    started_at: Instant | None
    cpu_percent: float | None
    """As `ps` has it: over the whole life on Linux."""
    rss_kib: int | None
    command: str
    mark: Mark
    is_inherited: bool
    """Marked for its parent's sake."""
    depth: int
    badges: tuple[str, ...]

    @property
    def subject(self) -> Subject:
        """What a signal for this row would be for."""
        host, token, pid, start = self.identity
        return Subject(host, token) if token else Subject(host, "", pid, start)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A process that belongs to a run, with the proof."""

    pid: int
    start: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteRun:
    """A run, as its host and the engine know it."""

    token: str
    mark: Mark | None
    """None when nothing of it is there."""
    verdict: str
    why: str
    expected: str
    """To be sent with a signal, so that nothing is sent when the host shows something else."""
    members: tuple[Member, ...]
    end: str
    order: str
    order_state: str
    job: str
    task: TaskId | None
    scope: str
    kill_after_s: float | None
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLook:
    """The last look at a host."""

    name: str
    account: str
    address: str
    port: int
    state: str
    """`waiting`, `shown` or `unreachable`."""
    problem: str
    at: Instant | None
    took_ms: int
    is_protected: bool
    version: int
    sources: tuple[str, ...]
    counts: Mapping[Mark, int]
    processes: tuple[RemoteProcess, ...] = ()
    """In the order of the tree; empty until the host was asked for them."""
    runs: Mapping[str, RemoteRun] = field(default_factory=dict)
    system: str = ""
    boot: str = ""
    uid: int | None = None
    is_cut: bool = False
    """More processes than were listed."""
    is_detailed: bool = False
    is_everyone: bool = False
    """Other accounts' processes are listed too."""

    def outdated(self) -> "HostLook":
        """Return the same look with a version that no engine has, so that it is fetched anew."""
        return replace(self, version=-1)

    def run_of(self, process: RemoteProcess) -> RemoteRun | None:
        """Return the run that a process belongs to."""
        return self.runs.get(process.identity.token)


class Breadth(Enum):
    """Whose processes are listed."""

    OURS = "ours only"
    """What carries a mark: of this engine's runs, or perhaps of another's."""
    ACCOUNT = "own account"
    EVERYONE = "all accounts"


class Act(Enum):
    """What is asked of a host."""

    DRY_RUN = "dry_run"
    END = "end"
    KILL = "kill"
    SIGNAL = "signal"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalAsked:
    """One request for a signal."""

    act: Act
    subject: Subject
    expected: str = ""
    signal: str = "TERM"
    is_confirmed: bool = False
    patience_s: float = 30.0
    """How long an answer may take: ending waits for the processes to go."""

    def body(self) -> dict[str, Any]:
        """Return the body of the request."""
        row: dict[str, Any] = {
            "act": self.act.value,
            "signal": self.signal,
            "expected": self.expected,
            "confirmed": self.is_confirmed,
            "origin": "key",
        }
        if self.subject.token:
            return row | {"token": self.subject.token}
        return row | {"pid": self.subject.pid, "start": self.subject.start}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalAnswer:
    """What became of a request."""

    outcome: str
    """`done`, `still alive`, `dry run`, `nothing there`, `changed`, `unsure`,
    `needs confirmation`, `refused` or `unreachable`."""
    text: str
    question: str = ""
    members: tuple[Member, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether what was asked for is the case now."""
        return self.outcome in {"done", "dry run", "nothing there"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One attempt of somebody to signal something."""

    at: Instant
    by: str
    origin: str
    host: str
    act: str
    signal: str
    order: str
    token: str
    outcome: str
    took_ms: int
    text: str


@dataclass(slots=True)
class Remote:
    """All that is known of remote hosts. Empty until somebody looked."""

    hosts: dict[str, HostLook] = field(default_factory=dict)
    audit: tuple[AuditLine, ...] = ()
    """The last attempts, newest first."""
    pending: dict[Subject, str] = field(default_factory=dict)
    """What was asked for and has not been answered."""
    breadth: Breadth = Breadth.OURS
    is_served: bool | None = None
    """Whether the engine has such a service; None until it was asked."""
    problem: str = ""
    """Why nothing was heard the last time."""
    looked_at: Instant | None = None

    def take_list(self, looks: Iterable[HostLook], at: Instant) -> list[str]:
        """Take the list of hosts; return those whose processes are out of date."""
        outdated: list[str] = []
        former, self.hosts = self.hosts, {}
        for look in looks:
            known = former.get(look.name)
            if known is not None and known.is_detailed and known.version == look.version:
                self.hosts[look.name] = known
                continue
            outdated.append(look.name)
            self.hosts[look.name] = look if known is None else _with_old_rows(look, known)
        self.is_served, self.problem, self.looked_at = True, "", at
        return outdated

    def take_host(self, look: HostLook) -> None:
        """Take the processes of a host."""
        self.hosts[look.name] = look

    def count(self, mark: Mark) -> int:
        """Return how many processes have a mark, on all hosts."""
        return sum(host.counts.get(mark, 0) for host in self.hosts.values())

    def find(self, identity: Identity) -> tuple[HostLook, RemoteProcess] | None:
        """Return a process, if it is still there."""
        host = self.hosts.get(identity.host)
        if host is None:
            return None
        found = next((one for one in host.processes if one.identity == identity), None)
        return None if found is None else (host, found)

    def members_of(self, subject: Subject) -> frozenset[tuple[int, str]]:
        """Return which processes a signal would be meant for, as the last look has it."""
        host = self.hosts.get(subject.host)
        if host is None:
            return frozenset()
        if subject.token:
            run = host.runs.get(subject.token)
            return frozenset((one.pid, one.start) for one in run.members) if run else frozenset()
        wanted = Identity(subject.host, "", subject.pid, subject.start)
        is_there = any(one.identity == wanted for one in host.processes)
        return frozenset({(subject.pid, subject.start)}) if is_there else frozenset()


def _with_old_rows(look: HostLook, known: HostLook) -> HostLook:
    """Keep the rows of the look before until the new ones are there: nothing flickers."""
    return replace(
        look, processes=known.processes, runs=known.runs, system=known.system, boot=known.boot
    )


# --- parsing -------------------------------------------------------------------------------------


def host_of_row(row: Mapping[str, Any]) -> HostLook:
    """Return a host of `GET /api/processes` or `GET /api/processes/{host}`."""
    name = str(row["host"])
    return HostLook(
        name=name,
        account=str(row["account"]),
        address=str(row["address"]),
        port=int(row["port"]),
        state=str(row["state"]),
        problem=str(row["problem"]),
        at=_instant(row.get("at")),
        took_ms=int(row["took_ms"]),
        is_protected=bool(row["protected"]),
        version=int(row["version"]),
        sources=tuple(str(one) for one in row["sources"]),
        counts={mark: int(row["counts"].get(mark.value, 0)) for mark in Mark},
        processes=tuple(_process(name, one) for one in row.get("processes", ())),
        runs={str(one["token"]): _run(one) for one in row.get("runs", ())},
        system=str(row.get("system", "")),
        boot=str(row.get("boot", "")),
        uid=row.get("uid"),
        is_cut=bool(row.get("cut")),
        is_detailed="processes" in row,
    )


def _process(host: str, row: Mapping[str, Any]) -> RemoteProcess:
    pid = int(row["pid"])
    return RemoteProcess(
        identity=Identity(host, str(row["token"] or ""), pid, str(row["start"])),
        ppid=int(row["ppid"]),
        pgid=int(row["pgid"] or 0),
        sid=int(row["sid"] or 0),
        user=str(row["user"]),
        is_own=bool(row["own"]),
        state=str(row["state"]),
        started_at=_instant(row.get("started_at")),
        cpu_percent=row.get("cpu_percent"),
        rss_kib=row.get("rss_kib"),
        command=str(row["command"]),
        mark=Mark(row["mark"]),
        is_inherited=bool(row["inherited"]),
        depth=int(row["depth"]),
        badges=tuple(str(one) for one in row["badges"]),
    )


def _run(row: Mapping[str, Any]) -> RemoteRun:
    mark, task = row.get("mark"), row.get("task")
    return RemoteRun(
        token=str(row["token"]),
        mark=None if mark is None else Mark(mark),
        verdict=str(row["verdict"]),
        why=str(row["why"]),
        expected=str(row["expected"]),
        members=_members(row["members"]),
        end=str(row["end"] or ""),
        order=str(row["order"]),
        order_state=str(row["order_state"]),
        job=str(row["job"]),
        task=None if task is None else TaskId(task),
        scope=str(row["scope"]),
        kill_after_s=row.get("kill_after_s"),
        question=str(row["question"]),
    )


def _members(rows: Iterable[Mapping[str, Any]]) -> tuple[Member, ...]:
    return tuple(
        Member(pid=int(row["pid"]), start=str(row["start"]), reason=str(row["reason"]))
        for row in rows
    )


def answer_of_row(row: Mapping[str, Any]) -> SignalAnswer:
    """Return the answer to a signal."""
    return SignalAnswer(
        outcome=str(row["outcome"]),
        text=str(row["text"]),
        question=str(row.get("question") or ""),
        members=_members(row.get("members") or ()),
    )


def audit_of_row(row: Mapping[str, Any]) -> AuditLine:
    """Return a record of `GET /api/process-audit`."""
    return AuditLine(
        at=_instant(row.get("at")) or Instant(0),
        by=str(row["by"]),
        origin=str(row["origin"]),
        host=str(row["host"]),
        act=str(row["act"]),
        signal=str(row["signal"]),
        order=str(row["order"]),
        token=str(row["token"]),
        outcome=str(row["outcome"]),
        took_ms=int(row["took_ms"]),
        text=str(row["text"]),
    )


def _instant(text: object) -> Instant | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        return from_datetime(datetime.fromisoformat(text))
    except ValueError:
        return None
