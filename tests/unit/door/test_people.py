"""Who may come in, and with which rights."""

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.door.people import (
    FILE_BYTES_MAX,
    Grant,
    People,
    PeopleFile,
    fingerprint,
    parse_people,
)
from engine.errors import SettingsError
from engine.kernel.instants import Instant, from_datetime
from engine.server.auth import Role

NOW = from_datetime(datetime(2026, 1, 1, tzinfo=UTC))
HERE = "127.0.0.1"


def blob(name: str, kind: str = "ssh-ed25519") -> bytes:
    return len(kind).to_bytes(4, "big") + kind.encode() + b"\0\0\0\x20" + name.encode().ljust(32)


def public(name: str, kind: str = "ssh-ed25519") -> str:
    return f"{kind} {base64.b64encode(blob(name, kind)).decode()} {name}@laptop"


def people(*lines: str) -> People:
    found = parse_people("\n".join(lines), "keys")
    assert not found.findings
    return found


def finding(line: str) -> str:
    found = parse_people(f"# a comment\n\n{line}\n", "keys")
    assert not found.grants, "what is wrong gives nobody anything"
    (text,) = found.findings
    assert text.startswith("keys:3: ")
    return text


def granted(found: People, name: str, key: str = "k", address: str = HERE) -> Role | None:
    grant = found.by_key(name, blob(key), address, NOW)
    return None if grant is None else grant.role


# --- keys ----------------------------------------------------------------------------------------


def test_a_key_belongs_to_one_person_and_has_a_role() -> None:
    found = people(f'person="anna",role="operator" {public("k")}')
    assert granted(found, "anna") is Role.OPERATOR
    assert granted(found, "bob") is None
    assert granted(found, "anna", "another") is None


def test_who_has_no_role_may_only_look() -> None:
    assert granted(people(f'person="anna" {public("k")}'), "anna") is Role.READ_ONLY


def test_a_person_may_have_several_keys_with_different_roles() -> None:
    found = people(
        f'person="anna" {public("laptop")}', f'role="admin",person="anna" {public("token")}'
    )
    assert granted(found, "anna", "laptop") is Role.READ_ONLY
    assert granted(found, "anna", "token") is Role.ADMIN


def test_a_key_is_not_an_authority_and_an_authority_is_no_key() -> None:
    found = people(
        f'person="anna" {public("key")}', f'cert-authority,principals="anna" {public("ca")}'
    )
    assert granted(found, "anna", "ca") is None
    assert found.by_certificate("anna", blob("key"), ["anna"], HERE, NOW) is None


@pytest.mark.parametrize(
    ("sources", "address", "is_in"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        ("192.0.2.7,2001:db8::/32", "2001:db8::1", True),
        ("fe80::/10", "fe80::1%eth0", True),
        ("10.0.0.0/8", "?", False),
    ],
)
def test_a_key_may_be_good_from_some_addresses_only(
    sources: str, address: str, is_in: bool
) -> None:
    found = people(f'from="{sources}",person="anna" {public("k")}')
    assert (granted(found, "anna", address=address) is not None) is is_in


@pytest.mark.parametrize(
    ("expiry", "is_in"),
    [
        ("20260102Z", True),
        ("20260101Z", False),
        ("202601010001Z", True),
        ("20251231235959Z", False),
    ],
)
def test_a_key_ends_at_its_expiry_time(expiry: str, is_in: bool) -> None:
    found = people(f'person="anna",expiry-time="{expiry}" {public("k")}')
    assert (granted(found, "anna") is not None) is is_in


@pytest.mark.parametrize(
    ("options", "has_terminal"),
    [("", True), (",restrict", False), (",restrict,pty", True), (",no-pty", False)],
)
def test_restrict_leaves_handed_over_commands(options: str, has_terminal: bool) -> None:
    (grant,) = people(f'person="anna"{options} {public("k")}').grants
    assert grant.has_terminal is has_terminal


def test_words_of_openssh_for_what_the_door_never_does_are_taken() -> None:
    people(f'person="anna",no-port-forwarding,no-agent-forwarding,no-X11-forwarding {public("k")}')


# --- certificates --------------------------------------------------------------------------------


def test_an_authority_speaks_for_the_people_it_is_trusted_with() -> None:
    found = people(f'cert-authority,principals="anna,bob",role="operator" {public("ca")}')

    def role(name: str, *principals: str) -> Grant | None:
        return found.by_certificate(name, blob("ca"), principals, HERE, NOW)

    assert role("anna", "anna") is not None
    assert role("bob", "anna", "bob") is not None
    assert role("anna", "bob") is None, "the certificate is somebody else's"
    assert role("carla", "carla") is None, "the authority is not trusted with her"
    assert role("anna") is None, "a certificate for everybody is for nobody"


# --- lines that are wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (public("k"), "whose key"),
        (f'person="anna",command="/bin/sh" {public("k")}', "does not know the option command"),
        (f'person="anna",environment="A=1" {public("k")}', "does not know"),
        (f'person="anna",person="bob" {public("k")}', "twice"),
        (f"person {public('k')}", "needs a value"),
        (f'person="anna",restrict="yes" {public("k")}', "has no value"),
        (f'person="anna",role="root" {public("k")}', "is no role"),
        (f'person="local" {public("k")}', "without a token"),
        (f'person="Loopback" {public("k")}', "without a token"),
        (f'person="a b" {public("k")}', "is no name"),
        (f'person="anna#x" {public("k")}', "is no name"),
        (f'person="{"a" * 33}" {public("k")}', "is no name"),
        (f'person="anna",principals="anna" {public("k")}', "belongs to cert-authority"),
        (f"cert-authority {public('k')}", "for whom"),
        (f'cert-authority,person="anna" {public("k")}', "principals"),
        (f'cert-authority,principals="anna,,bob" {public("k")}', "empty entry"),
        (f'person="anna",from="*.example.org" {public("k")}', "addresses and networks"),
        (f'person="anna",expiry-time="tomorrow" {public("k")}', "YYYYMMDD"),
        (f'person="anna",expiry-time="20261301" {public("k")}', "unconverted"),
        ('person="anna" ssh-ed25519', "no public key"),
        ('person="anna" ssh-ed25519 ???', "no base64"),
        (f'person="anna" ssh-rsa {public("k").split()[1]}', "not one of the type"),
        ('person="anna" hello world', "no public key"),
        ('person="anna', "needs a value"),
        (f'=,person="anna" {public("k")}', "options are"),
        (f'person="anna" ,role="admin" {public("k")}', "no public key"),
        (f'person="anna" {public("k", "ssh-ed25519-cert-v01@openssh.com")}', "certificate"),
    ],
)
def test_a_line_that_is_not_understood_lets_nobody_in(line: str, text: str) -> None:
    assert text in finding(line)


def test_the_other_lines_are_good_beside_a_wrong_one() -> None:
    found = parse_people(f'nonsense\nperson="anna" {public("k")}\n', "keys")
    assert len(found.findings) == 1
    assert granted(found, "anna") is Role.READ_ONLY


def test_the_fingerprint_is_that_of_ssh_keygen() -> None:
    key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert fingerprint(base64.b64decode(key)) == (
        "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    )


# --- the file ------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "authorized_keys"
    file.write_text(f'person="anna" {public("k")}\n')
    file.chmod(0o600)
    return file


def test_the_file_is_read_again_when_it_changes(file: Path) -> None:
    known = PeopleFile(file)
    assert granted(known.read_strictly(), "anna") is Role.READ_ONLY
    file.write_text(f'person="anna",role="admin" {public("k")}\n')
    assert granted(known.people(), "anna") is Role.ADMIN
    file.unlink()
    assert granted(known.people(), "anna") is None


def test_a_file_that_others_may_write_lets_nobody_in(file: Path) -> None:
    known = PeopleFile(file)
    assert known.people().grants
    file.chmod(0o620)
    assert not known.people().grants
    with pytest.raises(SettingsError, match="others may write it"):
        known.read_strictly()


def test_what_is_no_plain_file_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(SettingsError, match="not a plain file"):
        PeopleFile(pipe).read_strictly()


def test_a_door_for_nobody_does_not_open(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("# nobody yet\n")
    with pytest.raises(SettingsError, match="nobody may come in"):
        PeopleFile(empty).read_strictly()
    with pytest.raises(SettingsError, match="no such file"):
        PeopleFile(tmp_path / "absent").read_strictly()


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large"
    with large.open("wb") as opened:
        opened.truncate(FILE_BYTES_MAX + 1)
    with pytest.raises(SettingsError, match="larger than"):
        PeopleFile(large).read_strictly()


def test_an_instant_without_expiry_never_comes() -> None:
    (grant,) = people(f'person="anna" {public("k")}').grants
    assert grant.admits("anna", HERE, Instant(2**53))
