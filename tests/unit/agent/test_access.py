"""Who may talk to the agent, and where it may listen."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from engine.agent.access import FAILURE_WINDOW_S, FAILURES_MAX, Access, FailureCounts
from engine.agent.settings import AgentSettings, TlsSettings, read_token
from engine.errors import SettingsError

pytestmark = pytest.mark.anyio


async def served(
    headers: dict[str, str] | None = None,
    *,
    client: str = "10.0.0.5",
    token: str | None = "secret",
    trusts_loopback: bool = False,
    method: str = "GET",
) -> httpx.Response:
    access = Access(PlainTextResponse("in"), token=token, trusts_loopback=trusts_loopback)
    access._pause_s = 0.0
    return await _ask(access, headers, client, method)


async def _ask(
    access: Access, headers: dict[str, str] | None, client: str, method: str = "GET"
) -> httpx.Response:
    transport = httpx.ASGITransport(access, client=(client, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://agent") as session:
        return await session.request(method, "/", headers=headers)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (None, 401),
        ({"authorization": "Bearer secret"}, 200),
        ({"authorization": "bearer secret"}, 200),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic c2NoZWR1bGVyOnNlY3JldA=="}, 200),
        ({"authorization": "Basic c2NoZWR1bGVyOndyb25n"}, 401),
        ({"authorization": "Basic !!!"}, 401),
        ({"authorization": "Digest x"}, 401),
    ],
)
async def test_a_token_lets_in(headers: dict[str, str] | None, status: int) -> None:
    assert (await served(headers)).status_code == status


async def test_loopback_gets_in_without_one_only_when_it_is_trusted() -> None:
    assert (await served(client="127.0.0.1")).status_code == 401
    assert (await served(client="127.0.0.1", trusts_loopback=True)).status_code == 200
    assert (await served(client="::1", trusts_loopback=True)).status_code == 200
    assert (await served(client="10.0.0.5", trusts_loopback=True)).status_code == 401


async def test_without_a_token_of_its_own_no_token_is_right() -> None:
    assert (await served({"authorization": "Bearer None"}, token=None)).status_code == 401


async def test_forms_are_refused_because_any_web_page_could_send_them() -> None:
    headers = {"authorization": "Bearer secret", "content-type": "text/plain; charset=utf-8"}
    assert (await served(headers, method="POST")).status_code == 403


async def test_an_address_that_goes_on_guessing_is_turned_away() -> None:
    access = Access(PlainTextResponse("in"), token="secret", trusts_loopback=False)
    access._pause_s = 0.0
    wrong = {"authorization": "Bearer wrong"}
    for _ in range(FAILURES_MAX):
        assert (await _ask(access, wrong, "10.0.0.5")).status_code == 401
    refused = await _ask(access, {"authorization": "Bearer secret"}, "10.0.0.5")
    assert refused.status_code == 429
    assert (await _ask(access, {"authorization": "Bearer secret"}, "10.0.0.6")).status_code == 200


async def test_an_engine_is_not_turned_away_for_what_another_one_guesses_at_its_address() -> None:
    access = Access(PlainTextResponse("in"), token="secret", trusts_loopback=False)
    access._pause_s = 0.0
    right, wrong = {"authorization": "Bearer secret"}, {"authorization": "Bearer wrong"}
    assert (await _ask(access, right, "10.0.0.5")).status_code == 200
    for _ in range(FAILURES_MAX):
        assert (await _ask(access, wrong, "10.0.0.5")).status_code == 401
    assert (await _ask(access, wrong, "10.0.0.5")).status_code == 429
    assert (await _ask(access, right, "10.0.0.5")).status_code == 200
    assert (await _ask(access, wrong, "10.0.0.5")).status_code == 429
    assert (await _ask(access, None, "10.0.0.5")).status_code == 429


def test_guessing_is_forgiven_after_a_while() -> None:
    now = [0.0]
    counts = FailureCounts(lambda: now[0])
    for _ in range(FAILURES_MAX):
        counts.add("a")
    assert counts.is_blocked("a")
    now[0] = FAILURE_WINDOW_S + 1
    assert not counts.is_blocked("a")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "nobody gets in"),
        ({"host": "0.0.0.0", "token": "x"}, "without TLS"),
        ({"host": "0.0.0.0", "trusts_loopback": True, "allows_plain": True}, "without a token"),
        ({"host": "agent.example", "token": "x"}, "without TLS"),
        ({"trusts_loopback": True, "kill_script": Path("/no/such")}, "no kill script"),
    ],
)
def test_a_listener_that_would_be_open_to_all_is_refused(
    tmp_path: Path, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(SettingsError, match=complaint):
        AgentSettings(data=tmp_path, **settings).checked()


@pytest.mark.parametrize(
    "settings",
    [
        {"trusts_loopback": True},
        {"token": "x"},
        {"host": "::1", "token": "x"},
        {"host": "0.0.0.0", "token": "x", "allows_plain": True},
        {
            "host": "0.0.0.0",
            "token": "x",
            "tls": TlsSettings(certificate=Path("c"), key=Path("k")),
        },
    ],
)
def test_a_listener_that_is_closed_enough_is_accepted(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    AgentSettings(data=tmp_path, **settings).checked()


def test_the_token_does_not_show(tmp_path: Path) -> None:
    assert "hidden" not in repr(AgentSettings(data=tmp_path, token="hidden"))


def test_a_token_file_is_read_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("abc\n")
    assert read_token(file) == "abc"
    file.write_text("\n")
    with pytest.raises(SettingsError, match="empty"):
        read_token(file)
    with pytest.raises(SettingsError, match="cannot be read"):
        read_token(tmp_path / "missing")
