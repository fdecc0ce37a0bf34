"""What answers tell of the engine's process, beside its state."""

from dataclasses import dataclass

from engine.kernel.instants import Instant

TASKS_OF_A_FOLDER = 1_000
"""Logs of so many tasks share a folder, as `engine.store.task_logs` has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """Facts that do not change while the engine lives; they come in when it starts."""

    version: str
    host: str = ""
    pid: int = 0
    started_at: Instant = Instant(0)
    http_port: int | None = None
    https_port: int | None = None
    tcp_port: int | None = None
    udp_port: int | None = None
    config_file: str = ""
    live_folder: str = ""
    log_file: str = ""
    task_log_folder: str = ""
    database: str = ""

    def task_log_file(self, task: int) -> str | None:
        """Return where the log of a task lies, None when that is not known."""
        if not self.task_log_folder:
            return None
        return f"{self.task_log_folder}/{task // TASKS_OF_A_FOLDER:06d}/task-{task}.log"
