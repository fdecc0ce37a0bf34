"""Directories that start jobs (orders-and-jobs.md 3.11)."""

from engine.kernel.decide.answer import Answer, Decision
from engine.kernel.events.files import JobTriggered
from engine.kernel.instants import Instant
from engine.kernel.reports import DirectoryChanged
from engine.kernel.state import State


def decide_directory_changed(state: State, report: DirectoryChanged, at: Instant) -> Decision:
    """Remember that the job is to start, and for which files."""
    job = state.jobs.get(report.job)
    if job is None or job.stopped or not job.definition.directory_watches:
        return Answer()
    is_waiting = job.trigger_files is not None
    if (report.starts or is_waiting) and job.trigger_files != report.files:
        yield JobTriggered(job=job.key, files=report.files)
    return Answer()
