"""The door's own key: made once, kept for its owner alone."""

import os
import stat
from pathlib import Path

import asyncssh

from engine.errors import SettingsError

ALGORITHM = "ssh-ed25519"


def host_key(file: Path) -> asyncssh.SSHKey:
    """Return the key in this file, made now if there is none. Raises SettingsError."""
    try:
        return _read(file)
    except FileNotFoundError:
        return _make(file)
    except (OSError, asyncssh.KeyImportError) as error:
        raise SettingsError((f"{file}: {error}",)) from error


def _read(file: Path) -> asyncssh.SSHKey:
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as opened:
        mode = os.fstat(handle).st_mode
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError((f"{file}: others may read the key of the door: chmod 600",))
        return asyncssh.import_private_key(opened.read(100_000))


def _make(file: Path) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key(ALGORITHM, comment="pointsman door")
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(file, flags, 0o600), "wb") as opened:
            opened.write(key.export_private_key("openssh"))
        file.with_name(f"{file.name}.pub").write_bytes(key.export_public_key("openssh"))
    except OSError as error:
        raise SettingsError((f"{file}: {error.strerror or error}",)) from error
    return key
