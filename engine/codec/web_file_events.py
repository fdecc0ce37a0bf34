"""FileBasedAdded, -Replaced, -Activated and -Removed of the JSON web service, pure.

Keys are paths with the type before them (live-folder.md 7.3). An object is added or replaced when
its definition comes into effect, and activated when nothing that it needs is missing.
"""

from collections.abc import Iterator

from engine.codec.streamed_json import Json
from engine.codec.web_obstacles import jobs_using, missing_of_chain, missing_of_job
from engine.codec.xml.answers_orders import chain_path
from engine.kernel.events import Event, definitions, orders
from engine.kernel.ids import ChainKey, JobKey, OrderKey
from engine.kernel.state import State


def object_path(event: Event) -> str | None:
    """Return which object that jobs may need is defined or removed by an event, None for others."""
    match event:
        case definitions.ProcessClassDefined():
            return event.process_class.path
        case definitions.LockDefined():
            return event.lock.path
        case definitions.ScheduleDefined():
            return event.schedule.schedule.path
        case definitions.MonitorDefined():
            return event.monitor.path
        case definitions.ProcessClassRemoved():
            return event.process_class
        case definitions.LockRemoved():
            return event.lock
        case definitions.ScheduleRemoved():
            return event.schedule
        case definitions.MonitorRemoved():
            return event.monitor
        case _:
            return None


class FileEvents:
    """Remembers which objects there are, to tell an added one from a replaced one."""

    def __init__(self, state: State, *, from_the_first: bool) -> None:
        self._state = state
        self._known: dict[tuple[str, str], str] = {}
        """Type and key of an object -> its path as written."""
        self._incomplete: dict[tuple[str, str], None] = {}
        if not from_the_first:
            self._look_around()

    def _look_around(self) -> None:
        state = self._state
        for job in state.jobs.values():
            self._known["Job", job.key] = job.definition.path
        for chain in state.chains.values():
            self._known["JobChain", chain.key] = chain.definition.path
        for key in state.order_files:
            self._known["Order", str(key)] = self._order_path(key)
        for kind, paths in (
            ("ProcessClass", state.process_classes),
            ("Lock", state.locks),
            ("Schedule", state.schedules),
            ("Monitor", state.monitors),
        ):
            for path in paths:
                self._known[kind, path] = path or "/"

    def events(self, event: Event) -> Iterator[Json]:
        """Yield what an event means for objects of files."""
        match event:
            case definitions.JobDefined():
                yield from self._defined("Job", event.job.key, event.job.path)
            case definitions.JobRemoved():
                yield self._removed("Job", event.job)
            case definitions.ChainDefined():
                yield from self._defined("JobChain", event.chain.key, event.chain.path)
            case definitions.ChainRemoved():
                yield self._removed("JobChain", event.chain)
            case orders.OrderFileFound():
                key = event.definition.key
                yield self._added("Order", str(key), self._order_path(key))
            case orders.OrderAdded():
                if event.definition.source is not None:
                    path = self._order_path(event.definition.key)
                    yield {"TYPE": "FileBasedActivated", "key": f"Order:{path}"}
            case orders.OrderFileGone():
                yield self._removed("Order", str(event.order))
            case _:
                yield from self._of_others(event)

    def _of_others(self, event: Event) -> Iterator[Json]:
        match event:
            case definitions.ProcessClassDefined():
                path = event.process_class.path
                yield from self._defined("ProcessClass", path, path or "/")
            case definitions.ProcessClassRemoved():
                yield self._removed("ProcessClass", event.process_class)
            case definitions.LockDefined():
                yield from self._defined("Lock", event.lock.path, event.lock.path)
            case definitions.LockRemoved():
                yield self._removed("Lock", event.lock)
            case definitions.ScheduleDefined():
                path_of_schedule = event.schedule.schedule.path
                yield from self._defined("Schedule", path_of_schedule, path_of_schedule)
            case definitions.ScheduleRemoved():
                yield self._removed("Schedule", event.schedule)
            case definitions.MonitorDefined():
                yield from self._defined("Monitor", event.monitor.path, event.monitor.path)
            case definitions.MonitorRemoved():
                yield self._removed("Monitor", event.monitor)
            case _:
                pass

    def _defined(self, kind: str, key: str, path: str) -> Iterator[Json]:
        yield self._added(kind, key, path)
        if self._is_complete(kind, key):
            yield {"TYPE": "FileBasedActivated", "key": f"{kind}:{path}"}
        else:
            self._incomplete[kind, key] = None
        yield from self._completed()

    def _added(self, kind: str, key: str, path: str) -> Json:
        name = "FileBasedReplaced" if (kind, key) in self._known else "FileBasedAdded"
        self._known[kind, key] = path
        self._incomplete.pop((kind, key), None)
        return {"TYPE": name, "key": f"{kind}:{path}"}

    def _removed(self, kind: str, key: str) -> Json:
        path = self._known.pop((kind, key), key)
        self._incomplete.pop((kind, key), None)
        if kind not in {"Job", "JobChain", "Order"}:
            # Its users are activated again when it comes back.
            for job in jobs_using(self._state, key):
                self._incomplete["Job", job.key] = None
        return {"TYPE": "FileBasedRemoved", "key": f"{kind}:{path}"}

    def _completed(self) -> Iterator[Json]:
        """Tell of objects that have got what they were waiting for."""
        for kind, key in [each for each in self._incomplete if self._is_complete(*each)]:
            del self._incomplete[kind, key]
            path = self._known.get((kind, key))
            if path is not None:
                yield {"TYPE": "FileBasedActivated", "key": f"{kind}:{path}"}

    def _is_complete(self, kind: str, key: str) -> bool:
        jobs, chains = self._state.jobs, self._state.chains
        match kind:
            case "Job":
                job = jobs.get(JobKey(key))
                return job is None or not missing_of_job(self._state, job)
            case "JobChain":
                chain = chains.get(ChainKey(key))
                return chain is None or not missing_of_chain(self._state, chain)
            case _:
                return True

    def _order_path(self, key: OrderKey) -> str:
        return f"{chain_path(self._state, key.chain)},{key.id}"
