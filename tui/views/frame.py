"""The lines around every screen: header, crumbs, hints."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from engine.kernel.instants import to_datetime
from engine.kernel.reports import AgentStatus
from engine.kernel.sessions.marks import Mark
from tui.keys import Action
from tui.mirror import LinkStatus
from tui.views.agents import agent_uris, status_of
from tui.views.durations import age_text, clock_text, zone_mark
from tui.views.events import subject_of, words_of
from tui.views.glyphs import Glyphs
from tui.views.scene import Scene
from tui.views.standing import Standing, standing_of_order
from tui.views.text import ELLIPSIS, Line, Span, clean, fit_line, line, plain, spread, width_of

_KEY_NAMES = {
    "escape": "esc",
    "backslash": "\\",
    "pagedown": "pgdn",
    "pageup": "pgup",
    "exclamation_mark": "!",
}


ROOMY = 140
"""From here on the first line has room for words that the numbers can do without."""
ORDER_COUNTS = "order counts"
"""Name under which the counts are handed over, see `Scene.once`."""


def order_counts(scene: Scene) -> Counter[Standing]:
    """Return how many of all orders stand how."""
    return scene.once(ORDER_COUNTS, _count)


def _count(scene: Scene) -> Counter[Standing]:
    state = scene.state
    return Counter(standing_of_order(state, order, scene.now) for order in state.orders.values())


def clock_of(scene: Scene, width: int) -> Line:
    """Return the right end of the first line: alone, because every second writes it."""
    clock = to_datetime(scene.now, scene.zone)
    day = f"{clock:%Y-%m-%d} " if width >= ROOMY else ""
    text = f" {day}{clock:%H:%M:%S}{zone_mark(clock)} "
    return line(Span(text, "cursor" if scene.mirror.link.status is LinkStatus.PAST else ""))


def header_line(scene: Scene, counts: Counter[Standing], width: int, *, who: str) -> Line:
    """Return engine, person, link with its age, trouble in words; the clock stands beside it.

    Where there is no room for all of it the person's name goes first, then the gaps, then whole
    counts, the least alarming first; a sign at the end tells that something is left out.
    """
    room = width - width_of(plain(clock_of(scene, width)))
    pieces = list(_counts(scene, counts, wide=width >= ROOMY)) if scene.mirror.is_filled else []
    rights = who.rpartition(" ")[2]
    head = _head(scene, f"  {who}  ", "  ")
    for person in (f" {rights} ", f" {rights} " if rights != "rw" else " "):
        if _size(head, pieces) <= room:
            break
        head = _head(scene, person, " ")
    left_out = False
    while pieces and _size(head, pieces) + left_out * 2 > room:
        pieces.remove(max(pieces, key=lambda piece: piece.rank))
        left_out = True
    more = [Span(f"{ELLIPSIS} ", "dim")] if left_out else []
    whole = fit_line((*head, *(piece.span for piece in pieces), *more), room)
    if scene.mirror.link.status is LinkStatus.PAST:
        # The whole line is turned round: nobody should take the past for the present.
        return tuple(Span(span.text, "cursor") for span in whole)
    return whole


def _head(scene: Scene, person: str, gap: str) -> list[Span]:
    """Return engine, person and link."""
    glyphs, link = scene.glyphs, scene.mirror.link
    name = Span(f" {scene.engine_name}", "bold")
    if scene.is_production:
        name = Span(f" {scene.engine_name} PRODUCTION ", "alarm")
    left: list[Span] = [name, Span(person, "dim")]
    away = age_text(max(scene.now - link.since, 0))
    match link.status:
        case LinkStatus.LIVE:
            left.append(Span(f"{glyphs.live} live", "ok"))
        case LinkStatus.CONNECTING:
            left.append(Span(f"{glyphs.asked} connecting", "late"))
        case LinkStatus.AWAY:
            left.append(Span(f" {glyphs.lost} ENGINE AWAY {_whole(away)} ", "alarm"))
        case LinkStatus.PAST:
            left.append(Span(f" PAST {to_datetime(scene.now, scene.zone):%H:%M:%S} ", "alarm"))
        case LinkStatus.REFUSED:
            left.append(Span(f" {glyphs.fail} NOT ADMITTED ", "alarm"))
    if scene.state.control.paused:
        left.append(Span(f"{gap}PAUSED", "held"))
    return [*left, Span(gap)]


def _whole(age: str) -> str:
    return (
        age.replace(".0 s", " s")
        if ".0" in age
        else age.partition(".")[0] + (" s" if "." in age else "")
    )


class _Piece(NamedTuple):
    """One count of the first line."""

    rank: int
    """How soon it may be left out: the largest first."""
    span: Span


def _size(head: Iterable[Span], pieces: Iterable[_Piece]) -> int:
    spans = (*head, *(piece.span for piece in pieces))
    return sum(width_of(span.text) for span in spans)


def _counts(scene: Scene, counts: Counter[Standing], *, wide: bool) -> Iterable[_Piece]:
    waiting = counts[Standing.WAITS] + counts[Standing.SETBACK]
    running = counts[Standing.RUNS] + counts[Standing.LATE]
    failed = counts[Standing.FAIL] + counts[Standing.BLACK]
    if wide:
        text = f"chains {len(scene.state.chains)}   orders {counts.total()}: "
        yield _Piece(9, Span(text))
    yield _Piece(6, Span(f"run {running} ", "run" if running else "dim"))
    yield _Piece(7, Span(f"wait {waiting} ", "" if waiting else "dim"))
    if counts[Standing.SUSPENDED]:
        yield _Piece(4, Span(f"susp {counts[Standing.SUSPENDED]} ", "held"))
    if failed:
        yield _Piece(0, Span(f"FAIL {failed} ", "fail"))
    agents = agent_uris(scene)
    if agents:
        fine = sum(1 for uri in agents if status_of(scene, uri) is AgentStatus.COUPLED)
        rank, role = (2, "late") if fine < len(agents) else (5, "dim")
        yield _Piece(rank, Span(f"agents {fine}/{len(agents)} ", role))
    orphans = scene.mirror.remote.count(Mark.ORPHAN)
    if orphans:
        yield _Piece(1, Span(f"orphan {orphans} ", "fail"))
    if scene.state.broken:
        yield _Piece(8, Span(f"files refused {len(scene.state.broken)} ", "fail"))


def crumbs_line(
    scene: Scene,
    crumbs: Iterable[str],
    *,
    filter_text: str,
    right: str,
    width: int,
) -> Line:
    """Return where we are, the filter, how many rows, and how they are sorted."""
    glyphs = scene.glyphs
    spans = [Span(" "), Span(f" {glyphs.crumb} ".join(clean(part) for part in crumbs), "bold")]
    if filter_text:
        spans.append(Span(f" {glyphs.left}{clean(filter_text)}{glyphs.right}", "match"))
    return spread(tuple(spans), line(Span(f" {right} ", "dim")), width)


def away_line(scene: Scene, width: int) -> Line | None:
    """Return what to say over a screen that may be out of date; None when it is live."""
    link = scene.mirror.link
    text = clean(link.text)
    since = clock_text(link.since, scene.now, scene.zone)
    match link.status:
        case LinkStatus.LIVE:
            return None
        case LinkStatus.PAST:
            last = scene.mirror.facts[-1] if scene.mirror.facts else None
            event = f"   {words_of(last)} {clean(subject_of(last))}" if last is not None else ""
            said = f"{text}{event}"
        case LinkStatus.CONNECTING:
            said = "connecting to the engine"
        case LinkStatus.AWAY if scene.mirror.is_filled:
            said = f"as of {since}; the engine is away, trying again: {text}"
        case LinkStatus.AWAY:
            said = f"the engine cannot be reached, trying again: {text}"
        case LinkStatus.REFUSED:
            said = text
    return spread(line(Span(f" {said}", "late")), (), width)


def rule_line(scene: Scene, width: int, title: str = "", *, below: int = 0) -> Line:
    """Return a line across the screen, with a title in it, and how many rows are out of sight."""
    rule = scene.glyphs.rule
    more = f" {below:,} more below {rule}" if below else ""
    head = (Span(f"{rule} ", "dim"), Span(f"{title} ", "head")) if title else ()
    rest = rule * max(width - _size(head, ()) - width_of(more), 0)
    return line(*head, Span(rest, "dim"), Span(more, "bold"))


def notice_line(text: str, glyphs: Glyphs, width: int, *, bad: bool) -> Line:
    """Return a notice across the screen."""
    was_done = text.startswith(("saved", "copied")) or " done" in text
    sign, role = (glyphs.ok, "ok") if was_done else (glyphs.crumb, "dim")
    sign, role = (glyphs.fail, "fail") if bad else (sign, role)
    return fit_line(
        line(Span(f" {sign} ", role), Span(clean(text), role if bad else "bold")), width
    )


def key_name(key: str) -> str:
    """Return a key as the bottom line writes it."""
    name = _KEY_NAMES.get(key, key)
    for long, short in _KEY_NAMES.items():
        name = name.replace(f"+{long}", f"+{short}")
    return name


def hints_line(actions: Iterable[Action], width: int, *, allowed: bool) -> Line:
    """Return the keys that matter here, as many as fit, the help always."""
    shown = sorted(
        (action for action in actions if action.rank and (allowed or not action.harm)),
        key=lambda action: -action.rank,
    )
    spans: list[Span] = [Span(" ")]
    left = width - 2 - len("<?>help ")
    for action in shown:
        if action.id == "go.help":
            continue
        key, label = f"<{key_name(action.keys[0])}>", f"{action.label} "
        size = width_of(key) + width_of(label)
        if size > left:
            continue
        spans.extend((Span(key, "key"), Span(label)))
        left -= size
    spans.extend((Span("<?>", "key"), Span("help")))
    return tuple(spans)
