"""What the agent shows of itself: the JSON of agents.md 2.4 and 2.5."""

import os
import platform
import socket
from collections.abc import Iterable
from typing import Any

from engine import __version__
from engine.agent.host import TaskHost
from engine.agent.ledger import Ledger
from engine.agent.ledger_parts import Execution
from engine.codec.agent_messages import ExecutionStatus
from engine.kernel.instants import Instant, utc_text


def overview(ledger: Ledger, started_at: Instant) -> dict[str, Any]:
    """Return the overview: exactly the original's seven entries."""
    return {
        "version": __version__,
        "startedAt": utc_text(started_at),
        "isTerminating": ledger.is_terminating,
        "currentTaskCount": ledger.count(),
        "totalTaskCount": ledger.total_count,
        "system": {
            "hostname": socket.gethostname(),
            "distribution": platform.platform(),
            "cpuModel": platform.processor() or platform.machine(),
            "mxBeans": {"operatingSystem": _operating_system()},
        },
        "java": {
            "systemProperties": {
                "java.version": platform.python_version(),
                "java.vendor": platform.python_implementation(),
                "os.arch": platform.machine(),
                "os.name": platform.system(),
                "os.version": platform.release(),
            },
            "memory": _memory(),
        },
    }


def details(ledger: Ledger, ledger_id: str, pid: int) -> dict[str, Any]:
    """Return what the original's overview has no place for."""
    return {
        "agentRunId": ledger.run,
        "ledgerId": ledger_id,
        "pid": pid,
        "engines": [
            {
                "engine": session.engine,
                "epoch": session.epoch,
                "executions": len(session.executions),
                "unacknowledgedEvents": len(session.offers),
            }
            for session in ledger.sessions.values()
        ],
    }


def task_counts(ledger: Ledger) -> dict[str, int]:
    """Return how many tasks there are now and were since the start."""
    return {"currentTaskCount": ledger.count(), "totalTaskCount": ledger.total_count}


def tasks(ledger: Ledger, host: TaskHost) -> list[dict[str, Any]]:
    """Return all tasks that have been begun, in the order of their numbers."""
    shown = [
        task(execution, host.number(execution.key))
        for execution in _begun(ledger.executions())
        if host.is_known(execution.key)
    ]
    return sorted(shown, key=lambda item: int(item["id"].partition("-")[0] or 0))


def find_task(ledger: Ledger, host: TaskHost, number: str) -> Execution | None:
    """Return the execution that the agent calls by this name."""
    for execution in _begun(ledger.executions()):
        if host.number(execution.key) == number:
            return execution
    return None


def task(execution: Execution, number: str) -> dict[str, Any]:
    """Return one task."""
    shown: dict[str, Any] = {
        "id": number,
        "tunnelId": number.partition("-")[0],
        "startMeta": {"job": execution.job, "taskId": str(execution.task)},
        "arguments": {"language": "shell", "monitorCount": 0},
        "executionKey": execution.key,
        "status": execution.status.value,
    }
    if execution.begun is not None:
        shown["pid"] = execution.begun.pid
        shown["startedAt"] = utc_text(execution.begun.started_at)
    return shown


def _begun(executions: Iterable[Execution]) -> Iterable[Execution]:
    return (each for each in executions if each.status is not ExecutionStatus.RESERVED)


def _operating_system() -> dict[str, float | int]:
    page = os.sysconf("SC_PAGE_SIZE")
    return {
        "availableProcessors": os.cpu_count() or 1,
        "systemLoadAverage": os.getloadavg()[0],
        "totalPhysicalMemorySize": os.sysconf("SC_PHYS_PAGES") * page,
        "freePhysicalMemorySize": os.sysconf("SC_AVPHYS_PAGES") * page,
    }


def _memory() -> dict[str, int]:
    page = os.sysconf("SC_PAGE_SIZE")
    resident = 0
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a pseudo file
        resident = int(file.read().split()[1]) * page
    total = os.sysconf("SC_PHYS_PAGES") * page
    return {"maximum": total, "total": resident, "free": total - resident}
