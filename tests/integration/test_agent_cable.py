"""The cable between engine and agent is pulled: no connection is closed, packets just vanish.

The timelines of agents.md 3.9 with short periods. An agent in a network namespace of its own, its
end of a virtual cable set down; needs root and `ip`.
"""

import asyncio
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.drivers.agent_link import AgentDriverSettings
from engine.drivers.http_client import Credentials
from engine.kernel.reports import AgentStatus, EndReason, TaskLost, TaskNotLaunched
from tests.support.agent_program import AgentProgram, Engine, until

pytestmark = pytest.mark.anyio

PERIOD_MS = 1_000
TIMEOUT_MS = 6_000
TOKEN = "cable"
_count = itertools.count()


@dataclass(frozen=True)
class Cable:
    """A network namespace at the other end of a virtual cable."""

    space: str
    end: str
    address: str

    def pull(self) -> None:
        ip("-n", self.space, "link", "set", self.end, "down")

    def plug(self) -> None:
        ip("-n", self.space, "link", "set", self.end, "up")


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture
def cable() -> Iterator[Cable]:
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces need root and ip")
    pid = os.getpid()
    # A deleted namespace goes after a while, and its end of the cable with it.
    name = f"{pid}x{next(_count)}"
    space, here, there = f"pm{name}", f"pmh{name}", f"pma{name}"
    net = f"10.{64 + pid // 250 % 128}.{pid % 250}"
    try:
        ip("netns", "add", space)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"network namespaces are not permitted: {error.stderr.decode().strip()}")
    try:
        ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
        ip("addr", "add", f"{net}.1/30", "dev", here)
        ip("link", "set", here, "up")
        ip("-n", space, "addr", "add", f"{net}.2/30", "dev", there)
        ip("-n", space, "link", "set", there, "up")
        yield Cable(space, there, f"{net}.2")
    finally:
        subprocess.run(["ip", "link", "del", here], check=False, capture_output=True)
        ip("netns", "del", space)


@pytest.fixture
async def agent(cable: Cable, tmp_path: Path) -> AsyncIterator[AgentProgram]:
    agent = AgentProgram(
        tmp_path / "agent",
        host=cable.address,
        prefix=("ip", "netns", "exec", cable.space),
    )
    agent.settings = {"host": cable.address, "token": TOKEN, "allows_plain": True}
    await agent.start()
    yield agent
    agent.clean_up()


@pytest.fixture
async def engine(agent: AgentProgram) -> AsyncIterator[Engine]:
    settings = AgentDriverSettings(credentials=Credentials(token=TOKEN), connect_s=1.0)
    engine = Engine(keeps=[agent.uri], settings=settings, period=PERIOD_MS, timeout=TIMEOUT_MS)
    engine.start()
    await engine.status(agent.uri, AgentStatus.COUPLED)
    yield engine
    await engine.kill()


async def test_a_task_goes_on_over_an_outage_shorter_than_the_timeout(
    cable: Cable, agent: AgentProgram, engine: Engine, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    script = f"""
    echo start >> {trace}
    for number in $(seq 1 70); do echo $number; sleep 0.1; done
    """
    key = engine.run(agent.uri, script)
    await until(lambda: "5\n" in engine.text(1), "some output")
    cable.pull()
    await engine.status(agent.uri, AgentStatus.DELAYED)
    await asyncio.sleep(1.5)
    cable.plug()
    await engine.status(agent.uri, AgentStatus.COUPLED)
    assert (await engine.exited(key)).exit_code == 0
    assert engine.text(1) == "".join(f"{number}\n" for number in range(1, 71))
    assert trace.read_text() == "start\n"


async def test_a_task_that_ends_during_the_outage_is_not_run_again(
    cable: Cable, agent: AgentProgram, engine: Engine, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    key = engine.run(agent.uri, f"echo start >> {trace}; sleep 1; echo done; exit 7")
    await engine.launched(key)
    cable.pull()
    await asyncio.sleep(3)
    cable.plug()
    assert (await engine.exited(key)).exit_code == 7
    assert engine.text(1) == "done\n"
    assert trace.read_text() == "start\n"


async def test_a_task_is_dead_before_the_engine_calls_it_lost(
    cable: Cable, agent: AgentProgram, engine: Engine
) -> None:
    key = engine.run(agent.uri, "sleep 100")
    pid = (await engine.launched(key)).pid
    began = time.monotonic()
    cable.pull()
    await until(lambda: not Path(f"/proc/{pid}").exists(), "the agent to kill it")
    assert time.monotonic() - began < TIMEOUT_MS / 1000 + 1
    assert engine.end_of(key) is None, "the engine waits for the kill grace"
    await until(lambda: engine.end_of(key), "the loss")
    assert isinstance(engine.end_of(key), TaskLost)
    await engine.status(agent.uri, AgentStatus.LOST)
    cable.plug()
    await engine.status(agent.uri, AgentStatus.COUPLED)
    await until(lambda: not agent.runs_left(), "the agent to be asked to forget it")


async def test_a_finished_result_outlasts_a_long_outage_and_a_new_life_of_the_engine(
    cable: Cable, agent: AgentProgram, engine: Engine
) -> None:
    key = engine.run(agent.uri, "sleep 0.5; echo done; exit 7")
    await engine.launched(key)
    cable.pull()
    await engine.kill()
    await asyncio.sleep(TIMEOUT_MS / 1000)
    cable.plug()
    engine.start()
    end = await engine.exited(key)
    assert (end.exit_code, end.reason) == (7, EndReason.EXITED)
    assert engine.text(1) == "done\n"


async def test_a_start_over_a_pulled_cable_goes_to_another_agent_and_never_runs_here(
    cable: Cable, agent: AgentProgram, engine: Engine, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    cable.pull()
    key = engine.run(agent.uri, f"echo start >> {trace}")
    await until(lambda: engine.end_of(key), "the refusal", patience_s=40)
    end = engine.end_of(key)
    assert isinstance(end, TaskNotLaunched)
    assert end.failure.value == "unreachable"
    cable.plug()
    await engine.status(agent.uri, AgentStatus.COUPLED)
    await asyncio.sleep(1)
    assert not trace.exists()
