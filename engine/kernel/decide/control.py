"""Requests about the engine itself: a new life, pause, the passing of time."""

from collections.abc import Iterator

from engine.kernel.commands import BeginEpoch, PauseEngine, Tick
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.decide.downtime import note_missed
from engine.kernel.definitions import Job, NativeScript, Visible
from engine.kernel.events import Event
from engine.kernel.events.control import AgentStatusChanged, EnginePausedSet, EpochBegan
from engine.kernel.events.definitions import JobDefined
from engine.kernel.events.orders import OrderRemoved, OrderStartPlanned
from engine.kernel.ids import OrderKey
from engine.kernel.instants import Duration, Instant
from engine.kernel.native import FILE_ORDER_SINK
from engine.kernel.plans import Calendars, has_begun, start_of_file
from engine.kernel.reports import AgentStatus
from engine.kernel.state import SINK_JOB, State

SINK_JOB_DEFINITION = Job(
    path=SINK_JOB,
    title="Deletes or moves the files of file orders",
    script=NativeScript(kind=FILE_ORDER_SINK, java_class=""),
    is_order_job=True,
    visible=Visible.NEVER,
    tasks=10,
    stop_on_error=False,
    idle_timeout=Duration(0),
)
"""The internal job behind `<file_order_sink>` (1.11.3)."""


def decide_begin_epoch(state: State, request: BeginEpoch, at: Instant) -> Decision:
    """Begin a life: agents have to be heard anew, untouched permanent orders start afresh."""
    yield EpochBegan(
        epoch=request.epoch,
        engine_id=request.engine_id,
        time_zone=request.time_zone,
        at=at,
    )
    if request.down_since is not None:
        yield from note_missed(state, request.down_since, at)
    if state.control.paused:
        yield EnginePausedSet(paused=False)  # an orderly end has paused it, or somebody before
    known = state.jobs.get(SINK_JOB)
    if known is None or known.definition != SINK_JOB_DEFINITION:
        yield JobDefined(job=SINK_JOB_DEFINITION)
    for agent in list(state.agents.values()):
        if agent.status is not AgentStatus.UNKNOWN:
            yield AgentStatusChanged(
                agent=agent.uri,
                status=AgentStatus.UNKNOWN,
                run_id=agent.run_id,
                text="",
                at=at,
                ledger=agent.ledger,
            )
    for chain in state.chains.values():
        if not chain.definition.orders_recoverable:
            yield from _drop_ad_hoc(state, list(state.orders_of_chain.get(chain.key, ())))
    yield from _start_permanent_afresh(state, at)
    return Answer()


def _drop_ad_hoc(state: State, keys: list[OrderKey]) -> Iterator[Event]:
    """Orders of a chain that is not recoverable do not survive a restart (js1040)."""
    for key in keys:
        order = state.orders[key]
        if not order.is_permanent and order.task is None:
            yield OrderRemoved(order=order.key, reason="its job chain keeps no orders")


def _start_permanent_afresh(state: State, at: Instant) -> Iterator[Event]:
    """Plan permanent orders that no command has changed and that have not begun (chapter 10)."""
    calendars = Calendars(state)
    for order in list(state.orders.values()):
        if not order.is_permanent or order.modified or has_begun(order):
            continue
        own = order.definition
        if own.first_start is None and own.first_delay is None:
            start_at = calendars.planned_start(order.run_time, at)
        else:
            start_at = start_of_file(state, own, at)
        if start_at != order.start_at:
            yield OrderStartPlanned(order=order.key, start_at=start_at)


def decide_pause(state: State, request: PauseEngine, at: Instant) -> Decision:
    """Start nothing new until told to go on."""
    if state.control.paused is not request.paused:
        yield EnginePausedSet(paused=request.paused)
    return Answer()


def decide_tick(state: State, request: Tick, at: Instant) -> Decision:
    """Nothing is decided: `step` looks at what is due with every input."""
    yield from ()
    return Answer()
