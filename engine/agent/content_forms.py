"""Content in the form a client has or wants: gzip both ways, YAML for people (agents.md 2)."""

import json
import zlib
from typing import Any, Final

from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

UNPACKED_BYTES_MAX: Final = 64 * 1024 * 1024
PACKED_BYTES_MAX: Final = UNPACKED_BYTES_MAX
COMPRESSED_FROM_BYTES: Final = 500
"""Shorter answers are not worth it."""
_GZIP: Final = 31
"""zlib's window bits for the gzip format."""


class ContentForms:
    """Unpacks requests, and lets the answers through as JSON, as YAML, or compressed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._compressing = GZipMiddleware(self._answer, minimum_size=COMPRESSED_FROM_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = dict(scope["headers"])
        coding = headers.get(b"content-encoding", b"identity").strip().lower()
        if coding == b"gzip":
            data = await _unpacked(receive)
            if data is None:
                refusal = PlainTextResponse("The request cannot be unpacked\n", 400)
                await refusal(scope, receive, send)
                return
            receive = _once(data, receive)
        elif coding != b"identity":
            refusal = PlainTextResponse("Only gzip is understood\n", 415)
            await refusal(scope, receive, send)
            return
        if b"accept-encoding" in headers:
            await self._compressing(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        wants_yaml = scope["method"] == "GET" and _wants_yaml(dict(scope["headers"]))
        await self._app(scope, receive, _AsYaml(send).send if wants_yaml else send)


async def _unpacked(receive: Receive) -> bytes | None:
    """Return the body of a compressed request, None when it is none or too large."""
    unpacker = zlib.decompressobj(_GZIP)
    parts: list[bytes] = []
    size = packed = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body = message.get("body", b"")
        packed += len(body)
        try:
            part = unpacker.decompress(body, UNPACKED_BYTES_MAX + 1 - size)
        except zlib.error:
            return None
        parts.append(part)
        size += len(part)
        if size > UNPACKED_BYTES_MAX or packed > PACKED_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return b"".join(parts) if unpacker.eof else None


def _once(data: bytes, receive: Receive) -> Receive:
    """Return what delivers a body that was read already, and then what else comes."""
    is_delivered = False

    async def deliver() -> Message:
        nonlocal is_delivered
        if is_delivered:
            return await receive()
        is_delivered = True
        return {"type": "http.request", "body": data, "more_body": False}

    return deliver


# --- YAML ----------------------------------------------------------------------------------------


def _wants_yaml(headers: dict[bytes, bytes]) -> bool:
    kinds = [part.partition(b";")[0].strip() for part in headers.get(b"accept", b"").split(b",")]
    return b"text/plain" in kinds and b"application/json" not in kinds


class _AsYaml:
    """Turns one JSON answer into YAML; other answers pass."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._parts: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Take a message of the answer."""
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name == b"content-type"]
            if any(kind.startswith(b"application/json") for kind in kinds):
                self._start = message
                return
        if self._start is None:
            await self._send(message)
            return
        self._parts.append(message.get("body", b""))
        if message.get("more_body", False):
            return
        text = yaml_text(json.loads(b"".join(self._parts))).encode()
        kept = [
            (name, value)
            for name, value in self._start["headers"]
            if name not in {b"content-type", b"content-length"}
        ]
        length = (b"content-length", str(len(text)).encode())
        kind = (b"content-type", b"text/plain; charset=utf-8")
        await self._send({**self._start, "headers": [*kept, kind, length]})
        await self._send({"type": "http.response.body", "body": text})


def yaml_text(value: Any) -> str:
    """Return JSON's values as YAML, a line each; texts are written as JSON writes them."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    match value:
        case dict() if value:
            return [line for name, each in value.items() for line in _member(f"{name}:", each)]
        case list() if value:
            return [line for each in value for line in _item(_lines(each))]
        case _:
            return [json.dumps(value, ensure_ascii=False)]


def _member(name: str, value: Any) -> list[str]:
    lines = _lines(value)
    if isinstance(value, dict | list) and value:
        return [name, *(f"  {line}" for line in lines)]
    return [f"{name} {lines[0]}"]


def _item(lines: list[str]) -> list[str]:
    return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]
