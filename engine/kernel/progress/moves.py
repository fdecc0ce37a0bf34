"""What follows the end of a task: its order moves on, its job stops or goes on (2.7, 2.9, 3.6)."""

from collections.abc import Iterator

from engine.kernel.adding import add_order
from engine.kernel.commands import AddOrder, NodeAction
from engine.kernel.definitions import (
    JobNode,
    NestedNode,
    Node,
    OnError,
    OrderDefinition,
    SinkNode,
)
from engine.kernel.events import Event
from engine.kernel.events.definitions import JobRemovalHeld
from engine.kernel.events.orders import (
    OrderNodeChanged,
    OrderParamsChanged,
    OrderRemoved,
    OrderSetBack,
    OrderStateTextSet,
    OrderStepEnded,
    OrderSuspended,
    Transition,
)
from engine.kernel.events.tasks import (
    Cause,
    JobErrorsCounted,
    JobStateTextSet,
    JobStopped,
    TaskClosed,
    TaskQueued,
    TaskWarned,
)
from engine.kernel.ids import NodeState, OrderId, OrderKey, TaskId
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, later
from engine.kernel.params import NO_PARAMS, merge, without
from engine.kernel.problems import Problem
from engine.kernel.progress.exit_commands import choose, come_before_order
from engine.kernel.state import JobState, Outcome, State, Task
from engine.kernel.step_durations import shorter_than_expected
from engine.kernel.travel import (
    advance,
    carry_out_held,
    end_chain,
    go_to,
    on_error_of,
    set_back,
    stay,
)
from engine.kernel.watchdog import end_ssh_run

STANDARD_ERROR = 1
"""The return code of a step that failed without one of its own (2.6)."""


def settle_ended(state: State, task_id: TaskId, at: Instant) -> Iterator[Event]:
    """Carry out everything that the end of a task means, and close it (13.4)."""
    task = state.tasks[task_id]
    outcome = task.outcome
    assert outcome is not None, "only an ended task is settled"
    job = state.jobs[task.job]
    if task_id in state.exit_commands:
        return  # its on-exit commands come first
    if not task.exit_commands_chosen:
        warning = shorter_than_expected(job, task, outcome)
        if warning is not None:
            yield warning
    order_params = NO_PARAMS if task.order is None else state.orders[task.order].params
    if come_before_order(job.definition, task, outcome):
        yield from choose(job.definition, task, outcome, order_params)
        if task_id in state.exit_commands:
            return
    if task.order is not None:
        yield from _settle_order(state, task, outcome, job, task.order, at)
        moved = state.orders.get(task.order)
        order_params = order_params if moved is None else moved.params
    if outcome.ran or outcome.state_text:
        yield JobStateTextSet(job=job.key, text=outcome.state_text)
    yield from _settle_job(state, task, outcome, at)
    yield from choose(job.definition, state.tasks[task_id], outcome, order_params)
    if job.definition.temporary:
        yield JobRemovalHeld(job=job.key)
    yield from end_ssh_run(state, task, at)
    yield TaskClosed(task=task.id, job=task.job, at=at)


# --- the order -----------------------------------------------------------------------------------


def _settle_order(
    state: State, task: Task, outcome: Outcome, job: JobState, key: OrderKey, at: Instant
) -> Iterator[Event]:
    order = state.orders[key]
    node = state.node(key.chain, order.state)
    count = order.setback_count
    stops = bool(outcome.error_code) and job.definition.stop_on_error
    keeps = outcome.kept or (stops and not outcome.monitored)
    transition = Transition.KEEP
    if not keeps:
        transition = Transition.SUCCESS if outcome.succeeded else Transition.ERROR
    code = _return_code(outcome)
    yield OrderStepEnded(
        order=key,
        task=task.id,
        state=order.state,
        transition=transition,
        return_code=code,
        at=outcome.at,
        error_code=outcome.error_code,
        error_text=outcome.error_text,
        last_error=_last_error(outcome, code),
        step=order.step if task.started_at is not None else order.step + 1,
    )
    if outcome.state_text or (outcome.ran and order.state_text):
        yield OrderStateTextSet(order=key, text=outcome.state_text)
    if task.taken_back:
        params = without(state.orders[key].params, *task.taken_back)
        yield OrderParamsChanged(order=key, params=params)
    if transition is not Transition.KEEP and outcome.waits_for is None:
        yield from _add_orders(state, task, key, node, code, at)
    if transition is Transition.KEEP:
        if on_error_of(node) is OnError.SUSPEND and not state.orders[key].suspended:
            yield OrderSuspended(order=key, reason="its step failed and its job stopped")
        yield from stay(state, key, IMMEDIATELY, at)
    elif outcome.moved_to is not None:
        yield from _moved(state, key, outcome, outcome.moved_to, count, at)
    else:
        succeeded = code == 0 or outcome.tolerated
        yield from _leave(state, task, key, node, code, count, at, succeeded=succeeded)
    yield from carry_out_held(state, key, at)


def _last_error(outcome: Outcome, code: int) -> str:
    """Return what the next job can read of a failure; other return codes leave nothing (2.15)."""
    if code != STANDARD_ERROR or not outcome.error_code:
        return ""
    return f"{outcome.error_code} {outcome.error_text}"


def _add_orders(
    state: State, task: Task, key: OrderKey, node: Node | None, code: int, at: Instant
) -> Iterator[Event]:
    """Add the orders that the node's `on_return_codes` ask for (1.9); failures are only noted."""
    for rule in node.on_return_codes if isinstance(node, JobNode) else ():
        if not any(code in codes for codes in rule.codes):
            continue
        for added in rule.added_orders:
            order = state.orders[key]
            order_id = order.key.id
            if added.id is not None:
                order_id = OrderId(added.id.replace("${ORDER_ID}", order_id))
            definition = OrderDefinition(
                key=OrderKey(added.chain, order_id), params=merge(order.params, added.params)
            )
            placed = yield from add_order(state, AddOrder(order=definition), at)
            if isinstance(placed, Problem):
                yield TaskWarned(task=task.id, code="NODE-ORDER-PLUGIN-100", text=str(placed))


def _return_code(outcome: Outcome) -> int:
    """Return the step's return code: 0 for success, the exit code, or the standard error."""
    if outcome.succeeded:
        return outcome.exit_code if outcome.tolerated else 0
    if outcome.exit_code != 0 and outcome.signal is None:
        return outcome.exit_code
    return STANDARD_ERROR


def _moved(
    state: State, key: OrderKey, outcome: Outcome, target: NodeState, count: int, at: Instant
) -> Iterator[Event]:
    """The job itself said where its order goes (2.7 C)."""
    order = state.orders[key]
    if target != order.state:
        yield from go_to(state, key, target, at, succeeded=outcome.succeeded)
        return
    if outcome.waits_for is not None:
        yield OrderNodeChanged(
            order=key,
            state=target,
            former=target,
            start_at=later(at, outcome.waits_for),
            setback_count=count,
        )
        return
    if outcome.suspends and not order.suspended:
        yield OrderSuspended(order=key, reason=outcome.state_text)
    elif outcome.sets_back_for is not None:
        yield OrderSetBack(order=key, count=1, start_at=later(at, outcome.sets_back_for))
    else:
        yield OrderNodeChanged(order=key, state=target, former=target, start_at=IMMEDIATELY)


def _leave(
    state: State,
    task: Task,
    key: OrderKey,
    node: Node | None,
    code: int,
    count: int,
    at: Instant,
    *,
    succeeded: bool,
) -> Iterator[Event]:
    """Apply the transition of a step (13.3)."""
    if isinstance(node, SinkNode):
        yield from end_chain(state, key, node.state, at, succeeded=code == 0)
        ended = state.orders.get(key)
        if code == 0 and ended is not None and ended.blacklisted and ended.is_file_order:
            yield OrderRemoved(order=key)  # the sink has just taken its file away
        return
    if not isinstance(node, JobNode | NestedNode):
        # The node went with a change of the chain; the order waits for somebody to send it on.
        yield OrderSuspended(order=key, reason="its node is no longer in the job chain")
        return
    target = _target(node, code, succeeded=succeeded)
    if target is not None:
        yield from advance(state, key, target, node.error_state, at)
        return
    on_error = on_error_of(node)
    if on_error is OnError.SETBACK:
        yield from set_back(state, key, count + 1, at)
        order = state.orders[key]
        if order.suspended and not order.setback_count:
            # Suspended while the step ran that failed once too often: it waits to be sent on (4.3).
            yield _too_often(task, count)
            yield OrderSetBack(order=key, count=count + 1, start_at=NEVER)
            return
        if order.setback_count:
            if state.chains[key.chain].action(order.state) is NodeAction.NEXT_STATE:
                yield from go_to(state, key, order.state, at)
            else:
                yield from stay(state, key, order.start_at, at)
            return
        yield _too_often(task, count)
        text = "The order was set back too often: it takes the way of an error"
        yield TaskWarned(task=task.id, code="SCHEDULER-943", text=text)
    if on_error is OnError.SUSPEND:
        if not state.orders[key].suspended:
            yield OrderSuspended(order=key, reason="its step failed")
        return
    yield from advance(state, key, None, node.error_state, at)


def _too_often(task: Task, count: int) -> TaskWarned:
    text = f"The order was set back {count} times already, more often its job does not allow"
    return TaskWarned(task=task.id, code="SCHEDULER-947", text=text)


def _target(node: JobNode | NestedNode, code: int, *, succeeded: bool) -> NodeState | None:
    if isinstance(node, JobNode):
        for rule in node.on_return_codes:
            if rule.to_state is not None and any(code in codes for codes in rule.codes):
                return rule.to_state
    return node.next_state if succeeded else None


# --- the job -------------------------------------------------------------------------------------


def _settle_job(state: State, task: Task, outcome: Outcome, at: Instant) -> Iterator[Event]:
    """Count errors in a row, pause or stop the job (3.6, 3.8)."""
    job = state.jobs[task.job]
    failed = bool(outcome.error_code)
    if not failed:
        if job.consecutive_errors:
            yield JobErrorsCounted(job=job.key, consecutive=0)
        return
    consecutive = job.consecutive_errors + 1
    fitting = [entry for entry in job.definition.error_delays if entry.count <= consecutive]
    if job.definition.error_delays:
        delay = max(fitting, key=lambda entry: entry.count) if fitting else None
        if delay is not None and delay.delay is None:
            yield JobErrorsCounted(job=job.key, consecutive=consecutive)
            yield JobStopped(
                job=job.key, reason=f"{consecutive} tasks in a row have failed", task=task.id
            )
            return
        until = at if delay is None or not delay.delay else later(at, delay.delay)
        yield from _retry_later(state, task, consecutive, until, at)
        return
    stops = job.definition.stop_on_error or outcome.kept
    yield JobErrorsCounted(job=job.key, consecutive=consecutive, task=None if stops else task.id)
    if stops and not job.stopped:
        yield JobStopped(
            job=job.key, reason=f"{outcome.error_code} {outcome.error_text}", task=task.id
        )


def _retry_later(
    state: State, task: Task, consecutive: int, until: Instant, at: Instant
) -> Iterator[Event]:
    """Let the job pause; what it started without an order is started again afterwards (3.8)."""
    automatic = task.order is None and task.cause not in {Cause.QUEUE, Cause.QUEUE_AT}
    yield JobErrorsCounted(
        job=task.job,
        consecutive=consecutive,
        delayed_until=until,
        restarts=automatic,
    )
    if task.cause in {Cause.QUEUE, Cause.QUEUE_AT}:
        yield TaskQueued(
            task=TaskId(state.control.last_task + 1),
            job=task.job,
            start_at=IMMEDIATELY if until <= at else until,
            at=at,
            name=task.name,
            force=task.force,
            in_period=task.in_period,
            params=task.params,
            environment=task.environment,
        )
