"""From roles to styles: the only place where a role becomes a colour."""

from dataclasses import fields, replace
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.theme import BUILTIN_THEMES, Theme

from tui.theme_files import ThemeFile
from tui.views.glyphs import ASCII, UNICODE, Glyphs

_PRIMARY_DARK = "#5fafd7"
_PRIMARY_LIGHT = "#005f87"


class Palette:
    """The styles of one theme."""

    def __init__(self, theme: ThemeFile, *, no_colour: bool = False) -> None:
        self.theme = theme
        self._no_colour = no_colour
        self._styles: dict[str, Style] = {"": Style.null()}

    def style(self, role: str) -> Style:
        """Return the style of a role; an unknown role is plain."""
        found = self._styles.get(role)
        if found is None:
            found = _style_of(self.theme.roles.get(role, ""), no_colour=self._no_colour)
            self._styles[role] = found
        return found


def _style_of(text: str, *, no_colour: bool) -> Style:
    words = [word.removeprefix("ansi_") for word in text.split()]
    if no_colour:
        words = [word for word in words if word in {"bold", "underline", "reverse", "italic"}]
    return Style.parse(" ".join(words)) if words else Style.null()


def textual_theme(theme: ThemeFile) -> Theme:
    """Return what Textual needs of a theme."""
    colours: dict[str, Any] = dict(theme.colours)
    if theme.ansi:
        # Textual's own themes for 16 colours define what its widgets refer to.
        base = BUILTIN_THEMES["ansi-dark" if theme.dark else "ansi-light"]
        return replace(base, name=theme.name, **colours)
    colours.setdefault("primary", _PRIMARY_DARK if theme.dark else _PRIMARY_LIGHT)
    return Theme(name=theme.name, dark=theme.dark, **colours)


class AsciiFilter(LineFilter):
    """Lets nothing but ASCII reach a terminal that cannot draw more."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return the segments with signs replaced, each in as many cells."""
        _ = background
        return [
            segment
            if segment.text.isascii()
            else Segment(as_ascii(segment.text), segment.style, segment.control)
            for segment in segments
        ]


def as_ascii(text: str) -> str:
    """Return text in ASCII that takes as many cells; what has no likeness becomes `?`."""
    return "".join(
        sign if sign.isascii() else _ASCII_LIKENESS.get(sign, "?" * cell_len(sign)) for sign in text
    )


_ASCII_LIKENESS = {
    **dict.fromkeys("─━╌═▔▁", "-"),
    **dict.fromkeys("│┃║▌▐▏▕", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼", "+"),
    "…": "~",
    "·": ".",
    "›": ">",  # noqa: RUF001  # meant
    "‹": "<",  # noqa: RUF001  # meant
    "█": "#",
}


def glyphs_of(theme: ThemeFile, *, ascii_only: bool) -> Glyphs:
    """Return the signs of a theme; `ascii_only` when the terminal cannot show others."""
    base = ASCII if ascii_only or theme.glyph_set == "ascii" else UNICODE
    known = {field.name for field in fields(Glyphs) if field.name not in {"name", "box", "curve"}}
    chosen: dict[str, Any] = {
        name: sign
        for name, sign in theme.glyphs.items()
        if name in known and len(sign) == 1 and (sign.isascii() or not ascii_only)
    }
    return replace(base, **chosen) if chosen else base
