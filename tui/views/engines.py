"""The engines this cockpit knows: which is shown, which answer, as whom they take us."""

from collections.abc import Iterable

from tui.engine_watch import EngineLook, EngineStatus
from tui.views.durations import age_text
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView, everything
from tui.views.text import Line, Span, clean, line

COLUMNS = (
    Column(name="STATUS", width_min=14, width_max=16, priority=0),
    Column(name="ENGINE", width_min=10, width_max=28, priority=0),
    Column(name="RIGHTS", width_min=9, width_max=12, priority=1),
    Column(name="KIND", width_min=10, width_max=24, priority=1),
    Column(name="RUN", width_min=4, right=True, priority=3),
    Column(name="ORDERS", width_min=6, right=True, priority=3),
    Column(name="VERSION", width_min=7, width_max=20, priority=5),
    Column(name="ADDRESS", width_min=12, width_max=120, priority=2, flexible=True, cut_middle=True),
)
_LOOKS = {
    EngineStatus.UNKNOWN: ("asked", "dim"),
    EngineStatus.ANSWERS: ("live", "ok"),
    EngineStatus.AWAY: ("lost", "fail"),
    EngineStatus.REFUSED: ("fail", "fail"),
    EngineStatus.UNUSABLE: ("fail", "fail"),
}


def engine_name(look: EngineLook) -> str:
    """Return how an engine is called: as in the settings, else as it calls itself."""
    return clean(look.engine.name or look.engine_id or "(as given)")


def _find(scene: Scene, key: RowKey) -> EngineLook | None:
    return next((look for look in scene.engines if look.engine.name == key), None)


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    return [look.engine.name for look in scene.engines]


def _row(scene: Scene, key: RowKey) -> Row | None:
    look = _find(scene, key)
    if look is None:
        return None
    sign, role = _LOOKS[look.status]
    word = "shown here" if look.is_here else look.status.value
    kinds = [
        word
        for word, on in (
            ("production", look.engine.production),
            ("read-only", look.engine.read_only),
            ("paused", look.is_paused),
        )
        if on
    ]
    known = look.status is EngineStatus.ANSWERS
    return Row(
        key=key,
        cells=(
            (Span(getattr(scene.glyphs, sign), role), Span(f" {word}", role)),
            Span(engine_name(look), "bold" if look.is_here else ""),
            Span(look.role or "-", "" if look.role else "dim"),
            Span(" ".join(kinds) or "-", "fail" if look.engine.production else "dim"),
            Span(str(look.running) if known else "-", "run" if look.running else "dim"),
            Span(str(look.orders) if known else "-", "" if known else "dim"),
            Span(clean(look.version) or "-", "dim"),
            Span(clean(look.engine.address)),
        ),
        facts={"status": look.status.value, "name": look.engine.name},
        place=(list(scene.engines).index(look),),
        trouble=look.status in {EngineStatus.AWAY, EngineStatus.REFUSED, EngineStatus.UNUSABLE},
    )


def _detail(scene: Scene, key: RowKey) -> list[Line]:
    look = _find(scene, key)
    if look is None:
        return []
    seen = "" if look.at is None else f"seen {age_text(max(scene.now - look.at, 0))} ago"
    engine = look.engine
    asks = (
        "production: every change asks first, with the reason for the journal"
        if engine.production
        else ""
    )
    token = f"token from {engine.token_file}" if engine.token_file else "no token file"
    return [
        line(Span(f"{engine_name(look)}  ", "bold"), Span(look.status.value), f"  {seen}"),
        line(Span(clean(look.text), "fail")) if look.text else line(Span(asks, "late")),
        line(Span(clean(f"{token}   {engine.theme and 'theme ' + engine.theme}"), "dim")),
    ]


VIEW = TableView(
    noun="engines",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=_detail,
    touched=everything,
    ticks=True,
    empty_text="no engines: cockpit.toml names none",
)
