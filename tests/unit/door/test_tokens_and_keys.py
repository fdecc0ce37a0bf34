"""The tokens of sessions as the engine sees them, and the key of the door."""

import stat
from pathlib import Path

import asyncssh
import pytest

from engine.door.errand import Errand
from engine.door.host_key import host_key
from engine.door.tokens import SessionTokens
from engine.errors import SettingsError
from engine.kernel.instants import Instant
from engine.server.auth import Caller, Gate, Refusal, Role, TokenFiles, Trust


def test_the_engine_knows_a_token_for_as_long_as_its_session_lasts(tmp_path: Path) -> None:
    tokens, file = SessionTokens(tmp_path / "tokens"), tmp_path / "tokens"
    gate = Gate(TokenFiles([file]))

    def asked(token: str) -> Caller | Refusal:
        return gate.admit({"authorization": f"Bearer {token}"}, None, Trust.NOBODY, Instant(0))

    tokens.clear()
    anna, otto = tokens.issue(Role.OPERATOR, "anna"), tokens.issue(Role.READ_ONLY, "otto")
    assert asked(anna) == Caller(role=Role.OPERATOR, name="anna")
    assert asked(otto) == Caller(role=Role.READ_ONLY, name="otto")
    tokens.withdraw(anna)
    assert isinstance(asked(anna), Refusal)
    assert asked(otto) == Caller(role=Role.READ_ONLY, name="otto")
    tokens.withdraw(anna)
    tokens.clear()
    assert isinstance(asked(otto), Refusal)


def test_the_file_is_for_its_owner_and_holds_no_token(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    tokens = SessionTokens(file)
    token = tokens.issue(Role.ADMIN, "anna")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert token not in file.read_text()


def test_a_group_that_was_let_in_to_read_stays_in(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.touch(0o640)
    file.chmod(0o646)
    SessionTokens(file).issue(Role.ADMIN, "anna")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_token_that_cannot_be_written_is_not_given_out(tmp_path: Path) -> None:
    tokens = SessionTokens(tmp_path / "absent" / "tokens")
    with pytest.raises(SettingsError):
        tokens.issue(Role.ADMIN, "anna")
    assert not tokens._lines


def test_the_key_of_the_door_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "host_key"
    first = host_key(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert host_key(file).public_data == first.public_data
    assert asyncssh.read_public_key(tmp_path / "host_key.pub").public_data == first.public_data


def test_a_key_that_others_may_read_is_no_key(tmp_path: Path) -> None:
    file = tmp_path / "host_key"
    host_key(file)
    file.chmod(0o640)
    with pytest.raises(SettingsError, match="others may read"):
        host_key(file)
    file.chmod(0o600)
    file.write_text("nonsense")
    with pytest.raises(SettingsError, match="host_key"):
        host_key(file)


def test_an_errand_arrives_as_it_was_sent_and_hides_its_token() -> None:
    errand = Errand(
        address="/a b/engine.door.sock", token="t\n", person="anna", role=Role.OPERATOR,
        words=("order", "add", "ä\n"),
    )  # fmt: skip
    line = errand.to_line()
    assert line.count(b"\n") == 1
    assert Errand.from_line(line) == errand
    assert "t\\n" not in repr(errand)
