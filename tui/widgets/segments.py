"""Fewer pieces for the terminal: every change of style costs thirty bytes on somebody's line."""

from collections.abc import Iterable

from rich.segment import Segment
from rich.style import Style


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


def _blank_alike(one: Style, other: Style) -> bool:
    return one.bgcolor == other.bgcolor and not (_shows_blanks(one) or _shows_blanks(other))


def _shows_blanks(style: Style) -> bool:
    return bool(style.reverse or style.underline or style.underline2 or style.strike)
