"""`pointsman check FOLDER`: everything that is wrong in a folder, at once, without an engine.

Beside the findings of each file it looks at the files together: references to objects that are not
there, orders at nodes that their chain has not, jobs that no order can use, and run times that are
allowed but hardly meant.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from engine.codec.xml.document import Document, parse_document
from engine.codec.xml.findings import Element, Finding, Severity, did_you_mean, in_order, nearest
from engine.codec.xml.main_configuration import SchedulerXml
from engine.codec.xml.references import PathError, resolved
from engine.drivers.downtime_notes import DowntimeNote, downtime_notes
from engine.drivers.folder_watch import LiveFolder
from engine.drivers.live_files import read_file
from engine.drivers.main_file import load_main_configuration
from engine.kernel.calendar import (
    Calendar,
    CalendarUser,
    Holidays,
    MissingSchedule,
    RunTime,
    Schedule,
    calendar_of,
)
from engine.kernel.calendar.lint import Finding as Suspicion
from engine.kernel.calendar.lint import FindingKind, schedule_findings
from engine.kernel.calendar.lint import findings as run_time_findings
from engine.kernel.commands import ObjectKind, ObjectRef
from engine.kernel.definitions import (
    Chain,
    Definition,
    ForeignScript,
    Include,
    Job,
    JobNode,
    Lock,
    Monitor,
    NestedNode,
    OrderDefinition,
    ProcessClass,
    ScheduleFile,
    Script,
    ShellScript,
)
from engine.kernel.ids import SchedulePath, folded_path, folder_of
from engine.kernel.instants import Instant
from engine.kernel.sessions.parameters import fold
from engine.kernel.watchdog import cleanup_chain_of

MAIN_FILE = "scheduler.xml"
LIVE_FOLDER = "live"
_BUILT_IN = frozenset(["/scheduler_file_order_sink", "/scheduler_service_forwarder"])
_CASELESS = frozenset([ObjectKind.JOB, ObjectKind.CHAIN])


def check_folder(
    path: Path,
    *,
    environment: Mapping[str, str] | None = None,
    zone: tzinfo = UTC,
    now: Instant | None = None,
) -> list[Finding]:
    """Return all findings of a folder by file and line; paths begin in the folder.

    See `inspect_folder`.
    """
    return inspect_folder(path, environment=environment, zone=zone, now=now).findings


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What `check` has to say about a folder."""

    findings: list[Finding]
    downtime: list[DowntimeNote]
    """What a downtime of the engine means for its jobs and orders."""


def inspect_folder(
    path: Path,
    *,
    environment: Mapping[str, str] | None = None,
    zone: tzinfo = UTC,
    now: Instant | None = None,
) -> Inspection:
    """Look at a folder.

    `path` is a configuration folder (with `scheduler.xml` or `live/`) or a live folder. `now`
    decides which starts lie behind; None: the clock says.
    """
    variables = dict(os.environ) if environment is None else environment
    moment = Instant(time.time_ns() // 1_000_000) if now is None else now
    if not path.is_dir():
        missing = Finding(file=str(path), text="There is no such folder", advice="Correct the path")
        return Inspection(findings=[missing], downtime=[])
    main_path = path / MAIN_FILE
    has_main = main_path.is_file()
    live = path / LIVE_FOLDER if has_main or (path / LIVE_FOLDER).is_dir() else path
    main = (
        load_main_configuration(main_path, variables, zone, live_folder=live)
        if has_main
        else SchedulerXml()
    )
    if main.live_folder is not None:
        live = path / main.live_folder
    folder = LiveFolder(live, variables, zone, main=main, include_path=_include_path(path, main))
    if not live.is_dir():
        return Inspection(findings=list(in_order(main.findings)), downtime=[])
    return _inspected(folder, main, zone, moment, prefix=_prefix(path, live))


def _include_path(path: Path, main: SchedulerXml) -> Path | None:
    return None if main.main.include_path is None else path / main.main.include_path


def _prefix(path: Path, live: Path) -> str:
    relative = os.path.relpath(live, path)
    return "" if relative == "." else f"{relative}/"


def _inspected(
    folder: LiveFolder, main: SchedulerXml, zone: tzinfo, now: Instant, *, prefix: str
) -> Inspection:
    difference = folder.scan(at_once=True)
    assert difference is not None, "the first look always tells something"
    objects = _Objects(
        definitions=difference.defined, broken=tuple(one.object for one in difference.broken)
    )
    configured = main.main.time_zone
    calendars = _Calendars(
        schedules={
            one.schedule.path: one.schedule
            for one in difference.defined
            if isinstance(one, ScheduleFile)
        },
        zone=zone if configured is None else ZoneInfo(configured),
        holidays=main.main.holidays,
        now=now,
    )
    found = list(folder.findings)
    for definition in difference.defined:
        found.extend(_of_definition(definition, objects, calendars, folder))
    named = [
        one if one.file == MAIN_FILE else replace(one, file=f"{prefix}{one.file}") for one in found
    ]
    return Inspection(
        findings=list(in_order([*main.findings, *named])),
        downtime=downtime_notes(difference.defined, calendars.calendar, now),
    )


# --- what is there -------------------------------------------------------------------------------


class _Objects:
    """The names of all objects, those with broken files too: a fault is reported once."""

    def __init__(self, *, definitions: Iterable[Definition], broken: Iterable[ObjectRef]) -> None:
        self.paths: dict[ObjectKind, dict[str, str]] = {kind: {} for kind in ObjectKind}
        self.jobs: dict[str, Job] = {}
        self.chains: dict[str, Chain] = {}
        for ref in broken:
            self._add(ref.kind, ref.path)
        for path in _BUILT_IN:
            self._add(ObjectKind.JOB, path)
        for definition in definitions:
            self._add_definition(definition)

    def has(self, kind: ObjectKind, path: str) -> bool:
        """Tell whether there is such an object."""
        return _folded(kind, path) in self.paths[kind]

    def _add(self, kind: ObjectKind, path: str) -> None:
        self.paths[kind][_folded(kind, path)] = path

    def _add_definition(self, definition: Definition) -> None:
        match definition:
            case Job():
                self._add(ObjectKind.JOB, definition.path)
                self.jobs[definition.key] = definition
            case Chain():
                self._add(ObjectKind.CHAIN, definition.path)
                self.chains[definition.key] = definition
            case ProcessClass():
                self._add(ObjectKind.PROCESS_CLASS, definition.path)
            case Lock():
                self._add(ObjectKind.LOCK, definition.path)
            case Monitor():
                self._add(ObjectKind.MONITOR, definition.path)
            case ScheduleFile():
                self._add(ObjectKind.SCHEDULE, definition.schedule.path)
            case OrderDefinition():
                pass  # nothing refers to orders


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calendars:
    schedules: Mapping[SchedulePath, Schedule]
    zone: tzinfo
    holidays: Holidays | None
    now: Instant

    def calendar(self, run_time: RunTime, user: CalendarUser) -> Calendar | None:
        """Return the calendar of a run time, None when its schedule is missing."""
        found = calendar_of(run_time, self.schedules, self.zone, self.holidays, ZoneInfo, user=user)
        return None if isinstance(found, MissingSchedule) else found


def _folded(kind: ObjectKind, path: str) -> str:
    return folded_path(path) if kind in _CASELESS else path


# --- references ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    """One object names another: how, and where it is written."""

    kind: ObjectKind
    path: str
    attribute: str
    """Empty: the file name says it."""


def _references(definition: Definition) -> Iterator[_Reference]:
    match definition:
        case Job():
            yield from _references_of_job(definition)
        case Chain():
            yield from _references_of_chain(definition)
        case OrderDefinition():
            yield _Reference(kind=ObjectKind.CHAIN, path=definition.key.chain, attribute="")
            yield from _schedule_reference(definition.run_time)
        case ScheduleFile():
            if definition.schedule.substitute is not None:
                yield _Reference(
                    kind=ObjectKind.SCHEDULE,
                    path=definition.schedule.substitute,
                    attribute="substitute",
                )
        case ProcessClass() | Lock() | Monitor():
            pass


def _references_of_job(job: Job) -> Iterator[_Reference]:
    yield from _class_reference(job.process_class, "process_class")
    for lock in job.locks:
        yield _Reference(kind=ObjectKind.LOCK, path=lock.lock, attribute="lock")
    for monitor in job.monitors:
        if monitor.path is not None:
            yield _Reference(kind=ObjectKind.MONITOR, path=monitor.path, attribute="monitor")
    yield from _schedule_reference(job.run_time)


def _references_of_chain(chain: Chain) -> Iterator[_Reference]:
    yield from _class_reference(chain.process_class, "process_class")
    yield from _class_reference(chain.file_watching_process_class, "file_watching_process_class")
    for node in chain.nodes:
        match node:
            case JobNode():
                yield _Reference(kind=ObjectKind.JOB, path=node.job_path, attribute="job")
                for codes in node.on_return_codes:
                    for added in codes.added_orders:
                        yield _Reference(
                            kind=ObjectKind.CHAIN, path=added.chain, attribute="job_chain"
                        )
            case NestedNode():
                yield _Reference(kind=ObjectKind.CHAIN, path=node.chain_path, attribute="job_chain")
            case _:
                pass


def _class_reference(path: str | None, attribute: str) -> Iterator[_Reference]:
    if path:
        yield _Reference(kind=ObjectKind.PROCESS_CLASS, path=path, attribute=attribute)


def _schedule_reference(run_time: RunTime | None) -> Iterator[_Reference]:
    if run_time is not None and run_time.schedule is not None:
        yield _Reference(kind=ObjectKind.SCHEDULE, path=run_time.schedule, attribute="schedule")


# --- findings of one object ----------------------------------------------------------------------


def _of_definition(
    definition: Definition, objects: _Objects, calendars: _Calendars, folder: LiveFolder
) -> Iterator[Finding]:
    places = _Places(folder, definition)
    for reference in _references(definition):
        if not objects.has(reference.kind, reference.path):
            yield _missing(reference, objects, places)
    if isinstance(definition, Job):
        yield from _of_cleanup(definition, objects, places)
    match definition:
        case Job():
            yield from _of_script(definition.script, places, folder)
        case Chain():
            yield from _of_chain(definition, objects, places)
        case OrderDefinition():
            yield from _of_order(definition, objects, places)
        case _:
            pass
    for suspicion in _suspicions(definition, calendars):
        yield places.finding(
            lambda element: str(element.tag) in ("run_time", "schedule"),
            text=suspicion.text,
            severity=Severity.WARNING,
            advice="Look whether it is meant so",
        )


def _missing(reference: _Reference, objects: _Objects, places: "_Places") -> Finding:
    close = nearest(reference.path, set(objects.paths[reference.kind].values()) - _BUILT_IN)
    file = f"{reference.path.lstrip('/')}.{reference.kind.value}.xml"
    return places.finding(
        places.names(reference.attribute, reference.path, reference.kind),
        attribute=reference.attribute or None,
        text=f"There is no {reference.kind.value} {reference.path!r}",
        code="SCHEDULER-161",
        advice=f"Did you mean {close!r}?" if close else f"Create {file}, or correct the name",
    )


def _of_script(script: Script, places: "_Places", folder: LiveFolder) -> Iterator[Finding]:
    if isinstance(script, ForeignScript) and script.java_class:
        yield places.finding(
            lambda element: element.get("java_class") == script.java_class,
            attribute="java_class",
            text=f"The Java class {script.java_class!r} is not available, so its tasks will fail",
            severity=Severity.WARNING,
            advice="Write the job as a shell script",
        )
    if isinstance(script, ShellScript):
        for part in script.parts:
            if isinstance(part, Include):
                yield from _of_include(part, places, folder)


def _of_include(include: Include, places: "_Places", folder: LiveFolder) -> Iterator[Finding]:
    try:
        folder.read_include(include)
    except OSError as error:
        name = include.live_file or include.file
        attribute = "live_file" if include.live_file else "file"
        yield places.finding(
            _having(attribute),
            attribute=attribute,
            text=f"The included file {name!r} cannot be read: {error.strerror or error}",
            code="SCHEDULER-399",
            advice="Create the file or correct its name",
        )


def _of_cleanup(job: Job, objects: _Objects, places: "_Places") -> Iterator[Finding]:
    """Look for the cleanup chain of an SSH job: from the live root, then from its folder."""
    name = cleanup_chain_of(job)
    if name is None:
        return
    paths = (f"/{name}", f"{folder_of(job.path).rstrip('/')}/{name}")
    if not any(objects.has(ObjectKind.CHAIN, path) for path in paths):
        yield places.finding(
            lambda element: fold(str(element.get("name", ""))) == "cleanupjobchain",
            attribute="value",
            text=f"There is no job chain {name!r} for the cleanup, so each step would fail",
            code="SCHEDULER-161",
            advice=did_you_mean(f"/{name}", objects.paths[ObjectKind.CHAIN].values()),
        )


def _of_chain(chain: Chain, objects: _Objects, places: "_Places") -> Iterator[Finding]:
    for node in chain.nodes:
        match node:
            case JobNode():
                job = objects.jobs.get(node.job)
                if job is None or job.is_order_job or isinstance(job.script, ShellScript):
                    continue
                yield places.finding(
                    places.names("job", node.job_path, ObjectKind.JOB),
                    attribute="job",
                    text=f"The job {job.path!r} is no order job",
                    code="SCHEDULER-147",
                    advice=f'Add order="yes" to {job.path}.job.xml',
                )
            case NestedNode():
                inner = objects.chains.get(node.chain)
                if inner is not None and inner.is_nested:
                    yield places.finding(
                        places.names("job_chain", node.chain_path, ObjectKind.CHAIN),
                        attribute="job_chain",
                        text=f"The job chain {inner.path!r} contains job chains itself",
                        code="SCHEDULER-412",
                        advice="Nest job chains one level deep only",
                    )
            case _:
                pass


def _of_order(order: OrderDefinition, objects: _Objects, places: "_Places") -> Iterator[Finding]:
    chain = objects.chains.get(order.key.chain)
    if chain is None:
        return
    states = [node.state for node in chain.nodes]
    for attribute, state in (("state", order.state), ("end_state", order.end_state)):
        if state is not None and state not in states:
            yield places.finding(
                _having(attribute),
                attribute=attribute,
                text=f"The job chain {chain.path!r} has no node {state!r}",
                code="SCHEDULER-149",
                advice=did_you_mean(state, states),
            )


def _having(attribute: str) -> Callable[[Element], bool]:
    """Match the elements that have this attribute."""
    return lambda element: element.get(attribute) is not None


def _suspicions(definition: Definition, calendars: _Calendars) -> Iterator[Suspicion]:
    match definition:
        case Job(run_time=RunTime() as run_time):
            found = _run_time_suspicions(run_time, calendars, CalendarUser.JOB)
        case OrderDefinition(run_time=RunTime() as run_time):
            found = _run_time_suspicions(run_time, calendars, CalendarUser.ORDER)
        case ScheduleFile(schedule=schedule) if (
            schedule.substitute is None or schedule.substitute in calendars.schedules
        ):
            found = schedule_findings(
                schedule,
                calendars.schedules,
                calendars.zone,
                calendars.holidays,
                zone_of=ZoneInfo,
                now=calendars.now,
            )
        case _:
            found = ()
    yield from found


def _run_time_suspicions(
    run_time: RunTime, calendars: _Calendars, user: CalendarUser
) -> tuple[Suspicion, ...]:
    found = run_time_findings(
        run_time,
        calendars.schedules,
        calendars.zone,
        calendars.holidays,
        zone_of=ZoneInfo,
        now=calendars.now,
        user=user,
    )
    told_otherwise = set()
    if run_time.schedule not in calendars.schedules:
        told_otherwise.add(FindingKind.MISSING_SCHEDULE)  # it is among the references
    if run_time.once or run_time == RunTime():
        told_otherwise.add(FindingKind.NEVER_STARTS)  # <run_time/> is how one says that
    return tuple(one for one in found if one.kind not in told_otherwise)


# --- places --------------------------------------------------------------------------------------


class _Places:
    """Finds the place in the file where something about an object is written."""

    def __init__(self, folder: LiveFolder, definition: Definition) -> None:
        source = definition.source
        self._root = folder.folder if source is not None else folder.folder.parent
        self._file = source.file if source is not None else MAIN_FILE
        self._folder = "/" if source is None else folder_of(f"/{source.file}")
        self._document: Document | None = None

    def names(self, attribute: str, path: str, kind: ObjectKind) -> Callable[[Element], bool]:
        """Match the elements that name this object in this attribute."""
        wanted = _folded(kind, path)

        def matches(element: Element) -> bool:
            value = element.get(attribute) if attribute else None
            if value is None:
                return False
            try:
                return _folded(kind, resolved(str(value), self._folder)) == wanted
            except PathError:
                return False

        return matches

    def finding(
        self,
        matches: Callable[[Element], bool],
        *,
        text: str,
        advice: str,
        attribute: str | None = None,
        code: str = "",
        severity: Severity = Severity.ERROR,
    ) -> Finding:
        """Make a finding at the first element that matches, else at the file's beginning."""
        document = self._parsed()
        line, column, tag = 1, 1, ""
        if document is not None:
            element = next(filter(matches, document.root.iter("*")), document.root)
            line, column = document.locate(element, attribute)
            tag = str(element.tag)
        return Finding(
            file=self._file,
            line=line,
            column=column,
            element=tag,
            severity=severity,
            text=text,
            advice=advice,
            code=code,
        )

    def _parsed(self) -> Document | None:
        if self._document is None:
            try:
                document = parse_document(read_file(self._root, self._file), self._file)
            except OSError:
                return None
            self._document = document if isinstance(document, Document) else None
        return self._document
