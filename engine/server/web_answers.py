"""Answers of the JSON web service: JSON, or a page for a browser; long ones piece by piece."""

import html
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.codec.records import dump_json
from engine.codec.streamed_json import Json, Parts, Rows, pieces
from engine.server.slices import slices

_GZIP: Final = 31
"""zlib's window bits for the gzip format."""
_GZIP_LEVEL: Final = 1
_HEADERS: Final = {"Cache-Control": "no-store", "Vary": "Accept, Accept-Encoding"}
_PAGE_HEADERS: Final = _HEADERS | {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"
}
_PLACES: Final = (
    "", "order/", "jobChain/", "job/", "processClass/", "fileBased/", "folder/", "schedule/",
    "lock/", "monitor/", "agent/", "scheduler?return=log",
)  # fmt: skip
_HEAD: Final = (
    "<!DOCTYPE html><html><head><meta charset='utf-8'><title>{title}</title>"
    "<style>body{{font-family:sans-serif}}a{{margin-right:1em}}</style></head>"
    "<body><p>{links}</p><h1>{title}</h1><pre>"
)


def wants_page(request: Request) -> bool:
    """Return whether the client would rather have HTML than JSON, as browsers do."""
    weights = {"text/html": 0.0, "application/json": 0.0}
    for part in request.headers.get("accept", "").lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        if kind in weights:
            weights[kind] = _weight(parameters)
    return weights["text/html"] > weights["application/json"]


def accepts_gzip(request: Request) -> bool:
    """Return whether the client takes compressed answers."""
    for part in request.headers.get("accept-encoding", "").lower().split(","):
        coding, *parameters = (each.strip() for each in part.split(";"))
        if coding in {"gzip", "*"}:
            return _weight(parameters) > 0
    return False


def _weight(parameters: list[str]) -> float:
    for each in parameters:
        name, _, value = each.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def answer(request: Request, content: Json, base: str, status: int = 200) -> Response:
    """Return an answer as the client wants it; `base` is where the web service begins."""
    is_long = isinstance(content, Parts) or any(isinstance(each, Rows) for each in content.values())
    if wants_page(request):
        return _page(request, content, base, status)
    if not is_long:
        return Response(dump_json(content), status, _HEADERS, media_type="application/json")
    return _streamed(request, pieces(Parts(content)), "application/json", _HEADERS, status)


def streamed(request: Request, content: Parts) -> Response:
    """Return a long answer as JSON, whatever else the client would take."""
    return _streamed(request, pieces(content), "application/json", _HEADERS, 200)


def _streamed(
    request: Request, parts: Iterator[bytes], kind: str, headers: dict[str, str], status: int
) -> Response:
    chunks = _chunks(parts)
    if accepts_gzip(request):
        chunks = _compressed(chunks)
        headers = headers | {"Content-Encoding": "gzip"}
    return StreamingResponse(chunks, status, headers, media_type=kind)


async def _chunks(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    async for part in slices(parts):
        chunk = b"".join(part)
        if chunk:
            yield chunk


async def _compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP)
    async for chunk in chunks:
        packed = packer.compress(chunk)
        if packed:
            yield packed
    yield packer.flush()


# --- pages ---------------------------------------------------------------------------------------


def _page(request: Request, content: Json, base: str, status: int) -> Response:
    path = request.url.path
    links = " ".join(
        f"<a href='{base}/{place}'>{place.partition('?')[0] or 'overview'}</a>" for place in _PLACES
    )
    head = _HEAD.format(title=html.escape(path.removeprefix(base) or "/"), links=links)

    def written() -> Iterator[bytes]:
        yield head.encode()
        for part in pieces(Parts(content), _legible):
            yield html.escape(part.decode(errors="replace"), quote=False).encode()
        yield b"</pre></body></html>"

    return _streamed(request, written(), "text/html", dict(_PAGE_HEADERS), status)


def _legible(value: Any) -> bytes:
    """Return JSON for people; members of long objects each begin a line."""
    if isinstance(value, str):
        return b"\n" + dump_json(value)
    return b"\n" + msgspec.json.format(dump_json(value), indent=2)


def error(request: Request, text: str, base: str, status: int = 400) -> Response:
    """Return an error in the shape of the web service."""
    return answer(request, {"message": text}, base, status)
