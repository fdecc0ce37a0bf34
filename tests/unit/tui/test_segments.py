"""Segments that look alike become one."""

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui.widgets.segments import changed_width, merged

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


def test_a_line_is_drawn_up_to_its_last_change() -> None:
    old = Strip([Segment("abc 12 ", BASE), Segment("tail     ", RED)])
    new = Strip([Segment("abc 13 ", BASE), Segment("tail     ", RED)])
    assert changed_width(old, new) == 6


def test_an_unchanged_line_is_not_drawn() -> None:
    line = [Segment("abc", BASE), Segment("def", RED)]
    assert changed_width(Strip(line), Strip(list(line))) == 0


def test_another_style_is_a_change() -> None:
    old = Strip([Segment("abc", BASE), Segment("def", RED)])
    assert changed_width(old, Strip([Segment("abc", BASE), Segment("def", BAR)])) == 6


def test_signs_that_are_no_ascii_are_drawn_whole() -> None:
    old = Strip([Segment("ab██", BASE), Segment("x", RED)])
    assert changed_width(old, Strip([Segment("a░██", BASE), Segment("x", RED)])) == 4
