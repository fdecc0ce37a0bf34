"""The remote-process browser's service: who runs what on the hosts, and how it is ended.

Hosts are looked at only while somebody watches, one question a host and refresh, and a slow host
slows down nobody but itself. Every attempt to signal looks again on the host, in the very breath
that signals; what has changed since the screen was drawn is left alone. Each attempt, dry runs
included, leaves an audit record (ssh-and-jitl.md chapter 3).
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from engine.drivers.agent_questions import AgentQuestions
from engine.drivers.ssh_hosts import Answer, HostLink, SshHosts
from engine.drivers.ssh_wrapper import (
    SHELL,
    Control,
    ControlAnswer,
    control_program,
    one_process_program,
    parse_control,
    probe_program,
    reap_program,
)
from engine.errors import ConnectionLost, SshError
from engine.kernel.ids import LOCAL, AgentUri
from engine.kernel.instants import Instant
from engine.kernel.sessions.browser import (
    Act,
    AuditRecord,
    HostState,
    HostView,
    Outcome,
    SignalRequest,
    SignalResult,
    refusal_of,
)
from engine.kernel.sessions.identity import RunToken
from engine.kernel.sessions.marks import (
    KnownRun,
    RunEnd,
    mark_host,
)
from engine.kernel.sessions.parameters import Target
from engine.kernel.sessions.processes import HostTable, parse_probe
from engine.kernel.sessions.verdicts import (
    Alive,
    Gone,
    Member,
    Scope,
    Unknown,
)

PERIOD_S = 5.0
PROBE_TIMEOUT_S = 10.0
PERIOD_MAX_S = 60.0
"""A host that is slow or away is asked at least so often while somebody watches."""
NOT_TRACKED = "the host runs Windows: what runs there is not tracked"
HOSTS_MAX = 1000
KILL_AFTER_DEFAULT_S = 10.0
"""From TERM to KILL for one keypress, when the job says nothing."""
KILL_ROUNDS = 8
SWEPT_AFTER_S = 30 * 24 * 3600
"""Run directories of this age without a process are removed (2.10.5)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedHost:
    """A host of the browser: those of SSH jobs and those the settings list."""

    name: str
    """How people and the API call it; unique."""
    target: Target
    folders: tuple[str, ...] = ()
    """`temp_dir`s of the jobs that run there."""
    is_protected: bool = False
    """Every signal asks first."""
    agent: AgentUri = LOCAL
    """The agent through which it is asked; empty: SSH."""


class Asked(Protocol):
    """A host that runs programs of ours."""

    async def ask(self, program: bytes, *, timeout_s: float | None = None) -> Answer:
        """Run one and return what it prints. Raises SshError."""
        ...


@dataclass(slots=True)
class _Watch:
    """One host while it is being watched."""

    host: WatchedHost
    view: HostView
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    period_s: float = PERIOD_S
    due: float = 0.0


class RemoteProcesses:
    """Looks at hosts and signals on them; keeps nothing but the last look."""

    def __init__(
        self,
        hosts: SshHosts,
        *,
        known_runs: Callable[[], Mapping[RunToken, KnownRun]],
        audit: Callable[[AuditRecord], Awaitable[None]],
        now: Callable[[], Instant],
        period_s: float = PERIOD_S,
        allow_foreign_kill: bool = False,
        agents: AgentQuestions | None = None,
    ) -> None:
        """`audit` returns when the record is kept."""
        self._hosts = hosts
        self._agents = agents
        self._known_runs = known_runs
        self._audit = audit
        self._now = now
        self._period_s = period_s
        self._allow_foreign_kill = allow_foreign_kill
        self._watches: dict[str, _Watch] = {}
        self._viewers = 0
        self._probes: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    def set_hosts(self, hosts: Sequence[WatchedHost]) -> None:
        """Take the complete list of hosts: those of SSH jobs and those of the settings."""
        wanted = {host.name: host for host in hosts[:HOSTS_MAX]}
        for name in self._watches.keys() - wanted.keys():
            del self._watches[name]
        for name, host in wanted.items():
            watch = self._watches.get(name)
            if watch is None or watch.host != host:
                view = HostView(host=name, state=HostState.WAITING, is_protected=host.is_protected)
                self._watches[name] = _Watch(host, view, period_s=self._period_s)
        self._changed.set()

    def views(self) -> Mapping[str, HostView]:
        """Return the last look at each host."""
        return MappingProxyType({name: watch.view for name, watch in self._watches.items()})

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Have the hosts looked at again and again while this lasts."""
        self._viewers += 1
        self._changed.set()
        try:
            yield
        finally:
            self._viewers -= 1

    async def run(self) -> None:
        """Refresh what is due while somebody watches, until cancelled."""
        try:
            while True:
                if self._viewers:
                    self._begin_due_probes()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_next()):
                        await self._changed.wait()
                self._changed.clear()
        finally:
            for task in self._probes:
                task.cancel()
            await asyncio.gather(*self._probes, return_exceptions=True)

    async def refresh(self, host: str) -> HostView:
        """Look at a host now, or wait for the look that is under way."""
        watch = self._watches[host]
        version = watch.view.version
        async with watch.lock:
            if watch.view.version == version:
                await self._probe(watch)
        return watch.view

    async def signal(self, request: SignalRequest) -> SignalResult:
        """Do what is asked for, if it may be done; always leaves an audit record."""
        began = time.monotonic()
        watch = self._watches.get(request.host)
        if watch is None:
            return SignalResult(outcome=Outcome.REFUSED, text=f"unknown host {request.host}")
        known = self._known_runs().get(request.token) if request.token is not None else None
        refusal = refusal_of(
            request, watch.view, known, allow_foreign_kill=self._allow_foreign_kill
        )
        if refusal is not None:
            result = refusal
        else:
            try:
                result = await self._act(request, watch, known)
            except SshError as error:
                result = SignalResult(outcome=Outcome.UNREACHABLE, text=str(error))
        await self._audit(self._record(request, watch, known, result, began))
        if result.members and request.act is not Act.DRY_RUN:
            watch.due = 0.0
            self._changed.set()
        return result

    def _link(self, watch: _Watch) -> Asked:
        if watch.host.agent and self._agents is not None:
            return self._agents.link(watch.host.agent)
        return self._hosts.link(watch.host.target)

    # -- looking ----------------------------------------------------------------------------------

    def _begin_due_probes(self) -> None:
        now = time.monotonic()
        for watch in self._watches.values():
            if watch.due <= now and not watch.lock.locked():
                watch.due = now + watch.period_s
                task = asyncio.create_task(self._look(watch))
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)

    def _until_next(self) -> float | None:
        if not self._viewers or not self._watches:
            return None
        next_due = min(watch.due for watch in self._watches.values())
        return min(max(next_due - time.monotonic(), 0.02), self._period_s)

    async def _look(self, watch: _Watch) -> None:
        async with watch.lock:
            await self._probe(watch)

    async def _probe(self, watch: _Watch) -> None:
        began = time.monotonic()
        link = self._link(watch)
        try:
            answer = await asyncio.wait_for(
                link.ask(probe_program(watch.host.folders), timeout_s=PROBE_TIMEOUT_S),
                PROBE_TIMEOUT_S,
            )
        except (SshError, TimeoutError) as error:
            lost = isinstance(error, ConnectionLost)
            problem = NOT_TRACKED if lost and _is_windows(link) else str(error)
            self._missed(watch, problem or "no answer in time", began)
            return
        table = await asyncio.to_thread(parse_probe, answer.output.decode(errors="replace"))
        if table is None:
            problem = NOT_TRACKED if _is_windows(link) else "the host's answer makes no sense"
            self._missed(watch, problem, began)
            return
        took = time.monotonic() - began
        slow = took > watch.period_s
        watch.period_s = min(watch.period_s * 2, PERIOD_MAX_S) if slow else self._period_s
        watch.due = began + watch.period_s
        watch.view = HostView(
            host=watch.host.name,
            state=HostState.SHOWN,
            at=self._now(),
            table=table,
            marks=mark_host(table, self._known_runs(), everyone=True),
            took_s=took,
            is_protected=watch.host.is_protected,
            version=watch.view.version + 1,
        )
        await self._sweep(watch, table)

    def _missed(self, watch: _Watch, problem: str, began: float) -> None:
        watch.period_s = min(watch.period_s * 2, PERIOD_MAX_S)
        watch.due = time.monotonic() + watch.period_s
        watch.view = HostView(
            host=watch.host.name,
            state=HostState.UNREACHABLE,
            at=self._now(),
            problem=problem,
            took_s=time.monotonic() - began,
            is_protected=watch.host.is_protected,
            version=watch.view.version + 1,
        )

    async def _sweep(self, watch: _Watch, table: HostTable) -> None:
        """Remove run directories that are old, over, and not of an open step."""
        known = self._known_runs()
        old = [
            run.path
            for token, run in table.runs.items()
            if run.path
            and _age_s(run.fields.get("began", ""), table.now) > SWEPT_AFTER_S
            and isinstance(watch.view.marks.verdicts.get(token), Gone)
            and (token not in known or known[token].end is not RunEnd.OPEN)
        ]
        if old:
            with contextlib.suppress(SshError):
                await self._link(watch).ask(reap_program(old[:200]))

    # -- signalling -------------------------------------------------------------------------------

    async def _act(
        self, request: SignalRequest, watch: _Watch, known: KnownRun | None
    ) -> SignalResult:
        if request.token is None:
            return await self._act_on_one(request, watch)
        directory = await self._directory(request.token, watch)
        if directory is None:
            return SignalResult(
                outcome=Outcome.NOTHING_THERE, text="the host has no record of this run"
            )
        scope = known.scope if known is not None else Scope.TOKEN
        control = Control(directory=directory, scope=scope, expect=request.expected or "any")
        match request.act:
            case Act.DRY_RUN:
                return _dry(await self._ask(watch, control), request.signal)
            case Act.KILL:
                return _done(await self._strike(watch, control, "KILL"))
            case Act.SIGNAL:
                return _done(await self._strike(watch, control, request.signal), request.signal)
            case Act.END:
                after = KILL_AFTER_DEFAULT_S
                if known is not None and known.kill_after:
                    after = known.kill_after / 1000
                return await self._end(watch, control, after)

    async def _end(self, watch: _Watch, control: Control, after_s: float) -> SignalResult:
        """TERM, look until it has gone or the time is over, then KILL; each verified anew."""
        first = await self._strike(watch, control, "TERM")
        if not first.signalled or first.after != "alive":
            return _done(first)
        deadline = time.monotonic() + after_s
        wait = 0.1
        later = Control(directory=control.directory, scope=control.scope)
        while time.monotonic() < deadline:
            await asyncio.sleep(min(wait, max(deadline - time.monotonic(), 0.01)))
            wait = min(wait * 2, 1.0)
            seen = await self._ask(watch, later)
            if not isinstance(seen.verdict, Alive):
                return _done(first, gone=True)
        return _done(await self._strike(watch, later, "KILL"), first=first)

    async def _act_on_one(self, request: SignalRequest, watch: _Watch) -> SignalResult:
        if request.pid is None or not request.start:
            return SignalResult(
                outcome=Outcome.REFUSED, text="neither a run nor a process with its start is named"
            )
        act = {Act.DRY_RUN: "check", Act.KILL: "KILL", Act.END: "TERM"}.get(
            request.act, request.signal
        )
        program = one_process_program(request.pid, request.start, act)
        answer = await self._link(watch).ask(program)
        seen = parse_control(answer.output.decode(errors="replace"))
        if request.act is Act.DRY_RUN:
            return _dry(seen, request.signal)
        return _done(seen, act if act not in {"TERM", "KILL"} else "")

    async def _strike(self, watch: _Watch, control: Control, signal: str) -> ControlAnswer:
        rounds = KILL_ROUNDS if signal == "KILL" else 1
        return await self._ask(
            watch,
            Control(
                directory=control.directory,
                act=signal,
                scope=control.scope,
                expect=control.expect,
                rounds=rounds,
            ),
        )

    async def _ask(self, watch: _Watch, control: Control) -> ControlAnswer:
        link = self._link(watch)
        shell = SHELL if watch.host.agent else self._hosts.settings.shell
        program = control_program(control, shell)
        answer = await link.ask(program, timeout_s=PROBE_TIMEOUT_S)
        return parse_control(answer.output.decode(errors="replace"))

    async def _directory(self, token: RunToken, watch: _Watch) -> str | None:
        """Return where a run is on its host; looks there when the last look does not say."""
        table = watch.view.table
        if table is None or token not in table.runs:
            table = (await self.refresh(watch.host.name)).table
        if table is None:
            raise SshError(watch.view.problem or "the host does not answer", host=watch.host.name)
        run = table.runs.get(token)
        return run.path if run is not None and run.path else None

    def _record(
        self,
        request: SignalRequest,
        watch: _Watch,
        known: KnownRun | None,
        result: SignalResult,
        began: float,
    ) -> AuditRecord:
        one = {Act.END: "TERM, KILL", Act.KILL: "KILL"}
        scope = known.scope if known is not None else Scope.TOKEN
        return AuditRecord(
            at=self._now(),
            by=request.by,
            origin=request.origin,
            host=request.host,
            account=watch.host.target.user,
            act=request.act,
            signal=one.get(request.act, request.signal),
            scope=scope.value if request.token is not None else "process",
            token=request.token or "",
            order=known.order if known is not None else "",
            state=known.state if known is not None else "",
            job=known.job if known is not None else "",
            task=known.task if known is not None else None,
            members=result.members,
            verdict_before=type(result.before).__name__.lower() if result.before else "",
            verdict_after=result.after,
            outcome=result.outcome,
            took_s=time.monotonic() - began,
            text=result.text,
        )


def _is_windows(link: Asked) -> bool:
    return isinstance(link, HostLink) and link.is_windows


def _age_s(began: str, now: int) -> int:
    return now - int(began) if began.isdigit() else 0


def _members(answer: ControlAnswer) -> tuple[Member, ...]:
    return answer.verdict.members if isinstance(answer.verdict, Alive) else ()


def _dry(answer: ControlAnswer, signal: str) -> SignalResult:
    members = _members(answer)
    listed = ", ".join(f"{member.pid} ({member.reason.value})" for member in members)
    text = f"{signal} would go to: {listed}" if members else _why_nothing(answer)
    return SignalResult(
        outcome=Outcome.DRY, text=text, members=members, before=answer.verdict, after=answer.after
    )


def _done(
    answer: ControlAnswer,
    signal: str = "",
    *,
    first: ControlAnswer | None = None,
    gone: bool = False,
) -> SignalResult:
    """Say what a blow has led to."""
    members = _members(first) if first is not None else _members(answer)
    if answer.changed:
        outcome, text = Outcome.CHANGED, "the processes have changed since they were shown"
    elif answer.signalled and (
        gone or answer.after == "gone" or signal not in {"", "TERM", "KILL"}
    ):
        sent = f"{signal} was sent to" if signal else "ended:"
        outcome = Outcome.DONE
        text = f"{sent} {', '.join(str(member.pid) for member in members)}"
    elif answer.signalled:
        outcome, text = Outcome.STILL_ALIVE, "signalled, but still alive"
    elif isinstance(answer.verdict, Gone) and first is not None:
        outcome, text = Outcome.DONE, "ended after the first signal"
    elif isinstance(answer.verdict, Gone):
        outcome, text = Outcome.NOTHING_THERE, "nothing of it is left"
    elif isinstance(answer.verdict, Unknown):
        outcome, text = Outcome.UNREACHABLE, answer.verdict.why
    else:
        outcome, text = Outcome.UNSURE, _why_nothing(answer)
    return SignalResult(
        outcome=outcome,
        text=text,
        members=members if answer.signalled or first is not None else (),
        before=(first or answer).verdict,
        after="gone" if gone else answer.after,
    )


def _why_nothing(answer: ControlAnswer) -> str:
    why = getattr(answer.verdict, "why", "")
    return f"nothing would be signalled: {why or type(answer.verdict).__name__.lower()}"
