"""Every key of every screen does something, and nothing that cannot be undone goes unasked."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.desk import PATIENCE_S, TURN_S
from tests.support.end_of_day import CHAIN, MAIN
from tui.commands import Place
from tui.keys import ACTIONS, Action
from tui.screen_table import SCREENS
from tui.screens.base import CockpitScreen
from tui.screens.shell import Look
from tui.tour import OUTSIDE, STEPS
from tui.widgets.entry import Entry
from tui.widgets.form import StartForm
from tui.widgets.question import Question
from tui.widgets.table import Table

pytestmark = pytest.mark.anyio

ARGUMENTS = {"chain": CHAIN, "order": str(MAIN), "log": "1"}
PLACES = {"graph": "chain"}
"""Places of keys that are reached under another name."""
ENDING = {"go.quit", "go.leave"}
FIRST = {"log.tail": ("1",), "log.head": ("0",), "row.mark_to": ("k",)}
"""Keys that bring about where a key does anything."""
SWITCHES = {"show.full", "show.zoom", "show.header", "show.crumbs", "show.strip", "log.full"}
OTHERS = {"processes", "hosts", "engines"}
"""Screens with stories of their own, see their own tests."""


def places() -> list[str]:
    return [noun for noun in SCREENS if noun not in OTHERS]


async def prepare(d: Any) -> None:
    """Let something run, something have run, something be broken, something be in trouble."""
    d.story.begin()
    d.story.break_file()
    d.story.end(code=2, error="no such file: /in/bank.csv")
    d.story.begin()
    d.story.plan()
    await d.shows("live")


def open_at(d: Any, noun: str) -> CockpitScreen:
    while not isinstance(d.app.screen, CockpitScreen):
        d.app.pop_screen()
    d.app.command("now")
    d.app.going.show(Look(place=Place(noun=noun, argument=ARGUMENTS.get(noun, ""))))
    screen: CockpitScreen = d.app.current()
    screen.is_full = False
    if screen.is_ready and screen.query_one(Entry).is_open:
        screen._close_entry()
    for table in screen.query(Table):
        table.action_clear_marks()
    return screen


def looks(d: Any) -> object:
    """Return what there is to see: the place, whatever lies over it, and every line."""
    screen = d.app.screen
    return type(screen).__name__, d.app.current().place, d.lines(), len(d.engine.asked)


@pytest.mark.parametrize("noun", places())
async def test_every_key_of_a_screen_does_something(desk: Any, noun: str) -> None:
    async with desk("pulses", size=(100, 30)) as d:
        await prepare(d)
        silent = []
        for action in open_at(d, noun).actions:
            for key in action.keys if action.id not in ENDING else ():
                screen = open_at(d, noun)
                await d.until(lambda screen=screen: d.app.screen is screen, noun)
                d.app.going.forget()
                await d.pilot.pause()
                await d.keys(*FIRST.get(action.id, ("k",)))
                if not await does_something(d, key):
                    silent.append(f"{key} ({action.id})")
                if action.id in SWITCHES:
                    await d.keys(key)
        assert not silent, " ".join(silent)


async def does_something(d: Any, key: str) -> bool:
    """Press a key and wait for anything to change."""
    before = looks(d), d.app.clipboard, d.engine.snapshots
    await d.keys(key)
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if (looks(d), d.app.clipboard, d.engine.snapshots) != before:
            return True
        await d.pilot.pause(TURN_S)
    return False


def dangerous() -> Iterator[Any]:
    for action in ACTIONS:
        for place in action.places:
            if action.harm >= 2 and place not in OTHERS:
                yield pytest.param(action, PLACES.get(place, place), id=f"{action.id} on {place}")


async def carry_on(d: Any, action: Action) -> None:
    """Type what an action wants to know before it asks."""
    if action.id == "orders.move":
        await d.shows("move to node")
        await d.keys(*"sync", "enter")
    elif action.id == "orders.edit":
        await d.until(lambda: isinstance(d.app.screen, StartForm), "the form")
        await d.keys("end", "7", "enter")


@pytest.mark.parametrize(("action", "noun"), list(dangerous()))
async def test_nothing_that_changes_the_course_is_sent_without_a_question(
    desk: Any, action: Action, noun: str
) -> None:
    async with desk(" ".join(filter(None, (noun, ARGUMENTS.get(noun))))) as d:
        if noun == "needs":
            d.story.suspend()
            await d.shows("susp 1")
        else:
            d.story.begin()
            await d.shows("run 1")
        await d.until(lambda: any("end_of_day" in row for row in d.lines()[1:]), "the row is there")
        await d.keys(action.keys[0])
        await carry_on(d, action)
        await d.until(lambda: isinstance(d.app.screen, Question), "a question")
        assert d.engine.asked == []
        await d.until(lambda: d.app.screen.hears, "it hears")
        await d.keys("enter")
        await d.until(lambda: not isinstance(d.app.screen, Question), "no question")
        assert d.engine.asked == []


@pytest.mark.parametrize("noun", places())
async def test_who_may_only_look_is_told_so_and_sees_no_such_keys(desk: Any, noun: str) -> None:
    async with desk("pulses", read_only=True) as d:
        await prepare(d)
        screen = open_at(d, noun)
        await d.until(lambda: d.app.screen is screen, noun)
        for action in screen.actions:
            if not action.harm:
                continue
            await d.pilot.pause()
            assert f">{action.label} " not in d.lines()[-1]
            await d.keys(action.keys[0])
            await d.shows("read-only", "Not possible here")
        assert d.engine.asked == []


def test_the_tour_names_every_key() -> None:
    named = {wanted for step in STEPS for wanted in step.tries}
    assert {action.id for action in ACTIONS} - named == OUTSIDE
    known = {action.id for action in ACTIONS} | {f":{noun}" for noun in SCREENS}
    assert named <= known
    for step in STEPS:
        assert len(step.text) <= 78, step.title
