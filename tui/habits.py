"""What a person changes while working: kept in the state folder, never in their own files."""

import json
import logging
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

FILE = "cockpit.json"
CLIPBOARD = "clipboard.txt"
_SCREENS_MAX = 100


@dataclass(slots=True, kw_only=True)
class ListHabit:
    """How one list is looked at."""

    column: str = ""
    """Sorted by it; empty: the natural order."""
    descending: bool = False
    wide: bool = False


@dataclass(slots=True, kw_only=True)
class Habits:
    """The last choices of a person."""

    theme: str = ""
    theme_over: str = ""
    """The theme of the settings when it was chosen: another one there goes before it again."""
    shows_header: bool = True
    shows_crumbs: bool = True
    shows_strip: bool = True
    lists: dict[str, ListHabit] = field(default_factory=dict)
    """By screen."""
    aside: dict[str, dict[str, int]] = field(default_factory=dict)
    """By engine and entry of *needs a person*: until when it is put aside."""
    _kept: str = field(default="", repr=False)
    """As it was written the last time."""

    def of(self, noun: str) -> ListHabit:
        """Return how a list is looked at, to be changed in place."""
        return self.lists.setdefault(noun, ListHabit())

    def text(self) -> str:
        """Return everything as it is written."""
        data = asdict(self)
        del data["_kept"]
        return json.dumps(data, indent=1)

    def keep(self, folder: Path | None) -> None:
        """Write what has changed; a folder that cannot be written to is no reason to fail."""
        text = self.text()
        if folder is None or text == self._kept:
            return
        self._kept = text
        try:
            write_private(folder / FILE, text)
        except OSError as error:
            log.warning("%s: %s", folder / FILE, error)


def load_habits(folder: Path | None) -> Habits:
    """Return what was kept; a file that cannot be read counts as none."""
    if folder is None:
        return Habits()
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return _habits(data)
    except FileNotFoundError:
        return Habits()
    except (OSError, ValueError, TypeError, AttributeError) as error:
        log.warning("%s: %s", folder / FILE, error)
        return Habits()


def _habits(data: dict[str, Any]) -> Habits:
    lists = {
        str(noun): ListHabit(
            column=str(row.get("column", "")),
            descending=bool(row.get("descending")),
            wide=bool(row.get("wide")),
        )
        for noun, row in list(data.get("lists", {}).items())[:_SCREENS_MAX]
    }
    return Habits(
        theme=str(data.get("theme", "")),
        theme_over=str(data.get("theme_over", "")),
        shows_header=bool(data.get("shows_header", True)),
        shows_crumbs=bool(data.get("shows_crumbs", True)),
        shows_strip=bool(data.get("shows_strip", True)),
        lists=lists,
        aside={
            str(engine): {str(key): int(until) for key, until in entries.items()}
            for engine, entries in data.get("aside", {}).items()
        },
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that nobody else may read, whole or not at all. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        new.touch(mode=0o600)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
