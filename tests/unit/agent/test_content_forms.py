"""The agent's answers as YAML or compressed, compressed requests, and sessions (agents.md 2)."""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from engine.agent import content_forms
from engine.agent.access import Access
from engine.agent.content_forms import ContentForms, yaml_text
from engine.agent.login_sessions import SESSIONS_MAX, LoginSessions

pytestmark = pytest.mark.anyio

VIEW: dict[str, Any] = {"version": "1", "tasks": [{"id": "7-1", "pid": 7}], "none": []}


async def view(_: Request) -> Response:
    return JSONResponse(VIEW, headers={"Cache-Control": "max-age=0"})


async def echo(request: Request) -> Response:
    return JSONResponse({"size": len(await request.body())})


async def text(_: Request) -> Response:
    return PlainTextResponse("{}")


APP = ContentForms(
    Starlette(
        routes=[Route("/", view), Route("/text", text), Route("/echo", echo, methods=["POST"])]
    )
)


async def answered(
    path: str = "/", headers: Mapping[str, str] | None = None, content: bytes | None = None
) -> httpx.Response:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(APP), base_url="http://agent"
    ) as client:
        if content is not None:
            return await client.post(path, headers=headers, content=content)
        return await client.get(path, headers=headers)


async def test_views_are_json_unless_yaml_is_asked_for() -> None:
    for accept in ("application/json", "*/*", "text/plain, application/json"):
        assert (await answered(headers={"Accept": accept})).json() == VIEW
    told = await answered(headers={"Accept": "text/plain"})
    assert told.headers["content-type"].startswith("text/plain")
    assert told.headers["cache-control"] == "max-age=0"
    assert told.text == ('version: "1"\ntasks:\n  - id: "7-1"\n    pid: 7\nnone: []\n')
    assert (await answered("/text", {"Accept": "text/plain"})).text == "{}"


def test_nested_lists_and_texts_are_plain_yaml() -> None:
    assert yaml_text([[1, 2], "a: b\n", None, {}]) == ('- - 1\n  - 2\n- "a: b\\n"\n- null\n- {}\n')


async def test_long_answers_are_compressed_when_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(VIEW, "long", "x" * 2_000)
    packed = await answered(headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == VIEW
    both = await answered(headers={"Accept-Encoding": "gzip", "Accept": "text/plain"})
    assert both.headers["content-encoding"] == "gzip"
    assert both.text.startswith('version: "1"')
    plain = await answered(headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers


async def test_compressed_requests_are_unpacked() -> None:
    body = json.dumps({"x": "y" * 10_000}).encode()
    told = await answered("/echo", {"Content-Encoding": "gzip"}, gzip.compress(body))
    assert told.json() == {"size": len(body)}
    assert (await answered("/echo", None, body)).json() == {"size": len(body)}


async def test_what_cannot_be_unpacked_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    packed = gzip.compress(b"x" * 100_000)
    for content in (b"nonsense", packed[:-9]):
        told = await answered("/echo", {"Content-Encoding": "gzip"}, content)
        assert told.status_code == 400
    assert (await answered("/echo", {"Content-Encoding": "br"}, b"x")).status_code == 415
    monkeypatch.setattr(content_forms, "UNPACKED_BYTES_MAX", 1_000)
    bomb = await answered("/echo", {"Content-Encoding": "gzip"}, packed)
    assert bomb.status_code == 400


# --- sessions ------------------------------------------------------------------------------------


def test_a_second_login_in_a_session_ends_the_first_token() -> None:
    sessions = LoginSessions()
    first = sessions.login(None)
    second = sessions.login(first)
    assert not sessions.knows(first)
    assert sessions.knows(second)
    sessions.logout(second)
    sessions.logout(second)
    assert not sessions.knows(second)


def test_sessions_are_bounded() -> None:
    sessions = LoginSessions()
    first = sessions.login(None)
    last = [sessions.login(None) for _ in range(SESSIONS_MAX)][-1]
    assert not sessions.knows(first)
    assert sessions.knows(last)


async def test_a_session_lets_in_and_an_unknown_one_is_forbidden() -> None:
    sessions = LoginSessions()
    access = Access(
        PlainTextResponse("in"), token="secret", trusts_loopback=True, sessions=sessions
    )
    access._pause_s = 0.0
    token = sessions.login(None)

    async def status(session: str, address: str = "10.0.0.5") -> int:
        transport = httpx.ASGITransport(access, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://agent") as client:
            headers = {"X-JobScheduler-Session": session}
            return (await client.get("/", headers=headers)).status_code

    assert await status(token) == 200
    assert await status("stranger") == 403
    assert await status("stranger", "127.0.0.1") == 403
    sessions.logout(token)
    assert await status(token) == 403
