"""What is set shows: whose clock, how often hosts are looked at, which keys move, which theme."""
# ruff: noqa: RUF001  # the signs of the screen

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.ids import TaskId
from tests.support.end_of_day import CHAIN, MAIN
from tui.key_files import parse_keys
from tui.keys import KeysProblem
from tui.mirror import FinishedTask
from tui.screens.graph import GraphScreen
from tui.settings import SettingsProblem, parse_settings
from tui.widgets.flow_map import FlowMap
from tui.widgets.table import Table

pytestmark = [pytest.mark.anyio, pytest.mark.terminal]


# --- the clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "shown"),
    [("utc", "12:00:00Z"), ("Europe/Berlin", "13:00:00 CET"), ("Asia/Kolkata", "17:30:00 IST")],
)
async def test_the_clock_is_that_of_the_settings(desk: Any, clock: str, shown: str) -> None:
    async with desk("orders", clock=clock) as d:
        await d.shows(shown)


async def test_the_clock_of_the_engine_is_that_of_its_own_zone(desk: Any) -> None:
    async with desk("orders", clock="engine") as d:
        state = d.app.mirror.state
        state.control = replace(state.control, time_zone="America/New_York")
        d.app.redraw()
        await d.shows("07:00:00 EST")


async def test_the_clock_of_this_machine_is_that_of_its_environment(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    async with desk("orders", clock="local") as d:
        await d.shows("21:00:00 JST")


async def test_times_are_shown_and_read_by_the_clock_that_is_set(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.plan("till-1", in_s=3600)
        await d.shows("13:00:00 (in")
        await d.command("set clock Europe/Berlin")
        await d.shows("14:00:00 (in", "13:00:00 CET")
        await d.command("start end_of_day at=20:00 x=1")
        (request,) = await d.asked(1)
        assert request.at.at == d.engine.time + 7 * 3_600_000


async def test_a_form_says_in_which_zone_it_reads_times(desk: Any) -> None:
    async with desk(f"chain {CHAIN}", clock="Europe/Berlin") as d:
        await d.shows("GRAPH")
        await d.keys("T")
        await d.shows("(CET)")


def test_a_clock_that_does_not_exist_is_refused_with_what_there_is() -> None:
    with pytest.raises(SettingsProblem, match="utc, local, engine or Europe/Berlin"):
        parse_settings('clock = "Mars/Base"', "cockpit.toml")
    assert parse_settings('clock = "LOCAL"', "cockpit.toml").clock == "local"


# --- how often -----------------------------------------------------------------------------------


async def test_the_refresh_of_a_screen_of_hosts_is_set_and_shown(desk: Any) -> None:
    async with desk("processes", refresh={"processes": 7.0}) as d:
        await d.shows("every 7 s")
        assert d.app.refresh_s() == 7.0
        await d.command("orders")
        await d.shows("orders")
        assert d.app.refresh_s() == 2.0


@pytest.mark.parametrize(
    "text", ["processes = 0.1", 'processes = "often"', "orders = 5", "hosts = true"]
)
def test_a_refresh_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(SettingsProblem, match="refresh"):
        parse_settings(f"[refresh]\n{text}", "cockpit.toml")


# --- keys that move ------------------------------------------------------------------------------


async def test_keys_that_move_can_be_others(desk: Any) -> None:
    keys = parse_keys('"move.down" = "f7,down"', "keys.toml")
    async with desk("orders", moves=keys.moves(), actions=keys.actions()) as d:
        d.story.plan("till-1")
        d.story.plan("till-2")
        await d.shows("till-1", "till-2")
        table = d.app.screen.query_one("#table", Table)
        await d.keys("f7")
        await d.until(lambda: table._cursor == 1, "one row down")
        await d.keys("j")
        assert table._cursor == 1, "the former key does nothing"
        await d.keys("down", "question_mark")
        await d.shows("help: orders")
        await d.keys("G")
        d.app.screen.query_one("#help").action_edge(-1)
        text = "\n".join("".join(span.text for span in spans) for spans in d.app.screen._lines)
        assert "f7 down" in text


@pytest.mark.parametrize(
    "text", ['"move.down" = "s"', '"move.down" = "k,down"', '"orders.suspend" = "j"']
)
def test_a_key_that_moves_does_nothing_else(text: str) -> None:
    with pytest.raises(KeysProblem, match=r"is both move\.|is both .* and move\."):
        parse_keys(text, "keys.toml")


# --- the map -------------------------------------------------------------------------------------


async def test_on_the_map_h_and_l_walk_along_the_edges(desk: Any) -> None:
    async with desk(f"chain {CHAIN}", size=(140, 40)) as d:
        await d.shows("GRAPH")
        await d.keys("v")
        shown = d.app.screen.query_one("#map", FlowMap)
        await d.until(lambda: shown.selected == "split", "the first node")
        await d.keys("l")
        await d.until(lambda: shown.selected == "create", "the next node")
        await d.keys("l", "h", "h")
        await d.until(lambda: shown.selected == "split", "back again")
        assert isinstance(d.app.current(), GraphScreen), "l is no log on the map"


async def test_on_the_map_the_log_has_a_key_of_its_own(desk: Any) -> None:
    async with desk(f"chain {CHAIN}", size=(140, 40)) as d:
        d.story.begin()
        await d.shows("1 runs")
        await d.keys("v", "L")
        await d.shows("log › 1")


# --- the theme -----------------------------------------------------------------------------------


async def test_a_theme_is_shown_while_it_is_chosen_and_leaving_goes_back(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("end_of_day")
        await d.command("theme")
        await d.shows("theme", "shown until now")
        await d.keys("down")
        await d.until(lambda: d.app.theme != "harbour", "another theme on trial")
        await d.keys("escape")
        await d.until(lambda: d.app.theme == "harbour", "the former theme")
        assert d.app.habits.theme == ""
        await d.command("theme")
        await d.shows("shown until now")
        await d.keys("down", "enter")
        await d.until(lambda: d.app.habits.theme not in {"", "harbour"}, "a theme that is kept")


# --- pages ---------------------------------------------------------------------------------------


async def test_short_names_and_what_this_is_have_a_page(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("end_of_day")
        await d.command("aliases")
        await d.shows(":processes", "ps")
        await d.keys("escape")
        await d.command("about")
        await d.shows("cockpit", "engine", "harbour", "UTC")


# --- what was before the cockpit opened ----------------------------------------------------------


def _older(d: Any, task: TaskId) -> FinishedTask:
    (job,) = {node.job for node in d.story.chain().nodes if getattr(node, "state", "") == "split"}
    return FinishedTask(
        task=task,
        job=job,
        order=MAIN,
        state=None,
        agent=None,
        started_at=d.engine.time - 90_000_000,
        at=d.engine.time - 89_000_000,
        exit_code=1,
        succeeded=False,
        error_text="no such file",
    )


async def test_the_log_of_an_order_is_found_in_the_engines_history(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.older_tasks.append(_older(d, TaskId(77)))
        d.engine.write(77, "the output of long ago\n", complete=True)
        await d.shows("end_of_day")
        await d.keys("l")
        await d.shows("log › 77", "the output of long ago")


async def test_a_log_can_be_asked_for_by_its_order(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.older_tasks.append(_older(d, TaskId(77)))
        d.engine.write(77, "the output of long ago\n", complete=True)
        await d.shows("end_of_day")
        await d.command("log end_of_day")
        await d.shows("log › 77", "the output of long ago")
        await d.command("log nobody")
        await d.shows("is no task number and no order")


async def test_an_order_tells_what_happened_before_the_cockpit_opened(desk: Any) -> None:
    async with desk(f"order {MAIN}") as d:
        d.engine.order_logs[MAIN] = (
            "2026-11-06T02:00:01.123Z [info] SCHEDULER-842 The task 7 works at split\n"
            "2026-11-06T02:00:09.000Z [error] The step at split has failed\n"
        )
        d.app.redraw()
        await d.shows("02:00:01  The task 7 works at split", "02:00:09  The step at split has")


async def test_an_order_that_is_not_there_says_where_to_look(desk: Any) -> None:
    async with desk("order nobody") as d:
        await d.shows("no order is called nobody", ":history")


def test_a_key_file_may_name_the_keys_that_move(tmp_path: Path) -> None:
    keys = parse_keys('"move.left" = "f9"', str(tmp_path))
    assert next(move.keys for move in keys.moves() if move.id == "move.left") == ("f9",)


async def test_events_from_before_the_cockpit_opened_are_there(desk: Any) -> None:
    async with desk("chains") as d:
        await d.shows("end_of_day")
        first = d.engine._facts[0]
        assert not d.app.mirror.facts or d.app.mirror.facts[0].number > first.number
        await d.command("events")
        await d.shows("events › since")
        await d.until(
            lambda: bool(d.app.mirror.facts) and d.app.mirror.facts[0] == first,
            "the events of before",
        )
        d.story.begin()
        await d.shows("order step started")
        numbers = [fact.number for fact in d.app.mirror.facts]
        assert numbers == sorted(set(numbers)), "each once, in their order"
