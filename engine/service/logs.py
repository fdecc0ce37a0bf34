"""The engine log: how the program feels, for people; text or JSON lines, to stderr and a file."""

import json
import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

_BYTES_MAX = 20_000_000
_FILES_KEPT = 5
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class _Json(logging.Formatter):
    """One JSON object a line; `extra` fields are its members."""

    def format(self, record: logging.LogRecord) -> str:
        content: dict[str, str | int | float] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                content[name] = value if isinstance(value, int | float) else str(value)
        if record.exc_info:
            content["error"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


class _EngineLogFile(RotatingFileHandler):
    """Looks at the size it has written, not at the file system for each line."""

    def shouldRollover(self, _record: logging.LogRecord) -> bool:  # noqa: N802  # theirs
        """Return whether the file is long enough."""
        if self.stream is None:
            self.stream = self._open()
        return self.stream.tell() >= self.maxBytes > 0


def set_up_engine_log(file: Path, level: str, form: str, *, to_stderr: bool = True) -> None:
    """Send the log of this process to a file and, unless told otherwise, to stderr."""
    formatter: logging.Formatter = (
        _Json() if form == "json" else logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    )
    handlers: list[logging.Handler] = [
        _EngineLogFile(file, maxBytes=_BYTES_MAX, backupCount=_FILES_KEPT, encoding="utf-8")
    ]
    if to_stderr:
        handlers.append(logging.StreamHandler(sys.stderr))
    root = logging.getLogger()
    root.setLevel(level.upper())
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    for noisy in ("httpx", "httpcore", "asyncio", "asyncssh", "watchfiles"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def rotate_engine_log() -> None:
    """Begin a new log file; the old one keeps its content under a number."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RotatingFileHandler):
            handler.acquire()
            try:
                handler.doRollover()
            finally:
                handler.release()
