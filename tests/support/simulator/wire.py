"""An engine's connections to agents, as `engine.drivers.http_client.HttpClient` shows them.

Beside what the network does (see `tests.support.protocol.network`): when the other side has become
unreachable, a new connection cannot be made and says so after the connect timeout, while on one that
was open the request disappears without a word (half-open). A proxy may answer 503, or an error of
its own, with or without having passed the request on.
"""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.drivers.http_client import Credentials, HttpAnswer
from engine.errors import AgentUnreachable
from engine.kernel.ids import AgentUri
from tests.support.protocol.network import Exchange, Network
from tests.support.simulator.agent_machine import AgentMachine, Letter
from tests.support.simulator.host_loop import HostLoop

UNAVAILABLE = 503


@dataclass(slots=True, kw_only=True)
class Proxy:
    """Chances in thousandths that something between engine and agent answers."""

    unavailable: int = 0
    error: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """The way from one engine to all agents."""

    engine: str
    agents: Mapping[AgentUri, AgentMachine]
    network: Network
    rng: random.Random
    proxy: Proxy

    def connect(
        self, loop: HostLoop, agent: AgentUri, _credentials: Credentials, connect_s: float
    ) -> "WireClient":
        """Return a client of one life of the engine."""
        return WireClient(self, loop, self.agents[agent], connect_s)


class WireClient:
    """Requests of one engine life to one agent."""

    def __init__(
        self, wiring: Wiring, loop: HostLoop, agent: AgentMachine, connect_s: float
    ) -> None:
        self._wiring = wiring
        self._loop = loop
        self._agent = agent
        self._connect_s = connect_s

    async def post(self, path: str, body: bytes, *, patience_s: float) -> HttpAnswer:
        """See AgentClient."""
        wiring = self._wiring
        if self._loop.is_dead:
            raise AgentUnreachable("dead", agent=self._agent.name)
        is_cut = wiring.network.is_cut(wiring.engine, self._agent.name)
        if is_cut and wiring.rng.random() < 0.5:
            await asyncio.sleep(min(self._connect_s, patience_s))
            raise self._unreachable("no connection")
        passes, status = self._proxy_answer()
        if not passes:
            await asyncio.sleep(0.01)
            return self._answered(status)
        answer = await self._exchange(Letter(path=path, body=body), patience_s)
        return self._answered(status) if status else answer

    async def get(self, path: str, *, patience_s: float) -> HttpAnswer:
        """See AgentClient: only probes of the split job ask, which no workload here has."""
        del patience_s
        raise self._unreachable(path)

    async def close(self) -> None:
        """See AgentClient."""

    def _proxy_answer(self) -> tuple[bool, int]:
        """Return whether the request gets through, and what is answered in the agent's place."""
        proxy, draw = self._wiring.proxy, self._wiring.rng.randrange(1000)
        if draw < proxy.unavailable:
            return self._wiring.rng.random() < 0.5, UNAVAILABLE
        if draw < proxy.unavailable + proxy.error:
            return self._wiring.rng.random() < 0.5, 500
        return True, 0

    def _answered(self, status: int) -> HttpAnswer:
        if status == UNAVAILABLE:
            raise self._unreachable("HTTP 503")
        return HttpAnswer(status=status, headers={}, body=b"a proxy's error page")

    async def _exchange(self, letter: Letter, patience_s: float) -> HttpAnswer:
        loop = self._loop
        future: asyncio.Future[HttpAnswer] = loop.create_future()

        def settle(answer: Any) -> None:
            if loop.is_dead or future.done():
                return
            if isinstance(answer, HttpAnswer):
                future.set_result(answer)
            else:
                future.set_exception(self._unreachable(str(answer)))

        exchange: Exchange = self._wiring.network.request(
            self._wiring.engine, self._agent, letter, round(patience_s * 1000), settle, settle
        )
        try:
            async with asyncio.timeout(patience_s):
                return await future
        except TimeoutError:
            raise self._unreachable("no answer in time") from None
        finally:
            exchange.cancel()

    def _unreachable(self, text: str) -> AgentUnreachable:
        return AgentUnreachable(f"{self._agent.name}: {text}", agent=self._agent.name)
