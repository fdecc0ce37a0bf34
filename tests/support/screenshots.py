"""Screens of the real cockpit as text: what the README and docs/screens.md show.

Everything that could differ from one run to the next is given: the story, its clock, the size, the
person. `python -m tests.support.screenshots` writes the documents anew; a test compares them.
"""

import asyncio
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import tui.app
from engine.kernel.events.orders import OrderSetBack
from engine.kernel.ids import OrderKey
from engine.kernel.instants import Instant, seconds
from tests.support.desk import Desk
from tests.support.end_of_day import CHAIN, MAIN, EndOfDay
from tests.support.programs import CHECKOUT
from tests.support.recorded_engine import RecordedEngine
from tui.app import Cockpit
from tui.commands import Place
from tui.mirror import Sample
from tui.settings import Settings, load_settings
from tui.widgets import question

README = CHECKOUT / "README.md"
DOCUMENT = CHECKOUT / "docs" / "screens.md"
_BLOCK = re.compile(r"(?s)(<!-- screen: ([a-z-]+) -->\n```text\n).*?(```\n)")
_HEAD = """# Screens of the cockpit

Made from the program by `python -m tests.support.screenshots`, as the terminal shows them; a test
compares them. What the keys do: [cockpit.md](cockpit.md).
"""


_CURVES = ((1, 0), (1, 0), (2, 1), (3, 1), (4, 3), (5, 4), (5, 3), (6, 3), (5, 3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One screen: where, how large, which keys, and what it must show before it is taken."""

    name: str
    title: str
    place: Place
    shows: Sequence[str]
    keys: Sequence[str] = ()
    size: tuple[int, int] = (80, 24)
    ascii_only: bool = False


SHOTS: tuple[Shot, ...] = (
    Shot(
        name="pulses",
        title="Everything at a glance",
        place=Place(noun="pulses"),
        shows=("needs a person: 3",),
        size=(120, 34),
    ),
    Shot(
        name="graph",
        title="A chain with its orders on it",
        place=Place(noun="chain", argument=CHAIN),
        shows=("2 runs", "job end_of_day_sync 1/1"),
    ),
    Shot(
        name="orders",
        title="Every waiting order says what it waits for",
        place=Place(noun="orders"),
        shows=("setback 2", "a person"),
    ),
    Shot(
        name="order",
        title="One order",
        place=Place(noun="order", argument="till-0117"),
        shows=("what happened", "by ops2"),
    ),
    Shot(
        name="start",
        title="Starting an order with parameters",
        place=Place(noun="chain", argument=CHAIN),
        keys=("T",),
        shows=("Start an order", "min_account"),
    ),
    Shot(
        name="question",
        title="A question before something is destroyed",
        place=Place(noun="orders"),
        keys=("space", "space", "space", "ctrl+d"),
        shows=("Remove 3 orders?", "Reason"),
    ),
    Shot(
        name="agents",
        title="Agents as lease gauges",
        place=Place(noun="agents"),
        shows=("late", "LEASE LEFT"),
    ),
    Shot(
        name="log",
        title="A task's log",
        place=Place(noun="log", argument="5"),
        shows=("rows 4000", "follow"),
    ),
    Shot(
        name="ascii",
        title="The same graph on a terminal without Unicode",
        place=Place(noun="chain", argument=CHAIN),
        shows=("2 runs", "job end_of_day_sync 1/1"),
        ascii_only=True,
    ),
)


def evening(story: EndOfDay) -> None:
    """Play an evening on which not everything went well."""
    engine = story.engine
    failed = story.plan("till-0112", in_s=0)
    story.begin(failed)
    engine.wait(40)
    story.end(failed, code=2, error="no such file: /in/till-0112.csv")
    held = story.plan("till-0117", in_s=0)
    story.begin(held)
    engine.wait(95)
    story.end(held)
    story.suspend(held, reason="wait for the bank's file")
    _set_back(engine, story.plan("till-0118", in_s=0))
    story.plan("till-0200", in_s=7_200)
    story.begin(MAIN)
    engine.wait(12)
    children = story.children(4)
    for child in children:
        task = story.begin(child)
        for rows in range(1_000, 5_000, 1_000):
            engine.write(task, f"12:02:{27 + rows // 1_000:02} INFO  rows {rows}\n")
        engine.wait(5)
    for child in children[:2]:
        story.end(child)
    story.begin(children[0])
    story.begin(story.plan("till-0121", in_s=0))
    engine.wait(30)
    engine.pulse("http://127.0.0.1:44461", heard_ago_s=2)
    engine.pulse("http://127.0.0.1:44462", heard_ago_s=7)
    engine.pulse("http://127.0.0.1:44463", heard_ago_s=31)


def _samples(until: Instant) -> Iterator[Sample]:
    """Yield how much was going on; the last is so fresh that no other is taken."""
    for index, (running, waiting) in enumerate(_CURVES):
        age = seconds(10 * (len(_CURVES) - 1 - index))
        yield Sample(at=Instant(until - age), running=running, waiting=waiting)


def _set_back(engine: RecordedEngine, key: OrderKey) -> None:
    later = Instant(engine.time + seconds(600))
    engine.play(OrderSetBack(order=key, count=1, start_at=later))
    engine.play(OrderSetBack(order=key, count=2, start_at=later))


async def taken(shot: Shot, folder: Path) -> str:
    """Return a screen as text."""
    engine = RecordedEngine()
    story = EndOfDay(engine)
    story.define()
    settings: Settings = load_settings(
        folder,
        {"USER": "ops1", "LANG": "C.UTF-8"},
        glyphs="ascii" if shot.ascii_only else "unicode",
    )
    app = Cockpit(engine, settings, first=shot.place, now=engine.now)
    # A question counts its seconds down, and news are told after a while; here time stands still.
    with (
        patch.object(question, "CHECK_S", 3_600.0),
        patch.object(tui.app, "TOLD_EVERY_S", 3_600.0),
    ):
        return await _taken(shot, app, story)


async def _taken(shot: Shot, app: Cockpit, story: EndOfDay) -> str:
    engine = story.engine
    async with app.run_test(size=shot.size) as pilot:
        desk = Desk(app=app, pilot=pilot, engine=engine, story=story)
        await desk.shows("live")
        # In one turn: what a drawing in between would have seen is left to no chance.
        evening(story)
        app.mirror.samples.clear()
        app.mirror.samples.extend(_samples(engine.time))
        await desk.shows("susp 1")
        if shot.keys:
            await pilot.pause()
            await desk.keys(*shot.keys)
        await desk.shows(*shot.shows)
        await pilot.pause()
        return "\n".join(desk.lines())


async def all_taken() -> dict[str, str]:
    """Return all screens by name."""
    with tempfile.TemporaryDirectory() as folder:
        return {shot.name: await taken(shot, Path(folder)) for shot in SHOTS}


def document(screens: dict[str, str]) -> str:
    """Return the text of docs/screens.md."""
    parts = [_HEAD]
    parts += [f"## {shot.title}\n\n```text\n{screens[shot.name]}\n```\n" for shot in SHOTS]
    return "\n".join(parts)


def with_screens(text: str, name: str, screen: str) -> str:
    """Return a document with this screen as it is now, wherever it stands in it."""
    return _BLOCK.sub(
        lambda found: f"{found[1]}{screen}\n{found[3]}" if found[2] == name else found[0], text
    )


def main() -> None:
    """Write the documents."""
    os.environ.pop("NO_COLOR", None)
    screens = asyncio.run(all_taken())
    DOCUMENT.write_text(document(screens), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    for name, screen in screens.items():
        readme = with_screens(readme, name, screen)
    README.write_text(readme, encoding="utf-8")
    sys.stdout.write(f"{len(screens)} screens in {DOCUMENT} and {README}\n")


if __name__ == "__main__":
    main()
