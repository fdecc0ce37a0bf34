"""Answers about the engine as a whole: `state`, the folder tree, `subsystems` (7.1, 7.2, 7.9)."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
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
from engine.codec.xml.answers_chains import broken_chain_element, chain_element, id_space_name
from engine.codec.xml.answers_jobs import broken_job_element, is_listed, job_element, job_state_name
from engine.codec.xml.answers_objects import (
    broken_lock_element,
    broken_monitor_element,
    broken_process_class_element,
    broken_schedule_element,
    lock_element,
    monitor_element,
    process_class_element,
    schedule_element,
)
from engine.codec.xml.answers_orders import (
    broken_order_element,
    job_path,
    order_element,
    order_without_chain_element,
)
from engine.codec.xml.deferred import appended
from engine.codec.xml.findings import Element
from engine.kernel.commands import ObjectKind
from engine.kernel.ids import folded_path, folder_of, name_of
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
        udp_port=facts.udp_port,
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
    _append_id_spaces(view, result)
    result.append(element("remote_schedulers", count=0, connected=0))
    result.append(element("http_server"))
    result.append(element("connections"))
    if view.wants("operations"):
        result.append(_operations(state))
    return result


def _append_id_spaces(view: View, result: Element) -> None:
    """Show the sets of chains that share their order ids, if there are any (1.10)."""
    spaces: dict[str, list[str]] = {}
    for chain in view.state.chains.values():
        name = id_space_name(view.state, chain)
        if name is not None:
            spaces.setdefault(name, []).append(chain.definition.path)
    if not spaces:
        return
    elements = [
        element(
            "order_id_space",
            *(element("job_chain", job_chain=path) for path in sorted(paths, key=str.casefold)),
            name=name,
        )
        for name, paths in sorted(spaces.items())
    ]
    result.append(element("order_id_spaces", *elements))


def _operations(state: State) -> Element:
    """Return what is under way and not done yet: tasks that start, wait for agents, or end."""
    found = [
        element(
            "operation",
            job=job_path(state, task.job),
            task=task.id,
            state="killing" if task.kill is not None else task.status.value,
        )
        for task in state.tasks.values()
        if task.kill is not None
        or task.status in {TaskStatus.STARTING, TaskStatus.WAITING_FOR_AGENT}
    ]
    return element("operations", *found, count=len(found))


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
    for subsystem, tag, found in (
        ("lock", "locks", _lock_entries(view)),
        ("monitor", "monitors", _monitor_entries(view)),
    ):
        if found and _selected(view, subsystem):
            result.append(_container(view, tag, found))
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
    known = {str(key) for key in state.jobs}
    return found + _broken_entries(view, ObjectKind.JOB, broken_job_element, known)


def _chain_entries(view: View) -> list[Entry]:
    make = partial(chain_element, view, with_jobs=view.wants("job_chain_jobs"), with_orders=True)
    found: list[Entry] = [
        (chain.definition.path, partial(make, chain))
        for chain in view.state.chains.values()
        if is_listed(chain.visible)
    ]
    known = {str(key) for key in view.state.chains}
    return found + _broken_entries(view, ObjectKind.CHAIN, broken_chain_element, known)


def _class_entries(view: View) -> list[Entry]:
    classes = view.state.process_classes
    found: list[Entry] = [
        (each.path or "/", partial(process_class_element, view, each)) for each in classes.values()
    ]
    kind = ObjectKind.PROCESS_CLASS
    return found + _broken_entries(view, kind, broken_process_class_element, set(classes))


def _lock_entries(view: View) -> list[Entry]:
    locks = view.state.locks
    found: list[Entry] = [(each.path, partial(lock_element, view, each)) for each in locks.values()]
    return found + _broken_entries(view, ObjectKind.LOCK, broken_lock_element, set(locks))


def _schedule_entries(view: View) -> list[Entry]:
    schedules = view.state.schedules
    found: list[Entry] = [
        (each.path, partial(schedule_element, view, each)) for each in schedules.values()
    ]
    kind = ObjectKind.SCHEDULE
    return found + _broken_entries(view, kind, broken_schedule_element, set(schedules))


def _monitor_entries(view: View) -> list[Entry]:
    monitors = view.state.monitors
    found: list[Entry] = [
        (each.path, partial(monitor_element, view, each)) for each in monitors.values()
    ]
    return found + _broken_entries(view, ObjectKind.MONITOR, broken_monitor_element, set(monitors))


def _order_entries(view: View) -> list[Entry]:
    """Permanent orders, in the folders of their files."""
    state = view.state
    found: list[Entry] = [
        (f"/{order.definition.source.file}", partial(order_element, view, order))
        for order in state.orders.values()
        if order.definition.source is not None
    ]
    found += [
        (f"/{definition.source.file}", partial(order_without_chain_element, view, definition))
        for key, definition in state.order_files.items()
        if definition.source is not None and key.chain not in state.chains
    ]
    known = {
        folded_path(f"/{definition.source.file}".removesuffix(".order.xml"))
        for definition in state.order_files.values()
        if definition.source is not None
    }
    return found + _broken_entries(view, ObjectKind.ORDER, broken_order_element, known)


def _broken_entries(
    view: View,
    kind: ObjectKind,
    make: Callable[[View, str], Element],
    known: Collection[str],
) -> list[Entry]:
    """Return the objects that have a file, but never had a good one."""
    paths = [broken.path for broken in view.state.broken if broken.kind is kind]
    return [
        (path, partial(make, view, path)) for path in paths if _spelling(kind, path) not in known
    ]


def _spelling(kind: ObjectKind, path: str) -> str:
    """Return the path as keys have it: names of jobs and chains have no case."""
    is_caseless = kind in {ObjectKind.JOB, ObjectKind.CHAIN, ObjectKind.ORDER}
    return folded_path(path) if is_caseless else path


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
        "folder": _folder_count(view),
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


def _folder_count(view: View) -> int:
    """Return how many folders have objects in them or below them, the root with them."""
    folders = {"/"}
    for _, _, entries in _CONTAINERS:
        for path, _ in entries(view):
            folder = folder_of(path)
            while folder not in folders:
                folders.add(folder)
                folder = folder_of(folder)
    return len(folders)


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
