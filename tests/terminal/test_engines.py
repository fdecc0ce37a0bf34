"""Several engines: which answer, switching between them, what a production engine asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.kernel.ids import chain_key
from tests.support.desk import Desk
from tests.support.end_of_day import EndOfDay
from tests.support.recorded_engine import RecordedEngine
from tui.app import Cockpit
from tui.client import EngineClient
from tui.commands import Place
from tui.known_engines import KnownEngine, SettingsProblem, engine_of, parse_engines
from tui.settings import load_settings, parse_settings

pytestmark = pytest.mark.anyio

FILE = """
[engines.prod-a]
address = "https://prod-a:4444"
token_file = "~/prod-a.token"
theme = "contrast"
production = true

[engines.spare]
address = "/run/spare.sock"
read_only = true

[engines.gone]
address = "http://gone:4444"
"""


@asynccontextmanager
async def three_engines(folder: Path, size: tuple[int, int] = (100, 30)) -> AsyncIterator[Desk]:
    """Open a cockpit at the first of three engines, of which the last does not answer."""
    (folder / "cockpit.toml").write_text(FILE)
    settings = load_settings(folder, {"USER": "ops1", "LANG": "C.UTF-8"})
    stories = {engine.name: EndOfDay(RecordedEngine()) for engine in settings.engines}
    stories["prod-a"].define()
    stories["gone"].engine.is_away = True

    def connect(engine: KnownEngine) -> EngineClient:
        return stories[engine.name].engine

    first = stories["prod-a"].engine
    app = Cockpit(
        first, settings, first=Place(noun="chains"), engine=settings.engines[0], connect=connect,
        now=first.now,
    )  # fmt: skip
    async with app.run_test(size=size) as pilot:
        desk = Desk(app=app, pilot=pilot, engine=first, story=stories["prod-a"])
        await desk.shows("live")
        yield desk


async def test_engines_say_whether_they_answer_and_what_they_are(tmp_path: Path) -> None:
    async with three_engines(tmp_path) as d:
        await d.command("ctx")
        await d.shows("shown here", "answers", "no answer", "production", "read-only")
        await d.keys("G")
        await d.shows("connection refused")


async def test_enter_shows_another_engine_and_forgets_the_former(tmp_path: Path) -> None:
    async with three_engines(tmp_path) as d:
        await d.shows("end_of_day", "PRODUCTION")
        assert d.app.theme == "contrast"
        await d.command("engines")
        await d.shows("spare")
        await d.keys("j", "enter")
        await d.shows("this is spare now", "nothing needs a person")
        await d.lacks("PRODUCTION")
        assert d.app.theme == "harbour"
        await d.command("chains")
        await d.lacks("end_of_day")
        assert d.app.mirror.state.chains == {}
        await d.command("engine prod-a")
        await d.shows("this is prod-a now", "PRODUCTION")
        await d.command("chains")
        await d.shows("end_of_day")
        assert chain_key("/end_of_day/end_of_day") in d.app.mirror.state.chains


async def test_a_read_only_engine_of_the_settings_sends_nothing(tmp_path: Path) -> None:
    async with three_engines(tmp_path) as d:
        await d.command("engine spare")
        await d.shows("this is spare now", " ro ")
        await d.command("suspend x")
        await d.command("orders")
        await d.keys("s")
        await d.shows("read-only: the settings say so of spare")
        client = d.app.client
        assert isinstance(client, RecordedEngine)
        assert client.asked == []


async def test_on_a_production_engine_even_a_start_asks_first(tmp_path: Path) -> None:
    async with three_engines(tmp_path) as d:
        await d.command("orders")
        await d.shows("end_of_day", "idle")
        await d.keys("s")
        await d.shows("Suspend", "production", "default is no")
        assert d.engine.asked == []


async def test_an_unknown_engine_is_named(tmp_path: Path) -> None:
    async with three_engines(tmp_path) as d:
        await d.command("engine prod-b")
        await d.shows("there is no engine 'prod-b'")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[engines.a]\ntheme = 'x'", "address is missing"),
        ("[engines.a]\nadress = 'x'", "did you mean 'address'"),
        ("[engines.a]\naddress = 'x'\nproduction = 'yes'", "production must be bool"),
        ("[engines]\na = 'x'", "must be a table"),
    ],
)
def test_a_bad_table_of_engines_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsProblem, match=said):
        parse_settings(text, "cockpit.toml")


def test_an_engine_is_meant_by_name_by_address_or_as_given() -> None:
    engines = parse_engines({"a": {"address": "/run/a.sock"}, "b": {"address": "http://b"}}, "f")
    assert engine_of(engines, "", None) == engines[0]
    assert engine_of(engines, "b", None) == engines[1]
    assert engine_of(engines, "/run/a.sock", None) == engines[0]
    given = engine_of(engines, "http://c", "secret")
    assert given is not None
    assert (given.address, given.read_token()) == ("http://c", "secret")
    assert engine_of((), "", None) is None


def test_a_token_that_cannot_be_read_is_told_with_its_file(tmp_path: Path) -> None:
    engine = KnownEngine(name="a", address="x", token_file=str(tmp_path / "none"))
    with pytest.raises(SettingsProblem, match="the token of a"):
        engine.read_token()
    (tmp_path / "none").write_text("secret\n")
    assert engine.read_token() == "secret"
