"""Everything about one order: where it stands, parameters, children, trail, steps."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from engine.kernel.events import orders as order_events
from engine.kernel.events import tasks as task_events
from engine.kernel.ids import OrderKey, order_key
from engine.kernel.instants import from_datetime
from engine.kernel.state import Order
from tui.mirror import Fact
from tui.views.durations import clock_text, counted, duration_text, moment_text
from tui.views.scene import Scene
from tui.views.standing import glyph_span, role_of, standing_of_order
from tui.views.text import Line, Span, clean, fit, fit_middle, line, width_of
from tui.views.waits import agent_name, all_reasons, order_waits_for

_TRAIL_MAX = 200
_SAME_MAX = 20
_OUTPUT = ("[stdout]", "[stderr]")
"""How the lines of a task's own output begin; they stand in the log of the task."""


def find_order(scene: Scene, argument: str) -> OrderKey | None:
    """Return the order meant by `chain,id`, or by an id alone when that is unique."""
    chain, comma, order_id = argument.rpartition(",")
    if comma:
        key = next((k for k in scene.state.orders if str(k) == argument), None)
        if key is None:
            known = [k for k in scene.state.orders if k.id == order_id]
            key = next((k for k in known if scene.chain_name(k.chain) == chain), None)
        return key
    found = [key for key in scene.state.orders if key.id == argument]
    return found[0] if len(found) == 1 else None


def no_order_lines(scene: Scene, argument: str) -> list[Line]:
    """Return why no order is shown: none is called so, or several are, and which."""
    found = [key for key in scene.state.orders if key.id == argument]
    if not found:
        said = f" no order is called {clean(argument)}; it may have ended: :history"
        return [line(Span(said, "late")), (), line(" :orders lists all that there are")]
    lines = [
        line(Span(f" {counted(len(found), 'order')} are called {clean(argument)}:", "late")),
        (),
    ]
    return [*lines, *(line(f"   :order {clean(str(key))}") for key in found[:_SAME_MAX])]


def key_of_argument(argument: str) -> OrderKey | None:
    """Return the key that `chain,id` spells, whether such an order exists or not."""
    chain, comma, order_id = argument.rpartition(",")
    return order_key(chain, order_id) if comma else None


def order_lines(scene: Scene, key: OrderKey, told: Sequence[str] = ()) -> list[Line]:
    """Return the page about an order; of one that is gone, what is remembered.

    `told` is what the engine's log says of its run; without it, what the cockpit has seen.
    """
    order = scene.state.orders.get(key)
    lines: list[Line] = []
    if order is not None:
        standing = standing_of_order(scene.state, order, scene.now)
        waits = order_waits_for(scene, order)
        lines += [
            _fact(
                "status",
                glyph_span(standing, scene.glyphs),
                Span(f" {standing.value}", role_of(standing)),
            ),
            *_reasons(scene, order, waits),
            _fact("chain", f"{scene.chain_name(key.chain)}  {key.chain}"),
            _fact(
                "node",
                f"{clean(order.state) or '-'}  (first {clean(order.initial_state)}"
                f"{f', until {clean(order.end_state)}' if order.end_state else ''})",
            ),
        ]
        if order.title:
            lines.append(_fact("title", clean(order.title)))
        if order.task is not None:
            task = scene.state.tasks.get(order.task)
            on = (
                f" on {agent_name(task.agent)}"
                if task is not None and task.agent is not None
                else ""
            )
            lines.append(_fact("task", f"{order.task}{on}"))
        if order.started_at is not None:
            since = duration_text(scene.now - order.started_at)
            lines.append(
                _fact("started", f"{moment_text(order.started_at, scene.zone)}, {since} ago")
            )
        start = clock_text(order.start_at, scene.now, scene.zone)
        if start and order.start_at > scene.now:
            lines.append(_fact("next start", start))
        if order.setback_count:
            lines.append(_fact("setbacks", str(order.setback_count)))
        if order.state_text:
            lines.append(_fact("said", clean(order.state_text)))
        if order.last_error:
            lines.append(_fact("last error", Span(clean(order.last_error), "fail")))
        if order.parent is not None:
            lines.append(_fact("child of", str(order.parent)))
        origin = "a file of the live folder" if order.is_permanent else "a command"
        lines.append(_fact("comes from", f"{origin}, {moment_text(order.created_at, scene.zone)}"))
        lines += [(), line(Span(" parameters", "head"))]
        room = max([16, *(width_of(clean(name)) + 2 for name in order.params)])
        lines += [
            _fact(clean(name), clean(value), room=min(room, 40))
            for name, value in order.params.items()
        ] or [line(Span("   none", "dim"))]
    else:
        lines.append(
            line(
                Span(" the order is not in its chain any more: it has ended or was removed", "late")
            )
        )
    lines += _children(scene, key)
    lines += [(), line(Span(" what happened", "head"))]
    steps = (text for text in told if not text.startswith(_OUTPUT))
    trail = [_told(scene, text) for text in steps] or trail_of(scene, key)
    lines += trail or [line(Span("   nothing that is remembered", "dim"))]
    return lines


_STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT[\d:]{8})[\d.]*Z? \[(\w+)\] (?:SCHEDULER-\d+ +)?")
"""How a line of an order's log begins: time, level, number of the message."""


def _told(scene: Scene, text: str) -> Line:
    """Return a line of an order's log in the form of the page."""
    found = _STAMP.match(text)
    if found is None:
        return line(f"   {clean(text)}")
    said = clean(text[found.end() :])
    role = {"error": "fail", "warn": "late"}.get(found[2], "")
    at = from_datetime(datetime.fromisoformat(found[1]).replace(tzinfo=UTC))
    when = clock_text(at, scene.now, scene.zone)
    return line(Span(f"   {when}  ", "dim"), Span(said, role))


def _reasons(scene: Scene, order: Order, waits: str) -> list[Line]:
    """Return what holds the order up; if that is not all, everything, in full."""
    if order.task is not None or not waits:
        return [_fact("waits for", waits or "nothing: it is being worked on")]
    lines = [_fact("waits for", waits)]
    every = all_reasons(scene, order)
    return lines if len(every) == 1 else [*lines, *(_fact("", Span(said, "dim")) for said in every)]


def _fact(name: str, *values: str | Span, room: int = 16) -> Line:
    return line("   ", Span(fit(name, room), "dim"), *values)


def _children(scene: Scene, key: OrderKey) -> list[Line]:
    children = scene.state.children.get(key, {})
    runs = [run for run in scene.mirror.runs if run.parent == key]
    if not children and not runs:
        return []
    lines: list[Line] = [(), line(Span(" children", "head"))]
    for child_key in children:
        child = scene.state.orders[child_key]
        standing = standing_of_order(scene.state, child, scene.now)
        lines.append(
            line(
                "   ",
                glyph_span(standing, scene.glyphs),
                Span(f" {fit(standing.value, 8)}", role_of(standing)),
                f" {fit_middle(clean(child.key.id), 26)} {fit(clean(child.state), 14)} ",
                order_waits_for(scene, child),
            )
        )
    for run in runs[-20:]:
        if run.order not in children:
            word = "failed" if run.failed else "done"
            lines.append(
                line(
                    "   ",
                    Span(
                        f"{scene.glyphs.fail if run.failed else scene.glyphs.ok} {fit(word, 8)}",
                        "fail" if run.failed else "ok",
                    ),
                    f" {fit_middle(clean(run.order.id), 26)} {fit(clean(run.end_state), 14)} ",
                    Span(clean(run.error_text), "fail"),
                )
            )
    return lines


def trail_of(scene: Scene, key: OrderKey) -> list[Line]:
    """Return what happened to an order since the cockpit opened, oldest first."""
    tasks: set[int] = set()
    lines: list[Line] = []
    for fact in scene.mirror.facts:
        said = _said(fact, key, tasks, scene)
        if said is not None:
            lines.append(
                line(Span(f"   {clock_text(fact.at, scene.now, scene.zone)}  ", "dim"), *said)
            )
    return lines[-_TRAIL_MAX:]


def _said(
    fact: Fact, key: OrderKey, tasks: set[int], scene: Scene
) -> tuple[str | Span, ...] | None:
    event = fact.event
    match event:
        case order_events.OrderAdded() if event.definition.key == key:
            return (f"placed at {clean(event.state)}",)
        case order_events.OrderStarted() if event.order == key:
            return ("run began",)
        case task_events.TaskCreated() if event.order == key:
            tasks.add(event.task)
            return (
                f"task {event.task} at {clean(event.state or '')}, job {scene.job_name(event.job)}",
            )
        case task_events.TaskAssigned() if event.task in tasks:
            return (f"task {event.task} goes to {agent_name(event.agent)}",)
        case task_events.TaskAwaitsAgent() if event.task in tasks:
            return (Span(f"no agent can be reached: {clean(event.text)}", "late"),)
        case task_events.TaskStarted() if event.task in tasks:
            return (f"process {event.pid} runs",)
        case order_events.OrderStepEnded() if event.order == key:
            failed = event.transition is order_events.Transition.ERROR
            said = f"step {event.transition.value}, code {event.return_code}"
            error = f": {clean(event.error_text)}" if event.error_text else ""
            return (Span(said + error, "fail" if failed else ""),)
        case order_events.OrderNodeChanged() if event.order == key:
            return (f"to {clean(event.state)}",)
        case order_events.OrderSetBack() if event.order == key:
            until = clock_text(event.start_at, scene.now, scene.zone)
            return (Span(f"set back for the {event.count}. time, until {until}", "retry"),)
        case order_events.OrderSuspended() if event.order == key:
            why = f": {clean(event.reason)}" if event.reason else ""
            return (Span(f"suspended{why}{_by(fact)}", "held"),)
        case order_events.OrderResumed() if event.order == key:
            return (f"resumed{_by(fact)}",)
        case order_events.OrderReturned() if event.order == key:
            return (f"back at {clean(event.state)}{_by(fact)}",)
        case order_events.OrderFinished() if event.order == key:
            return (f"ended at {clean(event.state) or 'no node'}",)
        case order_events.OrderRemoved() if event.order == key:
            return (f"removed{_by(fact)}",)
        case _:
            return None


def _by(fact: Fact) -> str:
    return f" (by {clean(fact.cause)})" if fact.cause else ""
