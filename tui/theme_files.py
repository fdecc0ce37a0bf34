"""Themes as files: colours, roles and signs, read strictly and named by file, line and key.

A theme is `NAME.toml` with the tables `colours` (Textual's names), `roles` (ours: an optional
colour and attributes) and `glyphs` (`unicode`, `ascii`, or single entries). What is left out is
derived.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

DEFAULT_THEME = "harbour"
NO_COLOUR_THEME = "mono"

COLOUR_NAMES = frozenset(
    {
        "primary",
        "secondary",
        "warning",
        "error",
        "success",
        "accent",
        "foreground",
        "background",
        "surface",
        "panel",
        "boost",
    }
)

DEFAULT_ROLES: Mapping[str, str] = {
    "run": "bold",
    "wait": "",
    "retry": "",
    "held": "",
    "fail": "bold",
    "ok": "",
    "late": "bold",
    "orphan": "bold reverse",
    "dim": "dim",
    "moved": "underline",
    "cursor": "reverse",
    "match": "bold underline",
    "bold": "bold",
    "head": "bold",
    "key": "bold",
    "rail": "",
    "alarm": "bold reverse",
}

_ATTRIBUTES = frozenset({"bold", "dim", "italic", "underline", "reverse"})
_ANSI = frozenset({"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"})
_HEX = re.compile(r"#[0-9a-fA-F]{6}$")
_LINE = re.compile(r"at line (\d+)")


class ThemeProblem(Exception):  # what the user is told
    """A theme file that cannot be used; its text says file, line and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThemeFile:
    """One theme as it stands in its file."""

    name: str
    dark: bool = True
    ansi: bool = False
    """Only the terminal's own 16 colours are used."""
    colours: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=lambda: DEFAULT_ROLES)
    glyph_set: str = "unicode"
    glyphs: Mapping[str, str] = field(default_factory=dict)
    """Single signs that differ from the set."""


def shipped_themes() -> Traversable:
    """Return the folder of the themes that came with this copy of the program."""
    packaged = resources.files("tui") / "themes"
    return packaged if packaged.is_dir() else Path(__file__).parents[1] / "themes"


def theme_names(own: Path | None = None) -> list[str]:
    """Return the names of all themes, a person's own among them."""
    names = {_stem(entry) for entry in shipped_themes().iterdir() if entry.name.endswith(".toml")}
    if own is not None and own.is_dir():
        names |= {entry.stem for entry in own.glob("*.toml")}
    return sorted(names)


def theme_source(name: str, own: Path | None = None) -> Traversable:
    """Return the file of a theme; a person's own goes before a shipped one of the same name."""
    if own is not None and (own / f"{name}.toml").is_file():
        return own / f"{name}.toml"
    return shipped_themes() / f"{name}.toml"


def load_theme(name: str, own: Path | None = None) -> ThemeFile:
    """Read a theme by name. Raises ThemeProblem."""
    source = theme_source(name, own)
    if not source.is_file():
        near = _nearest(name, theme_names(own))
        raise ThemeProblem(f"there is no theme {name!r}{near}")
    return parse_theme(source.read_text(encoding="utf-8"), source.name)


def theme_stamp(name: str, own: Path | None = None) -> tuple[int, int] | None:
    """Return what changes when a theme's file is edited; None where that cannot be told."""
    source = theme_source(name, own)
    if not isinstance(source, Path):
        return None
    try:
        found = source.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def parse_theme(text: str, file: str) -> ThemeFile:
    """Read the text of a theme file. Raises ThemeProblem."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = _LINE.search(str(error))
        place = f":{found[1]}" if found else ""
        raise ThemeProblem(f"{file}{place}: {error}") from error
    reader = _Reader(text, file)
    reader.only_known(data, ("name", "dark", "ansi", "colours", "roles", "glyphs"))
    name = reader.typed(data, "name", str, Path(file).stem)
    colours = reader.table(data, "colours")
    reader.only_known(colours, COLOUR_NAMES)
    for key, value in colours.items():
        reader.check_colour(key, value)
    roles = reader.table(data, "roles")
    reader.only_known(roles, DEFAULT_ROLES)
    for key, value in roles.items():
        reader.check_role(key, value)
    glyphs = reader.table(data, "glyphs")
    glyph_set = str(glyphs.pop("set", "unicode"))
    if glyph_set not in {"unicode", "ascii"}:
        raise reader.problem("set", f"{glyph_set!r} is no set of signs: unicode or ascii")
    return ThemeFile(
        name=name,
        dark=reader.typed(data, "dark", bool, default=True),
        ansi=reader.typed(data, "ansi", bool, default=False),
        colours=colours,
        roles={**DEFAULT_ROLES, **roles},
        glyph_set=glyph_set,
        glyphs={key: str(value) for key, value in glyphs.items()},
    )


class _Reader:
    """Reads tables and says where something is wrong."""

    def __init__(self, text: str, file: str) -> None:
        self._lines = text.splitlines()
        self._file = file

    def problem(self, key: str, said: str) -> ThemeProblem:
        number = next(
            (i for i, text in enumerate(self._lines, 1) if re.match(rf"\s*\[?{key}\b", text)), 0
        )
        place = f":{number}" if number else ""
        return ThemeProblem(f"{self._file}{place}: {key}: {said}")

    def only_known(self, table: Mapping[str, Any], known: Iterable[str]) -> None:
        names = list(known)
        for key in table:
            if key not in names:
                raise self.problem(key, f"unknown{_nearest(key, names)}")

    def typed(self, table: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
        value = table.get(key, default)
        if not isinstance(value, kind):
            raise self.problem(key, f"must be {kind.__name__}, not {value!r}")
        return value

    def table(self, data: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = data.get(key, {})
        if not isinstance(value, dict):
            raise self.problem(key, "must be a table")
        return dict(value)

    def check_colour(self, key: str, value: Any) -> None:
        if not isinstance(value, str) or not (_HEX.match(value) or _is_ansi(value)):
            raise self.problem(key, f"{value!r} is no colour; write #rrggbb or ansi_red …")

    def check_role(self, key: str, value: Any) -> None:
        if not isinstance(value, str):
            raise self.problem(key, "must be a text")
        words = [word for word in value.split() if word != "on"]
        for word in words:
            if word not in _ATTRIBUTES and not _HEX.match(word) and not _is_ansi(word):
                raise self.problem(
                    key,
                    f"{word!r} is neither a colour (#rrggbb, ansi_red …) nor one of "
                    f"{', '.join(sorted(_ATTRIBUTES))}",
                )


def _is_ansi(word: str) -> bool:
    name = word.removeprefix("ansi_").removeprefix("bright_")
    return word.startswith("ansi_") and (name in _ANSI or name == "default")


def _nearest(name: str, names: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _stem(entry: Traversable) -> str:
    return entry.name.removesuffix(".toml")
