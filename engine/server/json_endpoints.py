"""JSON resources and requests under `/api/`: handlers translate, the engine decides."""

from collections.abc import Callable
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.codec.json_api import (
    PublicRequest,
    Row,
    accepted_row,
    agent_row,
    chain_row,
    job_row,
    order_row,
    order_status,
    overview_row,
    parse_object,
    parse_request,
    problem_row,
    task_row,
    time_text,
)
from engine.codec.records import dump_json
from engine.codec.still_state import still_state
from engine.codec.streamed_json import Parts, Rows
from engine.codec.web_query import ChainQuery, OrderQuery, path_query
from engine.errors import CodecError
from engine.kernel.commands import JobAction, ModifyJob, RemoveChain
from engine.kernel.definitions import Visible
from engine.kernel.ids import TaskId, chain_key, order_key
from engine.kernel.instants import Instant, seconds
from engine.kernel.problems import Problem, unknown_object, unknown_order, unknown_task
from engine.kernel.state import Order
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of
from engine.server.engine_port import (
    EngineStopping,
    HistoryQuery,
    OrderHistoryEntry,
    TaskHistoryEntry,
)
from engine.server.requests import carry_out
from engine.server.slices import slices
from engine.server.web_answers import streamed

LOG_BYTES_DEFAULT: Final = 256 * 1024
LOG_BYTES_MAX: Final = 4 * 1024 * 1024
LIST_LIMIT_DEFAULT: Final = 1_000
LIST_LIMIT_MAX: Final = 100_000
HISTORY_LIMIT_MAX: Final = 10_000
REASON_MAX: Final = 200
"""Characters of the reason that somebody gives for a request."""


def json_response(content: Row, status: int = 200) -> Response:
    """Return an answer that nobody keeps."""
    headers = {"Cache-Control": "no-store"}
    return Response(dump_json(content), status, headers, media_type="application/json")


def problem_response(problem: Problem, status: int = 409) -> Response:
    """Return a refusal."""
    return json_response(problem_row(problem), status)


def http_problem(status: int, text: str) -> Response:
    """Return an error of the interface itself, in the shape of a refusal."""
    return problem_response(Problem(code=str(status), text=text), status)


# --- the caller and the state --------------------------------------------------------------------


async def me(request: Request) -> Response:
    """Handle `GET /api/me`: the caller's name and role, for programs that hide what it may not."""
    caller = await context_of(request).admit(request, Role.READ_ONLY)
    return json_response({"name": caller.name, "role": caller.role.value})


async def snapshot(request: Request) -> Response:
    """Handle `GET /api/snapshot`: the whole state, as of the event in `X-Event-Number`."""
    context = await _reader(request)
    number, data = await context.port.snapshot()
    headers = {"Cache-Control": "no-store", "X-Event-Number": str(number)}
    return Response(data, headers=headers, media_type="application/octet-stream")


async def overview(request: Request) -> Response:
    """Handle `GET /api/overview`."""
    context = await _reader(request)
    row = overview_row(context.port.state, context.port.now())
    row["version"] = context.facts.version
    row["number"] = context.port.number
    return json_response(row)


async def orders(request: Request) -> Response:
    """Handle `GET /api/orders?chain=&status=&limit=`, and one order with `order=` as well."""
    context = await _reader(request)
    state, now, query = context.port.state, context.port.now(), request.query_params
    chain, order_id = query.get("chain"), query.get("order")
    if order_id is not None:
        key = order_key(chain or "", order_id)
        order = state.find_order(key)
        if order is None:
            return problem_response(unknown_order(chain or "", order_id), 404)
        return json_response(order_row(state, order, now, detailed=True))
    if chain is not None and chain_key(chain) not in state.chains:
        return problem_response(unknown_object("Job_chain", chain), 404)
    limit, status = (
        _count(request, "limit", LIST_LIMIT_DEFAULT, LIST_LIMIT_MAX),
        query.get("status"),
    )
    chains = ChainQuery() if chain is None else ChainQuery(paths=path_query(chain_key(chain)))
    still = still_state(state)
    found: list[Order] = []
    async for part in slices(OrderQuery(chains=chains).orders(still, now)):
        found += [
            order
            for order in part
            if order is not None and status in {None, order_status(still, order, now)}
        ]
    rows = (order_row(still, order, now) for order in found[:limit])
    return streamed(request, Parts(orders=Rows(rows), total=len(found)))


async def jobs(request: Request) -> Response:
    """Handle `GET /api/jobs`."""
    context = await _reader(request)
    state = still_state(context.port.state)
    shown = (job for _, job in sorted(state.jobs.items()))
    rows = (job_row(state, job) for job in shown if job.definition.visible is not Visible.NEVER)
    return streamed(request, Parts(jobs=Rows(rows)))


async def chains(request: Request) -> Response:
    """Handle `GET /api/chains`."""
    context = await _reader(request)
    state = still_state(context.port.state)
    rows = (chain_row(state, state.chains[key]) for key in sorted(state.chains))
    return streamed(request, Parts(chains=Rows(rows)))


async def tasks(request: Request) -> Response:
    """Handle `GET /api/tasks`: waiting and running ones."""
    context = await _reader(request)
    state = still_state(context.port.state)
    rows = (task_row(state, state.tasks[key]) for key in sorted(state.tasks))
    return streamed(request, Parts(tasks=Rows(rows)))


async def agents(request: Request) -> Response:
    """Handle `GET /api/agents`: what the journal knows, and the last sign of life."""
    context = await _reader(request)
    pulses = context.port.pulses()
    known = {uri: agent_row(agent) for uri, agent in context.port.state.agents.items()}
    rows = []
    for uri in sorted({*known, *pulses}):
        row = known.get(uri) or {"uri": uri, "status": "unknown"}
        pulse = pulses.get(uri)
        if pulse is not None:
            row |= {
                "status": pulse.status.value,
                "heard_at": time_text(pulse.heard_at),
                "heartbeat_period_ms": pulse.heartbeat_period,
                "heartbeat_timeout_ms": pulse.heartbeat_timeout,
                "round_trip_ms": pulse.round_trip,
                "tasks": pulse.tasks,
                "text": pulse.text,
            }
        rows.append(row)
    return json_response({"agents": rows, "time": time_text(context.port.now())})


# --- logs and histories --------------------------------------------------------------------------


async def task_log(request: Request) -> Response:
    """Handle `GET /api/tasks/{id}/log?offset=&limit=`; a negative offset counts from the end."""
    context = await _reader(request)
    task = TaskId(int(request.path_params["task"]))
    offset = _number(request, "offset", 0)
    limit = _count(request, "limit", LOG_BYTES_DEFAULT, LOG_BYTES_MAX)
    part = await context.port.task_log(task, offset, limit)
    if part is None:
        return problem_response(unknown_task(task), 404)
    return json_response(
        {
            "text": part.text,
            "offset": part.offset,
            "next_offset": part.next_offset,
            "complete": part.complete,
        }
    )


async def task_history(request: Request) -> Response:
    """Handle `GET /api/history/tasks?job=&chain=&order=&limit=`, newest first."""
    context = await _reader(request)
    entries = await context.port.task_history(_history_query(request))
    return streamed(request, Parts(tasks=Rows(_past_task_row(entry) for entry in entries)))


async def order_history(request: Request) -> Response:
    """Handle `GET /api/history/orders?chain=&order=&limit=`, newest first."""
    context = await _reader(request)
    entries = await context.port.order_history(_history_query(request))
    return streamed(request, Parts(orders=Rows(_past_order_row(entry) for entry in entries)))


def _history_query(request: Request) -> HistoryQuery:
    query = request.query_params
    since = query.get("since_ms")
    ids = query.get("ids", "")
    try:
        return HistoryQuery(
            job=query.get("job"),
            chain=query.get("chain"),
            order=query.get("order"),
            ids=tuple(int(each) for each in ids.split(",") if each),
            since=None if since is None else Instant(int(since)),
            limit=_count(request, "limit", 100, HISTORY_LIMIT_MAX),
        )
    except ValueError as error:
        raise HTTPException(400, "ids and since_ms are whole numbers") from error


def _past_task_row(entry: TaskHistoryEntry) -> Row:
    return {
        "task": entry.task,
        "job": entry.job,
        "cause": entry.cause,
        "agent": entry.agent,
        "started_at": time_text(entry.started_at),
        "ended_at": time_text(entry.ended_at),
        "exit_code": entry.exit_code,
        "error_code": entry.error_code,
        "error_text": entry.error_text,
        "steps": entry.steps,
        "pid": entry.pid,
        "chain": entry.chain,
        "order": entry.order,
    }


def _past_order_row(entry: OrderHistoryEntry) -> Row:
    return {
        "history": entry.history,
        "chain": entry.chain,
        "order": entry.order,
        "title": entry.title,
        "state": entry.state,
        "state_text": entry.state_text,
        "started_at": time_text(entry.started_at),
        "ended_at": time_text(entry.ended_at),
        "parent": entry.parent,
        "steps": [
            {
                "step": step.step,
                "task": step.task,
                "state": step.state,
                "started_at": time_text(step.started_at),
                "ended_at": time_text(step.ended_at),
                "error_code": step.error_code,
                "error_text": step.error_text,
            }
            for step in entry.steps
        ],
    }


# --- requests ------------------------------------------------------------------------------------


async def command(request: Request) -> Response:
    """Handle `POST /api/command?reason=`: `{"kind": "AddOrder", …}`.

    A reason is kept in the journal beside the name of whoever asked.
    """
    context = context_of(request)
    caller = await context.admit(request, Role.OPERATOR)
    parsed = await parsed_body(request, parse_request)
    needed = role_for(parsed)
    if not caller.role.includes(needed):
        raise HTTPException(403, f"This needs a token with the role {needed.value}")
    try:
        done = await carry_out(context.port, parsed, _cause(caller.name, request))
    except EngineStopping:
        return http_problem(503, "The engine is stopping and takes no more requests")
    if isinstance(done, Problem):
        return problem_response(done)
    return json_response(accepted_row(done.number, done.subject))


def _cause(name: str, request: Request) -> str:
    """Return who asked, with the reason they gave."""
    given = request.query_params.get("reason", "")
    reason = " ".join("".join(c if c.isprintable() else " " for c in given).split())
    return f"{name}: {reason[:REASON_MAX]}" if reason else name


def role_for(request: PublicRequest) -> Role:
    """Return the role a request needs: removing definitions is for administrators."""
    match request:
        case RemoveChain() | ModifyJob(action=JobAction.REMOVE):
            return Role.ADMIN
        case _:
            return Role.OPERATOR


async def check_folders(request: Request) -> Response:
    """Handle `POST /api/check-folders`: look at the live folder now."""
    context = context_of(request)
    await context.admit(request, Role.OPERATOR)
    await context.port.check_folders()
    return json_response(accepted_row(context.port.number, ""))


async def terminate(request: Request) -> Response:
    """Handle `POST /api/terminate`: `{"timeout_s": 60, "restart": false}`, both may be absent."""
    context = context_of(request)
    await context.admit(request, Role.ADMIN)
    given = await parsed_body(request, parse_object)
    timeout_s, restart = given.get("timeout_s"), given.get("restart", False)
    if timeout_s is not None and (isinstance(timeout_s, bool) or not isinstance(timeout_s, int)):
        raise HTTPException(400, "timeout_s is a number of seconds")
    duration = None if timeout_s is None else seconds(timeout_s)
    await context.port.terminate(duration, restart is True)
    return json_response(accepted_row(context.port.number, ""))


# --- parts ---------------------------------------------------------------------------------------


async def _reader(request: Request) -> ServerContext:
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    await context.port.settled()
    return context


async def parsed_body(request: Request, parse: Callable[[bytes], Any]) -> Any:
    """Return the body of a JSON request as `parse` reads it. Raises HTTPException."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if kind.lower() != "application/json":
        raise HTTPException(415, "Send JSON with the content type application/json")
    data = await context_of(request).body(request)
    if data is None:
        raise HTTPException(413, "The request is too large")
    try:
        return parse(data)
    except CodecError as error:
        raise HTTPException(400, str(error)) from error


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > 18:
        raise HTTPException(400, f"{name}={text!r} is not a whole number")
    return int(text)


def _count(request: Request, name: str, default: int, most: int) -> int:
    count = _number(request, name, default)
    if not 0 < count <= most:
        raise HTTPException(400, f"{name}={count} is not between 1 and {most}")
    return count
