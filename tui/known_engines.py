"""The engines that a person's cockpit knows, and how each is to be treated."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any


class SettingsProblem(Exception):  # what the user is told
    """Settings that cannot be used; the text says file and key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownEngine:
    """One engine of `cockpit.toml`, or the one that was given with the command."""

    name: str
    address: str
    """The path of a Unix socket, or an `http(s)://` address."""
    token_file: str = ""
    theme: str = ""
    """Empty: the theme of all others."""
    production: bool = False
    """Everything that changes something is asked for first."""
    read_only: bool = False
    token: str | None = None
    """Given with the command; never in a file."""

    def read_token(self) -> str | None:
        """Return the token. Raises SettingsProblem when its file cannot be read."""
        if self.token is not None or not self.token_file:
            return self.token
        path = Path(self.token_file).expanduser()
        try:
            return path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsProblem(f"the token of {self.name}: {path}: {error}") from error


_IN_FILE = {"address", "token_file", "theme", "production", "read_only"}


def parse_engines(data: Mapping[str, Any], file: str) -> tuple[KnownEngine, ...]:
    """Return the engines of the table `[engines.NAME]`. Raises SettingsProblem."""
    found: list[KnownEngine] = []
    types = {field.name: field.type for field in fields(KnownEngine)}
    for name, table in data.items():
        where = f"{file}: engines.{name}"
        if not isinstance(table, dict):
            raise SettingsProblem(f"{where} must be a table with an address")
        for key, value in table.items():
            if key not in _IN_FILE:
                raise SettingsProblem(f"{where}: unknown setting {key!r}{nearest(key, _IN_FILE)}")
            wanted = bool if types[key] in {bool, "bool"} else str
            if not isinstance(value, wanted):
                raise SettingsProblem(f"{where}: {key} must be {wanted.__name__}, not {value!r}")
        if not table.get("address"):
            raise SettingsProblem(f"{where}: address is missing")
        address = str(table["address"])
        if not address.startswith(("http://", "https://")):
            address = str(Path(address).expanduser())
        found.append(KnownEngine(name=name, **{**table, "address": address}))
    return tuple(found)


def nearest(name: str, known: set[str] | frozenset[str]) -> str:
    """Return a hint at the right name; nothing when none is near."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def engine_of(
    engines: tuple[KnownEngine, ...], address: str, token: str | None
) -> KnownEngine | None:
    """Return the engine that a command means: by name, by address, or as given.

    Without an address it is the first one that is known; None when there is none.
    """
    if not address:
        return engines[0] if engines else None
    for engine in engines:
        if address in {engine.name, engine.address}:
            return engine
    return KnownEngine(name="", address=address, token=token)
