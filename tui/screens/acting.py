"""What screens do to orders, tasks and nodes, with the questions that their harm calls for.

The rule (harm 1 to 3) is in one place, `Acting.carry_out`: one row that the same key undoes goes at
once; what changes the course is asked for; what destroys, more than ten rows and everything on a
production engine is asked for with the list and a reason, and from a hundred on with the count.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from engine.kernel.commands import NodeAction
from engine.kernel.ids import ChainKey, JobKey, NodeState, OrderKey, TaskId
from engine.kernel.state import Order, TaskStatus
from tui import intents
from tui.client import EngineAway, NotAdmitted
from tui.intents import Intent
from tui.screens.shell import Shell
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.standing import Standing, standing_of_order
from tui.views.text import Line, Span, clean, line
from tui.widgets.question import Query

BULK_MAX = 10
"""More rows at once count as destructive."""
COUNT_TYPED_FROM = 100
TRIED_MAX = 20
"""So many requests of one question are tried."""
_MET_SHOWN = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Something to do, with what is said before."""

    verb: str
    """`Remove`, as the question begins."""
    noun: str
    """`order`, in the singular."""
    names: Sequence[str]
    """What it is done to, by name."""
    asked: Sequence[Intent]
    consequences: Sequence[Line]
    harm: int
    stamp: Callable[[], object]
    """Returns something that is equal as long as the subjects stand as they did."""

    @property
    def subject(self) -> str:
        """What it is done to, in words."""
        return self.names[0] if len(self.names) == 1 else f"{len(self.names)} {self.noun}s"


class Acting:
    """Acts on what is marked or under the cursor, through the shell."""

    def __init__(self, shell: Shell, gone: Callable[[], Sequence[RowKey]] = tuple) -> None:
        """`gone` returns the marked rows that are no longer there."""
        self._shell = shell
        self._gone = gone

    # --- orders ------------------------------------------------------------------------------

    def start(self, intent: Intent) -> None:
        """Start an order: at once, but for a production engine."""
        self.carry_out(
            Plan(
                verb=intent.what.partition(" ")[0].capitalize(),
                noun="order",
                names=[clean(intent.what.partition(" ")[2])],
                asked=[intent],
                consequences=[line(" An order begins its way through the chain.")],
                harm=1,
                stamp=bool,
            )
        )

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
        verb = "Suspend" if suspend else "Resume"
        self._guarded(verb, orders, asked, harm=1)

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
        self._guarded(f"Move to {clean(state)}:", orders, asked, harm=2)

    def change(self, keys: Sequence[OrderKey], asked: Sequence[Intent], lines: list[Line]) -> None:
        """Change what an order was given; `lines` say what."""
        orders = self._orders(keys)
        self._guarded("Change", orders, asked if orders else (), harm=2, lines=lines)

    def _orders(self, keys: Sequence[OrderKey]) -> list[Order]:
        state = self._shell.scene().state
        found = [state.orders[key] for key in keys if key in state.orders]
        if not found:
            names = " ".join(_names([*keys, *self._gone()])[:3])
            said = f"nothing was done: not there any more: {names}" if names else "no order is here"
            self._shell.say(said, bad=bool(names))
        return found

    def _guarded(
        self,
        verb: str,
        orders: Sequence[Order],
        asked: Sequence[Intent],
        *,
        harm: int,
        lines: Sequence[Line] | None = None,
    ) -> None:
        """Carry something out on orders."""
        keys = [order.key for order in orders]

        def stamp() -> object:
            return [_stamp_of(self._shell.scene(), key) for key in keys]

        said = consequences(self._shell.scene(), orders, verb) if lines is None else lines
        names = [clean(key.id) for key in keys]
        self.carry_out(
            Plan(
                verb=verb,
                noun="order",
                names=names,
                asked=asked,
                consequences=said,
                harm=harm,
                stamp=stamp,
            )
        )

    def carry_out(self, plan: Plan) -> None:
        """Send at once where one key takes it back, else ask first."""
        if not plan.asked:
            return
        count = len(plan.asked)
        gone = _names(self._gone())
        harm = 3 if count > BULK_MAX or self._shell.is_production else plan.harm
        if harm == 1 and count == 1:
            self._shell.ask(plan.asked, gone=gone)
            return
        before = plan.stamp()
        self._shell.question(
            Query(
                title=f"{plan.verb} {plan.subject}?",
                consequences=plan.consequences,
                yes=f"{plan.verb[0].lower()}{plan.verb[1:]} {plan.subject}",
                names=plan.names if count > 1 else (),
                counted=count if count >= COUNT_TYPED_FROM else 0,
                wants_reason=harm >= 3,
                moot=lambda: "" if plan.stamp() == before else f"{plan.subject} changed meanwhile",
                try_it=self._trial(plan.asked),
            ),
            lambda reason: self._shell.ask(plan.asked, reason=reason, gone=gone),
        )

    def _trial(self, asked: Sequence[Intent]) -> Callable[[], Awaitable[Sequence[Line]]]:
        async def try_it() -> Sequence[Line]:
            refused: list[str] = []
            met: list[str] = []
            try:
                for intent in asked[:TRIED_MAX]:
                    trial = await self._shell.client.try_request(intent.request)
                    if trial.refusal:
                        refused.append(f"{intent.what}: {trial.refusal}")
                    met += [text for text in trial.met if text not in met]
            except (EngineAway, NotAdmitted) as away:
                return [line(Span(f" {clean(str(away))}", "fail"))]
            return trial_lines(min(len(asked), TRIED_MAX), refused, met)

        return try_it

    # --- tasks -------------------------------------------------------------------------------

    def kill(self, tasks: Sequence[TaskId]) -> None:
        """End tasks: SIGTERM, after ten seconds SIGKILL."""
        scene = self._shell.scene()
        living = [scene.state.tasks[task] for task in tasks if task in scene.state.tasks]
        if not living:
            self._shell.say("no task is running here", bad=True)
            return
        lines = []
        for task in living[:5]:
            order = f" of {clean(task.order.id)}" if task.order is not None else ""
            lines.append(line(f" task {task.id}, {scene.job_name(task.job)}{order}"))
        lines.append(line(" Asked to end now (SIGTERM); the whole process tree is killed"))
        lines.append(line(" after 10 s. The order goes its error way."))
        keys = [task.id for task in living]
        self.carry_out(
            Plan(
                verb="Kill",
                noun="task",
                names=[f"task {task.id}" for task in living],
                asked=[intents.kill_task(task.id) for task in living],
                consequences=lines,
                harm=2,
                stamp=lambda: [_task_stamp(self._shell.scene(), key) for key in keys],
            )
        )

    # --- jobs --------------------------------------------------------------------------------

    def stop_jobs(self, jobs: Sequence[JobKey]) -> None:
        """Stop jobs, or let stopped ones go on."""
        scene = self._shell.scene()
        known = [scene.state.jobs[job] for job in jobs if job in scene.state.jobs]
        if not known:
            return
        stop = not all(job.stopped for job in known)
        keys = [job.key for job in known]
        said = "It starts no tasks; running ones go on, orders wait." if stop else "It goes on."
        self.carry_out(
            Plan(
                verb="Stop" if stop else "Unstop",
                noun="job",
                names=[f"job {scene.job_name(key)}" for key in keys],
                asked=[intents.stop_job(key, stopped=stop) for key in keys],
                consequences=[line(f" {said}")],
                harm=2,
                stamp=lambda: [
                    job.stopped
                    for key in keys
                    if (job := self._shell.scene().state.jobs.get(key)) is not None
                ],
            )
        )

    def start_jobs(self, jobs: Sequence[JobKey]) -> None:
        """Start a task of each job; jobs for orders start with orders only."""
        scene = self._shell.scene()
        known = [scene.state.jobs[job] for job in jobs if job in scene.state.jobs]
        for_orders = [job for job in known if job.definition.is_order_job]
        if for_orders:
            name = scene.job_name(for_orders[0].key)
            self._shell.say(f"{name} works on orders: start one in its chain", bad=True)
            return
        self.carry_out(
            Plan(
                verb="Start",
                noun="job",
                names=[f"job {scene.job_name(job.key)}" for job in known],
                asked=[intents.start_job(job.key) for job in known],
                consequences=[line(" A task of each is started.")],
                harm=1,
                stamp=bool,
            )
        )

    # --- chains and nodes --------------------------------------------------------------------

    def stop_chains(self, chains: Sequence[ChainKey]) -> None:
        """Stop chains, or let stopped ones go on."""
        state = self._shell.scene().state
        known = [state.chains[chain] for chain in chains if chain in state.chains]
        if not known:
            return
        stop = not all(chain.stopped for chain in known)
        keys = [chain.key for chain in known]
        said = "No order takes another step; running steps go on." if stop else "Orders go on."
        self.carry_out(
            Plan(
                verb="Stop" if stop else "Unstop",
                noun="chain",
                names=[f"chain {clean(chain.definition.path)}" for chain in known],
                asked=[intents.stop_chain(key, stopped=stop) for key in keys],
                consequences=[line(f" {said}")],
                harm=2,
                stamp=lambda: [
                    chain.stopped
                    for key in keys
                    if (chain := self._shell.scene().state.chains.get(key)) is not None
                ],
            )
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
        said = "Orders are worked on again." if is_set else what

        def stamp() -> object:
            now = self._shell.scene().state.chains.get(chain)
            return None if now is None else now.action(node)

        self.carry_out(
            Plan(
                verb=word.capitalize(),
                noun="node",
                names=[f"node {clean(node)}"],
                asked=[intents.set_node(chain, node, wanted)],
                consequences=[line(f" {said}")],
                harm=2,
                stamp=stamp,
            )
        )


def _names(keys: Sequence[RowKey]) -> list[str]:
    return [clean(key.id if isinstance(key, OrderKey) else str(key)) for key in keys]


def _stamp_of(scene: Scene, key: OrderKey) -> object:
    """Return where an order stands, for noticing that it moved while a person was asked."""
    order = scene.state.orders.get(key)
    if order is None:
        return None
    return order.state, order.task, order.suspended, order.blacklisted


def _task_stamp(scene: Scene, key: TaskId) -> object:
    task = scene.state.tasks.get(key)
    return task is not None and task.status is not TaskStatus.ENDED


def trial_lines(count: int, refused: Sequence[str], met: Sequence[str]) -> list[Line]:
    """Return what a try found out, in lines."""
    if refused and len(refused) == count:
        head = line(Span(" the engine would refuse:", "fail"))
    elif refused:
        said = f" {count - len(refused)} of {count} would be done, {len(refused)} refused:"
        head = line(Span(said, "fail"))
    else:
        head = line(Span(f" tried: {'it' if count == 1 else 'all'} would be done", "ok"))
    lines = [head, *(line(f"   {clean(text)}") for text in refused[:_MET_SHOWN])]
    if met:
        lines.append(line(" then, as things are now:"))
        lines += [line(f"   {clean(text)}") for text in met[:_MET_SHOWN]]
        if len(met) > _MET_SHOWN:
            lines.append(line(f"   and {len(met) - _MET_SHOWN} more"))
    return lines


_IN_WORDS = {
    Standing.FAIL: "failed",
    Standing.BLACK: "blacklisted",
    Standing.LATE: "on an agent out of touch",
    Standing.SETBACK: "set back, to be tried again",
    Standing.SUSPENDED: "suspended",
    Standing.RUNS: "in a task",
    Standing.WAITS: "waiting",
    Standing.PLANNED: "planned for later",
    Standing.IDLE: "idle",
    Standing.DONE: "done",
}
_BECOMES = {
    "Remove": "removed at once; the history stays",
    "Reset": "back to the first node, with the first parameters",
    "Suspend": "held where it is until somebody resumes it",
    "Resume": "goes on where it is",
    "Run now": "starts at once",
}
_AFTER_STEP = {
    "Remove": "removed after the running step",
    "Suspend": "held after the running step",
}


def consequences(scene: Scene, orders: Sequence[Order], verb: str = "") -> list[Line]:
    """Return how many orders stand how, and what would become of each group."""
    groups: Counter[tuple[Standing, bool]] = Counter(
        (standing_of_order(scene.state, order, scene.now), order.task is not None)
        for order in orders
    )
    lines: list[Line] = []
    for standing in Standing:
        for in_task in (False, True):
            count = groups[standing, in_task]
            if count:
                becomes = _BECOMES.get(verb, "")
                if in_task:
                    becomes = _AFTER_STEP.get(verb, "only after the running step")
                said = f" {count:3} {_IN_WORDS[standing]}"
                lines.append(line(f"{said}{':' if becomes else ''} {becomes}".rstrip()))
    return lines
