"""What can happen to definitions: they appear, change, wait to be replaced, and go."""

from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.commands import NodeAction, ObjectRef
from engine.kernel.definitions import (
    Chain,
    Job,
    Lock,
    MainConfiguration,
    Monitor,
    ProcessClass,
    ScheduleFile,
)
from engine.kernel.ids import (
    ChainKey,
    ClassPath,
    JobKey,
    LockPath,
    MonitorPath,
    NodeState,
    SchedulePath,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MainConfigured:
    """`scheduler.xml` says this."""

    main: MainConfiguration


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefined:
    """The job exists in this version."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReplacementHeld:
    """A new version waits until no task of the job is running (0.4)."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRemovalHeld:
    """The job will be removed when no task of it is running."""

    job: JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRemoved:
    """The job is gone; orders wait at its nodes until it comes back."""

    job: JobKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainDefined:
    """The chain exists in this version; its orders stay at the nodes of the same names."""

    chain: Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainReplacementHeld:
    """A new version waits until no order of the chain is in a task."""

    chain: Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRemovalHeld:
    """The chain will be removed when no order of it is in a task."""

    chain: ChainKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRemoved:
    """The chain is gone, its orders were removed before."""

    chain: ChainKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStopSet:
    """The chain starts no steps, or does again (1.5)."""

    chain: ChainKey
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeActionSet:
    """The node processes, stops or skips its orders (1.5)."""

    chain: ChainKey
    state: NodeState
    action: NodeAction


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessClassDefined:
    """The process class has these values; failure marks and round robin begin anew."""

    process_class: ProcessClass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessClassRemovalHeld:
    """The class will be removed when nobody uses it."""

    process_class: ClassPath


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessClassRemoved:
    """The class is gone."""

    process_class: ClassPath


@dataclass(frozen=True, slots=True, kw_only=True)
class LockDefined:
    """The lock exists in this version."""

    lock: Lock


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRemovalHeld:
    """The lock will be removed when nobody holds it or waits for it."""

    lock: LockPath


@dataclass(frozen=True, slots=True, kw_only=True)
class LockRemoved:
    """The lock is gone."""

    lock: LockPath


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleDefined:
    """The schedule exists in this version."""

    schedule: ScheduleFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRemoved:
    """The schedule is gone; its users wait for it."""

    schedule: SchedulePath


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorDefined:
    """The monitor exists in this version."""

    monitor: Monitor


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorRemoved:
    """The monitor is gone; jobs that use it wait for it."""

    monitor: MonitorPath


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBroken:
    """A definition file cannot be used; the former version of its object stays active."""

    object: ObjectRef
    file: str
    findings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMended:
    """The file is fine again, or gone."""

    object: ObjectRef


DefinitionEvent: TypeAlias = (
    MainConfigured
    | JobDefined
    | JobReplacementHeld
    | JobRemovalHeld
    | JobRemoved
    | ChainDefined
    | ChainReplacementHeld
    | ChainRemovalHeld
    | ChainRemoved
    | ChainStopSet
    | NodeActionSet
    | ProcessClassDefined
    | ProcessClassRemovalHeld
    | ProcessClassRemoved
    | LockDefined
    | LockRemovalHeld
    | LockRemoved
    | ScheduleDefined
    | ScheduleRemoved
    | MonitorDefined
    | MonitorRemoved
    | FileBroken
    | FileMended
)
