"""The fold of task events and of what they mean for jobs."""

from collections.abc import Callable, Mapping
from typing import Any

from engine.kernel.events import tasks as e
from engine.kernel.instants import IMMEDIATELY, NEVER, Duration
from engine.kernel.params import merge
from engine.kernel.state import JobState, JobWait, Missed, Outcome, State, Task, TaskStatus
from engine.kernel.versions import replace


def _count_task(state: State, event: e.TaskQueued | e.TaskCreated) -> None:
    control = state.control
    state.control = replace(control, last_task=max(control.last_task, event.task))


def _queued(state: State, event: e.TaskQueued) -> None:
    state.put_task(
        Task(
            id=event.task,
            job=event.job,
            status=TaskStatus.QUEUED,
            cause=e.Cause.QUEUE if event.start_at <= event.at else e.Cause.QUEUE_AT,
            created_at=event.at,
            start_at=event.start_at,
            name=event.name,
            force=event.force,
            in_period=event.in_period,
            params=event.params,
            environment=event.environment,
        )
    )
    state.show_enqueued(job=event.job)
    _count_task(state, event)


def _removed_from_queue(state: State, event: e.TaskRemovedFromQueue) -> None:
    state.drop_task(event.task)


def _created(state: State, event: e.TaskCreated) -> None:
    queued = state.tasks.get(event.task)
    job = state.jobs.get(event.job)
    if queued is None:
        queued = Task(
            id=event.task,
            job=event.job,
            status=TaskStatus.STARTING,
            cause=event.cause,
            created_at=event.at,
        )
        _count_task(state, event)
    assert queued.status in {TaskStatus.QUEUED, TaskStatus.STARTING}
    state.put_task(
        replace(
            queued,
            status=TaskStatus.STARTING,
            params=merge({} if job is None else job.definition.params, queued.params),
            process_class=event.process_class,
            locks=event.locks,
            order=event.order,
            state=event.state,
            trigger_files=event.trigger_files,
        )
    )
    job_state = state.jobs.get(event.job)
    if job_state is not None:
        state.put_job(
            replace(
                job_state,
                next_start=NEVER,
                once_pending=False,
                trigger_files=(
                    None if event.cause is e.Cause.DIRECTORY else job_state.trigger_files
                ),
            )
        )
    if event.order is not None:
        order = state.orders[event.order]
        assert order.task is None, "an order is in one task at most"
        state.put_order(replace(order, task=event.task, start_at=IMMEDIATELY))


def _assigned(state: State, event: e.TaskAssigned) -> None:
    task = state.tasks[event.task]
    assert task.status in {TaskStatus.STARTING, TaskStatus.WAITING_FOR_AGENT}
    known = state.agents.get(event.agent)
    state.put_task(
        replace(
            task,
            status=TaskStatus.STARTING,
            agent=event.agent,
            key=event.key,
            key_ledger="" if known is None else known.ledger,
            attempt=task.attempt + 1,
            await_until=None,
        )
    )
    process_class = state.process_classes.get(task.process_class)
    if process_class is not None and process_class.cursor != event.cursor:
        state.process_classes[task.process_class] = replace(process_class, cursor=event.cursor)


def _awaits_agent(state: State, event: e.TaskAwaitsAgent) -> None:
    task = state.tasks[event.task]
    state.put_task(
        replace(
            task,
            status=TaskStatus.WAITING_FOR_AGENT,
            agent=None,
            key=None,
            await_until=event.until,
            awaits_since=task.awaits_since or event.since,
            await_text=event.text,
        )
    )


def _configured(state: State, event: e.TaskConfigured) -> None:
    task = state.tasks[event.task]
    assert task.order is not None, "node parameters are an order's"
    state.put_task(
        replace(task, params=event.task_params, configured=True, taken_back=event.taken_back)
    )
    order = state.orders[task.order]
    state.put_order(replace(order, params=event.order_params, xml_payload=event.xml_payload))


def _started(state: State, event: e.TaskStarted) -> None:
    task = state.tasks[event.task]
    assert task.status is TaskStatus.STARTING, "a task starts once"
    state.put_task(
        replace(
            task,
            status=TaskStatus.RUNNING,
            pid=event.pid,
            started_at=event.at,
            deadline=event.deadline,
            warn_at=event.warn_at,
        )
    )


def _kill_requested(state: State, event: e.TaskKillRequested) -> None:
    task = state.tasks[event.task]
    state.put_task(
        replace(
            task,
            kill=event.mode,
            escalate_at=event.escalate_at,
            kill_error=event.error_code or task.kill_error,
            deadline=None,
        )
    )


def _params_changed(state: State, event: e.TaskParamsChanged) -> None:
    state.put_task(replace(state.tasks[event.task], params=event.params))


def _ended(state: State, event: e.TaskEnded) -> None:
    task = state.tasks[event.task]
    assert task.outcome is None, "a task ends once"
    state.put_task(
        replace(
            task,
            status=TaskStatus.ENDED,
            escalate_at=None,
            await_until=None,
            deadline=None,
            warn_at=None,
            outcome=Outcome(
                at=event.at,
                exit_code=event.exit_code,
                signal=event.signal,
                error_code=event.error_code,
                error_text=event.error_text,
                state_text=event.state_text,
                ran=event.ran,
                kept=event.kept,
                succeeded=event.succeeded,
                monitored=event.monitored,
                moved_to=event.moved_to,
                suspends=event.suspends,
                sets_back_for=event.sets_back_for,
                waits_for=event.waits_for,
                tolerated=event.tolerated,
            ),
        )
    )


def _closed(state: State, event: e.TaskClosed) -> None:
    task = state.tasks[event.task]
    assert task.status is TaskStatus.ENDED, "a task is closed after its end"
    state.drop_task(event.task)
    job = state.jobs.get(event.job)
    if job is None:
        return
    end = event.at
    if end is None and task.outcome is not None:
        end = task.outcome.at
    if task.outcome is not None and task.outcome.ran and task.started_at is not None:
        job = replace(
            job,
            steps_measured=job.steps_measured + 1,
            time_measured=Duration(job.time_measured + max(0, task.outcome.at - task.started_at)),
        )
    if not state.tasks_of_job.get(event.job):
        job = replace(job, last_end=end, is_planned=False)
    state.put_job(job)


def _ended_late(_state: State, _event: e.TaskEndedLate) -> None:
    """Only logs and histories still know the task."""


def _warned(state: State, event: e.TaskWarned) -> None:
    # Either warning is given once a step.
    state.put_task(replace(state.tasks[event.task], warn_at=None))


# --- jobs ----------------------------------------------------------------------------------------


def _job_stopped(state: State, event: e.JobStopped) -> None:
    job = state.jobs[event.job]
    state.put_job(
        replace(
            job,
            stopped=True,
            trigger_files=None,
            stop_persistent=event.persistent or (job.stopped and job.stop_persistent),
        )
    )


def _job_unstopped(state: State, event: e.JobUnstopped) -> None:
    job = state.jobs[event.job]
    state.put_job(
        replace(
            job,
            stopped=False,
            stop_persistent=True,
            consecutive_errors=0,
            delayed_until=None,
            is_planned=False,
            last_end=None,
        )
    )


def _job_enabled_set(state: State, event: e.JobEnabledSet) -> None:
    state.put_job(replace(state.jobs[event.job], enabled=event.enabled))


def _job_errors_counted(state: State, event: e.JobErrorsCounted) -> None:
    state.put_job(
        replace(
            state.jobs[event.job],
            consecutive_errors=event.consecutive,
            delayed_until=event.delayed_until,
            restarts=event.restarts,
            is_planned=False,
        )
    )


def _arrive(state: State, job: JobState, wait: JobWait) -> None:
    """Put the job at the end of what it waits for now; what it waited for before does not count."""
    state.control = replace(state.control, last_place=state.control.last_place + 1)
    state.put_job(replace(job, wait=replace(wait, place=state.control.last_place)))


def _job_awaits_process(state: State, event: e.JobAwaitsProcess) -> None:
    _arrive(state, state.jobs[event.job], JobWait(place=0, process_class=event.process_class))


def _job_awaits_locks(state: State, event: e.JobAwaitsLocks) -> None:
    _arrive(state, state.jobs[event.job], JobWait(place=0, locks=event.locks))


def _job_wait_ended(state: State, event: e.JobWaitEnded) -> None:
    state.put_job(replace(state.jobs[event.job], wait=None))


def _job_start_planned(state: State, event: e.JobStartPlanned) -> None:
    state.put_job(
        replace(
            state.jobs[event.job],
            next_start=event.start_at,
            next_start_cause=event.cause,
            is_planned=True,
        )
    )


def _job_period_changed(state: State, event: e.JobPeriodChanged) -> None:
    job = state.jobs[event.job]
    # A wake-up for this period only is forgotten when the period closes (3.5).
    woken = job.woken if event.is_open or not job.woken_in_period_only else None
    state.put_job(replace(job, is_open=event.is_open, open_until=event.until, woken=woken))


def _job_run_time_replaced(state: State, event: e.JobRunTimeReplaced) -> None:
    job = state.jobs[event.job]
    definition = replace(job.definition, run_time=event.run_time)
    state.put_job(replace(job, definition=definition, is_planned=False, last_end=None))


def _job_starts_missed(state: State, event: e.JobStartsMissed) -> None:
    missed = Missed(first=event.first, count=event.count, until=event.at)
    state.put_job(replace(state.jobs[event.job], missed=missed))


def _job_woken(state: State, event: e.JobWoken) -> None:
    cause = None if event.cause is e.Cause.NONE else event.cause
    state.put_job(
        replace(state.jobs[event.job], woken=cause, woken_in_period_only=event.in_period_only)
    )


def _job_state_text_set(state: State, event: e.JobStateTextSet) -> None:
    state.put_job(replace(state.jobs[event.job], state_text=event.text))


HANDLERS: Mapping[type, Callable[[State, Any], None]] = {  # type: ignore[explicit-any]  # by event
    e.TaskQueued: _queued,
    e.TaskRemovedFromQueue: _removed_from_queue,
    e.TaskCreated: _created,
    e.TaskAssigned: _assigned,
    e.TaskAwaitsAgent: _awaits_agent,
    e.TaskConfigured: _configured,
    e.TaskStarted: _started,
    e.TaskKillRequested: _kill_requested,
    e.TaskParamsChanged: _params_changed,
    e.TaskEnded: _ended,
    e.TaskClosed: _closed,
    e.TaskEndedLate: _ended_late,
    e.TaskWarned: _warned,
    e.JobStopped: _job_stopped,
    e.JobUnstopped: _job_unstopped,
    e.JobEnabledSet: _job_enabled_set,
    e.JobErrorsCounted: _job_errors_counted,
    e.JobAwaitsProcess: _job_awaits_process,
    e.JobAwaitsLocks: _job_awaits_locks,
    e.JobWaitEnded: _job_wait_ended,
    e.JobStartPlanned: _job_start_planned,
    e.JobPeriodChanged: _job_period_changed,
    e.JobRunTimeReplaced: _job_run_time_replaced,
    e.JobStartsMissed: _job_starts_missed,
    e.JobWoken: _job_woken,
    e.JobStateTextSet: _job_state_text_set,
}
