"""Points in time and durations as people read them: at most two units."""

from datetime import UTC, datetime, tzinfo

from engine.kernel.instants import IMMEDIATELY, NEVER, Instant, to_datetime

_SECOND = 1000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def duration_text(milliseconds: int) -> str:
    """Return `0:42`, `9:17`, `3h12m` or `1d02h`."""
    if milliseconds < _HOUR:
        whole = max(milliseconds, 0) // _SECOND
        return f"{whole // 60}:{whole % 60:02d}"
    if milliseconds < _DAY:
        return f"{milliseconds // _HOUR}h{milliseconds % _HOUR // _MINUTE:02d}m"
    return f"{milliseconds // _DAY}d{milliseconds % _DAY // _HOUR:02d}h"


def wait_text(milliseconds: int) -> str:
    """Return how long something waits: in minutes, so that a list of it stands still."""
    if milliseconds < _MINUTE:
        return "<1m"
    if milliseconds < _HOUR:
        return f"{milliseconds // _MINUTE}m"
    return duration_text(milliseconds)


def age_text(milliseconds: int) -> str:
    """Return an age that is watched closely: tenths below ten seconds, `36 s`, then `9m12s`."""
    if milliseconds < 10 * _SECOND:
        return f"{max(milliseconds, 0) / _SECOND:.1f} s"
    if milliseconds < 100 * _SECOND:
        return f"{milliseconds // _SECOND} s"
    if milliseconds < _HOUR:
        return f"{milliseconds // _MINUTE}m{milliseconds % _MINUTE // _SECOND:02d}s"
    return duration_text(milliseconds)


def clock_text(instant: Instant, now: Instant, zone: tzinfo = UTC) -> str:
    """Return `14:07:31` for a time of today, else `12-31 14:07`; empty for none, `now` at once."""
    if instant >= NEVER:
        return ""
    if instant <= IMMEDIATELY:
        return "now"
    moment = to_datetime(instant, zone)
    if moment.date() == to_datetime(now, zone).date():
        return f"{moment:%H:%M:%S}"
    return f"{moment:%m-%d %H:%M}"


def moment_text(instant: Instant, zone: tzinfo = UTC) -> str:
    """Return date and time to the second, with the zone."""
    moment = to_datetime(instant, zone)
    return f"{moment:%Y-%m-%d %H:%M:%S}{zone_mark(moment)}"


def zone_mark(moment: datetime) -> str:
    """Return the zone of a time in a few letters: `Z` for UTC, else ` CET` or ` +05`."""
    if not moment.utcoffset():
        return "Z"
    return f" {moment.tzname() or f'{moment:%z}'}"


def zone_name(instant: Instant, zone: tzinfo) -> str:
    """Return what a zone is called at that time: `UTC`, `CEST`."""
    return to_datetime(instant, zone).tzname() or "UTC"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a number with its noun: `1 order`, `2 orders`, `2 processes` (given as `many`)."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
