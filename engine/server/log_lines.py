"""Lines of a task's log that a person wants to see, picked on the engine's side.

`GET /api/tasks/{id}/log/lines` (read-only)

    offset=0          begin at this byte; an answer's `next_offset` goes on where it ended
    words=error|warn  only lines with one of these texts, in capitals or not
    without=debug     none with one of these
    since=T           only what may have been written since then
    limit=2000        so many lines at most, the last ones

    {"lines": [TEXT, ...], "matched": 17, "total": 98004, "offset": 0, "next_offset": 8123456,
     "at_end": true, "complete": false}

`at_end` is false when the log is so long that another question has to go on from `next_offset`.

Texts are looked for as they are, never as expressions: no pattern can keep the engine busy. Lines
of the engine begin with a time; output has none and counts as of the time of the next line that has
one, so nothing that may be recent is left out.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.kernel.ids import TaskId
from engine.kernel.problems import unknown_task
from engine.server.auth import Role
from engine.server.context import context_of
from engine.server.json_endpoints import json_response, problem_response

PIECE_BYTES: Final = 256 * 1024
LIMIT_DEFAULT: Final = 2_000
LIMIT_MAX: Final = 50_000
ANSWER_BYTES_READ: Final = 256 * 1024 * 1024
"""So much of a log is read for one answer; the next one goes on from there."""
ANSWER_CHARS_MAX: Final = 8 * 1024 * 1024
WORDS_MAX: Final = 20
WORD_CHARS_MAX: Final = 200
_STAMP: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)Z ")


@dataclass(slots=True)
class _Picked:
    """What has been picked so far."""

    words: re.Pattern[str] | None
    without: re.Pattern[str] | None
    since: datetime | None
    limit: int
    lines: deque[str] = field(default_factory=deque)
    chars: int = 0
    matched: int = 0
    total: int = 0

    def take(self, text: str) -> None:
        """Take whole lines."""
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        for line in lines:
            self.total += 1
            if self.since is not None and self._is_too_old(line):
                # So was everything before it.
                self.lines.clear()
                self.chars = self.matched = 0
                continue
            if self.words is not None and not self.words.search(line):
                continue
            if self.without is not None and self.without.search(line):
                continue
            self._keep(line)

    def _is_too_old(self, line: str) -> bool:
        found = _STAMP.match(line)
        if found is None or self.since is None:
            return False
        try:
            at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC)
        except ValueError:
            return False
        return at < self.since

    def _keep(self, line: str) -> None:
        self.matched += 1
        self.lines.append(line)
        self.chars += len(line)
        while len(self.lines) > self.limit or self.chars > ANSWER_CHARS_MAX:
            self.chars -= len(self.lines.popleft())


async def log_lines(request: Request) -> Response:
    """Handle `GET /api/tasks/{id}/log/lines`."""
    context = context_of(request)
    await context.admit(request, Role.READ_ONLY)
    task = TaskId(int(request.path_params["task"]))
    picked = _Picked(
        words=_any_of(request, "words"),
        without=_any_of(request, "without"),
        since=_since(request),
        limit=_number(request, "limit", LIMIT_DEFAULT, 1, LIMIT_MAX),
    )
    start = offset = _number(request, "offset", 0, 0, 2**62)
    while True:
        part = await context.port.task_log(task, offset, PIECE_BYTES)
        if part is None:
            return problem_response(unknown_task(task), 404)
        text, left = _whole_lines(part.text, complete=part.complete)
        await asyncio.to_thread(picked.take, text)
        is_end = part.next_offset - left <= offset
        offset = part.next_offset - left
        if is_end or offset - start >= ANSWER_BYTES_READ or await request.is_disconnected():
            break
    return json_response(
        {
            "lines": list(picked.lines),
            "matched": picked.matched,
            "total": picked.total,
            "offset": start,
            "next_offset": offset,
            "at_end": is_end,
            "complete": is_end and part.complete,
        }
    )


def _whole_lines(text: str, *, complete: bool) -> tuple[str, int]:
    """Return the text up to the last end of a line, and how many bytes are left for later.

    A line longer than a piece is taken as it comes, and so is what cannot be counted exactly.
    """
    head, newline, rest = text.rpartition("\n")
    if complete or not newline or not rest or "\ufffd" in rest:
        return text, 0
    return head + newline, len(rest.encode())


def _any_of(request: Request, name: str) -> re.Pattern[str] | None:
    words = [word for word in request.query_params.get(name, "").split("|") if word]
    if not words:
        return None
    if len(words) > WORDS_MAX or max(map(len, words)) > WORD_CHARS_MAX:
        raise HTTPException(
            400, f"{name}: {WORDS_MAX} texts of {WORD_CHARS_MAX} characters at most"
        )
    return re.compile("|".join(map(re.escape, words)), re.IGNORECASE)


def _since(request: Request) -> datetime | None:
    text = request.query_params.get("since", "")
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise HTTPException(400, f"since: {text!r} is no time") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _number(request: Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isascii() or not text.isdecimal() or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} is a number from {least} to {most}")
    return int(text)


ROUTES: Final = (Route("/api/tasks/{task:int}/log/lines", log_lines),)
