"""Answers about the engine as a whole: `state`, the folder tree, `subsystems` (7.1, 7.2, 7.9)."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeAlias

from engine.codec.xml.answers import (
    View,
    element,
    given,
    moment,
    moment_in_seconds,
)
from engine.codec.xml.answers_chains import broken_chain_element, chain_element
from engine.codec.xml.answers_jobs import broken_job_element, is_listed, job_element, job_state_name
from engine.codec.xml.answers_objects import (
    broken_schedule_element,
    lock_element,
    monitor_element,
    process_class_element,
    schedule_element,
)
from engine.codec.xml.answers_orders import order_element
from engine.codec.xml.deferred import appended
from engine.codec.xml.findings import Element
from engine.kernel.commands import ObjectKind
from engine.kernel.ids import chain_key, folder_of, job_key, name_of
from engine.kernel.state import State, TaskStatus

SUBSYSTEMS: Final = frozenset(
    {
        *("job", "order", "standing_order", "schedule", "process_class", "lock", "monitor"),
        *("folder", "task"),
    }
)

Entry: TypeAlias = tuple[str, Callable[[], Element]]
"""Path of an object, and what makes its element."""


def engine_state_name(state: State) -> str:
    """Return the engine's state in the words of the original."""
    return "paused" if state.control.paused else "running"


def state_element(view: View) -> Element:
    """Return `<state>`: flat, or with `what="folders"` as a tree."""
    state, facts = view.state, view.facts
    spooler_id = state.main.scheduler_id or state.control.engine_id
    result = element(
        "state",
        time=moment(view.now),
        time_zone=state.main.time_zone or state.control.time_zone,
        id=spooler_id,
        spooler_id=spooler_id,
        spooler_running_since=moment_in_seconds(facts.started_at),
        state=engine_state_name(state),
        log_file=facts.log_file,
        version=facts.version,
        pid=facts.pid,
        config_file=facts.config_file,
        configuration_directory=facts.live_folder,
        host=facts.host,
        http_port=facts.http_port,
        https_port=facts.https_port,
        tcp_port=facts.tcp_port,
        db=given(facts.database),
        loop=state.control.last_place,
        waits=0,
        wait_until=moment(view.next_due),
    )
    if view.wants("folders"):
        tree = _folder_tree(view)
        if tree is not None:
            result.append(tree)
    else:
        _append_flat(view, result)
    result.append(element("remote_schedulers", count=0, connected=0))
    result.append(element("http_server"))
    result.append(element("connections"))
    return result


def jobs_element(view: View, folder: str | None = None) -> Element:
    """Return `<jobs>` of one folder, or of all."""
    return _container(view, "jobs", _in_folder(_job_entries(view), folder))


def job_chains_element(view: View, folder: str | None = None) -> Element:
    """Return `<job_chains>` of one folder, or of all, with their jobs if these are wanted."""
    entries = _in_folder(_chain_entries(view), folder)
    result = _container(view, "job_chains", entries)
    result.set("count", str(len(entries)))
    return result


def process_classes_element(view: View) -> Element:
    """Return `<process_classes>`."""
    return _container(view, "process_classes", _class_entries(view))


# --- flat ----------------------------------------------------------------------------------------


def _append_flat(view: View, result: Element) -> None:
    if _selected(view, "lock") and view.state.locks:
        result.append(_container(view, "locks", _lock_entries(view)))
    if _selected(view, "monitor") and view.state.monitors:
        result.append(_container(view, "monitors", _monitor_entries(view)))
    if _selected(view, "job"):
        jobs = jobs_element(view) if view.wants("jobs") else element("jobs")
        result.append(jobs)
    if _selected(view, "process_class"):
        result.append(process_classes_element(view))
    if view.wants("schedules"):
        result.append(_container(view, "schedules", _schedule_entries(view)))
    if _selected(view, "order"):
        chains = job_chains_element(view) if view.wants("job_chains") else element("job_chains")
        result.append(chains)


def _selected(view: View, *subsystems: str) -> bool:
    return view.subsystems is None or not view.subsystems.isdisjoint(subsystems)


def _in_folder(entries: list[Entry], folder: str | None) -> list[Entry]:
    return [entry for entry in entries if folder is None or folder_of(entry[0]) == folder]


def _container(view: View, tag: str, entries: Iterable[Entry]) -> Element:
    result = element(tag)
    ordered = sorted(entries, key=lambda entry: entry[0].casefold())
    appended(result, view.deferred, [make for _, make in ordered])
    return result


# --- objects by kind -----------------------------------------------------------------------------


def _job_entries(view: View) -> list[Entry]:
    state = view.state
    found: list[Entry] = [
        (job.definition.path, partial(job_element, view, job))
        for job in state.jobs.values()
        if is_listed(job.visible)
    ]
    found += [
        (broken.path, partial(broken_job_element, view, broken.path))
        for broken in state.broken
        if broken.kind is ObjectKind.JOB and job_key(broken.path) not in state.jobs
    ]
    return found


def _chain_entries(view: View) -> list[Entry]:
    make = partial(chain_element, view, with_jobs=view.wants("job_chain_jobs"), with_orders=True)
    found: list[Entry] = [
        (chain.definition.path, partial(make, chain))
        for chain in view.state.chains.values()
        if is_listed(chain.visible)
    ]
    found += [
        (broken.path, partial(broken_chain_element, view, broken.path))
        for broken in view.state.broken
        if broken.kind is ObjectKind.CHAIN and chain_key(broken.path) not in view.state.chains
    ]
    return found


def _class_entries(view: View) -> list[Entry]:
    classes = view.state.process_classes.values()
    return [(each.path or "/", partial(process_class_element, view, each)) for each in classes]


def _lock_entries(view: View) -> list[Entry]:
    return [(each.path, partial(lock_element, view, each)) for each in view.state.locks.values()]


def _schedule_entries(view: View) -> list[Entry]:
    known = view.state.schedules
    found: list[Entry] = [
        (each.path, partial(schedule_element, view, each)) for each in known.values()
    ]
    found += [
        (broken.path, partial(broken_schedule_element, view, broken.path))
        for broken in view.state.broken
        if broken.kind is ObjectKind.SCHEDULE and broken.path not in known
    ]
    return found


def _monitor_entries(view: View) -> list[Entry]:
    monitors = view.state.monitors.values()
    return [(each.path, partial(monitor_element, view, each)) for each in monitors]


def _order_entries(view: View) -> list[Entry]:
    """Permanent orders, in the folders of their files."""
    return [
        (f"/{order.definition.source.file}", partial(order_element, view, order))
        for order in view.state.orders.values()
        if order.definition.source is not None
    ]


# --- the folder tree (7.2) -----------------------------------------------------------------------

_CONTAINERS: Final[tuple[tuple[str, str, Callable[[View], list[Entry]]], ...]] = (
    ("process_classes", "process_class", _class_entries),
    ("locks", "lock", _lock_entries),
    ("monitors", "monitor", _monitor_entries),
    ("jobs", "job", _job_entries),
    ("job_chains", "order", _chain_entries),
    ("schedules", "schedule", _schedule_entries),
    ("orders", "standing_order", _order_entries),
)
"""Container, the subsystem that selects it, and its objects."""


@dataclass(slots=True)
class _Folder:
    path: str
    containers: dict[str, list[Entry]]
    folders: dict[str, "_Folder"]


def _folder_tree(view: View) -> Element | None:
    """Return `<folder>` of the asked-for path, None when there is no such folder."""
    root = _Folder("/", {}, {})
    for tag, subsystem, entries in _CONTAINERS:
        selected = _selected(view, subsystem)
        for path, make in entries(view):
            folder = _subfolder(root, folder_of(path))
            if selected:
                folder.containers.setdefault(tag, []).append((path, make))
    found: _Folder | None = root
    for name in view.folder.strip("/").split("/"):
        if name and found is not None:
            found = found.folders.get(name)
    return None if found is None else _folder_element(view, found)


def _subfolder(root: _Folder, path: str) -> _Folder:
    folder = root
    for name in path.strip("/").split("/"):
        if name:
            child = _Folder(f"{folder.path.rstrip('/')}/{name}", {}, {})
            folder = folder.folders.setdefault(name, child)
    return folder


def _folder_element(view: View, folder: _Folder, *, with_content: bool = True) -> Element:
    name = None if folder.path == "/" else name_of(folder.path)
    result = element("folder", path=folder.path, name=name)
    if not with_content:
        return result
    result.append(element("file_based", element("requisites"), state="active"))
    for tag, entries in folder.containers.items():
        result.append(_container(view, tag, entries))
    if folder.folders and _selected(view, "folder"):
        deeper = not view.wants("no_subfolders")
        children = [
            _folder_element(view, folder.folders[name], with_content=deeper)
            for name in sorted(folder.folders, key=str.casefold)
        ]
        result.append(element("folders", *children))
    return result


# --- subsystem.show ------------------------------------------------------------------------------


def subsystems_element(view: View) -> Element:
    """Return `<subsystems>`, with numbers if `statistics` was asked for."""
    state = view.state
    counts = {
        "schedule": len(state.schedules),
        "process_class": len(state.process_classes),
        "lock": len(state.locks),
        "monitor": len(state.monitors),
        "job": len(state.jobs),
        "order": len(state.chains),
        "standing_order": sum(order.is_permanent for order in state.orders.values()),
        "folder": None,
        "task": None,
    }
    jobs, chains = state.jobs.values(), state.chains.values()
    visible = {
        "job": sum(is_listed(job.visible) for job in jobs),
        "order": sum(is_listed(chain.visible) for chain in chains),
    }
    result = element("subsystems")
    for name, count in counts.items():
        subsystem = element("subsystem", name=name, state="active")
        if view.wants("statistics"):
            if count is not None:
                shown = visible.get(name, count)
                numbers = element("file_based.statistics", count=count, count_visible=shown)
                subsystem.append(numbers)
            statistics = _statistics(state, name)
            if statistics is not None:
                subsystem.append(statistics)
        result.append(subsystem)
    return result


def _statistics(state: State, name: str) -> Element | None:
    match name:
        case "job":
            states = Counter(job_state_name(state, job) for job in state.jobs.values())
            rows = [
                element("job.statistic", job_state=each, count=states[each])
                for each in ("pending", "running", "stopped")
            ]
            waiting = sum(len(waiters) for waiters in state.class_waiters.values())
            rows.append(element("job.statistic", need_process="true", count=waiting))
        case "task":
            statuses = Counter(task.status for task in state.tasks.values())
            numbers = {
                "exist": len(state.tasks),
                "running": statuses[TaskStatus.RUNNING],
                "starting": statuses[TaskStatus.STARTING],
            }
            rows = [
                element("task.statistic", task_state=each, count=count)
                for each, count in numbers.items()
            ]
        case "order":
            numbers = {"any": len(state.orders), "clustered": 0}
            rows = [
                element("order.statistic", order_state=each, count=count)
                for each, count in numbers.items()
            ]
        case _:
            return None
    statistics = element(f"{name}.statistics", *rows)
    return element(f"{name}_subsystem", element(f"{name}_subsystem.statistics", statistics))
