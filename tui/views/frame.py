"""The lines around every screen: header, crumbs, hints."""

from collections import Counter
from collections.abc import Iterable

from engine.kernel.instants import to_datetime
from engine.kernel.reports import AgentStatus
from engine.kernel.sessions.marks import Mark
from tui.keys import Action
from tui.mirror import LinkStatus
from tui.views.agents import agent_uris, status_of
from tui.views.durations import age_text, clock_text
from tui.views.events import subject_of, words_of
from tui.views.glyphs import Glyphs
from tui.views.scene import Scene
from tui.views.standing import Standing, standing_of_order
from tui.views.text import Line, Span, clean, fit_line, line, plain, spread, width_of

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
    text = f"{clock:%Y-%m-%d %H:%M:%S}Z " if width >= ROOMY else f"{clock:%H:%M:%S} "
    return line(Span(text, "cursor" if scene.mirror.link.status is LinkStatus.PAST else ""))


def header_line(scene: Scene, counts: Counter[Standing], width: int, *, who: str) -> Line:
    """Return engine, person, link with its age, trouble in words; the clock stands beside it."""
    glyphs = scene.glyphs
    link = scene.mirror.link
    name = Span(f" {scene.engine_name}", "bold")
    if scene.is_production:
        name = Span(f" {scene.engine_name} PRODUCTION ", "alarm")
    left: list[Span] = [name, Span(f"  {who}  ", "dim")]
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
        left.append(Span("  PAUSED", "held"))
    left.append(Span("  "))
    if scene.mirror.is_filled:
        left.extend(_counts(scene, counts, wide=width >= ROOMY))
    whole = fit_line(tuple(left), width - width_of(plain(clock_of(scene, width))))
    if link.status is LinkStatus.PAST:
        # The whole line is turned round: nobody should take the past for the present.
        return tuple(Span(span.text, "cursor") for span in whole)
    return whole


def _whole(age: str) -> str:
    return (
        age.replace(".0 s", " s")
        if ".0" in age
        else age.partition(".")[0] + (" s" if "." in age else "")
    )


def _counts(scene: Scene, counts: Counter[Standing], *, wide: bool) -> Iterable[Span]:
    waiting = counts[Standing.WAITS] + counts[Standing.SETBACK] + counts[Standing.PLANNED]
    running = counts[Standing.RUNS] + counts[Standing.LATE]
    failed = counts[Standing.FAIL] + counts[Standing.BLACK]
    if wide:
        yield Span(f"chains {len(scene.state.chains)}   orders {counts.total()}: ")
    yield Span(f"run {running} ", "run" if running else "dim")
    yield Span(f"wait {waiting} ", "" if waiting else "dim")
    if counts[Standing.SUSPENDED]:
        yield Span(f"susp {counts[Standing.SUSPENDED]} ", "held")
    if failed:
        yield Span(f"FAIL {failed} ", "fail")
    agents = agent_uris(scene)
    if agents:
        fine = sum(1 for uri in agents if status_of(scene, uri) is AgentStatus.COUPLED)
        role = "late" if fine < len(agents) else "dim"
        yield Span(f"agents {fine}/{len(agents)} ", role)
    orphans = scene.mirror.remote.count(Mark.ORPHAN)
    if orphans:
        yield Span(f"orphan {orphans} ", "fail")
    if scene.state.broken:
        yield Span(f"files broken {len(scene.state.broken)} ", "fail")


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


def rule_line(scene: Scene, width: int, title: str = "") -> Line:
    """Return a line across the screen, with a title in it."""
    rule = scene.glyphs.rule
    if not title:
        return line(Span(rule * width, "dim"))
    rest = rule * max(width - width_of(title) - 4, 0)
    return line(Span(f"{rule} ", "dim"), Span(title, "head"), Span(f" {rest}{rule}", "dim"))


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
