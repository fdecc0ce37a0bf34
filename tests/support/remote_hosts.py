"""Remote hosts for cockpit tests: processes that a test puts there, signals that end them."""

from collections.abc import Callable
from typing import Any

from engine.kernel.instants import Instant, to_datetime
from engine.kernel.sessions.marks import Mark
from tui.remote import (
    AuditLine,
    HostLook,
    SignalAnswer,
    SignalAsked,
    answer_of_row,
    audit_of_row,
    host_of_row,
)

TOKEN = "js-7QK2"


class RecordedHosts:
    """The remote-process service of a recorded engine: rows as its HTTP interface has them."""

    def __init__(self, now: Callable[[], Instant]) -> None:
        self._now = now
        self.hosts: dict[str, dict[str, Any]] = {}
        self.signals: list[SignalAsked] = []
        self.audit: list[dict[str, Any]] = []
        self.on_signal: Callable[[SignalAsked], dict[str, Any]] | None = None
        self.looks = 0

    def put_host(self, name: str, *, state: str = "shown", problem: str = "") -> None:
        """Put a host in, without processes."""
        user, _, place = name.partition("@")
        address, _, port = place.partition(":")
        self.hosts[name] = {
            "host": name, "account": user, "address": address, "port": int(port or 22),
            "state": state, "problem": problem, "at": self._time(), "took_ms": 45,
            "protected": False, "version": 1, "sources": ["job"], "counts": {},
            "user": user, "uid": 1001, "system": "Linux", "boot": "b00t", "cut": False,
            "processes": [], "runs": [],
        }  # fmt: skip

    def put_run(
        self, host: str, token: str, mark: str, pids: tuple[int, ...], *, order: str = "/c,inv-1",
        task: int | None = 7, command: str = "sh load.sh",
    ) -> None:  # fmt: skip
        """Put a run with its processes on a host."""
        row = self.hosts[host]
        for depth, pid in enumerate(pids):
            row["processes"].append(
                process_row(pid, mark, token=token, depth=depth, command=command, at=self._time())
            )
        known = mark != "lost"
        row["runs"].append({
            "token": token, "mark": mark, "verdict": "alive", "why": "", "result": None,
            "expected": "alive/ours", "members": [
                {"pid": pid, "start": f"t{pid}", "reason": "carries the run's token"}
                for pid in pids
            ],
            "known": known, "end": {"orphan": "broken", "step": "open"}.get(mark, "normal"),
            "order": order if known else "", "order_state": "load" if known else "",
            "job": "/load" if known else "", "task": task if known else None,
            "scope": "token", "kill_after_s": None, "question": "End?",
        })  # fmt: skip
        self.touch(host)

    def put_stranger(self, host: str, pid: int, command: str = "vim") -> None:
        """Put a process there that belongs to no run."""
        row = process_row(pid, "foreign", token=None, depth=0, command=command, at=self._time())
        self.hosts[host]["processes"].append(row)
        self.touch(host)

    def end_run(self, host: str, token: str) -> None:
        """Let everything of a run be gone."""
        row = self.hosts[host]
        row["processes"] = [one for one in row["processes"] if one["token"] != token]
        row["runs"] = [one for one in row["runs"] if one["token"] != token]
        self.touch(host)

    def touch(self, host: str) -> None:
        """Let the host be looked at anew."""
        row = self.hosts[host]
        row["version"] += 1
        row["at"] = self._time()
        row["counts"] = {
            mark.value: sum(1 for one in row["processes"] if one["mark"] == mark.value)
            for mark in Mark
        }

    def _time(self) -> str:
        return to_datetime(self._now()).isoformat()

    # --- EngineClient ------------------------------------------------------------------------

    def listed(self) -> list[HostLook] | None:
        """Return the hosts without their processes."""
        self.looks += 1
        rows = []
        for row in self.hosts.values():
            short = {key: value for key, value in row.items() if key not in {"processes", "runs"}}
            rows.append(host_of_row(short))
        return rows

    def detailed(self, host: str) -> HostLook | None:
        """Return a host with its processes."""
        row = self.hosts.get(host)
        return None if row is None else host_of_row(row)

    def signal(self, asked: SignalAsked) -> SignalAnswer:
        """Do what the test wants; by default end the run."""
        self.signals.append(asked)
        if self.on_signal is not None:
            return answer_of_row(self.on_signal(asked))
        host, token = asked.subject.host, asked.subject.token
        members = [
            member
            for run in self.hosts[host]["runs"]
            if run["token"] == token
            for member in run["members"]
        ]
        if asked.act.value == "dry_run":
            text = f"TERM would go to {len(members)} processes"
            return answer_of_row({"outcome": "dry run", "text": text, "members": members})
        self.end_run(host, token)
        self.audit.insert(0, {
            "at": self._time(), "by": "ops1", "origin": "key", "host": host,
            "act": asked.act.value, "signal": "TERM", "order": "/c,inv-1", "token": token,
            "outcome": "done", "took_ms": 400, "text": "",
        })  # fmt: skip
        return answer_of_row({"outcome": "done", "text": "", "members": members})

    def attempts(self, limit: int) -> list[AuditLine]:
        """Return what was done, newest first."""
        return [audit_of_row(row) for row in self.audit[:limit]]


def process_row(
    pid: int, mark: str, *, token: str | None, depth: int, command: str, at: str
) -> dict[str, Any]:
    """Return a process as the engine tells it."""
    return {
        "pid": pid, "ppid": 1, "pgid": pid, "sid": pid, "user": "ops", "own": True, "state": "S",
        "start": f"t{pid}", "started_at": at, "cpu_percent": 0.0, "cpu_s": 0, "rss_kib": 900,
        "vsz_kib": 2000, "cgroup": "", "command": command, "mark": mark, "token": token,
        "inherited": False, "depth": depth, "badges": [],
    }  # fmt: skip
