"""The outer form of a database: header, key check, cipher, blocks, compression."""

import hashlib
import hmac
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from engine.codec.keepass.faults import StoreDamaged, StoreFault, StoreLocked
from engine.codec.keepass.keys import AesKdf, Kdf, kdf_of
from engine.codec.keepass.streams import InnerStream, inner_stream

FILE_SIZE_MAX = 64 * 1024 * 1024
CONTENT_SIZE_MAX = 256 * 1024 * 1024
"""Bytes after decompression."""

_MAGIC = 0x9AA2D903
_KDBX = 0xB54BFB67
_HEADER_SIZE_MAX = 64 * 1024
_AES = UUID("31c1f2e6-bf71-4350-be58-05216afc5aff")
_CHACHA20 = UUID("d6038a2b-8b6f-4cb5-a524-339a31dbb59a")
_TWOFISH = UUID("ad68f29f-576f-4bb9-a36a-d47af965346c")
_HEADER_BLOCK = b"\xff" * 8
_KEY_WRONG = "the password or the key file is not the right one"

# Fields of the header.
_END, _CIPHER, _COMPRESSION, _SEED, _KEY_SEED, _ROUNDS, _IV = 0, 2, 3, 4, 5, 6, 7
_STREAM_KEY, _START_BYTES, _STREAM_KIND, _KDF = 8, 9, 10, 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What is inside, deciphered but for its protected values."""

    document: bytes
    """XML."""
    stream: InnerStream
    binaries: tuple[bytes, ...]
    """Attachments, in format 4."""
    header_digest: bytes | None
    """What the document of format 3 must name, so that nobody changes the header unseen."""


class _Reader:
    """Takes bytes from the front and notices when there are too few."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    def take(self, count: int) -> bytes:
        end = self.place + count
        if count < 0 or end > len(self.data):
            raise StoreDamaged("it ends too early")
        taken = self.data[self.place : end]
        self.place = end
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    version: int
    fields: Mapping[int, bytes]
    raw: bytes

    def field(self, number: int, size: int | None = None) -> bytes:
        value = self.fields.get(number)
        if value is None or (size is not None and len(value) != size):
            raise StoreDamaged(f"the field {number} of its header is missing or has a wrong size")
        return value


def opened(data: bytes, composite: bytes) -> Content:
    """Open a database with the composite key of password and key file. Raises StoreFault.

    Takes as long as the database wants its key to take: up to a minute.
    """
    if len(data) > FILE_SIZE_MAX:
        raise StoreFault(f"it is larger than {FILE_SIZE_MAX} bytes")
    reader = _Reader(data)
    header = _header(reader)
    if header.version == 3:
        return _opened_3(header, reader, data, composite)
    return _opened_4(header, reader, data, composite)


def _header(reader: _Reader) -> _Header:
    if len(reader.data) < 12:
        raise StoreDamaged("it is no KeePass database")
    magic, kind = reader.number(4), reader.number(4)
    _minor, major = reader.number(2), reader.number(2)
    if magic != _MAGIC:
        raise StoreDamaged("it is no KeePass database")
    if kind != _KDBX or major not in {3, 4}:
        raise StoreFault("it has an old or unknown format; save it with KeePass 2 as .kdbx")
    size = 2 if major == 3 else 4
    fields: dict[int, bytes] = {}
    while True:
        number = reader.number(1)
        fields[number] = reader.take(reader.number(size))
        if reader.place > _HEADER_SIZE_MAX:
            raise StoreDamaged("its header has no end")
        if number == _END:
            break
    return _Header(version=major, fields=fields, raw=reader.data[: reader.place])


# --- format 3.1 ------------------------------------------------------------------------------


def _opened_3(header: _Header, reader: _Reader, data: bytes, composite: bytes) -> Content:
    kdf = AesKdf(
        rounds=int.from_bytes(header.field(_ROUNDS, 8), "little"), seed=header.field(_KEY_SEED)
    )
    key = hashlib.sha256(header.field(_SEED) + kdf.derive(composite)).digest()
    start = header.field(_START_BYTES, 32)
    stream = inner_stream(_u32(header, _STREAM_KIND), header.field(_STREAM_KEY))
    try:
        plain = _deciphered(header, key, data[reader.place :])
    except StoreDamaged as error:
        raise StoreLocked(f"{_KEY_WRONG}, or it is damaged") from error
    if not hmac.compare_digest(plain[:32], start):
        raise StoreLocked(_KEY_WRONG)
    return Content(
        document=_expanded(header, b"".join(_hashed_blocks(_Reader(plain[32:])))),
        stream=stream,
        binaries=(),
        header_digest=hashlib.sha256(header.raw).digest(),
    )


def _hashed_blocks(reader: _Reader) -> Iterator[bytes]:
    number = 0
    while True:
        if reader.number(4) != number:
            raise StoreDamaged("its blocks are out of order")
        digest, size = reader.take(32), reader.number(4)
        if not size:
            return
        block = reader.take(size)
        if hashlib.sha256(block).digest() != digest:
            raise StoreDamaged(f"block {number} does not fit its digest")
        yield block
        number += 1


# --- format 4 --------------------------------------------------------------------------------


def _opened_4(header: _Header, reader: _Reader, data: bytes, composite: bytes) -> Content:
    digest, seal = reader.take(32), reader.take(32)
    if hashlib.sha256(header.raw).digest() != digest:
        raise StoreDamaged("its header does not fit its digest")
    kdf: Kdf = kdf_of(_dictionary(header.field(_KDF)))
    seed = header.field(_SEED, 32)
    transformed = kdf.derive(composite)
    sealing = hashlib.sha512(seed + transformed + b"\x01").digest()
    if not hmac.compare_digest(_seal(sealing, _HEADER_BLOCK, header.raw), seal):
        raise StoreLocked(_KEY_WRONG)
    key = hashlib.sha256(seed + transformed).digest()
    enciphered = b"".join(_sealed_blocks(reader, sealing))
    inner = _Reader(_expanded(header, _deciphered(header, key, enciphered)))
    kind, stream_key, binaries = _inner_header(inner)
    return Content(
        document=inner.take(len(inner.data) - inner.place),
        stream=inner_stream(kind, stream_key),
        binaries=binaries,
        header_digest=None,
    )


def _seal(sealing: bytes, number: bytes, content: bytes) -> bytes:
    key = hashlib.sha512(number + sealing).digest()
    return hmac.digest(key, content, "sha256")


def _sealed_blocks(reader: _Reader, sealing: bytes) -> Iterator[bytes]:
    number = 0
    while True:
        seal, size = reader.take(32), reader.take(4)
        block = reader.take(int.from_bytes(size, "little"))
        place = number.to_bytes(8, "little")
        if not hmac.compare_digest(_seal(sealing, place, place + size + block), seal):
            raise StoreDamaged(f"block {number} does not fit its seal")
        if not block:
            return
        yield block
        number += 1


def _inner_header(reader: _Reader) -> tuple[int, bytes, tuple[bytes, ...]]:
    kind, key = 0, b""
    binaries: list[bytes] = []
    while True:
        number, value = reader.number(1), reader.take(reader.number(4))
        match number:
            case 0:
                return kind, key, tuple(binaries)
            case 1:
                kind = int.from_bytes(value, "little")
            case 2:
                key = value
            case 3:
                binaries.append(value[1:])
            case _:
                raise StoreDamaged(f"its inner header has an unknown field {number}")


def _dictionary(data: bytes) -> dict[str, object]:
    """Read named values, each with its type."""
    reader = _Reader(data)
    if reader.number(2) >> 8 != 1:
        raise StoreFault("it says in an unknown form how its key is made")
    found: dict[str, object] = {}
    while kind := reader.number(1):
        name = reader.take(reader.number(4)).decode(errors="replace")
        value = reader.take(reader.number(4))
        match kind:
            case 0x04 | 0x05 | 0x08:
                found[name] = int.from_bytes(value, "little")
            case 0x0C | 0x0D:
                found[name] = int.from_bytes(value, "little", signed=True)
            case 0x18:
                found[name] = value.decode(errors="replace")
            case _:
                found[name] = value
    return found


# --- both ------------------------------------------------------------------------------------


def _u32(header: _Header, number: int) -> int:
    return int(struct.unpack("<I", header.field(number, 4))[0])


def _deciphered(header: _Header, key: bytes, data: bytes) -> bytes:
    cipher = UUID(bytes=header.field(_CIPHER, 16))
    if cipher == _CHACHA20:
        nonce = bytes(4) + header.field(_IV, 12)
        return Cipher(algorithms.ChaCha20(key, nonce), mode=None).decryptor().update(data)
    if cipher != _AES:
        name = "Twofish" if cipher == _TWOFISH else str(cipher)
        raise StoreFault(f"it is enciphered with {name}; save it with AES or ChaCha20")
    if not data or len(data) % 16:
        raise StoreDamaged("it ends too early")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(header.field(_IV, 16))).decryptor()
    plain = decryptor.update(data)
    filling = plain[-1]
    if not 1 <= filling <= 16 or plain[-filling:] != bytes([filling]) * filling:
        raise StoreDamaged("its last block is not filled up as it should be")
    return plain[:-filling]


def _expanded(header: _Header, data: bytes) -> bytes:
    match _u32(header, _COMPRESSION):
        case 0:
            return data
        case 1:
            return expanded(data)
        case other:
            raise StoreFault(f"it is compressed in an unknown way ({other})")


def expanded(data: bytes) -> bytes:
    """Undo gzip, up to a limit. Raises StoreFault."""
    expander = zlib.decompressobj(wbits=31)
    try:
        plain = expander.decompress(data, CONTENT_SIZE_MAX)
    except zlib.error as error:
        raise StoreDamaged("its compressed content is damaged") from error
    if expander.unconsumed_tail:
        raise StoreFault(f"it holds more than {CONTENT_SIZE_MAX} bytes")
    if not expander.eof:
        raise StoreDamaged("it ends too early")
    return plain
