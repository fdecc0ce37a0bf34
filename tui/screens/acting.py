"""What screens do to orders, tasks and nodes, with the questions that their harm calls for."""

from collections import Counter
from collections.abc import Callable, Sequence

from engine.kernel.commands import NodeAction
from engine.kernel.ids import ChainKey, JobKey, NodeState, OrderKey, TaskId
from engine.kernel.state import Order
from tui import intents
from tui.intents import Intent
from tui.screens.base import Shell
from tui.views.scene import Scene
from tui.views.standing import Standing, standing_of_order
from tui.views.text import Line, clean, line

BULK_MAX = 10
"""More rows at once count as destructive."""
COUNT_TYPED_FROM = 100


class Acting:
    """Acts on what is marked or under the cursor, through the shell."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    # --- orders ------------------------------------------------------------------------------

    def suspend(self, keys: Sequence[OrderKey]) -> None:
        """Suspend; when all are suspended already, resume."""
        orders = self._orders(keys)
        if not orders:
            return
        suspend = not all(order.suspended for order in orders)
        asked = [
            intents.set_suspended(order.key, suspended=suspend)
            for order in orders
            if order.suspended != suspend
        ]
        word = "Suspend" if suspend else "Resume"
        self._guarded(word, orders, asked, harm=1)

    def run_now(self, keys: Sequence[OrderKey]) -> None:
        """End setbacks and waiting times."""
        orders = self._orders(keys)
        self._guarded("Run now", orders, [intents.run_now(order.key) for order in orders], harm=1)

    def reset(self, keys: Sequence[OrderKey]) -> None:
        """Send orders back to their first nodes."""
        orders = self._orders(keys)
        asked = [intents.reset_order(order.key) for order in orders]
        self._guarded("Reset", orders, asked, harm=2)

    def remove(self, keys: Sequence[OrderKey]) -> None:
        """Remove orders."""
        orders = self._orders(keys)
        asked = [intents.remove_order(order.key) for order in orders]
        self._guarded("Remove", orders, asked, harm=3)

    def move(self, keys: Sequence[OrderKey], state: NodeState) -> None:
        """Send orders to another node of their chain."""
        orders = self._orders(keys)
        known = self._shell.scene().state
        for order in orders:
            if known.node(order.key.chain, state) is None:
                nodes = " ".join(known.node_index.get(order.key.chain, {}))
                self._shell.say(
                    f"the chain of {order.key.id} has no node {state!r}; it has {nodes}", bad=True
                )
                return
        asked = [intents.move_order(order.key, state) for order in orders]
        self._guarded(f"Move to {state}", orders, asked, harm=2)

    def _orders(self, keys: Sequence[OrderKey]) -> list[Order]:
        state = self._shell.scene().state
        found = [state.orders[key] for key in keys if key in state.orders]
        gone = len(keys) - len(found)
        if gone:
            self._shell.say(f"{gone} of {len(keys)} orders are not there any more", bad=True)
        return found

    def _guarded(
        self, word: str, orders: Sequence[Order], asked: Sequence[Intent], *, harm: int
    ) -> None:
        """Send at once where one key takes it back, else ask first."""
        if not asked:
            return
        count = len(asked)
        if harm == 1 and count == 1 and not self._shell.is_production:
            self._shell.ask(asked)
            return
        subject = clean(orders[0].key.id) if count == 1 else f"{count} orders"
        self._shell.confirm(
            f"{word} {subject}?",
            consequences(self._shell.scene(), orders),
            f"{word.lower()} {subject}",
            lambda: self._shell.ask(asked),
            counted=count if count >= COUNT_TYPED_FROM else 0,
        )

    # --- tasks -------------------------------------------------------------------------------

    def kill(self, tasks: Sequence[TaskId]) -> None:
        """End tasks: SIGTERM, after ten seconds SIGKILL."""
        state = self._shell.scene().state
        living = [state.tasks[task] for task in tasks if task in state.tasks]
        if not living:
            self._shell.say("no task is running here", bad=True)
            return
        lines = []
        for task in living[:5]:
            order = f" of {clean(task.order.id)}" if task.order is not None else ""
            job = self._shell.scene().job_name(task.job)
            lines.append(line(f" task {task.id}, {job}{order}"))
        lines.append(line(" SIGTERM now, SIGKILL to the whole process tree after 10 s."))
        lines.append(line(" The order takes its error way."))
        what = f"task {living[0].id}" if len(living) == 1 else f"{len(living)} tasks"
        self._shell.confirm(
            f"Kill {what}?",
            lines,
            f"kill {what}",
            lambda: self._shell.ask([intents.kill_task(task.id) for task in living]),
        )

    # --- jobs --------------------------------------------------------------------------------

    def stop_jobs(self, jobs: Sequence[JobKey]) -> None:
        """Stop jobs, or let stopped ones go on."""
        state = self._shell.scene().state
        known = [state.jobs[job] for job in jobs if job in state.jobs]
        if not known:
            return
        stop = not all(job.stopped for job in known)
        names = ", ".join(self._shell.scene().job_name(job.key) for job in known[:3])
        self._ask(
            f"{'Stop' if stop else 'Unstop'} {names}?",
            "It starts no tasks; running ones go on, orders wait." if stop else "It goes on.",
            "stop" if stop else "let it go on",
            [intents.stop_job(job.key, stopped=stop) for job in known],
        )

    def start_jobs(self, jobs: Sequence[JobKey]) -> None:
        """Start a task of each job; jobs for orders start with orders only."""
        state = self._shell.scene().state
        known = [state.jobs[job] for job in jobs if job in state.jobs]
        for_orders = [job for job in known if job.definition.is_order_job]
        if for_orders:
            name = self._shell.scene().job_name(for_orders[0].key)
            self._shell.say(f"{name} works on orders: start one in its chain", bad=True)
            return
        self._shell.ask([intents.start_job(job.key) for job in known])

    # --- chains and nodes --------------------------------------------------------------------

    def stop_chains(self, chains: Sequence[ChainKey]) -> None:
        """Stop chains, or let stopped ones go on."""
        state = self._shell.scene().state
        known = [state.chains[chain] for chain in chains if chain in state.chains]
        if not known:
            return
        stop = not all(chain.stopped for chain in known)
        names = ", ".join(clean(chain.definition.path) for chain in known[:3])
        self._ask(
            f"{'Stop' if stop else 'Unstop'} {names}?",
            "No order takes another step; running steps go on." if stop else "Orders go on.",
            "stop" if stop else "let it go on",
            [intents.stop_chain(chain.key, stopped=stop) for chain in known],
        )

    def stop_node(self, chain: ChainKey, node: NodeState) -> None:
        """Stop a node, or let a stopped one go on."""
        self._toggle_node(chain, node, NodeAction.STOP, "Orders wait at it; running steps go on.")

    def skip_node(self, chain: ChainKey, node: NodeState) -> None:
        """Let orders pass a node, or work there again."""
        self._toggle_node(chain, node, NodeAction.NEXT_STATE, "Orders pass it without a step.")

    def _toggle_node(self, chain: ChainKey, node: NodeState, action: NodeAction, what: str) -> None:
        known = self._shell.scene().state.chains.get(chain)
        if known is None:
            return
        is_set = known.action(node) is action
        wanted = NodeAction.PROCESS if is_set else action
        word = "stop" if action is NodeAction.STOP else "skip"
        word = f"un{word}" if is_set else word
        self._ask(
            f"{word.capitalize()} node {clean(node)}?",
            "Orders are worked on again." if is_set else what,
            f"{word} {clean(node)}",
            [intents.set_node(chain, node, wanted)],
        )

    def _ask(self, title: str, what: str, yes: str, asked: Sequence[Intent]) -> None:
        act: Callable[[], None] = lambda: self._shell.ask(asked)  # noqa: E731  # a name for the type
        self._shell.confirm(title, [line(f" {what}")], yes, act)


def consequences(scene: Scene, orders: Sequence[Order]) -> list[Line]:
    """Return how many orders stand how, and what that means, with their names."""
    counts = Counter(standing_of_order(scene.state, order, scene.now) for order in orders)
    in_task = sum(1 for order in orders if order.task is not None)
    lines = [
        line(f" {count:3} {standing.value}") for standing in Standing if (count := counts[standing])
    ]
    if in_task:
        lines.append(line(f" {in_task:3} in a task: takes effect after the running step"))
    names = " ".join(clean(order.key.id) for order in orders[:6])
    more = f" … {len(orders) - 6} more" if len(orders) > 6 else ""
    return [*lines, line(), line(f" {names}{more}")]
