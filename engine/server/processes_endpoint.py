"""The remote-process browser over HTTP (ssh-and-jitl.md chapter 3).

Times are texts as everywhere in the JSON API (`2026-11-21T10:00:00.123Z`), durations name their
unit. A host is named as `GET /api/processes` names it; the name is one path segment, so a client
quotes it (`@` and `:` may stay). Refreshing goes on for `WATCHED_FOR_S` after each `GET`, so a
screen that polls every few seconds always reads a fresh look and nobody asks hosts for nothing.

`GET /api/processes` (read-only) `?token=TOKEN` narrows it to the host of a run:

    {"time": T, "hosts": [HOST, ...]}

    HOST = {"host": "user@name:22",         how it is called; `agent@name:4445` for an agent's
            "account": "user", "address": "name", "port": 22,
            "state": "waiting" | "shown" | "unreachable",
            "problem": "",                  why it is unreachable
            "at": T | null,                 when it was looked at
            "took_ms": 45,
            "protected": false,             every signal asks first
            "version": 3,                   grows with every look
            "sources": ["job", "settings", "run", "agent"],
            "counts": {"step": 1, "left behind": 0, "orphan": 2, "lost": 0,
                       "other session": 0, "foreign": 80}}

`GET /api/processes/{host}` (read-only) `?refresh=true` looks first, `?all=true` lists other
accounts' processes too:

    HOST + {"user": "tester", "uid": 1001, "system": "Linux", "boot": "...", "cut": false,
            "processes": [PROCESS, ...],    in the order of the tree
            "runs": [RUN, ...]}

    PROCESS = {"pid": 1, "ppid": 0, "pgid": 1, "sid": 1, "user": "tester", "own": true,
               "state": "S", "start": "t123", "started_at": T | null, "cpu_percent": 0.1,
               "cpu_s": 3, "rss_kib": 900, "vsz_kib": 2000, "cgroup": "", "command": "sleep 600",
               "mark": "step" | "left behind" | "orphan" | "lost" | "other session" | "foreign",
               "token": "js-..." | null, "inherited": false, "depth": 2,
               "badges": ["zombie", "stopped", "uninterruptible", "other user",
                          "started before its record"]}

    RUN = {"token": "js-...", "mark": as above or null when nothing of it is there,
           "verdict": "alive" | "gone" | "unsure" | "norecord" | "bad" | "unknown",
           "why": "", "result": 0 | null,
           "expected": "alive/ours",        to be sent back with a signal
           "members": [{"pid": 7, "start": "t123", "reason": "..."}, ...],
           "known": true, "end": "open" | "normal" | "broken" | null,
           "order": "/chain,id", "order_state": "100", "job": "/job", "task": 12 | null,
           "scope": "token", "kill_after_s": null,
           "question": "End 3 process(es) of order ...?"}   what a person is asked first

The tail of a run's output is the tail of its task's log: `GET /api/tasks/{task}/log?offset=-4096`.

`POST /api/processes/{host}/signal` (read-only for a dry run, operator for orphans, else admin):

    {"act": "dry_run" | "end" | "kill" | "signal",
     "token": "js-...",                     a run as a whole; or
     "pid": 7, "start": "t123",             a single process
     "signal": "TERM",                      for `signal`, and what a dry run explains
     "expected": "alive/ours",              send nothing when the host shows something else
     "confirmed": false,                    a person has answered the question
     "origin": "key"}                       `key`, `command line` or `API` (default)

    {"result": {"outcome": "done" | "still alive" | "dry run" | "nothing there" | "changed" |
                           "unsure" | "needs confirmation" | "refused" | "unreachable",
                "text": "...",
                "question": "...",          for `needs confirmation`
                "members": [{"pid": 7, "start": "t123", "reason": "..."}],
                "verdict_before": "alive", "verdict_after": "gone"}}

`end` returns when the processes have gone or KILL was sent, at the latest after the job's
`ssh_job_timeout_kill_after` (10 s without one) and a moment.

`GET /api/process-audit?limit=100` (read-only), newest first:

    {"records": [{"at": T, "by": "local", "origin": "key", "host": "...", "account": "...",
                  "act": "end", "signal": "TERM, KILL", "scope": "token", "token": "js-...",
                  "order": "", "state": "", "job": "", "task": null,
                  "members": [{"pid": 7, "start": "t123", "reason": "..."}],
                  "verdict_before": "alive", "verdict_after": "gone", "outcome": "done",
                  "took_ms": 80, "text": "..."}]}

`POST /api/ssh/trust` (admin) shows a host's key, and accepts it when `fingerprint` is that of the
key or `accept` is true:

    {"host": "name", "port": 22, "fingerprint": "SHA256:...", "accept": false}
    {"key": {"host": "name", "port": 22, "algorithm": "ssh-ed25519", "fingerprint": "SHA256:..."},
     "accepted": true, "was_known": false}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.codec.json_api import Row, parse_object, time_text
from engine.errors import CodecError, SshError
from engine.kernel.instants import Instant
from engine.kernel.sessions.browser import (
    Act,
    AuditRecord,
    HostView,
    Outcome,
    SignalRequest,
    SignalResult,
    confirmation,
    mark_of,
    shown_state,
)
from engine.kernel.sessions.identity import RunToken, is_token
from engine.kernel.sessions.marks import KnownRun, Mark, Marked
from engine.kernel.sessions.parameters import Target
from engine.kernel.sessions.verdicts import Alive, Gone, Member, NoRecord, Scope, Verdict
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of
from engine.server.json_endpoints import json_response

WATCHED_FOR_S: Final = 15.0
"""So long after a look at the resources the hosts are refreshed."""
AUDIT_DEFAULT: Final = 100
AUDIT_MAX: Final = 10_000
ORIGINS: Final = frozenset({"key", "command line", "API"})

_ACTS: Final = {"dry_run": Act.DRY_RUN, "end": Act.END, "kill": Act.KILL, "signal": Act.SIGNAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowsedHost:
    """A host of the browser with the last look at it."""

    name: str
    target: Target
    sources: tuple[str, ...]
    """`job`, `settings`, `run`, `agent`: why it is in the list."""
    view: HostView


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownKey:
    """The key that a host shows, and whether it is accepted."""

    host: str
    port: int
    algorithm: str
    fingerprint: str
    accepted: bool
    was_known: bool


class ProcessPort(Protocol):
    """The remote-process service as its HTTP interface sees it."""

    def hosts(self) -> Sequence[BrowsedHost]:
        """Return all hosts with the last look at each."""
        ...

    def known_runs(self) -> Mapping[RunToken, KnownRun]:
        """Return the runs of this engine, open and over."""
        ...

    def host_of(self, token: RunToken) -> str | None:
        """Return the host on which a run is or was, None when nobody knows."""
        ...

    def watch(self, for_s: float) -> None:
        """Have the hosts looked at again and again for so long."""
        ...

    async def refresh(self, host: str) -> HostView:
        """Look at a host now. Raises KeyError for an unknown host."""
        ...

    async def signal(self, request: SignalRequest) -> SignalResult:
        """Do what is asked for, if it may be done."""
        ...

    async def audit(self, limit: int) -> Sequence[AuditRecord]:
        """Return the last records, newest first."""
        ...

    async def trust(
        self, host: str, port: int, *, fingerprint: str | None, accept: bool
    ) -> ShownKey:
        """Look at a host's key and accept it if that is asked for. Raises SshError."""
        ...


# --- looking -------------------------------------------------------------------------------------


async def processes(request: Request) -> Response:
    """Handle `GET /api/processes`."""
    context, port = await _admitted(request, Role.READ_ONLY)
    port.watch(WATCHED_FOR_S)
    hosts = port.hosts()
    token = request.query_params.get("token")
    if token is not None:
        name = port.host_of(RunToken(token)) if is_token(token) else None
        hosts = [host for host in hosts if host.name == name]
    rows = [_host_row(host) for host in hosts]
    return json_response({"time": time_text(context.port.now()), "hosts": rows})


async def processes_of_host(request: Request) -> Response:
    """Handle `GET /api/processes/{host}`."""
    _, port = await _admitted(request, Role.READ_ONLY)
    host = _host(port, request)
    port.watch(WATCHED_FOR_S)
    if _is_asked(request, "refresh"):
        await port.refresh(host.name)
        host = _host(port, request)
    return json_response(_detailed_row(host, port.known_runs(), everyone=_is_asked(request, "all")))


async def audit(request: Request) -> Response:
    """Handle `GET /api/process-audit`."""
    _, port = await _admitted(request, Role.READ_ONLY)
    text = request.query_params.get("limit", str(AUDIT_DEFAULT))
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= AUDIT_MAX:
        raise HTTPException(400, f"limit is a number from 1 to {AUDIT_MAX}")
    records = await port.audit(int(text))
    return json_response({"records": [audit_row(record) for record in records]})


# --- acting --------------------------------------------------------------------------------------


async def signal(request: Request) -> Response:
    """Handle `POST /api/processes/{host}/signal`."""
    context = context_of(request)
    port = _port(context)
    caller = await context.admit(request, Role.READ_ONLY)
    host = _host(port, request)
    given = await _object(context, request)
    asked = _signal_request(given, host.name, caller.name)
    known = port.known_runs().get(asked.token) if asked.token is not None else None
    needed = _role_for(asked, host.view, known)
    asked = replace(asked, may_act=caller.role.includes(needed))
    result = await port.signal(asked)
    question = ""
    if result.outcome is Outcome.NEEDS_CONFIRMATION:
        question = confirmation(asked, host.view, known)
    return json_response({"result": _result_row(result, question)})


def _role_for(request: SignalRequest, view: HostView, known: KnownRun | None) -> Role:
    """Everybody may try; operators end what was left over; the rest is for administrators."""
    if request.act is Act.DRY_RUN:
        return Role.READ_ONLY
    return Role.OPERATOR if mark_of(request, view, known) is Mark.ORPHAN else Role.ADMIN


async def trust(request: Request) -> Response:
    """Handle `POST /api/ssh/trust`."""
    context, port = await _admitted(request, Role.ADMIN)
    given = await _object(context, request)
    host, number = _given(given, "host", str, ""), _given(given, "port", int, 22)
    if not host or not 0 < number < 65536:
        raise HTTPException(400, "host is a name or address, port a number from 1 to 65535")
    fingerprint = _given(given, "fingerprint", str, "") or None
    try:
        key = await port.trust(
            host, number, fingerprint=fingerprint, accept=_given(given, "accept", bool, False)
        )
    except SshError as error:
        raise HTTPException(409, str(error)) from error
    shown = {
        "host": key.host,
        "port": key.port,
        "algorithm": key.algorithm,
        "fingerprint": key.fingerprint,
    }
    return json_response({"key": shown, "accepted": key.accepted, "was_known": key.was_known})


ROUTES: Final = (
    Route("/api/processes", processes),
    Route("/api/processes/{host}", processes_of_host),
    Route("/api/processes/{host}/signal", signal, methods=["POST"]),
    Route("/api/process-audit", audit),
    Route("/api/ssh/trust", trust, methods=["POST"]),
)


# --- rows ----------------------------------------------------------------------------------------


def _host_row(host: BrowsedHost) -> Row:
    view = host.view
    counts = {mark.value: 0 for mark in Mark}
    for row in view.marks.processes:
        counts[row.mark.value] += 1
    return {
        "host": host.name,
        "account": host.target.user,
        "address": host.target.host,
        "port": host.target.port or 22,
        "state": view.state.value,
        "problem": view.problem,
        "at": time_text(view.at),
        "took_ms": round(view.took_s * 1000),
        "protected": view.is_protected,
        "version": view.version,
        "sources": list(host.sources),
        "counts": counts,
    }


def _detailed_row(host: BrowsedHost, known: Mapping[RunToken, KnownRun], *, everyone: bool) -> Row:
    view, table = host.view, host.view.table
    row = _host_row(host)
    row |= {
        "user": "" if table is None else table.user,
        "uid": None if table is None else table.uid,
        "system": "" if table is None else table.system,
        "boot": "" if table is None else table.boot,
        "cut": table is not None and table.cut,
        "processes": [
            process_row(marked)
            for marked in view.marks.processes
            if everyone or _is_listed(marked, "" if table is None else table.user)
        ],
        "runs": [
            _run_row(token, verdict, view, known.get(token), host.name)
            for token, verdict in sorted(view.marks.verdicts.items())
        ],
    }
    return row


def _is_listed(row: Marked, user: str) -> bool:
    return row.process.is_own or row.process.user == user or row.mark is not Mark.FOREIGN


def process_row(row: Marked) -> Row:
    """Return a process with its mark."""
    process = row.process
    started = None if process.began is None else Instant(process.began * 1000)
    return {
        "pid": process.pid,
        "ppid": process.parent,
        "pgid": process.group,
        "sid": process.session,
        "user": process.user,
        "own": process.is_own,
        "state": process.state,
        "start": process.start,
        "started_at": time_text(started),
        "cpu_percent": process.cpu_percent,
        "cpu_s": process.cpu_seconds,
        "rss_kib": process.memory_kib,
        "vsz_kib": process.virtual_kib,
        "cgroup": process.control_group,
        "command": process.arguments,
        "mark": row.mark.value,
        "token": row.token,
        "inherited": row.is_inherited,
        "depth": row.depth,
        "badges": sorted(badge.value for badge in row.badges),
    }


def _run_row(
    token: RunToken, verdict: Verdict, view: HostView, known: KnownRun | None, host: str
) -> Row:
    own = [row for row in view.marks.processes if row.token == token and not row.is_inherited]
    asked = SignalRequest(host=host, act=Act.END, by="", origin="API", token=token)
    after = known.kill_after if known is not None else None
    return {
        "token": token,
        "mark": own[0].mark.value if own else None,
        "verdict": type(verdict).__name__.lower(),
        "why": getattr(verdict, "why", ""),
        "result": verdict.result if isinstance(verdict, Alive | Gone | NoRecord) else None,
        "expected": shown_state(verdict),
        "members": _member_rows(verdict.members if isinstance(verdict, Alive) else ()),
        "known": known is not None,
        "end": None if known is None else known.end.value,
        "order": "" if known is None else known.order,
        "order_state": "" if known is None else known.state,
        "job": "" if known is None else known.job,
        "task": None if known is None else known.task,
        "scope": (Scope.TOKEN if known is None else known.scope).value,
        "kill_after_s": None if after is None else after / 1000,
        "question": confirmation(asked, view, known) if own else "",
    }


def _member_rows(members: Sequence[Member]) -> list[Row]:
    return [
        {"pid": member.pid, "start": member.start, "reason": member.reason.value}
        for member in members
    ]


def _result_row(result: SignalResult, question: str) -> Row:
    return {
        "outcome": result.outcome.value,
        "text": result.text,
        "question": question,
        "members": _member_rows(result.members),
        "verdict_before": "" if result.before is None else type(result.before).__name__.lower(),
        "verdict_after": result.after,
    }


def audit_row(record: AuditRecord) -> Row:
    """Return a record of the audit."""
    return {
        "at": time_text(record.at),
        "by": record.by,
        "origin": record.origin,
        "host": record.host,
        "account": record.account,
        "act": record.act.value,
        "signal": record.signal,
        "scope": record.scope,
        "token": record.token,
        "order": record.order,
        "state": record.state,
        "job": record.job,
        "task": record.task,
        "members": _member_rows(record.members),
        "verdict_before": record.verdict_before,
        "verdict_after": record.verdict_after,
        "outcome": record.outcome.value,
        "took_ms": round(record.took_s * 1000),
        "text": record.text,
    }


# --- parts ---------------------------------------------------------------------------------------


def _port(context: ServerContext) -> ProcessPort:
    if context.processes is None:
        raise HTTPException(404, "This engine has no remote-process service")
    return context.processes


async def _admitted(request: Request, role: Role) -> tuple[ServerContext, ProcessPort]:
    context = context_of(request)
    await context.admit(request, role)
    return context, _port(context)


def _host(port: ProcessPort, request: Request) -> BrowsedHost:
    name = request.path_params["host"]
    found = next((host for host in port.hosts() if host.name == name), None)
    if found is None:
        raise HTTPException(404, f"The browser has no host {name!r}")
    return found


def _is_asked(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() in {"true", "yes", "1"}


async def _object(context: ServerContext, request: Request) -> Mapping[str, Any]:
    data = await context.body(request)
    if data is None:
        raise HTTPException(413, "The request is too large")
    try:
        return parse_object(data)
    except CodecError as error:
        raise HTTPException(400, str(error)) from error


def _given(given: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = given.get(name, default)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise HTTPException(400, f"{name} must be of the type {kind.__name__}")
    return value


def _signal_request(given: Mapping[str, Any], host: str, by: str) -> SignalRequest:
    act = _ACTS.get(_given(given, "act", str, ""))
    if act is None:
        raise HTTPException(400, f"act is one of {', '.join(_ACTS)}")
    token = _given(given, "token", str, "")
    if token and not is_token(token):
        raise HTTPException(400, f"{token!r} is no token of a run")
    origin = _given(given, "origin", str, "API")
    if origin not in ORIGINS:
        raise HTTPException(400, f"origin is one of {', '.join(sorted(ORIGINS))}")
    return SignalRequest(
        host=host,
        act=act,
        by=by,
        origin=origin,
        token=RunToken(token) if token else None,
        pid=_given(given, "pid", int, None),
        start=_given(given, "start", str, ""),
        signal=_given(given, "signal", str, "TERM"),
        expected=_given(given, "expected", str, ""),
        is_confirmed=_given(given, "confirmed", bool, False),
    )
