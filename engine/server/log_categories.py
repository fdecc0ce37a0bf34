"""Log categories: `scheduler_log.log_categories.*` switch loggers of the engine (6.20)."""

import asyncio
import logging
from typing import Final

from engine.codec.xml.answers import element
from engine.codec.xml.findings import Element
from engine.kernel.instants import FOREVER, Duration
from engine.kernel.problems import Problem

ROOT: Final = "engine"
CATEGORIES_MAX: Final = 200
_OFF: Final = frozenset({"0", "no", "false", "off", ""})
_ON: Final = frozenset({"1", "yes", "true", "on", "all", "debug"})


class LogCategories:
    """Which parts of the engine log in detail; `drivers.ssh` is logger `engine.drivers.ssh`."""

    def __init__(self) -> None:
        self._set: dict[str, str] = {}
        self._timer: asyncio.TimerHandle | None = None

    def element(self) -> Element:
        """Return `<log_categories>`."""
        delay = None
        if self._timer is not None:
            delay = max(0, round(self._timer.when() - asyncio.get_running_loop().time()))
        rows = [
            element("log_category", path=category, value=value, explicit="yes")
            for category, value in sorted(self._set.items())
        ]
        return element("log_categories", *rows, reset_delay=delay)

    def set(self, category: str, value: str) -> Element | Problem:
        """Log a category in detail, or not any more."""
        wanted = value.strip().lower()
        if wanted not in _ON | _OFF:
            allowed = ", ".join(sorted((_ON | _OFF) - {""}))
            return Problem(
                code="SCHEDULER-218", text=f"value={value!r} is not allowed; allowed: {allowed}"
            )
        if category not in self._set and len(self._set) >= CATEGORIES_MAX:
            return Problem(code="SCHEDULER-218", text=f"At most {CATEGORIES_MAX} categories")
        level = logging.DEBUG if wanted in _ON else logging.NOTSET
        self._logger(category).setLevel(level)
        self._set[category] = value
        return self.element()

    def reset(self, delay: Duration | None) -> Element:
        """Log as the settings say, now or after a delay."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if delay is None or delay <= 0:
            self._reset()
        elif delay < FOREVER:
            self._timer = asyncio.get_running_loop().call_later(delay / 1000, self._reset)
        return self.element()

    def _reset(self) -> None:
        self._timer = None
        for category in self._set:
            self._logger(category).setLevel(logging.NOTSET)
        self._set.clear()

    @staticmethod
    def _logger(category: str) -> logging.Logger:
        name = category.strip().strip(".")
        return logging.getLogger(ROOT if name in {"", "all"} else f"{ROOT}.{name}")
