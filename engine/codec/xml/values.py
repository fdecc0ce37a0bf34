"""The types of attribute values: what is accepted, and what it means (orders-and-jobs.md 0.2).

Each reader takes a text and returns a value or raises ValueError with what is allowed. `KINDS`
names them for the schema's tables, so that checking and reading cannot disagree.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType

from engine.kernel.commands import AfterDelay, AtInstant, InPeriod, StartAt
from engine.kernel.definitions import StepDurationLimit
from engine.kernel.instants import FOREVER, Duration, Instant, from_datetime, parse_duration

_YES = frozenset(["yes", "true", "1"])
_NO = frozenset(["no", "false", "0"])
_LOCAL_TIME = re.compile(
    r"(\d{4})-(\d{1,2})-(\d{1,2})[ T]+"
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?\s*(Z|[+-]\d{2}:?\d{2})?"
)
_DURATION_TEXT = re.compile(r"\d+(?:\.\d+)?|\d{1,4}:[0-5]?\d(?::[0-5]?\d)?", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,15}", re.ASCII)
"""So many seconds still fit into a duration, and into the journal."""
_PERCENT = re.compile(r"(\d{1,6})%")
_POSIX_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "alpha": "a-zA-Z",
        "digit": "0-9",
        "alnum": "a-zA-Z0-9",
        "upper": "A-Z",
        "lower": "a-z",
        "xdigit": "0-9A-Fa-f",
        "space": r"\s",
        "blank": r" \t",
        "punct": r"!-/:-@\[-`{-~",
        "word": r"\w",
    }
)
_PRIORITIES = ("idle", "below_normal", "normal", "above_normal", "high")


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of attribute values, for the tables of the schema."""

    accepts: Callable[[str], bool]
    allowed: str
    """What is allowed, for the advice of a finding."""


def yes_no(text: str) -> bool:
    """Read `yes no true false 1 0`."""
    text = text.strip()
    if text in _YES:
        return True
    if text in _NO:
        return False
    raise ValueError("yes, no, true, false, 1 or 0")


def integer(text: str) -> int:
    """Read a whole number of sane size."""
    text = text.strip()
    if not _INTEGER.fullmatch(text):
        raise ValueError("a whole number")
    return int(text)


def count(text: str) -> int:
    """Read a whole number from 0 on."""
    number = integer(text)
    if number < 0:
        raise ValueError("a whole number, 0 or more")
    return number


def positive(text: str) -> int:
    """Read a whole number from 1 on."""
    number = integer(text)
    if number < 1:
        raise ValueError("a whole number, 1 or more")
    return number


def duration(text: str) -> Duration:
    """Read seconds, `HH:MM` or `HH:MM:SS`."""
    text = text.strip()
    if not _DURATION_TEXT.fullmatch(text) or len(text) > 15:
        raise ValueError("seconds, HH:MM or HH:MM:SS")
    return parse_duration(text)


def duration_or_never(text: str) -> Duration:
    """Read a duration or `never`."""
    return FOREVER if text.strip() == "never" else duration(text)


def delay_or_stop(text: str) -> Duration | None:
    """Read the delay of `<delay_after_error>`; None means: stop the job."""
    return None if text.strip().lower() == "stop" else duration(text)


def repeat_or_no(text: str) -> Duration | None:
    """Read the repeat of a `<file_order_source>`; None means: no periodic look."""
    return None if text.strip() == "no" else duration(text)


def duration_or_percent(text: str) -> StepDurationLimit:
    """Read a duration or `NN%` of the average (orders-and-jobs.md 3.7)."""
    percent = _PERCENT.fullmatch(text.strip())
    if percent is not None:
        return StepDurationLimit(percent=int(percent[1]))
    return StepDurationLimit(duration=duration(text))


def start_at(text: str, zone: tzinfo) -> StartAt:
    """Read `now`, `now+…` or a local date and time (xml-commands.md 3).

    A time before now means at once; a local time that does not exist is read with the offset
    before the clock change.
    """
    text = text.strip()
    if text.startswith("now"):
        rest = text[3:].strip()
        if not rest:
            return AfterDelay()
        if rest.startswith("+"):
            return AfterDelay(delay=duration(rest[1:]))
        raise ValueError("now+SECONDS, now+HH:MM or now+HH:MM:SS")
    return AtInstant(at=from_datetime(_moment(text, zone)))


def moment(text: str, zone: tzinfo) -> Instant:
    """Read a date and time, local in `zone` unless it names an offset."""
    return from_datetime(_moment(text.strip(), zone))


def start_at_or_period(text: str, zone: tzinfo) -> StartAt | InPeriod:
    """Read what `<start_job at=…>` takes: a start, or `period`."""
    return InPeriod() if text.strip() == "period" else start_at(text, zone)


def python_regex(text: str) -> str:
    """Translate a POSIX extended regular expression into one for `re.search`.

    Only the named classes differ in what people write. Raises ValueError when it is none.
    """

    def named(found: re.Match[str]) -> str:
        if found[1] not in _POSIX_CLASSES:
            raise ValueError(f"a regular expression; the class [:{found[1]}:] is not known")
        return _POSIX_CLASSES[found[1]]

    translated = re.sub(r"\[:(\w+):\]", named, text)
    try:
        re.compile(translated)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"a regular expression; {error}") from error
    return translated


def process_priority(text: str) -> str:
    """Read a nice value or one of the names of priorities."""
    text = text.strip()
    if text in _PRIORITIES or _INTEGER.fullmatch(text):
        return text
    raise ValueError(f"a number or one of {', '.join(_PRIORITIES)}")


def substituted_names(names: str) -> tuple[str, ...]:
    """Split a list that is separated by blanks or commas."""
    return tuple(names.replace(",", " ").split())


def _moment(text: str, zone: tzinfo) -> datetime:
    found = _LOCAL_TIME.fullmatch(text)
    if found is None:
        raise ValueError("now, now+SECONDS, now+HH:MM:SS or yyyy-mm-dd HH:MM[:SS]")
    year, month, day, hour, minute = (int(found[group]) for group in range(1, 6))
    offset = found[7]
    try:
        if offset is None:
            return datetime(year, month, day, hour, minute, int(found[6] or 0), tzinfo=zone)
        written = "+0000" if offset == "Z" else offset.replace(":", "")
        return datetime.strptime(
            f"{year:04}-{month}-{day} {hour}:{minute}:{found[6] or 0} {written}",
            "%Y-%m-%d %H:%M:%S %z",
        )
    except ValueError as error:
        raise ValueError(f"an existing date and time; {error}") from error


def _kind(read: Callable[[str], object], allowed: str) -> Kind:
    """Make a kind that accepts what a reader reads."""

    def accepts(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return Kind(accepts, allowed)


def _one_of(*words: str) -> Kind:
    return Kind(lambda text: text in words, ", ".join(words))


def _any_time(text: str) -> object:
    # The zone is without meaning for the form; any will do.
    return start_at_or_period(text, UTC)


def _any_moment(text: str) -> object:
    return moment(text, UTC)


def _time(text: str) -> object:
    return start_at(text, UTC)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "text": Kind(lambda _: True, "any text"),
        "filled": Kind(lambda text: bool(text.strip()), "a text that is not empty"),
        "name": Kind(lambda text: "/" not in text, "a name without slash"),
        "yesno": _kind(yes_no, "yes, no, true, false, 1, 0"),
        "int": _kind(integer, "a whole number"),
        "count": _kind(count, "a whole number, 0 or more"),
        "positive": _kind(positive, "a whole number, 1 or more"),
        "duration": _kind(duration, "seconds, HH:MM or HH:MM:SS"),
        "duration_never": _kind(duration_or_never, "seconds, HH:MM, HH:MM:SS or never"),
        "delay_stop": _kind(delay_or_stop, "seconds, HH:MM, HH:MM:SS or STOP"),
        "repeat_no": _kind(repeat_or_no, "seconds, HH:MM, HH:MM:SS or no"),
        "percent": _kind(duration_or_percent, "seconds, HH:MM, HH:MM:SS or NN%"),
        "at": _kind(_time, "now, now+SECONDS, now+HH:MM:SS or yyyy-mm-dd HH:MM[:SS]"),
        "at_period": _kind(
            _any_time, "now, period, now+SECONDS, now+HH:MM:SS or yyyy-mm-dd HH:MM[:SS]"
        ),
        "moment": _kind(_any_moment, "yyyy-mm-ddTHH:MM:SS, with or without zone"),
        "regex": _kind(python_regex, "a regular expression"),
        "priority": _kind(process_priority, f"a number or one of {', '.join(_PRIORITIES)}"),
        "visible": _one_of("yes", "no", "never"),
        "on_error": _one_of("suspend", "setback"),
        "select": _one_of("first", "next"),
        "stderr_level": _one_of("info", "error"),
        "from": _one_of("task", "order"),
        "replace_yes": _one_of("yes", "true", "1"),
        "job_cmd": _one_of(
            "stop",
            "unstop",
            "start",
            "wake",
            "wake_when_in_period",
            "end",
            "suspend",
            "continue",
            "reread",
            "remove",
            "enable",
            "disable",
        ),
        "spooler_cmd": _one_of(
            "pause",
            "continue",
            "reload",
            "rotate_logs",
            "stop",
            "terminate",
            "terminate_and_restart",
            "let_run_terminate_and_restart",
            "abort_immediately",
            "abort_immediately_and_restart",
        ),
        "chain_state": _one_of("running", "stopped"),
        "node_action": _one_of("process", "stop", "next_state"),
        "reset": _one_of("reset"),
        "level": _one_of("none", "signal", "info", "no_add", "all"),
    }
)
