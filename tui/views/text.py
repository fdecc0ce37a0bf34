"""Text with roles, cut and padded to terminal cells.

A view never names a colour: it gives a span a role (`run`, `fail`, `dim` …) and the theme says what
that looks like. Everything that comes from outside (names, parameters, output) passes `clean` once.
"""

import re
from typing import NamedTuple, TypeAlias

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"
_SEQUENCES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_TAB = " " * 4


class Span(NamedTuple):
    """A piece of text and its role; the empty role is plain."""

    text: str
    role: str = ""


Line: TypeAlias = tuple[Span, ...]


def line(*parts: str | Span) -> Line:
    """Return a line of spans; plain texts become spans without a role."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(spans: Line) -> str:
    """Return the text of a line without its roles."""
    return "".join(span.text for span in spans)


def clean(text: str) -> str:
    """Return `text` without escape sequences and control characters, in one line."""
    if text.isprintable():
        return text
    return _CONTROLS.sub(" ", _SEQUENCES.sub("", text.expandtabs(len(_TAB))))


def width_of(text: str) -> int:
    """Return how many terminal cells `text` takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """Return `text` in exactly `width` cells, cut with an ellipsis or padded."""
    size = width_of(text)
    if size > width:
        if width <= 0:
            return ""
        return set_cell_size(text, width - 1) + ELLIPSIS
    space = " " * (width - size)
    return space + text if right else text + space


def fit_middle(text: str, width: int) -> str:
    """Return `text` in exactly `width` cells, cut in the middle: names differ at their ends."""
    size = width_of(text)
    if size <= width or width < 5 or not text.isascii():
        return fit(text, width)
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}{ELLIPSIS}{text[-tail:]}"


def fit_line(spans: Line, width: int) -> Line:
    """Return the spans in exactly `width` cells."""
    fitted: list[Span] = []
    left = width
    for span in spans:
        size = width_of(span.text)
        if size > left:
            if left > 0:
                fitted.append(Span(fit(span.text, left), span.role))
            return tuple(fitted)
        if size:
            fitted.append(span)
            left -= size
    if left > 0:
        fitted.append(Span(" " * left))
    return tuple(fitted)


def spread(left: Line, right: Line, width: int) -> Line:
    """Return both parts in one line of `width` cells, the right one at the right edge.

    When both do not fit the left one is cut: what stands at the right is the shorter, summing-up
    part.
    """
    size = sum(width_of(span.text) for span in right)
    if size >= width:
        return fit_line(right, width)
    return (*fit_line(left, width - size), *right)


def wrapped(spans: Line, width: int, indent: int = 4) -> list[Line]:
    """Return a line in pieces of at most `width` cells, broken at spaces where there are any."""
    if sum(width_of(span.text) for span in spans) <= width or width <= indent + 8:
        return [spans]
    pieces: list[list[Span]] = [[]]
    left = width
    for span in spans:
        text = span.text
        while width_of(text) > left:
            cut = text.rfind(" ", 0, left) + 1
            if not text[:cut].strip():
                if left < width - indent:
                    # A word of another role: it goes to the next line as a whole.
                    text = text.lstrip()
                    pieces.append([Span(" " * indent)])
                    left = width - indent
                    continue
                cut = left
            pieces[-1].append(Span(text[:cut].rstrip(), span.role))
            text = text[cut:]
            pieces.append([Span(" " * indent)])
            left = width - indent
        pieces[-1].append(Span(text, span.role))
        left -= width_of(text)
    return [tuple(piece) for piece in pieces]
