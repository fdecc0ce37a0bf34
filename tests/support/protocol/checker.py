"""An independent book-keeper: sees what really happens, and complains at once (agents.md 3.3)."""

from dataclasses import dataclass, field

from engine.kernel.ids import ExecutionKey
from engine.kernel.reports import (
    EndReason,
    Report,
    TaskExited,
    TaskLaunched,
    TaskLost,
    TaskNotLaunched,
)


class Violation(AssertionError):
    """Something that must never happen."""


@dataclass(slots=True)
class Truth:
    """What really happened to one key."""

    starts: int = 0
    is_alive: bool = False
    output: bytes = b""
    exit_code: int | None = None
    engine_killed: bool = False
    reported: Report | None = None


@dataclass(slots=True)
class Checker:
    """Knows all keys of all engines."""

    truths: dict[ExecutionKey, Truth] = field(default_factory=dict)
    frozen: set[str] = field(default_factory=set)
    """Keys whose host was suspended while they ran: nobody can end them in time."""
    lease_kills: int = 0
    lost: int = 0
    allows_loss: bool = True

    def truth(self, key: ExecutionKey) -> Truth:
        return self.truths.setdefault(key, Truth())

    def started(self, key: ExecutionKey) -> None:
        truth = self.truth(key)
        truth.starts += 1
        if truth.starts > 1:
            raise Violation(f"I1: {key} was started {truth.starts} times")
        if truth.reported is not None:
            raise Violation(f"{key} was started after {truth.reported}")
        truth.is_alive = True

    def ended(self, key: ExecutionKey, exit_code: int) -> None:
        truth = self.truth(key)
        truth.is_alive = False
        truth.exit_code = exit_code

    def committed(self, key: ExecutionKey, report: Report, log: bytes) -> None:
        """The engine has the end of an execution in its journal."""
        truth = self.truth(key)
        if truth.reported is not None:
            raise Violation(f"I3: {key} ended twice: {truth.reported}, then {report}")
        truth.reported = report
        match report:
            case TaskNotLaunched():
                if truth.starts:
                    raise Violation(f"{key} is said not to be launched, but was")
            case TaskLost():
                self.lost += 1
                if truth.is_alive and key not in self.frozen:
                    raise Violation(f"I2: {key} is said to be lost, and runs")
                if not self.allows_loss:
                    raise Violation(f"I4: {key} was lost: {report.text}")
            case TaskExited():
                self._exited(key, truth, report, log)
            case _:
                raise Violation(f"{report} is no end")

    def _exited(self, key: ExecutionKey, truth: Truth, report: TaskExited, log: bytes) -> None:
        if not truth.starts or truth.is_alive:
            raise Violation(f"{key} is said to have ended, and has not")
        if report.exit_code != truth.exit_code:
            raise Violation(f"I3: {key} ended with {truth.exit_code}, told is {report.exit_code}")
        if log != truth.output:
            raise Violation(f"I6: {key} wrote {truth.output!r}, stored is {log!r}")
        if report.reason is EndReason.LEASE_OVER:
            self.lease_kills += 1
            if not self.allows_loss:
                raise Violation(f"I4: {key} was killed because its lease was over")

    def launched(self, key: ExecutionKey, report: TaskLaunched) -> None:
        if not self.truth(key).starts:
            raise Violation(f"{report} of a task that was never started")

    def at_rest(self, keys: list[ExecutionKey]) -> None:
        """After the faults have stopped for long enough."""
        for key in keys:
            truth = self.truth(key)
            if truth.reported is None:
                raise Violation(f"no end of {key} was ever told")
            if truth.is_alive:
                raise Violation(f"{key} still runs")
