"""Orders as rows, children under their parents."""

from collections.abc import Iterable

from engine.kernel.ids import NodeState, OrderKey, chain_key
from engine.kernel.instants import NEVER, Instant
from engine.kernel.state import Order
from tui.views.durations import counted, duration_text, moment_text, wait_text
from tui.views.lineup import Place
from tui.views.nested import keys_at_node, keys_of_chain
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.standing import (
    RANK,
    TROUBLES,
    Standing,
    glyph_span,
    role_of,
    standing_of_order,
)
from tui.views.table_view import TableView, key_value
from tui.views.text import Line, Span, clean, line
from tui.views.waits import agent_name, order_waits_for

COLUMNS = (
    Column(name="STATUS", width_min=9, width_max=9, priority=0),
    Column(name="ORDER", cut_middle=True, width_min=8, width_max=28, priority=0),
    Column(name="CHAIN", width_min=6, width_max=26, priority=2),
    Column(name="NODE", width_min=5, width_max=20, priority=1),
    Column(name="TASK", width_min=4, width_max=9, right=True, priority=4),
    Column(name="SINCE", width_min=5, width_max=8, right=True, priority=3),
    Column(name="WAITS FOR, ON", width_min=22, width_max=80, priority=1, flexible=True),
    Column(name="TITLE", width_min=8, width_max=40, priority=8, wide_only=True),
)
_WORKED_ON = frozenset({Standing.RUNS, Standing.LATE})
_CHAIN_COLUMNS = tuple(column for column in COLUMNS if column.name != "CHAIN")


def order_keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    """Return all orders, those of one chain (`argument`), or of one node (`chain node`)."""
    state = scene.state
    if not argument:
        return state.orders
    path, _, node = argument.partition(" ")
    chain = chain_key(path)
    if not node:
        return keys_of_chain(scene, chain)
    return keys_at_node(scene, chain, NodeState(node))


def holds_order(scene: Scene, argument: str, key: RowKey) -> bool:
    """Return whether an order is among `order_keys`."""
    order = scene.state.orders.get(key) if isinstance(key, OrderKey) else None
    if order is None or not argument:
        return order is not None
    path, _, node = argument.partition(" ")
    chain, outer = chain_key(path), order.outer
    if order.key.chain == chain:
        return not node or order.state == node
    return outer is not None and outer.chain == chain and (not node or outer.state == node)


def is_in_trouble(scene: Scene, key: RowKey) -> bool:
    """Return whether an order tells of trouble."""
    order = scene.state.orders.get(key) if isinstance(key, OrderKey) else None
    return order is not None and standing_of_order(scene.state, order, scene.now) in TROUBLES


def place_of_order(scene: Scene, key: RowKey) -> Place | None:
    """Return where an order stands among the others: below its parent, by chain and age."""
    order = scene.state.orders.get(key) if isinstance(key, OrderKey) else None
    if order is None:
        return None
    if order.parent is None:
        return _place(order, order, 0)
    root, depth = root_of(scene, order)
    return _place(root, order, depth)


def status_span(scene: Scene, key: RowKey, standing: Standing) -> tuple[Span, ...]:
    """Return sign and word of a standing, with the mark of a request on its way."""
    role = role_of(standing)
    sign = (
        Span(scene.glyphs.asked, "late")
        if key in scene.asked
        else glyph_span(standing, scene.glyphs)
    )
    return (sign, Span(f" {standing.value}", role))


def _row(scene: Scene, key: RowKey) -> Row | None:
    order = scene.state.orders.get(key) if isinstance(key, OrderKey) else None
    return None if order is None else order_row(scene, order)


def order_row(scene: Scene, order: Order, *, with_chain: bool = True) -> Row:
    """Return the row of an order."""
    standing = standing_of_order(scene.state, order, scene.now)
    waits = order_waits_for(scene, order)
    task = scene.state.tasks.get(order.task) if order.task is not None else None
    agent = agent_name(task.agent) if task is not None and task.agent is not None else ""
    since = _since(scene, order, standing)
    moved = "moved" if order.key in scene.mirror.moved else ""
    chain = Span(scene.chain_name(order.key.chain))
    root, depth = root_of(scene, order)
    indent = "  " * (depth - 1) + f"{scene.glyphs.child} " if depth else ""
    asked = scene.asked.get(order.key, "")
    cells: tuple[Span | tuple[Span, ...], ...] = (
        status_span(scene, order.key, standing),
        (Span(indent, "dim"), Span(clean(order.key.id), moved)),
        chain,
        Span(clean(order.state) or "-", moved),
        Span(str(order.task) if order.task is not None else "-", "" if order.task else "dim"),
        Span(_since_text(since, standing), "" if since else "dim"),
        Span(clean(asked), "late")
        if asked
        else Span(waits, role_of(standing) if standing in TROUBLES else "")
        if waits
        else Span(f"on {agent}" if agent else "", "run"),
        Span(clean(order.title)),
    )
    if not with_chain:
        cells = (*cells[:2], *cells[3:])
    return Row(
        key=order.key,
        cells=cells,
        sort={
            "STATUS": RANK[standing],
            "SINCE": float(since if since is not None else -1),
            "TASK": float(order.task or 0),
        },
        facts={
            "id": order.key.id,
            "chain": order.key.chain,
            "state": order.state,
            "status": standing.value,
            "title": order.title,
            "done": "done" if standing is Standing.DONE else "",
            "on": agent,
            "parent": "" if order.parent is None else order.parent.id,
            "params": " ".join(f"{name}={value}" for name, value in order.params.items()),
        },
        place=_place(root, order, depth),
        trouble=standing in TROUBLES,
    )


def root_of(scene: Scene, order: Order) -> tuple[Order, int]:
    """Return the topmost order that this one descends from, and how deep it is below it."""
    depth = 0
    seen = {order.key}
    while order.parent is not None and order.parent not in seen and depth < 8:
        parent = scene.state.orders.get(order.parent)
        if parent is None:
            break
        order = parent
        seen.add(order.key)
        depth += 1
    return order, depth


def _place(root: Order, order: Order, depth: int) -> tuple[float | str, ...]:
    place = (root.key.chain, root.created_at, root.key.id)
    return (*place, depth, order.created_at, order.key.id) if depth else place


def _since(scene: Scene, order: Order, standing: Standing) -> int | None:
    """Return how long the step runs, the run lasts, or the order waits for its first step."""
    task = scene.state.tasks.get(order.task) if order.task is not None else None
    if task is not None and task.started_at is not None:
        return scene.now - task.started_at
    if order.started_at is not None:
        return scene.now - order.started_at
    if standing is Standing.WAITS:
        return max(scene.now - max(order.start_at, order.created_at), 0)
    return None


def _since_text(since: int | None, standing: Standing) -> str:
    """Return seconds of what runs, minutes of what waits: there the row stands still."""
    if since is None:
        return "-"
    return duration_text(since) if standing in _WORKED_ON else wait_text(since)


def order_detail(scene: Scene, key: RowKey) -> list[Line]:
    """Return the lines about one order under the cursor."""
    order = scene.state.orders.get(key) if isinstance(key, OrderKey) else None
    if order is None:
        return []
    standing = standing_of_order(scene.state, order, scene.now)
    where = f"{scene.chain_name(order.key.chain)}/{clean(order.state) or '-'}"
    waits = order_waits_for(scene, order)
    params = " ".join(f"{clean(k)}={clean(v)}" for k, v in order.params.items())
    children = len(scene.state.children.get(order.key, ()))
    facts = [
        f"{counted(len(order.params), 'param')}  {params}" if params else "no params",
        key_value("children", str(children) if children else ""),
        key_value("child of", order.parent.id if order.parent is not None else ""),
        key_value("started", moment_text(order.started_at, scene.zone) if order.started_at else ""),
    ]
    said = clean(order.state_text)
    return [
        line(
            Span(f"{clean(order.key.id)}  ", "bold"),
            f"{where}  ",
            Span(standing.value, role_of(standing)),
            f"  {waits}" if waits else "",
        ),
        line("  ".join(fact for fact in facts if fact)),
        line(said) if said else line(Span(clean(order.title), "dim")),
    ]


VIEW = TableView(
    noun="orders",
    columns=COLUMNS,
    keys=order_keys,
    row=_row,
    detail=order_detail,
    touched=lambda changes: None if changes.everything else changes.orders,
    ticks=True,
    place=place_of_order,
    holds=holds_order,
    trouble=is_in_trouble,
    empty_text="no orders",
)


def _chain_row(scene: Scene, key: RowKey) -> Row | None:
    order = scene.state.orders.get(key) if isinstance(key, OrderKey) else None
    return None if order is None else order_row(scene, order, with_chain=False)


CHAIN_VIEW = TableView(
    noun="orders",
    columns=_CHAIN_COLUMNS,
    keys=order_keys,
    row=_chain_row,
    detail=order_detail,
    touched=lambda changes: None if changes.everything else changes.orders,
    ticks=True,
    place=place_of_order,
    holds=holds_order,
    trouble=is_in_trouble,
    empty_text="no orders in this chain",
)


def next_start_of(order: Order) -> Instant:
    """Return when the order starts by itself, NEVER when it does not."""
    return order.start_at if not order.touched and not order.suspended else NEVER
