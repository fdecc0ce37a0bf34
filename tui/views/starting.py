"""What a start form asks for: parameters with defaults, from the chain's orders and jobs."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo

from engine.kernel.commands import AfterDelay, AtInstant, NodeAction, StartAt
from engine.kernel.definitions import EndNode, JobNode, NestedNode
from engine.kernel.ids import ChainKey, NodeState, OrderKey, name_of
from engine.kernel.instants import Instant, from_datetime, parse_duration, to_datetime
from engine.kernel.params import merge
from engine.kernel.state import ChainState, State
from tui.views.scene import Scene
from tui.views.text import clean
from tui.views.waits import class_text, lock_text

_PARAMS_MAX = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter that a start may set."""

    name: str
    value: str
    origin: str
    """Where the value comes from, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartPlan:
    """What a new order of a chain can be given."""

    chain: ChainKey
    path: str
    parameters: tuple[Parameter, ...]
    nodes: tuple[NodeState, ...]
    """Where an order may begin."""
    ends: tuple[NodeState, ...]


def start_plan(state: State, chain: ChainKey, like: OrderKey | None = None) -> StartPlan | None:
    """Return what a start in this chain asks for; None when there is no such chain.

    Parameters come from the order that serves as a model (`like`, else the chain's first permanent
    order) and, by name, from the jobs of the chain.
    """
    known = state.chains.get(chain)
    if known is None:
        return None
    model = state.orders.get(like) if like is not None else None
    if model is None:
        candidates = (state.orders[key] for key in state.orders_of_chain.get(chain, ()))
        permanent = [order for order in candidates if order.is_permanent]
        model = min(permanent, key=lambda order: order.key.id, default=None)
    found: list[Parameter] = []
    if model is not None:
        params = merge(model.definition.params, model.params if like is not None else {})
        found = [
            Parameter(name=name, value=value, origin=f"as in {model.key.id}")
            for name, value in params.items()
        ]
    return StartPlan(
        chain=chain,
        path=known.definition.path,
        parameters=tuple(found[:_PARAMS_MAX]),
        nodes=tuple(
            node.state for node in known.definition.nodes if isinstance(node, JobNode | NestedNode)
        ),
        ends=tuple(node.state for node in known.definition.nodes if isinstance(node, EndNode)),
    )


def foresee(scene: Scene, chain: ChainKey, start: NodeState | None) -> list[str]:
    """Return what a new order of this chain would meet on its way, in words; none: nothing."""
    known = scene.state.chains.get(chain)
    if known is None:
        return ["there is no such chain"]
    found: list[str] = []
    if scene.state.control.paused:
        found.append("the engine is paused: will wait")
    if known.stopped:
        found.append("the chain is stopped: will wait")
    states = [node.state for node in known.definition.nodes]
    if start is not None and start not in states:
        return [f"the chain has no node {start}"]
    node = scene.state.node(chain, start) if start else known.definition.nodes[0]
    seen: set[NodeState] = set()
    while isinstance(node, JobNode) and node.state not in seen:
        seen.add(node.state)
        found.extend(_obstacles(scene, known, node))
        node = scene.state.node(chain, node.next_state) if node.next_state else None
    return found


def _obstacles(scene: Scene, chain: ChainState, node: JobNode) -> list[str]:
    state, at = scene.state, f"at {clean(node.state)}"
    found: list[str] = []
    if chain.action(node.state) is NodeAction.STOP:
        found.append(f"the node {clean(node.state)} is stopped: will wait there")
    job = state.jobs.get(node.job)
    if job is None:
        found.append(f"job {clean(name_of(node.job_path))} is missing: will wait {at}")
        return found
    if job.stopped:
        found.append(f"job {clean(name_of(job.definition.path))} is stopped: will wait {at}")
    found.extend(
        f"{lock_text(scene, use.lock)}: may wait {at}"
        for use in job.definition.locks
        if state.lock_holders.get(use.lock)
    )
    path = job.definition.process_class or chain.definition.process_class
    known = state.process_classes.get(path) if path is not None else None
    if path is not None and known is None:
        found.append(f"class {clean(path)} is missing: will wait {at}")
    elif known is not None and path is not None:
        used = len(state.class_slots.get(path, ()))
        if used >= known.definition.max_processes:
            found.append(f"{class_text(scene, path)}: may wait {at}")
    return found


def parse_start(text: str, now: Instant, zone: tzinfo = UTC) -> StartAt:
    """Return when `now`, `now+60`, `14:30` or `2026-01-31 14:30` is; times are of this zone.

    Raises ValueError with the accepted forms.
    """
    word = text.strip().casefold()
    if word in {"", "now"}:
        return AfterDelay()
    if word.startswith("now+"):
        return AfterDelay(delay=parse_duration(word[4:]))
    try:
        if len(word) <= 8:
            clock = time.fromisoformat(word if len(word.partition(":")[0]) == 2 else f"0{word}")
            moment = datetime.combine(to_datetime(now, zone).date(), clock, zone)
            if from_datetime(moment) <= now:
                moment += timedelta(days=1)
        else:
            moment = datetime.fromisoformat(word)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone)
    except ValueError:
        raise ValueError(
            f"{text!r} is no time; write now, now+60, 14:30 or 2026-01-31 14:30"
        ) from None
    return AtInstant(at=from_datetime(moment))


_AGO = re.compile(r"-(\d{1,6})([smhd])")
_UNIT_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_past(text: str, now: Instant, zone: tzinfo = UTC) -> Instant:
    """Return when something was, by the clock of this zone.

    `14:00` or `2`: the last time it was that late; `-90s`, `-5m`, `-8h`: so long ago;
    `2026-01-31 02:00`.

    Raises ValueError with the accepted forms.
    """
    word = text.strip()
    ago = _AGO.fullmatch(word)
    if ago is not None:
        return Instant(max(now - int(ago[1]) * _UNIT_MS[ago[2]], 0))
    try:
        if len(word) <= 8:
            clock = time.fromisoformat(word if len(word.partition(":")[0]) == 2 else f"0{word}")
            moment = datetime.combine(to_datetime(now, zone).date(), clock, zone)
            if from_datetime(moment) > now:
                moment -= timedelta(days=1)
        else:
            moment = datetime.fromisoformat(word)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=zone)
    except ValueError:
        raise ValueError(f"{text!r} is no time; write 14:00, -5m or 2026-01-31 14:00") from None
    return from_datetime(moment)
