"""Pages of the classic HTTP interface: `show_log?`, `job_description?`, `show_config?` (1.3)."""

import asyncio
import html
from pathlib import Path
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.kernel.ids import HistoryId, TaskId, job_key
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of
from engine.server.engine_port import HistoryQuery
from engine.server.order_log import shown_run

LOG_BYTES_MAX: Final = 4 * 1024 * 1024
"""Longer logs are shown with their end."""
_PLACES: Final = ("", "/jobscheduler/engine-cpp", "/jobscheduler/master/cpp")


async def show_log(request: Request) -> Response:
    """Handle `show_log?`: the main log, or that of a job, a task or an order."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    query = request.query_params
    if "task" in query:
        title, text = await _task_log(context, query["task"])
    elif "order" in query:
        title, text = await _order_log(context, request)
    elif "job" in query:
        title, text = await _job_log(context, query["job"])
    else:
        title = "Main log"
        text = await asyncio.to_thread(end_of_file, Path(context.facts.log_file))
    page = (
        f"<!DOCTYPE html><html><head><title>{html.escape(title)}</title></head>"
        f"<body><pre>{html.escape(text)}</pre></body></html>"
    )
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'"}
    return Response(page, headers=headers, media_type="text/html")


async def _task_log(context: ServerContext, number: str) -> tuple[str, str]:
    if not (number.isascii() and number.isdecimal()):
        raise HTTPException(400, f"task={number!r} is not a number")
    part = await context.port.task_log(TaskId(int(number)), -LOG_BYTES_MAX, LOG_BYTES_MAX)
    if part is None:
        raise HTTPException(404, f"There is no task {number}")
    return f"Task {number}", part.text


async def _job_log(context: ServerContext, path: str) -> tuple[str, str]:
    """Return the log of the job's last task."""
    if job_key(path) not in context.port.state.jobs:
        raise HTTPException(404, f"There is no job {path}")
    found = await context.port.task_history(HistoryQuery(job=job_key(path), limit=1))
    if not found:
        return f"Job {path}", ""
    _, text = await _task_log(context, str(found[0].task))
    return f"Job {path}, task {found[0].task}", text


async def _order_log(context: ServerContext, request: Request) -> tuple[str, str]:
    chain, order_id = request.query_params.get("job_chain", ""), request.query_params["order"]
    history_text = request.query_params.get("history_id", "")
    is_run = history_text.isascii() and history_text.isdecimal()
    history = HistoryId(int(history_text)) if is_run else None
    about = await shown_run(context, chain, order_id, history)
    if about is None:
        raise HTTPException(404, f"There is no run of the order {order_id}")
    return f"Order {order_id}", await context.port.order_log(about, LOG_BYTES_MAX)


def end_of_file(path: Path) -> str:
    """Return the end of a log, nothing when there is none."""
    try:
        with path.open("rb") as opened:
            size = opened.seek(0, 2)
            opened.seek(max(0, size - LOG_BYTES_MAX))
            return opened.read().decode(errors="replace")
    except OSError:
        return ""


async def job_description(request: Request) -> Response:
    """Handle `job_description?job=PATH`: as HTML if the client wants that."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    path = request.query_params.get("job", "")
    job = context.port.state.jobs.get(job_key(path))
    if job is None or not job.definition.description:
        raise HTTPException(404, f"There is no description of the job {path}")
    wants_html = "text/html" in request.headers.get("accept", "")
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": "default-src 'none'"}
    kind = "text/html" if wants_html else "text/plain"
    return Response(job.definition.description, headers=headers, media_type=kind)


async def show_config(request: Request) -> Response:
    """Handle `show_config?`: `scheduler.xml` as it is; it may hold secrets."""
    context = context_of(request)
    await context.admit(request, Role.ADMIN)
    file = context.facts.config_file
    if not file:
        raise HTTPException(404, "The engine has no scheduler.xml")
    try:
        data = await asyncio.to_thread(Path(file).read_bytes)
    except OSError as error:
        raise HTTPException(404, f"{file} cannot be read: {error.strerror}") from error
    headers = {"Cache-Control": "no-store"}
    return Response(data, headers=headers, media_type="text/xml")


ROUTES: Final = [
    Route(f"{place}/{name}", handler, methods=["GET"])
    for place in _PLACES
    for name, handler in (
        ("show_log", show_log),
        ("job_description", job_description),
        ("show_config", show_config),
    )
]
