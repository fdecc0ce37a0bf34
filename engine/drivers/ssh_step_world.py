"""What a step over SSH needs from outside, and small words about it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from engine.drivers.ssh_following import Pace, TaskOutput
from engine.drivers.ssh_hosts import SshHosts
from engine.errors import ConnectionLost
from engine.kernel.instants import Instant
from engine.kernel.reports import Report
from engine.kernel.sessions.decisions import ComeAgain, Decision
from engine.kernel.sessions.parameters import SshJob


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWorld:
    """What a step needs from outside."""

    hosts: SshHosts
    output: TaskOutput
    report: Callable[[Report], Awaitable[None]]
    """Returns when the journal has the report."""
    now: Callable[[], Instant]
    pace: Pace
    engine_environment: Mapping[str, str]
    """The engine's own variables, for jobs that ask for them."""


def lost_sight(job: SshJob, why: str) -> ConnectionLost:
    """Return the error for a host that answers but cannot be looked at."""
    return ConnectionLost(f"{job.target}: {why}", host=job.target.host)


def wait_s(decision: Decision) -> float:
    """Return the seconds until a decision wants another look."""
    return decision.order.after / 1000 if isinstance(decision.order, ComeAgain) else 0.0


def custom_of(act: str, terminate: str | None, kill: str | None) -> str | None:
    """Return the job's own command that stands for a signal, if it has one."""
    return {"TERM": terminate, "KILL": kill}.get(act)
