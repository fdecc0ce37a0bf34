"""Objects of files in the shapes of the JSON web service (xml-commands.md 9.2, 9.3), pure."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from engine.codec.streamed_json import Json
from engine.codec.web_obstacles import (
    PREFIXES,
    file_based_state,
    missing_of_chain,
    missing_of_job,
    missing_of_order,
    missing_of_schedule,
    present,
)
from engine.codec.web_query import PathQuery
from engine.codec.xml.answers_orders import chain_path
from engine.kernel.definitions import Source
from engine.kernel.ids import folder_of
from engine.kernel.instants import utc_text
from engine.kernel.state import State

FOLDER: Final = "Folder"
NEVER_READ: Final = "undefined"
"""The state of an object whose file never could be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileObject:
    """An object that is, or would be, made from a file."""

    kind: str
    """`Job`, `JobChain` …"""
    path: str
    source: Source | None = None
    missing: list[str] = field(default_factory=list)
    """What it needs and what is not there."""
    broken_file: str | None = None
    """For an object whose file never could be used: that file."""

    @property
    def name(self) -> str:
        """The path with the type before it."""
        return f"{self.kind}:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileQuery:
    """Which of them are meant: `Job:/x`, or paths of every type."""

    kind: str | None
    """None: of every type but folders."""
    paths: PathQuery

    def objects(self, state: State) -> Iterator[FileObject | None]:
        """Yield the objects by type and path, and None for each that is not meant."""
        folders: set[str] = set()
        for found in file_objects(state):
            path = found.path
            folders.add(folder_of(path))
            is_meant = self.kind in {None, found.kind} and self.paths.selects(path)
            yield found if is_meant else None
        if self.kind == FOLDER:
            for path in sorted(_with_parents(folders), key=str.casefold):
                yield FileObject(kind=FOLDER, path=path) if self.paths.selects(path) else None


def file_query(kind: str | None, paths: PathQuery) -> FileQuery:
    """Return what is meant; a single path may begin with its type, `Job:/x`."""
    single = paths.single
    if kind is None and single is not None:
        prefix, colon, path = single.removeprefix("/").partition(":")
        if colon and prefix in {*PREFIXES.values(), FOLDER}:
            return FileQuery(kind=prefix, paths=PathQuery(patterns=(f"/{path.lstrip('/')}",)))
    return FileQuery(kind=kind, paths=paths)


def file_objects(state: State) -> Iterator[FileObject]:
    """Yield every object by type and path, those whose files are unusable last."""
    jobs = sorted(state.jobs.values(), key=lambda job: job.key)
    for job in jobs:
        missing = missing_of_job(state, job)
        source = job.definition.source
        yield FileObject(kind="Job", path=job.definition.path, source=source, missing=missing)
    for chain in sorted(state.chains.values(), key=lambda chain: chain.key):
        missing = missing_of_chain(state, chain)
        source = chain.definition.source
        yield FileObject(
            kind="JobChain", path=chain.definition.path, source=source, missing=missing
        )
    yield from _permanent_orders(state)
    for key, process_class in sorted(state.process_classes.items()):
        source = process_class.definition.source
        yield FileObject(kind="ProcessClass", path=key or "/", source=source)
    for lock in sorted(state.locks.values(), key=lambda lock: lock.path.casefold()):
        yield FileObject(kind="Lock", path=lock.path, source=lock.definition.source)
    for schedule in sorted(state.schedules.values(), key=lambda one: one.path.casefold()):
        missing = missing_of_schedule(state, schedule)
        source = schedule.file.source
        yield FileObject(kind="Schedule", path=schedule.path, source=source, missing=missing)
    for monitor in sorted(state.monitors.values(), key=lambda one: one.path.casefold()):
        yield FileObject(kind="Monitor", path=monitor.path, source=monitor.definition.source)
    yield from _never_read(state)


def _permanent_orders(state: State) -> Iterator[FileObject]:
    for key, definition in sorted(state.order_files.items()):
        order = state.orders.get(key) or state.find_order(key)
        yield FileObject(
            kind="Order",
            path=f"{chain_path(state, key.chain)},{key.id}",
            source=definition.source,
            missing=_missing_of_order_file(state, key.chain)
            if order is None
            else missing_of_order(state, order),
        )


def _missing_of_order_file(state: State, chain: str) -> list[str]:
    return [] if chain in state.chains else [f"JobChain:{chain}"]


def _never_read(state: State) -> Iterator[FileObject]:
    """Yield what files would define if they could be used."""
    known: dict[str, Collection[str]] = {
        "Job": {job.definition.path for job in state.jobs.values()},
        "JobChain": {chain.definition.path for chain in state.chains.values()},
        "Order": {f"{chain_path(state, key.chain)},{key.id}" for key in state.order_files},
        "ProcessClass": set(state.process_classes),
        "Lock": set(state.locks),
        "Schedule": set(state.schedules),
        "Monitor": set(state.monitors),
    }
    for ref, broken in state.broken.items():
        kind = PREFIXES[ref.kind]
        if ref.path not in known[kind]:
            yield FileObject(kind=kind, path=ref.path, broken_file=broken.file)


def _with_parents(folders: set[str]) -> set[str]:
    found = {"/"}
    for folder in folders:
        path = folder
        while path not in found:
            found.add(path)
            path = folder_of(path)
    return found


def file_based_overview(found: FileObject) -> Json:
    """Return FileBasedOverview."""
    state = NEVER_READ if found.broken_file is not None else file_based_state(found.missing)
    return {"path": found.name, "fileBasedState": state}


def file_based_detailed(found: FileObject, folder: str) -> Json:
    """Return FileBasedDetailed; `folder` is the live folder."""
    overview = file_based_overview(found)
    if found.source is None:
        return present(overview=overview, file=found.broken_file)
    return present(
        overview=overview,
        file=f"{folder.rstrip('/')}/{found.source.file}",
        fileModifiedAt=utc_text(found.source.modified_at),
        sourceXml=found.source.xml or None,
    )
