"""Jobs that start when a file of the live folder comes, changes or goes (live-folder.md 10.2)."""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path

from engine.codec.xml.main_configuration import EventJobs
from engine.kernel.commands import ApplyDefinitions, ObjectKind, ObjectRef, StartJob
from engine.kernel.decide.reload import folded, order_key_of, reference_of
from engine.kernel.ids import (
    ChainKey,
    ClassPath,
    JobKey,
    LockPath,
    MonitorPath,
    SchedulePath,
    job_key,
)
from engine.kernel.state import State


class FileEvent(Enum):
    """What has happened to a file, in the word that its job is told."""

    ADDED = "add"
    MODIFIED = "modified"
    DELETED = "delete"


def file_event_starts(
    state: State, look: ApplyDefinitions, jobs: EventJobs, live_folder: str
) -> tuple[StartJob, ...]:
    """Return the starts that a look at the live folder asks for; `state` does not have it yet.

    The first look after a start of the engine tells of no events.
    """
    if look.complete:
        return ()
    named = {FileEvent.ADDED: jobs.added, FileEvent.MODIFIED: jobs.modified}
    named[FileEvent.DELETED] = jobs.deleted
    return tuple(
        _start(job_key(job), event, Path(live_folder, file))
        for event, file in _events(state, look)
        if (job := named[event])
    )


def _start(job: JobKey, event: FileEvent, path: Path) -> StartJob:
    told = {
        "scheduler_live_event": event.value,
        "scheduler_live_filepath": str(path),
        "scheduler_live_filebase": path.name,
    }
    environment = {name.upper(): value for name, value in told.items()}
    return StartJob(job=job, force=False, params=told, environment=environment)


def _events(state: State, look: ApplyDefinitions) -> Iterator[tuple[FileEvent, str]]:
    for definition in look.defined:
        source = definition.source
        if source is not None:
            yield _came(state, reference_of(definition)), source.file
    for broken in look.broken:
        yield _came(state, folded(broken.object)), broken.file
    for gone in look.removed:
        yield FileEvent.DELETED, f"{gone.path.lstrip('/')}.{gone.kind.value}.xml"


def _came(state: State, reference: ObjectRef) -> FileEvent:
    known = _exists(state, reference) or any(folded(broken) == reference for broken in state.broken)
    return FileEvent.MODIFIED if known else FileEvent.ADDED


def _exists(state: State, reference: ObjectRef) -> bool:
    path = reference.path
    match reference.kind:
        case ObjectKind.JOB:
            return JobKey(path) in state.jobs
        case ObjectKind.CHAIN:
            return ChainKey(path) in state.chains
        case ObjectKind.ORDER:
            return order_key_of(path) in state.order_files
        case ObjectKind.PROCESS_CLASS:
            return ClassPath(path) in state.process_classes
        case ObjectKind.LOCK:
            return LockPath(path) in state.locks
        case ObjectKind.SCHEDULE:
            return SchedulePath(path) in state.schedules
        case ObjectKind.MONITOR:
            return MonitorPath(path) in state.monitors
