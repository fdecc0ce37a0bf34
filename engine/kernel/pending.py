"""Records of the state about files and about commands that are still to be carried out."""

from dataclasses import dataclass

from engine.kernel.ids import ChainKey, JobKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.params import NO_PARAMS, Params


def source_key(chain: ChainKey, directory: str) -> str:
    """Return the key of what is known of a chain's directory."""
    return f"{chain},{directory}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceState:
    """What is wrong with a directory whose files become orders; absent: nothing (1.11.1)."""

    chain: ChainKey
    directory: str
    error: str = ""
    """Why the directory could not be read at the last look."""
    since: Instant | None = None
    """When the first look of this row failed."""
    ignored: tuple[str, ...] = ()
    """Paths that cannot become orders, until the files have gone (SCHEDULER-346)."""

    @property
    def key(self) -> str:
        """Chain and directory."""
        return source_key(self.chain, self.directory)


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingCommands:
    """On-exit commands of a task that have been chosen and not yet carried out (3.12)."""

    task: TaskId
    job: JobKey
    exit_code: int
    commands: tuple[str, ...]
    """XML, in their order."""
    done: int = 0
    """So many of them have been carried out."""
    task_params: Params = NO_PARAMS
    """What `<copy_params from="task"/>` copies."""
    order_params: Params = NO_PARAMS
    holds_task: bool = False
    """The task, its order in it, waits until they are carried out."""
