"""The monitors of a job: which there are, in which order, and what they mean for a step (3.10).

A monitor is inline in its job or named and shared. Its `before` functions are called ascending by
ordering, `after` functions the other way round; equal orderings keep the order of the document.
"""

from dataclasses import dataclass

from engine.kernel.definitions import ForeignScript, Job, NativeScript, Script
from engine.kernel.native import CONFIGURATION_MONITOR
from engine.kernel.state import State

DEFAULT_ORDERING = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveMonitor:
    """A monitor as it takes part in a job's tasks."""

    name: str
    """Of an inline monitor its name, of a named one its path."""
    ordering: int
    script: Script


def monitors_of(state: State, job: Job) -> tuple[ActiveMonitor, ...]:
    """Return the job's monitors in the order of their `before` functions; missing ones left out."""
    found: list[ActiveMonitor] = []
    for use in job.monitors:
        if use.script is not None:
            ordering = DEFAULT_ORDERING if use.ordering is None else use.ordering
            found.append(ActiveMonitor(name=use.name, ordering=ordering, script=use.script))
            continue
        named = None if use.path is None else state.monitors.get(use.path)
        if named is not None:
            definition = named.definition
            ordering = definition.ordering if use.ordering is None else use.ordering
            script = definition.script
            found.append(ActiveMonitor(name=definition.path, ordering=ordering, script=script))
    return tuple(sorted(found, key=lambda monitor: monitor.ordering))


def has_configuration_monitor(state: State, job: Job) -> bool:
    """Whether node parameters from `*.config.xml` are put into the order before each step (9.2)."""
    return any(_is_configuration_monitor(monitor) for monitor in monitors_of(state, job))


def foreign_monitors(state: State, job: Job) -> tuple[ActiveMonitor, ...]:
    """Return the monitors that are scripts in a language of functions."""
    return tuple(
        monitor for monitor in monitors_of(state, job) if not _is_configuration_monitor(monitor)
    )


def refusal_of(monitor: ActiveMonitor) -> str:
    """Return why the engine cannot call this monitor."""
    what = "a shell script"
    if isinstance(monitor.script, ForeignScript):
        what = repr(monitor.script.java_class or monitor.script.language or "no language")
    elif isinstance(monitor.script, NativeScript):
        what = repr(monitor.script.java_class)
    return f"SCHEDULER-199 The engine cannot run the monitor {monitor.name!r}: it is {what}"


def _is_configuration_monitor(monitor: ActiveMonitor) -> bool:
    script = monitor.script
    return isinstance(script, NativeScript) and script.kind == CONFIGURATION_MONITOR
