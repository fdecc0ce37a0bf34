"""The JSON web service of JobScheduler 1.11 and later (xml-commands.md 9 and 10).

GET and POST are equal; POST puts the query into a JSON body. Every answer carries `eventId`. Lists
are written piece by piece from a copy of the state, so that they hold nobody up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.codec import web_orders, web_service
from engine.codec.json_api import time_text
from engine.codec.streamed_json import Json, Rows
from engine.codec.web_chains import chain_detailed
from engine.codec.web_events import STATISTICS_CHANGED
from engine.codec.web_obstacles import present
from engine.codec.web_query import PathQuery
from engine.codec.xml.answers_jobs import job_state_name
from engine.kernel.ids import ChainKey, HistoryId, JobKey, OrderKey, TaskId, chain_key, job_key
from engine.kernel.ids import order_key as key_of_order
from engine.kernel.problems import unknown_object, unknown_order, unknown_task
from engine.server import web_files
from engine.server.classic_pages import end_of_file
from engine.server.engine_port import HistoryQuery, TaskHistoryEntry
from engine.server.process_facts import process_facts
from engine.server.slices import slices
from engine.server.web_agents import agents, one_agent
from engine.server.web_event_query import (
    asks_for_events,
    count_orders,
    events,
    of_chains,
    of_kinds,
    of_order,
    statistics_changes,
)
from engine.server.web_request import BASE, WebRequest, web_request

LOG_BYTES_MAX: Final = 4 * 1024 * 1024
HISTORY_LIMIT_MAX: Final = 1_000

Handler = Callable[[WebRequest], Awaitable[Response]]


def _log(text: str) -> Response:
    return PlainTextResponse(text, headers={"Cache-Control": "no-store"})


# --- the engine ----------------------------------------------------------------------------------


async def overview(web: WebRequest) -> Response:
    """Handle `/`: what engine this is."""
    facts, state = web.context.facts, web.state
    content = present(
        version=facts.version,
        startedAt=time_text(facts.started_at),
        schedulerId=state.main.scheduler_id or state.control.engine_id,
        httpPort=None if facts.http_port is None else str(facts.http_port),
        httpsPort=None if facts.https_port is None else str(facts.https_port),
        pid=facts.pid,
        state=_engine_state(web),
        **process_facts(facts.host),
    )
    return web.answer(content)


def _engine_state(web: WebRequest) -> str:
    if web.context.port.why_not_ready():
        return "stopping"
    return "paused" if web.state.control.paused else "running"


async def scheduler(web: WebRequest) -> Response:
    """Handle `/scheduler?return=log`: the engine's own log."""
    if web.wanted != "log":
        return await overview(web)
    return _log(await asyncio.to_thread(end_of_file, Path(web.context.facts.log_file)))


async def event(web: WebRequest) -> Response:
    """Handle `/event?return=&after=&timeout=&limit=`."""
    if web.wanted == STATISTICS_CHANGED:
        return await statistics_changes(web)
    return await events(web, lambda _: True)


# --- orders --------------------------------------------------------------------------------------

_ORDER_SHAPES: Final[dict[str, web_orders.Shape]] = {
    "OrderOverview": web_orders.order_overview,
    "OrderDetailed": web_orders.order_detailed,
}


async def order(web: WebRequest) -> Response:
    """Handle `/order[/PATH]`."""
    chain, comma, order_id = web.object_path.partition(",")
    if comma:
        return await _one_order(web, key_of_order(chain, order_id))
    wanted = web.wanted or "OrderOverview"
    if wanted == STATISTICS_CHANGED:
        return await statistics_changes(web)
    if asks_for_events(web):
        return await events(web, of_chains(web.paths, with_chains=False))
    if wanted == "JocOrderStatistics":
        return web.answer(await count_orders(web, web.orders()))
    kind, _, part = wanted.partition("/")
    shape = _ORDER_SHAPES.get(part or "OrderOverview" if kind.endswith("Complemented") else kind)
    query, state, now = web.orders(), web.still(), web.now
    found = query.orders(state, now)
    match kind:
        case _ if shape is None:
            return web.unknown_return()
        case "OrderOverview" | "OrderDetailed":
            rows = (None if one is None else shape(state, one, now) for one in found)
            return web.answer_rows(Rows(rows), "orders")
        case "OrdersComplemented":
            return web.answer(web_orders.orders_complemented(state, found, now, shape))
        case "OrderTreeComplemented":
            tree = web_orders.OrderTree(state, now, shape)
            async for some in slices(found):
                for each in some:
                    if each is not None:
                        tree.add(each)
            return web.answer(tree.shape)
        case _:
            return web.unknown_return()


async def _one_order(web: WebRequest, key: OrderKey) -> Response:
    state = web.state
    found = state.find_order(key)
    chain = state.chains.get(key.chain)
    if asks_for_events(web):
        own = key if found is None else found.key
        return await events(web, of_order(f"{own.chain},{own.id}"))
    if web.wanted == "log":
        about = await _last_run(web, key) if found is None else found.shown_history or found.key
        if about is not None:
            return _log(await web.context.port.order_log(about, LOG_BYTES_MAX))
    if found is None:
        if chain is None:
            return web.refused(unknown_object("JobChain", key.chain))
        return web.refused(unknown_order(chain.definition.path, key.id))
    if web.wanted == "log":
        return _log("")
    shape = _ORDER_SHAPES.get(web.wanted or "OrderOverview")
    if shape is None:
        return web.unknown_return()
    return web.answer(shape(state, found, web.now))


async def _last_run(web: WebRequest, key: OrderKey) -> HistoryId | None:
    query = HistoryQuery(chain=key.chain, order=key.id, limit=1)
    found = await web.context.port.order_history(query)
    return found[0].history if found else None


# --- job chains ----------------------------------------------------------------------------------


async def job_chain(web: WebRequest) -> Response:
    """Handle `/jobChain[/PATH]`, one node with `nodeId=`."""
    wanted = web.wanted or "JobChainOverview"
    if wanted == STATISTICS_CHANGED:
        return await statistics_changes(web)
    if asks_for_events(web):
        return await events(web, of_chains(web.paths, with_chains=True))
    single = web.paths.single
    if single is not None and chain_key(single) not in web.state.chains:
        return web.refused(unknown_object("JobChain", single))
    if wanted == "JocOrderStatistics":
        return web.answer(await count_orders(web, web.orders()))
    node_id = web.text("nodeId")
    if single is not None and node_id is not None:
        return _one_node(web, chain_key(single), node_id)
    if wanted not in {"JobChainOverview", "JobChainDetailed"}:
        return web.unknown_return()
    query, state, now = web.chains(), web.still(), web.now
    found = [each for _, each in sorted(state.chains.items()) if query.selects(each)]
    if wanted == "JobChainDetailed":
        return _objects(web, "JobChain", (chain_detailed(state, each, now) for each in found))
    return _objects(web, "JobChain", (web_service.chain_overview(state, each) for each in found))


def _one_node(web: WebRequest, key: ChainKey, node_id: str) -> Response:
    chain = web.state.chains[key]
    for node in chain.definition.nodes:
        if node.state == node_id:
            return web.answer(web_service.node_shape(web.state, chain, node, web.now))
    path = chain.definition.path
    return web.refused(unknown_object("JobChainNode", f"{path} node {node_id}"))


def _objects(web: WebRequest, kind: str, shapes: Iterator[Json]) -> Response:
    """Answer with a list, or with the one object that is meant."""
    single = web.paths.single
    if single is None:
        return web.answer_rows(Rows(shapes))
    found = next(shapes, None)
    return web.refused(unknown_object(kind, single)) if found is None else web.answer(found)


# --- jobs and tasks ------------------------------------------------------------------------------


async def job(web: WebRequest) -> Response:
    """Handle `/job[/PATH]`."""
    wanted, single = web.wanted or "JobOverview", web.paths.single
    if asks_for_events(web):
        return await events(web, of_kinds(frozenset({"Job", "Task"}), web.paths))
    if single is not None and job_key(single) not in web.state.jobs:
        return web.refused(unknown_object("Job", single))
    if single is not None and wanted == "History":
        return await _job_history(web, job_key(single))
    if single is not None and wanted == "JobDescription":
        definition = web.state.jobs[job_key(single)].definition
        return web.answer({"path": definition.path, "description": definition.description})
    shape = {
        "JobOverview": web_service.job_overview,
        "JobDetailed": web_service.job_detailed,
    }.get(wanted)
    if shape is None:
        return web.unknown_return()
    states, paths, state, now = web.names("state"), web.paths, web.still(), web.now
    rows = (
        shape(state, each, now)
        for _, each in sorted(state.jobs.items())
        if paths.selects(each.definition.path)
        and (states is None or job_state_name(state, each) in states)
    )
    return _objects(web, "Job", rows)


async def _job_history(web: WebRequest, key: JobKey) -> Response:
    limit = min(max(web.number("limit") or 10, 1), HISTORY_LIMIT_MAX)
    found = await web.context.port.task_history(HistoryQuery(job=key, limit=limit))
    return web.answer_rows(Rows(_past_task(entry) for entry in found))


def _past_task(entry: TaskHistoryEntry) -> Json:
    error = present(code=entry.error_code, message=entry.error_text)
    return present(
        taskId=str(entry.task),
        jobPath=entry.job,
        startedAt=time_text(entry.started_at),
        endedAt=time_text(entry.ended_at),
        cause=entry.cause,
        steps=entry.steps,
        exitCode=entry.exit_code,
        error=error if entry.error_code else None,
        agentUri=entry.agent or None,
    )


async def task(web: WebRequest) -> Response:
    """Handle `/task?taskId=`."""
    number = web.number("taskId")
    if number is None:
        raise HTTPException(400, "taskId is missing")
    if asks_for_events(web):
        return await events(web, _of_task(number))
    if web.wanted == "log":
        part = await web.context.port.task_log(TaskId(number), -LOG_BYTES_MAX, LOG_BYTES_MAX)
        return web.refused(unknown_task(number)) if part is None else _log(part.text)
    found = web.state.tasks.get(TaskId(number))
    if found is None:
        return web.refused(unknown_task(number))
    match web.wanted or "TaskOverview":
        case "TaskOverview":
            return web.answer(web_service.task_overview(web.state, found, web.now))
        case "TaskDetailed":
            return web.answer(web_service.task_detailed(web.state, found, web.now))
        case _:
            return web.unknown_return()


def _of_task(number: int) -> Callable[[Json], bool]:
    def is_meant(event: Json) -> bool:
        key = event.get("key")
        is_of_task = isinstance(key, dict) and key.get("taskId") == str(number)
        return is_of_task or event.get("taskId") == str(number)

    return is_meant


# --- process classes -----------------------------------------------------------------------------


async def process_class(web: WebRequest) -> Response:
    """Handle `/processClass[/PATH]`; the default class has the path `/`."""
    wanted = web.wanted or "ProcessClassOverview"
    if asks_for_events(web):
        return await events(web, of_kinds(frozenset({"ProcessClass"}), web.paths))
    shape = {
        "ProcessClassOverview": web_service.process_class_overview,
        "ProcessClassDetailed": web_service.process_class_detailed,
    }.get(wanted)
    if shape is None:
        return web.unknown_return()
    paths: PathQuery = web.paths
    state = web.still()
    rows = (
        shape(state, each)
        for path, each in sorted(state.process_classes.items(), key=_folded)
        if paths.selects(path or "/")
    )
    return _objects(web, "ProcessClass", rows)


def _folded(item: tuple[str, Any]) -> str:
    return item[0].casefold()


# --- routes --------------------------------------------------------------------------------------


def _served(handle: Handler, kind: str | None = None) -> Callable[[Request], Awaitable[Response]]:
    """Return a handler of requests; representations of files are the same for every type."""

    async def serve(request: Request) -> Response:
        web = await web_request(request)
        try:
            if kind is not None and web.wanted in web_files.SHAPES:
                return await web_files.file_based(web, kind)
            return await handle(web)
        except HTTPException as error:
            return web.error(error.detail, error.status_code)

    return serve


def routes() -> list[Route]:
    """Return the routes of the web service, without commands and live files."""
    methods = ["GET", "POST"]
    found = [
        Route(path, _served(handler), methods=methods)
        for path, handler in (
            (BASE, overview),
            (f"{BASE}/", overview),
            (f"{BASE}/event", event),
            (f"{BASE}/task", task),
            (f"{BASE}/agent/", agents),
            (f"{BASE}/scheduler", scheduler),
        )
    ]
    found.append(Route(f"{BASE}/agent/{{path:path}}", one_agent, methods=methods))
    resources = {
        "order": _served(order, "Order"),
        "jobChain": _served(job_chain, "JobChain"),
        "job": _served(job, "Job"),
        "processClass": _served(process_class, "ProcessClass"),
        **{name: _served(web_files.resource(kind)) for name, kind in web_files.RESOURCES.items()},
    }
    for name, handler in resources.items():
        found.append(Route(f"{BASE}/{name}", handler, methods=methods, name=name))
        found.append(Route(f"{BASE}/{name}/{{path:path}}", handler, methods=methods, name=name))
    found.append(Route(f"{BASE}/{{path:path}}", _served(_unknown), methods=methods))
    return found


async def _unknown(web: WebRequest) -> Response:
    return web.error("There is no such resource", 404)
