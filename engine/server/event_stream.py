"""The event feed as server-sent events: catch-up from the journal, then live, until shutdown.

    event: fact     id: NUMBER    data: {"number", "at", "kind", "body", "cause"}
    event: pulse                  data: a sign of life of an agent, not journaled

A comment every 15 s shows that the line is alive. A client that does not read is cut off; it comes
back with the last number it has seen, and gets 410 when that is no longer in the journal.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.codec.records import codec_for, dump_json
from engine.codec.rows import StoredEvent
from engine.kernel.ids import EventNumber
from engine.server.auth import Role
from engine.server.context import context_of
from engine.server.engine_port import AgentPulse, EngineStopping, Notice, TooOld
from engine.server.serve import Receive, Scope, Send

PING_S: Final = 15.0
SLOW_CLIENT_S: Final = 30.0
"""A client that has taken nothing for so long is cut off."""
FRAMES_MAX: Final = 2_000
"""Frames that wait for one client."""
CHUNK_BYTES_MAX: Final = 256 * 1024
_PING = b": ping\n\n"
_PULSES = codec_for(AgentPulse)


def fact_frame(event: StoredEvent) -> bytes:
    """Return an event of the journal as a frame; its body is JSON already."""
    head = dump_json({"number": event.number, "at": event.at, "kind": event.kind})
    data = head[:-1] + b',"body":' + event.body + b',"cause":' + dump_json(event.cause) + b"}"
    return b"event: fact\nid: %d\ndata: %b\n\n" % (event.number, data)


def pulse_frame(pulse: AgentPulse) -> bytes:
    """Return a sign of life as a frame, without an id: it is not part of the journal."""
    return b"event: pulse\ndata: %b\n\n" % _PULSES.to_json(pulse)


async def events(request: Request) -> Response:
    """Handle `GET /api/events?after=N`; `Last-Event-ID` of a reconnecting client counts, too."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    text = request.headers.get("last-event-id") or request.query_params.get("after", "")
    if text and not (text.isascii() and text.isdecimal()):
        return _problem(400, f"after={text!r} is not an event number")
    after = EventNumber(int(text)) if text else context.port.number
    if after > context.port.number:
        return _problem(410, f"Event {after} is not in this journal; take a snapshot")
    notices = context.port.notices(after)
    try:
        first = await anext(notices, None) if after < context.port.number else None
    except TooOld:
        return _problem(410, f"Event {after} is no longer in the journal; take a snapshot")
    except EngineStopping:
        return _problem(503, "The engine is stopping")
    return EventStream(notices, first)


def _problem(status: int, text: str) -> Response:
    content = {"problem": {"code": str(status), "text": text, "subject": ""}}
    return JSONResponse(content, status, headers={"Cache-Control": "no-store"})


class EventStream(Response):
    """A response that ends with its notices, its client, or the patience for a slow one."""

    media_type = "text/event-stream"

    def __init__(self, notices: AsyncIterator[Notice], first: Notice | None) -> None:
        super().__init__(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._notices = notices
        self._first = first
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(FRAMES_MAX)

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Serve until one of the three tasks ends."""
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        tasks = [
            asyncio.create_task(self._produce(), name="events: produce"),
            asyncio.create_task(self._send(send), name="events: send"),
            asyncio.create_task(_until_gone(receive), name="events: client"),
        ]
        try:
            producer, sender, client = tasks
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if producer.done() and not client.done() and not producer.result():
                await asyncio.wait([sender, client], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            close = getattr(self._notices, "aclose", None)
            if close is not None:
                await close()

    async def _produce(self) -> bool:
        """Put frames into the queue; return whether the client was too slow for them."""
        try:
            if self._first is not None:
                await self._put(_frame(self._first))
            async for notice in self._notices:
                await self._put(_frame(notice))
            await self._put(None)
        except (TooOld, EngineStopping):
            with contextlib.suppress(TimeoutError):
                await self._put(None)
        except TimeoutError:
            return True
        return False

    async def _put(self, frame: bytes | None) -> None:
        if self._frames.full():
            async with asyncio.timeout(SLOW_CLIENT_S):
                await self._frames.put(frame)
        else:
            self._frames.put_nowait(frame)

    async def _send(self, send: Send) -> None:
        """Send what has gathered in one piece; a ping when nothing has."""
        is_open = True
        while is_open:
            chunk = bytearray()
            try:
                async with asyncio.timeout(PING_S):
                    frame = await self._frames.get()
            except TimeoutError:
                frame = _PING
            while frame is not None:
                chunk += frame
                if len(chunk) >= CHUNK_BYTES_MAX or self._frames.empty():
                    break
                frame = self._frames.get_nowait()
            is_open = frame is not None
            async with asyncio.timeout(SLOW_CLIENT_S):
                body = {"type": "http.response.body", "body": bytes(chunk), "more_body": is_open}
                await send(body)


def _frame(notice: Notice) -> bytes:
    if notice.event is not None:
        return fact_frame(notice.event)
    assert notice.pulse is not None, "a notice is an event or a pulse"
    return pulse_frame(notice.pulse)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
