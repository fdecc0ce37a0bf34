"""Errors of SQLite in the engine's words."""

import sqlite3

from engine.errors import StoreCorrupt, StoreError, StoreUnavailable

_CORRUPT = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_CONSTRAINT", "SQLITE_FORMAT")
_UNAVAILABLE = (
    "SQLITE_FULL",
    "SQLITE_IOERR",
    "SQLITE_READONLY",
    "SQLITE_CANTOPEN",
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
    "SQLITE_PERM",
    "SQLITE_AUTH",
    "SQLITE_NOMEM",
    "SQLITE_NOLFS",
    "SQLITE_PROTOCOL",
    "SQLITE_INTERRUPT",
)


def translated(error: sqlite3.Error, file: object) -> StoreError:
    """Return the store error that says what `error` means for the file."""
    name = getattr(error, "sqlite_errorname", None) or ""
    text = f"{file}: {error}" + (f" ({name})" if name else "")
    if name.startswith(_CORRUPT):
        return StoreCorrupt(text)
    if name.startswith(_UNAVAILABLE):
        return StoreUnavailable(text)
    return StoreError(text)
