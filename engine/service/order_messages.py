"""What the log of an order says about it: events as messages with the original's codes.

While an order has a task, and after it until the run is over, the messages stand in that task's log
(`engine.service.narration`); what happens before the first step of a run is kept by the histories
(`engine.service.histories`). Both take the words from here.
"""

from collections.abc import Iterator

from engine.kernel.events import Event
from engine.kernel.events import files as f
from engine.kernel.events import orders as o
from engine.kernel.events import tasks as t
from engine.kernel.ids import JobKey, NodeState, OrderKey, TaskId
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, utc_text
from engine.kernel.state import Order

BY_COMMAND = "by command"


class Waits:
    """Tells which waits of jobs are worth a message: not those that go on with the next order.

    A busy job leaves the queue with one order and joins it again with the next one in the same
    moment; a message for each of them would say nothing and cost a log file a step.
    """

    def __init__(self) -> None:
        self._ended: dict[JobKey, Instant] = {}

    def is_news(self, event: Event, at: Instant) -> bool:
        """Take in an event that was decided at an instant; whether it may be told."""
        match event:
            case t.JobWaitEnded():
                self._ended[event.job] = at
                return False
            case t.JobAwaitsLocks() | t.JobAwaitsProcess():
                return self._ended.pop(event.job, None) != at
            case _:
                return True


def order_of(event: Event) -> OrderKey | None:
    """Return the order that an event is about; a newly added one by the chain it stands in."""
    if isinstance(event, o.OrderAdded):
        return OrderKey(event.inner_chain or event.definition.key.chain, event.definition.key.id)
    order = getattr(event, "order", None)
    return order if isinstance(order, OrderKey) else None


def task_of_run(order: Order) -> TaskId | None:
    """Return the last task of an order's run; None when none has worked on it yet."""
    if order.task is not None:
        return order.task
    return order.last_task if order.touched or order.blacklisted else None


def said_of_order(event: Event, cause: str = "") -> tuple[str, str] | None:
    """Return level and text of the message for an event, None when it needs none.

    `cause` is who asked for it, as the journal has it.
    """
    match event:
        case o.OrderStepEnded():
            return _step_ended(event)
        case o.OrderNodeChanged():
            text = "\n".join((*_passed(event.skipped), f"The order goes to the node {event.state}"))
            if IMMEDIATELY < event.start_at < NEVER:
                text += f"\n{_start(event.start_at)}"
            return "info", text
        case o.OrderChainChanged():
            left = f"SCHEDULER-863 The order comes from the job chain {event.order.chain}"
            return "info", f"SCHEDULER-862 The order enters the job chain {event.chain}\n{left}"
        case o.OrderReturned():
            return (
                "info",
                f"SCHEDULER-944 The order is at {event.state} again{_next(event.start_at)}",
            )
        case o.OrderFinished():
            end = f"The order has reached its end at {event.state or 'no node'}"
            if event.at_end_state:
                end = f"SCHEDULER-704 {end}: that is its end state"
            return "info", "\n".join((*_passed(event.skipped), end))
        case o.OrderRemoved():
            text = "SCHEDULER-945 The order has gone from its job chain"
            return "info", text + _why(event.reason, cause)
        case _:
            return _said_of_waiting(event, cause)


def _step_ended(event: o.OrderStepEnded) -> tuple[str, str]:
    if event.transition is o.Transition.KEEP:
        return "warn", f"SCHEDULER-845 The order stays at {event.state}: its job stops"
    result = event.transition.value
    text = f"SCHEDULER-843 The step at {event.state} has ended: {result}"
    if event.transition is o.Transition.ERROR and event.error_code:
        text += "\nSCHEDULER-846 The order takes the way of an error, as its task has one"
    return "info", text


def _said_of_waiting(event: Event, cause: str) -> tuple[str, str] | None:
    match event:
        case o.OrderStartPlanned():
            return "info", _start(event.start_at)
        case o.OrderSetBack():
            when = utc_text(event.start_at) if 0 < event.start_at < NEVER else "at once"
            return "warn", f"SCHEDULER-946 Set back for the {event.count}. time, again {when}"
        case o.OrderSetbackEnded():
            return "info", f"The order is not set back any more{_why(BY_COMMAND, cause)}"
        case o.OrderSuspended():
            return "info", f"SCHEDULER-991 The order is suspended{_why(event.reason, cause)}"
        case o.OrderResumed():
            text = "SCHEDULER-992 The order is not suspended any more"
            return "info", text + _why(BY_COMMAND, cause)
        case o.OrderModified():
            changed = _changed(event)
            if not changed:
                return None
            return "info", f"The order is changed: {changed}{_why(BY_COMMAND, cause)}"
        case o.OrderReplacementHeld():
            return "info", "SCHEDULER-942 A new order of this id waits for the end of this step"
        case o.OrderRemovalHeld():
            return "info", f"The order goes at the end of this step{_why(BY_COMMAND, cause)}"
        case o.OrderBlacklisted():
            return "info", "The order has ended and stays on the blacklist of its job chain"
        case o.OrderUnblacklisted():
            return "info", "The order leaves the blacklist of its job chain"
        case o.OrderStartsMissed():
            first = utc_text(event.first)
            text = f"{event.count} start(s) from {first} on were missed: the engine was down"
            return "warn", text
        case f.OrderFileStays():
            text = f"SCHEDULER-340 The order has ended, but its file {event.path} is still there"
            return "error", text
        case t.JobAwaitsLocks():
            place = f", place {event.place}" if event.place else ""
            locks = ", ".join(event.locks)
            return "info", f"SCHEDULER-860 The job {event.job} waits for its locks: {locks}{place}"
        case t.JobAwaitsProcess():
            name = event.process_class or "the default one"
            text = f"SCHEDULER-949 The job {event.job} waits for a process of the class {name}"
            return "info", text
        case _:
            return None


def _changed(event: o.OrderModified) -> str:
    names = ("title", "priority", "end_state", "xml_payload", "run_time")
    return ", ".join(name for name in names if getattr(event, name) is not None)


def _passed(skipped: tuple[NodeState, ...]) -> Iterator[str]:
    for state in skipped:
        yield f"SCHEDULER-859 The node {state} is skipped"


def _next(start_at: Instant) -> str:
    if start_at >= NEVER:
        return ", without a start time"
    return " and starts at once" if start_at <= IMMEDIATELY else f", until {utc_text(start_at)}"


def _start(start_at: Instant) -> str:
    if start_at >= NEVER:
        return "The order has no start time"
    if start_at <= IMMEDIATELY:
        return "SCHEDULER-990 The order is to start at once"
    return f"SCHEDULER-938 The order waits until {utc_text(start_at)}"


def _why(reason: str, cause: str) -> str:
    """Return the reason as an addition; of a command also who gave it."""
    if reason == BY_COMMAND and cause:
        reason = f"{reason} of {cause}"
    return f": {reason}" if reason else ""
