"""Whose clock the screens show: UTC, that of this machine, the engine's own, or a named zone."""

import os
from datetime import UTC, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC_CLOCK = "utc"
LOCAL_CLOCK = "local"
ENGINE_CLOCK = "engine"
CLOCKS = (UTC_CLOCK, LOCAL_CLOCK, ENGINE_CLOCK)
_LOCAL_FILE = Path("/etc/localtime")


def check_clock(name: str) -> str:
    """Return the name of a clock as it is kept. Raises ValueError with what there is."""
    word = name.strip()
    if word.casefold() in CLOCKS:
        return word.casefold()
    if _named(word) is None:
        raise ValueError(f"there is no clock {name!r}; utc, local, engine or Europe/Berlin")
    return word


def zone_of(clock: str, engine_zone: str) -> tzinfo:
    """Return the zone of a clock that has been checked; `engine_zone` is the engine's setting."""
    match clock:
        case "utc":
            return UTC
        case "engine":
            return _named(engine_zone) or UTC
        case "local":
            return _local()
        case _:
            return _named(clock) or UTC


def _named(name: str) -> tzinfo | None:
    if name.casefold() == "utc":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _local() -> tzinfo:
    """Return this machine's zone, with its changes to summer time and back."""
    given = os.environ.get("TZ", "").removeprefix(":")
    if given:
        return _named(given) or UTC
    try:
        with _LOCAL_FILE.open("rb") as file:
            return ZoneInfo.from_file(file, key="local")
    except (OSError, ValueError):
        return UTC
