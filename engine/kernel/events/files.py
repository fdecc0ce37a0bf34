"""What can happen to files that become orders, watched directories and on-exit commands."""

from dataclasses import dataclass
from typing import TypeAlias

from engine.kernel.ids import ChainKey, JobKey, OrderKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.params import NO_PARAMS, Params


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFailed:
    """A directory whose files become orders cannot be read."""

    chain: ChainKey
    directory: str
    text: str
    at: Instant
    alerts: bool = True
    """False: the definition says that this is nothing to worry about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceReadable:
    """The directory can be read again (SCHEDULER-984)."""

    chain: ChainKey
    directory: str
    at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIgnored:
    """The file cannot become an order; it is left alone until it has gone (SCHEDULER-346)."""

    chain: ChainKey
    directory: str
    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IgnoredFileGone:
    """A file that was left alone has gone."""

    chain: ChainKey
    directory: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFileStays:
    """At the end of a file order its file is still there: the order blocks it (SCHEDULER-340)."""

    order: OrderKey
    path: str
    task: TaskId | None = None
    """The order's last task, in whose log this is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTriggered:
    """A watched directory has changed: the job starts as soon as it may (3.11)."""

    job: JobKey
    files: tuple[str, ...]
    """Full paths of all matching files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCommandsChosen:
    """The end of the task asks for these commands (3.12)."""

    task: TaskId
    job: JobKey
    exit_code: int
    """A signal as negative number."""
    commands: tuple[str, ...]
    task_params: Params = NO_PARAMS
    order_params: Params = NO_PARAMS
    holds_task: bool = False
    """The task waits for them, so that its order is still where the step failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitCommandCarriedOut:
    """One of the commands has been carried out, or refused."""

    task: TaskId
    index: int
    problem: str = ""
    """Why it was refused (SCHEDULER-327)."""


FileEvent: TypeAlias = (
    SourceFailed
    | SourceReadable
    | FileIgnored
    | IgnoredFileGone
    | OrderFileStays
    | JobTriggered
    | ExitCommandsChosen
    | ExitCommandCarriedOut
)
