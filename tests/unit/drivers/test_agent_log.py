"""What the engine log says of agents."""

import logging
from collections.abc import Sequence

import pytest

from engine.drivers.agent_link import SAID_MAX, AgentDriver, AgentDriverSettings
from engine.kernel.ids import Epoch
from engine.kernel.reports import Report


async def _ignore(*_: object) -> None:
    pass


async def _ignore_reports(_: Sequence[Report]) -> None:
    pass


def test_a_network_that_fails_does_not_flood_the_log(caplog: pytest.LogCaptureFixture) -> None:
    now = [5_000]
    driver = AgentDriver(
        engine_id="e",
        epoch=Epoch(1),
        report=_ignore_reports,
        output=_ignore,
        output_offsets=lambda _: (0, 0),
        pulse=lambda _: None,
        settings=AgentDriverSettings(clock=lambda: now[0]),
    )
    with caplog.at_level(logging.INFO):
        for number in range(SAID_MAX + 30):
            driver.say(logging.WARNING, f"http://agent-{number} is late")
        now[0] += 1_000
        driver.say(logging.INFO, "http://agent-1 answers again")
    texts = [record.getMessage() for record in caplog.records]
    assert texts[0] == "The agent http://agent-0 is late"
    assert texts[SAID_MAX:] == [
        "30 more agents have changed like that",
        "The agent http://agent-1 answers again",
    ]
