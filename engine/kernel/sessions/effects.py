"""What the SSH driver can be asked to do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from engine.kernel.effects import KillMode
from engine.kernel.ids import ExecutionKey, TaskId


class Before(Enum):
    """What is known of earlier attempts to start this very execution."""

    NEVER = "never"
    """Demanded for the first time: a host out of reach means that nothing has run."""
    PERHAPS = "perhaps"
    """An earlier life of the engine may have started it: a host out of reach proves nothing."""
    SURELY = "surely"
    """The journal has its TaskLaunched: it is never started again, only looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSsh:
    """Have this task's commands running on the host its parameters name; at most once per key.

    As long as the demand stands, the run is watched and its result awaited, over lost connections
    and restarts of the engine. When it is withdrawn before the driver has reported an end, whatever
    still runs is ended (2.6, rows 4 to 8).
    """

    key: ExecutionKey
    task: TaskId
    job: str
    """The job's path as written."""
    parameters: Mapping[str, str] = field(repr=False)
    """Job and order parameters, merged and substituted; may hold secrets."""
    script: str = ""
    """Body of the job's script element, for jobs without a command of their own."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """SCHEDULER_* variables for the remote side; the parameters are exported by the driver."""
    special: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What placeholders in a script file may name beside parameters."""
    variable_prefix: str = "SCHEDULER_PARAM_"
    """`scheduler.variable_name_prefix`; empty for `*NONE`."""
    state: str | None = None
    """The order's node, for parameters meant for one node only."""
    record: str = ""
    """How the run is known again on a host that has no folder for it; empty where it has one."""
    before: Before = Before.NEVER
    """The driver remembers more by itself; this matters after a restart of the engine."""
    kill: KillMode | None = None
    """Set as soon as the task shall end; the driver signals once per mode."""
    may_start: bool = True
    """False: a task that is to be killed before it was started must not start any more."""
    refusal: str = ""
    """Why it may not, when it is not being killed."""
