"""Databases written by other programs, see keepass/README.md."""

from pathlib import Path

from engine.codec.keepass.container import opened
from engine.codec.keepass.entries import Store, store_of
from engine.codec.keepass.keys import composite_key
from engine.kernel.sessions.secret import Secret

FOLDER = Path(__file__).with_name("keepass")
PASSWORD = "throw-away"
PASSPHRASE = "throw-away passphrase"
BY_PASSWORD = sorted(
    each.stem
    for each in FOLDER.glob("*.kdbx")
    if "-by-" not in each.stem and each.stem != "4-twofish"
)


def content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


def read(data: bytes, password: str | None = PASSWORD, key_file: str | None = None) -> Store:
    secret = None if password is None else Secret(password)
    key = None if key_file is None else content(key_file)
    return store_of(opened(data, composite_key(secret, key)))
