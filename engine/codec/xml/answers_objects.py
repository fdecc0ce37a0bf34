"""Answers about process classes, locks, schedules and monitors (xml-commands.md 7.7)."""

from collections.abc import Iterable

from engine.codec.xml.answers import (
    Requisite,
    View,
    active_schedule,
    element,
    error,
    file_based,
    given,
    moment,
    ref,
    source_element,
    yes,
    yes_no,
)
from engine.codec.xml.answers_orders import chain_path, job_path
from engine.codec.xml.answers_run_time import schedule_element as schedule_file_element
from engine.codec.xml.findings import Element
from engine.kernel.calendar import CalendarUser, RunTime, substitution_problem
from engine.kernel.commands import ObjectKind
from engine.kernel.definitions import ProcessClass
from engine.kernel.ids import DEFAULT_CLASS, JobKey, name_of
from engine.kernel.plans import schedules_of
from engine.kernel.queues import PriorityQueue
from engine.kernel.state import (
    ClassState,
    LockState,
    NamedMonitor,
    Schedule,
    State,
    Task,
    TaskStatus,
)


def process_class_element(view: View, process_class: ClassState) -> Element:
    """Return `<process_class>` with its processes and who waits for one."""
    state, definition = view.state, process_class.definition
    is_default = definition.path == DEFAULT_CLASS
    tasks = [state.tasks[task] for task in state.class_slots.get(definition.path, ())]
    single = definition.agents[0].uri if len(definition.agents) == 1 else None
    result = element(
        "process_class",
        path=definition.path or "/",
        name=None if is_default else name_of(definition.path),
        max_processes=definition.max_processes,
        remote_scheduler=single,
        processes=len(tasks),
    )
    result.append(
        file_based(
            view,
            definition.source,
            ref(ObjectKind.PROCESS_CLASS, definition.path),
            removed=process_class.removal_held,
        )
    )
    _append_source(view, result, process_class)
    if len(definition.agents) > 1:
        result.append(_agents(definition))
    processes = [
        element(
            "process",
            job=job_path(state, task.job),
            task=task.id,
            task_id=task.id,
            remote_scheduler=given(task.agent),
            pid=task.pid,
            operations=0,
            callbacks=0,
            running_since=moment(task.started_at),
        )
        for task in tasks
        if task.status not in {TaskStatus.ENDED, TaskStatus.WAITING_FOR_AGENT}
    ]
    if processes:
        result.append(element("processes", *processes))
    waiters = state.class_waiters.get(definition.path)
    waiting = _waiting_tasks(view, tasks, waiters)
    if waiting:
        shown = [element("task", job=job_path(state, one.job), task=one.id) for one in waiting]
        result.append(element("waiting_tasks", *shown))
    if waiters:
        result.append(_waiting_jobs(state, waiters))
    return result


def _waiting_tasks(
    view: View, tasks: Iterable[Task], waiters: PriorityQueue[JobKey, int] | None
) -> list[Task]:
    """Return tasks whose agent does not answer, and due ones of jobs that wait for a process."""
    state = view.state
    waiting = [task for task in tasks if task.status is TaskStatus.WAITING_FOR_AGENT]
    for job in sorted(waiters.keys()) if waiters is not None else ():
        queue = state.queued_tasks.get(job)
        queued = () if queue is None else [state.tasks[one] for one in queue.keys()]  # noqa: SIM118
        waiting += sorted(
            (task for task in queued if task.start_at <= view.now), key=lambda task: task.id
        )
    return waiting


def _agents(definition: ProcessClass) -> Element:
    agents = [
        element(
            "remote_scheduler",
            remote_scheduler=agent.uri,
            http_heartbeat_period=agent.heartbeat_period // 1000,
            http_heartbeat_timeout=agent.heartbeat_timeout // 1000,
        )
        for agent in definition.agents
    ]
    return element("remote_schedulers", *agents, select=definition.select.value)


def _waiting_jobs(state: State, waiters: PriorityQueue[JobKey, int]) -> Element:
    keys = sorted(waiters.keys())
    return element("waiting_jobs", *(element("job", job=job_path(state, key)) for key in keys))


def lock_element(view: View, lock: LockState) -> Element:
    """Return `<lock>` with its holders and who waits for it."""
    state, definition = view.state, lock.definition
    holders = state.lock_holders.get(definition.path, {})
    result = element(
        "lock",
        path=definition.path,
        name=name_of(definition.path),
        max_non_exclusive=definition.max_non_exclusive,
        is_free=yes(not holders),
    )
    result.append(
        file_based(
            view,
            definition.source,
            ref(ObjectKind.LOCK, definition.path),
            removed=lock.removal_held,
        )
    )
    _append_source(view, result, lock)
    if holders:
        result.append(
            element(
                "lock.holders",
                *(
                    element("lock.holder", job=job_path(state, state.tasks[task].job), task=task)
                    for task in holders
                ),
                exclusive=yes_no(any(holders.values())),
            )
        )
    for exclusive in (True, False):
        entries = [
            element("lock.queue.entry", job=job_path(state, key))
            for key in _waiting_for(state, lock, exclusive=exclusive)
        ]
        if entries:
            result.append(element("lock.queue", *entries, exclusive=yes_no(exclusive)))
    return result


def _waiting_for(state: State, lock: LockState, *, exclusive: bool) -> list[JobKey]:
    waiters = state.lock_waiters.get(lock.path)
    if waiters is None:
        return []
    wanted = {
        key
        for key in waiters.keys()  # noqa: SIM118  # not a dictionary
        for use in state.jobs[key].definition.locks
        if use.lock == lock.path and use.exclusive is exclusive
    }
    return sorted(wanted, key=lambda key: _place(state, key))


def _place(state: State, key: JobKey) -> int:
    wait = state.jobs[key].wait
    return 0 if wait is None else wait.place


def schedule_element(view: View, schedule: Schedule) -> Element:
    """Return `<schedule>` as its file says, with its users if `schedules` was asked for."""
    file, state = schedule.file, view.state
    result = schedule_file_element(file)
    result.set("path", schedule.path)
    result.set("name", name_of(schedule.path))
    substitute = file.schedule.substitute
    needs = []
    if substitute is not None:
        missing = substitute not in state.schedules
        needs.append(Requisite(kind="Schedule", path=substitute, is_missing=missing))
    problem = substitution_problem(file.schedule, schedules_of(state))
    is_incomplete = any(need.is_missing for need in needs)
    part = file_based(
        view,
        file.source,
        ref(ObjectKind.SCHEDULE, schedule.path),
        state="incomplete" if is_incomplete else "active" if problem is None else "loaded",
        requisites=needs,
    )
    if problem is not None and not is_incomplete:
        part.insert(0, error(problem.code, problem.text))
    result.insert(0, part)
    _show_what_is_in_force(view, result, schedule)
    _append_source(view, result, file)
    if view.wants("schedules"):
        result.append(_schedule_users(state, schedule))
    return result


def broken_schedule_element(view: View, path: str) -> Element:
    """Return `<schedule>` of a file that never was readable: its name and the error only."""
    part = file_based(view, None, ref(ObjectKind.SCHEDULE, path), state="undefined")
    return element("schedule", part, path=path, name=name_of(path), active="no")


def broken_process_class_element(view: View, path: str) -> Element:
    """Return `<process_class>` of a file that never was readable."""
    part = file_based(view, None, ref(ObjectKind.PROCESS_CLASS, path), state="undefined")
    return element("process_class", part, path=path, name=name_of(path), processes=0)


def broken_lock_element(view: View, path: str) -> Element:
    """Return `<lock>` of a file that never was readable."""
    part = file_based(view, None, ref(ObjectKind.LOCK, path), state="undefined")
    return element("lock", part, path=path, name=name_of(path))


def broken_monitor_element(view: View, path: str) -> Element:
    """Return `<monitor>` of a file that never was readable."""
    part = file_based(view, None, ref(ObjectKind.MONITOR, path), state="undefined")
    return element("monitor", part, path=path, name=name_of(path))


def _show_what_is_in_force(view: View, result: Element, schedule: Schedule) -> None:
    """Tell whether the schedule is in force now, and what is instead (schedules.md 10)."""
    base = schedule.file.schedule.substitute or schedule.path
    in_force = active_schedule(view, RunTime(schedule=base), CalendarUser.JOB)
    result.set("active", yes_no(in_force == schedule.path))
    if base == schedule.path and in_force not in {None, schedule.path}:
        result.set("now_covered_by_schedule", str(in_force))


def _schedule_users(state: State, schedule: Schedule) -> Element:
    users = [
        element("schedule.user", job=job.definition.path)
        for job in state.jobs.values()
        if job.definition.run_time is not None and job.definition.run_time.schedule == schedule.path
    ]
    users += [
        element(
            "schedule.user",
            job_chain=chain_path(state, order.key.chain),
            order=order.key.id,
        )
        for order in state.orders.values()
        if order.run_time is not None and order.run_time.schedule == schedule.path
    ]
    return element("schedule.users", *users)


def monitor_element(view: View, monitor: NamedMonitor) -> Element:
    """Return `<monitor>`."""
    definition = monitor.definition
    result = element(
        "monitor",
        path=definition.path,
        name=name_of(definition.path),
        ordering=definition.ordering,
    )
    result.append(file_based(view, definition.source, ref(ObjectKind.MONITOR, definition.path)))
    _append_source(view, result, monitor)
    return result


def _append_source(view: View, result: Element, owner: object) -> None:
    if not view.wants("source"):
        return
    holder = getattr(owner, "definition", owner)
    source = source_element(getattr(holder, "source", None))
    if source is not None:
        result.append(source)
