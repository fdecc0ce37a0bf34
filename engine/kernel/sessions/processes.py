"""The process table of a remote host, as the probe prints it (ssh-and-jitl.md 3.1).

Lines begin with a tag; whatever else a login shell prints is ignored. Nothing in here is trusted
further than its syntax: a line that does not fit is left out.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from engine.kernel.sessions.identity import RunToken, fields_of, is_start_mark, is_token

ARGUMENTS_LENGTH_MAX = 4096
"""Longer command lines are cut: a screen shows a fraction of this."""
PROCESSES_MAX = 50_000
"""A host with more processes than this is shown in part."""

_NUMBER = re.compile(r"[0-9]{1,19}\Z")
_ELAPSED = re.compile(r"(?:(?:(\d+)-)?(\d+):)?(\d+):(\d+)(?:\.\d+)?\Z")
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of a remote host."""

    pid: int
    parent: int
    group: int
    session: int | None
    user: str
    """May be cut by the host's `ps`: for display."""
    is_own: bool
    """Of the account that looked; False where the host does not say."""
    state: str
    """First letter of the kernel's state: R, S, D, T, Z ...; `?` when unknown."""
    start: str
    """Start mark for equality: `t` and ticks; empty when the host does not say."""
    token: RunToken | None = None
    began: int | None = None
    """Seconds since 1970."""
    cpu_percent: float | None = None
    """As `ps` says: average over its life on Linux, decayed on BSD."""
    cpu_seconds: int | None = None
    memory_kib: int | None = None
    virtual_kib: int | None = None
    control_group: str = ""
    arguments: str = ""

    @property
    def is_zombie(self) -> bool:
        """Dead already: only its parent can make it go away."""
        return self.state in {"Z", "X"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDirectory:
    """What stands in a run's directory; its fields are not yet checked."""

    token: RunToken
    result: int | None
    """Exit status, once the job has ended."""
    fields: Mapping[str, str]
    path: str = ""
    """Where the directory is on its host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTable:
    """One look at a host."""

    now: int
    uid: int
    user: str
    system: str
    boot: str
    processes: Mapping[int, Process]
    runs: Mapping[RunToken, RunDirectory] = field(default_factory=dict)
    tokens_readable: bool = False
    """Whether the host lets us read environments; if not, a missing token proves nothing."""
    cut: bool = False
    """There were more processes than `PROCESSES_MAX`."""


def clean(text: str) -> str:
    """Return text that cannot steer a terminal: no escape sequences, no control characters."""
    return _CONTROLS.sub(" ", _ESCAPES.sub("", text))


def elapsed_seconds(text: str) -> int | None:
    """Read `[[dd-]hh:]mm:ss`."""
    found = _ELAPSED.match(text)
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def parse_probe(text: str) -> HostTable | None:
    """Read a probe's output; None when it is no answer of the probe or has not come whole."""
    header: dict[str, str] = {}
    columns: list[str] = []
    processes: dict[int, Process] = {}
    kernel_lines: list[list[str]] = []
    tokens: dict[int, RunToken] = {}
    runs: dict[RunToken, RunDirectory] = {}
    paths: dict[str, str] = {}
    whole = cut = False
    for line in text.split("\n"):
        tag, _, rest = line.partition(" ")
        match tag:
            case "H":
                header |= fields_of(rest)
            case "F":
                columns = rest.split()
            case "P" if len(processes) >= PROCESSES_MAX:
                cut = True
            case "P":
                process = _process(columns, rest, header)
                if process is not None:
                    processes[process.pid] = process
            case "S":
                kernel_lines.append(rest.split(None, 5))
            case "T":
                tokens |= _token(rest)
            case "R":
                runs |= _run(rest)
            case "D":
                name, _, path = rest.partition(" ")
                paths[name] = path
            case "Z":
                whole = True
    if not whole or not _are_numbers(header.get("uid", ""), header.get("now", "")):
        return None
    for words in kernel_lines:
        _refine(processes, words, header)
    for pid, token in tokens.items():
        if pid in processes:
            processes[pid] = replace(processes[pid], token=token)
    return HostTable(
        now=int(header["now"]),
        uid=int(header["uid"]),
        user=header.get("user", ""),
        system=header.get("os", ""),
        boot=header.get("boot", "-"),
        processes=processes,
        runs={token: replace(run, path=paths.get(token, "")) for token, run in runs.items()},
        tokens_readable=header.get("tokens") == "yes",
        cut=cut,
    )


def _process(columns: list[str], line: str, header: Mapping[str, str]) -> Process | None:
    values = line.split(None, max(len(columns) - 1, 0))
    if len(values) < len(columns) - 1 or not columns:
        return None
    row = dict(zip(columns, values, strict=False))
    if not _are_numbers(row.get("pid", ""), row.get("ppid", ""), row.get("pgid", "")):
        return None
    elapsed = elapsed_seconds(row.get("etime", ""))
    now = header.get("now", "")
    return Process(
        pid=int(row["pid"]),
        parent=int(row["ppid"]),
        group=int(row["pgid"]),
        session=_number(row.get("sid")),
        user=row.get("user", ""),
        is_own=False,
        state=row.get("stat", "?")[:1],
        start="",
        began=int(now) - elapsed if elapsed is not None and _are_numbers(now) else None,
        cpu_percent=_fraction(row.get("pcpu")),
        cpu_seconds=elapsed_seconds(row.get("time", "")),
        memory_kib=_number(row.get("rss")),
        virtual_kib=_number(row.get("vsz")),
        arguments=clean(row.get("args", ""))[:ARGUMENTS_LENGTH_MAX],
    )


def _refine(processes: dict[int, Process], words: list[str], header: Mapping[str, str]) -> None:
    """Add what the kernel says: exact start, session, owner, control group."""
    if len(words) < 5 or not _are_numbers(words[0]) or not is_start_mark(words[2]):
        return
    process = processes.get(int(words[0]))
    if process is None:
        return
    hertz, up, now = (header.get(name, "") for name in ("hz", "up", "now"))
    began = process.began
    up = up.partition(".")[0]
    if _are_numbers(hertz, up, now, words[2][1:]) and int(hertz) > 0:
        began = int(now) - int(up) + int(words[2][1:]) // int(hertz)
    processes[process.pid] = replace(
        process,
        state=words[1][:1],
        start=words[2],
        session=_number(words[3]),
        is_own=words[4] == "own",
        began=began,
        control_group=clean(words[5]) if len(words) > 5 else "",
    )


def _token(rest: str) -> dict[int, RunToken]:
    words = rest.split()
    if len(words) == 2 and _are_numbers(words[0]) and is_token(words[1]):
        return {int(words[0]): RunToken(words[1])}
    return {}


def _run(rest: str) -> dict[RunToken, RunDirectory]:
    name, _, text = rest.partition(" ")
    if not is_token(name):
        return {}
    token = RunToken(name)
    fields = fields_of(text)
    return {token: RunDirectory(token=token, result=_number(fields.pop("rc", "")), fields=fields)}


def _are_numbers(*texts: str) -> bool:
    return all(_NUMBER.match(text) is not None for text in texts)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.match(text) else None


def _fraction(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None
