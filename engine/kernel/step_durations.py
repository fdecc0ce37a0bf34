"""Steps that are shorter or longer than expected (orders-and-jobs.md 3.7)."""

from engine.kernel.definitions import StepDurationLimit
from engine.kernel.events.tasks import TaskWarned
from engine.kernel.instants import Duration, Instant, later
from engine.kernel.state import JobState, Outcome, Task

SHORTER = "SCHEDULER-711"
LONGER = "SCHEDULER-712"


def expected(limit: StepDurationLimit | None, job: JobState) -> Duration | None:
    """Return the limit as duration; a percentage means nothing before the first step has ended."""
    if limit is None or limit.percent is None:
        return None if limit is None else limit.duration
    if not job.steps_measured:
        return None
    return Duration(job.time_measured * limit.percent // (100 * job.steps_measured))


def warning_due(job: JobState, at: Instant) -> Instant | None:
    """Return when a step that began then lasts longer than expected."""
    limit = expected(job.definition.warn_if_longer_than, job)
    return None if limit is None else later(at, limit)


def longer_than_expected(job: JobState, task: Task) -> TaskWarned:
    """Return the warning about a step that goes on."""
    limit = expected(job.definition.warn_if_longer_than, job)
    than = "expected" if limit is None else _text(limit)
    return TaskWarned(
        task=task.id, code=LONGER, text=f"The step takes longer than {than}, and goes on"
    )


def shorter_than_expected(job: JobState, task: Task, outcome: Outcome) -> TaskWarned | None:
    """Return the warning about a step that has ended too soon, None when it has not."""
    limit = expected(job.definition.warn_if_shorter_than, job)
    if limit is None or task.started_at is None or not outcome.ran:
        return None
    took = Duration(outcome.at - task.started_at)
    if took >= limit:
        return None
    return TaskWarned(
        task=task.id, code=SHORTER, text=f"The step took {_text(took)}, less than {_text(limit)}"
    )


def _text(duration: Duration) -> str:
    return f"{duration / 1000:g} s"
