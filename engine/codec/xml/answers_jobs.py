"""Answers about jobs, tasks and their history (xml-commands.md 7.4, 7.8)."""

from collections.abc import Iterable
from itertools import islice

from lxml import etree

from engine.codec.xml.answers import (
    PastTask,
    Requisite,
    View,
    active_schedule,
    element,
    error,
    file_based,
    given,
    history_moment,
    legal,
    log,
    moment,
    params,
    ref,
    source_element,
    text_element,
    xml_fragment,
    yes,
    yes_no,
)
from engine.codec.xml.answers_orders import chain_path, order_queue
from engine.codec.xml.answers_run_time import written_run_time
from engine.codec.xml.findings import Element
from engine.kernel.calendar import CalendarUser
from engine.kernel.capacity import is_in_period, is_incomplete, lock_is_free, missing_requisites
from engine.kernel.commands import ObjectKind
from engine.kernel.definitions import Job, LockUse, NativeScript, StepDurationLimit, Visible
from engine.kernel.effects import KillMode
from engine.kernel.ids import LOCAL, JobKey, name_of
from engine.kernel.instants import IMMEDIATELY, NEVER, Instant
from engine.kernel.plans import start_ahead
from engine.kernel.state import JobState, NodeKey, State, Task, TaskStatus

REQUISITE_KINDS = {
    "process_class": "Process_class",
    "lock": "Lock",
    "monitor": "Monitor",
    "schedule": "Schedule",
}


def job_state_name(state: State, job: JobState) -> str:
    """Return the job's state in the words of the original (orders-and-jobs.md 3.5)."""
    runs = bool(state.tasks_of_job.get(job.key))
    if job.stopped or (runs and (job.replacement is not None or job.removal_held)):
        return "stopping" if runs else "stopped"
    if runs:
        return "running"
    return "loaded" if is_incomplete(state, job) else "pending"


def is_listed(visible: Visible) -> bool:
    """Return whether lists show an object."""
    return visible is Visible.YES


# --- job -----------------------------------------------------------------------------------------


def job_element(view: View, job: JobState) -> Element:
    """Return `<job>` with everything that was asked for."""
    state, definition = view.state, job.definition
    result = element("job", **_job_attributes(view, job))
    result.append(_job_file_part(view, job))
    if job.replacement is not None:
        result.append(element("replacement", _replacement(view, job.replacement)))
    if view.wants("source"):
        source = source_element(definition.source)
        if source is not None:
            result.append(source)
    if view.wants("job_params"):
        result.append(params(definition.params))
    if view.wants("run_time") and definition.run_time is not None:
        result.append(written_run_time(definition.run_time, definition.source))
    if definition.locks:
        result.append(_lock_requestor(state, job))
    _append_tasks(view, job, result)
    if view.wants("description") and definition.description:
        result.append(text_element("description", definition.description))
    if view.wants("job_commands"):
        result.extend(_exit_commands(definition))
    _append_queue(view, job, result)
    past = view.past_tasks.get(job.key, ())
    if view.wants("task_history"):
        result.append(element("history", *(past_task_in_job(entry) for entry in past)))
    if _takes_orders(view, job):
        nodes = _nodes(view, job.key)
        with_orders = view.wants("job_orders", "orders")
        result.append(order_queue(view, nodes, with_orders=with_orders))
    last = _last_error(past)
    if last is not None:
        result.append(error(last.error_code, last.error_text, last.ended_at))
    result.append(log(view, last_error="" if last is None else last.error_text))
    return result


def broken_job_element(view: View, path: str) -> Element:
    """Return `<job>` of a file that never was readable: its name and the error only."""
    part = file_based(view, None, ref(ObjectKind.JOB, path), state="undefined")
    name = name_of(path)
    return element("job", part, path=path, name=name, job=name, state="not_initialized")


def _job_attributes(view: View, job: JobState) -> dict[str, object]:
    state, definition = view.state, job.definition
    name = name_of(definition.path)
    waits_for_process = job.wait is not None and job.wait.process_class is not None
    return {
        "path": definition.path,
        "name": name,
        "job": name,
        "state": job_state_name(state, job),
        "title": given(definition.title),
        "visible": None if job.visible is Visible.YES else job.visible.value,
        "process_class": given(definition.process_class),
        "waiting_for_process": yes(waits_for_process),
        "all_steps": job.steps_measured,
        "all_tasks": view.tasks_begun.get(job.key, 0),
        "state_text": given(job.state_text),
        "log_file": view.facts.log_file,
        "order": yes_no(_takes_orders(view, job)),
        "tasks": definition.tasks,
        "min_tasks": definition.min_tasks,
        "has_description": yes(bool(definition.description)),
        "next_start_time": _next_start_time(view, job),
        "delay_until": moment(job.delayed_until),
        "in_period": yes_no(is_in_period(job, view.now)),
        "remove": yes(job.removal_held),
        "temporary": yes(definition.temporary),
        "job_chain_priority": 1 if job.key in state.nodes_of_job else None,
        "warn_if_shorter_than": _limit(definition.warn_if_shorter_than),
        "warn_if_longer_than": _limit(definition.warn_if_longer_than),
        "enabled": yes_no(job.enabled),
        "active_schedule": active_schedule(view, definition.run_time, CalendarUser.JOB),
    }


def _takes_orders(view: View, job: JobState) -> bool:
    """Whether it is an order job: a shell job becomes one by standing in a chain (1.4)."""
    return job.definition.is_order_job or job.key in view.state.nodes_of_job


def _next_start_time(view: View, job: JobState) -> str | None:
    """Return when it starts something next; only shown while it is pending or running."""
    if job.stopped or is_incomplete(view.state, job):
        return None
    start = start_ahead(view.state, job, view.now)
    return moment(start) if start < NEVER else None


def _limit(limit: StepDurationLimit | None) -> str | None:
    if limit is None:
        return None
    if limit.percent is not None:
        return f"{limit.percent}%"
    return None if limit.duration is None else str(limit.duration // 1000)


def _job_file_part(view: View, job: JobState) -> Element:
    missing = set(missing_requisites(view.state, job))
    needs = [
        Requisite(kind=REQUISITE_KINDS[kind], path=path, is_missing=(kind, path) in missing)
        for kind, path in _requisites(job.definition)
    ]
    return file_based(
        view,
        job.definition.source,
        ref(ObjectKind.JOB, job.definition.path),
        state="incomplete" if is_incomplete(view.state, job) else "active",
        requisites=needs,
        removed=job.removal_held,
    )


def _requisites(job: Job) -> Iterable[tuple[str, str]]:
    if job.process_class:
        yield "process_class", job.process_class
    for use in job.locks:
        yield "lock", use.lock
    for monitor in job.monitors:
        if monitor.path is not None:
            yield "monitor", monitor.path
    if job.run_time is not None and job.run_time.schedule is not None:
        yield "schedule", job.run_time.schedule


def _replacement(view: View, job: Job) -> Element:
    name = name_of(job.path)
    part = file_based(view, job.source, None, state="initialized")
    return element(
        "job",
        part,
        path=job.path,
        name=name,
        job=name,
        state="initialized",
        title=given(job.title),
    )


def _lock_requestor(state: State, job: JobState) -> Element:
    waits = job.wait is not None and bool(job.wait.locks)
    uses = [
        element(
            "lock.use",
            lock=use.lock,
            exclusive=yes_no(use.exclusive),
            is_available=None if not waits else yes_no(_is_available(state, use)),
            is_missing=yes(use.lock not in state.locks),
        )
        for use in job.definition.locks
    ]
    return element("lock.requestor", *uses, waiting=yes(waits))


def _is_available(state: State, use: LockUse) -> bool:
    return use.lock in state.locks and lock_is_free(state, use)


def _append_tasks(view: View, job: JobState, result: Element) -> None:
    tasks = list(view.state.running_tasks(job.key))
    if view.only_chain is not None:
        tasks = [one for one in tasks if one.order is None or one.order.chain == view.only_chain]
    if not view.wants("tasks"):
        result.append(etree.Comment(f" tasks count={len(tasks)} "))
        return
    result.append(element("tasks", *(task_element(view, one) for one in tasks), count=len(tasks)))


def _append_queue(view: View, job: JobState, result: Element) -> None:
    queue = view.state.queued_tasks.get(job.key)
    tasks = [] if queue is None else [view.state.tasks[one] for one in queue.keys()]  # noqa: SIM118
    shown = element("queued_tasks", length=len(tasks))
    if view.wants("task_queue"):
        tasks.sort(key=lambda task: (task.start_at, task.id))
        shown.extend(queued_task_element(task) for task in tasks)
    result.append(shown)


def _nodes(view: View, job: JobKey) -> Iterable[NodeKey]:
    nodes = view.state.nodes_of_job.get(job, {})
    return [node for node in nodes if view.only_chain in {None, node[0]}]


def _exit_commands(job: Job) -> Iterable[Element]:
    for commands in job.exit_commands:
        result = element("commands", on_exit_code=" ".join(commands.codes))
        for xml in commands.xml:
            fragment = xml_fragment("commands", xml)
            if fragment is not None:
                result.extend(list(fragment))
        yield result


def _last_error(past: Iterable[PastTask]) -> PastTask | None:
    """Return the last ended task if it failed: its error is the job's until one succeeds."""
    for entry in islice((each for each in past if each.ended_at is not None), 1):
        if entry.error_code:
            return entry
    return None


# --- task ----------------------------------------------------------------------------------------


def task_state_name(task: Task, *, is_native: bool) -> str:
    """Return the task's state in the words of the original (5.1)."""
    match task.status:
        case TaskStatus.QUEUED:
            return "none"
        case TaskStatus.WAITING_FOR_AGENT:
            return "waiting_for_process"
        case TaskStatus.STARTING:
            return "starting"
        case TaskStatus.ENDED:
            return "ended"
        case TaskStatus.RUNNING:
            if task.kill is KillMode.KILL:
                return "killing"
            if is_native:
                return "running"
            local = task.agent in {None, LOCAL}
            return "running_process" if local else "running_remote_process"


def task_element(view: View, task: Task) -> Element:
    """Return `<task>` of a waiting or running task."""
    state = view.state
    job = state.jobs.get(task.job)
    path = task.job if job is None else job.definition.path
    is_native = job is not None and isinstance(job.definition.script, NativeScript)
    queued = task.status is TaskStatus.QUEUED
    is_from_queue = task.cause.value.startswith("queue")
    result = element(
        "task",
        job=path,
        id=task.id,
        task=task.id,
        state=task_state_name(task, is_native=is_native),
        waiting_for_remote_scheduler="true"
        if task.status is TaskStatus.WAITING_FOR_AGENT
        else None,
        name=task.name,
        running_since=moment(task.started_at),
        enqueued=moment(task.created_at) if is_from_queue else None,
        start_at=moment(_start_of(task)) if is_from_queue or task.start_at > IMMEDIATELY else None,
        cause=None if queued else task.cause.value,
        in_process_since=moment(task.started_at),
        steps=int(task.started_at is not None),
        log_file=view.facts.task_log_file(task.id),
        pid=task.pid,
        force_start=yes_no(task.force and not task.in_period),
    )
    if task.order is not None:
        result.append(_order_of_task(state, task))
    outcome = task.outcome
    if outcome is not None and outcome.error_code:
        result.append(error(outcome.error_code, outcome.error_text, outcome.at))
    result.append(log(view, last_error="" if outcome is None else outcome.error_text))
    if task.environment:
        variables = [
            element("variable", name=name, value=value) for name, value in task.environment.items()
        ]
        result.append(element("environment", *variables))
    return result


def _start_of(task: Task) -> Instant:
    """Return when a task of the queue may start: one that may at once, when it was put there."""
    return task.start_at if task.start_at > IMMEDIATELY else task.created_at


def _order_of_task(state: State, task: Task) -> Element:
    assert task.order is not None, "only for tasks with an order"
    order = state.orders.get(task.order)
    return element(
        "order",
        order=task.order.id,
        id=task.order.id,
        job_chain=chain_path(state, task.order.chain),
        state=task.state,
        title=None if order is None else given(order.title),
        in_process_since=moment(task.started_at or task.created_at),
    )


def queued_task_element(task: Task) -> Element:
    """Return `<queued_task>` with its parameters."""
    result = element(
        "queued_task",
        task=task.id,
        id=task.id,
        enqueued=moment(task.created_at),
        name=task.name,
        force_start=yes_no(task.force and not task.in_period),
        start_at=moment(_start_of(task)),
    )
    if task.params:
        result.append(params(task.params))
    return result


# --- history -------------------------------------------------------------------------------------


def history_element(entries: Iterable[PastTask], spooler_id: str) -> Element:
    """Return `<history>` of `show_history`."""
    return element("history", *(past_task_element(entry, spooler_id) for entry in entries))


def past_task_element(entry: PastTask, spooler_id: str) -> Element:
    """Return `<history.entry>`; the job's name has no leading slash."""
    failed = bool(entry.error_code)
    result = element(
        "history.entry",
        task=entry.id,
        id=entry.id,
        spooler_id=spooler_id or "-",
        job_name=entry.job.lstrip("/"),
        start_time=history_moment(entry.started_at),
        end_time=history_moment(entry.ended_at),
        cause=entry.cause,
        steps=entry.steps,
        error=int(failed),
        error_code=given(entry.error_code),
        error_text=_error_text(entry) if failed else None,
        exit_code=entry.exit_code,
        pid=entry.pid,
        agent_url=given(entry.agent),
    )
    if entry.log is not None:
        shown = element("log")
        shown.text = legal(entry.log)
        result.append(shown)
    return result


def past_task_in_job(entry: PastTask) -> Element:
    """Return the form of `show_job what="task_history"`: an ERROR child instead of attributes."""
    result = element(
        "history.entry",
        task=entry.id,
        job_name=entry.job.lstrip("/"),
        start_time=history_moment(entry.started_at),
        end_time=history_moment(entry.ended_at),
        cause=entry.cause,
        steps=entry.steps,
        exit_code=entry.exit_code,
        pid=entry.pid,
        agent_url=given(entry.agent),
    )
    if entry.error_code:
        result.append(error(entry.error_code, entry.error_text, entry.ended_at))
    return result


def past_task_as_task(view: View, entry: PastTask) -> Element:
    """Return `<task>` of a task that has ended (6.4)."""
    result = element(
        "task",
        job=entry.job,
        id=entry.id,
        task=entry.id,
        start_time=history_moment(entry.started_at),
        end_time=history_moment(entry.ended_at),
        cause=entry.cause,
        steps=entry.steps,
        exit_code=entry.exit_code,
    )
    if entry.error_code:
        result.append(error(entry.error_code, entry.error_text, entry.ended_at))
    result.append(log(view, last_error=entry.error_text))
    return result


def _error_text(entry: PastTask) -> str:
    text = entry.error_text
    return text if text.startswith(entry.error_code) else f"{entry.error_code}  {text}"
