"""The help of a screen, generated from the same tables the program uses."""

from collections.abc import Iterable, Sequence

from tui.keys import MOVES, Action
from tui.views.frame import key_name
from tui.views.glyphs import Glyphs
from tui.views.standing import Standing, look_of
from tui.views.text import Line, Span, fit, line

HARM = {
    0: "",
    1: "starts or holds; the same key undoes it",
    2: "changes the course; asks first",
    3: "destroys; asks first, with a list",
}
STANDING_WORDS = {
    Standing.FAIL: "ended badly and needs a person",
    Standing.BLACK: "blacklisted: its file is still there",
    Standing.LATE: "unknown since contact with its agent was lost",
    Standing.SETBACK: "will be tried again later",
    Standing.SUSPENDED: "suspended until somebody resumes it",
    Standing.RUNS: "in a task",
    Standing.WAITS: "waits; the row says what for",
    Standing.PLANNED: "its time has not come",
    Standing.IDLE: "no time set",
    Standing.DONE: "ended well",
}


def help_lines(
    title: str,
    actions: Sequence[Action],
    nouns: Iterable[tuple[str, str, str]],
    glyphs: Glyphs,
    *,
    allowed: bool,
) -> list[Line]:
    """Return the keys of one screen, the signs, and the commands."""
    own = [action for action in actions if "everywhere" not in action.places]
    others = [action for action in actions if "everywhere" in action.places]
    lines = [line(Span(f" {title}: keys", "head")), ()]
    lines += [_action(action) for action in own if allowed or not action.harm]
    lines += [(), line(Span(" everywhere", "head")), ()]
    lines += [_action(action) for action in others]
    lines += [(), line(Span(" moving", "head")), ()]
    lines += [_keys(keys, words) for _, keys, _, words in MOVES]
    lines += [(), line(Span(" signs", "head")), ()]
    for standing in Standing:
        look = look_of(standing, glyphs)
        word = fit(standing.value, 9)
        lines.append(
            line(Span(f"   {look.glyph} {word}", look.role), f" {STANDING_WORDS[standing]}")
        )
    lines += [(), line(Span(" commands (type : first)", "head")), ()]
    lines += [
        line("   ", Span(fit(f":{name}", 22), "key"), f"{words}", Span(f"  {aliases}", "dim"))
        for name, aliases, words in nouns
    ]
    return lines


def _action(action: Action) -> Line:
    spans = _keys(action.keys, action.help)
    note = HARM[action.harm]
    return (*spans, Span(f"  ({note})", "dim")) if note else spans


def _keys(keys: tuple[str, ...], words: str) -> Line:
    names = " ".join(key_name(key) for key in keys)
    return line("   ", Span(fit(names, 22), "key"), words)
