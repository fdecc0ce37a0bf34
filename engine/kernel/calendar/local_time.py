"""Wall-clock time of a zone and what it means as an instant (schedules.md 11).

Everything in a run time is wall-clock time. It is converted day by day, each side on its own, and
compared only as instants. So a local time happens exactly once, whatever the clocks do:

| What | Forward, 2:00 -> 3:00 | Back, 3:00 -> 2:00 |
|---|---|---|
| `single_start`, `at` inside the hour | at 3:00, the switch | once, at the first pass |
| several of them inside the hour | one start together, at 3:00 | each once, at the first pass |
| `single_start="02:00"` | at 3:00 | at the first 2:00 |
| `single_start="03:00"` | at 3:00, together with those | at 3:00, after the second pass |
| `begin` inside the hour | opens at 3:00 | opens in the first pass, all of the second is inside |
| `end` inside the hour | closes at 3:00 | closes in the first pass, closed in the second |
| period inside the hour | does not exist on this day | open in the first pass only |
| period around the hour | one hour shorter | one hour longer |
| `repeat` | real time from the end of the run | the same |
| `absolute_repeat`, a grid in real time | shown an hour later after it | shown an hour earlier |
| `valid_from`, `valid_to` inside it | at 3:00 | at the first pass |

`24:00` is the first instant of the next day, also where midnight is skipped (Beirut: 1:00) or comes
twice (Havana: its first pass). What lies on a skipped day (Apia, 2011-12-30) happens at the first
instant of the next one, single starts together, periods not at all.

The southern hemisphere and zones that move by half an hour (Lord Howe) or change their offset for
good behave alike: only the two offsets count. Rules come from the zone that the caller hands in.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache

from engine.kernel.calendar.run_time import DAY_SECONDS, LocalTime
from engine.kernel.instants import Instant, from_datetime, to_datetime

EPOCH_DAY = datetime(1970, 1, 1, tzinfo=UTC).toordinal()
_DAY_MILLISECONDS = DAY_SECONDS * 1000
_DAYS_KEPT_MAX = 20_000
"""About the 20 years of one search; a full memory is emptied, not grown."""


class LocalClock:
    """The wall clock of one zone. Days are proleptic ordinals (`date.toordinal`)."""

    __slots__ = ("_midnights", "_zone")

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._midnights: dict[int, int] = {}

    def midnight(self, day: int) -> int:
        """Return the first instant of a day."""
        found = self._midnights.get(day)
        if found is None:
            if len(self._midnights) >= _DAYS_KEPT_MAX:
                self._midnights.clear()
            found = self._midnights[day] = self._convert(day, 0)
        return found

    def instant(self, day: int, second: int) -> Instant:
        """Return when the wall clock of a day shows this second, 0 to 86,400."""
        begin = self.midnight(day)
        if second == 0:
            return Instant(begin)
        end = self.midnight(day + 1)
        if second == DAY_SECONDS:
            return Instant(end)
        if end - begin == _DAY_MILLISECONDS:
            return Instant(begin + second * 1000)
        return Instant(self._convert(day, second))

    def day_of(self, instant: int) -> int:
        """Return the day that the calendar on the wall shows at an instant."""
        day = instant // _DAY_MILLISECONDS + EPOCH_DAY
        while instant < self.midnight(day):
            day -= 1
        while instant >= self.midnight(day + 1):
            day += 1
        return day

    def instant_of(self, local: LocalTime) -> Instant:
        """Return the instant of a local time; it may lie outside the years of real instants."""
        day, second = split_local_time(local)
        return self.instant(day, second)

    def _convert(self, day: int, second: int) -> int:
        shown = datetime.fromordinal(day) + timedelta(seconds=second)
        first = shown.replace(tzinfo=self._zone)
        offset = _offset(first)
        second_offset = _offset(first.replace(fold=1))
        if offset >= second_offset:
            return from_datetime(shown.replace(tzinfo=UTC)) - offset
        return self._switch(from_datetime(shown.replace(tzinfo=UTC)), offset, second_offset)

    def _switch(self, shown: Instant, before: int, after: int) -> int:
        """Return the instant at which the skipped local time `shown` was skipped."""
        still_before, already_after = shown - after, shown - before
        while already_after - still_before > 1:
            middle = (still_before + already_after) // 2
            if _offset(to_datetime(Instant(middle), self._zone)) == before:
                still_before = middle
            else:
                already_after = middle
        return already_after


@lru_cache(maxsize=256)
def clock_of(zone: tzinfo) -> LocalClock:
    """Return the clock of a zone; one for all its users, since it remembers the days it met."""
    return LocalClock(zone)


def split_local_time(local: LocalTime) -> tuple[int, int]:
    """Return the day as an ordinal and the second of the day."""
    moment = datetime.fromisoformat(local)
    return moment.toordinal(), moment.hour * 3600 + moment.minute * 60 + moment.second


def _offset(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None, "a zone tells its offset at any time"
    return offset // timedelta(milliseconds=1)
