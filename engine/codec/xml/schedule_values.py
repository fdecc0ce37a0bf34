"""Values of run times: times of day, days, dates and their lists (schedules.md 3).

Each reader raises ValueError with the code of the original, where it had one, and what is allowed.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta
from types import MappingProxyType

from engine.kernel.calendar import DAY_SECONDS, LocalDate, LocalTime, WhenHoliday
from engine.kernel.instants import Duration, parse_duration

_TIME_OF_DAY = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", re.ASCII)
_DURATION = re.compile(r"\d{1,12}(?:\.\d+)?|\d{1,6}:[0-5]\d(?::[0-5]\d)?", re.ASCII)
_TIME_PART = re.compile(r".*[T ]\d{1,2}:\d{2}", re.ASCII)
_DATES = (
    re.compile(r"(?P<year>\d{4}|\d{2})-(?P<month>\d{1,2})-(?P<day>\d{1,2})", re.ASCII),
    re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4}|\d{2})", re.ASCII),
    re.compile(r"(?P<month>\d{1,2})/(?P<day>\d{1,2})/(?P<year>\d{4}|\d{2})", re.ASCII),
    re.compile(r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})", re.ASCII),
)
_LOCAL_TIME = re.compile(r"(\d{4}-\d{2}-\d{2})[T ]+(\S+)", re.ASCII)
_YES_NO: Mapping[str, bool] = MappingProxyType(
    {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
)
_WEEKDAY_NAMES = (
    ("sun", "sunday", "so", "sonntag"),
    ("mon", "monday", "mo", "montag"),
    ("tue", "tuesday", "di", "dienstag"),
    ("wed", "wednesday", "mi", "mittwoch"),
    ("thu", "thursday", "do", "donnerstag"),
    ("fri", "friday", "fr", "freitag"),
    ("sat", "saturday", "sa", "samstag", "sonnabend"),
)
_WEEKDAYS: Mapping[str, int] = MappingProxyType(
    {name: day for day, names in enumerate(_WEEKDAY_NAMES) for name in names}
    | {str(number): number % 7 for number in range(8)}
)
_MONTH_NAMES = (
    "january february march april may june july august september october november december"
)
_MONTHS: Mapping[str, int] = MappingProxyType(
    {name: number for number, name in enumerate(_MONTH_NAMES.split(), start=1)}
    | {str(number): number for number in range(1, 13)}
)


def yes_no(text: str) -> bool:
    """Read `yes no true false 1 0`."""
    found = _YES_NO.get(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is neither yes, true or 1 nor no, false or 0")
    return found


def time_of_day(text: str) -> int:
    """Read `H:MM` or `HH:MM:SS` up to 24:00 as seconds."""
    found = _TIME_OF_DAY.fullmatch(text.strip())
    if found is None or int(found[2]) > 59 or int(found[3] or 0) > 59:
        raise ValueError(f"{text!r} is not a time of day; write HH:MM or HH:MM:SS")
    second = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)
    if second > DAY_SECONDS:
        raise ValueError(f"SCHEDULER-104 {text!r} is later than 24:00")
    return second


def interval(text: str) -> Duration:
    """Read a number of seconds, `HH:MM` or `HH:MM:SS`."""
    if _DURATION.fullmatch(text.strip()) is None:
        raise ValueError(f"{text!r} is not a duration; write seconds, HH:MM or HH:MM:SS")
    return parse_duration(text)


def grid_interval(text: str) -> Duration:
    """Read an interval that must not be 0."""
    found = interval(text)
    if found == 0:
        raise ValueError("SCHEDULER-441 absolute_repeat must be greater than 0")
    return found


def local_date(text: str) -> LocalDate:
    """Read `yyyy-mm-dd`, `dd.mm.yyyy`, `mm/dd/yyyy` or `yyyymmdd`; years may have two digits."""
    text = text.strip()
    if _TIME_PART.match(text):
        raise ValueError(f"SCHEDULER-208 {text!r} has a time, only a date is allowed")
    for form in _DATES:
        found = form.fullmatch(text)
        if found is not None:
            year = int(found["year"])
            try:
                day = date(
                    year + 2000 if year < 100 else year, int(found["month"]), int(found["day"])
                )
            except ValueError:
                break
            return LocalDate(day.isoformat())
    raise ValueError(f"{text!r} is not a date; write yyyy-mm-dd")


def local_time(text: str) -> LocalTime:
    """Read `yyyy-mm-dd HH:MM` or `yyyy-mm-dd HH:MM:SS`, also with `T`; 24:00 is the next day."""
    found = _LOCAL_TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a date with a time; write yyyy-mm-dd HH:MM:SS")
    day, second = local_date(found[1]), time_of_day(found[2])
    if second == DAY_SECONDS:
        following = date.fromisoformat(day) + timedelta(days=1)
        day, second = LocalDate(following.isoformat()), 0
    return LocalTime(f"{day}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}")


def weekdays(text: str) -> tuple[int, ...]:
    """Read a list of week days, 0 or 7 for Sunday, or their English or German names."""
    return tuple(_named(word, _WEEKDAYS, "SCHEDULER-445", "a week day") for word in _words(text))


def months(text: str) -> tuple[int, ...]:
    """Read a list of English month names or numbers."""
    return tuple(_named(word, _MONTHS, "SCHEDULER-221", "a month") for word in _words(text))


def monthdays(text: str) -> tuple[int, ...]:
    """Read a list of days of a month."""
    return tuple(_day_number(word, 1, 31) for word in _words(text))


def ultimos(text: str) -> tuple[int, ...]:
    """Read a list of distances from the last day of a month."""
    return tuple(_day_number(word, 0, 30) for word in _words(text))


def which(text: str) -> int:
    """Read which one of a month's week days is meant; the fifth is accepted (E15)."""
    text = text.strip()
    if re.fullmatch(r"-?[1-5]", text) is None:
        raise ValueError(f"{text!r} is not one of 1 to 4 and -1 to -4")
    return int(text)


def when_holiday(text: str) -> WhenHoliday:
    """Read what becomes of a period on a holiday."""
    try:
        return WhenHoliday(text.strip())
    except ValueError:
        allowed = ", ".join(each.value for each in WhenHoliday)
        raise ValueError(f"{text!r} is not one of {allowed}") from None


def _words(text: str) -> list[str]:
    words = text.split()
    if not words:
        raise ValueError("the list is empty")
    return words


def _named(word: str, known: Mapping[str, int], code: str, kind: str) -> int:
    found = known.get(word.casefold())
    if found is None:
        raise ValueError(f"{code} {word!r} is not {kind}")
    return found


def _day_number(word: str, first: int, last: int) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 2 and first <= int(word) <= last):
        raise ValueError(f"SCHEDULER-221 {word!r} is not a day from {first} to {last}")
    return int(word)
