"""Escape and what comes right behind it."""

import pytest
from textual import events

from tui.escape_key import EscapeParser


def keys(sent: str) -> list[str]:
    """Return the keys of what a terminal sends; no more comes for a long time."""
    parser = EscapeParser()
    found = [*parser.feed(sent)]
    if parser._timeout_time is not None:
        parser._timeout_time = 0.0
        found += parser.tick()
    return [event.key for event in found if isinstance(event, events.Key)]


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ("\x1b", ["escape"]),
        ("\x1bx", ["escape", "x"]),
        ("\x1bG", ["escape", "G"]),
        ("\x1b2", ["escape", "2"]),
        ("\x1b:ps\r", ["escape", "colon", "p", "s", "enter"]),
        ("\x1bjj", ["escape", "j", "j"]),
        ("\x1b\r", ["escape", "enter"]),
        ("\x1b ", ["escape", "space"]),
        ("\x1b\x1b/a", ["escape", "escape", "slash", "a"]),
        ("\x1b[A", ["up"]),
        ("\x1b[1;5A", ["ctrl+up"]),
        ("\x1b[120;3u", ["alt+x"]),
        ("\x1bb", ["ctrl+left"]),
        ("\x1bOP", ["f1"]),
    ],
)
def test_escape_is_a_key_whatever_follows(sent: str, expected: list[str]) -> None:
    assert keys(sent) == expected
