"""What a person has set, chosen or bound: columns, filters, keys and programs of their own."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.kernel.instants import Instant
from tests.support.end_of_day import CHAIN
from tui.habits import FILE, Habits, load_habits
from tui.key_files import parse_keys, replaced
from tui.keys import ACTIONS, KeysProblem
from tui.reference import reference
from tui.settings import SettingsProblem, parse_settings
from tui.terminal_manners import OSC52_MAX, TerminalManners, osc52
from tui.views.all_views import VIEWS, check_columns
from tui.views.filtering import FilterProblem, compile_filter
from tui.views.putting_aside import parse_until
from tui.views.texts import Texts

pytestmark = pytest.mark.anyio

NOON = Instant(1_793_966_400_000)


# --- columns and filters -------------------------------------------------------------------------


async def test_only_the_chosen_columns_are_shown_in_the_chosen_order(desk: Any) -> None:
    async with desk("orders", columns={"orders": ("NODE", "ORDER")}) as d:
        await d.shows("end_of_day")
        assert d.lines()[2].split() == ["NODE", "ORDER"]
        await d.keys("ctrl+w")
        await d.shows("STATUS", "CHAIN")


def test_columns_that_there_are_not_are_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsProblem, match="did you mean 'ORDER'"):
        check_columns({"orders": ("ORDR",)}, "cockpit.toml")
    with pytest.raises(SettingsProblem, match="did you mean 'orders'"):
        check_columns({"order": ("ORDER",)}, "cockpit.toml")
    check_columns({noun: [view.columns[0].name] for noun, view in VIEWS.items()}, "cockpit.toml")


async def test_a_saved_filter_is_called_by_its_name(desk: Any) -> None:
    async with desk("chains", filters={"night": "path=/nightly*"}) as d:
        await d.shows("end_of_day", "archive")
        await d.command("chains @night")
        await d.shows("‹@night›", "archive", "1 of 2")  # noqa: RUF001  # the signs of the screen
        await d.keys("escape")
        await d.command("chains @nite")
        await d.shows("no filter is saved as @nite; saved: @night")


def test_saved_filters_and_words_go_together() -> None:
    keep = compile_filter("@big !x", {"big": "size>3 big"})
    assert keep is not None
    names = ("size", "name")
    assert keep(Texts(names, ("5", "big")))
    assert not keep(Texts(names, ("5", "big x")))
    assert not keep(Texts(names, ("2", "big")))
    with pytest.raises(FilterProblem, match="saved: none"):
        compile_filter("@big")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[columns]\norders = 'ORDER'", "must be a list of column names"),
        ("[filters]\nlate = 3", "filters.late must be a text"),
        ("[filters]\nlate = '@other'", "names no other one"),
        ("clipboard = 'xclip'", "clipboard must be file or terminal"),
        ("bell = 'yes'", "bell must be bool"),
        ("colums = 1", "did you mean 'columns'"),
    ],
)
def test_bad_preferences_are_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=said):
        parse_settings(text, "cockpit.toml")


# --- what is kept --------------------------------------------------------------------------------


async def test_what_a_person_changes_is_there_the_next_time(desk: Any, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    async with desk("orders", state_folder=folder) as d:
        await d.shows("end_of_day")
        await d.keys("shift+right", "shift+right", "O", "ctrl+g")
        await d.command("theme daylight")
        await d.until(lambda: d.app.theme == "daylight", "the theme")
        d.app.leave()
    kept = load_habits(folder)
    assert kept.theme == "daylight"
    assert not kept.shows_crumbs
    assert (kept.of("orders").column, kept.of("orders").descending) == ("ORDER", True)
    assert (folder / FILE).stat().st_mode & 0o777 == 0o600
    async with desk("orders", state_folder=folder) as d:
        await d.shows("ORDER↓")
        assert d.app.theme == "daylight"


async def test_another_theme_in_the_settings_goes_before_the_last_one_chosen(
    desk: Any, tmp_path: Path
) -> None:
    async with desk("orders", state_folder=tmp_path) as d:
        await d.command("theme daylight")
        await d.until(lambda: d.app.theme == "daylight", "the theme")
        d.app.leave()
    async with desk("orders", state_folder=tmp_path, theme="contrast") as d:
        assert d.app.theme == "contrast"


def test_the_documented_settings_are_accepted() -> None:
    settings, keys = re.findall(r"```toml\n(.*?)```", reference(), re.DOTALL)
    found = parse_settings(settings, "cockpit.toml")
    check_columns(found.columns, "cockpit.toml")
    assert found.engines[0].production
    assert len(parse_keys(keys, "keys.toml").own) == 2


def test_a_broken_file_of_habits_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"lists": 3')
    assert load_habits(tmp_path) == Habits()
    (tmp_path / FILE).write_text('{"lists": [3]}')
    assert load_habits(tmp_path) == Habits()
    assert load_habits(None) == Habits()


# --- keys and programs of one's own --------------------------------------------------------------

OWN = """
[[command]]
key = "f5"
command = ":chains @night"
label = "night"

[[tool]]
key = "f6"
program = ["{python}", "-c", "import sys; open(sys.argv[1], 'w').write(' '.join(sys.argv[2:]))",
    "{out}", "$ORDER", "$CHAIN", "a b;c"]
screens = ["orders"]
harm = 1
"""


async def test_own_keys_run_commands_and_programs(desk: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    actions = parse_keys(OWN.format(python=sys.executable, out=out), "keys.toml").actions()
    async with desk("orders", size=(160, 24), actions=actions, filters={"night": "arch"}) as d:
        await d.shows("end_of_day", "<f5>night")
        await d.keys("f6")
        await d.until(lambda: out.exists() and bool(out.read_text()), "the program's file")
        assert out.read_text() == f"end_of_day {CHAIN} a b;c"
        await d.keys("f5")
        await d.shows("archive", "1 of 2")


async def test_a_program_that_changes_things_is_not_run_in_read_only(
    desk: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    actions = parse_keys(OWN.format(python=sys.executable, out=out), "keys.toml").actions()
    async with desk("orders", read_only=True, actions=actions) as d:
        await d.shows("end_of_day")
        assert "<f6>" not in d.text()
        await d.keys("f6")
        await d.shows("read-only")
        assert not out.exists()


async def test_a_program_gets_the_whole_log_as_a_file(desk: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    copy = "import shutil, sys; shutil.copy(sys.argv[1], sys.argv[2])"
    text = f'[[tool]]\nkey = "f6"\nprogram = ["{sys.executable}", "-c", "{copy}", "$LOG", "{out}"]'
    actions = parse_keys(text, "keys.toml").actions()
    async with desk("orders", actions=actions, state_folder=tmp_path / "state") as d:
        await d.shows("end_of_day")
        await d.keys("f6")
        await d.shows("this row has no task, so there is no $LOG")
        task = d.story.begin()
        d.engine.write(task, "x\n" * 100_000)
        await d.shows("runs")
        await d.keys("f6")
        await d.until(lambda: out.exists() and out.stat().st_size >= 200_000, "the copy")


async def test_a_program_that_is_not_there_is_told(desk: Any) -> None:
    actions = parse_keys('[[tool]]\nkey = "f6"\nprogram = ["/no/such"]', "keys.toml").actions()
    async with desk("orders", actions=actions) as d:
        await d.shows("end_of_day")
        await d.keys("f6")
        await d.shows("/no/such: No such file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[command]]\nkey = "f5"', "command is missing"),
        ('[[command]]\ncommand = "x"', "key is missing"),
        ('[[command]]\nkey = ":"\ncommand = "x"', "':' is both"),
        ('[[command]]\nkey = "f5"\ncommand = "x"\nscreens = ["ordres"]', "did you mean 'orders'"),
        ('[[command]]\nkey = "f5"\ncomand = "x"', "did you mean 'command'"),
        ('[[tool]]\nkey = "f6"\nprogram = "less"', "must be a list of words"),
        ('[[tool]]\nkey = "f6"\nprogram = ["less", "$LOGG"]', r"no \$LOGG"),
        ('[[tool]]\nkey = "f6"\nprogram = ["x"]\nharm = 9', "from 0 to 3"),
        ('[[tool]]\nkey = "Q"\nprogram = ["x"]\nharm = 1', "torn arrow keys"),
        ("command = 3", r"is written \[\[command\]\]"),
    ],
)
def test_bad_keys_of_ones_own_are_refused(text: str, said: str) -> None:
    with pytest.raises(KeysProblem, match=said):
        parse_keys(text, "keys.toml")


def test_words_of_a_program_stay_words() -> None:
    assert replaced(["x", "$ORDER-$TASK"], {"ORDER": "a b; rm", "TASK": "7"}) == ["x", "a b; rm-7"]
    with pytest.raises(KeyError):
        replaced(["$HOST"], {})


def test_the_defaults_are_in_force_without_a_file() -> None:
    assert parse_keys("", "keys.toml").actions() == ACTIONS


# --- being told ----------------------------------------------------------------------------------


class Written:
    """A terminal that remembers what was written to it beside the picture."""

    def __init__(self, d: Any) -> None:
        self.texts: list[str] = []
        d.app.manners._write = self.texts.append

    @property
    def text(self) -> str:
        return "".join(self.texts)


async def test_new_trouble_is_told_once_with_title_and_bell(desk: Any) -> None:
    async with desk("chains", bell=True) as d:
        written = Written(d)
        await d.until(lambda: "\x1b]2;demo\x07" in written.text, "the title")
        assert "\x07" not in written.text.replace("demo\x07", "")
        d.story.begin()
        d.story.end(code=2, error="no such file: /in/bank.csv")
        await d.until(lambda: "\x1b]2;(1) demo\x07" in written.text, "the title with a count")
        await d.shows("run failed: ", "no such file")
        assert written.texts.count("\x07") == 1
        d.app.exit()
        assert "\x1b[23;2t" in written.text


async def test_without_the_setting_there_is_no_bell(desk: Any) -> None:
    async with desk("chains") as d:
        written = Written(d)
        d.story.begin()
        d.story.end(code=2, error="no such file")
        await d.until(lambda: "(1) demo" in written.text, "the title with a count")
        assert "\x07" not in written.texts


async def test_what_was_put_aside_goes_to_the_end_and_comes_back(desk: Any, tmp_path: Path) -> None:
    async with desk("needs", state_folder=tmp_path) as d:
        d.story.begin()
        d.story.end(code=2, error="no such file")
        await d.shows("run failed")
        await d.keys("a", *["backspace"] * 2, *"soon", "enter")
        await d.shows("is no time; write 30m")
        await d.keys("a", "enter")
        await d.shows("aside until 13:00:00", "put aside")
        await d.until(lambda: d.app.told.count == 0, "nothing is counted")
        await d.keys("a")
        await d.lacks("aside until")
        await d.keys("a", *["backspace"] * 2, *"5m", "enter")
        await d.shows("aside until 12:05:00")
        d.engine.wait(301)
        await d.lacks("aside until")


def test_until_when_something_is_put_aside_is_read_strictly() -> None:
    assert parse_until("30m", NOON) == NOON + 1_800_000
    assert parse_until("2h", NOON) == NOON + 7_200_000
    assert parse_until("18:00", NOON) == NOON + 6 * 3_600_000
    for text in ("", "now", "0m", "31d", "later", "-5m", "1w"):
        with pytest.raises(ValueError, match="is no time"):
            parse_until(text, NOON)


# --- clipboard and size --------------------------------------------------------------------------


def test_a_copy_is_wrapped_for_what_lies_between() -> None:
    plain = osc52("hi", {})
    assert plain == "\x1b]52;c;aGk=\x07"
    assert "\x1bPtmux;\x1b\x1b]52;c;aGk=\x07\x1b\\" in osc52("hi", {"TMUX": "/tmp/x"})
    screened = osc52("x" * 300, {"TERM": "screen.xterm"})
    pieces = screened.split("\x1b\\")[:-1]
    assert all(piece.startswith("\x1bP") and len(piece) <= 80 for piece in pieces)
    assert "".join(piece[2:] for piece in pieces) == osc52("x" * 300, {})


def test_a_long_copy_and_a_deaf_terminal_get_a_file(tmp_path: Path) -> None:
    sent: list[str] = []
    manners = TerminalManners(sent.append, environment={}, state_folder=tmp_path)
    told = manners.copy("x" * (OSC52_MAX + 1), into_file=False)
    assert "too long for the terminal" in told
    assert sent == []
    assert "clipboard.txt" in manners.copy("hello", into_file=True)
    assert (tmp_path / "clipboard.txt").read_text() == "hello"
    assert (tmp_path / "clipboard.txt").stat().st_mode & 0o777 == 0o600
    assert "if nothing arrives: :set clipboard file" in manners.copy("hello", into_file=False)
    assert len(sent) == 1


async def test_copies_go_into_a_file_after_set_clipboard_file(desk: Any, tmp_path: Path) -> None:
    async with desk("orders", size=(160, 24), state_folder=tmp_path) as d:
        await d.shows("end_of_day")
        await d.command("set clipboard file")
        await d.keys("c")
        await d.shows("copied the row", "clipboard.txt")
        assert "end_of_day" in (tmp_path / "clipboard.txt").read_text()
        await d.command("set clipboard xclip")
        await d.shows("clipboard terminal|file")


async def test_below_60x16_one_line_says_so(desk: Any) -> None:
    async with desk("chains") as d:
        await d.pilot.resize_terminal(59, 20)
        await d.shows("59x20 is too small, 60x16 at least")
        assert "CHAIN" not in d.text()
        await d.pilot.resize_terminal(60, 16)
        await d.shows("end_of_day", "<?>help")
        await d.lacks("too small")


async def test_ctrl_z_without_a_shell_says_so(desk: Any) -> None:
    async with desk("chains") as d:
        await d.keys("ctrl+z")
        await d.shows("no shell is behind this terminal")
