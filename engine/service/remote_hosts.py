"""The remote-process browser inside the engine: which hosts there are, and whose runs are on them.

Hosts are those that SSH jobs of the live folder name, those of runs that are remembered (an order
may have named another host than its job), those of the settings, and those of the agents, which are
asked through the agents. Whose a run is follows from
the state's events; nothing here is kept, so a restart begins anew (ssh-and-jitl.md chapter 3).
"""

import asyncio
import contextlib
import logging
from collections import ChainMap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeAlias

from engine.drivers.agent_questions import AgentQuestions
from engine.drivers.remote_processes import RemoteProcesses, WatchedHost
from engine.drivers.ssh_host_keys import Trusted, shown_key, trust_host
from engine.drivers.ssh_hosts import SshHosts
from engine.errors import StoreError
from engine.kernel.definitions import Job, NativeScript
from engine.kernel.events import Event
from engine.kernel.events import definitions as d
from engine.kernel.events import sessions as s
from engine.kernel.ids import LOCAL, AgentUri, TaskId
from engine.kernel.instants import Instant
from engine.kernel.native import SSH
from engine.kernel.params import Params, value_of
from engine.kernel.sessions.browser import (
    AuditRecord,
    HostView,
    SignalRequest,
    SignalResult,
    each_once,
)
from engine.kernel.sessions.identity import RunToken, token_of
from engine.kernel.sessions.marks import KnownRun
from engine.kernel.sessions.parameters import SessionRules, Target, session_of, target_of
from engine.kernel.sessions.resolution import connection_of, resolved, substituted
from engine.kernel.ssh_runs import SshRunState
from engine.kernel.state import State
from engine.server.processes_endpoint import BrowsedHost, ShownKey
from engine.service.agent_runs import AgentRuns, agent_hosts
from engine.service.ssh_settings import SshSection
from engine.store.audit_file import AuditFile
from engine.store.secret_box import SealBroken
from engine.store.task_logs import TaskLogs

log = logging.getLogger(__name__)

Opened: TypeAlias = Callable[[Mapping[str, str]], dict[str, str]]
Place: TypeAlias = tuple[str, int, str]
"""Host, port and account: what makes two hosts of the browser the same."""

_PLAIN_PORT: Final = 22


def _place(target: Target) -> Place:
    return (target.host.casefold(), target.port or _PLAIN_PORT, target.user)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostReader:
    """Makes connections out of parameters: replaces placeholders, opens what is sealed."""

    special: Mapping[str, str]
    opened: Opened

    def target(self, parameters: Params) -> Target | None:
        """Return where parameters lead, None when that cannot be told without an order."""
        try:
            found = target_of(self.opened(substituted(parameters, self.special)))
        except SealBroken:
            return None
        if not isinstance(found, Target) or "${" in found.host or "%" in found.host:
            return None
        return found


@dataclass(slots=True)
class _Listed:
    """A host on its way into the list."""

    target: Target
    name: str
    sources: list[str] = field(default_factory=list)
    folders: dict[str, None] = field(default_factory=dict)
    is_protected: bool = False
    agent: AgentUri = LOCAL


class SshRuns:
    """The runs of this engine by their tokens, as its events tell."""

    def __init__(self, state: State, reader: HostReader) -> None:
        self._state = state
        self._reader = reader
        self._known: dict[RunToken, KnownRun] = {}
        self._tokens: dict[TaskId, RunToken] = {}
        self._targets: dict[RunToken, Target] = {}
        self._folders: dict[RunToken, str] = {}
        for run in state.ssh_runs.values():
            self._put(run)

    def committed(self, events: Iterable[Event]) -> bool:
        """Take in what has happened; returns whether the list of hosts may be another one."""
        changed = False
        for event in events:
            match event:
                case s.SshRunBegun() | s.SshRunEnded():
                    run = self._state.ssh_runs.get(event.task)
                    if run is not None:
                        changed |= self._put(run)
                case s.SshRunsForgotten():
                    for task in event.tasks:
                        self._forget(task)
                    changed = True
                case d.JobDefined() | d.JobRemoved():
                    changed = True
                case _:
                    pass
        return changed

    @property
    def known(self) -> Mapping[RunToken, KnownRun]:
        """All runs, open and over."""
        return MappingProxyType(self._known)

    def place_of(self, token: RunToken) -> Place | None:
        """Return where a run is or was."""
        target = self._targets.get(token)
        return None if target is None else _place(target)

    def targets(self) -> Iterable[tuple[Target, str | None]]:
        """Iterate over where runs are, newest first, with the folder of each."""
        for token in reversed(self._targets):
            yield self._targets[token], self._folders.get(token)

    def _put(self, run: SshRunState) -> bool:
        token = token_of(run.key)
        former = self._tokens.get(run.task)
        if former is not None and former != token:
            self._forget(run.task)
        is_new = token not in self._known
        self._tokens[run.task] = token
        session = session_of(run.parameters)
        rules = session if isinstance(session, SessionRules) else SessionRules()
        self._known[token] = KnownRun(
            token=token,
            key=run.key,
            task=run.task,
            job=run.job,
            end=run.end,
            order="" if run.order is None else str(run.order),
            state=run.state or "",
            scope=rules.scope,
            kill_after=rules.kill_after,
        )
        if is_new:
            target = self._reader.target(run.parameters)
            if target is not None:
                self._targets[token] = target
            if rules.folder is not None:
                self._folders[token] = rules.folder
        return is_new

    def _forget(self, task: TaskId) -> None:
        token = self._tokens.pop(task, None)
        if token is not None:
            self._known.pop(token, None)
            self._targets.pop(token, None)
            self._folders.pop(token, None)


class RemoteHosts:
    """The service behind the browser's HTTP interface."""

    def __init__(
        self,
        state: State,
        hosts: SshHosts,
        *,
        settings: SshSection,
        reader: HostReader,
        audit: AuditFile,
        logs: TaskLogs,
        now: Callable[[], Instant],
        agents: AgentQuestions | None = None,
    ) -> None:
        self._state = state
        self._hosts = hosts
        self._settings = settings
        self._reader = reader
        self._audit = audit
        self._logs = logs
        self._now = now
        self._runs = SshRuns(state, reader)
        self._agent_runs = AgentRuns(state)
        self._known: Mapping[RunToken, KnownRun] = ChainMap(
            self._runs.known,  # type: ignore[arg-type]  # only read
            self._agent_runs.known,  # type: ignore[arg-type]  # only read
        )
        self._listed: dict[str, _Listed] = {}
        self._names: dict[Place, str] = {}
        self._is_outdated = True
        self._watched_until = 0.0
        self._somebody_looks = asyncio.Event()
        self._processes = RemoteProcesses(
            hosts,
            known_runs=self.known_runs,
            audit=self.keep,
            now=now,
            period_s=settings.refresh_s,
            allow_foreign_kill=settings.allow_foreign_kill,
            agents=agents,
        )

    def committed(self, events: Sequence[Event]) -> None:
        """Take in what has become durable."""
        is_changed = self._runs.committed(events) | self._agent_runs.committed(events)
        self._is_outdated = is_changed or self._is_outdated

    async def run(self) -> None:
        """Look at hosts while somebody looks at us, until cancelled."""
        looking = asyncio.create_task(self._processes.run(), name="look at remote hosts")
        try:
            while True:
                await self._somebody_looks.wait()
                self._somebody_looks.clear()
                with self._processes.watching():
                    await self._nobody_looks()
        finally:
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    async def _nobody_looks(self) -> None:
        """Wait until the last look is long enough ago; each look puts that off."""
        while (left := self._watched_until - _clock()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._somebody_looks.wait()
            self._somebody_looks.clear()

    # --- what the HTTP interface asks --------------------------------------------------------

    def hosts(self) -> Sequence[BrowsedHost]:
        """Return all hosts with the last look at each."""
        self._update()
        views = each_once(self._processes.views(), self.host_of)
        return [
            BrowsedHost(
                name=name, target=host.target, sources=tuple(host.sources), view=views[name]
            )
            for name, host in self._listed.items()
            if name in views
        ]

    def known_runs(self) -> Mapping[RunToken, KnownRun]:
        """Return the runs of this engine, open and over."""
        return self._known

    def host_of(self, token: RunToken) -> str | None:
        """Return the host on which a run is or was, or on which it was last seen."""
        self._update()
        agent = self._agent_runs.agent_of(token)
        if agent is not None:
            return next((name for name, each in self._listed.items() if each.agent == agent), None)
        place = self._runs.place_of(token)
        if place is not None and place in self._names:
            return self._names[place]
        for name, view in self._processes.views().items():
            if token in view.marks.verdicts:
                return name
        return None

    def watch(self, for_s: float) -> None:
        """Have the hosts looked at again and again for so long."""
        self._update()
        self._watched_until = max(self._watched_until, _clock() + for_s)
        self._somebody_looks.set()

    async def refresh(self, host: str) -> HostView:
        """Look at a host now."""
        self._update()
        return await self._processes.refresh(host)

    async def signal(self, request: SignalRequest) -> SignalResult:
        """Do what is asked for, if it may be done."""
        self._update()
        return await self._processes.signal(request)

    async def audit(self, limit: int) -> Sequence[AuditRecord]:
        """Return the last records, newest first."""
        return await self._audit.last(limit)

    async def trust(
        self, host: str, port: int, *, fingerprint: str | None, accept: bool
    ) -> ShownKey:
        """Look at a host's key and accept it if that is asked for. Raises SshError."""
        if accept or fingerprint is not None:
            trusted = await trust_host(self._hosts.keys, host, port, fingerprint=fingerprint)
            self._hosts.forget_failures(host, port)
            log.info("The host key %s of %s is trusted", trusted.key.fingerprint, host)
        else:
            key = await shown_key(host, port)
            known = await self._hosts.keys.known()
            listed = known.match(host, "", port if port != _PLAIN_PORT else None)[0]
            is_known = any(each.get_fingerprint() == key.fingerprint for each in listed)
            trusted = Trusted(key=key, was_known=is_known, file=self._hosts.keys.own)
        return ShownKey(
            host=trusted.key.host,
            port=trusted.key.port,
            algorithm=trusted.key.algorithm,
            fingerprint=trusted.key.fingerprint,
            accepted=accept or fingerprint is not None,
            was_known=trusted.was_known,
        )

    async def keep(self, record: AuditRecord) -> None:
        """Keep an audit record, and say it in the log of the task it is about (3.4)."""
        await self._audit.append(record)
        if record.task is None:
            return
        pids = ", ".join(str(member.pid) for member in record.members) or "nobody"
        text = (
            f"{record.act.value} ({record.signal}) on {record.host} by {record.by} "
            f"({record.origin}): {record.outcome.value}; {pids}"
        )
        with contextlib.suppress(StoreError):  # the log may have been removed by now
            await self._logs.append_line(TaskId(record.task), self._now(), "warn", text)

    # --- the list ----------------------------------------------------------------------------

    def _update(self) -> None:
        """Work the list of hosts out anew when something has changed."""
        if not self._is_outdated:
            return
        self._is_outdated = False
        found: dict[Place, _Listed] = {}
        for host in self._settings.hosts:
            listed = _enter(found, host.target, "settings", host.folders)
            listed.name, listed.is_protected = host.name, host.is_protected
        for job in self._state.jobs.values():
            target = self._target_of_job(job.definition)
            if target is not None:
                folder = value_of(connection_of(job.definition.params), "temp_dir")
                _enter(found, target, "job", _folders(folder))
        for target, folder in self._runs.targets():
            _enter(found, target, "run", _folders(folder))
        self._listed = {}
        for listed in found.values():
            listed.name = _unique(listed.name, self._listed)
            self._listed[listed.name] = listed
        self._names = {place: listed.name for place, listed in found.items()}
        for agent, name, target in agent_hosts(self._state):
            own = _unique(name, self._listed)
            self._listed[own] = _Listed(target=target, name=own, sources=["agent"], agent=agent)
        self._processes.set_hosts(
            [
                WatchedHost(
                    name=name,
                    target=listed.target,
                    folders=tuple(listed.folders),
                    is_protected=listed.is_protected,
                    agent=listed.agent,
                )
                for name, listed in self._listed.items()
            ]
        )

    def _target_of_job(self, job: Job) -> Target | None:
        if not isinstance(job.script, NativeScript) or job.script.kind != SSH:
            return None
        return self._reader.target(resolved((job.params,), job=job.path, node=None))


def _enter(
    found: dict[Place, _Listed], target: Target, source: str, folders: Iterable[str]
) -> _Listed:
    listed = found.get(_place(target))
    if listed is None:
        listed = found[_place(target)] = _Listed(target=target, name=_name_of(target))
    if source not in listed.sources:
        listed.sources.append(source)
    listed.folders |= dict.fromkeys(folders)
    return listed


def _folders(folder: str | None) -> tuple[str, ...]:
    return () if folder is None or folder.strip() in {"", ".", "./"} else (folder.strip(),)


def _name_of(target: Target) -> str:
    """Return what a host is called: a part of addresses, so without slashes."""
    return str(target).replace("://", ":").replace("/", ".")


def _unique(name: str, taken: Mapping[str, object]) -> str:
    number, wanted = 1, name
    while wanted in taken:
        number += 1
        wanted = f"{name}#{number}"
    return wanted


def _clock() -> float:
    return asyncio.get_running_loop().time()
