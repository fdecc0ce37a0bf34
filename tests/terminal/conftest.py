"""Fixtures for cockpit tests: the program on a recorded engine, its screen as text."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support.desk import Desk
from tests.support.end_of_day import EndOfDay
from tests.support.recorded_engine import RecordedEngine
from tui.app import Cockpit
from tui.commands import Place
from tui.settings import Settings, load_settings
from tui.widgets import question


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class OpenDesk(Protocol):
    def __call__(
        self, place: str = ..., *, size: tuple[int, int] = ..., **settings: Any
    ) -> AbstractAsyncContextManager[Desk]: ...


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OpenDesk:
    """Return a function that opens a cockpit at a place."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    # A busy machine may need longer for the next key than a person may hesitate.
    monkeypatch.setattr(question, "PATIENCE_S", 600.0)

    @asynccontextmanager
    async def open_desk(
        place: str = "chains", *, size: tuple[int, int] = (80, 24), **settings: Any
    ) -> AsyncIterator[Desk]:
        engine = RecordedEngine()
        story = EndOfDay(engine)
        story.define()
        chosen: Settings = load_settings(tmp_path, {"USER": "ops1"})
        chosen = replace(chosen, **settings)
        noun, _, argument = place.partition(" ")
        first = Place(noun=noun, argument=argument)
        app = Cockpit(engine, chosen, first=first, now=engine.now)
        async with app.run_test(size=size) as pilot:
            found = Desk(app=app, pilot=pilot, engine=engine, story=story)
            await found.shows("live")
            yield found

    return open_desk
