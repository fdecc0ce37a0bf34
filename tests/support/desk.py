"""A cockpit in front of a recorded engine, its screen as text."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual.pilot import Pilot

from tests.support.end_of_day import EndOfDay
from tests.support.recorded_engine import RecordedEngine
from tui.app import Cockpit

PATIENCE_S = 60.0
"""A busy machine may need a while; what never comes, never comes."""
TURN_S = 0.025


@dataclass
class Desk:
    """A cockpit in front of a recorded engine."""

    app: Cockpit
    pilot: Pilot[int]
    engine: RecordedEngine
    story: EndOfDay

    def lines(self) -> list[str]:
        """Return the screen as text."""
        screen = self.app.screen
        return [strip.text.rstrip() for strip in screen._compositor.render_strips()]

    def text(self) -> str:
        """Return the screen as one text."""
        return "\n".join(self.lines())

    async def until(self, wanted: Callable[[], bool], what: str) -> None:
        """Wait for a condition, with a deadline."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if wanted():
                return
            await self.pilot.pause(TURN_S)
        raise AssertionError(f"never: {what}\n{self.text()}")

    async def shows(self, *texts: str) -> None:
        """Wait until the screen shows all of these."""
        await self.until(
            lambda: all(text in self.text() for text in texts), f"the screen shows {texts}"
        )

    async def lacks(self, text: str) -> None:
        """Wait until the screen does not show this."""
        await self.until(lambda: text not in self.text(), f"the screen lacks {text!r}")

    async def keys(self, *keys: str) -> None:
        """Press keys; a word of several letters is typed when it is no key name."""
        await self.pilot.press(*keys)

    async def command(self, text: str) -> None:
        """Type a command."""
        await self.pilot.press(":", *(_named(letter) for letter in text), "enter")

    async def asked(self, count: int) -> list[Any]:
        """Wait until the engine was asked so often; return the requests."""
        await self.until(lambda: len(self.engine.asked) >= count, f"{count} requests")
        return list(self.engine.asked)


def _named(letter: str) -> str:
    return {" ": "space", "/": "slash", "=": "equals_sign", ".": "full_stop"}.get(letter, letter)
