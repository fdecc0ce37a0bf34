"""Places and the way between them: screens are made once and switched, the way back is kept."""

from typing import Any

from textual.app import App

from tui.commands import Place
from tui.screen_table import SCREENS
from tui.screens.base import CockpitScreen
from tui.screens.shell import Look, Shell
from tui.views.rows import RowKey

HISTORY_MAX = 50


class Going:
    """Knows where a person was, and with which row, filter and sorting."""

    def __init__(self, app: App[Any], shell: Shell) -> None:
        self._app = app
        self._shell = shell
        self.made: dict[str, CockpitScreen] = {}
        """The screens that have been shown, by noun."""
        self._past: list[Look] = []
        self._future: list[Look] = []

    def current(self) -> CockpitScreen | None:
        """Return the screen that is shown, below questions and pages."""
        stack = reversed(self._app.screen_stack)
        return next((one for one in stack if isinstance(one, CockpitScreen)), None)

    def forget(self) -> None:
        """Forget the way: it belongs to another engine."""
        self._past.clear()
        self._future.clear()

    def to(self, place: Place, key: RowKey | None = None) -> None:
        """Show another place; this one can be come back to."""
        current = self.current()
        if current is not None:
            self._past.append(current.look())
            del self._past[:-HISTORY_MAX]
        self._future.clear()
        self.show(Look(place=place, key=key))

    def back(self, steps: int) -> bool:
        """Go back (or forward, negative); False when there is nothing."""
        source, target = (self._past, self._future) if steps > 0 else (self._future, self._past)
        if not source:
            return False
        current = self.current()
        if current is not None:
            target.append(current.look())
        self.show(source.pop())
        return True

    def last(self) -> bool:
        """Go to the place shown before this one; again: come back. False when there is none."""
        current = self.current()
        if not self._past or current is None:
            return False
        here = current.look()
        there = self._past.pop()
        self._past.append(here)
        self.show(there)
        return True

    def show(self, look: Look) -> None:
        """Show a place as it was looked at."""
        noun = look.place.noun
        self._shell.note(f":{noun}")
        made = self.made.get(noun)
        if made is None:
            made = self.made[noun] = SCREENS[noun](self._shell)
            self._app.install_screen(made, noun)
        made.open_place(look.place, look)
        if self.current() is None:
            self._app.push_screen(made)
        elif self._app.screen is not made:
            self._app.switch_screen(made)
