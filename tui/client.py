"""The engine over HTTP: a Unix socket or an address. The only place for httpx.

Everything that goes out has a time limit. What comes back is parsed here, once; whoever calls sees
kernel values. Importing this module is cheap: httpx and the codecs are loaded with the first call.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from engine.errors import CodecError
from engine.kernel.commands import Request
from engine.kernel.ids import (
    AgentUri,
    EventNumber,
    HistoryId,
    JobKey,
    NodeState,
    OrderId,
    OrderKey,
    TaskId,
    chain_key,
    job_key,
)
from engine.kernel.instants import Duration, Instant, from_datetime, to_datetime
from engine.kernel.problems import Problem
from engine.kernel.reports import AgentStatus
from engine.kernel.state import State
from tui.answers import Person, Trial, person_of_row, trial_of_row
from tui.known_engines import KnownEngine
from tui.mirror import AgentPulse, Fact, FinishedRun, FinishedTask
from tui.remote import (
    AuditLine,
    HostLook,
    SignalAnswer,
    SignalAsked,
    answer_of_row,
    audit_of_row,
    host_of_row,
)

if TYPE_CHECKING:
    import httpx

ANSWER_S = 20.0
"""For everything but the event stream."""
CONNECT_S = 5.0
SILENCE_S = 40.0
"""The engine sends a sign of life every 15 s; a stream silent for so long is dead."""
HISTORY_MAX = 500


class EngineAway(Exception):  # says what is the case
    """The engine cannot be reached, or has gone; the text says why."""


class NotAdmitted(Exception):  # says what is the case
    """The engine answers, but does not let us in."""


class SnapshotNeeded(Exception):  # says what to do
    """The stream cannot go on from where we are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The whole state as of one event."""

    state: State
    number: EventNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A request was carried out."""

    number: EventNumber
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """An engine at a glance."""

    engine_id: str
    version: str
    running: int
    """Tasks."""
    orders: int
    is_paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPart:
    """A piece of a task's log."""

    text: str
    offset: int
    next_offset: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWish:
    """Which lines of a log are wanted."""

    words: str = ""
    """`error|warn`: lines with one of these texts; empty: all."""
    without: str = ""
    """None with one of these."""
    since: Instant | None = None
    """Only what may have been written since then."""
    offset: int = 0
    limit: int = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLines:
    """Lines picked from a log."""

    lines: tuple[str, ...]
    """The last ones."""
    matched: int
    total: int
    next_offset: int
    at_end: bool
    complete: bool


class EngineClient(Protocol):
    """What the cockpit needs of an engine."""

    @property
    def address(self) -> str:
        """Where the engine is, for people."""
        ...

    async def snapshot(self) -> Snapshot:
        """Return the whole state. Raises EngineAway, NotAdmitted."""
        ...

    async def pulses(self) -> tuple[Instant, list[AgentPulse]]:
        """Return the engine's time and the last sign of life of each agent."""
        ...

    def notices(self, after: EventNumber) -> AsyncGenerator[Fact | AgentPulse, None]:
        """Follow events and pulses. Raises EngineAway, SnapshotNeeded, NotAdmitted."""
        ...

    async def ask(self, request: Request, reason: str = "") -> Accepted | Problem:
        """Have a request carried out; the reason goes into the journal. Raises EngineAway."""
        ...

    async def try_request(self, request: Request) -> Trial:
        """Return what would come of a request. Raises EngineAway, NotAdmitted."""
        ...

    async def me(self) -> Person | None:
        """Return who we are to the engine; None when it does not say. Raises EngineAway."""
        ...

    async def task_log(self, task: TaskId, offset: int, limit: int) -> LogPart | None:
        """Return a piece of a log; a negative offset counts from the end."""
        ...

    async def log_lines(self, task: TaskId, wish: LogWish) -> LogLines | None:
        """Return lines of a log, picked by the engine from the whole of it."""
        ...

    async def past_runs(self) -> list[FinishedRun]:
        """Return finished runs of orders, newest first."""
        ...

    async def past_tasks(
        self, *, order: OrderKey | None = None, job: JobKey | None = None
    ) -> list[FinishedTask]:
        """Return finished tasks, newest first: all, those of an order, or those of a job."""
        ...

    async def order_log(self, order: OrderKey) -> str:
        """Return what happened to an order in its present or last run; empty: not known."""
        ...

    async def overview(self) -> Overview:
        """Return the engine at a glance. Raises EngineAway, NotAdmitted."""
        ...

    async def processes(self) -> list[HostLook] | None:
        """Return the remote hosts, and have them looked at; None without such a service."""
        ...

    async def host_processes(
        self, host: str, *, everyone: bool = False, refresh: bool = False
    ) -> HostLook | None:
        """Return a host with its processes; None when it is not in the list any more."""
        ...

    async def signal(self, asked: SignalAsked) -> SignalAnswer:
        """Have processes of a host signalled, or told what would be. Raises EngineAway."""
        ...

    async def process_audit(self, limit: int) -> list[AuditLine]:
        """Return the last attempts to signal something, newest first."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


class HttpEngine:
    """An engine behind a Unix socket or an `http://` address."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self._address = address
        self._token = token
        self._client: httpx.AsyncClient | None = None

    @property
    def address(self) -> str:
        """Where the engine is, for people."""
        return self._address

    @property
    def _is_url(self) -> bool:
        return self._address.startswith(("http://", "https://"))

    async def _http(self) -> "httpx.AsyncClient":
        if self._client is None:
            self._client = await asyncio.to_thread(self._build)
        return self._client

    def _build(self) -> "httpx.AsyncClient":
        # Its command line brings click and Pygments along, 4 MB that nobody here uses.
        sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # "not to be had"
        import httpx  # noqa: PLC0415  # the first frame does not wait for it

        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        # On a socket there is nobody to verify; reading all authorities takes its time.
        transport = (
            None
            if self._is_url
            else httpx.AsyncHTTPTransport(uds=self._address, verify=False)  # no TLS
        )
        base = self._address if self._is_url else "http://engine"
        return httpx.AsyncClient(
            base_url=base,
            headers=headers,
            transport=transport,
            verify=self._address.startswith("https://"),
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
            # The engine is near or behind a proxy of its own; the environment's is for the web.
            trust_env=False,
        )

    async def _get(self, path: str, **query: Any) -> "httpx.Response":
        import httpx  # noqa: PLC0415

        client = await self._http()
        try:
            answer = await client.get(path, params=query)
        except (httpx.HTTPError, OSError) as error:
            raise EngineAway(_reason(error)) from error
        return _admitted(answer)

    async def snapshot(self) -> Snapshot:
        """Return the whole state. Raises EngineAway, NotAdmitted."""
        # The codecs are loaded while the engine writes its snapshot.
        answer, decode = await asyncio.gather(
            self._get("/api/snapshot"), asyncio.to_thread(_snapshot_decoder)
        )
        number = EventNumber(int(_found(answer).headers.get("X-Event-Number", "0")))
        try:
            state = await asyncio.to_thread(decode, answer.content)
        except CodecError as error:
            raise EngineAway(f"its snapshot cannot be read: {error}") from error
        return Snapshot(state=state, number=number)

    async def pulses(self) -> tuple[Instant, list[AgentPulse]]:
        """Return the engine's time and the last sign of life of each agent."""
        data = _found(await self._get("/api/agents")).json()
        now = _instant(data.get("time")) or Instant(0)
        return now, [_pulse_of_row(row) for row in data["agents"] if "heartbeat_period_ms" in row]

    async def notices(self, after: EventNumber) -> AsyncGenerator[Fact | AgentPulse, None]:
        """Follow events and pulses. Raises EngineAway, SnapshotNeeded, NotAdmitted."""
        import httpx  # noqa: PLC0415
        import httpx_sse  # noqa: PLC0415

        client = await self._http()
        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        decode = FactDecoder()
        try:
            async with httpx_sse.aconnect_sse(
                client, "GET", "/api/events", params={"after": after}, timeout=timeout
            ) as source:
                if source.response.status_code == httpx.codes.GONE:
                    raise SnapshotNeeded
                _found(_admitted(source.response))
                async for frame in source.aiter_sse():
                    notice = decode.notice(frame.event, frame.data)
                    if notice is not None:
                        yield notice
        except (httpx.HTTPError, httpx_sse.SSEError, OSError) as error:
            raise EngineAway(_reason(error)) from error
        except CodecError as error:
            raise SnapshotNeeded from error

    async def ask(self, request: Request, reason: str = "") -> Accepted | Problem:
        """Have a request carried out; the reason goes into the journal. Raises EngineAway."""
        data, status = await self._post("/api/command", request, reason)
        if "accepted" in data:
            accepted = data["accepted"]
            return Accepted(number=EventNumber(accepted["number"]), subject=accepted["subject"])
        return _problem(data, status)

    async def try_request(self, request: Request) -> Trial:
        """Return what would come of a request. Raises EngineAway, NotAdmitted."""
        data, status = await self._post("/api/try", request)
        if status != 200:
            return Trial(refusal=str(_problem(data, status)))
        return trial_of_row(data)

    async def _post(
        self, path: str, request: Request, reason: str = ""
    ) -> tuple[Mapping[str, Any], int]:
        import httpx  # noqa: PLC0415

        from engine.codec.json_api import REQUESTS  # noqa: PLC0415
        from engine.codec.records import dump_json  # noqa: PLC0415

        client = await self._http()
        body = dump_json(REQUESTS.to_builtins(request))  # type: ignore[arg-type]  # public ones only
        query = {"reason": reason} if reason else {}
        kind = {"Content-Type": "application/json"}
        try:
            answer = await client.post(path, content=body, headers=kind, params=query)
            return answer.json(), answer.status_code
        except (httpx.HTTPError, OSError) as error:
            raise EngineAway(_reason(error)) from error
        except ValueError as error:
            raise EngineAway(f"its answer has the status {answer.status_code}") from error

    async def me(self) -> Person | None:
        """Return who we are to the engine; None when it does not say. Raises EngineAway."""
        answer = await self._get("/api/me")
        return person_of_row(answer.json()) if answer.status_code == 200 else None

    async def task_log(self, task: TaskId, offset: int, limit: int) -> LogPart | None:
        """Return a piece of a log; a negative offset counts from the end."""
        answer = await self._get(f"/api/tasks/{task}/log", offset=offset, limit=limit)
        if answer.status_code != 200:
            return None
        data = answer.json()
        return LogPart(
            text=data["text"],
            offset=data["offset"],
            next_offset=data["next_offset"],
            complete=data["complete"],
        )

    async def log_lines(self, task: TaskId, wish: LogWish) -> LogLines | None:
        """Return lines of a log, picked by the engine from the whole of it."""
        query: dict[str, Any] = {"offset": wish.offset, "limit": wish.limit}
        if wish.words:
            query["words"] = wish.words
        if wish.without:
            query["without"] = wish.without
        if wish.since is not None:
            query["since"] = to_datetime(wish.since).isoformat()
        answer = await self._get(f"/api/tasks/{task}/log/lines", **query)
        if answer.status_code == 404:
            if "problem" not in answer.text:
                raise EngineAway("it is an older one and cannot look through logs; try -e TEXT")
            return None
        if answer.status_code == 400:
            raise EngineAway(f"it does not take this filter: {answer.text[:200]}")
        data = _found(answer).json()
        return LogLines(
            lines=tuple(data["lines"]),
            matched=data["matched"],
            total=data["total"],
            next_offset=data["next_offset"],
            at_end=data["at_end"],
            complete=data["complete"],
        )

    async def past_runs(self) -> list[FinishedRun]:
        """Return finished runs of orders, newest first."""
        answer = await self._get("/api/history/orders", limit=HISTORY_MAX)
        if answer.status_code != 200:
            return []
        rows = answer.json()["orders"]
        return [run for run in (_run_of_row(row) for row in rows) if run is not None]

    async def past_tasks(
        self, *, order: OrderKey | None = None, job: JobKey | None = None
    ) -> list[FinishedTask]:
        """Return finished tasks, newest first."""
        wanted: dict[str, str] = {} if job is None else {"job": job}
        if order is not None:
            wanted |= {"chain": order.chain, "order": order.id}
        answer = await self._get("/api/history/tasks", limit=HISTORY_MAX, **wanted)
        if answer.status_code != 200:
            return []
        rows = answer.json()["tasks"]
        return [task for task in (_task_of_row(row) for row in rows) if task is not None]

    async def order_log(self, order: OrderKey) -> str:
        """Return what happened to an order in its present or last run."""
        answer = await self._get("/api/orders/log", chain=order.chain, order=order.id)
        return str(answer.json().get("text") or "") if answer.status_code == 200 else ""

    async def overview(self) -> Overview:
        """Return the engine at a glance. Raises EngineAway, NotAdmitted."""
        row = _found(await self._get("/api/overview")).json()
        return Overview(
            engine_id=str(row.get("engine_id") or ""),
            version=str(row.get("version") or ""),
            running=int(row.get("tasks_running") or 0),
            orders=int(row.get("orders") or 0),
            is_paused=row.get("state") == "paused",
        )

    async def processes(self) -> list[HostLook] | None:
        """Return the remote hosts, and have them looked at; None without such a service."""
        answer = await self._get("/api/processes")
        if answer.status_code == 404:
            return None
        return [host_of_row(row) for row in _found(answer).json()["hosts"]]

    async def host_processes(
        self, host: str, *, everyone: bool = False, refresh: bool = False
    ) -> HostLook | None:
        """Return a host with its processes; None when it is not in the list any more."""
        query = {name: "true" for name, on in (("all", everyone), ("refresh", refresh)) if on}
        answer = await self._get(_host_path(host), **query)
        if answer.status_code == 404:
            return None
        return replace(host_of_row(_found(answer).json()), is_everyone=everyone)

    async def signal(self, asked: SignalAsked) -> SignalAnswer:
        """Have processes of a host signalled, or told what would be. Raises EngineAway."""
        import httpx  # noqa: PLC0415

        client = await self._http()
        timeout = httpx.Timeout(asked.patience_s, connect=CONNECT_S)
        try:
            answer = await client.post(
                f"{_host_path(asked.subject.host)}/signal", json=asked.body(), timeout=timeout
            )
            data = answer.json()
        except (httpx.HTTPError, OSError) as error:
            raise EngineAway(_reason(error)) from error
        except ValueError as error:
            raise EngineAway(f"its answer has the status {answer.status_code}") from error
        if "result" not in data:
            return SignalAnswer(outcome="refused", text=_problem(data, answer.status_code).text)
        return answer_of_row(data["result"])

    async def process_audit(self, limit: int) -> list[AuditLine]:
        """Return the last attempts to signal something, newest first."""
        answer = await self._get("/api/process-audit", limit=limit)
        if answer.status_code == 404:
            return []
        return [audit_of_row(row) for row in _found(answer).json()["records"]]

    async def close(self) -> None:
        """Let go of connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def connection(engine: KnownEngine) -> EngineClient:
    """Return a client for an engine of the settings. Raises SettingsProblem."""
    return HttpEngine(engine.address, engine.read_token())


# --- parsing -------------------------------------------------------------------------------------


class FactDecoder:
    """Turns frames of the stream into facts and pulses."""

    def __init__(self) -> None:
        from engine.codec.journal import JOURNAL  # noqa: PLC0415
        from engine.codec.records import codec_for, parse_json  # noqa: PLC0415

        self._journal = JOURNAL
        self._parse = parse_json
        self._pulses = codec_for(AgentPulse)

    def notice(self, name: str, data: str) -> Fact | AgentPulse | None:
        """Return what a frame says; None for a kind that we do not know."""
        if name == "pulse":
            return self._pulses.from_json(data.encode())
        return self.fact(data) if name == "fact" else None

    def fact(self, data: str) -> Fact:
        """Return an event of the journal. Raises CodecError."""
        row = self._parse(data.encode(errors="surrogateescape"))
        return Fact(
            number=EventNumber(row["number"]),
            at=Instant(row["at"]),
            event=self._journal.decode_builtins(row["kind"], row["body"]),
            cause=row.get("cause") or "",
        )


def _host_path(host: str) -> str:
    return f"/api/processes/{quote(host, safe='@:')}"


def _snapshot_decoder() -> Callable[[bytes], State]:
    from engine.codec.snapshot import state_from_snapshot  # noqa: PLC0415

    return state_from_snapshot


def _admitted(answer: "httpx.Response") -> "httpx.Response":
    if answer.status_code in {401, 403}:
        raise NotAdmitted(f"the engine refuses us ({answer.status_code}): a token is needed")
    return answer


def _found(answer: "httpx.Response") -> "httpx.Response":
    if answer.status_code != 200:
        raise EngineAway(f"it answers with the status {answer.status_code}")
    return answer


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return text or type(error).__name__


def _problem(data: Mapping[str, Any], status: int) -> Problem:
    row = data.get("problem")
    if not isinstance(row, dict):
        return Problem(code=str(status), text=str(data)[:200])
    return Problem(
        code=str(row.get("code", status)),
        text=str(row.get("text", "")),
        subject=str(row.get("subject", "")),
    )


def _instant(text: object) -> Instant | None:
    if not isinstance(text, str) or not text:
        return None
    try:
        return from_datetime(datetime.fromisoformat(text))
    except ValueError:
        return None


def _pulse_of_row(row: Mapping[str, Any]) -> AgentPulse:
    trip = row.get("round_trip_ms")
    return AgentPulse(
        agent=AgentUri(row["uri"]),
        status=AgentStatus(row["status"]),
        heard_at=_instant(row.get("heard_at")),
        heartbeat_period=Duration(row["heartbeat_period_ms"]),
        heartbeat_timeout=Duration(row["heartbeat_timeout_ms"]),
        round_trip=None if trip is None else Duration(trip),
        tasks=int(row.get("tasks") or 0),
        text=str(row.get("text") or ""),
    )


def _run_of_row(row: Mapping[str, Any]) -> FinishedRun | None:
    ended = _instant(row.get("ended_at"))
    if ended is None:
        return None
    steps = row.get("steps") or []
    last = steps[-1] if steps else {}
    error = str(last.get("error_text") or last.get("error_code") or "")
    return FinishedRun(
        order=OrderKey(chain_key(row["chain"]), OrderId(row["order"])),
        history=HistoryId(row["history"]),
        end_state=NodeState(row["state"]),
        at=ended,
        started_at=_instant(row.get("started_at")),
        failed=bool(error) or not row["state"],
        error_text=error,
        failed_at=NodeState(last["state"]) if error else None,
        task=TaskId(last["task"]) if last else None,
    )


def _task_of_row(row: Mapping[str, Any]) -> FinishedTask | None:
    ended = _instant(row.get("ended_at"))
    if ended is None:
        return None
    order = OrderKey(chain_key(row["chain"]), OrderId(row["order"])) if row.get("order") else None
    code = row.get("exit_code")
    return FinishedTask(
        task=TaskId(row["task"]),
        job=JobKey(job_key(row["job"])),
        order=order,
        state=None,
        agent=AgentUri(row.get("agent") or ""),
        started_at=_instant(row.get("started_at")),
        at=ended,
        exit_code=int(code) if code is not None else 0,
        succeeded=not row.get("error_code") and not code,
        error_text=str(row.get("error_text") or row.get("error_code") or ""),
    )
