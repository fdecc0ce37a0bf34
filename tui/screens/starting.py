"""Starting orders, and changing them: at once, or through a form made from the chain's orders."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from datetime import tzinfo
from xml.sax.saxutils import quoteattr
from zoneinfo import ZoneInfo

from engine.kernel.commands import AtInstant, ModifyOrder
from engine.kernel.ids import ChainKey, NodeState, OrderKey
from engine.kernel.instants import NEVER, to_datetime
from engine.kernel.state import Order
from tui import intents
from tui.client import EngineAway, NotAdmitted
from tui.intents import Intent
from tui.screens.acting import Acting, trial_lines
from tui.screens.shell import Shell
from tui.views.durations import counted, moment_text, zone_name
from tui.views.scene import Scene
from tui.views.starting import StartPlan, foresee, parse_start, start_plan
from tui.views.text import Line, Span, clean, line
from tui.widgets.form import Entered, FormRow, FormWork, StartForm, start_rows


def idle_permanent_orders(scene: Scene, chain: ChainKey) -> list[Order]:
    """Return the chain's permanent orders that wait for their next run."""
    orders = (scene.state.orders[key] for key in scene.state.orders_of_chain.get(chain, ()))
    return sorted(
        (order for order in orders if order.is_permanent and not order.touched),
        key=lambda order: order.key.id,
    )


def start_at_once(shell: Shell, chain: ChainKey) -> None:
    """Start the chain's own order when there is one, a new one when there is none; else ask."""
    scene = shell.scene()
    if chain not in scene.state.chains:
        shell.say("the chain is not there any more", bad=True)
        return
    permanent = [
        scene.state.orders[key]
        for key in scene.state.orders_of_chain.get(chain, ())
        if scene.state.orders[key].is_permanent
    ]
    idle = idle_permanent_orders(scene, chain)
    if len(permanent) == 1 and len(idle) == 1 and not idle[0].suspended:
        start_order(shell, intents.run_now(idle[0].key))
    elif permanent:
        start_with_form(shell, chain)
    else:
        start_order(shell, intents.start_order(chain))


def start_again(shell: Shell) -> None:
    """Repeat the last start."""
    if shell.last_start is None:
        shell.say("nothing was started from this cockpit yet")
    else:
        start_order(shell, shell.last_start)


def start_order(shell: Shell, intent: Intent) -> None:
    """Start an order, and remember how for doing it again."""
    shell.last_start = intent
    Acting(shell).start(intent)


def start_with_form(
    shell: Shell, chain: ChainKey, *, like: OrderKey | None = None, state: NodeState | None = None
) -> None:
    """Open the form; `like` names an order to begin with, `state` the node to begin at."""
    plan = start_plan(shell.scene().state, chain, like)
    if plan is None:
        shell.say("the chain is not there any more", bad=True)
        return

    def intent_of(entered: Entered) -> Intent:
        return intents.start_order(
            chain,
            order_id=entered.order_id,
            params=entered.params,
            at=parse_start(entered.at, shell.scene().now, shell.scene().zone),
            state=NodeState(entered.state) if entered.state else None,
            end_state=NodeState(entered.end_state) if entered.end_state else None,
            priority=int(entered.priority or "0"),
            suspended=entered.suspended,
        )

    def forecast(entered: Entered) -> str:
        met = foresee(shell.scene(), chain, NodeState(entered.state) if entered.state else None)
        return "; ".join(met) if met else "nothing in the way"

    work = FormWork(
        check=_check(shell, plan),
        forecast=forecast,
        try_it=_trial(shell, intent_of),
        as_command=lambda entered: command_of(plan, entered, shell.scene()),
        copy=lambda text: shell.copy(text, "the command"),
    )
    form = StartForm(
        shell.palette,
        title=f"Start an order: {clean(plan.path)}",
        plan=plan,
        rows=start_rows(state or "", zone_name(shell.scene().now, shell.scene().zone)),
        work=work,
    )
    shell.show_form(form, lambda entered: start_order(shell, intent_of(entered)))


def edit_order(shell: Shell, acting: Acting, key: OrderKey) -> None:
    """Open the form with what an order has; only what was changed is sent."""
    scene = shell.scene()
    order = scene.state.orders.get(key)
    plan = start_plan(scene.state, key.chain, key)
    if order is None or plan is None:
        shell.say("the order is not there any more", bad=True)
        return

    def intent_of(entered: Entered) -> Intent:
        return intents.change_order(_changes(order, entered, scene))

    def forecast(entered: Entered) -> str:
        lines = _change_lines(order, _changes(order, entered, shell.scene()), scene.zone)
        return f"changes {counted(len(lines), 'field')}" if lines else "nothing is changed yet"

    def change(entered: Entered) -> None:
        request = _changes(order, entered, shell.scene())
        lines = _change_lines(order, request, scene.zone)
        if lines:
            acting.change([key], [intents.change_order(request)], lines)
        else:
            shell.say("nothing was changed")

    start, zone = order.start_at, zone_name(scene.now, scene.zone)
    planned = moment_text(start, scene.zone) if scene.now < start < NEVER else ""
    rows = (
        FormRow(
            label="Start at", name="at", placeholder=planned or f"as it is   or now, 14:30 ({zone})"
        ),
        FormRow(
            label="Until node",
            name="end_state",
            value=order.end_state or "",
            placeholder="(the end)",
            is_node=True,
        ),
        FormRow(label="Priority", name="priority", value=str(order.priority)),
        FormRow(label="Title", name="title", value=order.title),
    )
    work = FormWork(
        check=_check(shell, plan),
        forecast=forecast,
        try_it=_trial(shell, intent_of),
        as_command=lambda entered: change_command(
            _changes(order, entered, shell.scene()), shell.scene()
        ),
        copy=lambda text: shell.copy(text, "the command"),
    )
    title = f"Change {clean(key.id)}"
    form = StartForm(shell.palette, title=title, plan=plan, rows=rows, work=work, verb="change")
    shell.show_form(form, change)


def _check(shell: Shell, plan: StartPlan) -> Callable[[Entered], str | None]:
    def check(entered: Entered) -> str | None:
        try:
            parse_start(entered.at, shell.scene().now, shell.scene().zone)
        except ValueError as problem:
            return str(problem)
        if entered.priority and not entered.priority.removeprefix("-").isdecimal():
            return f"priority: {entered.priority!r} is no whole number"
        known = {*plan.nodes, *plan.ends}
        for name, node in (("from", entered.state), ("until", entered.end_state)):
            if node and NodeState(node) not in known:
                return f"{name}: the chain has no node {node!r}; it has {' '.join(known)}"
        return None

    return check


def _trial(
    shell: Shell, intent_of: Callable[[Entered], Intent]
) -> Callable[[Entered], Awaitable[Sequence[Line]]]:
    async def try_it(entered: Entered) -> Sequence[Line]:
        intent = intent_of(entered)
        try:
            trial = await shell.client.try_request(intent.request)
        except (EngineAway, NotAdmitted) as away:
            return [line(Span(f" {clean(str(away))}", "fail"))]
        return trial_lines(1, [trial.refusal] if trial.refusal else [], trial.met)

    return try_it


# --- what was changed ----------------------------------------------------------------------------


def _changes(order: Order, entered: Entered, scene: Scene) -> ModifyOrder:
    params = {
        name: value for name, value in entered.params.items() if order.params.get(name) != value
    }
    priority = int(entered.priority or "0")
    end = NodeState(entered.end_state) if entered.end_state else None
    return ModifyOrder(
        order=order.key,
        params=params,
        priority=priority if priority != order.priority else None,
        end_state=end if end is not None and end != order.end_state else None,
        at=parse_start(entered.at, scene.now, scene.zone) if entered.at else None,
        title=entered.title if entered.title != order.title else None,
    )


def _change_lines(order: Order, request: ModifyOrder, zone: tzinfo) -> list[Line]:
    lines: list[Line] = []
    for name, value in request.params.items():
        former = order.params.get(name)
        was = "new" if former is None else f"was {former}"
        lines.append(line(f" {clean(name)} = {clean(value)}  ", Span(f"({clean(was)})", "dim")))
    if isinstance(request.at, AtInstant):
        lines.append(line(f" starts {moment_text(request.at.at, zone)}"))
    elif request.at is not None:
        lines.append(line(" starts after a delay"))
    if request.priority is not None:
        lines.append(
            line(f" priority {request.priority}  ", Span(f"(was {order.priority})", "dim"))
        )
    if request.end_state is not None:
        lines.append(line(f" ends at node {clean(request.end_state)}"))
    if request.title is not None:
        lines.append(line(f" title {clean(request.title)}"))
    return lines


# --- the same as a command -----------------------------------------------------------------------


def command_of(plan: StartPlan, entered: Entered, scene: Scene) -> str:
    """Return the command line that starts the same order."""
    words = ["pointsman", "order", "add", plan.path]
    words += [entered.order_id] if entered.order_id else []
    for name, value in entered.params.items():
        words += ["--param", f"{name}={value}"]
    given = entered.at not in {"", "now"}
    at = parse_start(entered.at, scene.now, scene.zone) if given else None
    if isinstance(at, AtInstant):
        words += ["--at", to_datetime(at.at).isoformat(timespec="seconds")]
    elif at is not None:
        words += ["--at", entered.at]
    for option, value in (
        ("--state", entered.state),
        ("--end-state", entered.end_state),
        ("--priority", entered.priority if entered.priority != "0" else ""),
    ):
        words += [option, value] if value else []
    words += ["--suspended"] if entered.suspended else []
    return shlex.join(words)


def change_command(request: ModifyOrder, scene: Scene) -> str:
    """Return the command line that changes the same of an order."""
    zone = ZoneInfo(scene.state.control.time_zone or "UTC")
    given = {
        "job_chain": request.order.chain,
        "order": request.order.id,
        "priority": None if request.priority is None else str(request.priority),
        "end_state": request.end_state,
        "title": request.title,
        "at": None
        if not isinstance(request.at, AtInstant)
        else f"{to_datetime(request.at.at, zone):%Y-%m-%d %H:%M:%S}",
    }
    words = "".join(f" {name}={quoteattr(value)}" for name, value in given.items() if value)
    params = "".join(
        f"<param name={quoteattr(name)} value={quoteattr(value)}/>"
        for name, value in request.params.items()
    )
    inner = f"><params>{params}</params></modify_order>" if params else "/>"
    return shlex.join(["pointsman", "command", f"<modify_order{words}{inner}"])
