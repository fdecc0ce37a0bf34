"""What must always hold. Run by tests, the simulator and `pointsman check`; costs O(state)."""

from collections.abc import Iterator

from engine.kernel.instants import NEVER
from engine.kernel.state import Order, State, Task, TaskStatus


def violations(state: State) -> Iterator[str]:
    """Yield a sentence for each broken invariant."""
    yield from _orders(state)
    yield from _tasks(state)
    yield from _limits(state)
    yield from _locks(state)
    yield from _indexes(state)


def check(state: State) -> None:
    """Raise AssertionError with the first broken invariant."""
    for violation in violations(state):
        raise AssertionError(violation)


def _orders(state: State) -> Iterator[str]:
    for key, order in state.orders.items():
        if key != order.key:
            yield f"the order {order.key} is stored under {key}"
        if key.chain not in state.chains:
            yield f"the order {key} is in no job chain"
        if order.task is not None:
            yield from _occupied(state, order)
        if order.blacklisted and order.touched:
            yield f"the order {key} is blacklisted and running"


def _occupied(state: State, order: Order) -> Iterator[str]:
    assert order.task is not None
    task = state.tasks.get(order.task)
    if task is None:
        yield f"the order {order.key} is in the task {order.task}, which does not exist"
    elif task.order != order.key:
        yield f"the order {order.key} is in the task {task.id}, which works on {task.order}"
    if not order.touched:
        yield f"the order {order.key} is in a task without having started"


def _tasks(state: State) -> Iterator[str]:
    for key, task in state.tasks.items():
        if key != task.id:
            yield f"the task {task.id} is stored under {key}"
        if task.job not in state.jobs:
            yield f"the task {key} belongs to the missing job {task.job}"
        if task.order is not None and task.holds_slot:
            order = state.orders.get(task.order)
            if order is None or order.task != key:
                yield f"the task {key} works on {task.order}, which is not in it"
        pending = state.exit_commands.get(key)
        waits = pending is not None and pending.holds_task
        if task.status is TaskStatus.ENDED and not waits:
            yield f"the task {key} has ended and was not closed"
        yield from _execution(task)


def _execution(task: Task) -> Iterator[str]:
    running = task.status is TaskStatus.RUNNING
    if running and (task.started_at is None or task.pid is None):
        yield f"the task {task.id} runs and has no start"
    if task.status is TaskStatus.QUEUED and task.key is not None:
        yield f"the queued task {task.id} has an execution key"


def _limits(state: State) -> Iterator[str]:
    """Limits that a reload lowers under running tasks are exceeded for a while, and rightly so."""
    for job, tasks in state.tasks_of_job.items():
        limit = state.jobs[job].definition.tasks
        if len(tasks) > limit:
            yield f"the job {job} runs {len(tasks)} tasks, {limit} are allowed"
    for path, process_class in state.process_classes.items():
        slots = len(state.class_slots.get(path, ()))
        limit = process_class.definition.max_processes
        if slots > limit and not state.main.ignore_process_classes:
            yield f"the process class {path!r} has {slots} tasks, {limit} are allowed"


def _locks(state: State) -> Iterator[str]:
    for path, holders in state.lock_holders.items():
        if any(holders.values()) and len(holders) > 1:
            yield f"the lock {path} is held exclusively and by {len(holders)} tasks"
        lock = state.locks.get(path)
        limit = None if lock is None else lock.definition.max_non_exclusive
        if limit is not None and not any(holders.values()) and len(holders) > limit:
            yield f"the lock {path} is shared by {len(holders)} tasks, {limit} are allowed"


def _indexes(state: State) -> Iterator[str]:
    fresh = State()
    for name in State.PRIMARY:
        setattr(fresh, name, getattr(state, name))
    fresh.rebuild_indexes()
    for name in (
        "queues",
        "orders_of_chain",
        "started_in_chain",
        "busy_in_chain",
        "busy_in_super",
        "blacklisted_in_chain",
        "children",
        "nodes_of_job",
        "node_index",
        "supers_of_chain",
        "tasks_of_job",
        "queued_tasks",
        "class_slots",
        "class_waiters",
        "lock_holders",
        "lock_waiters",
    ):
        if getattr(fresh, name) != getattr(state, name):
            yield f"the index {name} differs from what the records say"
    for subject in state.timers.keys():  # noqa: SIM118  # not a dict
        if subject not in fresh.timers:
            yield f"there is a timer for {subject}, which waits for nothing"
    if state.next_due() < fresh.next_due() and state.next_due() < NEVER:
        yield "a timer is earlier than what it stands for"
