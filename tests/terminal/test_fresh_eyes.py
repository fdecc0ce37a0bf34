"""What somebody sees who is woken at three in the morning and has never seen the cockpit."""
# ruff: noqa: RUF001  # the signs of the screen

from typing import Any

import pytest

from engine.kernel.events.orders import OrderStartsMissed
from engine.kernel.instants import Instant
from tests.support.end_of_day import CHAIN, MAIN
from tui.screens.graph import GraphScreen
from tui.views.durations import counted
from tui.views.faults import brief
from tui.widgets.table import Table

pytestmark = [pytest.mark.anyio, pytest.mark.terminal]


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0 nodes"), (1, "1 node"), (2, "2 nodes"), (1200, "1,200 nodes")]
)
def test_a_number_has_the_right_plural(count: int, shown: str) -> None:
    assert counted(count, "node") == shown


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        ("SCHEDULER-280 The process ended with exit code 1", "exit code 1"),
        ("The process ended with exit code -9", "exit code -9"),
        ("no such file: /in/bank.csv", "no such file: /in/bank.csv"),
        ("SSH-006 host unreachable", "host unreachable"),
    ],
)
def test_an_error_loses_its_number_and_its_empty_words(error: str, shown: str) -> None:
    assert brief(error) == shown


async def test_the_first_line_leaves_out_what_alarms_least(desk: Any) -> None:
    async with desk("pulses", size=(64, 24), person="a_long_name") as d:
        d.story.begin()
        d.story.suspend(d.story.plan("till-1"))
        other = d.story.plan("till-2", in_s=0)
        d.story.begin(other)
        d.story.end(other, code=2, error="no file")
        d.story.break_file()
        d.engine.wait(40)
        for port in (44461, 44462):
            d.engine.pulse(f"http://127.0.0.1:{port}", heard_ago_s=31)
        await d.until(
            lambda: "agents 0/3" in d.lines()[0] and "susp 1" in d.lines()[0],
            "late agents and a suspended order in the first line",
        )
        first = d.lines()[0]
        assert "a_long_name" not in first
        assert "files refused" not in first
        assert "…" in first, "what is left out is not left out silently"
        assert first.endswith("Z"), "the clock says its zone"


async def test_a_wide_first_line_leaves_out_nothing(desk: Any) -> None:
    async with desk("pulses", size=(160, 45)) as d:
        d.story.break_file()
        await d.shows("files refused 1", "ops1 rw", "chains ")
        assert "…" not in d.lines()[0]


async def test_rows_that_do_not_fit_are_counted(desk: Any) -> None:
    async with desk("orders") as d:
        for number in range(30):
            d.story.plan(f"till-{number:02}")
        await d.shows("15 more below")
        await d.keys("G")
        await d.lacks("more below")


async def test_a_panel_of_the_start_screen_counts_what_it_does_not_show(desk: Any) -> None:
    async with desk("pulses") as d:
        for number in range(9):
            d.story.suspend(d.story.plan(f"till-{number}"))
        await d.shows("needs a person: 9", "4 more below")


async def test_a_filter_that_nothing_passes_says_so(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("end_of_day")
        await d.keys("/", *"zzz", "enter")
        await d.shows("none of the 1 matches the filter; esc clears it")
        await d.keys("escape")
        await d.shows("end_of_day")
        await d.keys("exclamation_mark")
        await d.shows("none of the 1 has trouble; ! shows all")


async def test_a_job_whose_order_cannot_go_on_says_why(desk: Any) -> None:
    async with desk("jobs", size=(160, 45)) as d:
        d.story.suspend()
        await d.shows("end_of_day: a person: suspended")


async def test_the_agents_of_the_start_screen_have_their_gauge_at_120_columns(desk: Any) -> None:
    async with desk("pulses", size=(120, 36)) as d:
        d.engine.pulse("http://127.0.0.1:44461", heard_ago_s=2)
        d.engine.pulse("http://127.0.0.1:44462", heard_ago_s=20)
        d.engine.wait(1)
        await d.shows("LEASE LEFT", "██████", "late ")


async def test_the_cursor_on_the_worst_stays_on_the_worst(desk: Any) -> None:
    async with desk("pulses") as d:
        d.story.suspend(d.story.plan("till-1"))
        await d.shows("till-1")
        d.story.begin()
        d.story.end(code=2, error="no such file")
        await d.shows("run failed")
        table = d.app.screen.query_one("#needs", Table)
        await d.until(
            lambda: table.cursor_row is not None and "run failed" in table.cursor_row.text_of(0),
            "the cursor on the worst",
        )
        await d.keys("j")
        moved = table.cursor_key
        other = d.story.plan("till-3", in_s=0)
        d.story.begin(other)
        d.story.end(other, code=2, error="no file")
        await d.shows("needs a person: 3")
        assert table.cursor_key == moved, "a cursor that was moved stays with its row"


async def test_a_chain_that_is_not_there_says_what_to_do(desk: Any) -> None:
    async with desk("chain nosuch") as d:
        assert isinstance(d.app.current(), GraphScreen)
        await d.shows("there is no such chain; :chains lists all")


async def test_a_start_that_was_missed_needs_a_person_until_the_order_has_run(desk: Any) -> None:
    async with desk("needs", size=(160, 30)) as d:
        at = d.engine.time
        d.engine.play(OrderStartsMissed(order=MAIN, first=Instant(at - 3_600_000), count=2, at=at))
        await d.shows("start missed", "was to start 2 times from 11:00:00 on", "t starts it")
        await d.keys("enter")
        await d.shows("orders › end_of_day › end_of_day")
        await d.keys("escape")
        d.engine.wait(5)
        d.story.begin()
        await d.shows("nothing needs a person")
        for _ in range(2):
            d.story.end()
            d.story.begin()
        d.story.end()
        await d.shows("nothing needs a person")


async def test_the_last_silences_of_an_agent_are_a_curve(desk: Any) -> None:
    async with desk("agents", size=(160, 30)) as d:
        for silence in (10, 10, 45):
            d.engine.wait(silence)
            d.engine.pulse("http://127.0.0.1:44461")
        d.engine.wait(1)
        await d.shows("LAST BEATS", "▁▁▆")


async def test_from_an_agent_one_key_goes_to_the_processes_of_its_machine(desk: Any) -> None:
    async with desk("agents") as d:
        await d.shows("127.0.0.1:44461", "<p>processes")
        await d.keys("p")
        await d.shows("processes", "‹account=agent@127.0.0.1:44461›")


async def test_who_sends_an_order_to_another_node_sees_which_there_are(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("end_of_day")
        await d.keys("m")
        await d.shows("move to node (split create sync success error):")


async def test_a_saved_filter_is_known_on_the_graph_as_well(desk: Any) -> None:
    async with desk(f"chain {CHAIN}", filters={"late": "status=late"}) as d:
        await d.shows("1 order")
        await d.keys("/", *"@late", "enter")
        await d.shows("‹@late›", "0 of 1 order")
