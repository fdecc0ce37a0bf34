"""Job chains as rows with counts per state of affairs."""

from collections import Counter
from collections.abc import Iterable

from engine.kernel.definitions import EndNode
from engine.kernel.ids import ChainKey
from engine.kernel.instants import NEVER, Instant
from engine.kernel.state import ChainState
from tui.views.durations import clock_text, counted
from tui.views.gauge import curve
from tui.views.nested import keys_of_chain
from tui.views.orders import next_start_of
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.standing import Standing, role_of, standing_of_order
from tui.views.table_view import TableView
from tui.views.text import Line, Span, clean, line

_STRIP_BUCKETS = 12
_STRIP_SPAN = 24 * 3600 * 1000

COLUMNS = (
    Column(name="CHAIN", width_min=12, width_max=34, priority=0),
    Column(name="STATUS", width_min=8, width_max=10, priority=1),
    Column(name="ORDERS", width_min=6, right=True, priority=3),
    Column(name="RUN", width_min=4, right=True, priority=1),
    Column(name="WAIT", width_min=4, right=True, priority=2),
    Column(name="SUSP", width_min=4, right=True, priority=4),
    Column(name="FAIL", width_min=4, right=True, priority=1),
    Column(name="NEXT", width_min=8, width_max=12, priority=4),
    Column(name="LAST 24 H", width_min=_STRIP_BUCKETS, priority=5),
    Column(name="TITLE", width_min=10, width_max=60, priority=6, flexible=True),
)

_WAITING = (Standing.WAITS, Standing.SETBACK)
"""Those that only wait for their time are told by the column NEXT."""


def counts_of(scene: Scene, chain: ChainKey) -> Counter[Standing]:
    """Return how many orders of a chain stand how."""
    orders = scene.state.orders
    return Counter(
        standing_of_order(scene.state, orders[key], scene.now)
        for key in keys_of_chain(scene, chain)
    )


def _word(chain: ChainState, counts: Counter[Standing]) -> tuple[str, str]:
    if chain.stopped:
        return "stopped", "held"
    if counts[Standing.FAIL] or counts[Standing.BLACK]:
        return "trouble", "fail"
    if counts[Standing.RUNS] or counts[Standing.LATE]:
        return "running", "run"
    if counts[Standing.SUSPENDED]:
        return "suspended", "held"
    waits = counts[Standing.WAITS] + counts[Standing.SETBACK]
    return ("waiting", "wait") if waits else ("idle", "dim")


def _number(count: int, role: str) -> Span:
    return Span(str(count), role) if count else Span("-", "dim")


def chain_row(scene: Scene, key: RowKey) -> Row | None:
    """Return the row of a chain."""
    chain = scene.state.chains.get(ChainKey(str(key)))
    if chain is None:
        return None
    counts = counts_of(scene, chain.key)
    word, role = _word(chain, counts)
    failed_runs = sum(1 for run in scene.mirror.runs if run.order.chain == chain.key and run.failed)
    failed = counts[Standing.FAIL] + counts[Standing.BLACK]
    waiting = sum(counts[standing] for standing in _WAITING)
    next_start = _next_start(scene, chain.key)
    return Row(
        key=chain.key,
        cells=(
            Span(scene.chain_name(chain.key)),
            Span(word, role),
            _number(counts.total(), ""),
            _number(counts[Standing.RUNS] + counts[Standing.LATE], "run"),
            _number(waiting, "wait"),
            _number(counts[Standing.SUSPENDED], "held"),
            _number(failed, "fail"),
            Span(clock_text(next_start, scene.now, scene.zone) or "-"),
            Span(_strip(scene, chain.key), "fail" if failed_runs else "dim"),
            Span(clean(chain.definition.title), "dim"),
        ),
        sort={
            "ORDERS": counts.total(),
            "RUN": counts[Standing.RUNS],
            "WAIT": waiting,
            "SUSP": counts[Standing.SUSPENDED],
            "FAIL": failed,
            "NEXT": float(next_start),
        },
        facts={"path": chain.definition.path, "name": chain.definition.path},
        place=(chain.key,),
        trouble=failed > 0 or chain.stopped,
    )


def _next_start(scene: Scene, chain: ChainKey) -> Instant:
    starts = [
        next_start_of(scene.state.orders[key]) for key in scene.state.orders_of_chain.get(chain, ())
    ]
    return min((start for start in starts if start > scene.now), default=NEVER)


def _strip(scene: Scene, chain: ChainKey) -> str:
    """Return how many runs ended in each two hours of the last day, failures marked."""
    counts = [0] * _STRIP_BUCKETS
    failed = [False] * _STRIP_BUCKETS
    width = _STRIP_SPAN // _STRIP_BUCKETS
    for run in scene.mirror.runs:
        age = scene.now - run.at
        if run.order.chain == chain and 0 <= age < _STRIP_SPAN:
            bucket = _STRIP_BUCKETS - 1 - age // width
            counts[bucket] += 1
            failed[bucket] = failed[bucket] or run.failed
    drawn = curve(counts, scene.glyphs)
    return "".join(
        scene.glyphs.fail if bad else sign for sign, bad in zip(drawn, failed, strict=True)
    )


def chain_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return the lines about one chain under the cursor."""
    chain = scene.state.chains.get(ChainKey(str(key)))
    if chain is None:
        return []
    definition = chain.definition
    ends = [node.state for node in definition.nodes if isinstance(node, EndNode)]
    counts = counts_of(scene, chain.key)
    words = [
        part
        for standing in Standing
        if counts[standing]
        for part in (Span(f"{counts[standing]} {standing.value}", role_of(standing)), Span("  "))
    ]
    runs = [run for run in scene.mirror.runs if run.order.chain == chain.key]
    failed = sum(1 for run in runs if run.failed)
    seen = f"{counted(len(runs), 'run')} seen, {failed} failed" if runs else "no run seen yet"
    limit = f"  at most {counted(definition.max_orders, 'order')}" if definition.max_orders else ""
    nodes = counted(len(definition.nodes) - len(ends), "node")
    at_end = f", ends at {' or '.join(map(clean, ends))}" if ends else ""
    return [
        line(Span(f"{clean(definition.path)}  ", "bold"), Span(clean(definition.title), "dim")),
        line(f"{nodes}{at_end}{limit}  {seen}"),
        tuple(words) or line(Span("no orders", "dim")),
    ]


def chain_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return all chains."""
    _ = argument
    return scene.state.chains


VIEW = TableView(
    noun="chains",
    columns=COLUMNS,
    keys=chain_keys,
    row=chain_row,
    detail=chain_detail,
    touched=lambda changes: None if changes.everything else changes.chains,
    ticks=True,
    place=lambda scene, key: (str(key),) if key in scene.state.chains else None,
    holds=lambda scene, _argument, key: key in scene.state.chains,
    empty_text="no job chains: the engine has no definitions yet",
)
