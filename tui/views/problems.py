"""Definition files that were refused, with what is wrong in them."""

from collections.abc import Iterable

from engine.kernel.commands import ObjectRef
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView, everything
from tui.views.text import Line, Span, clean, line

COLUMNS = (
    Column(name="FILE", width_min=14, width_max=44, priority=0),
    Column(name="KIND", width_min=9, width_max=14, priority=3),
    Column(name="FOUND", width_min=5, right=True, priority=4),
    Column(name="FIRST FINDING", width_min=20, width_max=120, priority=0, flexible=True),
)


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    return scene.state.broken


def _row(scene: Scene, key: RowKey) -> Row | None:
    broken = scene.state.broken.get(key) if isinstance(key, ObjectRef) else None
    if broken is None:
        return None
    first = broken.findings[0] if broken.findings else ""
    return Row(
        key=key,
        cells=(
            Span(clean(broken.file)),
            Span(broken.object.kind.value),
            Span(str(len(broken.findings))),
            Span(clean(first), "fail"),
        ),
        facts={"findings": " ".join(broken.findings), "path": broken.object.path},
        place=(broken.file,),
        trouble=True,
    )


def _detail(scene: Scene, key: RowKey) -> list[Line]:
    broken = scene.state.broken.get(key) if isinstance(key, ObjectRef) else None
    if broken is None:
        return []
    lines = [line(Span(clean(finding), "fail")) for finding in broken.findings[:3]]
    what = "an earlier version, if any, stays in force; mend the file: it is read again"
    lines.append(line(Span(what, "dim")))
    return lines


VIEW = TableView(
    noun="problems",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=_detail,
    touched=everything,
    empty_text="no file was refused",
)
