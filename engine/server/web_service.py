"""The JSON web service of JobScheduler 1.11 and later (xml-commands.md 9 and 10).

GET and POST are equal; POST puts the query into a JSON body. Every answer carries `eventId`.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.codec import web_service as shapes
from engine.codec.json_api import parse_object, time_text
from engine.codec.records import dump_json
from engine.codec.web_events import is_asked_for
from engine.codec.web_service import Json, OrderQuery, PathQuery
from engine.codec.xml.answers_jobs import job_state_name
from engine.errors import CodecError
from engine.kernel.ids import OrderKey, TaskId, chain_key, job_key, order_key
from engine.kernel.problems import Problem, unknown_object, unknown_order, unknown_task
from engine.server.auth import Role
from engine.server.classic_pages import end_of_file
from engine.server.context import ServerContext, context_of
from engine.server.engine_port import HistoryQuery
from engine.server.web_events import Torn

BASE: Final = "/jobscheduler/master/api"
TIMEOUT_S_MAX: Final = 600.0
LOG_BYTES_MAX: Final = 4 * 1024 * 1024
_DURATION = re.compile(r"(?:PT)?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S?)?", re.IGNORECASE)
_KINDS: Final = {
    "fileBased": None,
    "schedule": "Schedule",
    "lock": "Lock",
    "monitor": "Monitor",
}


class _Query:
    """The parameters of a request, from the URL or a JSON body."""

    def __init__(self, context: ServerContext, path: str, values: Mapping[str, Any]) -> None:
        self.context = context
        self._path = path
        self._values = values

    @property
    def wanted(self) -> str:
        """The `return=` parameter."""
        return str(self._values.get("return") or "")

    @property
    def paths(self) -> PathQuery:
        """Which objects are meant: by the URL, or by `path` and `paths`."""
        names = self.names("paths") or self.names("path")
        return shapes.path_query(self._path or "|".join(sorted(names or ())))

    @property
    def object_path(self) -> str:
        """The path part of the URL as written."""
        return self._path

    def text(self, name: str) -> str | None:
        """Return a parameter, None when it is absent."""
        value = self._values.get(name)
        return None if value is None else str(value)

    def names(self, name: str) -> frozenset[str] | None:
        """Return a list: comma separated in URLs, an array in bodies."""
        value = self._values.get(name)
        if value is None:
            return None
        items = value if isinstance(value, list) else str(value).split(",")
        return frozenset(str(item) for item in items)

    def flag(self, name: str) -> bool | None:
        """Return a truth value."""
        value = self._values.get(name)
        if value is None or isinstance(value, bool):
            return value
        if str(value) not in {"true", "false"}:
            raise HTTPException(400, f"{name}={value!r} is neither true nor false")
        return str(value) == "true"

    def number(self, name: str) -> int | None:
        """Return a whole number."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return int(str(value))
        except ValueError as error:
            raise HTTPException(400, f"{name}={value!r} is not a whole number") from error

    def seconds(self, name: str) -> float:
        """Return a duration: `60`, `60s` or ISO 8601 `PT1M`; 0 when absent."""
        text = self.text(name) or "0"
        found = _DURATION.fullmatch(text.strip())
        if found is None:
            raise HTTPException(400, f"{name}={text!r} is not a duration")
        hours, minutes, rest = (float(part or 0) for part in found.groups())
        return min(hours * 3600 + minutes * 60 + rest, TIMEOUT_S_MAX)

    def orders(self) -> OrderQuery:
        """Return which orders are meant."""
        jobs = self.names("jobPaths")
        return OrderQuery(
            paths=self.paths,
            order_ids=self.names("orderIds"),
            node_ids=self.names("nodeIds"),
            job_paths=None if jobs is None else frozenset(job_key(path) for path in jobs),
            source_types=self.names("isOrderSourceType"),
            processing_states=self.names("isOrderProcessingState"),
            is_suspended=self.flag("isSuspended"),
            is_setback=self.flag("isSetback"),
            is_blacklisted=self.flag("isBlacklisted"),
            not_in_task_per_node_max=self.number("notInTaskLimitPerNode"),
        )


async def _query(request: Request) -> _Query:
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    values: dict[str, Any] = dict(request.query_params)
    if request.method == "POST":
        data = await context.body(request)
        if data is None:
            raise HTTPException(413, "The request is too large")
        try:
            values |= parse_object(data)
        except CodecError as error:
            raise HTTPException(400, str(error)) from error
    await context.web_events.begin()
    await context.port.settled()
    return _Query(context, request.path_params.get("path", ""), values)


def _answer(query: _Query, content: Json | list[Json], name: str = "elements") -> Response:
    body: Json = {name: content} if isinstance(content, list) else dict(content)
    body["eventId"] = query.context.web_events.last_id
    return _json(body)


def _json(body: Json, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(dump_json(body), status, headers, media_type="application/json")


def _refused(problem: Problem) -> Response:
    """Return an error: code and text with one blank between them (9.1)."""
    return _json({"message": f"{problem.code} {problem.text}"}, 400)


def _unknown_return(query: _Query) -> Response:
    return _json({"message": f"return={query.wanted!r} is not known here"}, 400)


# --- resources -----------------------------------------------------------------------------------


async def overview(request: Request) -> Response:
    """Handle `/`: what engine this is."""
    query = await _query(request)
    context, state = query.context, query.context.port.state
    content = shapes.present(
        version=context.facts.version,
        startedAt=time_text(context.facts.started_at),
        schedulerId=state.main.scheduler_id or state.control.engine_id,
        httpPort=None if context.facts.http_port is None else str(context.facts.http_port),
        httpsPort=None if context.facts.https_port is None else str(context.facts.https_port),
        pid=context.facts.pid,
        state="paused" if state.control.paused else "running",
        system={"hostname": context.facts.host},
        java={},
    )
    return _answer(query, content)


async def order(request: Request) -> Response:
    """Handle `/order[/PATH]`."""
    query = await _query(request)
    state, now = query.context.port.state, query.context.port.now()
    chain, comma, order_id = query.object_path.partition(",")
    if comma:
        return await _one_order(query, order_key(chain, order_id))
    wanted = query.wanted or "OrderOverview"
    if _is_event_query(wanted):
        return await _events(query, lambda event: _is_of_chain(event, query.paths))
    found = query.orders().orders(state, now)
    shape, _, part = wanted.partition("/")
    match shape:
        case "OrderOverview":
            return _answer(
                query, [shapes.order_overview(state, one, now) for one in found], "orders"
            )
        case "OrderDetailed":
            return _answer(
                query, [shapes.order_detailed(state, one, now) for one in found], "orders"
            )
        case "OrdersComplemented" | "OrderTreeComplemented":
            detailed = part == "OrderDetailed"
            content = shapes.orders_complemented(state, found, now, detailed=detailed)
            if shape == "OrderTreeComplemented":
                content["orderTree"] = _tree(content.pop("orders"))
            return _answer(query, content)
        case "JocOrderStatistics":
            return _answer(query, shapes.order_statistics(state, found, now))
        case _:
            return _unknown_return(query)


async def _one_order(query: _Query, key: OrderKey) -> Response:
    state, now = query.context.port.state, query.context.port.now()
    found = state.find_order(key)
    if query.wanted == "log":
        if found is None or found.history is None:
            return _refused(unknown_order(key.chain, key.id))
        text = await query.context.port.order_log(found.history, LOG_BYTES_MAX)
        return PlainTextResponse(text, headers={"Cache-Control": "no-store"})
    if found is None:
        return _refused(unknown_order(key.chain, key.id))
    match query.wanted or "OrderOverview":
        case "OrderOverview":
            return _answer(query, shapes.order_overview(state, found, now))
        case "OrderDetailed":
            return _answer(query, shapes.order_detailed(state, found, now))
        case wanted if _is_event_query(wanted):
            path = f"{state.chains[key.chain].definition.path},{key.id}"
            return await _events(query, lambda event: event.get("key") == path)
        case _:
            return _unknown_return(query)


def _tree(orders: list[Json]) -> Json:
    """Return orders by folder: path, leafs, subfolders."""
    root: Json = {"path": "/", "leafs": [], "subfolders": []}
    folders: dict[str, Json] = {"/": root}

    def folder(path: str) -> Json:
        if path not in folders:
            parent = folder(path.rpartition("/")[0] or "/")
            folders[path] = {"path": path, "leafs": [], "subfolders": []}
            parent["subfolders"].append(folders[path])
        return folders[path]

    for each in orders:
        chain = each.get("jobChainPath") or each["overview"]["jobChainPath"]
        folder(chain.rpartition("/")[0] or "/")["leafs"].append(each)
    return root


async def job_chain(request: Request) -> Response:
    """Handle `/jobChain[/PATH]`, one node with `nodeId=`."""
    query = await _query(request)
    state, now = query.context.port.state, query.context.port.now()
    wanted = query.wanted or "JobChainOverview"
    if wanted == "JocOrderStatistics":
        found = query.orders().orders(state, now)
        return _answer(query, shapes.order_statistics(state, found, now))
    if _is_event_query(wanted):
        return await _events(query, lambda event: _is_of_chain(event, query.paths))
    make: dict[str, Callable[[Any], Json]] = {
        "JobChainOverview": lambda chain: shapes.chain_overview(state, chain),
        "JobChainDetailed": lambda chain: shapes.chain_detailed(state, chain, now),
    }
    single = query.paths.single
    node_id = query.text("nodeId")
    if single is not None and node_id is not None:
        chain = state.chains.get(chain_key(single))
        node = next(
            (each for each in chain.definition.nodes if each.state == node_id)
            if chain
            else iter(()),
            None,
        )
        if chain is None or node is None:
            return _refused(unknown_object("JobChain", f"{single} node {node_id}"))
        return _answer(query, shapes.node_shape(state, chain, node))
    chains = {chain.definition.path: chain for chain in state.chains.values()}
    return _objects(query, chains, make.get(wanted), "JobChain")


async def job(request: Request) -> Response:
    """Handle `/job[/PATH]`."""
    query = await _query(request)
    state = query.context.port.state
    wanted = query.wanted or "JobOverview"
    single = query.paths.single
    if wanted == "History" and single is not None:
        return await _job_history(query, single)
    if wanted == "JobDescription" and single is not None:
        found = state.jobs.get(job_key(single))
        if found is None:
            return _refused(unknown_object("Job", single))
        return _answer(query, {"description": found.definition.description})
    if _is_event_query(wanted):
        return await _events(query, lambda event: _is_of_job(event, query.paths))
    make: dict[str, Callable[[Any], Json]] = {
        "JobOverview": lambda one: shapes.job_overview(state, one),
        "JobDetailed": lambda one: shapes.job_detailed(state, one),
    }
    states = query.names("state")
    jobs = {
        one.definition.path: one
        for one in state.jobs.values()
        if states is None or job_state_name(state, one) in states
    }
    return _objects(query, jobs, make.get(wanted), "Job")


async def _job_history(query: _Query, path: str) -> Response:
    if job_key(path) not in query.context.port.state.jobs:
        return _refused(unknown_object("Job", path))
    limit = min(max(query.number("limit") or 10, 1), 1_000)
    found = await query.context.port.task_history(HistoryQuery(job=job_key(path), limit=limit))
    rows = [
        shapes.present(
            taskId=str(entry.task),
            jobPath=entry.job,
            startedAt=time_text(entry.started_at),
            endedAt=time_text(entry.ended_at),
            cause=entry.cause,
            steps=entry.steps,
            exitCode=entry.exit_code,
            error=shapes.present(code=entry.error_code, message=entry.error_text)
            if entry.error_code
            else None,
            agentUri=entry.agent or None,
        )
        for entry in found
    ]
    return _answer(query, rows)


async def process_class(request: Request) -> Response:
    """Handle `/processClass[/PATH]`."""
    query = await _query(request)
    state = query.context.port.state
    make: dict[str, Callable[[Any], Json]] = {
        "ProcessClassOverview": lambda one: shapes.process_class_overview(state, one),
        "ProcessClassDetailed": lambda one: shapes.process_class_detailed(state, one),
    }
    classes = {one.path or "/": one for one in state.process_classes.values()}
    return _objects(
        query, classes, make.get(query.wanted or "ProcessClassOverview"), "ProcessClass"
    )


def _objects(
    query: _Query,
    objects: Mapping[str, Any],
    shape: Callable[[Any], Json] | None,
    kind: str,
) -> Response:
    """Answer with one object or a list of them."""
    if shape is None:
        return _unknown_return(query)
    found = shapes.chosen(objects, query.paths, shape)
    single = query.paths.single
    if single is None:
        return _answer(query, found)
    return _answer(query, found[0]) if found else _refused(unknown_object(kind, single))


async def task(request: Request) -> Response:
    """Handle `/task?taskId=`."""
    query = await _query(request)
    number = query.number("taskId")
    if number is None:
        raise HTTPException(400, "taskId is missing")
    if query.wanted == "log":
        part = await query.context.port.task_log(TaskId(number), -LOG_BYTES_MAX, LOG_BYTES_MAX)
        if part is None:
            return _refused(unknown_task(number))
        return PlainTextResponse(part.text, headers={"Cache-Control": "no-store"})
    found = query.context.port.state.tasks.get(TaskId(number))
    if found is None:
        return _refused(unknown_task(number))
    return _answer(query, shapes.task_overview(query.context.port.state, found))


async def file_based(request: Request) -> Response:
    """Handle `/fileBased`, `/schedule`, `/lock`, `/monitor`, each with a path."""
    query = await _query(request)
    kind = _KINDS[request.url.path.removeprefix(f"{BASE}/").partition("/")[0]]
    wanted = query.wanted or "FileBasedOverview"
    if wanted not in {"FileBasedOverview", "FileBasedDetailed"}:
        return _unknown_return(query)
    found = [
        shapes.file_based_shape(
            each,
            path,
            objects[path],
            query.context.facts.live_folder,
            detailed=wanted == "FileBasedDetailed",
        )
        for each, objects in shapes.file_based_objects(query.context.port.state).items()
        if kind in {None, each}
        for path in sorted(objects, key=str.casefold)
        if query.paths.selects(path)
    ]
    single = query.paths.single
    if single is None:
        return _answer(query, found)
    return _answer(query, found[0]) if found else _refused(unknown_object(kind or "object", single))


async def agents(request: Request) -> Response:
    """Handle `/agent/`: the addresses of all agents."""
    query = await _query(request)
    classes = query.context.port.state.process_classes.values()
    uris = {agent.uri for each in classes for agent in each.definition.agents}
    body = {"elements": sorted(uris), "eventId": query.context.web_events.last_id}
    return _json(body)


async def scheduler(request: Request) -> Response:
    """Handle `/scheduler?return=log`: the engine's own log."""
    query = await _query(request)
    if query.wanted != "log":
        return await overview(request)
    text = await asyncio.to_thread(end_of_file, Path(query.context.facts.log_file))
    return PlainTextResponse(text, headers={"Cache-Control": "no-store"})


# --- events --------------------------------------------------------------------------------------


async def event(request: Request) -> Response:
    """Handle `/event?return=&after=&timeout=&limit=`."""
    return await _events(await _query(request), lambda _: True)


def _is_event_query(wanted: str) -> bool:
    names = wanted.split(",")
    return any("Event" in name or name.startswith(("Order", "Task", "Job")) for name in names) and (
        all(not name.endswith(("Overview", "Detailed", "Statistics")) for name in names)
        and not wanted.startswith(("OrdersComplemented", "OrderTreeComplemented", "JobDescription"))
    )


def _is_of_chain(event_: Json, paths: PathQuery) -> bool:
    key = event_.get("key")
    return isinstance(key, str) and paths.selects(key.partition(",")[0])


def _is_of_job(event_: Json, paths: PathQuery) -> bool:
    key = event_.get("key")
    path = key.get("jobPath", "") if isinstance(key, dict) else key
    return isinstance(path, str) and paths.selects(path)


async def _events(query: _Query, is_meant: Callable[[Json], bool]) -> Response:
    types = query.names("return") or frozenset({"Event"})
    limit, after = query.number("limit"), query.number("after")
    if limit == 0:
        raise HTTPException(400, "limit=0 makes no sense")
    if after is None and (limit is None or limit > 0):
        raise HTTPException(400, "after is missing: the id of the last event that is known")

    def is_wanted(each: Json) -> bool:
        return is_asked_for(each, types) and is_meant(each)

    kept = query.context.web_events
    begin = after or 0
    if limit is None or limit > 0:
        await kept.wait(begin, is_wanted, query.seconds("timeout"))
    found = kept.after(begin, is_wanted)
    if isinstance(found, Torn):
        return _answer(query, {"TYPE": "Torn"})
    if not found:
        return _answer(query, {"TYPE": "Empty", "lastEventId": max(begin, kept.last_id)})
    if limit is not None:
        found = found[:limit] if limit > 0 else found[limit:][::-1]
    return _answer(query, {"TYPE": "NonEmpty", "eventSnapshots": found})


def routes() -> list[Route]:
    """Return the routes of the web service, without commands and live files."""
    methods = ["GET", "POST"]
    handlers = {
        "order": order,
        "jobChain": job_chain,
        "job": job,
        "processClass": process_class,
        **dict.fromkeys(_KINDS, file_based),
    }
    found = [
        Route(BASE, overview, methods=methods),
        Route(f"{BASE}/", overview, methods=methods),
        Route(f"{BASE}/event", event, methods=methods),
        Route(f"{BASE}/task", task, methods=methods),
        Route(f"{BASE}/agent/", agents, methods=methods),
        Route(f"{BASE}/scheduler", scheduler, methods=methods),
    ]
    for name, handler in handlers.items():
        found.append(Route(f"{BASE}/{name}", handler, methods=methods, name=name))
        found.append(Route(f"{BASE}/{name}/{{path:path}}", handler, methods=methods, name=name))
    return found
