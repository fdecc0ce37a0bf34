"""Pages that tell about the cockpit itself: what can be typed, and who is looking at what."""

from collections.abc import Iterable, Sequence

from tui.commands import for_help
from tui.views.text import Line, Span, clean, fit, line

_ROOM = 12
PAGE_INDENT = _ROOM + 1
"""Where broken lines of the facts go on."""
ALIASES_INDENT = 23
"""The same for commands."""


def aliases_page() -> list[Line]:
    """Return every command with its short names."""
    return [
        line(" ", Span(fit(f":{name.split()[0]}", 12), "key"), fit(aliases, 10), Span(words, "dim"))
        for name, aliases, words in for_help()
    ]


def about_page(facts: Iterable[tuple[str, str]], words: Sequence[str]) -> list[Line]:
    """Return the facts as name and value, then some words."""
    lines: list[Line] = [
        line(" ", Span(fit(name, _ROOM), "dim"), clean(value)) for name, value in facts if value
    ]
    return [*lines, (), *(line(Span(f" {word}", "dim")) for word in words)]
