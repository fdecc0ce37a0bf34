"""The help of a screen, generated from the same tables the program uses."""

from collections.abc import Iterable, Sequence

from tui.keys import EVERYWHERE, MOVES, Action, Move
from tui.views.frame import key_name
from tui.views.glyphs import Glyphs
from tui.views.standing import Standing, look_of
from tui.views.text import ELLIPSIS, Line, Span, fit, line

HARM = {
    0: "",
    1: "starts or holds; the same key undoes it",
    2: "changes the course; asks first",
    3: "destroys; asks first, with a list",
}
HARM_MARKS = {0: "", 1: "(undo: again)", 2: "(asks)", 3: "(asks, with a list)"}
HARM_NOTES = (
    "(undo: again)  done at once; the same key takes it back",
    "(asks)         changes the course: asks first, no is the default",
)
KEY_ROOM = 15
"""Cells for the names of the keys; lines that are broken go on behind them."""
_COMMAND_ROOM = 30
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
    moves: Sequence[Move] = MOVES,
) -> list[Line]:
    """Return the keys of one screen, the signs, and the commands."""
    shown = [action for action in actions if allowed or not action.harm]
    own = [action for action in shown if EVERYWHERE not in action.places]
    others = [action for action in shown if EVERYWHERE in action.places]
    lines = [line(Span(f" {title}: keys", "head")), ()]
    lines += [_action(action) for action in own]
    if any(action.harm for action in own):
        lines += [(), *(line(Span(f"   {words}", "dim")) for words in HARM_NOTES)]
    lines += [(), line(Span(" everywhere", "head")), ()]
    lines += [_action(action) for action in others]
    lines += [(), line(Span(" moving", "head")), ()]
    lines += [_keys(move.keys, move.help) for move in moves]
    lines += [(), line(Span(" signs", "head")), ()]
    for standing in Standing:
        look = look_of(standing, glyphs)
        word = fit(standing.value, 9)
        lines.append(
            line(Span(f"   {look.glyph} {word}", look.role), f" {STANDING_WORDS[standing]}")
        )
    lines += [line(f"   {sign} {fit('', 9)} {words}") for sign, words in _other_signs(glyphs)]
    lines += [(), line(Span(" commands (type : first)", "head")), ()]
    for name, aliases, words in nouns:
        short = Span(f"  :{aliases.replace(' ', ' :')}" if aliases else "", "dim")
        lines.append(line("   ", Span(fit(f":{name}", _COMMAND_ROOM), "key"), words, short))
    return lines


def _other_signs(glyphs: Glyphs) -> Iterable[tuple[str, str]]:
    yield ELLIPSIS, "before a word: asked for, no answer yet; in a text: more than fits"
    yield glyphs.mark, "marked: the next key is for all that are marked"
    yield glyphs.live, "an agent or host that answers; a node; a switch that is on"
    yield glyphs.lost, "an agent or host that is lost; the end of a chain; a switch that is off"
    yield glyphs.nested, "a node that is a chain of its own; enter goes in"


def _action(action: Action) -> Line:
    spans = _keys(action.keys, action.help)
    note = HARM_MARKS[action.harm]
    return (*spans, Span(f"  {note}", "dim")) if note else spans


def _keys(keys: tuple[str, ...], words: str) -> Line:
    names = " ".join(key_name(key) for key in keys)
    return line("   ", Span(f"{fit(names, KEY_ROOM)} ", "key"), words)
