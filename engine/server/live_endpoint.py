"""Files of the live folder over HTTP: GET, PUT, DELETE (live-folder.md 8.3)."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from engine.codec.records import dump_json
from engine.codec.xml.secrets import masked
from engine.server.auth import Role
from engine.server.context import ServerContext, context_of

T = TypeVar("T")

BASE: Final = "/jobscheduler/master/api/live"
FILE_BYTES_MAX: Final = 64 * 1024 * 1024


class _Refused(Exception):
    """The request does not fit what is there: an HTTP status and a sentence."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def no_slash(request: Request) -> Response:
    """Handle the path without a slash: it names neither file nor folder."""
    await context_of(request).admit(request, Role.READ_ONLY)
    raise HTTPException(400, "Write a slash behind live")


async def get(request: Request) -> Response:
    """Handle GET: the bytes of a file, or the names in a folder.

    Who may not change definitions sees `***` for the passwords in them.
    """
    context = context_of(request)
    caller = await context.admit(request, Role.READ_ONLY)
    path, is_folder = _place(context, request)
    found = await _carried_out(_names if is_folder else _bytes, path)
    if not is_folder and not caller.role.includes(Role.ADMIN):
        found = _masked(found)
    kind = "application/json" if is_folder else "application/octet-stream"
    return Response(found, media_type=kind, headers={"Cache-Control": "no-store"})


async def put(request: Request) -> Response:
    """Handle PUT: write a file in one piece, or make a folder; handled by the engine at once."""
    context = context_of(request)
    await context.admit(request, Role.ADMIN)
    path, is_folder = _place(context, request)
    data = await context.body(request)
    if data is None:
        raise HTTPException(413, "The file is too large")
    if is_folder and data:
        raise HTTPException(400, "A folder has no content")
    if is_folder:
        is_new = await _carried_out(_make_folder, path)
    else:
        is_new = await _carried_out(lambda place: _write(place, data), path)
    await context.port.check_folders()
    return PlainTextResponse("", status_code=201 if is_new else 200)


async def delete(request: Request) -> Response:
    """Handle DELETE: a file, or a folder with all it holds."""
    context = context_of(request)
    await context.admit(request, Role.ADMIN)
    path, is_folder = _place(context, request)
    if path == Path(context.facts.live_folder):
        raise HTTPException(403, "The live folder itself stays")
    await _carried_out(_remove_folder if is_folder else _remove_file, path)
    await context.port.check_folders()
    return PlainTextResponse("")


def _place(context: ServerContext, request: Request) -> tuple[Path, bool]:
    """Return the path that is meant and whether it must be a folder."""
    text = request.path_params["path"]
    parts = text.removesuffix("/").split("/") if text else []
    if any(part in {"", ".", ".."} for part in parts) or "\\" in text or "\0" in text:
        raise HTTPException(403, f"The path {text!r} is not allowed")
    return Path(context.facts.live_folder).joinpath(*parts), not text or text.endswith("/")


async def _carried_out(work: Callable[[Path], T], path: Path) -> T:
    try:
        return await asyncio.to_thread(work, path)
    except _Refused as refused:
        raise HTTPException(refused.status, str(refused)) from refused
    except FileNotFoundError as error:
        raise HTTPException(404, f"There is no {path.name}") from error
    except OSError as error:
        raise HTTPException(409, f"{path.name}: {error.strerror}") from error


def _bytes(path: Path) -> bytes:
    with path.open("rb") as opened:
        return opened.read(FILE_BYTES_MAX)


def _masked(data: bytes) -> bytes:
    """Return a file without secrets; what is no UTF-8 or ASCII text passes byte by byte."""
    return masked(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def _names(path: Path) -> bytes:
    if not path.is_dir():
        if path.exists():
            raise _Refused(400, f"{path.name} is no folder")
        raise FileNotFoundError
    with os.scandir(path) as entries:
        return dump_json(sorted(f"{e.name}/" if e.is_dir() else e.name for e in entries))


def _write(path: Path, data: bytes) -> bool:
    is_new = not path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}~")
    try:
        draft.write_bytes(data)
        draft.replace(path)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
    return is_new


def _make_folder(path: Path) -> bool:
    if path.is_dir():
        return False
    path.mkdir(parents=True)
    return True


def _remove_file(path: Path) -> None:
    if path.is_dir():
        raise _Refused(400, f"{path.name} is a folder: write a slash behind it")
    path.unlink()


def _remove_folder(path: Path) -> None:
    if not path.is_dir():
        if path.exists():
            raise _Refused(400, f"{path.name} is no folder")
        raise FileNotFoundError
    shutil.rmtree(path)


ROUTES: Final = [
    Route(BASE, no_slash, methods=["GET", "PUT", "DELETE"]),
    Route(f"{BASE}/{{path:path}}", get, methods=["GET"]),
    Route(f"{BASE}/{{path:path}}", put, methods=["PUT"]),
    Route(f"{BASE}/{{path:path}}", delete, methods=["DELETE"]),
]
