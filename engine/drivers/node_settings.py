"""The configuration monitor: node parameters from `*.config.xml` (orders-and-jobs.md 9.2).

It stands in for the original's class `ConfigurationOrderMonitor`: before a step it reads the
settings of the job chain, puts them into the order's parameters and replaces `${NAME}` in them. The
files are small and on the engine's host; where the job runs does not matter. What has been read and
parsed is kept until the file changes.
"""

import os
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from engine.codec.xml.findings import Finding
from engine.codec.xml.node_settings import SettingsFile, parse_node_settings
from engine.kernel.demands import SETTINGS_LOADED
from engine.kernel.effects import ReadNodeSettings
from engine.kernel.ids import folder_of, name_of
from engine.kernel.params import merge, value_of
from engine.kernel.reports import NodeSettingsRead

PATH_PARAM: Final = "configuration_path"
FILE_PARAM: Final = "configuration_file"
GLOBAL_PARAM: Final = "global_configuration_params"
"""Names a file of `NAME=VALUE` lines in which placeholders are looked up too."""

FILE_BYTES_MAX: Final = 1_000_000
"""Of settings, of properties, and of what `${file_content:…}` puts into a parameter."""
FILES_KEPT_MAX: Final = 200
RESTED_NS: Final = 2_000_000_000
"""Since its modification, before what was read of a file is kept."""
ROUNDS_MAX: Final = 20
"""So deeply values may refer to each other; a circle stays as it is then."""
VALUE_CHARACTERS_MAX: Final = 1_000_000
"""A value that refers to itself twice would double with every round."""

_PLACE = re.compile(r"\$\{([^${}]+)\}")


class UnusableSettings(Exception):
    """The settings cannot be read; the text says why."""


class NodeSettingsReader:
    """Reads settings below a live folder; blocking, for a thread."""

    def __init__(self, live: Path, environment: Mapping[str, str]) -> None:
        self._live = live
        self._environment = environment
        self._files = _KeptFiles()

    def read(self, asked: ReadNodeSettings) -> NodeSettingsRead:
        """Return what the order's parameters are for its step."""
        try:
            return self._read(asked)
        except (UnusableSettings, OSError, ValueError) as error:
            return NodeSettingsRead(
                key=asked.key,
                order_params=asked.order_params,
                task_params=asked.task_params,
                xml_payload=asked.xml_payload,
                problem=str(error),
            )

    def _read(self, asked: ReadNodeSettings) -> NodeSettingsRead:
        found = self._file_of(asked)
        params: dict[str, str] = dict(asked.order_params)
        payload = asked.xml_payload
        own_names: tuple[str, ...] = ()
        if found is not None:
            payload = found.text
            settings = found.settings.at(chain=asked.chain, order=asked.order, state=asked.state)
            own_names = tuple(settings.node_params)
            params = merge(
                params,
                {FILE_PARAM: found.name, SETTINGS_LOADED: "true"} if found.name else {},
                settings.order_params,
                settings.node_params,
            )
        for_state = _params_for_state(asked)
        own_names += tuple(name for name in for_state if value_of(asked.order_params, name) is None)
        params = merge(params, for_state)
        places = self._places(asked)
        return NodeSettingsRead(
            key=asked.key,
            order_params=places.replaced(params, params),
            task_params=places.replaced(asked.task_params, params),
            xml_payload=payload,
            taken_back=own_names,
        )

    # --- the file ----------------------------------------------------------------------------

    def _file_of(self, asked: ReadNodeSettings) -> "_File | None":
        """Return the settings: the order's own, those of the file, those read at a former node."""
        if asked.has_own_settings:
            return _parsed("", asked.xml_payload.encode())
        given = _param(asked, PATH_PARAM)
        folder = Path(given) if given else self._live / folder_of(asked.chain).strip("/")
        for name in _names(asked):
            found = self._files.read(folder / name)
            if found is not None:
                return found
        loaded = value_of(asked.order_params, SETTINGS_LOADED) == "true"
        if loaded and asked.xml_payload:
            return _parsed("", asked.xml_payload.encode())
        return None

    def _places(self, asked: ReadNodeSettings) -> "_Places":
        properties = value_of(asked.order_params, GLOBAL_PARAM) or value_of(
            asked.task_params, GLOBAL_PARAM
        )
        return _Places(
            engine=asked.engine_params,
            task=asked.task_params,
            properties={} if not properties else _properties(Path(properties)),
            environment=self._environment,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    name: str
    """Empty for settings that an order carries."""
    text: str
    settings: SettingsFile


def _parsed(name: str, data: bytes) -> _File:
    settings = parse_node_settings(data, name or "xml_payload")
    if isinstance(settings, Finding):
        raise UnusableSettings(str(settings))
    return _File(name=name, text=data.decode("utf-8", "replace"), settings=settings)


_Stamp: TypeAlias = tuple[int, int, int]
"""Modification time in nanoseconds, size, inode."""


class _KeptFiles:
    """Files as they were parsed last; used by several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[_Stamp, _File]] = OrderedDict()
        self._guard = threading.Lock()

    def read(self, path: Path) -> _File | None:
        """Return a file, None when there is none. Raises UnusableSettings and OSError."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        with self._guard:
            kept = self._kept.get(path)
        if kept is not None and kept[0] == stamp:
            return kept[1]
        data = _content(path)
        if data is None:
            return None
        file = _parsed(path.name, data)
        # A file may change twice in one tick of the clock; only one that has rested is kept.
        if time.time_ns() - stamp[0] > RESTED_NS:
            self._keep(path, stamp, file)
        return file

    def _keep(self, path: Path, stamp: _Stamp, file: _File) -> None:
        with self._guard:
            self._kept[path] = (stamp, file)
            self._kept.move_to_end(path)
            while len(self._kept) > FILES_KEPT_MAX:
                self._kept.popitem(last=False)


def _names(asked: ReadNodeSettings) -> list[str]:
    """Return the file names to be tried; one that an earlier node noted is looked up anew."""
    chain = name_of(asked.chain)
    usual = [f"{chain},{asked.order}.config.xml", f"{chain}.config.xml"]
    given = value_of(asked.order_params, FILE_PARAM)
    if given and given not in usual:
        return [given]
    # An order's id may be a path; such an order has no file of its own.
    return usual[1:] if "/" in asked.order or "\0" in asked.order else usual


def _param(asked: ReadNodeSettings, name: str) -> str | None:
    return value_of(asked.order_params, name) or value_of(asked.task_params, name)


def _content(path: Path) -> bytes | None:
    if not path.is_file():
        return None  # Nothing there, or something that might not end.
    with path.open("rb") as file:
        data = file.read(FILE_BYTES_MAX + 1)
    if len(data) > FILE_BYTES_MAX:
        raise UnusableSettings(f"{path} has more than {FILE_BYTES_MAX} bytes")
    return data


def _params_for_state(asked: ReadNodeSettings) -> dict[str, str]:
    """Return `STATE/NAME` parameters of the present node as `NAME`."""
    prefix = f"{asked.state}/"
    return {
        name[len(prefix) :]: value
        for name, value in asked.order_params.items()
        if name.startswith(prefix) and len(name) > len(prefix)
    }


def _properties(path: Path) -> dict[str, str]:
    data = _content(path)
    if data is None:
        raise UnusableSettings(f"There is no file {path} ({GLOBAL_PARAM})")
    found: dict[str, str] = {}
    for line in data.decode("utf-8", "replace").splitlines():
        name, separator, value = line.partition("=")
        if separator and name.strip() and not name.lstrip().startswith(("#", "!")):
            found[name.strip()] = value.strip()
    return found


# --- substitution --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where placeholders are looked up after the order's own parameters."""

    engine: Mapping[str, str]
    task: Mapping[str, str]
    properties: Mapping[str, str]
    environment: Mapping[str, str]

    def replaced(self, params: Mapping[str, str], order: Mapping[str, str]) -> dict[str, str]:
        """Return the set with `${NAME}` replaced until nothing changes; unknown names stay."""
        return {name: self._text(value, order) for name, value in params.items()}

    def _text(self, text: str, order: Mapping[str, str]) -> str:
        for _ in range(ROUNDS_MAX):
            if "${" not in text or len(text) > VALUE_CHARACTERS_MAX:
                return text
            changed = _PLACE.sub(lambda found: self._value(found, order), text)
            if changed == text:
                return text
            text = changed
        return text

    def _value(self, found: re.Match[str], order: Mapping[str, str]) -> str:
        function, colon, name = found[1].partition(":")
        if colon and function == "basename":
            value = self._named(name, order)
            return os.path.basename(name if value is None else value)  # noqa: PTH119  # no path
        if colon and function == "file_content":
            value = self._named(name, order)
            data = _content(Path(name if value is None else value))
            return found[0] if data is None else data.decode("utf-8", "replace").strip()
        value = self._named(found[1], order)
        return found[0] if value is None else value

    def _named(self, name: str, order: Mapping[str, str]) -> str | None:
        for place in (order, self.engine, self.task, self.properties, self.environment):
            value = value_of(place, name)
            if value is not None:
                return value
        return None
