"""Points in time and durations as integers.

An `Instant` counts milliseconds since 1970-01-01 UTC, a `Duration` counts milliseconds. Two values
are special and sort where the rules want them (orders-and-jobs.md 1.7): `IMMEDIATELY` before every
real instant, `NEVER` after. Local time needs a zone, which callers hand in.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NewType

Instant = NewType("Instant", int)
Duration = NewType("Duration", int)

IMMEDIATELY = Instant(0)
NEVER = Instant(2**62)
FOREVER = Duration(2**62)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(?:(\d+):)?(\d+):(\d+)$|(\d+(?:\.\d+)?)$")


def seconds(count: float) -> Duration:
    """Return a duration of so many seconds."""
    return Duration(round(count * 1000))


def later(instant: Instant, duration: Duration) -> Instant:
    """Return the instant so much later, `NEVER` when the duration is endless."""
    return NEVER if duration >= FOREVER or instant >= NEVER else Instant(instant + duration)


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of an aware datetime."""
    return Instant((moment - _EPOCH) // timedelta(milliseconds=1))


def to_datetime(instant: Instant, zone: tzinfo = UTC) -> datetime:
    """Return an aware datetime in `zone`; only for real instants."""
    return (_EPOCH + timedelta(milliseconds=instant)).astimezone(zone)


def utc_text(instant: Instant) -> str:
    """Return `2026-11-21T10:00:00.123Z`, the form of answers and journals."""
    return to_datetime(instant).strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant % 1000:03d}Z"


def parse_duration(text: str) -> Duration:
    """Read seconds, `MM:SS` never: `HH:MM` or `HH:MM:SS`, or `never` (orders-and-jobs.md 0.2).

    Raises ValueError with the accepted forms.
    """
    text = text.strip()
    if text == "never":
        return FOREVER
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(f"{text!r} is not a duration; write seconds, HH:MM or HH:MM:SS")
    if found[4] is not None:
        return seconds(float(found[4]))
    if found[1] is None:
        return seconds(int(found[2]) * 3600 + int(found[3]) * 60)
    return seconds(int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3]))
