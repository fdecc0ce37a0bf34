"""Metrics for Prometheus, computed from the state when they are asked for.

There is no second bookkeeping; counters of the drivers live in their own registry, which whoever
wires the engine hands in.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from engine.kernel.instants import NEVER
from engine.kernel.reports import AgentStatus
from engine.kernel.state import TaskStatus
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of
from engine.server.engine_port import EnginePort


async def metrics(request: Request) -> Response:
    """Handle `/metrics`."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    body = exposition(context)
    return Response(body, headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST)


def exposition(context: ServerContext) -> bytes:
    """Return all metrics in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(context.port, context.counters))
    text = bytes(generate_latest(registry))
    if context.driver_metrics is not None:
        text += bytes(generate_latest(context.driver_metrics))
    return text


class StateCollector(Collector):
    """Reads the state between two steps and tells it in numbers."""

    def __init__(self, port: EnginePort, requests: dict[str, int]) -> None:
        self._port = port
        self._requests = requests

    def collect(self) -> Iterator[Metric]:
        """Yield every metric once."""
        yield from self._journal()
        yield from self._orders()
        yield from self._tasks()
        yield from self._agents()
        requests = CounterMetricFamily(
            "pointsman_http_requests", "Requests by outcome.", labels=["outcome"]
        )
        for outcome, count in sorted(self._requests.items()):
            requests.add_metric([outcome], count)
        yield requests

    def _journal(self) -> Iterator[Metric]:
        state, now = self._port.state, self._port.now()
        yield _gauge("pointsman_journal_event_number", "Last durable event.", self._port.number)
        yield _gauge("pointsman_epoch", "Lives of the engine on its journal.", state.control.epoch)
        yield _gauge("pointsman_paused", "Whether nothing new starts.", int(state.control.paused))
        yield _gauge("pointsman_broken_files", "Definition files in error.", len(state.broken))
        due = state.next_due()
        late = max(0, now - due) / 1000 if due < NEVER else 0
        yield _gauge("pointsman_timer_delay_seconds", "Age of the oldest due timer.", late)

    def _orders(self) -> Iterator[Metric]:
        state = self._port.state
        at_nodes = GaugeMetricFamily(
            "pointsman_orders", "Orders at each node.", labels=["chain", "node"]
        )
        for (chain, node), queue in sorted(state.queues.items()):
            at_nodes.add_metric([chain, node], len(queue.all))
        yield at_nodes
        orders = state.orders.values()
        yield _labelled(
            "pointsman_orders_by_condition",
            "Orders that are suspended, blacklisted, set back or in a task.",
            "condition",
            {
                "suspended": sum(order.suspended for order in orders),
                "blacklisted": sum(order.blacklisted for order in orders),
                "setback": sum(order.setback_count > 0 for order in orders),
                "in_task": sum(order.task is not None for order in orders),
            },
        )

    def _tasks(self) -> Iterator[Metric]:
        state = self._port.state
        statuses = Counter(task.status for task in state.tasks.values())
        yield _labelled(
            "pointsman_tasks",
            "Tasks by status.",
            "status",
            {status.value: statuses[status] for status in TaskStatus},
        )
        used = GaugeMetricFamily(
            "pointsman_process_class_used", "Processes in use.", labels=["process_class"]
        )
        limit = GaugeMetricFamily(
            "pointsman_process_class_limit", "Processes allowed.", labels=["process_class"]
        )
        for path, process_class in sorted(state.process_classes.items()):
            label = [path or "/"]
            used.add_metric(label, len(state.class_slots.get(path, ())))
            limit.add_metric(label, process_class.definition.max_processes)
        yield used
        yield limit
        stopped = sum(job.stopped for job in state.jobs.values())
        yield _labelled(
            "pointsman_jobs",
            "Jobs, and those that are stopped.",
            "condition",
            {"any": len(state.jobs), "stopped": stopped},
        )

    def _agents(self) -> Iterator[Metric]:
        now = self._port.now()
        coupled = GaugeMetricFamily(
            "pointsman_agent_coupled", "Whether the session is alive.", labels=["agent"]
        )
        silence = GaugeMetricFamily(
            "pointsman_agent_silence_seconds", "Age of the last answer.", labels=["agent"]
        )
        for uri, pulse in sorted(self._port.pulses().items()):
            coupled.add_metric([uri], int(pulse.status is AgentStatus.COUPLED))
            if pulse.heard_at is not None:
                silence.add_metric([uri], (now - pulse.heard_at) / 1000)
        yield coupled
        yield silence


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(
    name: str, text: str, label: str, values: dict[str, int] | Iterable[tuple[str, int]]
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in dict(values).items():
        family.add_metric([key], value)
    return family
