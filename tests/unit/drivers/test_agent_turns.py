"""An engine with many agents begins to speak to them a few at a time."""

import asyncio
from collections.abc import Sequence

import pytest

from engine.drivers.agent_link import FIRST_REQUESTS_MAX, AgentDriver, AgentDriverSettings
from engine.drivers.http_client import Credentials, HttpAnswer
from engine.kernel.effects import KeepAgent
from engine.kernel.ids import AgentUri, Epoch
from engine.kernel.instants import seconds
from engine.kernel.reports import Report

pytestmark = pytest.mark.anyio
AGENTS = 3 * FIRST_REQUESTS_MAX
PATIENCE_S = 60


class Network:
    """Agents that do not answer before they are told to; then each request is refused."""

    def __init__(self) -> None:
        self.asked: set[AgentUri] = set()
        self.may_answer = asyncio.Event()
        self.changed = asyncio.Event()

    def connect(self, agent: AgentUri, _: Credentials, __: float) -> "Client":
        return Client(self, agent)


class Client:
    def __init__(self, network: Network, agent: AgentUri) -> None:
        self._network = network
        self._agent = agent

    async def post(self, *_: object, patience_s: float) -> HttpAnswer:
        del patience_s
        self._network.asked.add(self._agent)
        self._network.changed.set()
        await self._network.may_answer.wait()
        return HttpAnswer(status=401, headers={}, body=b"")

    async def get(self, *_: object, patience_s: float) -> HttpAnswer:
        raise NotImplementedError

    async def close(self) -> None:
        """Nothing is open."""


async def _ignore(_: Sequence[Report]) -> None:
    pass


async def _no_output(*_: object) -> None:
    raise NotImplementedError


def driver_of(network: Network) -> AgentDriver:
    driver = AgentDriver(
        engine_id="e",
        epoch=Epoch(1),
        report=_ignore,
        output=_no_output,
        output_offsets=lambda _: (0, 0),
        pulse=lambda _: None,
        settings=AgentDriverSettings(connect=network.connect),
    )
    keeps = [
        KeepAgent(
            agent=AgentUri(f"http://agent{number}"),
            heartbeat_period=seconds(10),
            heartbeat_timeout=seconds(60),
        )
        for number in range(AGENTS)
    ]
    driver.demands(keeps, [])
    return driver


async def reached(network: Network, count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(network.asked) < count:
            network.changed.clear()
            await network.changed.wait()


@pytest.fixture
def network() -> Network:
    return Network()


async def test_the_next_agents_wait_for_the_answers_of_the_first(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drivers.agent_link.FIRST_REQUEST_S", PATIENCE_S)
    running = asyncio.create_task(driver_of(network).run())
    await reached(network, FIRST_REQUESTS_MAX)
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(network.asked) == FIRST_REQUESTS_MAX
    network.may_answer.set()
    await reached(network, AGENTS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_agents_that_are_away_do_not_keep_the_others_waiting(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.drivers.agent_link.FIRST_REQUEST_S", 0.01)
    running = asyncio.create_task(driver_of(network).run())
    await reached(network, AGENTS)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
