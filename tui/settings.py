"""What a person prefers: `cockpit.toml`, the environment and the command line, in one record."""

import getpass
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from tui.clocks import UTC_CLOCK, check_clock
from tui.key_files import load_keys
from tui.keys import MOVES, Action, Move
from tui.known_engines import KnownEngine, SettingsProblem, nearest, parse_engines
from tui.theme_files import DEFAULT_THEME

_POOR_TERMINALS = ("linux", "dumb", "vt")
CHOICES: Mapping[str, frozenset[str]] = {
    "glyphs": frozenset({"auto", "unicode", "ascii"}),
    "clipboard": frozenset({"terminal", "file"}),
}
"""What some settings may be."""

__all__ = [
    "CHOICES",
    "Settings",
    "SettingsProblem",
    "can_draw_unicode",
    "changed",
    "config_folder",
    "load_settings",
    "parse_settings",
    "state_folder",
]


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
    bell: bool = False
    """Ring when something new needs a person."""
    clock: str = UTC_CLOCK
    """Whose clock is shown and read: `utc`, `local`, `engine`, or a zone such as Europe/Berlin."""
    refresh: Mapping[str, float] = field(default_factory=dict)
    """By screen of hosts: every how many seconds they are looked at while it is shown."""
    clipboard: str = "terminal"
    """Where copies go: to the terminal (OSC 52), or into a file for terminals that refuse."""
    person: str = ""
    no_colour: bool = False
    ascii_only: bool = False
    themes_folder: Path | None = None
    state_folder: Path | None = None
    """Where what a person changes while working is kept; None: nowhere."""
    is_theme_given: bool = False
    """Named with the command: goes before an engine's own."""
    engines: tuple[KnownEngine, ...] = ()
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By screen: which columns, in this order."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Saved filters, by the name after the `@`."""
    actions: tuple[Action, ...] = ()
    """All actions with the keys in force; empty: the defaults."""
    moves: tuple[Move, ...] = MOVES
    """The keys that move, as they are in force."""


_IN_FILE = frozenset(
    {
        "theme", "start_screen", "read_only", "production", "glyphs", "mouse", "bell",
        "clipboard", "clock", "engines", "columns", "filters", "refresh",
    }
)  # fmt: skip
_TABLES = frozenset({"engines", "columns", "filters", "refresh"})
REFRESHED = ("engines", "hosts", "processes")
"""Screens whose refresh can be set."""
REFRESH_S = (1.0, 3600.0)
"""Oftener a host has no rest, more seldom nobody waits."""


def config_folder() -> Path:
    """Return where a person's settings are."""
    from platformdirs import user_config_path  # noqa: PLC0415  # not needed for help and version

    return user_config_path("pointsman")


def state_folder() -> Path:
    """Return where what a person changes while working is kept."""
    from platformdirs import user_state_path  # noqa: PLC0415  # not needed for help and version

    return user_state_path("pointsman")


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
        settings = parse_settings(_text_of(file), str(file))
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = replace(settings, **chosen, is_theme_given="theme" in chosen)
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
        actions=keys.actions(),
        moves=keys.moves(),
    )


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsProblem(f"{file}: {error}") from error


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
    types = {one.name: type(getattr(Settings(), one.name)) for one in fields(Settings)}
    for name, value in data.items():
        if name not in _IN_FILE:
            raise SettingsProblem(f"{file}: unknown setting {name!r}{nearest(name, _IN_FILE)}")
        wanted = dict if name in _TABLES else types[name]
        if not isinstance(value, wanted):
            kind = "a table" if wanted is dict else wanted.__name__
            raise SettingsProblem(f"{file}: {name} must be {kind}, not {value!r}")
    for name, choices in CHOICES.items():
        if data.get(name, next(iter(choices))) not in choices:
            raise SettingsProblem(f"{file}: {name} must be {' or '.join(sorted(choices))}")
    try:
        data["clock"] = check_clock(data.get("clock", UTC_CLOCK))
    except ValueError as problem:
        raise SettingsProblem(f"{file}: {problem}") from problem
    return Settings(
        **{name: value for name, value in data.items() if name not in _TABLES},
        refresh=_refresh(data.get("refresh", {}), file),
        engines=parse_engines(data.get("engines", {}), file),
        columns=_columns(data.get("columns", {}), file),
        filters=_filters(data.get("filters", {}), file),
    )


def _refresh(data: Mapping[str, Any], file: str) -> Mapping[str, float]:
    least, most = REFRESH_S
    for name, value in data.items():
        if name not in REFRESHED:
            known = ", ".join(REFRESHED)
            raise SettingsProblem(f"{file}: refresh.{name}: only {known} can be set")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            raise SettingsProblem(
                f"{file}: refresh.{name} must be seconds from {least:.0f} to {most:.0f}"
            )
    return {name: float(value) for name, value in data.items()}


def _columns(data: Mapping[str, Any], file: str) -> Mapping[str, tuple[str, ...]]:
    for name, value in data.items():
        is_names = isinstance(value, list) and all(isinstance(one, str) for one in value)
        if not value or not is_names:
            raise SettingsProblem(f"{file}: columns.{name} must be a list of column names")
    return {name: tuple(value) for name, value in data.items()}


def _filters(data: Mapping[str, Any], file: str) -> Mapping[str, str]:
    for name, value in data.items():
        if not isinstance(value, str):
            raise SettingsProblem(f"{file}: filters.{name} must be a text, not {value!r}")
        if "@" in value:
            raise SettingsProblem(f"{file}: filters.{name}: a saved filter names no other one")
    return dict(data)


def changed(settings: Settings, words: Sequence[str]) -> Settings:
    """Return the settings with one that was changed while working. Raises ValueError."""
    match list(words):
        case ["clipboard", ("terminal" | "file") as value]:
            return replace(settings, clipboard=value)
        case ["bell", ("on" | "off") as value]:
            return replace(settings, bell=value == "on")
        case ["clock", value]:
            return replace(settings, clock=check_clock(value))
        case _:
            raise ValueError(
                "set clock utc|local|engine|Europe/Berlin, bell on|off, clipboard terminal|file"
            )


def can_draw_unicode(environment: Mapping[str, str]) -> bool:
    """Return whether locale and terminal promise more than ASCII."""
    if environment.get("TERM", "").startswith(_POOR_TERMINALS):
        return False
    locale = next(
        (environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), ""
    )
    # Without any locale the system's default counts, which is UTF-8 where this program runs.
    return not locale or "utf-8" in locale.casefold() or "utf8" in locale.casefold()
