"""Databases of other programs: what is read from them, and what is said when they do not fit."""

import gzip
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2d
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.codec.keepass import keys
from engine.codec.keepass.container import expanded
from engine.codec.keepass.faults import StoreDamaged, StoreFault, StoreLocked
from engine.codec.keepass.keys import AesKdf, Argon2Kdf, key_of_file
from engine.codec.keepass.streams import ChaCha20, Salsa20
from tests.support.keepass_files import BY_PASSWORD, PASSPHRASE, PASSWORD, content, read

FULL = [name for name in BY_PASSWORD if name != "3-keepassxc"]
KEY_FILES = ["v1.key", "v2.keyx", "raw.key", "hex.key"]


@pytest.mark.parametrize("name", BY_PASSWORD)
def test_what_every_entry_has_is_found_under_the_names_of_references(name: str) -> None:
    store = read(content(f"{name}.kdbx"))
    assert store.value("hosts/db1", "user").reveal() == "tester"
    assert store.value("/hosts/db1", "UserName").reveal() == "tester"
    assert store.value("hosts/db1/", "Password").reveal() == "secret of tester"
    assert store.value("hosts/db1", "URL").reveal() == "127.0.0.1"
    assert store.value("hosts/db1", "title").reveal() == "db1"
    key = store.value("hosts/db1", "attachment").reveal()
    assert key.startswith("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    assert key.endswith("-----END OPENSSH PRIVATE KEY-----\n")
    assert store.value("hosts/db1", "id_ed25519").reveal() == key


@pytest.mark.parametrize("name", FULL)
def test_fields_of_ones_own_other_letters_and_several_attachments_are_read(name: str) -> None:
    store = read(content(f"{name}.kdbx"))
    assert store.value("hosts/db1", "port").reveal() == "2222"
    assert store.value("hosts/db1", "pass phrase").reveal() == PASSPHRASE
    assert store.value("hosts/db1", "notes").reveal() == "first\nsecond"
    assert store.value("hosts/east/web@2", "password").reveal() == "geheim-äöü-漢字"
    one = store.value("hosts/east/web@2", "id_ed25519").reveal()
    other = store.value("hosts/east/web@2", "id_locked").reveal()
    assert one == store.value("hosts/db1", "attachment").reveal() != other


@pytest.mark.parametrize("name", ["3-aes256-salsa20", "4-aes256-argon2d"])
def test_a_path_may_begin_with_the_outermost_group(name: str) -> None:
    store = read(content(f"{name}.kdbx"))
    assert store.value(f"{store.root}/hosts/db1", "user").reveal() == "tester"


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [
        ("hosts/db2", "user", "no entry hosts/db2; there is hosts/db1"),
        ("hosts", "user", "no entry hosts"),
        ("hosts/db1", "pin", "no pin; there are title, user, password, url, notes, attachment, "),
        ("hosts/east/twin", "user", "has 2 entries hosts/east/twin"),
        ("hosts/east/web@2", "attachment", "these attachments: id_ed25519, id_locked; name one"),
        ("hosts/empty", "password", "password of its entry hosts/empty is empty"),
        ("hosts/empty", "blob.bin", "is no text"),
        ("hosts/other", "password", "refers to another entry"),
        ("hosts/other", "attachment", "these attachments: none"),
    ],
)
def test_what_cannot_be_found_is_said_with_what_there_is(path: str, field: str, said: str) -> None:
    with pytest.raises(StoreFault, match=said):
        read(content("4-aes256-argon2d.kdbx")).value(path, field)


@pytest.mark.parametrize("key_file", KEY_FILES)
def test_a_key_file_opens_in_each_of_its_forms_with_and_without_a_password(key_file: str) -> None:
    alone = read(content("4-by-key-file.kdbx"), None, key_file)
    assert alone.value("hosts/db1", "user").reveal() == "tester"
    both = read(content("4-by-both.kdbx"), PASSWORD, key_file)
    assert both.value("hosts/db1", "user").reveal() == "tester"


def test_any_file_may_be_a_key_file() -> None:
    store = read(content("4-by-any-file.kdbx"), PASSWORD, "any.key")
    assert store.value("hosts/db1", "user").reveal() == "tester"


@pytest.mark.parametrize(
    ("name", "password", "key_file"),
    [
        ("4-aes256-argon2d", "throw-awaY", None),
        ("4-chacha20-aeskdf", "", None),
        ("3-aes256-salsa20", "throw-awaY", None),
        ("3-chacha20-salsa20", "throw-awaY", None),
        ("4-aes256-argon2d", PASSWORD, "raw.key"),
        ("4-by-both", PASSWORD, None),
        ("4-by-both", None, "raw.key"),
        ("4-by-both", PASSWORD, "any.key"),
        ("4-by-key-file", PASSWORD, "raw.key"),
    ],
)
def test_a_wrong_password_or_key_file_is_told_from_damage(
    name: str, password: str | None, key_file: str | None
) -> None:
    with pytest.raises(StoreLocked, match="password or the key file is not the right one"):
        read(content(f"{name}.kdbx"), password, key_file)


def test_without_password_and_key_file_nothing_is_tried() -> None:
    with pytest.raises(StoreFault, match="neither a password nor a key file"):
        read(content("4-aes256-argon2d.kdbx"), None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.replace(b'Hash="', b'Hash="0'), "its digest does not fit"),
        (lambda file: file.replace(b"</Data>", b"x</Data>"), "key file cannot be used"),
    ],
)
def test_a_damaged_key_file_is_named(change: object, said: str) -> None:
    assert callable(change)
    with pytest.raises(StoreFault, match=said):
        key_of_file(change(content("v2.keyx")))


def test_a_database_in_a_cipher_that_is_not_known_says_which() -> None:
    with pytest.raises(StoreFault, match="Twofish"):
        read(content("4-twofish.kdbx"))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no KeePass database"),
        (b"PK\3\4 something else entirely", "no KeePass database"),
        (struct.pack("<IIHH", 0x9AA2D903, 0xB54BFB65, 3, 1) + bytes(200), "old or unknown format"),
        (struct.pack("<IIHH", 0x9AA2D903, 0xB54BFB67, 0, 5) + bytes(200), "old or unknown format"),
    ],
)
def test_a_file_that_is_no_such_database_is_told_apart(data: bytes, said: str) -> None:
    with pytest.raises(StoreFault, match=said):
        read(data)


@pytest.mark.parametrize("name", ["3-aes256-salsa20", "4-aes256-argon2d", "4-chacha20-aeskdf"])
def test_a_file_cut_short_anywhere_is_refused_in_words(name: str) -> None:
    data = content(f"{name}.kdbx")
    for end in range(0, len(data), 37):
        with pytest.raises(StoreFault):
            read(data[:end])


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["3-aes256-salsa20", "4-aes256-argon2d", "4-chacha20-aeskdf"]),
    place=st.integers(min_value=12, max_value=2_700),
    flipped=st.integers(min_value=1, max_value=255),
)
def test_a_flipped_byte_is_noticed_whatever_it_hits(name: str, place: int, flipped: int) -> None:
    data = bytearray(content(f"{name}.kdbx"))
    data[place] ^= flipped
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keys, "AES_ROUNDS_MAX", 100_000)  # format 3 does not seal its wishes
        with pytest.raises(StoreFault):
            read(bytes(data))


def test_damage_behind_the_key_check_is_called_damage() -> None:
    for name in ("3-chacha20-salsa20", "4-aes256-argon2d"):
        data = bytearray(content(f"{name}.kdbx"))
        data[-60] ^= 1
        with pytest.raises(StoreDamaged):
            read(bytes(data))


def test_the_wishes_of_a_database_have_limits() -> None:
    with pytest.raises(StoreFault, match="rounds"):
        AesKdf(rounds=10**10, seed=bytes(32))
    fields = {"kind": Argon2d, "salt": bytes(16), "lanes": 1, "passes": 1, "memory": 1 << 20}
    for name, value in (("memory", 2**31), ("passes", 10**9), ("lanes", 1000), ("passes", 0)):
        with pytest.raises(StoreFault, match="demands"):
            Argon2Kdf(**fields | {name: value})  # type: ignore[arg-type]  # by name


def test_what_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.codec.keepass.container.CONTENT_SIZE_MAX", 100_000)
    assert expanded(gzip.compress(bytes(100_000))) == bytes(100_000)
    with pytest.raises(StoreFault, match="holds more than"):
        expanded(gzip.compress(bytes(100_001)))


@pytest.mark.parametrize("rounds", [0, 1, 2, 65_535, 65_536, 65_537, 200_000])
def test_rounds_of_aes_are_those_of_encrypting_again_and_again(rounds: int) -> None:
    key, seed = bytes(range(32)), bytes(range(100, 132))
    cipher = Cipher(algorithms.AES(seed), modes.ECB()).encryptor()
    slow = key
    for _ in range(min(rounds, 2_000)):
        slow = cipher.update(slow)
    if rounds <= 2_000:
        assert AesKdf(rounds=rounds, seed=seed)._half(key[:16]) == slow[:16]
    else:  # two steps are one: the chain is entered anew where it was left
        first = AesKdf(rounds=rounds - 7, seed=seed)._half(key[:16])
        assert AesKdf(rounds=7, seed=seed)._half(first) == AesKdf(rounds=rounds, seed=seed)._half(
            key[:16]
        )


def test_salsa20_agrees_with_the_published_vectors() -> None:
    """The eSTREAM vectors (set 1, vector 0; 256-bit key) have another nonce than the format."""
    cipher = Salsa20(bytes([0x80]) + bytes(31))
    cipher._start[6], cipher._start[7] = 0, 0
    stream = cipher.clear(0, bytes(512))
    assert stream[:16].hex() == "e3be8fdd8beca2e3ea8ef9475b29a6e7"
    assert stream[192:208].hex() == "57be81f47b17d9ae7c4ff15429a73e10"
    assert stream[448:464].hex() == "696afcfd0cddcc83c7e77f11a649d79a"


@given(
    data=st.binary(max_size=400),
    offset=st.integers(min_value=0, max_value=300),
    which=st.booleans(),
)
def test_a_key_stream_can_be_entered_anywhere(data: bytes, offset: int, which: bool) -> None:
    cipher = Salsa20(bytes(range(32))) if which else ChaCha20(bytes(range(44)))
    whole = cipher.clear(0, bytes(offset) + data)
    assert cipher.clear(offset, data) == whole[offset:]


def test_nothing_shows_what_is_inside() -> None:
    store = read(content("4-aes256-argon2d.kdbx"))
    shown = f"{store!r} {store.entries!r} {store.value('hosts/db1', 'password')!r}"
    assert "secret of tester" not in shown
    assert "2222" not in shown
    assert "BEGIN" not in shown
