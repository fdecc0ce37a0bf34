"""`GET /api/plan?from=&to=&limit=`: what starts between two instants, is late, was missed.

The plan is made of references to frozen records, taken between two steps, and worked out in slices
of some milliseconds while it is sent; so the engine goes on at the same time, however long it is.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from engine.codec.json_api import Row, time_text
from engine.codec.records import dump_json
from engine.kernel.daily_plan import PlanBasis, PlanEntry, plan
from engine.kernel.instants import Instant, from_datetime, to_datetime
from engine.kernel.plans import zone_of
from engine.kernel.state import State
from engine.server.auth import Role
from engine.server.collections import without_full_collections
from engine.server.context import context_of

SLICE_S: Final = 0.005
"""Work on a plan before others get their turn."""
WORK_MAX_S: Final = 30.0
"""A plan that takes longer is cut off, and says so: thousands of repeats by the second. It is half
of what clients wait for an answer."""
DAYS_MAX: Final = 400
ENTRIES_DEFAULT: Final = 100_000
ENTRIES_MAX: Final = 1_000_000
YEARS: Final = (1970, 9000)


async def plan_of_the_day(request: Request) -> StreamingResponse:
    """Handle `GET /api/plan`: today, unless `from` and `to` say otherwise."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    await context.port.settled()
    now, state = context.port.now(), context.port.state
    from_, to = _window(request, state, now)
    limit = _limit(request)
    basis = PlanBasis.of(state, now)
    head: Row = {
        "from": time_text(from_),
        "to": time_text(to),
        "time": time_text(now),
        "time_zone": _zone_name(state),
    }
    durations = await context.port.usual_durations(basis.subjects)
    entries = plan(basis, from_, to, durations)
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(
        _pieces(head, entries, limit), headers=headers, media_type="application/json"
    )


ROUTES = [Route("/api/plan", plan_of_the_day)]


async def _pieces(
    head: Row, entries: Iterator[PlanEntry | None], limit: int
) -> AsyncIterator[bytes]:
    """Yield the answer in pieces, one a slice of work."""
    with without_full_collections():
        async for piece in _sliced(head, entries, limit):
            yield piece


async def _sliced(
    head: Row, entries: Iterator[PlanEntry | None], limit: int
) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    worked, count, complete = 0.0, 0, True
    yield dump_json(head)[:-1] + b',"entries":['
    rows: list[Row] = []
    begin = clock()
    for entry in entries:
        if entry is not None:
            if count == limit:
                complete = False
                break
            rows.append(_entry_row(entry))
            count += 1
        spent = clock() - begin
        if spent > SLICE_S:
            worked += spent
            if worked > WORK_MAX_S:
                complete = False
                break
            if rows:
                yield _joined(rows, is_first=count == len(rows))
                rows = []
            await asyncio.sleep(0)
            begin = clock()
    yield _joined(rows, is_first=count == len(rows)) if rows else b""
    yield b'],"count":%d,"complete":%s}' % (count, b"true" if complete else b"false")


def _joined(rows: list[Row], *, is_first: bool) -> bytes:
    """Return rows as the next part of a JSON array."""
    return (b"" if is_first else b",") + dump_json(rows)[1:-1]


def _entry_row(entry: PlanEntry) -> Row:
    return {
        "at": time_text(entry.at),
        "status": entry.status.value,
        "kind": entry.kind.value,
        "path": entry.path,
        "order": entry.order,
        "title": entry.title,
        "task": entry.task,
        "schedule": entry.schedule,
        "duration_ms": entry.duration,
        "end": time_text(entry.end),
        "count": entry.count,
    }


# --- what is asked for ---------------------------------------------------------------------------


def _zone_name(state: State) -> str:
    return state.main.time_zone or state.control.time_zone


def _window(request: Request, state: State, now: Instant) -> tuple[Instant, Instant]:
    """Return from when to when: local times are those of the engine's zone."""
    zone_name = _zone_name(state)
    local = to_datetime(now, zone_of(zone_name))
    today = local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    given = request.query_params.get("from")
    from_ = _instant("from", given, zone_name) if given else _at(today, zone_name)
    begin = to_datetime(from_, zone_of(zone_name)).replace(tzinfo=None)
    given = request.query_params.get("to")
    to = _instant("to", given, zone_name) if given else _at(begin + timedelta(days=1), zone_name)
    if from_ >= to:
        raise HTTPException(400, "from has to be before to")
    if to - from_ > DAYS_MAX * 86_400_000:
        raise HTTPException(400, f"a plan covers at most {DAYS_MAX} days")
    return from_, to


def _instant(name: str, text: str, zone_name: str) -> Instant:
    refusal = f"{name}={text!r} is no time such as 2030-01-31 or 2030-01-31T08:00[Z]"
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "T", 1))
    except ValueError as error:
        raise HTTPException(400, refusal) from error
    if not YEARS[0] <= moment.year <= YEARS[1]:
        raise HTTPException(400, refusal)
    return _at(moment, zone_name) if moment.tzinfo is None else from_datetime(moment)


def _at(local: datetime, zone_name: str) -> Instant:
    return from_datetime(local.replace(tzinfo=zone_of(zone_name)))


def _limit(request: Request) -> int:
    text = request.query_params.get("limit", str(ENTRIES_DEFAULT))
    limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    if not 0 < limit <= ENTRIES_MAX:
        raise HTTPException(400, f"limit={text!r} is not between 1 and {ENTRIES_MAX}")
    return limit
