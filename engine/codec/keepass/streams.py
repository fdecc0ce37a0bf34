"""The inner ciphers: single values are enciphered once more inside a database."""

import hashlib
import struct
from typing import Protocol, final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from engine.codec.keepass.faults import StoreFault

SALSA20_LENGTH_MAX = 1024 * 1024
"""Of one value; it is worked out in Python."""

_BLOCK = 64
_SALSA20_NONCE = bytes.fromhex("e830094b97205d2a")
_SALSA20_WORDS = struct.unpack("<4I", b"expand 32-byte k")
_SALSA20_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_SALSA20_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))


class InnerStream(Protocol):
    """A key stream that can be entered anywhere, so that only what is asked for is deciphered."""

    def clear(self, offset: int, data: bytes) -> bytes:
        """Decipher what begins at this place of the stream."""


def inner_stream(kind: int, key: bytes) -> InnerStream:
    """Return the cipher a database names. Raises StoreFault for one that is not known here."""
    match kind:
        case 0:
            return Plain()
        case 2:
            return Salsa20(hashlib.sha256(key).digest())
        case 3:
            return ChaCha20(hashlib.sha512(key).digest())
        case _:
            raise StoreFault("its values are enciphered in an outdated way; save it with KeePass 2")


@final
class Plain:
    """No further cipher."""

    def clear(self, offset: int, data: bytes) -> bytes:  # noqa: ARG002 -- as the others
        """Return the data as they are."""
        return data


@final
class ChaCha20:
    """ChaCha20 as of RFC 8439, from 44 bytes of key and nonce."""

    def __init__(self, material: bytes) -> None:
        self._key, self._nonce = material[:32], material[32:44]

    def clear(self, offset: int, data: bytes) -> bytes:
        """Decipher what begins at this place of the stream."""
        block, skipped = divmod(offset, _BLOCK)
        nonce = block.to_bytes(4, "little") + self._nonce
        cipher = Cipher(algorithms.ChaCha20(self._key, nonce), mode=None).decryptor()
        return cipher.update(bytes(skipped) + data)[skipped:]


@final
class Salsa20:
    """Salsa20 with twenty rounds and the format's fixed nonce."""

    def __init__(self, key: bytes) -> None:
        words = struct.unpack("<8I", key)
        nonce = struct.unpack("<2I", _SALSA20_NONCE)
        c = _SALSA20_WORDS
        self._start = [c[0], *words[:4], c[1], *nonce, 0, 0, c[2], *words[4:], c[3]]

    def clear(self, offset: int, data: bytes) -> bytes:
        """Decipher what begins at this place of the stream."""
        if len(data) > SALSA20_LENGTH_MAX:
            raise StoreFault(
                f"a protected value is longer than {SALSA20_LENGTH_MAX} bytes; "
                "save the database in format 4"
            )
        block, skipped = divmod(offset, _BLOCK)
        count = -(-(skipped + len(data)) // _BLOCK)
        stream = b"".join(self._block(block + number) for number in range(count))
        return bytes(a ^ b for a, b in zip(data, stream[skipped:], strict=False))

    def _block(self, number: int) -> bytes:
        start = self._start.copy()
        start[8], start[9] = number & 0xFFFFFFFF, number >> 32
        state = start.copy()
        for _ in range(10):
            for column in _SALSA20_COLUMNS:
                _quarter(state, *column)
            for row in _SALSA20_ROWS:
                _quarter(state, *row)
        mixed = ((a + b) & 0xFFFFFFFF for a, b in zip(state, start, strict=True))
        return struct.pack("<16I", *mixed)


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    state[b] ^= _turned(state[a] + state[d], 7)
    state[c] ^= _turned(state[b] + state[a], 9)
    state[d] ^= _turned(state[c] + state[b], 13)
    state[a] ^= _turned(state[d] + state[c], 18)


def _turned(word: int, by: int) -> int:
    word &= 0xFFFFFFFF
    return ((word << by) & 0xFFFFFFFF) | (word >> (32 - by))
