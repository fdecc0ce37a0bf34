"""Which objects a request of the JSON web service means (xml-commands.md 9.1, 9.2), pure.

What goes through many orders does so step by step and yields None for those that are not meant, so
that whoever iterates can pause at any place.
"""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from engine.codec.xml.answers_orders import order_type
from engine.kernel.definitions import JobNode
from engine.kernel.ids import ChainKey, OrderId, OrderKey, folded_path, folder_of
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant
from engine.kernel.state import ChainState, Order, State, TaskStatus

SORTED_AT_ONCE: Final = 5_000
"""Orders that are put in order in one go; more are merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathQuery:
    """Which paths are meant: `/`, `/folder/`, `/folder/*`, `/folder/name`, several with `|`."""

    patterns: tuple[str, ...] = ("/",)

    @property
    def single(self) -> str | None:
        """The path of the one object that is meant, None for a collection."""
        only = self.patterns[0]
        if len(self.patterns) > 1 or only.endswith(("/", "/*")):
            return None
        return only

    def selects(self, path: str) -> bool:
        """Return whether an object of this path is meant; names have no case, folders do."""
        folded = folded_path(path)
        return any(_matches(folded_path(pattern), folded) for pattern in self.patterns)


def path_query(text: str) -> PathQuery:
    """Read the path part of a resource."""
    patterns = tuple(f"/{part.lstrip('/')}" for part in text.split("|") if part)
    return PathQuery(patterns=patterns or ("/",))


def _matches(pattern: str, path: str) -> bool:
    if pattern.endswith("/*"):
        return folder_of(path) == (pattern[:-2] or "/")
    if pattern.endswith("/"):
        return path.startswith(pattern)
    return path == pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainQuery:
    """Which job chains are meant; absent fields do not filter."""

    paths: PathQuery = PathQuery()
    is_distributed: bool | None = None
    is_stopped: bool | None = None

    def selects(self, chain: ChainState) -> bool:
        """Return whether this chain is meant."""
        return (
            self.is_distributed in {None, chain.definition.distributed}
            and self.is_stopped in {None, chain.stopped}
            and self.paths.selects(chain.definition.path)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderQuery:
    """Which orders are meant; absent fields do not filter."""

    chains: ChainQuery = ChainQuery()
    """The chains they stand in."""
    order_ids: frozenset[str] | None = None
    node_ids: frozenset[str] | None = None
    job_paths: frozenset[str] | None = None
    """In folded spelling."""
    source_types: frozenset[str] | None = None
    processing_states: frozenset[str] | None = None
    or_is_suspended: bool = False
    """Suspended orders are meant whatever `processing_states` says."""
    is_suspended: bool | None = None
    is_setback: bool | None = None
    is_blacklisted: bool | None = None
    not_in_task_per_node_max: int | None = None

    def orders(self, state: State, now: Instant) -> Iterator[Order | None]:
        """Yield the orders, by chain and place in their queue, and None for each other order."""
        found = (
            order if order is not None and self._selects(state, order, now) else None
            for chain in self._chains(state)
            for order in self._in_their_places(state, chain)
        )
        return found if self.not_in_task_per_node_max is None else self._limited(found)

    def _chains(self, state: State) -> list[ChainKey]:
        return sorted(
            key
            for key in state.orders_of_chain
            if (chain := state.chains.get(key)) is not None and self.chains.selects(chain)
        )

    def _in_their_places(self, state: State, chain: ChainKey) -> Iterator[Order | None]:
        keys: list[OrderKey] = list(state.orders_of_chain[chain])
        if self.order_ids is not None:
            wanted = (OrderKey(chain, OrderId(each)) for each in self.order_ids)
            keys = [key for key in wanted if key in state.orders]
        runs: list[list[tuple[int, OrderKey]]] = []
        for begin in range(0, len(keys), SORTED_AT_ONCE):
            part = keys[begin : begin + SORTED_AT_ONCE]
            runs.append(sorted((state.orders[key].place, key) for key in part))
            yield None
        for _, key in heapq.merge(*runs):
            yield state.orders[key]

    def _selects(self, state: State, order: Order, now: Instant) -> bool:
        return (
            (self.node_ids is None or order.state in self.node_ids)
            and self.is_suspended in {None, order.suspended}
            and self.is_setback in {None, order.setback_count > 0}
            and self.is_blacklisted in {None, order.blacklisted}
            and (self.source_types is None or order_type(order) in self.source_types)
            and self._is_in_wanted_state(state, order, now)
            and (self.job_paths is None or _job_of(state, order) in self.job_paths)
        )

    def _is_in_wanted_state(self, state: State, order: Order, now: Instant) -> bool:
        if self.processing_states is None or (self.or_is_suspended and order.suspended):
            return True
        return processing_name(state, order, now) in self.processing_states

    def _limited(self, orders: Iterable[Order | None]) -> Iterator[Order | None]:
        most = self.not_in_task_per_node_max
        assert most is not None, "asked for"
        counts: Counter[tuple[str, str]] = Counter()
        for order in orders:
            if order is not None and order.task is None:
                counts[order.key.chain, order.state] += 1
                if counts[order.key.chain, order.state] > most:
                    yield None
                    continue
            yield order


def _job_of(state: State, order: Order) -> str | None:
    node = state.node(order.key.chain, order.state)
    return node.job if isinstance(node, JobNode) else None


def processing_name(state: State, order: Order, now: Instant) -> str:
    """Return the name of an order's processing state (orders-and-jobs.md 2.5)."""
    if order.blacklisted:
        return "Blacklisted"
    if order.task is not None:
        status = state.tasks[order.task].status
        works = status in {TaskStatus.RUNNING, TaskStatus.ENDED}
        return "InTaskProcess" if works else "WaitingInTask"
    if order.touched:
        is_set_back = order.setback_count > 0 and IMMEDIATELY < order.start_at < NEVER
        return "Setback" if is_set_back else "WaitingForResource"
    if order.start_at >= NEVER:
        return "NotPlanned"
    this_second = now - now % 1000
    return "Planned" if order.start_at >= this_second else "Due"
