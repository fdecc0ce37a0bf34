"""The nodes of one chain as rows beside their rail: what is there, where it runs, how long."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from engine.kernel.commands import NodeAction
from engine.kernel.definitions import Chain, EndNode, JobNode, NestedNode, Node
from engine.kernel.ids import ChainKey, JobKey, NodeState, OrderKey, chain_key, name_of
from engine.kernel.state import Order, TaskStatus
from tui.mirror import FinishedRun
from tui.views.back_lanes import Lane, back_target, draw_lanes, lanes_of
from tui.views.durations import duration_text
from tui.views.flow import Flow, flow_of
from tui.views.gauge import bar
from tui.views.nested import keys_at_node
from tui.views.rail import RailRow, draw_rail, node_sign, rail_of
from tui.views.rows import Column, Row
from tui.views.scene import Scene
from tui.views.shape import Shape, shape_of
from tui.views.standing import (
    TROUBLES,
    WORST_FIRST,
    Standing,
    glyph_span,
    look_of,
    role_of,
    standing_of_order,
)
from tui.views.table_view import TableView, everything
from tui.views.text import Line, Span, clean, line, width_of
from tui.views.waits import agent_name, order_waits_for

_BAR = 10
_TODAY = 24 * 3600 * 1000
_NAMES_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """The rails of one version of a chain."""

    chain: Chain
    shape: Shape
    rows: dict[NodeState, RailRow]
    lanes: tuple[Lane, ...]
    """Edges that lead back."""
    with_errors: bool
    width: int


def draw(chain: Chain, *, with_errors: bool) -> Drawing:
    """Lay out a chain."""
    shape = shape_of(chain)
    rows = rail_of(shape, with_errors=with_errors)
    lanes = lanes_of(shape, with_errors=with_errors)
    width = max((len(row.joints) for row in rows), default=1)
    width += 2 * (max((lane.place for lane in lanes), default=-1) + 1)
    return Drawing(
        chain=chain,
        shape=shape,
        rows={row.state: row for row in rows},
        lanes=lanes,
        with_errors=with_errors,
        width=max(width, 5),
    )


def columns_for(drawing: Drawing) -> tuple[Column, ...]:
    """Return the columns; the first is as wide as the rails."""
    return (
        Column(name="GRAPH", width_min=drawing.width, width_max=drawing.width, priority=0),
        Column(name="NODE", width_min=6, width_max=22, priority=0),
        Column(name="ORDERS", width_min=12, width_max=30, priority=0),
        Column(name="ON", width_min=6, width_max=24, priority=5),
        Column(name="SO FAR", width_min=6, right=True, priority=3),
        Column(name="USUAL", width_min=5, right=True, priority=4),
        Column(name="", width_min=_BAR, width_max=_BAR, priority=6),
        Column(name="WHO", width_min=24, width_max=60, priority=2, flexible=True),
        Column(name="ERROR", width_min=8, width_max=18, priority=7),
    )


class GraphRows:
    """Makes the rows of one chain; keeps the drawing until the definition changes."""

    def __init__(self) -> None:
        self.with_errors = False
        self._drawing: Drawing | None = None
        self._drawn_with_errors = False

    def drawing(self, scene: Scene, chain: ChainKey) -> Drawing | None:
        """Return the drawing of a chain as it is defined now."""
        known = scene.state.chains.get(chain)
        if known is None:
            return None
        drawing = self._drawing
        if (
            drawing is None
            or drawing.chain is not known.definition
            or self._drawn_with_errors != self.with_errors
        ):
            drawing = draw(known.definition, with_errors=self.with_errors)
            self._drawing, self._drawn_with_errors = drawing, self.with_errors
        return drawing

    def view(self, scene: Scene, chain: ChainKey) -> TableView | None:
        """Return the table of the chain's nodes."""
        drawing = self.drawing(scene, chain)
        if drawing is None:
            return None
        return TableView(
            noun="graph",
            columns=columns_for(drawing),
            keys=lambda _scene, _argument: [node.state for node in drawing.shape.nodes],
            row=lambda scene, key: _node_row(scene, drawing, NodeState(str(key))),
            detail=lambda scene, key: node_detail(scene, chain, NodeState(str(key))),
            touched=everything,
            ticks=True,
        )


def orders_at(scene: Scene, chain: ChainKey, state: NodeState) -> list[Order]:
    """Return the orders at a node, those in a task first, then in order of their starts."""
    orders = [scene.state.orders[key] for key in keys_at_node(scene, chain, state)]
    return sorted(orders, key=lambda order: (order.task is None, order.start_at, order.place))


def _node_row(scene: Scene, drawing: Drawing, state: NodeState) -> Row | None:
    rail = drawing.rows.get(state)
    node = next((node for node in drawing.chain.nodes if node.state == state), None)
    chain = scene.state.chains.get(drawing.chain.key)
    if rail is None or node is None or chain is None:
        return None
    orders = orders_at(scene, drawing.chain.key, state)
    counts = Counter(standing_of_order(scene.state, order, scene.now) for order in orders)
    worst = next((standing for standing in WORST_FIRST if counts[standing]), None)
    moved = (drawing.chain.key, state) in scene.mirror.moved
    job = job_of(node)
    tasks = [
        scene.state.tasks[order.task]
        for order in orders
        if order.task is not None and order.task in scene.state.tasks
    ]
    longest = max(
        (scene.now - task.started_at for task in tasks if task.started_at is not None),
        default=None,
    )
    usual = scene.mirror.usual(job) if job is not None else None
    agents = sorted({agent_name(task.agent) for task in tasks if task.agent is not None})
    sign = node_sign(drawing.shape, state, scene.glyphs)
    place = list(drawing.rows).index(state)
    return Row(
        key=state,
        cells=(
            (
                Span(draw_lanes(drawing.lanes, place, scene.glyphs), "retry"),
                Span(draw_rail(rail, sign, scene.glyphs), role_of(worst) if worst else "rail"),
            ),
            Span(clean(state), "moved" if moved else ""),
            _counts(scene, chain.action(state), counts, node, drawing.chain.key),
            Span(_few(agents) or "-", "" if agents else "dim"),
            Span(duration_text(longest) if longest is not None else "-"),
            Span(duration_text(usual) if usual is not None else "-", "dim"),
            Span(bar(longest / usual, _BAR, scene.glyphs) if longest and usual else "", "run"),
            _who(scene, orders),
            Span(_error_cell(scene, drawing, state), "dim"),
        ),
        facts={"job": job or ""},
        place=(place,),
        trouble=any(counts[standing] for standing in TROUBLES),
    )


def job_of(node: Node) -> JobKey | None:
    """Return the job of a node, None when it has none."""
    return node.job if isinstance(node, JobNode) else None


def _counts(
    scene: Scene,
    action: NodeAction,
    counts: Counter[Standing],
    node: Node,
    chain: ChainKey,
) -> tuple[Span, ...]:
    spans: list[Span] = []
    if action is NodeAction.STOP:
        spans.append(Span("stopped ", "held"))
    elif action is NodeAction.NEXT_STATE:
        spans.append(Span("skipped ", "held"))
    for standing in Standing:
        if counts[standing]:
            look = look_of(standing, scene.glyphs)
            spans.append(Span(f"{look.glyph} {counts[standing]} {standing.value} ", look.role))
    if isinstance(node, EndNode) and not counts:
        runs = _runs_of_today(scene, chain, node.state)
        if runs:
            failed = all(run.failed for run in runs)
            standing = Standing.FAIL if failed else Standing.DONE
            word = "failed" if failed else "done"
            spans.append(glyph_span(standing, scene.glyphs))
            spans.append(Span(f" {len(runs)} {word}", role_of(standing)))
    if isinstance(node, NestedNode) and not counts:
        spans.append(Span(f"{scene.glyphs.nested * 2} {clean(name_of(node.chain_path))}", "dim"))
    return tuple(spans) or (Span(scene.glyphs.idle, "dim"),)


def _few(names: list[str]) -> str:
    return names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "") if names else ""


def _who(scene: Scene, orders: list[Order]) -> tuple[Span, ...]:
    """Return the orders at a node by name, those that just arrived underlined."""
    if not orders:
        return (Span(""),)
    spans: list[Span] = []
    for order in orders[:_NAMES_MAX]:
        standing = standing_of_order(scene.state, order, scene.now)
        role = "moved" if order.key in scene.mirror.moved else role_of(standing)
        spans.extend((Span(clean(order.key.id), role), Span(" ")))
    if len(orders) > _NAMES_MAX:
        spans.append(Span(f"and {len(orders) - _NAMES_MAX} more", "dim"))
    elif len(orders) == 1:
        waits = order_waits_for(scene, orders[0])
        spans.append(Span(f" {waits}" if waits else "", "dim"))
    return tuple(spans)


def _error_cell(scene: Scene, drawing: Drawing, state: NodeState) -> str:
    target = drawing.shape.error_target(state)
    failures = sum(
        1
        for run in scene.mirror.runs
        if run.order.chain == drawing.chain.key and run.failed_at == state
    )
    back = back_target(drawing.shape, state, with_errors=drawing.with_errors)
    said = clean(target or "")
    if failures:
        said += f"  {failures}x"
    if back is not None:
        said += f" {scene.glyphs.back} {clean(back)}"
    return said


def node_label(scene: Scene, drawing: Drawing, state: NodeState) -> tuple[Span, ...]:
    """Return a node's name with its orders and where it leads back, for the map."""
    chain = drawing.chain.key
    node = scene.state.node(chain, state)
    known = scene.state.chains.get(chain)
    if node is None or known is None:
        return (Span(clean(state)),)
    counts = Counter(
        standing_of_order(scene.state, order, scene.now) for order in orders_at(scene, chain, state)
    )
    moved = "moved" if (chain, state) in scene.mirror.moved else ""
    spans = [Span(clean(state), moved)]
    if isinstance(node, NestedNode):
        spans.append(Span(f" {scene.glyphs.nested * 2}", "dim"))
    back = back_target(drawing.shape, state, with_errors=drawing.with_errors)
    if back is not None:
        spans.append(Span(f" {scene.glyphs.back}{clean(back)}", "retry"))
    action = known.action(state)
    if action is not NodeAction.PROCESS:
        spans.append(Span(" stopped" if action is NodeAction.STOP else " skipped", "held"))
    for standing in Standing:
        if counts[standing]:
            look = look_of(standing, scene.glyphs)
            spans.append(Span(f" {look.glyph}{counts[standing]}", look.role))
    if not counts:
        spans.extend(_ended_label(scene, chain, state))
    return tuple(spans)


def sign_label(scene: Scene, drawing: Drawing, state: NodeState) -> tuple[Span, ...]:
    """Return a node as one sign, the worst that stands there, for a map that hardly fits."""
    orders = orders_at(scene, drawing.chain.key, state)
    found = {standing_of_order(scene.state, order, scene.now) for order in orders}
    worst = next((standing for standing in WORST_FIRST if standing in found), None)
    if worst is None:
        return (Span(node_sign(drawing.shape, state, scene.glyphs), "rail"),)
    return (glyph_span(worst, scene.glyphs),)


def _ended_label(scene: Scene, chain: ChainKey, state: NodeState) -> tuple[Span, ...]:
    """Return how many runs of today ended at a node, or that it is empty."""
    runs = _runs_of_today(scene, chain, state)
    if not runs:
        return (Span(f" {scene.glyphs.idle}", "dim"),)
    failed = all(run.failed for run in runs)
    look = look_of(Standing.FAIL if failed else Standing.DONE, scene.glyphs)
    return (Span(f" {look.glyph}{len(runs)}", look.role),)


def _runs_of_today(scene: Scene, chain: ChainKey, state: NodeState) -> list[FinishedRun]:
    return [
        run
        for run in scene.mirror.runs
        if run.order.chain == chain and run.end_state == state and scene.now - run.at < _TODAY
    ]


LABEL_MAX = 28
LABELS_SHORTER = (12, 8, 1)
"""What labels shrink to until the map fits; at 1 only the sign is left."""


def flow_for(scene: Scene, drawing: Drawing, *, label_max: int = LABEL_MAX) -> Flow:
    """Lay out the map; labels keep room for counts, so that it does not move with the orders."""

    def width(state: NodeState) -> int:
        back = back_target(drawing.shape, state, with_errors=drawing.with_errors)
        more = 0 if back is None else width_of(clean(back)) + 2
        return min(max(width_of(clean(state)) + 6 + more, 8), label_max)

    _ = scene
    widths = {node.state: width(node.state) for node in drawing.shape.nodes}
    return flow_of(drawing.shape, widths, with_errors=drawing.with_errors)


def fitting_flow(scene: Scene, drawing: Drawing, room: int) -> tuple[Flow, int]:
    """Return the map with the longest labels that fit into `room` cells, and their length."""
    flow, label_max = flow_for(scene, drawing), LABEL_MAX
    for shorter in LABELS_SHORTER:
        if flow.width <= room:
            break
        flow, label_max = flow_for(scene, drawing, label_max=shorter), shorter
    return flow, label_max


def node_detail(scene: Scene, chain: ChainKey, state: NodeState) -> list[Line]:
    """Return the lines about the node under the cursor."""
    node = scene.state.node(chain, state)
    known = scene.state.chains.get(chain)
    if node is None or known is None:
        return []
    job_key = job_of(node)
    job = scene.state.jobs.get(job_key) if job_key is not None else None
    head: list[str | Span] = [Span(f"{clean(state)}  ", "bold")]
    if isinstance(node, JobNode):
        head.append(f"job {clean(node.job_path)}")
        head.append(
            Span("  missing", "fail")
            if job is None
            else Span("  stopped", "held")
            if job.stopped
            else ""
        )
        head.append(f"  next {clean(node.next_state or '-')}")
        head.append(f"  error {clean(node.error_state or '-')}")
        if node.on_error is not None:
            head.append(f"  on error {node.on_error.value}")
    elif isinstance(node, NestedNode):
        head.append(f"chain {clean(node.chain_path)}")
    elif isinstance(node, EndNode):
        head.append(Span("orders end here", "dim"))
    lines = [line(*head)]
    if job is not None:
        definition = job.definition
        busy = sum(
            1 for task in scene.state.running_tasks(job.key) if task.status is not TaskStatus.ENDED
        )
        class_path = definition.process_class or known.definition.process_class
        used = f"class {clean(name_of(class_path))}" if class_path else ""
        locks = " ".join(clean(name_of(use.lock)) for use in definition.locks)
        said = (
            f"{busy} of {definition.tasks} tasks",
            used,
            f"locks {locks}" if locks else "",
            clean(definition.title),
        )
        lines.append(line("  ".join(part for part in said if part)))
    return lines


def node_orders(scene: Scene, argument: str) -> Iterable[OrderKey]:
    """Return the orders of a chain, for the panel beside the graph."""
    return list(scene.state.orders_of_chain.get(chain_key(argument), ()))
