"""XML commands over HTTP: POST, and GET for commands that only show (xml-commands.md 1.3, 1.4).

A failed command is answered with status 200 and `<ERROR>`: clients look there. At the classic
paths answers are `text/xml` in ISO-8859-1 as those of the original, since old clients take them
for that without looking; characters that it lacks are references. The web service answers UTF-8.
"""

import re
from typing import Final
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.codec.xml.answers import SCHEMA_ERROR, answer_bytes, answer_document
from engine.codec.xml.commands import as_element
from engine.kernel.problems import Problem
from engine.server.auth import Role
from engine.server.context import context_of
from engine.server.xml_execution import Aborted, Client, client_with, encoding_of

MASTER_PATH: Final = "/jobscheduler/master/api/command"
ENGINE_PATH: Final = "/jobscheduler/engine/command"
_FORM_TYPES: Final = frozenset(
    {"text/plain", "application/x-www-form-urlencoded", "multipart/form-data"}
)
"""What a browser sends for forms: refused where the original refuses them (JS-1670)."""
_OWN_PATHS: Final = ("/api", "/health", "/metrics", "/jobscheduler/master")
_CLASSIC: Final = "ISO-8859-1"
_MEDIA_TYPES: Final = {
    _CLASSIC: "text/xml; charset=iso-8859-1",
    "UTF-8": "application/xml; charset=utf-8",
}
_CHARSET = re.compile(r"charset\s*=\s*\"?([A-Za-z0-9._-]+)")


async def master_post(request: Request) -> Response:
    """Handle POST at the path of the web service: no types of browser forms."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind in _FORM_TYPES:
        raise HTTPException(403, f"The content type {kind} is refused; send application/xml")
    return await _post(request, "UTF-8")


async def engine_post(request: Request) -> Response:
    """Handle POST at the classic paths: whatever content type old clients send."""
    return await _post(request, _CLASSIC)


async def classic_post(request: Request) -> Response:
    """Handle POST at any other path, as the TCP port of the original does."""
    if request.url.path.startswith(_OWN_PATHS):
        raise HTTPException(405, f"{request.url.path} takes no POST")
    return await _post(request, _CLASSIC)


async def _post(request: Request, encoding: str) -> Response:
    context = context_of(request)
    caller = await context.admit(request, Role.READ_ONLY)
    data = await context.body(request)
    if data is None:
        limit = context.request_bytes_max
        problem = Problem(code=SCHEMA_ERROR, text=f"More than {limit} bytes are not read")
        document = answer_document((), context.port.now(), problem)
        return _answer(answer_bytes(document, encoding=encoding), encoding)
    large = context.commands.large
    deferred = large.deferred()
    found = _CHARSET.search(request.headers.get("content-type", ""))
    try:
        document = await context.commands.execute(
            data,
            client_with(caller.role, caller.name),
            encoding=encoding_of(data, None if found is None else found[1]),
            deferred=deferred,
        )
    except Aborted:
        return Response(status_code=204)
    return _answer(await large.text(document, deferred, encoding=encoding), encoding)


async def get(request: Request) -> Response:
    """Handle `GET …?command=XML` at the web service: commands that only show."""
    return await _get(request, "UTF-8")


async def engine_get(request: Request) -> Response:
    """Handle `GET …?command=XML` at the path of the classic GUI."""
    return await _get(request, _CLASSIC)


async def _get(request: Request, encoding: str) -> Response:
    context = context_of(request)
    caller = await context.admit(request, Role.READ_ONLY)
    others = sorted(set(request.query_params) - {"command"})
    if others:
        raise HTTPException(400, f"The parameter {others[0]!r} is not known; there is: command")
    text = as_element(request.query_params.get("command", "s"))
    return await _shown(request, text, client_with(caller.role, caller.name), encoding)


async def get_path(request: Request) -> Response:
    """Handle `GET /<show_state/>` of very old clients: the command is the path."""
    context = context_of(request)
    caller = await context.admit(request, Role.READ_ONLY)
    text = unquote(request.url.path.lstrip("/"), errors="replace")
    if ".." in text.split("/"):
        raise HTTPException(403, "SCHEDULER-214 A path must not contain '..'")
    if not text.startswith("<"):
        raise HTTPException(404, f"There is nothing at {request.url.path}")
    return await _shown(request, text, client_with(caller.role, caller.name), _CLASSIC)


async def _shown(request: Request, text: str, client: Client, encoding: str) -> Response:
    commands = context_of(request).commands
    deferred = commands.large.deferred()
    document = await commands.execute(
        text.encode(), client, encoding="utf-8", only_shows=True, deferred=deferred
    )
    error = document.find("answer/ERROR")
    status = 200
    if error is not None and error.get("code") == SCHEMA_ERROR:
        status = 400
    elif error is not None and error.get("code") == "SCHEDULER-121":
        status = 403
    answer = await commands.large.text(document, deferred, encoding=encoding)
    return _answer(answer, encoding, status)


def _answer(text: bytes, encoding: str, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(text, status, headers, media_type=_MEDIA_TYPES[encoding])


ROUTES: Final = [
    Route(MASTER_PATH, master_post, methods=["POST"]),
    Route(MASTER_PATH, get, methods=["GET"]),
    Route(ENGINE_PATH, engine_post, methods=["POST"]),
    Route(f"{ENGINE_PATH}/", engine_post, methods=["POST"]),
    Route(ENGINE_PATH, engine_get, methods=["GET"]),
]

CLASSIC_ROUTES: Final = [
    Route("/{command:path}", get_path, methods=["GET"]),
    Route("/{anything:path}", classic_post, methods=["POST"]),
]
"""The paths of JobScheduler's TCP port: every one that nobody else serves (1.3)."""
