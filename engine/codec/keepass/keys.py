"""From password and key file to the key of a database, as slowly as the database demands."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2d, Argon2id
from lxml import etree

from engine.codec.keepass.faults import StoreDamaged, StoreFault
from engine.kernel.sessions.secret import Secret

AES_ROUNDS_MAX = 1_000_000_000
"""About half a minute; the programs that write databases aim at one second."""
ARGON2_MEMORY_MAX = 1024 * 1024 * 1024
"""Bytes; the programs' own default is 64 MiB."""
ARGON2_WORK_MAX = 64 * ARGON2_MEMORY_MAX
"""Bytes times passes: about a minute."""
ARGON2_LANES_MAX = 64
KEY_FILE_SIZE_MAX = 16 * 1024 * 1024

_AES_KDFS = {
    UUID("c9d9f39a-628a-4460-bf74-0d08c18a4fea"),
    UUID("7c02bb82-79a7-4ac0-927d-114a00648238"),
}
_ARGON2_KDFS: Mapping[UUID, type[Argon2d] | type[Argon2id]] = {
    UUID("ef636ddf-8c29-444b-91f7-a9a403e30a0c"): Argon2d,
    UUID("9e298b19-56db-4773-b23d-fc3ec6f0a1e6"): Argon2id,
}
_ARGON2_VERSION = 0x13
_STEP_BLOCKS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class AesKdf:
    """Rounds of AES over the key."""

    rounds: int
    seed: bytes

    def __post_init__(self) -> None:
        if len(self.seed) != 32:
            raise StoreDamaged("the seed of its key has not 32 bytes")
        if self.rounds > AES_ROUNDS_MAX:
            raise StoreFault(f"it demands {self.rounds} rounds; {AES_ROUNDS_MAX} at most are done")

    def derive(self, key: bytes) -> bytes:
        """Return the transformed key."""
        halves = (self._half(key[:16]), self._half(key[16:]))
        return hashlib.sha256(b"".join(halves)).digest()

    def _half(self, block: bytes) -> bytes:
        """Encrypt one block again and again: a chain over zeros does just that, at full speed."""
        if not self.rounds:
            return block
        chain = Cipher(algorithms.AES(self.seed), modes.CBC(block)).encryptor()
        zeros = bytes(16 * min(self.rounds, _STEP_BLOCKS))
        out = bytearray(len(zeros) + 15)
        left = self.rounds
        while left:
            count = min(left, _STEP_BLOCKS)
            written = chain.update_into(memoryview(zeros)[: 16 * count], out)
            left -= count
        return bytes(out[written - 16 : written])


@dataclass(frozen=True, slots=True, kw_only=True)
class Argon2Kdf:
    """Argon2, in the kind that the database names."""

    kind: type[Argon2d] | type[Argon2id]
    salt: bytes
    lanes: int
    memory: int
    """Bytes."""
    passes: int

    def __post_init__(self) -> None:
        if not 1 <= self.lanes <= ARGON2_LANES_MAX:
            raise StoreFault(f"it demands {self.lanes} lanes; 1 to {ARGON2_LANES_MAX} are done")
        if self.memory > ARGON2_MEMORY_MAX:
            text = f"{self.memory >> 20} MiB of memory; {ARGON2_MEMORY_MAX >> 20} at most are given"
            raise StoreFault(f"it demands {text}")
        if self.passes < 1 or self.passes * self.memory > ARGON2_WORK_MAX:
            most = ARGON2_WORK_MAX // max(self.memory, 1)
            raise StoreFault(f"it demands {self.passes} passes; 1 to {most} are done")

    def derive(self, key: bytes) -> bytes:
        """Return the transformed key."""
        try:
            kdf = self.kind(
                salt=self.salt,
                length=32,
                iterations=self.passes,
                lanes=self.lanes,
                memory_cost=self.memory // 1024,
            )
            return kdf.derive(key)
        except UnsupportedAlgorithm as error:
            raise StoreFault("it needs Argon2, for which OpenSSL is too old here") from error
        except ValueError as error:
            raise StoreDamaged(f"what it says about its key does not fit: {error}") from error


Kdf = AesKdf | Argon2Kdf


def kdf_of(parameters: Mapping[str, object]) -> Kdf:
    """Read how a database of format 4 wants its key made. Raises StoreFault."""
    try:
        kind = UUID(bytes=_bytes(parameters, "$UUID"))
        if kind in _AES_KDFS:
            return AesKdf(rounds=_number(parameters, "R"), seed=_bytes(parameters, "S"))
        if kind not in _ARGON2_KDFS:
            raise StoreFault(f"its key is made in a way that is not known here ({kind})")
        if _number(parameters, "V") != _ARGON2_VERSION:
            raise StoreFault("it uses an outdated version of Argon2; save it again with KeePass")
        return Argon2Kdf(
            kind=_ARGON2_KDFS[kind],
            salt=_bytes(parameters, "S"),
            lanes=_number(parameters, "P"),
            memory=_number(parameters, "M"),
            passes=_number(parameters, "I"),
        )
    except (KeyError, TypeError) as error:
        raise StoreDamaged("it does not say how its key is made") from error


def composite_key(password: Secret | None, key_file: bytes | None) -> bytes:
    """Return what stands for password and key file together; at least one is needed."""
    if password is None and key_file is None:
        raise StoreFault("neither a password nor a key file is given for it")
    parts = b""
    if password is not None:
        parts += hashlib.sha256(password.reveal().encode()).digest()
    if key_file is not None:
        parts += key_of_file(key_file)
    return hashlib.sha256(parts).digest()


def key_of_file(content: bytes) -> bytes:
    """Return the 32 bytes a key file stands for. Raises StoreFault.

    A file is an XML document (version 1 or 2), the key itself, the key in hexadecimal digits, or
    anything else, of which the digest counts.
    """
    if len(content) == 32:
        return content
    if re.fullmatch(rb"[0-9A-Fa-f]{64}", content):
        return bytes.fromhex(content.decode())
    root = _key_document(content)
    if root is None:
        return hashlib.sha256(content).digest()
    data = root.find("Key/Data")
    text = "".join((data.text or "").split()) if data is not None else ""
    try:
        if (root.findtext("Meta/Version") or "").strip().startswith("2."):
            return _checked_key(
                bytes.fromhex(text), (data.get("Hash") or "") if data is not None else ""
            )
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise StoreFault(f"its key file cannot be used: {error}") from error


def _key_document(content: bytes) -> "etree._Element | None":
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError:
        return None
    return root if root.tag == "KeyFile" else None


def _checked_key(key: bytes, digest: str) -> bytes:
    if digest and hashlib.sha256(key).digest()[:4].hex() != digest.strip().casefold():
        raise ValueError("it is damaged, its digest does not fit")
    return key


def _bytes(parameters: Mapping[str, object], name: str) -> bytes:
    value = parameters[name]
    if not isinstance(value, bytes) or len(value) > 4096:
        raise TypeError(name)
    if name == "$UUID" and len(value) != 16:
        raise TypeError(name)
    return value


def _number(parameters: Mapping[str, object], name: str) -> int:
    value = parameters[name]
    if not isinstance(value, int):
        raise TypeError(name)
    return value
