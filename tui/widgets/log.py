"""A log: a ring of lines, drawn as far as in sight, with follow, wrap, filter and marks."""

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from textual import events
from textual.binding import BindingType
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tui.views.glyphs import Glyphs
from tui.views.text import clean, fit, width_of
from tui.widgets.moves import move_bindings
from tui.widgets.palette import Palette

LINES_MAX = 200_000
_CUT = 4_096
"""Characters of a line that are looked at for drawing."""
_BAD = re.compile(r"\b(?:error|fatal|exception|failed|traceback)\b|^\[stderr", re.IGNORECASE)
_STAMP = re.compile(r"^(?:\d{4}-\d\d-\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d+)?Z? ")
_WARN = re.compile(r"\bwarn(?:ing)?\b", re.IGNORECASE)


class LogView(Widget, can_focus=True):
    """Shows lines that arrive."""

    BINDINGS: ClassVar[list[BindingType]] = move_bindings()

    DEFAULT_CSS = """
    LogView { height: 1fr; width: 1fr; }
    """

    class Looked(Message):
        """Position, follow or filter changed."""

    def __init__(self, palette: Palette, *, id: str | None = None) -> None:  # noqa: A002  # Textual's name
        super().__init__(id=id)
        self._palette = palette
        self._lines: deque[str] = deque(maxlen=LINES_MAX)
        self._partial = ""
        self.dropped = 0
        self.follow = True
        self.wrap = False
        self.hides_stamps = False
        self.unseen = 0
        """Lines that arrived while standing still."""
        self._pattern: re.Pattern[str] | None = None
        self._only_matches = True
        self._shown: list[str] = []
        self._rows: list[str] = []
        """What is drawn: shown lines, wrapped when asked for."""
        self._top = 0
        self._left = 0
        self._match = -1
        self._note = ""

    # --- content -----------------------------------------------------------------------------

    @property
    def total(self) -> int:
        """How many lines there are."""
        return len(self._lines)

    @property
    def shown(self) -> int:
        """How many lines pass the filter."""
        return len(self._shown)

    @property
    def is_at_top(self) -> bool:
        """Whether the first line is in sight."""
        return self._top == 0

    @property
    def is_at_bottom(self) -> bool:
        """Whether the last line is in sight."""
        return self._top >= len(self._rows) - self.size.height

    @property
    def match_place(self) -> str:
        """Which match the person stands at, as `3 of 17`; empty before the first."""
        if self._match < 0 or self._pattern is None:
            return ""
        first = 1 if self._note else 0
        rows = enumerate(self._rows[first:], first)
        places = [at for at, row in rows if self._pattern.search(row)]
        before = sum(1 for at in places if at <= self._match)
        return f"{before:,} of {len(places):,}"

    def in_sight(self) -> list[str]:
        """Return the lines that are in sight."""
        return self._rows[self._top : self._top + self.size.height]

    def clear(self) -> None:
        """Forget everything shown here."""
        self._lines.clear()
        self._partial = ""
        self.dropped = 0
        self._note = ""
        self._rebuild()

    def set_note(self, text: str) -> None:
        """Say above the first line what is not shown."""
        if text != self._note:
            self._note = text
            self._rebuild()

    def prepend(self, lines: Sequence[str]) -> None:
        """Put older lines before the first one; what is in sight stays there."""
        room = LINES_MAX - len(self._lines)
        new = [clean(one[:_CUT].rstrip("\r")) for one in lines[-room:]] if room > 0 else []
        before = len(self._rows)
        self._lines.extendleft(reversed(new))
        top, follow = self._top, self.follow
        self.follow = False
        self._rebuild()
        self.follow = follow
        self._top = top + len(self._rows) - before
        self.refresh()

    def feed(self, text: str) -> None:
        """Take text as it arrives; a line is complete with its newline."""
        *complete, self._partial = (self._partial + text).split("\n")
        self.add(complete)

    def finish(self) -> None:
        """Take what is left as the last line."""
        if self._partial:
            last, self._partial = self._partial, ""
            self.add([last])

    def add(self, lines: Iterable[str]) -> None:
        """Take complete lines."""
        new = [clean(one[:_CUT].rstrip("\r")) for one in lines]
        if not new:
            return
        over = len(self._lines) + len(new) - LINES_MAX
        self._lines.extend(new)
        if over > 0:
            self.dropped += over
            self._note = f"… {self.dropped:,} lines not shown, <ctrl-s> saves all"
            self._rebuild()
            return
        passing = [one for one in new if self._passes(one)]
        self._shown.extend(passing)
        self._rows.extend(row for one in passing for row in self._wrapped(one))
        if self.follow:
            self._to_end()
        else:
            self.unseen += len(passing)
        self.refresh()
        self.post_message(self.Looked())

    def mark(self, text: str) -> None:
        """Put a line of our own in."""
        self.add([f"── {text} " + "─" * 40])

    def search(self, pattern: re.Pattern[str] | None, *, only_matches: bool = True) -> None:
        """Show only lines that match, or all with the matches shown; None for no search."""
        self._pattern = pattern
        self._only_matches = only_matches
        self._rebuild()

    def jump(self, direction: int) -> bool:
        """Go to the next (1) or previous (-1) line with trouble, or that matches."""
        pattern = self._pattern or _BAD
        count = len(self._rows)
        start = self._match if 0 <= self._match < count else self._top
        for step in range(1, count + 1):
            index = (start + direction * step) % count
            if (index or not self._note) and pattern.search(self._rows[index]):
                self._match = index
                self.follow = False
                self._top = max(0, min(index - self.size.height // 2, count - self.size.height))
                self.refresh()
                self.post_message(self.Looked())
                return True
        return False

    def toggle_stamps(self) -> None:
        """Hide the time stamps at the beginning of lines, or show them."""
        self.hides_stamps = not self.hides_stamps
        self._rebuild()

    def _passes(self, text: str) -> bool:
        return self._pattern is None or not self._only_matches or bool(self._pattern.search(text))

    def _rebuild(self) -> None:
        self._shown = [one for one in self._lines if self._passes(one)]
        self._rows = [row for one in self._shown for row in self._wrapped(one)]
        if self._note:
            self._rows.insert(0, self._note)
        self._match = -1
        if self.follow:
            self._to_end()
        self._top = max(0, min(self._top, len(self._rows) - 1))
        self.refresh()
        self.post_message(self.Looked())

    def _wrapped(self, text: str) -> list[str]:
        if self.hides_stamps:
            text = _STAMP.sub("", text)
        width = self.size.width
        if not self.wrap or width < 10 or width_of(text) <= width:
            return [text]
        return [text[at : at + width] for at in range(0, len(text), width)]

    def _to_end(self) -> None:
        self._top = max(0, len(self._rows) - self.size.height)
        self.unseen = 0

    # --- moving ------------------------------------------------------------------------------

    def set_follow(self, *, follow: bool) -> None:
        """Follow the end, or stand still."""
        self.follow = follow
        if follow:
            self._to_end()
        self.refresh()
        self.post_message(self.Looked())

    def toggle_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.wrap = not self.wrap
        self._left = 0
        self._rebuild()

    def action_move(self, rows: int) -> None:
        """Move by lines; upwards ends following, at the end it begins again."""
        bottom = max(0, len(self._rows) - self.size.height)
        self._top = max(0, min(self._top + rows, bottom))
        self.follow = self._top >= bottom and rows > 0
        if self.follow:
            self.unseen = 0
        self.refresh()
        self.post_message(self.Looked())

    def action_page(self, pages: float) -> None:
        """Move by part of the height."""
        self.action_move(round(pages * self.size.height))

    def action_edge(self, direction: int) -> None:
        """Go to the beginning (-1) or the end (1)."""
        self.action_move(direction * (len(self._rows) + 1))

    def action_sideways(self, columns: int) -> None:
        """Move sideways in long lines."""
        self._left = max(0, self._left + columns)
        self.refresh()

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Move down with the wheel."""
        event.stop()
        self.action_move(3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Move up with the wheel."""
        event.stop()
        self.action_move(-3)

    def on_resize(self) -> None:
        """Wrap anew, stay at the end when following."""
        self._rebuild()

    def repaint(self, palette: Palette, glyphs: Glyphs) -> None:
        """Take another theme."""
        _ = glyphs
        self._palette = palette
        self.refresh()

    # --- drawing -----------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        width, base = self.size.width, self.rich_style
        index = self._top + y
        if index >= len(self._rows):
            return Strip.blank(width, base)
        text = self._rows[index]
        role = _role_of(text)
        style = base + self._palette.style(role)
        whole = text[self._left :] if self._left else text
        cut = fit(whole, width)
        if self._pattern is None:
            return Strip([Segment(cut, style)], width)
        match_style = style + self._palette.style("match")
        segments = []
        at = 0
        for found in self._pattern.finditer(cut):
            if found.end() > found.start():
                segments.append(Segment(cut[at : found.start()], style))
                segments.append(Segment(found[0], match_style))
                at = found.end()
        segments.append(Segment(cut[at:], style))
        return Strip(segments, width)


def _role_of(text: str) -> str:
    if text.startswith("… "):
        return "dim"
    if text.startswith("── "):
        return "key"
    if _BAD.search(text):
        return "fail"
    return "late" if _WARN.search(text) else ""
