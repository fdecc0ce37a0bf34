"""A request of the web service: parameters of the URL or of a JSON body (xml-commands.md 9)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.codec.json_api import parse_object
from engine.codec.still_state import still_state
from engine.codec.streamed_json import Json, Rows
from engine.codec.web_query import ChainQuery, OrderQuery, PathQuery, path_query
from engine.errors import CodecError
from engine.kernel.ids import job_key
from engine.kernel.instants import Instant
from engine.kernel.problems import Problem
from engine.kernel.state import State
from engine.server import web_answers
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of

BASE: Final = "/jobscheduler/master/api"
TIMEOUT_S_MAX: Final = 600.0
_DURATION = re.compile(r"(?:PT)?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S?)?", re.IGNORECASE)
_DIGITS_MAX: Final = 18


class WebRequest:
    """What is asked for, and the ways to answer it."""

    def __init__(self, request: Request, context: ServerContext, values: Mapping[str, Any]) -> None:
        self.context = context
        self._request = request
        self._values = values
        self._event_id: int | None = None

    # --- parameters --------------------------------------------------------------------------

    @property
    def wanted(self) -> str:
        """The `return=` parameter."""
        return str(self._values.get("return") or "")

    @property
    def object_path(self) -> str:
        """The path part of the URL, or the only one of `path` and `paths`, as written."""
        names = self._named_paths()
        return names[0] if len(names) == 1 else ""

    @property
    def paths(self) -> PathQuery:
        """Which objects are meant: by the URL, or by `path` and `paths`."""
        return path_query("|".join(self._named_paths()))

    def _named_paths(self) -> list[str]:
        path = str(self._request.path_params.get("path", "")) or self.text("path")
        return [path] if path else sorted(self.names("paths") or ())

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
        text = str(value)
        digits = text.removeprefix("-")
        if not digits.isascii() or not digits.isdecimal() or len(digits) > _DIGITS_MAX:
            raise HTTPException(400, f"{name}={text[:40]!r} is not a whole number")
        return int(text)

    def seconds(self, name: str) -> float:
        """Return a duration: `60`, `60s` or ISO 8601 `PT1M`; 0 when absent."""
        text = (self.text(name) or "0").strip()
        found = _DURATION.fullmatch(text)
        if found is None or not any(found.groups()):
            raise HTTPException(400, f"{name}={text[:40]!r} is not a duration")
        hours, minutes, rest = (float(part or 0) for part in found.groups())
        return min(hours * 3600 + minutes * 60 + rest, TIMEOUT_S_MAX)

    def chains(self) -> ChainQuery:
        """Return which job chains are meant."""
        return ChainQuery(
            paths=self.paths,
            is_distributed=self.flag("isDistributed"),
            is_stopped=self.flag("isStopped"),
        )

    def orders(self) -> OrderQuery:
        """Return which orders are meant."""
        jobs = self.names("jobPaths")
        return OrderQuery(
            chains=self.chains(),
            order_ids=self.names("orderIds"),
            node_ids=self.names("nodeIds"),
            job_paths=None if jobs is None else frozenset(job_key(path) for path in jobs),
            source_types=self.names("isOrderSourceType"),
            processing_states=self.names("isOrderProcessingState"),
            or_is_suspended=self.flag("orIsSuspended") is True,
            is_suspended=self.flag("isSuspended"),
            is_setback=self.flag("isSetback"),
            is_blacklisted=self.flag("isBlacklisted"),
            not_in_task_per_node_max=self.number("notInTaskLimitPerNode"),
        )

    # --- the state ---------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """The live state; never to be kept over an `await`."""
        return self.context.port.state

    @property
    def now(self) -> Instant:
        """The engine's present time."""
        return self.context.port.now()

    def still(self) -> State:
        """Return the state of this moment, for answers that take longer."""
        self._event_id = self.context.web_events.last_id
        return still_state(self.context.port.state)

    # --- answers -----------------------------------------------------------------------------

    def answer(self, content: Json) -> Response:
        """Answer with an object, as of the newest event that it knows."""
        as_of = self.context.web_events.last_id if self._event_id is None else self._event_id
        whole: Json = {"eventId": as_of} | content
        return web_answers.answer(self._request, whole, BASE)

    def answer_rows(self, rows: Rows, name: str = "elements") -> Response:
        """Answer with a list, as of the newest event."""
        return self.answer({name: rows})

    def refused(self, problem: Problem) -> Response:
        """Answer with an error: code and text with one blank between them (9.1)."""
        return self.error(f"{problem.code} {problem.text}")

    def error(self, text: str, status: int = 400) -> Response:
        """Answer with an error."""
        return web_answers.error(self._request, text, BASE, status)

    def unknown_return(self) -> Response:
        """Answer that there is no such representation."""
        return self.error(f"return={self.wanted[:200]!r} is not known here")


async def web_request(request: Request) -> WebRequest:
    """Let a request in and read it; right afterwards the state is durable."""
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
    return WebRequest(request, context, values)
