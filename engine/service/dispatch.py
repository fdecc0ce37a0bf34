"""From demands to drivers: what should be going on outside, handed to who carries it out.

Only tasks that a commit has touched are looked at again, so the cost of a step does not grow with
the number of running tasks. Drivers get the whole picture and do the difference themselves;
telling them twice is harmless.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from engine.errors import DefinitionError
from engine.kernel.definitions import Include, Text
from engine.kernel.demands import (
    CHAIN_FOLDER,
    JOB_FOLDER,
    Run,
    SshRun,
    agent_demands,
    demand_of,
)
from engine.kernel.effects import (
    ForgetExecution,
    KeepAgent,
    ReadNodeSettings,
    RunNative,
    RunProcess,
)
from engine.kernel.events import Event
from engine.kernel.events import definitions as d
from engine.kernel.events import tasks as t
from engine.kernel.ids import LOCAL, AgentUri, ExecutionKey, TaskId
from engine.kernel.params import NO_PARAMS
from engine.kernel.reports import (
    LaunchFailure,
    NodeSettingsRead,
    Report,
    TaskLost,
    TaskNotLaunched,
)
from engine.kernel.sessions.effects import Before, RunSsh
from engine.kernel.sessions.identity import TOKEN_VARIABLE, token_of
from engine.kernel.sessions.parameters import substitute
from engine.kernel.sessions.resolution import substituted
from engine.kernel.state import State
from engine.store.secret_box import SealBroken

log = logging.getLogger(__name__)

ReadScript = Callable[[Sequence[Text | Include]], str]
ReadSettings = Callable[[ReadNodeSettings], NodeSettingsRead]


class ProcessDriver(Protocol):
    """Runs processes: on agents, or on the engine's own host."""

    def demands(self, agents: Collection[KeepAgent], runs: Collection[RunProcess]) -> None:
        """Take over what should be running."""

    def forget(self, executions: Collection[ForgetExecution]) -> None:
        """Drop what is kept of executions whose end the journal has."""


class RemoteDriver(ProcessDriver, Protocol):
    """Runs processes on agents."""

    def changed(self, runs: Mapping[AgentUri, Collection[RunProcess]]) -> None:
        """Take over what should be running on these agents; others are as before."""


class NativeDriver(Protocol):
    """Runs native jobs."""

    def demands(self, runs: Collection[RunNative]) -> None:
        """Take over what should be running."""


class SshTasks(Protocol):
    """Runs tasks over SSH."""

    def demands(self, runs: Collection[RunSsh]) -> None:
        """Take over what should be running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drivers:
    """Who carries out what."""

    local: ProcessDriver
    remote: RemoteDriver
    native: NativeDriver
    ssh: SshTasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the kernel does not know of a task's start."""

    read_script: ReadScript
    read_settings: ReadSettings
    """Reads `*.config.xml` for the configuration monitor; called in a thread."""
    live: Path
    """The live folder, absolute."""
    environment: Mapping[str, str]
    """What every task is told of this engine."""
    special: Mapping[str, str] = NO_PARAMS
    """What placeholders in the parameters of SSH jobs may name beside what the state knows."""
    opened: Callable[[Mapping[str, str]], dict[str, str]] = dict
    """Opens sealed values; what it returns goes to drivers and nowhere else. Raises SealBroken."""


class _Refused(Exception):
    """A task cannot be started; the text says why."""


class Dispatcher:
    """Keeps the drivers' demands in step with the state."""

    def __init__(
        self,
        state: State,
        drivers: Drivers,
        surroundings: Surroundings,
        report: Callable[[Report], Awaitable[None]],
        spawn: Callable[[Awaitable[None]], None],
    ) -> None:
        self._state = state
        self._local = drivers.local
        self._remote = drivers.remote
        self._native = drivers.native
        self._ssh = drivers.ssh
        self._read_script = surroundings.read_script
        self._read_settings = surroundings.read_settings
        self._live = surroundings.live
        self._standard_environment = surroundings.environment
        self._special = surroundings.special
        self._opened = surroundings.opened
        self._report = report
        self._spawn = spawn
        self._processes: dict[TaskId, RunProcess] = {}
        self._on_agent: dict[AgentUri, dict[TaskId, RunProcess]] = {}
        """Those of the processes that are on agents, so that telling one does not cost all."""
        self._natives: dict[TaskId, RunNative] = {}
        self._sessions: dict[TaskId, RunSsh] = {}
        self._inherited: set[ExecutionKey] = set()
        """Starts that an earlier life of the engine may have carried out."""
        self._scripts: dict[ExecutionKey, str] = {}
        self._settings_asked: dict[TaskId, ExecutionKey] = {}
        self._agents: tuple[KeepAgent, ...] = ()

    def begin(self) -> None:
        """Tell the drivers everything: after recovery."""
        keys = (task.key for task in self._state.tasks.values())
        self._inherited = {key for key in keys if key is not None}
        for task in list(self._state.tasks):
            self._look_at(task)
        for task, run in self._processes.items():
            self._sort_in(task, None, run)
        self._agents = tuple(agent_demands(self._state))
        self._tell_local()
        self._tell_remote()
        self._native.demands(list(self._natives.values()))
        self._ssh.demands(list(self._sessions.values()))

    def committed(self, events: Iterable[Event]) -> None:
        """Tell the drivers what has changed with these events."""
        touched: dict[TaskId, None] = {}
        agents_changed = False
        ended: list[TaskId] = []
        for event in events:
            match event:
                case t.TaskAssigned() | t.TaskAwaitsAgent() | t.TaskKillRequested():
                    touched[event.task] = None
                case t.TaskStarted() | t.TaskConfigured() | t.TaskEnded():
                    touched[event.task] = None
                case t.TaskClosed():
                    touched[event.task] = None
                    ended.append(event.task)
                case d.ProcessClassDefined() | d.ProcessClassRemoved():
                    agents_changed = True
                case _:
                    pass
        if agents_changed:
            self._agents = tuple(agent_demands(self._state))
        if not touched and not agents_changed:
            return
        former_processes = {task: self._processes.get(task) for task in touched}
        former_natives = {task: self._natives.get(task) for task in touched}
        former_sessions = {task: self._sessions.get(task) for task in touched}
        for task in touched:
            self._look_at(task)
        self._tell_changes(former_processes, former_natives, agents_changed=agents_changed)
        if any(self._sessions.get(task) != former for task, former in former_sessions.items()):
            self._ssh.demands(list(self._sessions.values()))
        self._forget(former_processes, ended)
        for task in ended:
            session = former_sessions.get(task)
            if session is not None:
                self._scripts.pop(session.key, None)

    # --- one task ----------------------------------------------------------------------------

    def _look_at(self, task_id: TaskId) -> None:
        task = self._state.tasks.get(task_id)
        demand = None if task is None else demand_of(self._state, task)
        if isinstance(demand, ReadNodeSettings):
            if self._settings_asked.get(task_id) != demand.key:
                self._settings_asked[task_id] = demand.key
                self._spawn(self._settings(demand))
        else:
            self._settings_asked.pop(task_id, None)
        if not isinstance(demand, Run):
            self._processes.pop(task_id, None)
        if not isinstance(demand, RunNative):
            self._natives.pop(task_id, None)
        if not isinstance(demand, SshRun):
            self._sessions.pop(task_id, None)
        if isinstance(demand, RunNative):
            self._natives[task_id] = self._complete_native(demand)
        elif isinstance(demand, SshRun):
            session = self._complete_session(demand)
            if session is not None:
                self._sessions[task_id] = session
        elif isinstance(demand, Run):
            process = self._complete(demand)
            if process is not None:
                self._processes[task_id] = process

    async def _settings(self, demand: ReadNodeSettings) -> None:
        await self._report(await asyncio.to_thread(self._read_settings, demand))

    def _complete(self, demand: Run) -> RunProcess | None:
        run = demand.run
        try:
            script = self._script(run.key, demand.parts, demand.refusal)
            environment = self._opened(self._environment(run.spec.environment))
        except (_Refused, SealBroken) as error:
            if not self._may_run(run.key, self._processes.get(run.task)):
                self._refuse(run.key, str(error))
                return None
            # It may have run for long, so nobody may forget it; only a start is out of question.
            return replace(run, may_start=False, refusal=str(error))
        if run.agent != LOCAL:
            environment[TOKEN_VARIABLE] = token_of(run.key)
        return with_script(run, script, environment)

    def _may_run(self, key: ExecutionKey, told: RunProcess | RunSsh | None) -> bool:
        """Return whether a driver may have started it: one of an earlier life, or of this one."""
        return key in self._inherited or (told is not None and told.key == key)

    def _complete_native(self, demand: RunNative) -> RunNative:
        """Open what the jobs of a cleanup chain log in with; other native jobs take no secrets."""
        if demand.watched is None:
            return demand
        parameters: Mapping[str, str] = substituted(demand.watched.parameters, self._special)
        with contextlib.suppress(SealBroken):  # the job will say that it cannot log in
            parameters = self._opened(parameters)
        return replace(demand, watched=replace(demand.watched, parameters=parameters))

    def _complete_session(self, demand: SshRun) -> RunSsh | None:
        run = demand.run
        may_run = self._may_run(run.key, self._sessions.get(run.task))
        if run.before is Before.NEVER and run.key in self._inherited:
            run = replace(run, before=Before.PERHAPS)
        special = {**self._special, **demand.special}
        try:
            parameters = self._opened(substituted(run.parameters, special))
            environment = self._opened(self._environment(run.environment))
        except SealBroken as error:
            if may_run:  # nobody can log in any more to see
                text = f"The task's host cannot be asked how it ended: {error}"
                self._spawn(self._report(TaskLost(key=run.key, text=text)))
            else:
                self._refuse(run.key, str(error))
            return None
        run = replace(run, parameters=parameters, environment=environment)
        try:
            script = self._script(run.key, demand.parts)
        except _Refused as error:
            if not may_run:
                self._refuse(run.key, str(error))
                return None
            return replace(run, may_start=False, refusal=str(error))
        return replace(run, script=substitute(script, {**special, **parameters}), special=special)

    def _script(self, key: ExecutionKey, parts: Sequence[Text | Include], refusal: str = "") -> str:
        """Return a script with its includes read. Raises _Refused when it cannot be (399)."""
        script = self._scripts.get(key)
        if script is None:
            if refusal:
                raise _Refused(refusal)
            try:
                script = self._read_script(parts)
            except DefinitionError as error:
                raise _Refused(error.text) from error
            self._scripts[key] = script
        return script

    def _refuse(self, key: ExecutionKey, text: str) -> None:
        report = TaskNotLaunched(key=key, failure=LaunchFailure.REFUSED, text=text)
        self._spawn(self._report(report))

    def _environment(self, told: Mapping[str, str]) -> dict[str, str]:
        environment = {**self._standard_environment, **told}
        for name in (JOB_FOLDER, CHAIN_FOLDER):
            folder = environment.get(name)
            if folder is not None:
                environment[name] = str(self._live / folder.strip("/"))
        return environment

    # --- telling -----------------------------------------------------------------------------

    def _tell_changes(
        self,
        former_processes: dict[TaskId, RunProcess | None],
        former_natives: dict[TaskId, RunNative | None],
        *,
        agents_changed: bool,
    ) -> None:
        told: set[AgentUri] = set()
        for task, former in former_processes.items():
            now = self._processes.get(task)
            if former == now:
                continue
            self._sort_in(task, former, now)
            told |= {run.agent for run in (former, now) if run is not None}
        if LOCAL in told:
            self._tell_local()
        if agents_changed:
            self._tell_remote()
        elif told - {LOCAL}:
            self._remote.changed(
                {agent: list(self._on_agent.get(agent, {}).values()) for agent in told - {LOCAL}}
            )
        if any(self._natives.get(task) != former for task, former in former_natives.items()):
            self._native.demands(list(self._natives.values()))

    def _sort_in(self, task: TaskId, former: RunProcess | None, now: RunProcess | None) -> None:
        if former is not None and former.agent in self._on_agent:
            runs = self._on_agent[former.agent]
            runs.pop(task, None)
            if not runs:
                del self._on_agent[former.agent]
        if now is not None and now.agent != LOCAL:
            self._on_agent.setdefault(now.agent, {})[task] = now

    def _tell_local(self) -> None:
        self._local.demands((), [run for run in self._processes.values() if run.agent == LOCAL])

    def _tell_remote(self) -> None:
        runs = [run for each in self._on_agent.values() for run in each.values()]
        self._remote.demands(self._agents, runs)

    def _forget(self, former: dict[TaskId, RunProcess | None], ended: Iterable[TaskId]) -> None:
        local: list[ForgetExecution] = []
        remote: list[ForgetExecution] = []
        for task in ended:
            run = former.get(task)
            if run is None:
                continue
            self._scripts.pop(run.key, None)
            forget = ForgetExecution(key=run.key, agent=run.agent)
            (local if run.agent == LOCAL else remote).append(forget)
        if local:
            self._local.forget(local)
        if remote:
            self._remote.forget(remote)


def with_script(run: RunProcess, script: str, environment: dict[str, str]) -> RunProcess:
    """Return the demand with script text and environment put in."""
    return replace(run, spec=replace(run.spec, script=script, environment=environment))
