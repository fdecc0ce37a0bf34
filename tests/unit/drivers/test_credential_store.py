"""Databases of credentials behind the driver: opened once, read again when they change."""

import asyncio
import os
import shutil
import threading
from pathlib import Path

import pytest

from engine.codec.keepass import container
from engine.drivers.credential_store import CredentialStores
from engine.errors import CredentialsUnusable
from engine.kernel.sessions.parameters import KeyLogin, PasswordLogin, Target, target_of
from engine.kernel.sessions.secret import Secret
from tests.support.keepass_files import FOLDER, PASSPHRASE, PASSWORD

pytestmark = pytest.mark.anyio


class Openings:
    """How often a database was really opened."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._real = container.opened
        patch.setattr(container, "opened", self)

    def __call__(self, data: bytes, composite: bytes) -> container.Content:
        self.count += 1
        return self._real(data, composite)


@pytest.fixture
def openings(monkeypatch: pytest.MonkeyPatch) -> Openings:
    return Openings(monkeypatch)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return put("4-aes256-argon2d", tmp_path / "hosts.kdbx")


def put(name: str, file: Path) -> Path:
    """Place a database as programs do: written beside, then moved over the old one."""
    shutil.copy(FOLDER / f"{name}.kdbx", file.with_suffix(".new"))
    file.with_suffix(".new").replace(file)
    return file


def target(file: Path, **more: str) -> Target:
    found = target_of(
        {
            "credential_store_filename": str(file),
            "credential_store_password": PASSWORD,
            "credential_store_entry_path": "hosts/db1",
            "host": "cs://@url",
            "port": "cs://@port",
            "user": "cs://@user",
            "auth_method": "password",
            "password": "cs://@password",
        }
        | more
    )
    assert isinstance(found, Target), found
    return found


async def fault(stores: CredentialStores, wanted: Target) -> str:
    with pytest.raises(CredentialsUnusable) as caught:
        await stores.resolved(wanted)
    return str(caught.value)


async def test_references_become_what_the_entry_holds(file: Path) -> None:
    found = await CredentialStores().resolved(target(file))
    login = PasswordLogin(password=Secret("secret of tester"))
    assert found == Target(host="127.0.0.1", port=2222, user="tester", login=login)


async def test_a_target_without_references_is_left_alone(openings: Openings) -> None:
    plain = Target(host="db1", user="me", login=KeyLogin(file="/keys/id"))
    stores = CredentialStores()
    assert await stores.resolved(plain) is plain
    assert not await stores.have_changed(plain)
    assert openings.count == 0


async def test_a_key_may_be_an_attachment_with_its_passphrase_in_a_field(file: Path) -> None:
    wanted = target(
        file,
        auth_method="publickey",
        auth_file="cs://hosts/east/web@2@id_locked",
        password="",
        passphrase="cs://@pass phrase",
    )
    login = (await CredentialStores().resolved(wanted)).login
    assert isinstance(login, KeyLogin)
    assert login.file == "cs://hosts/east/web@2@id_locked"
    assert login.passphrase == Secret(PASSPHRASE)
    assert login.text is not None
    assert "BEGIN OPENSSH PRIVATE KEY" in login.text.reveal()
    assert "BEGIN" not in repr(login)


async def test_a_field_may_say_where_the_key_lies_on_the_disk(file: Path) -> None:
    wanted = target(file, auth_method="publickey", auth_file="cs://@user", password="")
    login = (await CredentialStores().resolved(wanted)).login
    assert login == KeyLogin(file="tester")


async def test_an_address_may_be_a_url(file: Path) -> None:
    stores = CredentialStores()
    web = await stores.resolved(target(file, host="cs://hosts/east/web@2@url", port=""))
    assert (web.host, web.port) == ("web2.example.net", None), "8443 is the port of its web pages"
    written = await stores.resolved(target(file, port="2200"))
    assert written.port == 2200


async def test_a_database_is_opened_once_and_again_only_when_it_has_changed(
    file: Path, openings: Openings
) -> None:
    stores = CredentialStores()
    first, other = target(file), target(file, host="db9")
    await asyncio.gather(*(stores.resolved(each) for each in (first, other, first, other)))
    assert openings.count == 1
    assert not await stores.have_changed(first)
    put("4-chacha20-argon2id", file)
    assert await stores.have_changed(first)
    await stores.resolved(first)
    await stores.resolved(other)
    assert openings.count == 2


async def test_a_slow_database_holds_up_nobody_who_needs_another_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go = threading.Event(), threading.Event()
    real = container.opened

    def slow(data: bytes, composite: bytes) -> container.Content:
        entered.set()
        assert go.wait(60)
        return real(data, composite)

    stores = CredentialStores()
    await stores.resolved(target(file))
    monkeypatch.setattr(container, "opened", slow)
    other = asyncio.create_task(
        stores.resolved(target(put("3-keepassxc", tmp_path / "other.kdbx"), port="22"))
    )
    await asyncio.to_thread(entered.wait, 60)
    assert (await stores.resolved(target(file))).user == "tester"
    assert not other.done()
    go.set()
    assert (await other).user == "tester"


async def test_a_database_that_does_not_open_is_tried_again_only_when_it_has_changed(
    file: Path, openings: Openings
) -> None:
    stores = CredentialStores()
    wanted = target(file, credential_store_password="another")
    for _ in range(3):
        assert "the password or the key file is not the right one" in await fault(stores, wanted)
    assert openings.count == 1
    assert not await stores.have_changed(wanted)
    file.unlink()  # noqa: ASYNC240 -- a file of the test
    assert await stores.have_changed(wanted)
    assert "No such file" in await fault(stores, wanted)
    put("4-aes256-argon2d", file)
    assert (await stores.resolved(target(file))).user == "tester"


async def test_a_key_file_that_was_replaced_counts(tmp_path: Path, openings: Openings) -> None:
    file = put("4-by-both", tmp_path / "hosts.kdbx")
    key = tmp_path / "any"
    shutil.copy(FOLDER / "any.key", key)
    wanted = target(file, credential_store_key_filename=str(key), port="22")
    stores = CredentialStores()
    assert "not the right one" in await fault(stores, wanted)
    shutil.copy(FOLDER / "v2.keyx", key)
    assert (await stores.resolved(wanted)).user == "tester"
    assert openings.count == 2


@pytest.mark.parametrize("name", ["hosts.key", "hosts.keyx"])
async def test_a_key_file_beside_the_database_counts_where_nothing_is_given(
    tmp_path: Path, name: str
) -> None:
    file = put("4-by-key-file", tmp_path / "hosts.kdbx")
    wanted = target(file, credential_store_password="")
    assert "neither a password nor a key file" in await fault(CredentialStores(), wanted)
    shutil.copy(FOLDER / "raw.key", tmp_path / name)
    assert (await CredentialStores().resolved(wanted)).user == "tester"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"user": "cs://hosts/db2@user"}, "no entry hosts/db2; there is hosts/db1"),
        ({"user": "cs://@login"}, "no login; there are title, user, password"),
        ({"port": "cs://@user"}, "its port does not fit"),
        ({"credential_store_filename": "/nowhere/hosts.kdbx"}, "No such file"),
        ({"credential_store_key_filename": "/nowhere/key"}, "its key file /nowhere/key"),
    ],
)
async def test_what_is_wrong_names_the_store_and_no_value(
    file: Path, more: dict[str, str], said: str
) -> None:
    text = await fault(CredentialStores(), target(file, **more))
    assert said in text
    assert "hosts.kdbx" in text
    assert "tester" not in text


async def test_a_database_larger_than_any_is_not_read(file: Path) -> None:
    os.truncate(file, container.FILE_SIZE_MAX + 1)
    assert "is larger than" in await fault(CredentialStores(), target(file))
