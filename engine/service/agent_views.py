"""Asks agents about themselves, for clients of the JSON web service (agents.md 2.8)."""

from typing import Final

from engine.drivers.http_client import Credentials, HttpClient
from engine.kernel.ids import AgentUri
from engine.server.engine_port import AgentView

PATIENCE_S: Final = 10.0


class AgentReader:
    """Passes questions on with the engine's token; a connection for each."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def get(self, agent: AgentUri, path: str) -> AgentView:
        """Return an agent's answer. Raises AgentUnreachable and AgentRefused."""
        client = HttpClient(agent, self._credentials)
        try:
            found = await client.get(path, patience_s=PATIENCE_S)
        finally:
            await client.close()
        content_type = found.headers.get("content-type", "application/octet-stream")
        return AgentView(status=found.status, content_type=content_type, body=found.body)
