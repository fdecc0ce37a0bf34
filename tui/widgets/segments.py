"""Fewer pieces for the terminal: every change of style costs thirty bytes on somebody's line."""

from collections.abc import Iterable
from itertools import takewhile

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip


def merged(segments: Iterable[Segment]) -> list[Segment]:
    """Return what looks the same in as few segments as possible.

    Spaces have no foreground: they join what stands before them, unless one of both shows more
    than its background.
    """
    found: list[Segment] = []
    text, style = "", Style.null()
    for segment in segments:
        if not segment.text:
            continue
        own = segment.style or Style.null()
        if not text:
            text, style = segment.text, own
        elif own == style or (segment.text.isspace() and _blank_alike(own, style)):
            text += segment.text
        elif text.isspace() and _blank_alike(own, style):
            text, style = text + segment.text, own
        else:
            found.append(Segment(text, style))
            text, style = segment.text, own
    if text:
        found.append(Segment(text, style))
    return found


def changed_width(old: Strip, new: Strip) -> int:
    """Return how many cells from the left have to be drawn for the new line; 0: none.

    The terminal driver begins at a widget's left edge whatever region it is given, but it ends
    where it is told.
    """
    if old.cell_length != new.cell_length:
        return max(old.cell_length, new.cell_length)
    left = new.cell_length
    olds, news = list(old), list(new)
    while olds and news:
        was, now = olds.pop(), news.pop()
        if was == now:
            left -= now.cell_length
            continue
        if was.style == now.style and was.text.isascii() and now.text.isascii():
            left -= _same_end(was.text, now.text)
        break
    return left


def _same_end(one: str, other: str) -> int:
    """Return how many letters at the end are the same."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _blank_alike(one: Style, other: Style) -> bool:
    return one.bgcolor == other.bgcolor and not (_shows_blanks(one) or _shows_blanks(other))


def _shows_blanks(style: Style) -> bool:
    return bool(style.reverse or style.underline or style.underline2 or style.strike)
