"""Requests about jobs and tasks (orders-and-jobs.md 3.5, 5.5)."""

from collections.abc import Iterator

from engine.kernel import problems
from engine.kernel.adding import check_params
from engine.kernel.commands import (
    InPeriod,
    JobAction,
    KillTask,
    ModifyJob,
    ObjectKind,
    StartJob,
)
from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.effects import KillMode
from engine.kernel.events import Event
from engine.kernel.events.definitions import JobRemovalHeld
from engine.kernel.events.tasks import (
    Cause,
    JobEnabledSet,
    JobRunTimeReplaced,
    JobStopped,
    JobUnstopped,
    JobWoken,
    TaskEnded,
    TaskKillRequested,
    TaskQueued,
    TaskRemovedFromQueue,
)
from engine.kernel.ids import TaskId
from engine.kernel.instants import FOREVER, IMMEDIATELY, Instant, later
from engine.kernel.plans import never_opens, refers_to_substitute, requested_start
from engine.kernel.problems import Problem
from engine.kernel.replacing import remove_job
from engine.kernel.state import JobState, State, Task, TaskStatus


def decide_start_job(state: State, request: StartJob, at: Instant) -> Decision:
    """Queue a task; a forced start unstops the job at once (3.5)."""
    job = state.jobs.get(request.job)
    if job is None:
        broken = state.unreadable(ObjectKind.JOB, request.job)
        if broken is not None:
            return problems.job_not_initialised(broken.path)
        return problems.unknown_object("Job", request.job)
    if job.removal_held:
        return problems.job_being_removed(job.definition.path)
    refusal = check_params(request.params)
    if refusal is not None:
        return refusal
    return (yield from _queue_task(state, job, request, at))


def _queue_task(state: State, job: JobState, request: StartJob, at: Instant) -> Decision:
    in_period = isinstance(request.at, InPeriod)
    start_at = IMMEDIATELY if isinstance(request.at, InPeriod) else requested_start(request.at, at)
    if (in_period or not request.force) and never_opens(state, job, max(at, start_at)):
        return problems.no_further_period(job.definition.path)
    if request.force and job.stopped and not state.tasks_of_job.get(job.key):
        yield JobUnstopped(job=job.key)
    task = TaskId(state.control.last_task + 1)
    yield TaskQueued(
        task=task,
        job=job.key,
        start_at=start_at,
        at=at,
        name=request.name,
        force=request.force,
        in_period=in_period,
        params=request.params,
        environment=request.environment,
    )
    return Answer(subject=str(task))


def decide_modify_job(state: State, request: ModifyJob, at: Instant) -> Decision:
    """Stop, unstop, wake … a job."""
    job = state.jobs.get(request.job)
    if job is None:
        return problems.unknown_object("Job", request.job)
    refusal = refers_to_substitute(state, request.run_time)
    if refusal is not None:
        return refusal
    if request.run_time is not None:
        yield JobRunTimeReplaced(job=job.key, run_time=request.run_time)
    match request.action:
        case JobAction.STOP:
            if not job.stopped:
                yield JobStopped(job=job.key, reason="by command")
        case JobAction.DISABLE:
            if not job.stopped:
                yield JobStopped(job=job.key, reason="by command")
                yield JobEnabledSet(job=job.key, enabled=False)
        case JobAction.ENABLE:
            if job.stopped:
                yield JobEnabledSet(job=job.key, enabled=True)
        case JobAction.UNSTOP | JobAction.CONTINUE:
            if job.stopped:
                yield JobUnstopped(job=job.key)
        case JobAction.START:
            return (yield from _queue_task(state, job, StartJob(job=job.key), at))
        case JobAction.WAKE:
            if not state.tasks_of_job.get(job.key):
                yield from _wake(job, Cause.WAKE, in_period_only=False)
        case JobAction.WAKE_WHEN_IN_PERIOD:
            if job.is_open and not job.stopped:
                yield from _wake(job, Cause.WAKE, in_period_only=True)
        case JobAction.END:
            # A shell task runs to its end, and every other task of ours does one step only.
            pass
        case JobAction.REMOVE:
            if state.tasks_of_job.get(job.key):
                yield JobRemovalHeld(job=job.key)
            else:
                yield from remove_job(state, job.key)
        case JobAction.REREAD | JobAction.SUSPEND | None:
            pass
    return Answer()


def _wake(job: JobState, cause: Cause, *, in_period_only: bool) -> Iterator[Event]:
    if job.stopped and not in_period_only:
        yield JobUnstopped(job=job.key)
    yield JobWoken(job=job.key, cause=cause, in_period_only=in_period_only)


# --- kill ----------------------------------------------------------------------------------------


def decide_kill_task(state: State, request: KillTask, at: Instant) -> Decision:
    """End a task: queued ones go, waiting ones fail, running ones are signalled (5.5)."""
    if request.timeout is not None and not request.immediately:
        return problems.attribute_needs("timeout", 'immediately="yes"')
    task = state.tasks.get(request.task)
    if task is None or (request.job is not None and task.job != request.job):
        return _unknown_task(state, request)
    match task.status:
        case TaskStatus.QUEUED:
            yield TaskRemovedFromQueue(task=task.id, reason="by command")
        case TaskStatus.WAITING_FOR_AGENT:
            yield _killed_while_waiting(task, at)
        case TaskStatus.STARTING | TaskStatus.RUNNING:
            if request.immediately:
                yield from _signal(task, request, at)
        case TaskStatus.ENDED:
            pass
    return Answer(subject=str(task.id))


def _unknown_task(state: State, request: KillTask) -> Answer | Problem:
    """An ended task of a known job is no error: whoever kills wants it ended (6.12)."""
    if request.job is not None:
        if request.job in state.jobs:
            return Answer(subject=str(request.task))
        return problems.unknown_object("Job", request.job)
    if request.task <= state.control.last_task:
        return Answer(subject=str(request.task))
    return problems.unknown_task(request.task)


def _signal(task: Task, request: KillTask, at: Instant) -> Iterator[Event]:
    if request.timeout is None:
        if task.kill is not KillMode.KILL:
            yield TaskKillRequested(task=task.id, mode=KillMode.KILL, error_code="SCHEDULER-728")
        return
    if task.kill is KillMode.KILL:
        return
    escalate_at = None if request.timeout >= FOREVER else later(at, request.timeout)
    yield TaskKillRequested(
        task=task.id,
        mode=KillMode.TERMINATE,
        escalate_at=escalate_at,
        error_code="SCHEDULER-728",
    )


def _killed_while_waiting(task: Task, at: Instant) -> TaskEnded:
    return TaskEnded(
        task=task.id,
        at=at,
        exit_code=1,
        error_code="SCHEDULER-728",
        error_text="The task was killed while it waited for an agent",
        ran=False,
        succeeded=False,
    )
