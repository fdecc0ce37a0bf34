"""Who is let in, with which role."""

import base64
import os
from pathlib import Path

import pytest

from engine.errors import SettingsError
from engine.kernel.instants import Instant
from engine.server.auth import (
    WRONG_TOKENS_MAX,
    Caller,
    Gate,
    Refusal,
    Role,
    TokenFiles,
    Trust,
    WrongTokens,
    new_token,
    parse_tokens,
    token_line,
)

NOW = Instant(1_000_000)


def gate(tmp_path: Path, text: str = "") -> Gate:
    file = tmp_path / "tokens"
    file.write_text(text)
    return Gate(TokenFiles([file]), own_hosts=["engine.example"])


def admitted(found: Caller | Refusal) -> Caller:
    assert isinstance(found, Caller), found
    return found


def refused(found: Caller | Refusal) -> int:
    assert isinstance(found, Refusal), found
    return found.status


def test_a_bearer_token_lets_its_role_in(tmp_path: Path) -> None:
    found = gate(tmp_path, "operator secret night-shift").admit(
        {"authorization": "Bearer secret"}, "10.0.0.7", Trust.NOBODY, NOW
    )
    assert admitted(found) == Caller(role=Role.OPERATOR, name="night-shift")


def test_the_password_of_basic_is_the_token(tmp_path: Path) -> None:
    text = base64.b64encode(b"anybody:secret").decode()
    found = gate(tmp_path, "secret").admit(
        {"authorization": f"Basic {text}"}, "10.0.0.7", Trust.NOBODY, NOW
    )
    assert admitted(found).role is Role.ADMIN


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic ???", "Digest secret", "Basic c2VjcmV0"])
def test_anything_else_is_refused(tmp_path: Path, header: str) -> None:
    found = gate(tmp_path, "secret").admit(
        {"authorization": header}, "10.0.0.7", Trust.LOOPBACK, NOW
    )
    assert refused(found) == 401


def test_without_a_token_only_trusted_listeners_let_in(tmp_path: Path) -> None:
    one = gate(tmp_path)
    assert admitted(one.admit({}, None, Trust.OWNER, NOW)).role is Role.ADMIN
    host = {"host": "127.0.0.1:4444"}
    assert admitted(one.admit(host, "127.0.0.1", Trust.LOOPBACK, NOW)).name == "loopback"
    assert refused(one.admit(host, "10.0.0.7", Trust.LOOPBACK, NOW)) == 401
    assert refused(one.admit(host, "127.0.0.1", Trust.NOBODY, NOW)) == 401


def test_a_name_chosen_by_others_is_not_this_host(tmp_path: Path) -> None:
    one = gate(tmp_path)
    rebound = {"host": "attacker.example:4444"}
    assert refused(one.admit(rebound, "127.0.0.1", Trust.LOOPBACK, NOW)) == 403
    own = {"host": "engine.example:4444"}
    assert admitted(one.admit(own, "127.0.0.1", Trust.LOOPBACK, NOW))


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://attacker.example", "host": "localhost:4444"},
        {"sec-fetch-site": "cross-site", "host": "localhost:4444"},
        {"origin": "null", "host": "localhost:4444"},
    ],
)
def test_pages_of_other_sites_are_refused(tmp_path: Path, headers: dict[str, str]) -> None:
    assert refused(gate(tmp_path).admit(headers, "127.0.0.1", Trust.OWNER, NOW)) == 403


def test_guessing_is_stopped_after_some_attempts(tmp_path: Path) -> None:
    one = gate(tmp_path, "secret")
    wrong = {"authorization": "Bearer guess"}
    for _ in range(WRONG_TOKENS_MAX):
        assert refused(one.admit(wrong, "10.0.0.7", Trust.NOBODY, NOW)) == 401
    right = {"authorization": "Bearer secret"}
    assert refused(one.admit(right, "10.0.0.7", Trust.NOBODY, NOW)) == 429
    assert admitted(one.admit(right, "10.0.0.8", Trust.NOBODY, NOW))
    later = Instant(NOW + 61_000)
    assert admitted(one.admit(right, "10.0.0.7", Trust.NOBODY, later))


def test_remembered_addresses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.server.auth.ADDRESSES_MAX", 3)
    wrong = WrongTokens()
    for number in range(10):
        wrong.count(f"10.0.0.{number}", NOW)
    assert len(wrong._attempts) == 3


def test_a_made_token_is_known_by_its_hash_alone(tmp_path: Path) -> None:
    token = new_token()
    line = token_line(token, Role.READ_ONLY, "dashboard")
    assert token not in line
    found = gate(tmp_path, f"# comment\n\n{line}\n").admit(
        {"authorization": f"Bearer {token}"}, "10.0.0.7", Trust.NOBODY, NOW
    )
    assert admitted(found) == Caller(role=Role.READ_ONLY, name="dashboard")


def test_a_changed_token_file_counts_at_once(tmp_path: Path) -> None:
    one = gate(tmp_path, "old-secret")
    headers = {"authorization": "Bearer new-secret"}
    assert refused(one.admit(headers, "10.0.0.7", Trust.NOBODY, NOW)) == 401
    file = tmp_path / "tokens"
    file.write_text("new-secret")
    os.utime(file, ns=(1, 1))
    assert admitted(one.admit(headers, "10.0.0.7", Trust.NOBODY, NOW))


def test_a_half_written_token_file_leaves_the_known_tokens_valid(tmp_path: Path) -> None:
    one = gate(tmp_path, "secret")
    (tmp_path / "tokens").write_text("nonsense role secret")
    headers = {"authorization": "Bearer secret"}
    assert admitted(one.admit(headers, "10.0.0.7", Trust.NOBODY, NOW))


def test_all_findings_of_a_token_file_come_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse_tokens("boss secret\nadmin sha256:12 x\nadmin fine", "tokens")
    assert [finding.split(": ")[0] for finding in caught.value.findings] == ["tokens:1", "tokens:2"]


def test_roles_include_those_below() -> None:
    assert Role.ADMIN.includes(Role.OPERATOR)
    assert Role.OPERATOR.includes(Role.READ_ONLY)
    assert not Role.READ_ONLY.includes(Role.OPERATOR)
