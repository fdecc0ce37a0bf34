"""Segments that look alike become one."""

from rich.segment import Segment
from rich.style import Style

from tui.widgets.segments import merged

BASE = Style.parse("white on black")
RED = Style.parse("red on black")
BAR = Style.parse("white on black reverse")


def test_spaces_join_what_stands_before_them() -> None:
    row = [Segment("ab", RED), Segment("  ", BASE), Segment("cd", RED), Segment(" ", BASE)]
    assert merged(row) == [Segment("ab  cd ", RED)]


def test_leading_spaces_join_what_follows() -> None:
    assert merged([Segment("  ", BASE), Segment("ab", RED)]) == [Segment("  ab", RED)]


def test_other_texts_keep_their_style() -> None:
    row = [Segment("ab", RED), Segment("cd", BASE)]
    assert merged(row) == row


def test_blanks_that_show_are_left_alone() -> None:
    row = [Segment("ab", RED), Segment("  ", BAR), Segment("  ", BASE)]
    assert merged(row) == row


def test_nothing_stays_nothing() -> None:
    assert merged([Segment("", RED)]) == []
