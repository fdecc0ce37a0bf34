"""Finished runs of orders, newest first: what became of them and which node failed."""

from collections.abc import Iterable

from engine.kernel.ids import chain_key
from tui.mirror import FinishedRun
from tui.views.durations import clock_text, duration_text, moment_text
from tui.views.faults import brief
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.views.text import Line, Span, clean, line

COLUMNS = (
    Column(name="RESULT", width_min=8, width_max=8, priority=0),
    Column(name="ENDED", width_min=8, width_max=11, priority=0),
    Column(name="ORDER", cut_middle=True, width_min=8, width_max=28, priority=0),
    Column(name="CHAIN", width_min=6, width_max=26, priority=1),
    Column(name="END", width_min=6, width_max=16, priority=2),
    Column(name="TOOK", width_min=5, right=True, priority=2),
    Column(name="FAILED AT", width_min=9, width_max=18, priority=3),
    Column(name="ERROR", width_min=12, width_max=100, priority=2, flexible=True),
)


def run_key(run: FinishedRun) -> RowKey:
    """Return what identifies a run."""
    return (run.order, run.at)


def run_of(scene: Scene, key: RowKey) -> FinishedRun | None:
    """Return a run that is still remembered."""
    by_key = scene.once("runs", lambda s: {run_key(run): run for run in s.mirror.runs})
    return by_key.get(key)


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    chain = chain_key(argument) if argument else None
    return [run_key(run) for run in scene.mirror.runs if chain is None or run.order.chain == chain]


def _make(scene: Scene, key: RowKey) -> Row | None:
    run = run_of(scene, key)
    return None if run is None else run_row(scene, run)


def run_row(scene: Scene, run: FinishedRun) -> Row:
    """Return the row of a run."""
    took = run.at - run.started_at if run.started_at is not None else None
    sign, word, role = (
        (scene.glyphs.fail, "failed", "fail") if run.failed else (scene.glyphs.ok, "done", "ok")
    )
    return Row(
        key=run_key(run),
        cells=(
            (Span(sign, role), Span(f" {word}", role)),
            Span(clock_text(run.at, scene.now, scene.zone)),
            Span(clean(run.order.id)),
            Span(scene.chain_name(run.order.chain)),
            Span(clean(run.end_state) or "-"),
            Span(duration_text(took) if took is not None else "-"),
            Span(clean(run.failed_at or "") or "-", "" if run.failed_at else "dim"),
            Span(brief(run.error_text), "fail"),
        ),
        sort={"ENDED": float(run.at), "TOOK": float(took or 0)},
        facts={
            "status": word,
            "id": run.order.id,
            "chain": run.order.chain,
            "said": run.error_text,
        },
        place=(-run.at, run.order.id),
        trouble=run.failed,
    )


def _detail(scene: Scene, key: RowKey) -> list[Line]:
    run = run_of(scene, key)
    if run is None:
        return []
    began = f"  began {moment_text(run.started_at, scene.zone)}" if run.started_at else ""
    child = f"  child of {clean(run.parent.id)}" if run.parent is not None else ""
    return [
        line(Span(f"{clean(run.order.id)}  ", "bold"), clean(run.order.chain) + child),
        line(
            f"ended {moment_text(run.at, scene.zone)} at {clean(run.end_state) or 'no node'}{began}"
        ),
        line(Span(clean(run.error_text), "fail")),
    ]


VIEW = TableView(
    noun="history",
    columns=COLUMNS,
    keys=_keys,
    row=_make,
    detail=_detail,
    touched=lambda changes: None if changes.everything else (),
    empty_text="no order has ended yet, as far as the engine remembers",
)
