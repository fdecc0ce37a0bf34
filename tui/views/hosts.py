"""The SSH hosts: whether each answers, and how many processes of which kind are there."""

from collections.abc import Iterable

from engine.kernel.sessions.marks import Mark
from tui.mirror import Changes
from tui.remote import HostLook
from tui.views.durations import age_text
from tui.views.processes import host_lines, mark_word
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.views.text import Span, clean

_COUNTED = (Mark.ORPHAN, Mark.STEP, Mark.LEFT_BEHIND, Mark.LOST, Mark.OTHER_SESSION, Mark.FOREIGN)

COLUMNS = (
    Column(name="STATUS", width_min=10, width_max=12, priority=0),
    Column(name="HOST", width_min=12, width_max=36, cut_middle=True, priority=0),
    *(
        Column(name=mark_word(mark)[0].upper(), width_min=4, right=True, priority=index + 1)
        for index, mark in enumerate(_COUNTED)
    ),
    Column(name="SEEN", width_min=6, right=True, priority=2),
    Column(name="TOOK", width_min=7, right=True, priority=6),
    Column(name="FROM", width_min=4, width_max=20, priority=7),
    Column(name="SAID", width_min=8, width_max=120, priority=3, flexible=True),
)


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    return list(scene.mirror.remote.hosts)


def _row(scene: Scene, key: RowKey) -> Row | None:
    host = scene.mirror.remote.hosts.get(str(key))
    if host is None:
        return None
    sign, word, role = _status(scene, host)
    seen = "-" if host.at is None else age_text(max(scene.now - host.at, 0) // 1000 * 1000)
    said = host.problem or ("protected: every signal asks first" if host.is_protected else "")
    return Row(
        key=key,
        cells=(
            (Span(sign, role), Span(f" {word}", role)),
            Span(clean(host.name)),
            *(_count(host, mark) for mark in _COUNTED),
            Span(seen.replace(".0 s", " s")),
            Span(f"{host.took_ms} ms" if host.at is not None else "-", "dim"),
            Span(" ".join(host.sources), "dim"),
            Span(clean(said), "fail" if host.problem else "dim"),
        ),
        sort={
            "SEEN": float(host.at or 0),
            "TOOK": float(host.took_ms),
            **{mark_word(mark)[0].upper(): float(host.counts.get(mark, 0)) for mark in _COUNTED},
        },
        facts={"status": word, "host": host.name},
        place=(host.name,),
        trouble=host.state == "unreachable" or bool(host.counts.get(Mark.ORPHAN)),
    )


def _status(scene: Scene, host: HostLook) -> tuple[str, str, str]:
    glyphs = scene.glyphs
    match host.state:
        case "shown":
            return glyphs.live, "answers", "ok"
        case "unreachable":
            return glyphs.lost, "no answer", "fail"
        case _:
            return glyphs.asked, "asking", "dim"


def _count(host: HostLook, mark: Mark) -> Span:
    count = host.counts.get(mark, 0)
    return Span(str(count), mark_word(mark)[1]) if count else Span("-", "dim")


def _touched(changes: Changes) -> Iterable[RowKey] | None:
    return None if changes.remote or changes.everything else ()


VIEW = TableView(
    noun="hosts",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=lambda scene, key: (
        host_lines(scene, scene.mirror.remote.hosts[str(key)])
        if str(key) in scene.mirror.remote.hosts
        else []
    ),
    touched=_touched,
    ticks=True,
    empty_text="no hosts: no job works over SSH, and the settings name none",
)
