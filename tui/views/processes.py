"""Processes of the SSH hosts: whose they are, in trees, and what a key would do to them.

Marks and verdicts come from the engine, which has them from the hosts themselves
(ssh-and-jitl.md 3.2); nothing is guessed here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from engine.kernel.ids import NodeState
from engine.kernel.sessions.marks import Mark
from tui.mirror import Changes
from tui.remote import AuditLine, Breadth, HostLook, Identity, RemoteProcess, RemoteRun, Subject
from tui.views.durations import age_text, clock_text, counted, duration_text, moment_text
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.views.text import Line, Span, clean, line

DEFAULT_GRACE_S = 10.0
"""Between TERM and KILL, when the job says nothing."""
_STALE_MS = 15_000
_RANKS = (Mark.ORPHAN, Mark.STEP, Mark.LEFT_BEHIND, Mark.LOST, Mark.OTHER_SESSION, Mark.FOREIGN)
_WORDS = {
    Mark.ORPHAN: ("orphan", "orphan"),
    Mark.STEP: ("step", "run"),
    Mark.LEFT_BEHIND: ("left", "held"),
    Mark.LOST: ("lost", "late"),
    Mark.OTHER_SESSION: ("unsure", "late"),
    Mark.FOREIGN: ("foreign", "dim"),
}
_MEANING = {
    Mark.ORPHAN: "its step is over, but not by its own end: nobody waits for it any more",
    Mark.STEP: "belongs to a step that is running",
    Mark.LEFT_BEHIND: "its step ended well and left it running; a daemon, perhaps",
    Mark.LOST: "was started by an engine, but this one knows nothing of it",
    Mark.OTHER_SESSION: "shares a session with a step, but proves nothing",
    Mark.FOREIGN: "has nothing to do with any engine",
}
_DEEDS = {"end": "ended", "kill": "killed", "signal": "signalled", "dry run": "tried"}
_SHORT = {
    "in the run's process group": "in its group",
    "in the run's session": "in its session",
    "carries the run's token": "with its token",
    "named by the job's pid command": "named by its pid command",
}

COLUMNS = (
    Column(name="MARK", width_min=7, width_max=9, priority=0),
    Column(name="PID", width_min=7, right=True, priority=0),
    Column(name="HOST", width_min=6, width_max=24, cut_middle=True, priority=1),
    Column(name="STARTED", width_min=8, width_max=11, priority=6),
    Column(name="AGE", width_min=5, right=True, priority=2),
    Column(name="CPU%", width_min=5, right=True, priority=5),
    Column(name="RSS", width_min=5, right=True, priority=4),
    Column(name="ORDER · NODE", width_min=12, width_max=30, cut_middle=True, priority=1),
    Column(name="COMMAND", width_min=16, width_max=200, priority=0, flexible=True),
    Column(name="USER", width_min=6, priority=7, wide_only=True),
    Column(name="GROUP", width_min=6, right=True, priority=7, wide_only=True),
    Column(name="TASK", width_min=5, right=True, priority=7, wide_only=True),
)


def host_name(scene: Scene, host: HostLook) -> str:
    """Return the shortest name of a host that no other has: mostly its address."""
    count = scene.once("addresses of hosts", _addresses)[host.address]
    return clean(host.address if count == 1 else host.name)


def _addresses(scene: Scene) -> Counter[str]:
    return Counter(host.address for host in scene.mirror.remote.hosts.values())


def order_of(run: RemoteRun) -> str:
    """Return the id of the order that a run works for; empty for none."""
    return clean(run.order.rpartition(",")[2])


def mark_word(mark: Mark) -> tuple[str, str]:
    """Return the word and the role of a mark."""
    return _WORDS[mark]


# --- rows ----------------------------------------------------------------------------------------


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    return list(scene.once("process rows", _places))


def _places(scene: Scene) -> dict[RowKey, tuple[float | str, ...]]:
    """Return the place of each row: what needs a person first, runs together, as trees."""
    found: dict[RowKey, tuple[float | str, ...]] = {}
    for host in scene.mirror.remote.hosts.values():
        if host.state != "shown":
            found[host_key(host)] = (-1.0, host.name, "", 0.0)
        worst: dict[str, int] = {}
        hides_foreign = scene.mirror.remote.breadth is Breadth.OURS
        for process in host.processes:
            token, rank = process.identity.token, _RANKS.index(process.mark)
            worst[token] = min(rank, worst.get(token, rank))
        for index, process in enumerate(host.processes):
            if hides_foreign and process.mark is Mark.FOREIGN:
                continue
            token = process.identity.token
            rank = worst[token] if token else _RANKS.index(process.mark)
            found[process.identity] = (float(rank), host.name, token, float(index))
    return found


def host_key(host: HostLook) -> Identity:
    """Return the key of a row that stands for a whole host."""
    return Identity(host.name, "", 0, "")


def _row(scene: Scene, key: RowKey) -> Row | None:
    if not isinstance(key, Identity):
        return None
    host = scene.mirror.remote.hosts.get(key.host)
    place = scene.once("process rows", _places).get(key, ())
    if host is None:
        return None
    if not key.pid:
        return _host_row(scene, host, place)
    process = scene.once("processes by key", _by_key).get(key)
    return None if process is None else _process_row(scene, host, process, place)


def _by_key(scene: Scene) -> dict[RowKey, RemoteProcess]:
    return {
        process.identity: process
        for host in scene.mirror.remote.hosts.values()
        for process in host.processes
    }


def _roots(scene: Scene) -> dict[tuple[str, str], int]:
    """Return how deep the uppermost process of each run stands in its host's tree."""
    found: dict[tuple[str, str], int] = {}
    for host in scene.mirror.remote.hosts.values():
        for process in host.processes:
            key = (host.name, process.identity.token)
            found[key] = min(process.depth, found.get(key, process.depth))
    return found


def _host_row(scene: Scene, host: HostLook, place: tuple[float | str, ...]) -> Row:
    role = "fail" if host.state == "unreachable" else "dim"
    said = clean(host.problem) if host.state == "unreachable" else "asked, no answer yet"
    word = "no host" if host.state == "unreachable" else "asking"
    empty = Span("-", "dim")
    return Row(
        key=host_key(host),
        cells=(
            Span(word, role),
            empty,
            Span(host_name(scene, host)),
            empty,
            empty,
            empty,
            empty,
            empty,
            Span(said, role),
            Span(clean(host.account)),
            empty,
            empty,
        ),
        facts={"mark": word, "account": host.name, "state": host.state},
        place=place,
        trouble=host.state == "unreachable",
    )


def _process_row(
    scene: Scene, host: HostLook, process: RemoteProcess, place: tuple[float | str, ...]
) -> Row:
    run = host.run_of(process)
    word, role = _WORDS[process.mark]
    asked = scene.mirror.remote.pending.get(process.subject)
    sign = (Span(scene.glyphs.asked, "late"), Span(word, role)) if asked else (Span(word, role),)
    age = None if process.started_at is None else scene.now - process.started_at
    plain = "dim" if process.mark is Mark.FOREIGN else ""
    cells: tuple[Span | tuple[Span, ...], ...] = (
        sign,
        Span(str(process.identity.pid), plain),
        Span(host_name(scene, host), plain),
        Span(_started(scene, process), plain),
        Span("?" if age is None else duration_text(age), plain),
        Span("?" if process.cpu_percent is None else f"{process.cpu_percent:.1f}", plain),
        Span(size_text(process.rss_kib), plain),
        _owner(scene, process, run),
        _command(scene, host, process),
        Span(clean(process.user), plain),
        Span(str(process.pgid), "dim"),
        Span("-" if run is None or run.task is None else str(run.task), plain),
    )
    return Row(
        key=process.identity,
        cells=cells,
        sort={
            "PID": float(process.identity.pid),
            "AGE": float(age or 0),
            "CPU%": process.cpu_percent or 0.0,
            "RSS": float(process.rss_kib or 0),
            "STARTED": float(process.started_at or 0),
        },
        facts={
            "mark": process.mark.value,
            "account": host.name,
            "order": "" if run is None else run.order,
            "job": "" if run is None else run.job,
            "token": process.identity.token,
            "badges": " ".join(process.badges),
            "user": process.user,
        },
        place=place,
        trouble=process.mark is Mark.ORPHAN,
    )


def _started(scene: Scene, process: RemoteProcess) -> str:
    if process.started_at is None:
        return "?"
    return clock_text(process.started_at, scene.now, scene.zone)


def _owner(scene: Scene, process: RemoteProcess, run: RemoteRun | None) -> tuple[Span, ...]:
    if process.is_inherited:
        return (Span(f" {scene.glyphs.child} inherited", "dim"),)
    if run is None:
        return (Span("-", "dim"),)
    name = order_of(run) or clean(run.job.rpartition("/")[2])
    if not name:
        return (Span("-" if run.end else "not ours", "dim"),)
    node = clean(NodeState(run.order_state))
    return (Span(f"{name} · {node}" if node else name),)


def _command(scene: Scene, host: HostLook, process: RemoteProcess) -> tuple[Span, ...]:
    spans: list[Span] = []
    if process.badges:
        spans.append(Span(f"{', '.join(process.badges)}: ", "late"))
    if host.at is not None and scene.now - host.at > _STALE_MS:
        spans.append(Span(f"{age_text(scene.now - host.at)} old: ", "late"))
    depth = process.depth - scene.once("roots of trees", _roots)[host.name, process.identity.token]
    tree = f"{'  ' * min(depth - 1, 6)}{scene.glyphs.child} " if depth else ""
    spans += [
        Span(tree, "dim"),
        Span(clean(process.command), "dim" if process.mark is Mark.FOREIGN else ""),
    ]
    return tuple(spans)


def size_text(kib: int | None) -> str:
    """Return a size of memory with its unit."""
    if kib is None:
        return "?"
    if kib < 1024:
        return f"{kib}K"
    return f"{kib // 1024}M" if kib < 10 * 1024 * 1024 else f"{kib // (1024 * 1024)}G"


# --- what a key would do -------------------------------------------------------------------------


def is_free(host: HostLook, process: RemoteProcess) -> bool:
    """Return whether one key ends this: the host itself has proved it to be an orphan."""
    run = host.run_of(process)
    return (
        process.mark is Mark.ORPHAN
        and run is not None
        and run.verdict == "alive"
        and run.mark is Mark.ORPHAN
        and not host.is_protected
        and host.uid != 0
    )


def effect_lines(scene: Scene, key: RowKey) -> list[Line]:
    """Return what `x` would do to the row under the cursor, and why."""
    if not isinstance(key, Identity):
        return []
    host = scene.mirror.remote.hosts.get(key.host)
    if host is None:
        return []
    process = scene.once("processes by key", _by_key).get(key)
    if process is None:
        return host_lines(scene, host)
    run = host.run_of(process)
    word, role = _WORDS[process.mark]
    why = line(Span(f"{word}: ", role), _MEANING[process.mark])
    if run is None:
        return [
            line(f"TERM to process {key.pid} on {clean(host.name)}; asks first"),
            why,
            line(Span("nothing proves whose it is: its number must be typed", "dim")),
        ]
    return [_aim(host, run), why, _proof(host, run, process)]


def _aim(host: HostLook, run: RemoteRun) -> Line:
    count = len(run.members)
    grace = DEFAULT_GRACE_S if run.kill_after_s is None else run.kill_after_s
    what = counted(count, "process", "processes")
    where = f"on {clean(host.account)}@{clean(host.address)}"
    if run.order:
        where = f"of {order_of(run)} {where}"
    if not count:
        return line(Span(f"nothing: {_verdict_words(run)}", "late"))
    return line(f"TERM to {what} {where}, KILL after {grace:.0f} s")


def _why_asked(host: HostLook, process: RemoteProcess) -> str:
    """Return in a word why one key is not enough."""
    if process.mark is not Mark.ORPHAN:
        return "no orphan"
    if host.is_protected:
        return "protected"
    return "root" if host.uid == 0 else "no proof"


def _proof(host: HostLook, run: RemoteRun, process: RemoteProcess) -> Line:
    if run.verdict != "alive":
        return line(Span(_verdict_words(run), "late"))
    reasons = Counter(member.reason for member in run.members)
    said = ", ".join(f"{count} {short_reason(reason)}" for reason, count in reasons.items())
    task = f"task {run.task}: " if run.task is not None else ""
    ask = "" if is_free(host, process) else f"asks first: {_why_asked(host, process)}; "
    return line(Span(ask, "late"), Span(f"{task}{said}; the host checks again", "dim"))


def short_reason(reason: str) -> str:
    """Return in few words why a process belongs to a run."""
    return _SHORT.get(reason, clean(reason))


def _verdict_words(run: RemoteRun) -> str:
    words = {
        "alive": "it is alive",
        "gone": "it has gone",
        "unsure": "the host cannot prove whose it is",
        "norecord": "it has left no record on the host",
        "bad": "its record on the host is not as we wrote it",
        "unknown": "the host could not be looked at",
    }
    said = words.get(run.verdict, run.verdict)
    return f"{said}: {clean(run.why)}" if run.why else said


def host_lines(scene: Scene, host: HostLook) -> list[Line]:
    """Return what is known of a host."""
    seen = "never" if host.at is None else f"{age_text(max(scene.now - host.at, 0))} ago"
    role = {"shown": "ok", "unreachable": "fail"}.get(host.state, "dim")
    protected = "  protected: every signal asks" if host.is_protected else ""
    return [
        line(
            Span(f"{clean(host.name)}  ", "bold"),
            Span({"shown": "answers", "waiting": "asked"}.get(host.state, host.state), role),
            f"  seen {seen}, took {host.took_ms} ms",
            Span(protected, "late"),
        ),
        line(Span(clean(host.problem), "fail"))
        if host.problem
        else line(Span(clean(f"{host.system}  boot {host.boot}") if host.system else "", "dim")),
        line(Span(f"known from: {', '.join(host.sources)}", "dim")),
    ]


def audit_line(scene: Scene, record: AuditLine) -> Line:
    """Return one attempt in words: who did what to whom, and what came of it."""
    at = clock_text(record.at, scene.now, scene.zone)
    whose = f" ({order_of_text(record.order)})" if record.order else ""
    where = record.host.removesuffix(":22")
    said = {
        "done": f"gone after {record.took_ms / 1000:.1f} s",
        "dry run": "nothing was sent",
        "nothing there": "nothing was there",
    }.get(record.outcome, record.outcome)
    good = record.outcome in {"done", "dry run", "nothing there"}
    return line(
        Span(f"{at} {clean(record.by)} ", "dim"),
        Span(f"{_DEEDS.get(record.act, record.act)} {clean(where)}{whose}: "),
        Span(said, "ok" if good else "late"),
        Span(f"  {clean(record.text)}", "dim"),
    )


def order_of_text(text: str) -> str:
    """Return the order's id of `/chain,id`."""
    return clean(text.rpartition(",")[2])


def details(
    scene: Scene, host: HostLook, process: RemoteProcess, tail: Sequence[str]
) -> list[Line]:
    """Return everything known about one process, with the end of its run's output."""
    run, key = host.run_of(process), process.identity
    word, role = _WORDS[process.mark]
    started = "?" if process.started_at is None else moment_text(process.started_at, scene.zone)
    lines: list[Line] = [
        line(Span(f" {key.pid} on {clean(host.name)}  ", "bold"), Span(word, role)),
        line(f" {_MEANING[process.mark]}"),
        (),
        _pair("command", clean(process.command)),
        _pair("started", f"{started}   start mark {clean(key.start)}"),
        _pair("account", f"{clean(process.user)}   boot {clean(host.boot) or '?'}"),
        _pair("parent", f"{process.ppid}   group {process.pgid}   session {process.sid}"),
        _pair("state", f"{clean(process.state)} {', '.join(process.badges)}".strip()),
        _pair("cpu (ps)", "?" if process.cpu_percent is None else f"{process.cpu_percent} %"),
        _pair("memory", size_text(process.rss_kib)),
    ]
    if run is None:
        return lines
    lines += [
        (),
        line(Span(" its run", "head")),
        _pair("token", clean(run.token)),
        _pair("verdict", f"{_verdict_words(run)}   scope {run.scope}"),
        _pair("order", f"{clean(run.order)} {clean(run.order_state)}".strip() or "-"),
        _pair("job", f"{clean(run.job) or '-'}   task {run.task if run.task is not None else '-'}"),
        (),
        line(Span(" its processes", "head")),
    ]
    lines += tree_lines(scene, host, run)
    if tail:
        lines += [(), line(Span(" the end of its output", "head"))]
        lines += [line(f" {clean(text)}") for text in tail]
    return lines


def _pair(name: str, value: str) -> Line:
    return line(Span(f" {name:<10}", "dim"), value)


def tree_lines(scene: Scene, host: HostLook, run: RemoteRun) -> list[Line]:
    """Return the processes of a run as a tree, with the proof for each."""
    proofs = {(member.pid, member.start): member.reason for member in run.members}
    own = [one for one in host.processes if one.identity.token == run.token]
    base = min((one.depth for one in own), default=0)
    lines: list[Line] = []
    for one in own:
        proof = proofs.get((one.identity.pid, one.identity.start))
        depth = one.depth - base
        tree = f"{'  ' * depth}{scene.glyphs.child} " if depth else ""
        lines.append(
            line(
                f" {one.identity.pid:>8}  {tree}{clean(one.command)}  ",
                Span(
                    proof or "only a child of one that does: left alone", "dim" if proof else "late"
                ),
            )
        )
    return lines or [line(Span(" none of them is there now", "dim"))]


def subject_text(subject: Subject, host: HostLook | None) -> str:
    """Return what a signal is for, in a few words."""
    name = subject.host if host is None else host.address
    if not subject.token:
        return f"{subject.pid}@{clean(name)}"
    run = None if host is None else host.runs.get(subject.token)
    whose = order_of(run) if run is not None and run.order else clean(subject.token)
    return f"{whose}@{clean(name)}"


def _touched(changes: Changes) -> Iterable[RowKey] | None:
    return None if changes.remote or changes.everything else ()


VIEW = TableView(
    noun="processes",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=effect_lines,
    touched=_touched,
    ticks=True,
    empty_text="no processes: no job works over SSH, or no host has answered yet",
)
