"""Starting orders: at once, or through a form made from the chain's own orders."""

from engine.kernel.ids import ChainKey, NodeState, OrderKey
from engine.kernel.state import Order
from tui import intents
from tui.screens.base import Shell
from tui.views.scene import Scene
from tui.views.starting import foresee, parse_start, start_plan
from tui.views.text import clean
from tui.widgets.form import Entered, StartForm


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
        shell.ask([intents.run_now(idle[0].key)])
    elif permanent:
        start_with_form(shell, chain)
    else:
        shell.ask([intents.start_order(chain)])


def start_with_form(
    shell: Shell, chain: ChainKey, *, like: OrderKey | None = None, state: NodeState | None = None
) -> None:
    """Open the form."""
    plan = start_plan(shell.scene().state, chain, like)
    if plan is None:
        shell.say("the chain is not there any more", bad=True)
        return

    def check(entered: Entered) -> str | None:
        try:
            parse_start(entered.at, shell.scene().now)
            priority = int(entered.priority or "0")
        except ValueError as problem:
            return str(problem)
        _ = priority
        known = {*plan.nodes, *plan.ends}
        for name, node in (("from", entered.state), ("until", entered.end_state)):
            if node and NodeState(node) not in known:
                return f"{name}: the chain has no node {node!r}; it has {' '.join(known)}"
        return None

    def forecast(entered: Entered) -> str:
        start = NodeState(entered.state) if entered.state else None
        met = foresee(shell.scene(), chain, start)
        return "; ".join(met) if met else "nothing in the way"

    def start(entered: Entered) -> None:
        shell.ask(
            [
                intents.start_order(
                    chain,
                    order_id=entered.order_id,
                    params=entered.params,
                    at=parse_start(entered.at, shell.scene().now),
                    state=NodeState(entered.state) if entered.state else None,
                    end_state=NodeState(entered.end_state) if entered.end_state else None,
                    priority=int(entered.priority or "0"),
                    suspended=entered.suspended,
                )
            ]
        )

    shell.show_form(
        StartForm(
            shell.palette,
            title=f"Start an order: {clean(plan.path)}",
            plan=plan,
            state=state or "",
            check=check,
            forecast=forecast,
            copy=lambda text: shell.copy(text, "the command"),
        ),
        start,
    )
