"""What a person prefers: `cockpit.toml`, the environment and the command line, in one record."""

import difflib
import getpass
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tui.keys import Action, load_keys, rebound
from tui.theme_files import DEFAULT_THEME

_POOR_TERMINALS = ("linux", "dumb", "vt")


class SettingsProblem(Exception):  # what the user is told
    """Settings that cannot be used; the text says file and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the cockpit behaves for this person on this terminal."""

    theme: str = DEFAULT_THEME
    start_screen: str = "pulses"
    read_only: bool = False
    production: bool = False
    """Ask before everything that changes something."""
    glyphs: str = "auto"
    """`unicode`, `ascii`, or as the terminal can."""
    mouse: bool = True
    person: str = ""
    no_colour: bool = False
    ascii_only: bool = False
    themes_folder: Path | None = None
    actions: tuple[Action, ...] = ()
    """All actions with the keys in force; empty: the defaults."""


_IN_FILE = frozenset({"theme", "start_screen", "read_only", "production", "glyphs", "mouse"})


def config_folder() -> Path:
    """Return where a person's settings are."""
    from platformdirs import user_config_path  # noqa: PLC0415  # not needed for help and version

    return user_config_path("pointsman")


def load_settings(
    folder: Path, environment: Mapping[str, str] | None = None, **given: Any
) -> Settings:
    """Return the settings in force; `given` comes from the command line, None means not given.

    Raises SettingsProblem, KeysProblem.
    """
    env = os.environ if environment is None else environment
    file = folder / "cockpit.toml"
    settings = Settings()
    if file.is_file():
        settings = parse_settings(file.read_text(encoding="utf-8"), str(file))
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = replace(settings, **chosen)
    keys = load_keys(folder / "keys.toml")
    themes = folder / "themes"
    return replace(
        settings,
        person=settings.person or env.get("USER") or env.get("LOGNAME") or _login(),
        no_colour=settings.no_colour or "NO_COLOR" in env,
        ascii_only=settings.ascii_only
        or settings.glyphs == "ascii"
        or (settings.glyphs == "auto" and not can_draw_unicode(env)),
        themes_folder=themes if themes.is_dir() else None,
        actions=rebound(keys) if keys else (),
    )


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"


def parse_settings(text: str, file: str) -> Settings:
    """Read the text of a `cockpit.toml`. Raises SettingsProblem."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsProblem(f"{file}: {error}") from error
    types = {field.name: type(getattr(Settings(), field.name)) for field in fields(Settings)}
    for name, value in data.items():
        if name not in _IN_FILE:
            near = difflib.get_close_matches(name, _IN_FILE, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SettingsProblem(f"{file}: unknown setting {name!r}{hint}")
        if not isinstance(value, types[name]):
            raise SettingsProblem(f"{file}: {name} must be {types[name].__name__}, not {value!r}")
    if data.get("glyphs", "auto") not in {"auto", "unicode", "ascii"}:
        raise SettingsProblem(f"{file}: glyphs must be auto, unicode or ascii")
    return Settings(**data)


def can_draw_unicode(environment: Mapping[str, str]) -> bool:
    """Return whether locale and terminal promise more than ASCII."""
    if environment.get("TERM", "").startswith(_POOR_TERMINALS):
        return False
    locale = next(
        (environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), ""
    )
    # Without any locale the system's default counts, which is UTF-8 where this program runs.
    return not locale or "utf-8" in locale.casefold() or "utf8" in locale.casefold()
