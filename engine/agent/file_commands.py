"""Commands about files on the agent's host, for file orders (agents.md 2.2)."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from engine.agent.directories import move_file, oldest_first, remove_file
from engine.errors import CodecError

POLL_S = 1.0
"""Between two looks into a directory for which somebody waits."""
WAIT_S_MAX = 20 * 86_400.0
_ISO_DURATION = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)

HasLeft = Callable[[], Awaitable[bool]]
"""Whether nobody waits for the answer any more."""


async def content(data: Mapping[str, Any], has_left: HasLeft) -> dict[str, Any]:
    """Return the matching files of a directory, oldest first.

    Waits up to `duration` for one that is not among the `knownFiles`. Raises OSError when the
    directory cannot be read.
    """
    directory, regex = _text(data, "directory"), str(data.get("regex") or "")
    try:
        re.compile(regex)
    except re.error as error:
        raise CodecError(f"{regex!r} is no regular expression: {error}") from error
    known = {str(path) for path in data.get("knownFiles") or ()}
    deadline = time.monotonic() + min(seconds_of(data.get("duration", 0)), WAIT_S_MAX)
    while True:
        paths = await asyncio.to_thread(oldest_first, directory, regex)
        left_s = deadline - time.monotonic()
        if left_s <= 0 or not known.issuperset(paths) or await has_left():
            return {"files": await asyncio.to_thread(_dated, paths)}
        await asyncio.sleep(min(left_s, POLL_S))


async def delete(data: Mapping[str, Any]) -> dict[str, Any]:
    """Delete a file; one that has gone already is no error. Raises OSError."""
    await asyncio.to_thread(remove_file, _text(data, "path"))
    return {}


async def move(data: Mapping[str, Any]) -> dict[str, Any]:
    """Move a file into an existing directory, over one of its name. Raises OSError."""
    await asyncio.to_thread(move_file, _text(data, "path"), _text(data, "toDirectory"))
    return {}


def _dated(paths: list[str]) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = []
    for path in paths:
        try:
            modified = Path(path).lstat().st_mtime_ns // 1_000_000
        except OSError:
            continue  # it has just gone
        files.append({"path": path, "lastModifiedTime": modified})
    return files


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise CodecError(f"{name} is missing")
    return value


def seconds_of(value: object) -> float:
    """Read a number of seconds or an ISO duration such as PT999S."""
    if isinstance(value, int | float):
        return max(0.0, float(value))
    found = _ISO_DURATION.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise CodecError(f"{value!r} is no duration")
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return days * 86_400 + hours * 3_600 + minutes * 60 + rest
