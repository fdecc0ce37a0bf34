"""The environment of a task (agents.md 5.2): what the host adds to what the engine sends.

Jobs must not see the Python environment this program is installed in: a job that calls `python3`
means the host's.
"""

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from engine.kernel.effects import ProcessSpec
from engine.kernel.instants import Instant

_OURS = frozenset(
    {
        "VIRTUAL_ENV",
        "VIRTUAL_ENV_PROMPT",
        "__PYVENV_LAUNCHER__",
        # The service manager's words to us, not to our children.
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "LISTEN_FDNAMES",
        "LISTEN_PID",
        "WATCHDOG_PID",
        "WATCHDOG_USEC",
        # Secrets between this program, its engines or agents, and people.
        "POINTSMAN_AGENT_TOKEN",
        "POINTSMAN_TOKEN",
        "POINTSMAN_TLS_KEY_PASSWORD",
    }
)
_OURS_PREFIX = "PYTHON"


def without_ours(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without traces of the virtual environment this program runs in."""
    kept = {
        name: value
        for name, value in environment.items()
        if name not in _OURS and not name.startswith(_OURS_PREFIX)
    }
    if sys.prefix != sys.base_prefix and "PATH" in kept:
        own = {Path(sys.prefix, "bin"), Path(sys.executable).parent}
        entries = kept["PATH"].split(os.pathsep)
        kept["PATH"] = os.pathsep.join(entry for entry in entries if Path(entry) not in own)
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all tasks of this program have in common."""

    host: str
    """This host's name without its domain."""
    http_port: int | None
    """The port of this program's HTTP interface, when it has one."""
    inherited: Mapping[str, str] = field(default_factory=lambda: without_ours(os.environ))

    def environment(self, spec: ProcessSpec, returns: Path, started_at: Instant) -> dict[str, str]:
        """Return the whole environment of a task, lowest to highest precedence."""
        host = {"SCHEDULER_HOST": self.host, "SCHEDULER_RETURN_VALUES": str(returns)}
        if self.http_port is not None:
            host["SCHEDULER_HTTP_PORT"] = str(self.http_port)
        return {**self.inherited, **spec.environment, **host, **start_variables(started_at)}


def start_variables(started_at: Instant) -> dict[str, str]:
    """Return `SCHEDULER_TASKSTART_*` in this host's time zone."""
    zone = time.localtime(started_at / 1000)
    moment = datetime.fromtimestamp(started_at / 1000, tz=UTC).astimezone()
    prefix = "SCHEDULER_TASKSTART_"
    return {
        f"{prefix}DATE_ISO": moment.isoformat(timespec="seconds"),
        f"{prefix}DATE": f"{time.strftime('%b', zone)} {zone.tm_mday}, "
        + time.strftime("%Y, %I:%M:%S %p", zone),
        f"{prefix}YEAR": f"{zone.tm_year:04d}",
        f"{prefix}MONTH": f"{zone.tm_mon:02d}",
        f"{prefix}DAY": f"{zone.tm_mday:02d}",
        f"{prefix}HOUR": f"{zone.tm_hour:02d}",
        f"{prefix}MINUTE": f"{zone.tm_min:02d}",
        f"{prefix}SECOND": f"{zone.tm_sec:02d}",
    }
