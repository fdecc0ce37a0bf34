"""The theme in force: chosen, tried, read again when its file is edited."""

from collections.abc import Callable, Sequence
from functools import partial

from tui.habits import Habits
from tui.known_engines import KnownEngine
from tui.settings import Settings
from tui.theme_files import (
    NO_COLOUR_THEME,
    ThemeFile,
    load_theme,
    theme_names,
    theme_stamp,
)
from tui.views.glyphs import Glyphs
from tui.widgets.palette import Palette, glyphs_of
from tui.widgets.palette_box import Choice


class Theming:
    """Holds the theme; `taken` puts another one on the screen."""

    def __init__(
        self, settings: Settings, name: str, *, taken: Callable[[ThemeFile], None]
    ) -> None:
        self._settings = settings
        self._taken = taken
        self.file = load_theme(name, settings.themes_folder)
        self._stamp = theme_stamp(self.file.name, settings.themes_folder)

    def names(self) -> list[str]:
        """Return the names of all themes."""
        return theme_names(self._settings.themes_folder)

    def palette(self, *, no_colour: bool) -> Palette:
        """Return the styles of the theme."""
        return Palette(self.file, no_colour=no_colour)

    def glyphs(self) -> Glyphs:
        """Return the signs of the theme."""
        return glyphs_of(self.file, ascii_only=self._settings.ascii_only)

    def use(self, name: str) -> None:
        """Change the theme. Raises ThemeProblem; the present one stays then."""
        self._take(load_theme(name, self._settings.themes_folder))

    def reload(self) -> None:
        """Take the file again when it was edited. Raises ThemeProblem; the last good one stays."""
        stamp = theme_stamp(self.file.name, self._settings.themes_folder)
        was_known, changed = self._stamp is not None, stamp != self._stamp
        self._stamp = stamp
        if stamp is not None and was_known and changed:
            self._take(load_theme(self.file.name, self._settings.themes_folder))

    def _take(self, theme: ThemeFile) -> None:
        self.file = theme
        self._stamp = theme_stamp(theme.name, self._settings.themes_folder)
        self._taken(theme)


def theme_choices(
    names: Sequence[str],
    former: str,
    take: Callable[[str], None],
    try_it: Callable[[str], None],
) -> list[Choice]:
    """Return the themes to choose from; each is shown as long as it is the selected one."""
    return [
        Choice(
            name=name,
            note="shown until now" if name == former else "",
            act=partial(take, name),
            preview=partial(try_it, name),
        )
        for name in names
    ]


def theme_for(settings: Settings, engine: KnownEngine, habits: Habits) -> str:
    """Return the theme for an engine.

    As given with the command, else its own, else the last one chosen, else that of the settings.
    """
    if settings.no_colour:
        return NO_COLOUR_THEME
    if settings.is_theme_given:
        return settings.theme
    if engine.theme:
        return engine.theme
    is_known = habits.theme in theme_names(settings.themes_folder)
    return habits.theme if is_known and habits.theme_over == settings.theme else settings.theme
