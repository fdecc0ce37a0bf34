"""Files on the hosts of agents, by the agents' HTTP interface (agents.md 2.1, 2.2)."""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from urllib.parse import quote

from engine.codec.agent_wire import AGENT_API
from engine.codec.records import dump_json, parse_json
from engine.drivers.http_client import Credentials, HttpAnswer, HttpClient, refusal_text
from engine.errors import AgentRefused, CodecError
from engine.kernel.definitions import is_agent_address
from engine.kernel.ids import AgentUri

ANSWER_S = 30.0
"""An agent that has not answered a short request in this time is out of reach for now."""


class AgentFiles:
    """Asks agents about files. Raises AgentUnreachable, or AgentRefused with a sentence."""

    def __init__(
        self,
        credentials: Credentials,
        credentials_by_agent: Mapping[AgentUri, Credentials] | None = None,
    ) -> None:
        self._credentials = credentials
        self._by_agent = credentials_by_agent or {}
        self._clients: dict[AgentUri, HttpClient] = {}

    async def oldest_first(
        self,
        agent: AgentUri,
        directory: str,
        regex: str | None,
        wait_s: float,
        known: Collection[str],
    ) -> list[str]:
        """Return the matching paths of a directory by modification time.

        The agent waits for a file that is not `known` for up to `wait_s` seconds.
        """
        command = {
            "$TYPE": "RequestFileOrderSourceContent",
            "directory": directory,
            "regex": regex or "",
            "duration": wait_s,
            "knownFiles": list(known),
        }
        answer = await self._command(agent, command, wait_s + ANSWER_S)
        files = answer.get("files")
        if not isinstance(files, list):
            raise AgentRefused(f"{agent} does not tell its files", agent=agent)
        dated = [
            (int(file.get("lastModifiedTime", 0)), str(file.get("path", "")))
            for file in files
            if isinstance(file, dict)
        ]
        return [path for _, path in sorted(dated)]

    async def exists(self, agent: AgentUri, path: str) -> bool:
        """Return whether a file is there."""
        answer = await self._client(agent).get(
            f"{AGENT_API}/fileExists?file={quote(path, safe='')}", patience_s=ANSWER_S
        )
        return self._content(agent, answer) is True

    async def remove(self, agent: AgentUri, path: str) -> None:
        """Delete a file; one that has gone already is no error."""
        await self._command(agent, {"$TYPE": "DeleteFile", "path": path}, ANSWER_S)

    async def move(self, agent: AgentUri, path: str, directory: str) -> None:
        """Move a file into an existing directory, over one of this name."""
        command = {"$TYPE": "MoveFile", "path": path, "toDirectory": directory}
        await self._command(agent, command, ANSWER_S)

    async def close(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.close()

    async def _command(
        self, agent: AgentUri, command: Mapping[str, object], patience_s: float
    ) -> Mapping[str, object]:
        answer = await self._client(agent).post(
            f"{AGENT_API}/command", dump_json(command), patience_s=patience_s
        )
        content = self._content(agent, answer)
        return content if isinstance(content, dict) else {}

    def _client(self, agent: AgentUri) -> HttpClient:
        client = self._clients.get(agent)
        if client is None:
            if not is_agent_address(agent):
                raise AgentRefused(f"{agent!r} is no address of an agent", agent=agent)
            credentials = self._by_agent.get(agent, self._credentials)
            client = self._clients[agent] = HttpClient(agent, credentials)
        return client

    def _content(self, agent: AgentUri, answer: HttpAnswer) -> object:
        if answer.status != HTTPStatus.OK:
            raise AgentRefused(refusal_text(agent, answer), agent=agent)
        try:
            content: object = parse_json(answer.body)
        except CodecError as error:
            raise AgentRefused(f"{agent} answers no JSON: {error}", agent=agent) from error
        return content
