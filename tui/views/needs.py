"""What needs a person: one list, derived from the state, worst first.

An entry leaves when its cause does: a failed run when a later run of the same order went well.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from engine.kernel.commands import NodeAction
from engine.kernel.ids import NodeState, OrderKey
from engine.kernel.instants import Instant
from engine.kernel.reports import AgentStatus
from engine.kernel.sessions.marks import Mark
from engine.kernel.state import Missed, Order
from tui.mirror import FinishedRun
from tui.views.agents import agent_uris, status_of
from tui.views.durations import clock_text, counted, duration_text
from tui.views.faults import brief
from tui.views.jobs import orders_waiting
from tui.views.processes import host_name, order_of
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.standing import Standing, may_need_a_person, standing_of_order
from tui.views.table_view import TableView, everything
from tui.views.text import Line, Span, clean, line
from tui.views.waits import agent_name, order_waits_for

ORDERS_NEEDING = "orders needing"
"""Name under which the orders to look at are handed over, see `Scene.once`."""
_RECENT = 24 * 3600 * 1000
_OVERDUE_FACTOR = 3
_OVERDUE_LEAST = 60_000


class NeedKind(Enum):
    """Why somebody should look, worst first."""

    ORDER = "order failed"
    RUN = "run failed"
    AGENT = "agent"
    ORPHAN = "orphan"
    MISSED = "start missed"
    SUSPENDED = "suspended"
    JOB = "job stopped"
    NODE = "node stopped"
    TASK = "task overdue"
    FILE = "file refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One reason to look."""

    kind: NeedKind
    subject: RowKey
    name: str
    age: int | None
    said: str
    role: str = "fail"
    aside_until: Instant | None = None
    """A person has put it aside until then; it stays in the list, at its end."""

    @property
    def name_for_keeping(self) -> str:
        """What it is called where putting aside is kept."""
        return f"{self.kind.name} {self.subject}"


def needs(scene: Scene) -> list[Need]:
    """Return what needs a person, worst first; what was put aside comes last."""
    return scene.once("needs", _find)


def pressing(scene: Scene) -> list[Need]:
    """Return what needs a person now: all that was not put aside."""
    return [need for need in needs(scene) if need.aside_until is None]


def _with_aside(scene: Scene, need: Need) -> Need:
    until = scene.aside.get(need.name_for_keeping)
    if until is None or until <= scene.now:
        return need
    return replace(need, role="dim", aside_until=until)


def _find(scene: Scene) -> list[Need]:
    found = [
        *_orders(scene),
        *_suspended(scene),
        *_runs(scene),
        *_agents(scene),
        *_orphans(scene),
        *_missed(scene),
        *_jobs(scene),
        *_nodes(scene),
        *_tasks(scene),
        *_files(scene),
    ]
    ranks = {kind: rank for rank, kind in enumerate(NeedKind)}
    return sorted(
        (_with_aside(scene, need) for need in found),
        key=lambda need: (
            need.aside_until is not None,
            ranks[need.kind],
            need.age or 0,
            need.name,
        ),
    )


def _needing(scene: Scene) -> list[Order]:
    """Return the orders to look at: all of them would be too many for each drawing."""
    orders = scene.state.orders
    keys = scene.once(ORDERS_NEEDING, _find_needing)
    return [orders[key] for key in keys if key in orders]


def _find_needing(scene: Scene) -> Iterable[OrderKey]:
    return [
        order.key
        for order in scene.state.orders.values()
        if may_need_a_person(order, standing_of_order(scene.state, order, scene.now))
    ]


def _orders(scene: Scene) -> Iterable[Need]:
    for order in _needing(scene):
        if standing_of_order(scene.state, order, scene.now) in {Standing.FAIL, Standing.BLACK}:
            place = f"{scene.chain_name(order.key.chain)}/{clean(order.state)}"
            yield Need(
                kind=NeedKind.ORDER,
                subject=order.key,
                name=f"{clean(order.key.id)}  {place}",
                age=scene.now - order.started_at if order.started_at else None,
                said=order_waits_for(scene, order).removeprefix("a person: "),
            )


def _suspended(scene: Scene) -> Iterable[Need]:
    """Yield orders that somebody has to resume; those whose last step failed count as failed."""
    ended = {task.order: task for task in scene.mirror.ended_tasks if task.order is not None}
    for order in _needing(scene):
        if standing_of_order(scene.state, order, scene.now) is not Standing.SUSPENDED:
            continue
        known = scene.mirror.suspensions.get(order.key)
        since = known.at if known is not None else order.started_at
        last = ended.get(order.key)
        has_failed = last is not None and not last.succeeded and order.started_at is not None
        yield Need(
            kind=NeedKind.ORDER if has_failed else NeedKind.SUSPENDED,
            subject=order.key,
            name=f"{clean(order.key.id)}  {scene.chain_name(order.key.chain)}/{clean(order.state)}",
            age=scene.now - since if since is not None else None,
            said=order_waits_for(scene, order).removeprefix("a person: "),
            role="fail" if has_failed else "held",
        )


def last_failed_runs(scene: Scene) -> list[FinishedRun]:
    """Return failed runs of the last day that no later good run of the same order has healed."""
    latest: dict[OrderKey, FinishedRun] = {}
    for run in scene.mirror.runs:
        known = latest.get(run.order)
        if known is None or run.at >= known.at:
            latest[run.order] = run
    return [run for run in latest.values() if run.failed and scene.now - run.at < _RECENT]


def _runs(scene: Scene) -> Iterable[Need]:
    for run in last_failed_runs(scene):
        at = clean(run.failed_at or run.end_state)
        yield Need(
            kind=NeedKind.RUN,
            subject=(run.order, run.at),
            name=f"{clean(run.order.id)}  {scene.chain_name(run.order.chain)}/{at}",
            age=scene.now - run.at,
            said=brief(run.error_text) or "failed",
        )


def _agents(scene: Scene) -> Iterable[Need]:
    for uri in agent_uris(scene):
        status = status_of(scene, uri)
        if status not in {AgentStatus.DELAYED, AgentStatus.LOST}:
            continue
        pulse = scene.pulse(uri)
        heard = pulse.heard_at if pulse is not None else None
        count = sum(1 for task in scene.state.tasks.values() if task.agent == uri)
        tasks = f"{counted(count, 'task')} there" if count else "no task there"
        text = clean(pulse.text) if pulse is not None else ""
        yield Need(
            kind=NeedKind.AGENT,
            subject=uri,
            name=agent_name(uri),
            age=scene.now - heard if heard is not None else None,
            said=f"{'late' if status is AgentStatus.DELAYED else 'lost'}, {tasks}  {text}".strip(),
            role="late" if status is AgentStatus.DELAYED else "fail",
        )


def _orphans(scene: Scene) -> Iterable[Need]:
    for host in scene.mirror.remote.hosts.values():
        for run in host.runs.values():
            if run.mark is not Mark.ORPHAN:
                continue
            own = [one for one in host.processes if one.identity.token == run.token]
            if not own:
                continue
            began = [one.started_at for one in own if one.started_at is not None]
            count = counted(len(own), "process", "processes")
            whose = f" left by {order_of(run)}" if run.order else ""
            yield Need(
                kind=NeedKind.ORPHAN,
                subject=own[0].identity,
                name=host_name(scene, host),
                age=scene.now - min(began) if began else None,
                said=f"{count}{whose}",
            )


def _missed(scene: Scene) -> Iterable[Need]:
    """Yield orders and jobs whose start passed while the engine was down, until they have run."""
    for order in _needing(scene):
        if order.missed is not None and not _has_run_since(order.missed, order.started_at):
            runs = (run.started_at for run in scene.mirror.runs if run.order == order.key)
            if not any(_has_run_since(order.missed, started) for started in runs):
                name = f"{clean(order.key.id)}  {scene.chain_name(order.key.chain)}"
                yield from _miss(scene, order.key, name, order.missed)
    for job in scene.state.jobs.values():
        if job.missed is not None:
            tasks = (task.started_at for task in scene.mirror.ended_tasks if task.job == job.key)
            running = scene.state.tasks_of_job.get(job.key)
            if not running and not any(_has_run_since(job.missed, at) for at in tasks):
                yield from _miss(scene, job.key, scene.job_name(job.key), job.missed)


def _has_run_since(missed: Missed, started: Instant | None) -> bool:
    return started is not None and started >= missed.until


def _miss(scene: Scene, subject: RowKey, name: str, missed: Missed) -> Iterable[Need]:
    if scene.now - missed.until >= _RECENT:
        return
    first = clock_text(missed.first, scene.now, scene.zone)
    when = f"at {first}" if missed.count == 1 else f"{missed.count} times from {first} on"
    yield Need(
        kind=NeedKind.MISSED,
        subject=subject,
        name=name,
        age=scene.now - missed.first,
        said=f"was to start {when}; the engine was down, nothing starts it now",
        role="late",
    )


def _jobs(scene: Scene) -> Iterable[Need]:
    for job in scene.state.jobs.values():
        if job.stopped and job.enabled:
            waiting = orders_waiting(scene, job.key)
            yield Need(
                kind=NeedKind.JOB,
                subject=job.key,
                name=scene.job_name(job.key),
                age=None,
                said=_who_waits(waiting, "for it"),
                role="fail" if waiting else "held",
            )


def _who_waits(count: int, where: str) -> str:
    if not count:
        return f"nothing waits {where}"
    return f"{counted(count, 'order')} {'waits' if count == 1 else 'wait'} {where}"


def _nodes(scene: Scene) -> Iterable[Need]:
    for chain in scene.state.chains.values():
        for state, action in chain.actions.items():
            queue = scene.state.queues.get((chain.key, NodeState(state)))
            if action is NodeAction.STOP and queue is not None and queue.all:
                yield Need(
                    kind=NeedKind.NODE,
                    subject=(chain.key, state),
                    name=f"{scene.chain_name(chain.key)}/{clean(state)}",
                    age=None,
                    said=_who_waits(len(queue.all), "at it"),
                    role="held",
                )


def _tasks(scene: Scene) -> Iterable[Need]:
    for task in scene.state.tasks.values():
        usual = scene.mirror.usual(task.job)
        if task.started_at is None or usual is None or task.outcome is not None:
            continue
        so_far = scene.now - task.started_at
        if so_far > max(usual * _OVERDUE_FACTOR, _OVERDUE_LEAST):
            order = f"{clean(task.order.id)}  " if task.order is not None else ""
            yield Need(
                kind=NeedKind.TASK,
                subject=task.id,
                name=f"{order}{scene.job_name(task.job)}",
                age=so_far,
                said=f"usually {duration_text(usual)}",
                role="late",
            )


def _files(scene: Scene) -> Iterable[Need]:
    for broken in scene.state.broken.values():
        yield Need(
            kind=NeedKind.FILE,
            subject=broken.object,
            name=clean(broken.file),
            age=None,
            said=clean(broken.findings[0]) if broken.findings else "",
        )


COLUMNS = (
    Column(name="WHAT", width_min=14, width_max=14, priority=1),
    Column(name="WHO", cut_middle=True, width_min=16, width_max=44, priority=0),
    Column(name="AGE", width_min=6, right=True, priority=2),
    Column(name="WHY", width_min=20, width_max=120, priority=0, flexible=True),
)


def _row(scene: Scene, key: RowKey) -> Row | None:
    found = find_need(scene, key)
    return None if found is None else need_row(scene, found)


def find_need(scene: Scene, key: RowKey) -> Need | None:
    """Return the need of a row."""
    return scene.once("needs by key", _by_key).get(key)


def _by_key(scene: Scene) -> dict[RowKey, Need]:
    return {(need.kind, need.subject): need for need in needs(scene)}


def need_row(scene: Scene, need: Need) -> Row:
    """Return the row of a need."""
    glyphs = scene.glyphs
    sign = {"late": glyphs.late, "held": glyphs.held}.get(need.role, glyphs.fail)
    ranks = {kind: rank for rank, kind in enumerate(NeedKind)}
    return Row(
        key=(need.kind, need.subject),
        cells=(
            (Span(sign, need.role), Span(f" {need.kind.value}", need.role)),
            Span(need.name),
            Span(duration_text(need.age) if need.age is not None else "-"),
            _said(scene, need),
        ),
        sort={"AGE": float(need.age or 0)},
        place=(need.aside_until is not None, ranks[need.kind], need.age or 0, need.name),
        trouble=need.aside_until is None,
    )


def _said(scene: Scene, need: Need) -> tuple[Span, ...]:
    if need.aside_until is None:
        return (Span(need.said, need.role),)
    until = clock_text(need.aside_until, scene.now, scene.zone)
    return (Span(f"aside until {until}: ", "dim"), Span(need.said, "dim"))


def _detail(scene: Scene, key: RowKey) -> list[Line]:
    need = find_need(scene, key)
    if need is None:
        return []
    hint = {
        NeedKind.ORDER: "enter: the order; l: its log; s: resume; ctrl+l: reset",
        NeedKind.RUN: "enter: the log of the failed step",
        NeedKind.AGENT: "enter: the agents",
        NeedKind.ORPHAN: "enter: the processes, there x ends them",
        NeedKind.MISSED: "enter: the order or job, there t starts it; a: put aside",
        NeedKind.SUSPENDED: "enter: the order; s: resume it; l: its log",
        NeedKind.JOB: "enter: the jobs, there u lets it go on",
        NeedKind.NODE: "enter: the graph, there u lets it go on",
        NeedKind.TASK: "enter: its log",
        NeedKind.FILE: "enter: the findings",
    }[need.kind]
    return [
        line(Span(f"{need.kind.value}  ", need.role), need.name),
        line(Span(need.said, need.role)),
        line(Span(hint, "dim")),
    ]


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    return [(need.kind, need.subject) for need in needs(scene)]


VIEW = TableView(
    noun="needs",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=_detail,
    touched=everything,
    ticks=True,
    comes_and_goes=True,
    empty_text="nothing needs a person",
)
