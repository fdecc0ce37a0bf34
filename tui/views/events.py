"""What happened, who asked for it, what came of it: the last events, newest first."""

import re
from collections.abc import Iterable
from dataclasses import fields
from enum import Enum

from engine.kernel.events.tasks import Cause
from engine.kernel.ids import OrderKey
from engine.kernel.instants import NEVER
from tui.mirror import Fact
from tui.views.causes import asker
from tui.views.durations import clock_text, moment_text
from tui.views.rows import Column, Row, RowKey
from tui.views.scene import Scene
from tui.views.table_view import TableView
from tui.views.text import Line, Span, clean, line

_SHOWN = 1_000
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BAD = ("Broken", "Lost", "Failed", "SetBack", "Warned", "Stopped", "KillRequested")

COLUMNS = (
    Column(name="TIME", width_min=8, width_max=11, priority=0),
    Column(name="NUMBER", width_min=6, right=True, priority=6),
    Column(name="EVENT", width_min=14, width_max=28, priority=0),
    Column(name="SUBJECT", width_min=12, width_max=40, priority=1),
    Column(name="WHAT", width_min=30, width_max=120, priority=3, flexible=True),
    Column(name="BY", width_min=6, width_max=20, priority=2),
)


def _keys(scene: Scene, argument: str) -> Iterable[RowKey]:
    _ = argument
    facts = scene.mirror.facts
    start = max(len(facts) - _SHOWN, 0)
    return [facts[index].number for index in range(start, len(facts))]


def fact_of(scene: Scene, key: RowKey) -> Fact | None:
    """Return the event with this number, as far as it is remembered."""
    facts = scene.mirror.facts
    if not facts or not isinstance(key, int):
        return None
    index = key - facts[0].number
    if 0 <= index < len(facts) and facts[index].number == key:
        return facts[index]
    return next((fact for fact in facts if fact.number == key), None)


def subject_of(fact: Fact) -> str:
    """Return what an event is about."""
    event = fact.event
    for name in ("order", "task", "job", "agent", "chain", "lock", "process_class", "schedule"):
        value = getattr(event, name, None)
        if value is None:
            continue
        if isinstance(value, OrderKey):
            return value.id
        if name == "task":
            return f"task {value}"
        path = getattr(value, "path", None)
        return str(path if path is not None else value)
    definition = getattr(event, "definition", None)
    if definition is not None:
        return str(definition.key.id)
    return str(getattr(event, "file", ""))


def _said(scene: Scene, fact: Fact) -> str:
    parts = []
    own_task = subject_of(fact).startswith("task ")
    for field in fields(fact.event):
        value = getattr(fact.event, field.name)
        if field.name in {"order", "at", "job", "definition", "chain", "agent", "source"}:
            if field.name == "chain" and isinstance(value, str):
                parts.append(f"chain {value}")
            continue
        name = field.name.replace("_", " ")
        if not _is_worth_saying(value) or (field.name == "task" and own_task):
            continue
        if field.name.endswith("_at") or field.name == "until":
            if value >= NEVER:
                parts.append("no start planned" if field.name == "start_at" else f"{name} never")
                continue
            value = clock_text(value, scene.now, scene.zone)
        elif value is True:
            parts.append(name)
            continue
        elif isinstance(value, Enum):
            value = value.value.replace("_", " ")
        elif not isinstance(value, str | int):
            continue
        parts.append(f"{name} {value}")
    return clean("  ".join(parts))


def _is_worth_saying(value: object) -> bool:
    if value is False or value is Cause.NONE:
        return False
    if isinstance(value, int):
        return True
    return bool(value) and not isinstance(value, dict)


def words_of(fact: Fact) -> str:
    """Return an event's name in words: `order step ended`."""
    return _WORDS.sub(" ", type(fact.event).__name__).lower()


def _row(scene: Scene, key: RowKey) -> Row | None:
    fact = fact_of(scene, key)
    if fact is None:
        return None
    name = type(fact.event).__name__
    bad = any(word in name for word in _BAD) or getattr(fact.event, "error_text", "") != ""
    return Row(
        key=fact.number,
        cells=(
            Span(clock_text(fact.at, scene.now, scene.zone)),
            Span(str(fact.number), "dim"),
            Span(words_of(fact), "late" if bad else ""),
            Span(clean(subject_of(fact))),
            Span(_said(scene, fact), "dim"),
            Span(clean(asker(fact.cause)), "" if fact.cause not in {"", "driver"} else "dim"),
        ),
        sort={"NUMBER": float(fact.number), "TIME": float(fact.at)},
        facts={"kind": name},
        place=(-fact.number,),
        trouble=bad,
    )


def _detail(scene: Scene, key: RowKey) -> list[Line]:
    fact = fact_of(scene, key)
    if fact is None:
        return []
    by = f"  by {clean(asker(fact.cause))}"
    return [
        line(Span(f"{words_of(fact)}  ", "bold"), clean(subject_of(fact))),
        line(f"event {fact.number}  {moment_text(fact.at, scene.zone)}{by}"),
        line(Span(_said(scene, fact), "dim")),
    ]


VIEW = TableView(
    noun="events",
    columns=COLUMNS,
    keys=_keys,
    row=_row,
    detail=_detail,
    touched=lambda changes: None if changes.everything else (),
    empty_text="nothing has happened since the cockpit opened",
)
