"""Until when an entry of *needs a person* is put aside, as a person types it."""

import re
from datetime import UTC, tzinfo

from engine.kernel.commands import StartAt
from engine.kernel.instants import Duration, Instant
from tui.views.starting import parse_start

_LENGTH = re.compile(r"(\d+)\s*(s|m|h|d)$")
_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
LONGEST = Duration(30 * 86_400_000)
"""Longer is no putting aside but forgetting."""


def parse_until(text: str, now: Instant, zone: tzinfo = UTC) -> Instant:
    """Return when `30m`, `2h`, `1d` or `18:00` will be. Raises ValueError with these forms."""
    word = text.strip().casefold()
    found = _LENGTH.match(word)
    if found is not None:
        until = Instant(now + int(found[1]) * _UNITS[found[2]])
    else:
        until = _moment(word, text, now, zone)
    if not now < until <= now + LONGEST:
        raise ValueError(f"{text!r} is no time within 30 days from now")
    return until


def _moment(word: str, text: str, now: Instant, zone: tzinfo) -> Instant:
    wrong = f"{text!r} is no time; write 30m, 2h, 1d, or 18:00"
    try:
        at: StartAt = parse_start(word, now, zone)
    except ValueError:
        raise ValueError(wrong) from None
    moment = getattr(at, "at", None)
    if not isinstance(moment, int):
        raise ValueError(wrong)  # noqa: TRY004  # the person's word is wrong, not a type
    return Instant(moment)
