"""Makes access tokens."""

import os
from pathlib import Path

from engine.errors import SettingsError
from engine.server.auth import Role, new_token, token_line
from engine.service.paths import EnginePaths


def make_token(role: str, name: str, *, data: Path | None, file: Path | None) -> str:
    """Return a new token after its hash was added to the token files that are named."""
    roles = {each.value: each for each in Role}
    if role not in roles:
        raise SettingsError((f"--role: {role!r} is not one of {', '.join(roles)}",))
    if any(character in name for character in "#\r\n"):
        raise SettingsError(("--name: a name has neither # nor line breaks",))
    token = new_token()
    files = [] if data is None else [EnginePaths(data).tokens]
    files += [] if file is None else [file]
    for each in files:
        _append(each, token_line(token, roles[role], " ".join(name.split())))
    return token


def _append(file: Path, line: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as opened:
            opened.write(f"{line}\n")
    except OSError as error:
        raise SettingsError((f"{file}: {error.strerror or error}",)) from error
