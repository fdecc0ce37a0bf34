"""Times of the past as people type them."""

import pytest

from engine.kernel.instants import Instant
from tui.views.starting import parse_past

NOON = Instant(1_793_966_400_000)  # 2026-11-06 12:00:00 UTC
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "before_noon"),
    [
        ("11:00", HOUR),
        ("2", 10 * HOUR),
        ("13:00", 23 * HOUR),
        ("-90s", 90_000),
        ("-5m", 300_000),
        ("-8h", 8 * HOUR),
        ("-1d", 24 * HOUR),
        ("2026-11-06 02:00", 10 * HOUR),
    ],
)
def test_a_moment_is_the_last_one_that_is_meant(text: str, before_noon: int) -> None:
    assert parse_past(text, NOON) == NOON - before_noon


@pytest.mark.parametrize("text", ["", "-", "-5", "yesterday", "25:00", "-5w"])
def test_what_is_no_time_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="-5m"):
        parse_past(text, NOON)
