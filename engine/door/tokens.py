"""A token for each session, with the person's name and role, that the engine knows at once.

The engine reads the file whenever it changes and knows only what stands in it, as SHA-256. A token
lives as long as its session; the file begins empty with the door, so what a former life left
behind is worth nothing.
"""

import os
from pathlib import Path

from engine.errors import SettingsError
from engine.server.auth import Role, new_token, token_line


class SessionTokens:
    """The tokens of the sessions that run now."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lines: dict[str, str] = {}

    def clear(self) -> None:
        """Forget all. Raises SettingsError when the file cannot be written."""
        self._lines.clear()
        self._write()

    def issue(self, role: Role, person: str) -> str:
        """Return a new token that the engine knows from now on. Raises SettingsError."""
        token = new_token()
        self._lines[token] = token_line(token, role, person)
        try:
            self._write()
        except SettingsError:
            del self._lines[token]
            raise
        return token

    def withdraw(self, token: str) -> None:
        """Make a token worthless; one that is not known is worthless already."""
        if self._lines.pop(token, None) is not None:
            self._write()

    def _write(self) -> None:
        """Replace the file as a whole: the engine never reads half a line."""
        draft = self._file.with_name(f"{self._file.name}.new")
        text = "".join(f"{line}\n" for line in self._lines.values())
        try:
            draft.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with os.fdopen(os.open(draft, flags, 0o600), "w", encoding="utf-8") as opened:
                opened.write(text)
            self._keep_readers(draft)
            draft.replace(self._file)
        except OSError as error:
            raise SettingsError((f"{self._file}: {error.strerror or error}",)) from error

    def _keep_readers(self, draft: Path) -> None:
        """Let a group go on reading that was let in by hand: an engine under another account."""
        try:
            found = self._file.stat()
        except FileNotFoundError:
            return
        if found.st_gid != draft.stat().st_gid:
            os.chown(draft, -1, found.st_gid)
        draft.chmod(0o600 | (found.st_mode & 0o040))
