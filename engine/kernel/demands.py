"""State -> what should be going on outside. Derived, never remembered (architecture notes, rule 4).

Drivers compare the demands with the world and act; every demand carries a key, so doing it twice is
harmless, and after a restart of the engine nothing else has to be restored.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.definitions import (
    AgentReference,
    ForeignScript,
    Include,
    Job,
    NativeScript,
    ShellScript,
    SinkNode,
    Text,
)
from engine.kernel.effects import (
    KeepAgent,
    ProcessSpec,
    ReadNodeSettings,
    RunNative,
    RunProcess,
    WatchedRun,
)
from engine.kernel.ids import AgentUri, ExecutionKey, folder_of, name_of
from engine.kernel.monitors import foreign_monitors, has_configuration_monitor, refusal_of
from engine.kernel.native import SINK_TARGET, SSH
from engine.kernel.params import (
    NO_PARAMS,
    Params,
    as_environment,
    for_node,
    is_yes,
    merge,
    value_of,
)
from engine.kernel.sessions.effects import Before, RunSsh
from engine.kernel.sessions.resolution import resolved
from engine.kernel.split_sync import successor_agents
from engine.kernel.state import FILE_ORDER_PARAM, Order, State, Task, TaskStatus
from engine.kernel.watchdog import (
    CLEANUP_KINDS,
    cleanup_parameters,
    special_variables,
    ssh_parameters,
    watched_run,
)

SETTINGS_LOADED = "scheduler_order_configuration_loaded"
"""Parameter of an order whose `xml_payload` holds its node settings (9.2)."""

PREFIX_PARAMS = ("scheduler.variable_name_prefix", "SCHEDULER_VARIABLE_NAME_PREFIX")
DEFAULT_PREFIX = "SCHEDULER_PARAM_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A process to be run whose script text has still to be put together.

    The service reads the includes when the task starts (orders-and-jobs.md 0.7) and puts the text
    into `run.spec.script`; a missing include is a start failure (SCHEDULER-399).
    """

    run: RunProcess
    parts: tuple[Text | Include, ...]
    refusal: str = ""
    """Not empty: the script is in a language that the engine cannot run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshRun:
    """Commands to be run over SSH whose script body has still to be put together."""

    run: RunSsh
    parts: tuple[Text | Include, ...]
    special: Mapping[str, str]
    """What placeholders in the parameters may name beside parameters (ssh-and-jitl.md 1.2)."""


Demand: TypeAlias = Run | RunNative | SshRun | ReadNodeSettings


def demand_of(state: State, task: Task) -> Demand | None:
    """Return what should be going on for a task; None when nothing should."""
    if task.key is None or task.status not in {TaskStatus.STARTING, TaskStatus.RUNNING}:
        return None
    job = state.jobs[task.job].definition
    if task.status is TaskStatus.STARTING and task.kill is None and not task.configured:
        if task.order is not None and has_configuration_monitor(state, job):
            return _settings_of(state, task, task.key, state.orders[task.order])
    if isinstance(job.script, NativeScript) and job.script.kind == SSH:
        return _ssh_run(state, task, job, job.script)
    if isinstance(job.script, NativeScript):
        order = None if task.order is None else state.orders[task.order]
        is_cleanup = job.script.kind in CLEANUP_KINDS
        return RunNative(
            key=task.key,
            task=task.id,
            kind=job.script.kind,
            parameters=cleanup_parameters(state, task)
            if is_cleanup
            else merge(
                task.params, {} if order is None else order.params, _sink_target(state, order)
            ),
            agents=() if order is None else _native_agents(state, order),
            watched=_watched(state, task, order) if is_cleanup else None,
        )
    return _run_of(state, task, job)


def _settings_of(state: State, task: Task, key: ExecutionKey, order: Order) -> ReadNodeSettings:
    own = order.definition
    return ReadNodeSettings(
        key=key,
        task=task.id,
        chain=state.chains[order.key.chain].definition.path,
        order=order.key.id,
        state=order.state,
        order_params=order.params,
        task_params=task.params,
        engine_params=state.main.params,
        xml_payload=order.xml_payload,
        has_own_settings=is_yes(value_of(own.params, SETTINGS_LOADED)) and bool(own.xml_payload),
    )


def _native_agents(state: State, order: Order) -> tuple[AgentUri, ...]:
    """Return the agents that a native job has to do with: for a sink the one with the file."""
    if isinstance(state.node(order.key.chain, order.state), SinkNode):
        return (order.file_agent,) if order.file_agent else ()
    return successor_agents(state, order)


def _sink_target(state: State, order: Order | None) -> Params:
    """Return where a sink moves the files to, nothing when it deletes them (1.11.3)."""
    node = None if order is None else state.node(order.key.chain, order.state)
    if isinstance(node, SinkNode) and node.move_to is not None:
        return {SINK_TARGET: node.move_to}
    return NO_PARAMS


def _watched(state: State, task: Task, order: Order | None) -> WatchedRun | None:
    return watched_run(state, merge(task.params, NO_PARAMS if order is None else order.params))


def _ssh_run(state: State, task: Task, job: Job, script: NativeScript) -> SshRun:
    assert task.key is not None
    order = None if task.order is None else state.orders[task.order]
    started = task.status is TaskStatus.RUNNING
    begun = state.ssh_runs.get(task.id)
    return SshRun(
        run=RunSsh(
            key=task.key,
            task=task.id,
            job=job.path,
            parameters=_ssh_parameters(state, task, task.key),
            environment=environment_of(state, task, with_params=False),
            variable_prefix=parameter_prefix(state),
            state=None if order is None else order.state,
            before=Before.SURELY if started else Before.NEVER,
            record="" if begun is None or begun.key != task.key else begun.record,
            kill=task.kill,
            may_start=task.kill is None or started,
        ),
        parts=script.parts,
        special=special_variables(state, task),
    )


def _ssh_parameters(state: State, task: Task, key: ExecutionKey) -> dict[str, str]:
    """Return what the job is told; where it runs stays as it was when it began."""
    params = ssh_parameters(state, task)
    begun = state.ssh_runs.get(task.id)
    if begun is None or begun.key != key:
        return params
    return resolved((params, begun.parameters), job=state.jobs[task.job].definition.path, node=None)


def run_demands(state: State) -> Iterator[Demand]:
    """Yield what should be going on for all tasks."""
    for task in state.tasks.values():
        demand = demand_of(state, task)
        if demand is not None:
            yield demand


def agent_demands(state: State) -> Iterator[KeepAgent]:
    """Yield the agents to be in touch with: those of all process classes.

    Several classes may name one agent: the shortest period and the longest timeout hold for the
    session (agents.md 3.13).
    """
    references: dict[AgentUri, AgentReference] = {}
    for process_class in state.process_classes.values():
        for agent in process_class.definition.agents:
            if not agent.is_usable:
                continue
            known = references.get(agent.uri)
            references[agent.uri] = agent if known is None else _combined(known, agent)
    for agent in references.values():
        yield KeepAgent(
            agent=agent.uri,
            heartbeat_period=agent.heartbeat_period,
            heartbeat_timeout=agent.heartbeat_timeout,
        )


def _combined(one: AgentReference, other: AgentReference) -> AgentReference:
    return AgentReference(
        uri=one.uri,
        heartbeat_period=min(one.heartbeat_period, other.heartbeat_period),
        heartbeat_timeout=max(one.heartbeat_timeout, other.heartbeat_timeout),
    )


# --- one process ---------------------------------------------------------------------------------


def _run_of(state: State, task: Task, job: Job) -> Run:
    assert task.key is not None
    assert task.agent is not None
    reference = _reference(state, task)
    parts: tuple[Text | Include, ...] = ()
    refusal = ""
    match job.script:
        case ShellScript():
            parts = job.script.parts
        case ForeignScript():
            what = job.script.java_class or job.script.language
            refusal = f"SCHEDULER-199 The engine cannot run jobs of {what!r}"
        case NativeScript():
            raise AssertionError("native jobs have no process")
    for monitor in foreign_monitors(state, job):
        refusal = refusal or refusal_of(monitor)
    return Run(
        run=RunProcess(
            key=task.key,
            task=task.id,
            agent=task.agent,
            heartbeat_period=reference.heartbeat_period,
            heartbeat_timeout=reference.heartbeat_timeout,
            kill=task.kill,
            may_start=task.kill is None or task.status is TaskStatus.RUNNING,
            ledger=task.key_ledger,
            has_started=task.status is TaskStatus.RUNNING,
            spec=ProcessSpec(
                job=job.path,
                script="",
                environment=environment_of(state, task),
                login_user=job.login_user,
                priority=job.priority,
                stderr_is_error=job.stderr_is_error,
            ),
        ),
        parts=parts,
        refusal=refusal,
    )


def _reference(state: State, task: Task) -> AgentReference:
    process_class = state.process_classes.get(task.process_class)
    assert task.agent is not None
    for agent in () if process_class is None else process_class.definition.agents:
        if agent.uri == task.agent:
            return agent
    return AgentReference(uri=task.agent)


def environment_of(state: State, task: Task, *, with_params: bool = True) -> dict[str, str]:
    """Return the environment that the engine adds to the process's own (8.2).

    Without parameters for those whose driver passes them by other rules.

    The host that runs the process adds what only it knows (agents.md 5.2): its name, its port,
    the start's date, the file for return values.
    """
    job = state.jobs[task.job].definition
    order = None if task.order is None else state.orders[task.order]
    prefix = parameter_prefix(state)
    environment: dict[str, str] = {**job.environment, **task.environment}
    if with_params:
        environment.update(as_environment(state.main.params, prefix))
    environment.update(
        {
            "SCHEDULER_ID": state.main.scheduler_id or state.control.engine_id,
            "SCHEDULER_JOB_NAME": name_of(job.path),
            "SCHEDULER_TASK_ID": str(task.id),
            "SCHEDULER_TASK_TRIGGER_FILES": ";".join(task.trigger_files),
            "SCHEDULER_SUPERVISOR_HOST": "",
            "SCHEDULER_SUPERVISOR_PORT": "",
        }
    )
    if job.source is not None:
        environment[JOB_FOLDER] = folder_of(job.path)
    order_params: Params = {}
    if order is not None:
        chain = state.chains[order.key.chain].definition
        environment.update(
            {
                "SCHEDULER_JOB_CHAIN": name_of(chain.path),
                "SCHEDULER_ORDER_ID": order.key.id,
                "SCHEDULER_ORDER_HISTORY_ID": str(order.history or ""),
                "SCHEDULER_ORDER_STATE": order.state,
            }
        )
        if chain.source is not None:
            environment[CHAIN_FOLDER] = folder_of(chain.path)
        path = value_of(order.params, FILE_ORDER_PARAM)
        if path:
            environment["SCHEDULER_TASK_TRIGGER_FILES"] = path
        order_params = for_node(order.params, order.state)
        if task.agent or job.monitors:
            # There the parameters of other nodes are passed too, under their full names (9.1).
            order_params = merge(order.params, order_params)
    if with_params:
        environment.update(as_environment(_upper(task.params, order_params), prefix))
    return environment


JOB_FOLDER = "SCHEDULER_JOB_CONFIGURATION_DIRECTORY"
CHAIN_FOLDER = "SCHEDULER_JOB_CHAIN_CONFIGURATION_DIRECTORY"
"""The kernel puts the folder's path below the live folder; the service makes it absolute."""


def _upper(*sets: Params) -> dict[str, str]:
    """Return the union under upper-cased names; upper-casing comes first (agents.md 5.2)."""
    return {name.upper(): value for params in sets for name, value in params.items()}


def parameter_prefix(state: State) -> str:
    """Return the prefix of parameters in the environment (8.3); `*NONE` is an empty one."""
    for name in PREFIX_PARAMS:
        prefix = value_of(state.main.params, name)
        if prefix:
            return "" if prefix == "*NONE" else prefix
    return DEFAULT_PREFIX
