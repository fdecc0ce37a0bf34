"""`/fileBased`, `/folder`, `/schedule` … of the JSON web service (xml-commands.md 9.2)."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response

from engine.codec.streamed_json import Json, Rows
from engine.codec.web_files import (
    FOLDER,
    FileObject,
    file_based_detailed,
    file_based_overview,
    file_query,
)
from engine.kernel.problems import unknown_object
from engine.server.slices import slices
from engine.server.web_event_query import asks_for_events, events, of_files
from engine.server.web_request import WebRequest

SHAPES: Final = frozenset({"FileBasedOverview", "FileBasedDetailed", "FileBasedSource"})
RESOURCES: Final[dict[str, str | None]] = {
    "fileBased": None,
    "folder": FOLDER,
    "schedule": "Schedule",
    "lock": "Lock",
    "monitor": "Monitor",
}
"""Resources and the type of their objects; None: every type."""


def resource(kind: str | None) -> Callable[[WebRequest], Awaitable[Response]]:
    """Return the handler of a resource for objects of this type."""

    async def handle(web: WebRequest) -> Response:
        if asks_for_events(web):
            return await events(web, of_files(kind, file_query(kind, web.paths).paths))
        return await file_based(web, kind)

    return handle


async def file_based(web: WebRequest, kind: str | None) -> Response:
    """Answer with objects of a type, or of every type, as files know them."""
    wanted = web.wanted or "FileBasedOverview"
    if wanted not in SHAPES:
        return web.unknown_return()
    folder, state = web.context.facts.live_folder, web.still()
    query = file_query(kind, web.paths)

    def shape(found: FileObject) -> Json:
        if wanted == "FileBasedOverview":
            return file_based_overview(found)
        return file_based_detailed(found, folder)

    single = query.paths.single
    if single is None:
        if wanted == "FileBasedSource":
            return web.error("return=FileBasedSource is for one object")
        rows = (None if each is None else shape(each) for each in query.objects(state))
        return web.answer_rows(Rows(rows))
    async for part in slices(query.objects(state)):
        for found in part:
            if found is not None:
                return (
                    _source(web, found) if wanted == "FileBasedSource" else web.answer(shape(found))
                )
    return web.refused(unknown_object(query.kind or "object", single))


def _source(web: WebRequest, found: FileObject) -> Response:
    if found.source is None or not found.source.xml:
        return web.error(f"{found.name} does not come from a file")
    headers = {"Cache-Control": "no-store"}
    return Response(found.source.xml, headers=headers, media_type="application/xml")
