"""A fake engine with its HTTP application before it, for handlers without streams."""

from collections.abc import Mapping
from dataclasses import replace

import httpx
from lxml import etree

from engine.codec.xml.findings import Element
from engine.kernel.definitions import Definition
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.serve import SCOPE_TRUST, Application, Receive, Scope, Send
from tests.support.fake_engine import FACTS, FakeEngine

COMMAND = "/jobscheduler/master/api/command"


class HttpEngine:
    """Sends requests as if they came over a listener with this trust."""

    def __init__(
        self,
        *definitions: Definition,
        trust: Trust = Trust.OWNER,
        tokens: TokenFiles | None = None,
        address: str = "127.0.0.1",
        request_bytes_max: int = 1_000_000,
        live_folder: str = FACTS.live_folder,
        log_file: str = FACTS.log_file,
        config_file: str = FACTS.config_file,
    ) -> None:
        self.engine = FakeEngine(*definitions)
        self.context = ServerContext(
            port=self.engine,
            gate=Gate(tokens or TokenFiles(())),
            facts=replace(
                FACTS, live_folder=live_folder, log_file=log_file, config_file=config_file
            ),
            request_bytes_max=request_bytes_max,
            wrong_token_delay_s=0.0,
        )
        self._client = httpx.AsyncClient(
            transport=httpx.ASGITransport(
                app=trusted(application(self.context), trust), client=(address, 50_000)
            ),
            base_url="http://localhost",
        )

    async def get(self, path: str, **arguments: object) -> httpx.Response:
        return await self._client.get(path, **arguments)  # type: ignore[arg-type]  # passed on

    async def post(self, path: str, **arguments: object) -> httpx.Response:
        return await self._client.post(path, **arguments)  # type: ignore[arg-type]  # passed on

    async def send(self, method: str, path: str, **arguments: object) -> httpx.Response:
        return await self._client.request(method, path, **arguments)  # type: ignore[arg-type]  # passed on

    async def xml(self, command: str | bytes, headers: Mapping[str, str] | None = None) -> Element:
        """Send a command and return `<answer>`."""
        content = command.encode() if isinstance(command, str) else command
        response = await self.post(
            COMMAND,
            content=content,
            headers={"Content-Type": "application/xml"} | dict(headers or {}),
        )
        assert response.status_code == 200, response.text
        return answer_of(response.content)


def answer_of(data: bytes) -> Element:
    """Return `<answer>` of a document."""
    answer = etree.fromstring(data).find("answer")
    assert answer is not None
    return answer


def trusted(app: Application, trust: Trust) -> Application:
    """Say what the listener believes, as `serve` does."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        scope[SCOPE_TRUST] = trust
        await app(scope, receive, send)

    return call
