"""The agent's HTTP interface (agents.md 2): translate, ask the service, translate back."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from engine.agent import file_commands, views
from engine.agent.access import Access
from engine.agent.content_forms import ContentForms
from engine.agent.login_sessions import HEADER as SESSION_HEADER
from engine.agent.login_sessions import LoginSessions
from engine.agent.questions import ask_host
from engine.agent.service import AgentService
from engine.agent.settings import AgentSettings
from engine.codec import agent_wire
from engine.codec.agent_messages import Channel, Refusal
from engine.codec.records import parse_json
from engine.errors import CodecError
from engine.kernel.instants import Instant

BODY_BYTES_MAX = 64 * 1024 * 1024
"""Of one request: scripts with their includes and environments, in batches."""
LOG_BYTES_MAX = 1_000_000
_NO_CACHE = {"Cache-Control": "max-age=0, no-store, no-cache"}
_NEVER_S = 31 * 86_400
"""A kill time of a month or more means never (agents.md 2.2)."""

Handler = Callable[[Request], Awaitable[Response]]


class AgentApp:
    """The routes of one agent; `ends` is called when a command ends the program."""

    def __init__(
        self,
        service: AgentService,
        settings: AgentSettings,
        started_at: Instant,
        ends: Callable[[bool, float | None], None],
        aborts: Callable[[], None],
    ) -> None:
        self._service = service
        self._started_at = started_at
        self._ends = ends
        self._aborts = aborts
        self._home = settings.data
        self._commands = 0
        self._is_ending = False
        prefix = "/" + settings.uri_prefix.strip("/") if settings.uri_prefix.strip("/") else ""
        self._logins = LoginSessions()
        self.asgi = Access(
            ContentForms(Starlette(routes=self._routes(prefix), exception_handlers=_FAULTS)),
            token=settings.token,
            trusts_loopback=settings.trusts_loopback,
            sessions=self._logins,
        )

    def _routes(self, prefix: str) -> list[Route]:
        api = prefix + agent_wire.AGENT_API
        gets: dict[str, Handler] = {
            "": self._overview,
            "/": self._overview,
            "/overview": self._overview,
            "/overview/extra": self._extra,
            "/task": self._task_counts,
            "/task/": self._tasks,
            "/task/{number}": self._task,
            "/task/{number}/log": self._task_log,
            "/command": self._command_counts,
            "/command/": self._running_commands,
            "/tunnel": self._tunnel_counts,
            "/tunnel/": self._tunnels,
            "/fileExists": self._file_exists,
        }
        posts: dict[str, Handler] = {
            "/session/{engine:path}": self._session,
            "/command": self._command,
        }
        return [
            *(Route(api + path, handler, methods=["GET"]) for path, handler in gets.items()),
            *(Route(api + path, handler, methods=["POST"]) for path, handler in posts.items()),
            Route(prefix + "/jobscheduler/engine", _is_no_engine),
            Route(prefix + "/jobscheduler/engine/{rest:path}", _is_no_engine),
        ]

    # --- the protocol ----------------------------------------------------------------------------

    async def _session(self, request: Request) -> Response:
        wanted = agent_wire.session_request.from_json(await _body(request))
        answer = await self._service.session(wanted)
        if isinstance(answer, Refusal):
            return _refused(answer)
        if agent_wire.is_heartbeat(answer):
            return Response(
                status_code=HTTPStatus.ACCEPTED, headers=agent_wire.heartbeat_headers(answer)
            )
        return _json_bytes(agent_wire.session_answer.to_json(answer))

    async def _command(self, request: Request) -> Response:
        self._commands += 1
        data = parse_json(await _body(request))
        if not isinstance(data, dict):
            raise CodecError("a command is an object")
        kind = data.pop("$TYPE", None)
        match kind:
            case agent_wire.COMMAND_TYPE:
                answer = self._service.command(agent_wire.command_request.from_builtins(data))
                if isinstance(answer, Refusal):
                    return _refused(answer)
                return _json_bytes(agent_wire.command_answer.to_json(answer))
            case "NoOperation":
                return JSONResponse({})
            case "Login" | "Logout":
                return self._log_in_or_out(kind, request.headers.get(SESSION_HEADER.decode()))
            case "RequestFileOrderSourceContent" | "DeleteFile" | "MoveFile":
                return await _files(kind, data, request)
            case "AskHost":
                return JSONResponse(await ask_host(self._home, data))
            case "Terminate":
                return self._terminate(data)
            case "AbortImmediately":
                self._aborts()
                return JSONResponse({})
            case _:
                return PlainTextResponse(f"Unknown command {kind!r}\n", HTTPStatus.BAD_REQUEST)

    def _log_in_or_out(self, kind: str, session: str | None) -> Response:
        if kind == "Logout":
            self._logins.logout(session)
            return JSONResponse({})
        return JSONResponse({"sessionToken": {"secret": self._logins.login(session)}})

    def _terminate(self, data: Mapping[str, Any]) -> Response:
        if self._is_ending:
            return PlainTextResponse("The agent is terminating already\n", HTTPStatus.BAD_REQUEST)
        after = data.get("sigkillProcessesAfter")
        kill_after = None if after is None else file_commands.seconds_of(after)
        if kill_after is not None and kill_after >= _NEVER_S:
            kill_after = None
        self._is_ending = True
        self._ends(bool(data.get("sigtermProcesses", False)), kill_after)
        return JSONResponse({})

    # --- views -----------------------------------------------------------------------------------

    async def _overview(self, _: Request) -> Response:
        return _view(views.overview(self._service.ledger, self._started_at))

    async def _extra(self, _: Request) -> Response:
        return _view(views.details(self._service.ledger, self._service.ledger_id, os.getpid()))

    async def _task_counts(self, _: Request) -> Response:
        return _view(views.task_counts(self._service.ledger))

    async def _tasks(self, _: Request) -> Response:
        return _view(views.tasks(self._service.ledger, self._service.host))

    async def _task(self, request: Request) -> Response:
        number = request.path_params["number"]
        found = views.find_task(self._service.ledger, self._service.host, number)
        if found is None:
            return PlainTextResponse(f"Unknown task {number!r}\n", HTTPStatus.NOT_FOUND)
        return _view(views.task(found, number))

    async def _task_log(self, request: Request) -> Response:
        number = request.path_params["number"]
        found = views.find_task(self._service.ledger, self._service.host, number)
        if found is None:
            return PlainTextResponse(f"Unknown task {number!r}\n", HTTPStatus.NOT_FOUND)
        try:
            channel = Channel(request.query_params.get("channel", Channel.STDOUT.value))
            offset = int(request.query_params.get("from", "0"))
        except ValueError as error:
            raise CodecError(str(error)) from error
        data = self._service.host.read(found.key, channel, max(0, offset), LOG_BYTES_MAX)
        return Response(data, media_type="text/plain; charset=utf-8", headers=_NO_CACHE)

    async def _command_counts(self, _: Request) -> Response:
        return _view({"totalCommandCount": self._commands, "currentCommandCount": 0})

    async def _running_commands(self, _: Request) -> Response:
        return _view([])

    async def _tunnel_counts(self, _: Request) -> Response:
        return _view({"tcpAddress": "", "tunnelCount": len(self._service.ledger.sessions)})

    async def _tunnels(self, _: Request) -> Response:
        sessions = self._service.ledger.sessions.values()
        return _view([{"id": session.engine, "startedByHttpIp": ""} for session in sessions])

    async def _file_exists(self, request: Request) -> Response:
        file = request.query_params.get("file")
        if not file:
            raise CodecError("the parameter file is missing")
        exists = await asyncio.to_thread(Path(file).exists)
        return JSONResponse(exists, headers=_NO_CACHE)


async def _files(kind: str, data: Mapping[str, Any], request: Request) -> Response:
    try:
        match kind:
            case "DeleteFile":
                answer = await file_commands.delete(data)
            case "MoveFile":
                answer = await file_commands.move(data)
            case _:
                answer = await file_commands.content(data, request.is_disconnected)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        text = f"{error.strerror or error}{where}\n"
        return PlainTextResponse(text, HTTPStatus.BAD_REQUEST)
    return JSONResponse(answer)


async def _body(request: Request) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES_MAX:
            raise CodecError(f"the request is longer than {BODY_BYTES_MAX} bytes")
        parts.append(part)
    return b"".join(parts)


def _refused(refusal: Refusal) -> Response:
    status = agent_wire.REFUSAL_STATUS[refusal.reason]
    return _json_bytes(agent_wire.refusal.to_json(refusal), status)


def _json_bytes(data: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(data, status_code=status, media_type=agent_wire.JSON_TYPE)


def _view(data: Any) -> Response:
    return JSONResponse(data, headers={"Cache-Control": "max-age=0"})


async def _is_no_engine(_: Request) -> Response:
    return PlainTextResponse(
        "This is an agent, not an engine: its address belongs into a process class as an agent\n",
        HTTPStatus.NOT_FOUND,
    )


async def _bad_request(_: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", HTTPStatus.BAD_REQUEST)


_FAULTS: dict[Any, Any] = {CodecError: _bad_request}
