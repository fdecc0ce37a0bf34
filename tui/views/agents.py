"""Agents as lease gauges: how long ago each was heard, against its period and its timeout."""

from collections.abc import Iterable
from dataclasses import replace

from engine.kernel.definitions import AgentReference
from engine.kernel.ids import LOCAL, AgentUri, name_of
from engine.kernel.instants import Duration, Instant
from engine.kernel.reports import AgentStatus
from engine.kernel.state import TaskStatus
from tui.mirror import BEATS_MAX
from tui.views.durations import age_text, clock_text, counted
from tui.views.gauge import curve, lease_bar, standing_of_agent
from tui.views.glyphs import Glyphs
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView, everything, key_value
from tui.views.text import Line, Span, clean, line
from tui.views.waits import agent_name, holder_text

_BAR = 20
_SMALL_BAR = 12

COLUMNS = (
    Column(name="STATUS", width_min=10, width_max=10, priority=0),
    Column(name="AGENT", width_min=12, width_max=28, priority=0),
    Column(name="LEASE LEFT", width_min=_BAR, width_max=_BAR, priority=1),
    Column(name="LEFT", width_min=6, width_max=7, right=True, priority=3),
    Column(name="AGE", width_min=6, width_max=7, right=True, priority=1),
    Column(name="LAST BEATS", width_min=BEATS_MAX, width_max=BEATS_MAX, priority=6),
    Column(name="TASKS", width_min=5, right=True, priority=2),
    Column(name="CLASS", width_min=6, width_max=24, priority=4, flexible=True),
    Column(name="PERIOD", width_min=6, right=True, priority=7, wide_only=True),
    Column(name="TIMEOUT", width_min=7, right=True, priority=7, wide_only=True),
)

_WORDS = {
    AgentStatus.UNKNOWN: ("asking", "dim"),
    AgentStatus.COUPLED: ("answers", "ok"),
    AgentStatus.DELAYED: ("late", "late"),
    AgentStatus.LOST: ("lost", "fail"),
    AgentStatus.TERMINATING: ("leaving", "held"),
}


def _sign(status: AgentStatus, glyphs: Glyphs) -> str:
    match status:
        case AgentStatus.COUPLED:
            return glyphs.live
        case AgentStatus.DELAYED:
            return glyphs.late
        case AgentStatus.TERMINATING:
            return glyphs.held
        case AgentStatus.LOST | AgentStatus.UNKNOWN:
            return glyphs.lost


def agent_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return the keys of the table."""
    return agent_uris(scene, argument)


def agent_uris(scene: Scene, argument: str = "") -> list[AgentUri]:
    """Return all agents that are known or named by a process class (`argument`: one class)."""
    state = scene.state
    named = [
        reference.uri
        for process_class in state.process_classes.values()
        if not argument or process_class.path == argument
        for reference in process_class.definition.agents
    ]
    others = [] if argument else [*state.agents, *scene.mirror.pulses]
    return sorted({uri for uri in (*named, *others) if uri != LOCAL})


def reference_of(scene: Scene, uri: AgentUri) -> AgentReference:
    """Return how a process class names this agent, with its heartbeat settings."""
    for process_class in scene.state.process_classes.values():
        for reference in process_class.definition.agents:
            if reference.uri == uri:
                return reference
    return AgentReference(uri=uri)


def status_of(scene: Scene, uri: AgentUri) -> AgentStatus:
    """Return how an agent stands at this moment."""
    known = scene.state.agents.get(uri)
    status = AgentStatus.UNKNOWN if known is None else known.status
    return standing_of_agent(status, scene.pulse(uri), scene.now)


def agent_row(scene: Scene, key: RowKey) -> Row | None:
    """Return the row of an agent."""
    uri = AgentUri(str(key))
    status = status_of(scene, uri)
    word, role = _WORDS[status]
    pulse = scene.pulse(uri)
    heard = None if pulse is None else pulse.heard_at
    age = None if heard is None else scene.now - heard
    reference = reference_of(scene, uri)
    timeout = reference.heartbeat_timeout if pulse is None else pulse.heartbeat_timeout
    period = reference.heartbeat_period if pulse is None else pulse.heartbeat_period
    left = None if age is None or status is AgentStatus.LOST else max(timeout - age, 0)
    classes = sorted(
        clean(name_of(process_class.path))
        for process_class in scene.state.process_classes.values()
        if any(reference.uri == uri for reference in process_class.definition.agents)
    )
    count = len(_tasks_on(scene, uri))
    return Row(
        key=uri,
        cells=(
            (Span(_sign(status, scene.glyphs), role), Span(f" {word}", role)),
            Span(agent_name(uri)),
            _gauge(scene, uri, status, _BAR),
            Span("lost" if left is None else f"{left // 1000} s", role),
            Span("-" if age is None else _whole_age(age), role if role != "ok" else ""),
            Span(_beats(scene, uri, timeout), "dim"),
            Span(str(count) if count else "-", "run" if count else "dim"),
            Span(" ".join(classes)),
            Span(f"{period // 1000} s"),
            Span(f"{timeout // 1000} s"),
        ),
        sort={
            "STATUS": float(list(AgentStatus).index(status)),
            "AGE": float(age or 0),
            "LEFT": float(left or 0),
            "TASKS": float(count),
        },
        facts={"status": word, "uri": uri},
        place=(str(uri),),
        trouble=status in {AgentStatus.DELAYED, AgentStatus.LOST},
    )


def _beats(scene: Scene, uri: AgentUri, timeout: Duration) -> str:
    """Return how long each of the last silences was, against that after which it is lost."""
    beats = scene.mirror.beats.get(uri, ())
    return curve(beats, scene.glyphs, max(timeout, 1)).rjust(BEATS_MAX)


def _gauge(scene: Scene, uri: AgentUri, status: AgentStatus, width: int) -> tuple[Span, ...]:
    pulse = scene.pulse(uri)
    if pulse is None or status is AgentStatus.LOST:
        return (Span(scene.glyphs.empty * width, "dim"),)
    return lease_bar(pulse, scene.now, width, scene.glyphs, _WORDS[status][1])


def _whole_age(age: int) -> str:
    """Return an age that changes once a second at most."""
    return f"{max(age, 0) // 1000} s" if age < 100_000 else age_text(age)


def answer_count(scene: Scene) -> str:
    """Return how many of the agents answer, in words."""
    uris = agent_uris(scene)
    fine = sum(1 for uri in uris if status_of(scene, uri) is AgentStatus.COUPLED)
    return f"{fine} of {len(uris)} answer"


def _tasks_on(scene: Scene, uri: AgentUri) -> list[str]:
    return [
        f"{task.id} ({holder_text(scene, task.id)})"
        for task in scene.state.tasks.values()
        if task.agent == uri and task.status in {TaskStatus.STARTING, TaskStatus.RUNNING}
    ]


def agent_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return the lines about one agent under the cursor, and what its silence will mean."""
    uri = AgentUri(str(key))
    status = status_of(scene, uri)
    word, role = _WORDS[status]
    pulse, known = scene.pulse(uri), scene.state.agents.get(uri)
    run_id = (pulse.run_id if pulse is not None else "") or (known.run_id if known else "")
    text = (pulse.text if pulse is not None else "") or (known.text if known else "")
    since = key_value("since", clock_text(known.since, scene.now, scene.zone) if known else "")
    tasks = _tasks_on(scene, uri)
    return [
        line(
            Span(f"{clean(uri)}  ", "bold"),
            Span(word, role),
            f"  {since}  {key_value('incarnation', clean(run_id)[:8])}",
        ),
        line(Span(clean(text), role if status is not AgentStatus.COUPLED else "dim"))
        if text
        else line(f"tasks {', '.join(tasks)}" if tasks else Span("no tasks", "dim")),
        _what_comes(scene, status, uri, tasks),
    ]


def _what_comes(scene: Scene, status: AgentStatus, uri: AgentUri, tasks: list[str]) -> Line:
    pulse = scene.pulse(uri)
    if status is AgentStatus.DELAYED and pulse is not None and pulse.heard_at is not None:
        deadline = Instant(pulse.heard_at + pulse.heartbeat_timeout)
        left = max(deadline - scene.now, 0) // 1000
        what = f"ends its {counted(len(tasks), 'task')}" if tasks else "counts as lost"
        return line(Span(f"Nothing for another {left} s means: the agent {what}.", "late"))
    if status is AgentStatus.LOST:
        return line(Span("It gets no tasks; the others of its class take them.", "fail"))
    reference = reference_of(scene, uri)
    return line(
        Span(
            f"asked every {reference.heartbeat_period // 1000} s, "
            f"late after {reference.heartbeat_period // 1000 + 1} s, "
            f"lost after {reference.heartbeat_timeout // 1000} s",
            "dim",
        )
    )


SMALL_COLUMNS = (
    Column(name="", width_min=1, width_max=1, priority=0),
    Column(name="AGENT", width_min=12, width_max=24, priority=0),
    Column(name="LEASE LEFT", width_min=_SMALL_BAR, width_max=_SMALL_BAR, priority=1),
    Column(name="LEFT", width_min=9, width_max=9, right=True, priority=0),
    Column(name="TASKS", width_min=5, right=True, priority=2),
)


def small_row(scene: Scene, key: RowKey) -> Row | None:
    """Return the row of an agent beside other panels: sign, gauge, and a word when it is bad."""
    row = agent_row(scene, key)
    if row is None:
        return None
    uri = AgentUri(str(key))
    status = status_of(scene, uri)
    word, role = _WORDS[status]
    left = row.text_of(3)
    said = left if status is AgentStatus.COUPLED else word
    if status is AgentStatus.DELAYED:
        said = f"{word} {left}"
    cells = (
        Span(_sign(status, scene.glyphs), role),
        row.cells[1],
        _gauge(scene, uri, status, _SMALL_BAR),
        Span(said, role),
        row.cells[6],
    )
    return replace(row, cells=cells)


SMALL = TableView(
    noun="agents",
    columns=SMALL_COLUMNS,
    keys=agent_keys,
    row=small_row,
    detail=agent_detail,
    touched=everything,
    ticks=True,
    empty_text="no agents: no process class names any",
)

VIEW = TableView(
    noun="agents",
    columns=COLUMNS,
    keys=agent_keys,
    row=agent_row,
    detail=agent_detail,
    touched=everything,
    ticks=True,
    empty_text="no agents: no process class names any",
)
