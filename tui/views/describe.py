"""Everything a table knows about one row, on a page: its columns, what filters see, the detail."""

from collections.abc import Sequence

from tui.views.rows import Column, Row
from tui.views.text import Line, Span, clean, fit, line, width_of

_ROOM_MAX = 24
_DRAWN = frozenset({"GRAPH", "LAST 24 H", "LAST BEATS", "LAST RUNS"})
"""Columns that are drawings."""


def description(columns: Sequence[Column], row: Row, detail: Sequence[Line]) -> list[Line]:
    """Return the page about a row: nothing is cut, what is empty is left out."""
    known: dict[str, Line] = {}
    for column, cell in zip(columns, row.cells, strict=True):
        if column.name and column.name not in _DRAWN:
            known[column.name.casefold()] = (cell,) if isinstance(cell, Span) else cell
    for name, value in row.facts.items():
        if name not in known and value:
            known[name] = (Span(clean(value)),)
    room = min(max([width_of(name) for name in known], default=0) + 2, _ROOM_MAX)
    lines: list[Line] = [
        line(Span(f"  {fit(name, room)}", "dim"), *spans)
        for name, spans in known.items()
        if any(span.text.strip() not in {"", "-"} for span in spans)
    ]
    said = [spans for spans in detail if any(span.text.strip() for span in spans)]
    if said:
        lines.append(())
        lines += [line("  ", *spans) for spans in said]
    return lines
