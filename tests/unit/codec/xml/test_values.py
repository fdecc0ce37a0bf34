"""Values of attributes: what is accepted and what it means."""

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from engine.codec.xml import values
from engine.kernel.commands import AfterDelay, AtInstant, InPeriod
from engine.kernel.definitions import StepDurationLimit
from engine.kernel.instants import FOREVER, from_datetime, seconds

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("text", ["yes", "true", "1", " yes "])
def test_yes_is_written_in_three_ways(text: str) -> None:
    assert values.yes_no(text) is True


@pytest.mark.parametrize("text", ["no", "false", "0"])
def test_no_is_written_in_three_ways(text: str) -> None:
    assert values.yes_no(text) is False


@pytest.mark.parametrize("text", ["", "Yes", "ja", "2", "on"])
def test_anything_else_is_neither_yes_nor_no(text: str) -> None:
    with pytest.raises(ValueError, match="yes, no"):
        values.yes_no(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("60", 60),
        ("1.5", 1.5),
        ("01:00", 3600),
        ("0:01", 60),
        ("00:00:10", 10),
        ("24:00:00", 86400),
        ("100:00", 360_000),
    ],
)
def test_durations_are_seconds_or_hours_and_minutes(text: str, expected: float) -> None:
    assert values.duration(text) == seconds(expected)


@pytest.mark.parametrize("text", ["", "-1", "1:2:3:4", "abc", "never", "1e5", "00:99", "9" * 40])
def test_other_texts_are_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="seconds"):
        values.duration(text)


def test_numbers_are_bounded_so_that_they_fit_everywhere() -> None:
    assert seconds(values.integer("9" * 15)) < FOREVER
    assert values.duration("9" * 15) < FOREVER
    for text in ("9" * 16, "", "1.0", "0x1", "\u0661", "1_0"):
        with pytest.raises(ValueError, match="whole number"):
            values.integer(text)


def test_some_durations_may_be_endless_or_mean_something_else() -> None:
    assert values.duration_or_never("never") == FOREVER
    assert values.delay_or_stop("STOP") is None
    assert values.delay_or_stop("stop") is None
    assert values.delay_or_stop("10") == seconds(10)
    assert values.repeat_or_no("no") is None
    assert values.duration_or_percent("150%") == StepDurationLimit(percent=150)
    assert values.duration_or_percent("00:01") == StepDurationLimit(duration=seconds(60))


@pytest.mark.parametrize(
    ("text", "delay"),
    [
        ("now", 0),
        (" now ", 0),
        ("now+60", 60),
        ("now + 60", 60),
        ("now+01:00", 3600),
        ("now + 00:00:05", 5),
    ],
)
def test_a_start_may_be_given_relative_to_now(text: str, delay: int) -> None:
    assert values.start_at(text, UTC) == AfterDelay(delay=seconds(delay))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-01-02 10:00", datetime(2030, 1, 2, 10, tzinfo=BERLIN)),
        ("2030-07-02 10:00:05", datetime(2030, 7, 2, 10, 0, 5, tzinfo=BERLIN)),
        ("2030-01-02T10:00:00", datetime(2030, 1, 2, 10, tzinfo=BERLIN)),
        ("2030-01-02T10:00:00.123", datetime(2030, 1, 2, 10, tzinfo=BERLIN)),
        ("2030-01-02T10:00:00Z", datetime(2030, 1, 2, 10, tzinfo=UTC)),
        ("2030-01-02T10:00:00.000Z", datetime(2030, 1, 2, 10, tzinfo=UTC)),
        ("2030-01-02 10:00 +02:00", datetime(2030, 1, 2, 8, tzinfo=UTC)),
    ],
)
def test_a_start_may_be_a_local_time_of_the_engines_zone(text: str, moment: datetime) -> None:
    assert values.start_at(text, BERLIN) == AtInstant(at=from_datetime(moment))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "now-5",
        "now+",
        "now+x",
        "2030-13-01 10:00",
        "2030-02-30 10:00",
        "10:00",
        "2030-01-02",
        "2030-01-02 25:00",
        "20300102 10:00",
        "period",
    ],
)
def test_other_texts_are_no_starts(text: str) -> None:
    with pytest.raises(ValueError, match=r"now|date|seconds"):
        values.start_at(text, UTC)


def test_a_job_may_start_with_its_period() -> None:
    assert values.start_at_or_period("period", UTC) == InPeriod()
    assert values.start_at_or_period("now", UTC) == AfterDelay()


def test_local_times_that_a_clock_change_skips_or_repeats_are_read_once() -> None:
    skipped = values.moment("2030-03-31 02:30", BERLIN)
    repeated = values.moment("2030-10-27 02:30", BERLIN)
    assert skipped == from_datetime(datetime(2030, 3, 31, 1, 30, tzinfo=UTC))
    assert repeated == from_datetime(datetime(2030, 10, 27, 0, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("posix", "matching", "other"),
    [
        (r"^.*[^~]$", "a.txt", "a~"),
        ("[[:digit:]]+\\.csv$", "12.csv", "x.csv"),
        ("^[[:alpha:]_]+$", "ab_c", "ab1"),
        ("MATCHING-", "X-MATCHING-1", "MATCH"),
        ("a{2}|b", "xaax", "a"),
    ],
)
def test_posix_expressions_are_translated(posix: str, matching: str, other: str) -> None:
    expression = values.python_regex(posix)
    assert re.search(expression, matching)
    assert not re.search(expression, other)


@pytest.mark.parametrize("text", ["(", "[", "*a", "[[:nothing:]]", "(?P<", "\\"])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        values.python_regex(text)


@pytest.mark.parametrize("kind", sorted(values.KINDS))
def test_every_kind_tells_what_it_allows_and_survives_anything(kind: str) -> None:
    assert values.KINDS[kind].allowed
    for text in ("", " ", "yes", "1", "-1", "\x00", "ä€", "x" * 10_000, "9" * 5_000, "${}", "now"):
        assert values.KINDS[kind].accepts(text) in (True, False)
