"""Short programs on the hosts of agents, through the agents: what the browser of processes asks.

The programs and their answers are those that SSH hosts get, so both kinds of hosts are shown and
signalled by the same rules.
"""

from collections.abc import Mapping
from http import HTTPStatus

from engine.codec.agent_wire import AGENT_API
from engine.codec.records import dump_json, parse_json
from engine.drivers.http_client import Credentials, HttpClient, refusal_text
from engine.drivers.ssh_hosts import OUTPUT_MAX, Answer
from engine.drivers.ssh_login import HostUnreachable
from engine.errors import AgentRefused, AgentUnreachable, CodecError
from engine.kernel.ids import AgentUri

TIMEOUT_S = 30.0
GRACE_S = 5.0
"""The agent ends a program that takes too long; its word of that takes a moment."""


class AgentQuestions:
    """Asks agents, over a connection for each."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._clients: dict[AgentUri, HttpClient] = {}

    def link(self, agent: AgentUri) -> "AgentQuestion":
        """Return whom to ask about this agent's host."""
        client = self._clients.get(agent)
        if client is None:
            client = self._clients[agent] = HttpClient(agent, self._credentials)
        return AgentQuestion(agent, client)

    async def close(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()


class AgentQuestion:
    """One agent to be asked."""

    def __init__(self, agent: AgentUri, client: HttpClient) -> None:
        self._agent = agent
        self._client = client

    async def ask(
        self, program: bytes, *, timeout_s: float | None = None, output_max: int = OUTPUT_MAX
    ) -> Answer:
        """Run a program there and return what it prints. Raises HostUnreachable without it."""
        limit = TIMEOUT_S if timeout_s is None else timeout_s
        content = {
            "$TYPE": "AskHost",
            "program": program.decode("utf-8", "surrogateescape"),
            "timeout": limit,
        }
        try:
            answer = await self._client.post(
                f"{AGENT_API}/command", dump_json(content), patience_s=limit + GRACE_S
            )
        except (AgentUnreachable, AgentRefused) as error:
            raise HostUnreachable(str(error), host=self._agent) from error
        if answer.status != HTTPStatus.OK:
            raise HostUnreachable(refusal_text(self._agent, answer), host=self._agent)
        return self._read(answer.body, output_max)

    def _read(self, body: bytes, output_max: int) -> Answer:
        try:
            told = parse_json(body)
        except CodecError as error:
            raise HostUnreachable(str(error), host=self._agent) from error
        if not isinstance(told, Mapping) or not isinstance(told.get("output"), str):
            raise HostUnreachable(f"{self._agent} does not answer questions", host=self._agent)
        status, output = told.get("status"), told["output"].encode("utf-8", "surrogateescape")
        if not isinstance(status, int) or len(output) > output_max:
            raise HostUnreachable(f"{self._agent} has not answered in time", host=self._agent)
        return Answer(status=status, output=output, error=b"")
