"""The four counters of the start screen, with their curves."""

from dataclasses import dataclass

from engine.kernel.state import TaskStatus
from tui.mirror import SAMPLE_EVERY
from tui.views.durations import counted, duration_text
from tui.views.frame import order_counts
from tui.views.gauge import curve
from tui.views.rows import RowKey
from tui.views.scene import Scene
from tui.views.standing import Standing
from tui.views.text import Line, Span, fit, line, width_of

_HOUR = 3600_000
_MINUTE = 60_000
_CURVE = 15
_ROOMY = 28
"""So much room for a counter lets the curve say which time it shows."""
_SAMPLED = f"{_CURVE * SAMPLE_EVERY // 1000} s"
_MINUTES = f"{_CURVE} min"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """One number that tells how things are going."""

    name: str
    value: str
    note: str
    curve: str
    span: str
    """The time that the curve shows."""
    role: str


def counters(scene: Scene) -> list[Counter]:
    """Return running, waiting, failed in the last hour, finished per minute."""
    counts = order_counts(scene)
    samples = list(scene.mirror.samples)[-_CURVE:]
    running = counts[Standing.RUNS] + counts[Standing.LATE]
    waiting = counts[Standing.WAITS] + counts[Standing.SETBACK]
    recent = [run for run in scene.mirror.runs if scene.now - run.at < _HOUR]
    failed = sum(1 for run in recent if run.failed)
    minutes = _per_minute(scene, [run.at for run in recent])
    failures = _per_minute(scene, [run.at for run in recent if run.failed])
    slots = sum(1 for task in scene.state.tasks.values() if task.status is not TaskStatus.QUEUED)
    return [
        Counter(
            name="running",
            value=str(running),
            note=f"in {counted(slots, 'task')}",
            curve=curve([sample.running for sample in samples], scene.glyphs),
            span=_SAMPLED,
            role="run" if running else "dim",
        ),
        Counter(
            name="waiting",
            value=str(waiting),
            note=_oldest(scene),
            curve=curve([sample.waiting for sample in samples], scene.glyphs),
            span=_SAMPLED,
            role="",
        ),
        Counter(
            name="failed, last hour",
            value=str(failed),
            note=f"of {len(recent)}",
            curve=curve(failures, scene.glyphs),
            span=_MINUTES,
            role="fail" if failed else "ok",
        ),
        Counter(
            name="done this minute",
            value=str(minutes[-1]),
            note=f"{len(recent)} an hour",
            curve=curve(minutes, scene.glyphs),
            span=_MINUTES,
            role="ok" if recent else "dim",
        ),
    ]


def _per_minute(scene: Scene, ends: list[int]) -> list[int]:
    counts = [0] * _CURVE
    for at in ends:
        age = (scene.now - at) // _MINUTE
        if 0 <= age < _CURVE:
            counts[_CURVE - 1 - age] += 1
    return counts


def _oldest(scene: Scene) -> str:
    since = [
        order.started_at
        for order in scene.state.orders.values()
        if order.started_at is not None and order.task is None
    ]
    return f"oldest {duration_text(scene.now - min(since))}" if since else ""


def counter_lines(scene: Scene, width: int) -> list[Line]:
    """Return the counters beside one another: names, numbers, curves."""
    found = counters(scene)
    room = max((width - 1) // len(found), 12)
    names = [Span(fit(f" {each.name}", room), "head") for each in found]
    values: list[Span] = []
    for each in found:
        number = f" {each.value:>4}  "
        values.append(Span(number, each.role))
        values.append(Span(fit(each.note, room - len(number)), "dim"))
    curves: list[Span] = []
    for each in found:
        drawn = f"   {each.curve:>{_CURVE}}"
        span = f"  {each.span}" if room >= _ROOMY else ""
        curves.append(Span(drawn, "rail"))
        curves.append(Span(fit(span, room - width_of(drawn)), "dim"))
    return [line(*names), line(*values), line(*curves)]


def living_tasks(scene: Scene, argument: str) -> list[RowKey]:
    """Return the tasks that run or want to."""
    _ = argument
    tasks = scene.state.tasks.values()
    return [task.id for task in tasks if task.status is not TaskStatus.ENDED]
