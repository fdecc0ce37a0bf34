"""The agent's HTTP interface as people, old clients and engines with TLS see it."""

import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from engine.agent.settings import TlsSettings
from engine.drivers.agent_link import AgentDriver, AgentDriverSettings
from engine.drivers.http_client import Credentials
from engine.kernel.ids import AgentUri
from engine.kernel.reports import AgentStatus, TaskNotLaunched
from tests.support.agent_program import AgentProgram, Engine, agent_program, engine_of, until

pytestmark = pytest.mark.anyio


async def test_the_overview_has_exactly_the_originals_entries(tmp_path: Path) -> None:
    async with agent_program(tmp_path / "agent") as agent:
        for path in ("", "/", "/overview"):
            answer = await agent.get(path)
            assert answer.headers["cache-control"] == "max-age=0"
            assert set(answer.json()) == {
                "version",
                "startedAt",
                "isTerminating",
                "currentTaskCount",
                "totalTaskCount",
                "system",
                "java",
            }


async def test_tasks_are_counted_listed_and_shown(tmp_path: Path) -> None:
    async with agent_program(tmp_path / "agent") as agent, engine_of(agent) as engine:
        key = engine.run(agent.uri, "echo hello; sleep 100")
        pid = (await engine.launched(key)).pid
        counts = {"currentTaskCount": 1, "totalTaskCount": 1}
        assert (await agent.get("/task")).json() == counts
        (task,) = (await agent.get("/task/")).json()
        assert task["pid"] == pid
        assert task["startMeta"] == {"job": "/folder/a job", "taskId": "1"}
        assert (await agent.get(f"/task/{task['id']}")).json() == task
        await until(lambda: engine.text(1) == "hello\n", "output")
        log = await agent.get(f"/task/{task['id']}/log?from=1")
        assert log.text == "ello\n"
        assert (await agent.get(f"/task/{task['id']}/log?channel=x")).status_code == 400
        assert (await agent.get("/task/77-1")).status_code == 404
        engines = (await agent.get("/overview/extra")).json()["engines"]
        assert [each["engine"] for each in engines] == ["engine"]


async def test_small_questions_are_answered(tmp_path: Path) -> None:
    async with agent_program(tmp_path / "agent") as agent:
        assert (await agent.get(f"/fileExists?file={tmp_path}")).json() is True
        assert (await agent.get(f"/fileExists?file={tmp_path}/no")).json() is False
        assert (await agent.command(**{"$TYPE": "NoOperation"})).json() == {}
        assert (await agent.command(**{"$TYPE": "Nonsense"})).status_code == 400
        assert (await agent.get("/command")).json()["totalCommandCount"] == 2
        async with httpx.AsyncClient(trust_env=False) as client:
            wrong = await client.get(f"{agent.uri}/jobscheduler/engine/command")
            assert wrong.status_code == 404
            assert "agent" in wrong.text
            broken = await client.post(
                f"{agent.uri}/jobscheduler/agent/api/session/e", content=b"{"
            )
            assert broken.status_code == 400


async def test_a_prefix_moves_everything(tmp_path: Path) -> None:
    async with agent_program(tmp_path / "agent", uri_prefix="/behind/proxy/") as agent:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{agent.uri}/behind/proxy/jobscheduler/agent/api/")
            assert answer.status_code == 200
        prefixed = AgentUri(f"{agent.uri}/behind/proxy")
        engine = Engine(keeps=[prefixed])
        engine.start()
        assert (await engine.exited(engine.run(prefixed, "exit 3"))).exit_code == 3
        await engine.kill()


async def test_engine_and_agent_share_a_token(tmp_path: Path) -> None:
    async with agent_program(tmp_path / "agent", trusts_loopback=False, token="right") as agent:
        right = AgentDriverSettings(credentials=Credentials(token="right"))
        async with engine_of(agent, settings=right) as engine:
            assert (await engine.exited(engine.run(agent.uri, "exit 3"))).exit_code == 3
            assert isinstance(engine.driver, AgentDriver)
            assert await engine.driver.probe(agent.uri)
        wrong = AgentDriverSettings(credentials=Credentials(token="wrong"))
        async with engine_of(agent, id="intruder", settings=wrong) as engine:
            key = engine.run(agent.uri, "true")
            await until(lambda: engine.end_of(key), "a refusal")
            end = engine.end_of(key)
            assert isinstance(end, TaskNotLaunched)
            assert end.failure.value == "refused"
            assert "401" in end.text
            assert isinstance(engine.driver, AgentDriver)
            assert not await engine.driver.probe(agent.uri)


async def test_a_session_stands_for_the_token_from_login_to_logout(tmp_path: Path) -> None:
    async with agent_program(tmp_path / "agent", trusts_loopback=False, token="right") as agent:
        api = f"{agent.uri}/jobscheduler/agent/api"
        async with httpx.AsyncClient(trust_env=False) as client:
            login = {"$TYPE": "Login"}
            bearer = {"Authorization": "Bearer right"}
            answer = await client.post(f"{api}/command", json=login, headers=bearer)
            session = {"X-JobScheduler-Session": answer.json()["sessionToken"]["secret"]}
            assert (await client.get(api)).status_code == 401
            assert (await client.get(api, headers=session)).status_code == 200
            yaml = await client.get(api, headers=session | {"Accept": "text/plain"})
            assert "isTerminating: false\n" in yaml.text
            logout = await client.post(f"{api}/command", json={"$TYPE": "Logout"}, headers=session)
            assert logout.json() == {}
            assert (await client.get(api, headers=session)).status_code == 403


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> TlsSettings:
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    chain = b"".join(blob.bytes() for blob in certificate.cert_chain_pems)
    (tmp_path / "certificate.pem").write_bytes(chain)
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    return TlsSettings(
        certificate=tmp_path / "certificate.pem",
        key=tmp_path / "key.pem",
        client_authority=tmp_path / "authority.pem",
    )


async def test_tls_with_a_private_authority_and_certificates_on_both_sides(
    tmp_path: Path, tls: TlsSettings, authority: trustme.CA
) -> None:
    agent = AgentProgram(tmp_path / "agent", tls=tls)
    agent.start_without_waiting()
    try:
        address = AgentUri(agent.uri.replace("http:", "https:"))
        context = ssl.create_default_context(cafile=tmp_path / "authority.pem")
        authority.issue_cert("engine@example.test").configure_cert(context)
        known = AgentDriverSettings(credentials=Credentials(tls=context))
        engine = Engine(keeps=[address], settings=known)
        engine.start()
        await engine.status(address, AgentStatus.COUPLED)
        assert (await engine.exited(engine.run(address, "exit 3"))).exit_code == 3
        await engine.kill()

        stranger = Engine(id="stranger", keeps=[address])
        stranger.start()
        key = stranger.run(address, "true")
        await until(lambda: stranger.end_of(key), "a refusal")
        end = stranger.end_of(key)
        assert isinstance(end, TaskNotLaunched)
        assert end.failure.value == "refused"
        assert "TLS" in end.text
        await stranger.kill()
    finally:
        agent.clean_up()
