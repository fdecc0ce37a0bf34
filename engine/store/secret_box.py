"""Seals secrets, so that what is kept, logged or shown holds none (ssh-and-jitl.md 1.5, 2.11).

A sealed value is a text `[sealed:...]` that may be copied, pasted into other texts and written
anywhere; only this engine, with the key file in its data folder, can open it, and only what starts
a task does. The same value is sealed to the same text each time (AES-SIV), so that a definition
read again is seen to be unchanged; the price is that equal secrets can be told to be equal.

Without its key file an engine asks for definitions and orders anew: tasks with values sealed under
the lost key are refused with a sentence.
"""

import base64
import binascii
import os
import re
import secrets
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import EngineError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESSIV

KEY_BYTES = 64
_SEALED = re.compile(r"\[sealed:([A-Za-z0-9_-]{22,})\]")
_PURPOSE = b"pointsman parameter 1"


class SealBroken(EngineError):
    """A sealed value cannot be opened with this engine's key."""


class SecretBox:
    """Seals and opens with the key of one data folder."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def seal(self, value: str) -> str:
        """Return the value sealed; empty and sealed ones as they are."""
        if not value or _SEALED.fullmatch(value) is not None:
            return value
        data = self._cipher.encrypt(value.encode("utf-8", "surrogatepass"), [_PURPOSE])
        return f"[sealed:{base64.urlsafe_b64encode(data).decode().rstrip('=')}]"

    def open(self, text: str) -> str:
        """Return the text with everything sealed in it opened. Raises SealBroken."""
        return _SEALED.sub(self._opened, text) if "[sealed:" in text else text

    def _opened(self, found: re.Match[str]) -> str:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # slow, rarely needed

        text = found[1]
        try:
            data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            return self._cipher.decrypt(data, [_PURPOSE]).decode("utf-8", "surrogatepass")
        except (InvalidTag, ValueError, binascii.Error) as error:
            raise SealBroken(
                f"A secret was sealed with another key than that of {self._file}; "
                "give it to the engine anew"
            ) from error

    @cached_property
    def _cipher(self) -> "AESSIV":
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415  # see above
            AESSIV,
        )

        return AESSIV(self._key())

    def _key(self) -> bytes:
        """Return the key, made when there is none. Raises SealBroken."""
        draft = self._file.with_suffix(".new")
        if not self._file.exists():
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(KEY_BYTES))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file)
        try:
            key = self._file.read_bytes()
        except OSError as error:
            raise SealBroken(f"{self._file} cannot be read: {error}") from error
        if len(key) != KEY_BYTES:
            raise SealBroken(f"{self._file} holds no key: {len(key)} bytes instead of {KEY_BYTES}")
        return key
