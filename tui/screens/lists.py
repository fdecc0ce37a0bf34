"""The nouns that are tables: chains, orders, tasks, agents."""

from collections.abc import Sequence
from functools import partial
from typing import cast

from engine.kernel.ids import AgentUri, ChainKey, JobKey, NodeState, OrderKey, TaskId, job_key
from tui.commands import Place
from tui.screens.acting import Acting
from tui.screens.order_keys import OrderKeys
from tui.screens.shell import Look, Shell
from tui.screens.starting import edit_order, start_again, start_at_once, start_with_form
from tui.screens.table_screen import NOTHING_HERE, TableScreen
from tui.views import agents, chains, orders, tasks
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.waits import agent_name


class ChainsScreen(TableScreen):
    """All job chains."""

    noun = "chains"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, chains.VIEW)
        self.acting = Acting(shell, self.take_gone)

    def enter(self, key: RowKey) -> None:
        """Show the graph."""
        self.shell.go(Place(noun="chain", argument=str(key)))

    def do_tasks(self) -> None:
        """Show the chain's orders."""
        key = self.table.cursor_key
        if key is not None:
            self.shell.go(Place(noun="orders", argument=str(key)))

    def do_start(self) -> None:
        """Start an order in the chain under the cursor."""
        key = self.table.cursor_key
        if key is not None:
            start_at_once(self.shell, ChainKey(str(key)))

    def do_start_form(self) -> None:
        """Start an order with parameters."""
        key = self.table.cursor_key
        if key is not None:
            start_with_form(self.shell, ChainKey(str(key)))

    def do_again(self) -> None:
        """Repeat the last start."""
        start_again(self.shell)

    def do_stop(self) -> None:
        """Stop or unstop the chain."""
        self.acting.stop_chains([ChainKey(str(key)) for key in self.table.subjects()])


class OrdersScreen(OrderKeys, TableScreen):
    """All orders, or those of one chain."""

    noun = "orders"
    shown_view = orders.VIEW

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, self.shown_view)
        self.acting = Acting(shell, self.take_gone)

    def crumbs(self, scene: Scene) -> list[str]:
        """Return the chain above the orders."""
        chain, _, node = self.place.argument.partition(" ")
        name = [scene.chain_name(ChainKey(chain.casefold()))] if chain else []
        return [self.noun, *name, *([node] if node else [])]

    def subjects(self) -> Sequence[OrderKey]:
        """Return the orders an action is about."""
        return cast("Sequence[OrderKey]", self.table.subjects())

    def order_under_cursor(self) -> OrderKey | None:
        """Return the order under the cursor."""
        key = self.table.cursor_key
        return key if isinstance(key, OrderKey) else None

    def enter(self, key: RowKey) -> None:
        """Show everything about the order."""
        if isinstance(key, OrderKey):
            self.shell.go(Place(noun="order", argument=str(key)))

    def do_describe(self) -> None:
        """Show everything about the order."""
        self.do_enter()

    def defined(self, key: RowKey) -> tuple[str, object]:
        """Return the order behind the row."""
        return "orders", self.order_under_cursor() or key

    def do_graph(self) -> None:
        """Show the graph of the order's chain, at its node."""
        show_graph_of(self.shell, self.order_under_cursor())

    def do_edit(self) -> None:
        """Change what the order under the cursor was given."""
        key = self.order_under_cursor()
        if key is not None:
            edit_order(self.shell, self.acting, key)
        else:
            self.no_order()

    def do_stop(self) -> None:
        """Stop or unstop the node where the order stands."""
        node = node_of(self.shell.scene(), self.order_under_cursor())
        if node is not None:
            self.acting.stop_node(*node)
        else:
            self.no_order()

    def do_skip(self) -> None:
        """Let orders pass the node where the order stands, or not."""
        node = node_of(self.shell.scene(), self.order_under_cursor())
        if node is not None:
            self.acting.skip_node(*node)
        else:
            self.no_order()

    def do_log(self) -> None:
        """Show the log of the order's task."""
        key = self.order_under_cursor()
        if key is not None:
            show_log_of(self.shell, key)
        else:
            self.no_order()

    def no_order(self) -> None:
        """Say that the row under the cursor is about no order."""
        self.shell.say("no order is here")

    def do_start(self) -> None:
        """Start an order in the chain of the order under the cursor."""
        key = self.order_under_cursor()
        if key is not None:
            start_at_once(self.shell, key.chain)
        else:
            self.no_order()

    def do_start_form(self) -> None:
        """Start an order with parameters."""
        key = self.order_under_cursor()
        if key is not None:
            start_with_form(self.shell, key.chain, like=key)
        else:
            self.no_order()


class TasksScreen(TableScreen):
    """Tasks running, queued and just ended."""

    noun = "tasks"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, tasks.VIEW)
        self.acting = Acting(shell, self.take_gone)

    def crumbs(self, scene: Scene) -> list[str]:
        """Return the job or the agent whose tasks these are."""
        argument = self.place.argument
        if not argument.startswith("@"):
            return super().crumbs(scene)
        return [self.noun, f"on {agent_name(argument[1:])}"]

    def open_place(self, place: Place, look: Look | None = None) -> None:
        """Show tasks; of a job also those that ended long ago."""
        super().open_place(place, look)
        if place.argument and not place.argument.startswith("@"):
            self.shell.recall(self.shell.redraw, job=job_key(place.argument))

    def enter(self, key: RowKey) -> None:
        """Show the log."""
        self.shell.go(Place(noun="log", argument=str(key)))

    def do_log(self) -> None:
        """Show the log."""
        self.do_enter()

    def defined(self, key: RowKey) -> tuple[str, object]:
        """Return the job of the task."""
        scene = self.shell.scene()
        task = scene.state.tasks.get(TaskId(key)) if isinstance(key, int) else None
        ended = tasks.ended_task(scene, key) if isinstance(key, int) else None
        return "jobs", task.job if task is not None else ended.job if ended is not None else key

    def do_owner(self) -> None:
        """Show the order that the task works on."""
        key = self.table.cursor_key
        if not isinstance(key, int):
            return
        order = order_of_task(self.shell.scene(), key)
        if order is None:
            self.shell.say("the task works on no order")
        else:
            self.shell.go(Place(noun="order", argument=str(order)))

    def do_kill(self) -> None:
        """Kill the tasks."""
        keys = [TaskId(key) for key in self.table.subjects() if isinstance(key, int)]
        self.acting.kill(keys)


class AgentsScreen(TableScreen):
    """Agents as lease gauges."""

    noun = "agents"

    def __init__(self, shell: Shell) -> None:
        super().__init__(shell, agents.VIEW)

    def crumbs(self, scene: Scene) -> list[str]:
        """Return the noun with how many agents answer."""
        return [*super().crumbs(scene), agents.answer_count(scene)]

    def enter(self, key: RowKey) -> None:
        """Show the tasks on the agent."""
        self.shell.go(Place(noun="tasks", argument=f"@{AgentUri(str(key))}"))

    def do_processes(self) -> None:
        """Show the processes on the agent's machine."""
        key = self.table.cursor_key
        if key is None:
            self.shell.say(NOTHING_HERE)
        else:
            filter_text = f"account=agent@{agent_name(str(key))}"
            self.shell.go(Place(noun="processes", filter_text=filter_text))


def order_of_task(scene: Scene, task: object) -> OrderKey | None:
    """Return the order that a task works on, or worked on."""
    if not isinstance(task, int):
        return None
    living = scene.state.tasks.get(TaskId(task))
    if living is not None:
        return living.order
    ended = tasks.ended_task(scene, task)
    return None if ended is None else ended.order


def node_of(scene: Scene, key: OrderKey | None) -> tuple[ChainKey, NodeState] | None:
    """Return the node where an order stands."""
    order = scene.state.orders.get(key) if key is not None else None
    return None if order is None else (order.key.chain, order.state)


def show_graph_of(shell: Shell, key: OrderKey | None) -> None:
    """Show the graph of an order's chain, with the cursor where the order stands."""
    node = node_of(shell.scene(), key)
    if node is None:
        shell.say("the order is not in a chain any more")
    else:
        shell.go(Place(noun="chain", argument=node[0]), key=node[1])


def last_task_of(scene: Scene, key: OrderKey) -> TaskId | None:
    """Return the task an order is in, or the last one seen to work on it."""
    order = scene.state.orders.get(key)
    if order is not None and order.task is not None:
        return order.task
    return next(
        (task.task for task in reversed(scene.mirror.ended_tasks) if task.order == key), None
    )


def last_task_of_job(scene: Scene, job: JobKey) -> TaskId | None:
    """Return a running task of a job, or the last one that ended."""
    running = scene.state.tasks_of_job.get(job, {})
    ended = (task.task for task in reversed(scene.mirror.ended_tasks) if task.job == job)
    return next(reversed(running), None) or next(ended, None)


def show_log_of(shell: Shell, key: OrderKey) -> None:
    """Show the log of the task of an order, of one that the engine's history knows at least."""
    task = last_task_of(shell.scene(), key)
    if task is not None:
        shell.go(Place(noun="log", argument=str(task)))
    else:
        shell.recall(partial(_show_recalled, shell, key), order=key)


def _show_recalled(shell: Shell, key: OrderKey) -> None:
    task = last_task_of(shell.scene(), key)
    if task is None:
        shell.say("no task has worked on this order, as far as the engine remembers")
    else:
        shell.go(Place(noun="log", argument=str(task)))
