"""The way of one order through its chain, in one line: nodes passed, where it is, how long yet."""

from engine.kernel.events import orders as order_events
from engine.kernel.ids import NodeState, OrderKey
from tui.views.durations import duration_text
from tui.views.gauge import bar
from tui.views.scene import Scene
from tui.views.standing import glyph_span, role_of, standing_of_order
from tui.views.text import Line, Span, clean, line
from tui.views.waits import order_waits_for

_BAR = 10
_NODES_MAX = 12


def nodes_passed(scene: Scene, key: OrderKey) -> list[NodeState]:
    """Return the nodes that an order has come through in this run, as far as it was heard."""
    found: list[NodeState] = []
    for fact in reversed(scene.mirror.facts):
        match fact.event:
            case order_events.OrderNodeChanged(order=order) if order == key:
                found.append(fact.event.former)
            case order_events.OrderReturned(order=order) if order == key:
                break
            case order_events.OrderAdded(definition=definition) if definition.key == key:
                break
            case _:
                pass
    return found[::-1]


def trail_line(scene: Scene, key: OrderKey) -> Line:
    """Return the way of an order; where it ended when it is over."""
    order = scene.state.orders.get(key)
    name = Span(f"{clean(key.id)}  ", "bold")
    if order is None:
        run = next((run for run in reversed(scene.mirror.runs) if run.order == key), None)
        if run is None:
            return line(name, Span("is not in this chain any more", "dim"))
        word = "failed" if run.failed else "done"
        role = "fail" if run.failed else "ok"
        return line(name, Span(f"{word}, ended at {clean(run.end_state) or 'no node'}", role))
    passed = nodes_passed(scene, key)[-_NODES_MAX:]
    rule = f" {scene.glyphs.rule * 2} "
    spans: list[str | Span] = [name]
    for state in passed:
        spans += [Span(clean(state), "ok"), Span(rule, "rail")]
    standing = standing_of_order(scene.state, order, scene.now)
    spans += [
        glyph_span(standing, scene.glyphs),
        Span(f" {clean(order.state)} ", role_of(standing)),
    ]
    return line(*spans, *_progress(scene, key))


def _progress(scene: Scene, key: OrderKey) -> list[str | Span]:
    order = scene.state.orders[key]
    task = scene.state.tasks.get(order.task) if order.task is not None else None
    if task is None or task.started_at is None:
        waits = order_waits_for(scene, order)
        return [Span(f"waits for {waits}")] if waits else []
    so_far = scene.now - task.started_at
    usual = scene.mirror.usual(task.job)
    if not usual:
        return [duration_text(so_far)]
    share = so_far / usual
    left = usual - so_far
    to_go = f"about {duration_text(left)} to go" if left > 0 else "longer than usual"
    return [Span(bar(share, _BAR, scene.glyphs), "run"), f" {min(share, 9.99):.0%}  {to_go}"]
