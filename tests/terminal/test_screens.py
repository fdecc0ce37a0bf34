"""Keys in, text out: screens, going between them, filters."""
# ruff: noqa: RUF001  # the signs of the screen

import json
from pathlib import Path
from typing import Any

import pytest

from engine.codec.journal import JOURNAL
from tests.support.desk import Desk
from tests.support.end_of_day import CHAIN, MAIN, EndOfDay
from tests.support.recorded_engine import RecordedEngine
from tui.app import Cockpit
from tui.commands import Place
from tui.journal_file import JournalFile
from tui.screen_table import SCREENS
from tui.settings import load_settings
from tui.theme_files import theme_names

pytestmark = pytest.mark.anyio


async def test_the_chains_screen_shows_counts_and_words(desk: Any) -> None:
    async with desk() as d:
        d.story.begin()
        await d.shows("end_of_day", "running", "archive", "idle", "run 1")


async def test_enter_on_a_chain_shows_its_graph_and_moving_orders(desk: Any) -> None:
    async with desk() as d:
        await d.shows("end_of_day")
        await d.keys("enter")
        await d.shows("GRAPH", "split", "create", "sync", "success", "error")
        d.story.begin()
        await d.shows("1 runs")
        d.story.children()
        d.story.end()
        await d.shows("4 waits", "└ end_of_day_1", "└ end_of_day_3")


async def test_children_stand_below_their_parent_in_the_list_of_orders(desk: Any) -> None:
    async with desk("orders") as d:
        d.story.begin()
        d.story.children()
        await d.shows("└ end_of_day_3")
        rows = [line[12:28].split() for line in d.lines()[3:7]]
        assert rows == [
            ["end_of_day"],
            ["└", "end_of_day_1"],
            ["└", "end_of_day_2"],
            ["└", "end_of_day_3"],
        ]


async def test_a_waiting_order_says_what_it_waits_for(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("a start by hand")


async def test_the_agents_gauge_turns_before_twelve_seconds_of_silence(desk: Any) -> None:
    async with desk("agents") as d:
        await d.shows("answers")
        assert "late" not in d.lines()[3]
        d.engine.wait(10.5)
        await d.shows("10 s")
        assert "answers" in d.lines()[3]
        d.engine.wait(1.0)
        await d.shows("late")
        d.engine.wait(50)
        await d.shows("lost")


async def test_the_log_shows_the_tail_and_follows(desk: Any) -> None:
    async with desk("orders") as d:
        task = d.story.begin()
        await d.shows("runs")
        await d.keys("l")
        await d.shows("account range of end_of_day", "follow ●")
        d.engine.write(task, "a second line\n")
        await d.shows("a second line")
        d.engine.write(task, "the end\n", complete=True)
        await d.shows("the end", "complete")


async def test_a_filter_narrows_while_typing_and_escape_clears_it_first(desk: Any) -> None:
    async with desk() as d:
        await d.shows("archive", "end_of_day")
        await d.keys("/", *"arch")
        await d.until(lambda: not any("end_of_day  " in line for line in d.lines()[3:6]), "narrow")
        await d.keys("enter")
        await d.shows("‹arch›", "1 of 2")
        await d.keys("escape")
        await d.shows("end_of_day", "archive")
        await d.lacks("‹arch›")


async def test_commands_go_to_screens_and_back_comes_back_to_the_row(desk: Any) -> None:
    async with desk() as d:
        await d.shows("archive")
        await d.keys("j")
        await d.command("agents")
        await d.shows("LEASE LEFT")
        await d.keys("[")
        await d.shows("CHAIN", "STATUS")
        assert any(line.startswith(">") and "archive" in line for line in d.lines())
        await d.keys("]")
        await d.shows("LEASE LEFT")


async def test_an_unknown_command_names_the_nearest(desk: Any) -> None:
    async with desk() as d:
        await d.command("agnets")
        await d.shows("did you mean 'agents'?")


async def test_keys_that_arrive_in_one_piece_go_where_they_are_meant(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("end_of_day")
        await d.keys(":", *"tasks", "enter")
        await d.shows("JOB")
        assert d.engine.asked == []


async def test_every_screen_opens_at_every_size(desk: Any) -> None:
    for size in ((80, 24), (100, 30), (160, 45)):
        async with desk(size=size) as d:
            d.story.begin()
            d.story.break_file()
            for noun in SCREENS:
                argument = {"chain": f" {CHAIN}", "order": f" {MAIN}", "log": " 1"}.get(noun, "")
                d.app.command(f"{noun}{argument}")
                await d.until(lambda noun=noun: d.app.current().place.noun == noun, noun)
                await d.shows("<?>help", "live")
                lines = d.lines()
                assert len(lines) == size[1]
                assert all(len(line) <= size[0] for line in lines)


async def test_the_help_is_made_from_the_keys_of_the_screen(desk: Any) -> None:
    async with desk("orders") as d:
        await d.keys("?")
        await d.shows("help: orders", "suspend, or resume what is suspended")
        await d.keys("escape")
        await d.lacks("help: orders")


async def test_the_screen_says_when_the_engine_is_away_and_recovers_by_itself(desk: Any) -> None:
    async with desk("orders") as d:
        await d.shows("end_of_day")
        d.engine.go_away()
        await d.shows("ENGINE AWAY", "trying again")
        await d.shows("end_of_day")
        d.story.begin()
        d.engine.come_back()
        await d.shows("live", "runs")
        assert d.engine.snapshots == 1


async def test_a_refused_file_is_counted_and_shown_with_its_place(desk: Any) -> None:
    async with desk("problems") as d:
        d.story.break_file()
        await d.shows("files refused 1", "nightly/tidy.job.xml", "unknown attribute")
        await d.keys("enter")
        await d.shows("nearest: 'tasks'")


async def test_a_failed_run_needs_a_person_until_a_good_one(desk: Any) -> None:
    async with desk("pulses") as d:
        await d.shows("nothing needs a person")
        d.story.begin()
        d.story.end(code=2, error="no such file: /in/bank.csv")
        await d.shows("run failed", "no such file")
        d.engine.wait(5)
        d.story.begin()
        for _ in range(2):
            d.story.end()
            d.story.begin()
        d.story.end()
        await d.shows("nothing needs a person")


async def test_from_trouble_to_its_log_are_three_keys_at_most(desk: Any) -> None:
    async with desk("pulses") as d:
        d.story.begin()
        d.story.end(code=2, error="no such file: /in/bank.csv")
        await d.shows("run failed")
        await d.keys("enter")
        await d.shows("log › 1", "no such file: /in/bank.csv")


@pytest.mark.parametrize("theme", theme_names())
async def test_every_theme_shows_the_same_words(desk: Any, theme: str) -> None:
    async with desk("pulses", theme=theme) as d:
        d.story.begin()
        await d.shows("running", "runs")
        d.app.command("theme harbour")
        await d.shows("running", "runs")
        d.app.command(f"theme {theme}")
        await d.shows("running", "runs")


async def test_without_colour_nothing_but_attributes_is_written(desk: Any) -> None:
    async with desk("pulses", no_colour=True) as d:
        d.story.begin()
        await d.shows("runs")
        strips = d.app.screen._compositor.render_strips()
        styles = [segment.style for strip in strips for segment in strip if segment.style]
        assert all(style.color is None or style.color.is_default for style in styles)


async def test_a_poor_terminal_gets_ascii_only(desk: Any) -> None:
    async with desk(f"chain {CHAIN}", ascii_only=True, size=(160, 45)) as d:
        d.story.begin()
        await d.shows("> 1 runs")
        await d.keys("v", "e")
        await d.shows(">split")
        await d.keys("T")
        await d.shows("Start an order")


async def test_the_theme_is_read_again_when_its_file_changes(desk: Any, tmp_path: Path) -> None:
    folder = tmp_path / "themes"
    folder.mkdir()
    file = folder / "own.toml"
    file.write_text('name = "own"\n[roles]\nfail = "bold"\n')
    async with desk(theme="own", themes_folder=folder) as d:
        await d.shows("end_of_day")
        file.write_text('name = "own"\n[roles]\nfail = "underline"\n')
        await d.until(lambda: d.app.palette.theme.roles["fail"] == "underline", "the new theme")
        file.write_text('name = "own"\n[roles]\nfial = "bold"\n')
        await d.shows("did you mean 'fail'")
        assert d.app.palette.theme.roles["fail"] == "underline"


async def test_looking_back_shows_the_screens_of_then_and_sends_nothing(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.wait(60)
        d.story.begin()
        d.engine.wait(60)
        d.story.end()
        await d.shows("waits")
        await d.command("at 12:01:30")
        await d.shows("PAST 12:01:30", "runs")
        await d.keys("s")
        await d.shows("this is the past")
        await d.keys(";", ";", ";", ";")
        await d.shows("PAST 12:02:00", "waits")
        await d.keys(",", ",", ",", ",")
        await d.shows("PAST 12:01:00", "runs")
        await d.command("now")
        await d.shows("● live", "waits")
        assert d.engine.asked == []


async def test_the_past_can_be_played_faster_than_it_was(desk: Any) -> None:
    async with desk("orders") as d:
        d.engine.wait(60)
        d.story.begin()
        d.engine.wait(60)
        d.story.end()
        await d.shows("waits")
        await d.command("at 12:00:30")
        await d.shows("PAST 12:00:30", "idle")
        await d.command("play 1000x")
        await d.shows("PAST 12:02:00", "waits")
        await d.command("at 12:00:30")
        await d.command("play 1x")
        await d.shows("playing 1x")
        await d.command("play stop")
        await d.lacks("playing")
        stands = d.lines()[0]
        await d.pilot.pause(0.6)
        assert d.lines()[0] == stands
        await d.command("play sideways")
        await d.shows("is no speed")
        assert d.engine.asked == []


async def test_a_saved_journal_is_shown_without_an_engine(tmp_path: Path) -> None:
    engine = RecordedEngine()
    EndOfDay(engine).define()
    file = tmp_path / "incident.jsonl"
    with file.open("w") as out:
        for fact in engine._facts:
            kind, body = JOURNAL.encode(fact.event)
            row = {"number": fact.number, "at": fact.at, "kind": kind, "body": json.loads(body)}
            out.write(json.dumps(row) + "\n")
    app = Cockpit(
        JournalFile(file), load_settings(tmp_path, {"USER": "ops1"}), first=Place(noun="chains")
    )
    async with app.run_test(size=(80, 24)) as pilot:
        d = Desk(app=app, pilot=pilot, engine=engine, story=EndOfDay(engine))
        await d.shows("PAST 12:00:00", "end_of_day", "archive", "a saved journal")
        assert "<t>" not in d.lines()[-1]
        await d.keys("t")
        await d.shows("this is a saved journal, not an engine")
        await d.keys(",", ",")
        await d.shows("agents 1/3")
        await d.command("now")
        await d.shows("a saved journal has no present")


async def test_a_broken_journal_is_named_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "incident.jsonl"
    file.write_text('{"number": 1}\n')
    app = Cockpit(JournalFile(file), load_settings(tmp_path, {"USER": "ops1"}))
    async with app.run_test(size=(100, 24)) as pilot:
        engine = RecordedEngine()
        d = Desk(app=app, pilot=pilot, engine=engine, story=EndOfDay(engine))
        await d.shows("cannot be reached")


async def test_panels_of_the_start_screen_that_come_into_sight_are_up_to_date(desk: Any) -> None:
    async with desk("pulses", size=(80, 24)) as d:
        await d.shows("needs a person: 0")
        await d.lacks("LEASE LEFT")
        d.engine.pulse("http://127.0.0.1:44462", heard_ago_s=20)
        await d.pilot.resize_terminal(140, 40)
        await d.shows("LEASE LEFT", "127.0.0.1:44462")
