"""The log screen: the whole log is looked through, nothing is left out silently."""
# ruff: noqa: RUF001  # the signs of the screen

import re
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.ids import TaskId
from engine.kernel.instants import Instant
from tests.support.desk import TURN_S
from tests.support.recorded_engine import RecordedEngine
from tui.client import LogWish
from tui.screens.reading import Picking

pytestmark = pytest.mark.anyio


def long_log(engine: RecordedEngine, task: int, lines: int = 20_000) -> None:
    """Let a task write a log whose beginning is far from its tail."""
    text = "".join(f"row {number} of many\n" for number in range(lines))
    engine.write(task, f"ERROR at the very beginning\n{text}")


async def open_log(d: Any, lines: int = 20_000) -> int:
    task = int(d.story.begin())
    await d.until(lambda: TaskId(task) in d.app.mirror.state.tasks, "the task")
    long_log(d.engine, task, lines)
    d.app.command(f"log {task}")
    await d.shows(f"row {lines - 1} of many")
    return task


async def test_a_filter_finds_what_is_not_here_and_counts_the_whole_log(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        task = await open_log(d)
        await d.shows("the tail")
        assert "ERROR" not in d.text()
        await d.keys("/", *"error|row 77 of", "enter")
        await d.shows("ERROR at the very beginning", "row 77 of many", "2 of 20,0")
        assert d.engine.wishes[0] == LogWish(words="error|row 77 of")
        d.engine.write(task, "another error\nrow x\n")
        await d.shows("another error", "3 of 20,0")
        assert "row x" not in d.text()
        await d.keys("escape")
        await d.shows("row x", "the tail")


async def test_words_can_be_excluded_and_expressions_are_looked_for_here(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d, 3_000)
        await d.keys("/", *"row 7", "space", "exclamation_mark", *"of", "enter")
        await d.until(lambda: LogWish(words="row 7", without="of") in d.engine.wishes, "a wish")
        await d.keys("escape", "/", *"-e", "space", *"row 7.9 of", "enter")
        await d.shows("row 709 of many", "row 799 of many", "10 of 3,002 lines")
        asked = len(d.engine.wishes)
        await d.keys("escape", "/", *"-e", "space", "left_square_bracket", "enter")
        await d.shows("is no regular expression")
        assert len(d.engine.wishes) == asked


async def test_all_lines_with_the_matches_shown_are_one_key_away(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d, 200)
        await d.keys("/", *"row 150", "enter")
        await d.shows("‹row 150›", "1 of 202 lines")
        await d.keys("ctrl+o")
        await d.shows("row 199 of many", "‹show all, row 150›")
        await d.keys("n")
        await d.shows("match 1 of 1", "row 150 of many")
        await d.keys("ctrl+o")
        await d.shows("1 of 202 lines")


async def test_a_range_asks_for_what_was_written_since_then(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d)
        await d.keys("3")
        await d.shows("last 5 min")
        since = Instant(d.engine.time - 300_000)
        await d.until(lambda: LogWish(since=since) in d.engine.wishes, "a wish")
        await d.keys("6")
        await d.shows("last hour")
        await d.keys("0")
        await d.lacks("last hour")
        await d.shows("the tail", "follow ●")


async def test_lines_that_are_left_out_are_counted_in_a_line(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d, 20_000)
        await d.keys("/", *"many", "enter")
        await d.shows("20,000 of 20,002 lines", "row 19999 of many")
        await d.keys("g")
        await d.shows("… 15,000 lines not shown, <ctrl-s> saves all", "row 15000 of many")


async def test_the_head_is_the_beginning_of_the_whole_log_and_goes_on(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d, 400_000)
        await d.keys("1")
        await d.shows("ERROR at the very beginning", "the beginning", "follow ○")
        here = d.app.current().log_view.total
        assert here < 400_000
        await d.keys("G")
        await d.until(lambda: d.app.current().log_view.total > here, "more lines")
        await d.keys("0")
        await d.shows("row 399999 of many", "the tail", "follow ●")


async def test_going_up_from_the_tail_fetches_older_lines(desk: Any) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d, 20_000)
        view = d.app.current().log_view
        here = view.total
        await d.keys("g")
        await d.until(lambda: view.total > here, "older lines")
        while view.total < 20_002:
            # One piece a key; a key that comes while one is fetched asks for none.
            await d.keys("g")
            await d.pilot.pause(TURN_S)
        await d.keys("g")
        await d.shows("ERROR at the very beginning", "20,002 lines")
        rows = [line for line in view._lines if line.startswith("row ")]
        assert rows == [f"row {number} of many" for number in range(20_000)]


async def test_the_whole_log_is_saved_whatever_is_shown(desk: Any, tmp_path: Path) -> None:
    async with desk(size=(100, 24)) as d:
        await open_log(d, 20_000)
        await d.keys("/", *"error", "enter")
        await d.shows("1 of 20,002 lines")
        d.app.current().save(str(tmp_path / "all.txt"))
        await d.shows("saved")
        assert len((tmp_path / "all.txt").read_text().splitlines()) == 20_002


async def test_the_lines_in_sight_can_be_copied(desk: Any, tmp_path: Path) -> None:
    async with desk(size=(160, 24), clipboard="file", state_folder=tmp_path) as d:
        await open_log(d, 100)
        await d.keys("c")
        await d.shows("lines", "clipboard.txt")
        copied = (tmp_path / "clipboard.txt").read_text().splitlines()
        assert copied[-1] == "row 99 of many"


def test_what_is_typed_is_taken_as_it_is() -> None:
    assert Picking(text="a.c|(x !dbg").words() == ("a.c|(x", "dbg")
    pattern = Picking(text="a.c|(x").pattern()
    assert pattern is not None
    assert not pattern.search("abc")
    assert pattern.search("A.C")
    with pytest.raises(re.error):
        Picking(text="-e (x").pattern()
    assert Picking(text="!dbg").pattern() is None
