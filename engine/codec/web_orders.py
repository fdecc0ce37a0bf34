"""Orders in the shapes of the JSON web service (xml-commands.md 9.3), pure."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from engine.codec.json_api import time_text
from engine.codec.streamed_json import Json, Parts, Rows
from engine.codec.web_obstacles import (
    file_based_state,
    missing_of_order,
    order_obstacles,
    present,
)
from engine.codec.web_query import processing_name
from engine.codec.web_service import job_overview, node_shape, process_class_overview
from engine.codec.xml.answers_orders import chain_path, order_type
from engine.kernel.capacity import class_of
from engine.kernel.definitions import JobNode
from engine.kernel.ids import ChainKey, folder_of
from engine.kernel.instants import Instant, utc_text
from engine.kernel.state import NodeKey, Order, State

Shape = Callable[[State, Order, Instant], Json]


def processing_state(state: State, order: Order, now: Instant) -> Json:
    """Return where the order stands in its processing (orders-and-jobs.md 2.5)."""
    name = processing_name(state, order, now)
    match name:
        case "InTaskProcess" | "WaitingInTask":
            assert order.task is not None, "it is in a task"
            task = state.tasks[order.task]
            place: Json = {"taskId": str(task.id), "processClassPath": task.process_class or "/"}
            if name == "InTaskProcess":
                place |= present(since=time_text(task.started_at), agentUri=task.agent or None)
            return {"TYPE": name, **place}
        case "Setback":
            return {"TYPE": name, "until": utc_text(order.start_at)}
        case "Planned":
            return {"TYPE": name, "at": utc_text(order.start_at)}
        case "Due":
            return {"TYPE": name, "at": utc_text(order.start_at or order.created_at)}
        case _:
            return {"TYPE": name}


def order_overview(state: State, order: Order, now: Instant) -> Json:
    """Return OrderOverview."""
    chain = chain_path(state, order.key.chain)
    path = f"{chain},{order.key.id}"
    return present(
        path=path,
        fileBasedState=file_based_state(missing_of_order(state, order)),
        historyId=order.history,
        orderSourceType=order_type(order),
        jobChainPath=chain,
        nodeId=order.state,
        orderProcessingState=processing_state(state, order, now),
        obstacles=order_obstacles(state, order, path, now),
        startedAt=time_text(order.started_at),
        nextStepAt=time_text(order.start_at),
        outerJobChainPath=None if order.outer is None else chain_path(state, order.outer.chain),
    )


def order_detailed(state: State, order: Order, now: Instant) -> Json:
    """Return OrderDetailed."""
    return present(
        overview=order_overview(state, order, now),
        priority=order.priority,
        initialNodeId=order.initial_state,
        endNodeId=order.end_state,
        stateText=order.state_text or None,
        title=order.title or None,
        historyId=order.history,
        variables=dict(order.params),
    )


# --- orders with what they use -------------------------------------------------------------------


class _Used:
    """The nodes at which the orders of an answer stand; known when those are written."""

    def __init__(self, state: State, now: Instant) -> None:
        self._state = state
        self._now = now
        self._nodes: dict[NodeKey, None] = {}

    def noting(self, orders: Iterable[Order | None], shape: Shape) -> Iterator[Json | None]:
        """Yield the shapes of orders and note their nodes."""
        for order in orders:
            if order is None:
                yield None
                continue
            self._nodes[order.key.chain, order.state] = None
            yield shape(self._state, order, self._now)

    def lists(self) -> Json:
        """Return what is used, each list to be written after the orders."""
        return {
            "usedNodes": Rows(self._used_nodes()),
            "usedJobs": Rows(self._used_jobs()),
            "usedProcessClasses": Rows(self._used_classes()),
        }

    def _job_nodes(self) -> Iterator[tuple[ChainKey, JobNode]]:
        for chain, node_id in sorted(self._nodes):
            node = self._state.node(chain, node_id)
            if isinstance(node, JobNode):
                yield chain, node

    def _used_nodes(self) -> Iterator[Json]:
        for key, node in self._job_nodes():
            yield node_shape(self._state, self._state.chains[key], node, self._now)

    def _used_jobs(self) -> Iterator[Json]:
        jobs = {node.job for _, node in self._job_nodes() if node.job in self._state.jobs}
        for key in sorted(jobs):
            yield job_overview(self._state, self._state.jobs[key], self._now)

    def _used_classes(self) -> Iterator[Json]:
        state = self._state
        paths = {
            class_of(state, state.jobs[node.job], chain)
            for chain, node in self._job_nodes()
            if node.job in state.jobs
        }
        for path in sorted(paths & state.process_classes.keys()):
            yield process_class_overview(state, state.process_classes[path])


def orders_complemented(
    state: State, orders: Iterable[Order | None], now: Instant, shape: Shape
) -> Parts:
    """Return OrdersComplemented: the orders with what they use."""
    used = _Used(state, now)
    return Parts(orders=Rows(used.noting(orders, shape)), **used.lists())


class OrderTree:
    """Collects orders by folder into OrderTreeComplemented."""

    def __init__(self, state: State, now: Instant, shape: Shape) -> None:
        self._state = state
        self._used = _Used(state, now)
        self._shape = shape
        self._leafs: dict[str, list[Order]] = {}
        self._subfolders: dict[str, list[str]] = {}

    def add(self, order: Order) -> None:
        """Put an order into the folder of its chain."""
        path = folder_of(chain_path(self._state, order.key.chain))
        self._leafs.setdefault(path, []).append(order)

    @property
    def shape(self) -> Parts:
        """OrderTreeComplemented of the orders so far."""
        for path in sorted(self._leafs):
            _note_folder(self._subfolders, path)
        return Parts(orderTree=self._folder("/"), **self._used.lists())

    def _folder(self, path: str) -> Parts:
        return Parts(
            path=path,
            leafs=Rows(self._used.noting(self._leafs.get(path, ()), self._shape)),
            subfolders=Rows(self._folder(each) for each in self._subfolders.get(path, ())),
        )


def _note_folder(subfolders: dict[str, list[str]], path: str) -> None:
    """Note a folder and those that it lies in, each once."""
    while path != "/":
        parent = path.rpartition("/")[0] or "/"
        siblings = subfolders.setdefault(parent, [])
        if path in siblings:
            return
        siblings.append(path)
        path = parent


# --- statistics ----------------------------------------------------------------------------------


class OrderStatistics:
    """Counts orders into JocOrderStatistics."""

    def __init__(self, state: State, now: Instant) -> None:
        self._state = state
        self._now = now
        self._kinds: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._touched = self._suspended = 0

    def add(self, order: Order) -> None:
        """Count an order."""
        self._kinds[processing_name(self._state, order, self._now)] += 1
        self._types[order_type(order)] += 1
        self._touched += order.touched
        self._suspended += order.suspended

    @property
    def shape(self) -> Json:
        """JocOrderStatistics of the orders so far."""
        kinds, types = self._kinds, self._types
        return {
            "total": kinds.total(),
            "notPlanned": kinds["NotPlanned"],
            "planned": kinds["Planned"],
            "due": kinds["Due"],
            "started": self._touched,
            "inTask": kinds["InTaskProcess"] + kinds["WaitingInTask"],
            "inTaskProcess": kinds["InTaskProcess"],
            "occupiedByClusterMember": 0,
            "setback": kinds["Setback"],
            "waitingForResource": kinds["WaitingForResource"],
            "suspended": self._suspended,
            "blacklisted": kinds["Blacklisted"],
            "permanent": types["Permanent"],
            "fileOrder": types["FileOrder"],
        }
