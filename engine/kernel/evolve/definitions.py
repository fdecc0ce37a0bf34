"""The fold of definition events."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.commands import NodeAction
from engine.kernel.definitions import ProcessClass
from engine.kernel.events import definitions as e
from engine.kernel.evolve.files import forget_sources
from engine.kernel.ids import DEFAULT_CLASS, SchedulePath
from engine.kernel.state import (
    Broken,
    ChainState,
    ClassState,
    JobState,
    LockState,
    NamedMonitor,
    Schedule,
    State,
)
from engine.kernel.versions import replace


def _main_configured(state: State, event: e.MainConfigured) -> None:
    state.main = event.main
    for job in list(state.jobs.values()):
        if job.definition.run_time is not None and job.is_planned:
            state.put_job(replace(job, is_planned=False))


def _ask_users_again(state: State, *changed: Schedule | None) -> None:
    """Note that the jobs of these schedules have to ask them again; `repeat` begins afresh."""
    bases: set[SchedulePath] = set()
    for schedule in changed:
        if schedule is not None:
            bases.update(schedule.bases)
    for job in list(state.jobs.values()):
        run_time = job.definition.run_time
        if run_time is not None and run_time.schedule in bases:
            state.put_job(replace(job, is_planned=False, last_end=None))


def _job_defined(state: State, event: e.JobDefined) -> None:
    former = state.jobs.get(event.job.key)
    if former is None:
        disabled = not event.job.enabled
        job = JobState(definition=event.job, enabled=not disabled, stopped=disabled)
    else:
        enabled = former.enabled
        if event.job.enabled != former.definition.enabled:
            enabled = event.job.enabled
        job = replace(
            former,
            definition=event.job,
            replacement=None,
            removal_held=False,
            enabled=enabled,
            stopped=(former.stopped and former.stop_persistent) or not enabled,
            stop_persistent=True,
            is_planned=False,
            last_end=None,
            once_pending=True,
        )
    state.put_job(job)


def _job_replacement_held(state: State, event: e.JobReplacementHeld) -> None:
    job = state.jobs[event.job.key]
    state.put_job(replace(job, replacement=event.job, removal_held=False))


def _job_removal_held(state: State, event: e.JobRemovalHeld) -> None:
    state.put_job(replace(state.jobs[event.job], removal_held=True, replacement=None))


def _job_removed(state: State, event: e.JobRemoved) -> None:
    state.drop_job(event.job)


def _chain_defined(state: State, event: e.ChainDefined) -> None:
    former = state.chains.get(event.chain.key)
    if former is None:
        state.put_chain(ChainState(definition=event.chain))
        return
    states = {node.state for node in event.chain.nodes}
    actions = {name: action for name, action in former.actions.items() if name in states}
    state.put_chain(
        replace(
            former, definition=event.chain, replacement=None, removal_held=False, actions=actions
        )
    )
    forget_sources(state, event.chain.key)


def _chain_replacement_held(state: State, event: e.ChainReplacementHeld) -> None:
    chain = state.chains[event.chain.key]
    state.put_chain(replace(chain, replacement=event.chain, removal_held=False))


def _chain_removal_held(state: State, event: e.ChainRemovalHeld) -> None:
    chain = state.chains[event.chain]
    state.put_chain(replace(chain, removal_held=True, replacement=None))


def _chain_removed(state: State, event: e.ChainRemoved) -> None:
    assert not state.orders_of_chain.get(event.chain), "a chain goes after its orders"
    state.drop_chain(event.chain)
    forget_sources(state, event.chain)


def _chain_stop_set(state: State, event: e.ChainStopSet) -> None:
    state.put_chain(replace(state.chains[event.chain], stopped=event.stopped))


def _node_action_set(state: State, event: e.NodeActionSet) -> None:
    chain = state.chains[event.chain]
    actions = {name: action for name, action in chain.actions.items() if name != event.state}
    if event.action is not NodeAction.PROCESS:
        actions[event.state] = event.action
    state.put_chain(replace(chain, actions=actions))


def _process_class_defined(state: State, event: e.ProcessClassDefined) -> None:
    state.process_classes[event.process_class.path] = ClassState(definition=event.process_class)


def _process_class_removal_held(state: State, event: e.ProcessClassRemovalHeld) -> None:
    process_class = state.process_classes[event.process_class]
    state.process_classes[event.process_class] = replace(process_class, removal_held=True)


def _process_class_removed(state: State, event: e.ProcessClassRemoved) -> None:
    if event.process_class == DEFAULT_CLASS:
        state.process_classes[DEFAULT_CLASS] = ClassState(
            definition=ProcessClass(path=DEFAULT_CLASS)
        )
    else:
        del state.process_classes[event.process_class]


def _lock_defined(state: State, event: e.LockDefined) -> None:
    state.locks[event.lock.path] = LockState(definition=event.lock)


def _lock_removal_held(state: State, event: e.LockRemovalHeld) -> None:
    state.locks[event.lock] = replace(state.locks[event.lock], removal_held=True)


def _lock_removed(state: State, event: e.LockRemoved) -> None:
    del state.locks[event.lock]


def _schedule_defined(state: State, event: e.ScheduleDefined) -> None:
    path = event.schedule.schedule.path
    former = state.schedules.get(path)
    schedule = state.schedules[path] = Schedule(path=path, file=event.schedule)
    _ask_users_again(state, former, schedule)


def _schedule_removed(state: State, event: e.ScheduleRemoved) -> None:
    _ask_users_again(state, state.schedules.pop(event.schedule))


def _monitor_defined(state: State, event: e.MonitorDefined) -> None:
    path = event.monitor.path
    state.monitors[path] = NamedMonitor(path=path, definition=event.monitor)


def _monitor_removed(state: State, event: e.MonitorRemoved) -> None:
    del state.monitors[event.monitor]


def _file_broken(state: State, event: e.FileBroken) -> None:
    state.broken[event.object] = Broken(
        object=event.object, file=event.file, findings=event.findings
    )


def _file_mended(state: State, event: e.FileMended) -> None:
    state.broken.pop(event.object, None)


HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    e.MainConfigured: _main_configured,
    e.JobDefined: _job_defined,
    e.JobReplacementHeld: _job_replacement_held,
    e.JobRemovalHeld: _job_removal_held,
    e.JobRemoved: _job_removed,
    e.ChainDefined: _chain_defined,
    e.ChainReplacementHeld: _chain_replacement_held,
    e.ChainRemovalHeld: _chain_removal_held,
    e.ChainRemoved: _chain_removed,
    e.ChainStopSet: _chain_stop_set,
    e.NodeActionSet: _node_action_set,
    e.ProcessClassDefined: _process_class_defined,
    e.ProcessClassRemovalHeld: _process_class_removal_held,
    e.ProcessClassRemoved: _process_class_removed,
    e.LockDefined: _lock_defined,
    e.LockRemovalHeld: _lock_removal_held,
    e.LockRemoved: _lock_removed,
    e.ScheduleDefined: _schedule_defined,
    e.ScheduleRemoved: _schedule_removed,
    e.MonitorDefined: _monitor_defined,
    e.MonitorRemoved: _monitor_removed,
    e.FileBroken: _file_broken,
    e.FileMended: _file_mended,
}
