"""The cockpit's client and follower against the real HTTP server over a Unix socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.codec.snapshot import snapshot_bytes
from engine.kernel.commands import AddOrder, ModifyOrder, PauseEngine
from engine.kernel.definitions import OrderDefinition
from engine.kernel.ids import AgentUri, EventNumber, TaskId, chain_key, order_key
from engine.kernel.instants import seconds
from engine.kernel.problems import Problem
from engine.kernel.reports import AgentStatus
from engine.kernel.state import State
from engine.server.app import application
from engine.server.auth import Gate, TokenFiles, Trust
from engine.server.context import ServerContext
from engine.server.engine_port import AgentPulse as EnginePulse
from engine.server.serve import HttpServer, Listener, bind_unix
from tests.support.fake_engine import FACTS, FakeEngine
from tests.support.world import chain, node, shell_job
from tui.client import Accepted, EngineAway, HttpEngine, NotAdmitted
from tui.follower import Follower
from tui.mirror import LinkStatus, Mirror

pytestmark = pytest.mark.anyio

LIMIT_S = 60.0
STEP_S = 0.01
ORDER = order_key("/c", "o1")


class SnapshotEngine(FakeEngine):
    """With real snapshots."""

    async def snapshot(self) -> tuple[EventNumber, bytes]:
        return self.number, snapshot_bytes(self.state)


def fake_engine() -> FakeEngine:
    return SnapshotEngine(
        shell_job("a"), shell_job("b"), chain("c", node("n1", "a"), node("n2", "b"))
    )


@asynccontextmanager
async def served(
    engine: FakeEngine, path: Path, trust: Trust = Trust.OWNER, tokens: TokenFiles | None = None
) -> AsyncIterator[HttpServer]:
    context = ServerContext(port=engine, gate=Gate(tokens or TokenFiles(())), facts=FACTS)
    listener = Listener(socket=bind_unix(path), trust=trust)
    server = HttpServer(application(context), (listener,))
    async with asyncio.timeout(LIMIT_S):
        await server.start()
        try:
            yield server
        finally:
            await engine.stop()
            await server.stop()


async def until(wanted: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not wanted():  # noqa: ASYNC110  # any condition, with a deadline
            await asyncio.sleep(STEP_S)  # polled with a deadline


def same(one: State, other: State) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in (*State.PRIMARY, "control"))


@asynccontextmanager
async def following(client: HttpEngine, engine: FakeEngine) -> AsyncIterator[Mirror]:
    mirror = Mirror()
    task = asyncio.create_task(Follower(client, mirror, now=engine.now).run())
    try:
        yield mirror
    finally:
        await ended(task)
        await client.close()


async def ended(task: "asyncio.Task[None]") -> None:
    """Cancel a follower.

    When data arrive in the very turn of the loop in which a read is cancelled, anyio's Unix sockets
    give them to the cancelled read; the loop reports that, and nothing comes of it.
    """
    loop = asyncio.get_running_loop()
    former = loop.get_exception_handler()

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), asyncio.InvalidStateError):
            return
        if former is None:
            loop.default_exception_handler(context)
        else:
            former(loop, context)

    loop.set_exception_handler(report)
    try:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    finally:
        loop.set_exception_handler(former)


async def test_the_mirror_equals_the_engines_state(tmp_path: Path) -> None:
    engine = fake_engine()
    client = HttpEngine(str(tmp_path / "s"))
    async with served(engine, tmp_path / "s"), following(client, engine) as mirror:
        await until(lambda: mirror.link.status is LinkStatus.LIVE)
        asked = AddOrder(order=OrderDefinition(key=ORDER, params={"x": "1"}))
        assert isinstance(await client.ask(asked), Accepted)
        engine.launch()
        engine.end()
        await engine.tell()
        await until(lambda: mirror.number == engine.number)
        assert same(mirror.state, engine.state)
        assert mirror.state.orders[ORDER].state == "n2"
        assert [task.task for task in mirror.ended_tasks] == [1]


async def test_a_refusal_comes_back_with_the_engines_words(tmp_path: Path) -> None:
    engine = fake_engine()
    client = HttpEngine(str(tmp_path / "s"))
    async with served(engine, tmp_path / "s"):
        answer = await client.ask(ModifyOrder(order=ORDER, suspended=True))
        assert isinstance(answer, Problem)
        assert answer.code.startswith("SCHEDULER-")
        await client.close()


async def test_pulses_come_at_the_beginning_and_live(tmp_path: Path) -> None:
    engine = fake_engine()
    uri = AgentUri("http://127.0.0.1:4445")
    pulse = EnginePulse(
        agent=uri,
        status=AgentStatus.COUPLED,
        heard_at=engine.now(),
        heartbeat_period=seconds(10),
        heartbeat_timeout=seconds(60),
        tasks=2,
    )
    engine.last_pulses[uri] = pulse
    client = HttpEngine(str(tmp_path / "s"))
    async with served(engine, tmp_path / "s"), following(client, engine) as mirror:
        await until(lambda: uri in mirror.pulses)
        assert mirror.pulses[uri].heard_at == engine.now()
        await engine.followed.wait()
        await engine.tell(
            EnginePulse(
                agent=uri,
                status=AgentStatus.LOST,
                heard_at=engine.now(),
                heartbeat_period=seconds(10),
                heartbeat_timeout=seconds(60),
                text="refused",
            )
        )
        await until(lambda: mirror.pulses[uri].status is AgentStatus.LOST)
        assert mirror.pulses[uri].text == "refused"


async def test_the_follower_comes_back_when_the_engine_does(tmp_path: Path) -> None:
    engine = fake_engine()
    client = HttpEngine(str(tmp_path / "s"))
    async with following(client, engine) as mirror:
        await until(lambda: mirror.link.status is LinkStatus.AWAY)
        async with served(engine, tmp_path / "s"):
            await until(lambda: mirror.link.status is LinkStatus.LIVE)
            assert chain_key("/c") in mirror.state.chains
        await until(lambda: mirror.link.status is LinkStatus.AWAY)
        again = fake_engine()
        again.rows = engine.rows
        (tmp_path / "s").unlink(missing_ok=True)
        async with served(again, tmp_path / "s"):
            await until(lambda: mirror.link.status is LinkStatus.LIVE)


async def test_a_gap_in_the_journal_is_closed_by_a_snapshot(tmp_path: Path) -> None:
    engine = fake_engine()
    client = HttpEngine(str(tmp_path / "s"))
    mirror = Mirror()
    follower = Follower(client, mirror, now=engine.now)
    async with served(engine, tmp_path / "s"):
        snapshot = await client.snapshot()
        mirror.reset(snapshot.state, snapshot.number)
        follower._is_stale = False
        await engine.submit(PauseEngine(paused=True), "me")
        engine.oldest = engine.number
        task = asyncio.create_task(follower.run())
        await until(lambda: mirror.number == engine.number)
        assert mirror.state.control.paused
        await ended(task)
        await client.close()


async def test_the_log_of_a_task_is_read_in_pieces(tmp_path: Path) -> None:
    engine = fake_engine()
    engine.logs[1] = "one\ntwo\nthree\n"
    client = HttpEngine(str(tmp_path / "s"))
    async with served(engine, tmp_path / "s"):
        part = await client.task_log(TaskId(1), 0, 7)
        assert part is not None
        assert part.text == "one\ntwo"
        rest = await client.task_log(TaskId(1), part.next_offset, 100)
        assert rest is not None
        assert rest.text == "\nthree\n"
        assert await client.task_log(TaskId(99), 0, 7) is None
        await client.close()


async def test_without_a_token_we_are_told_so(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text("secret")
    engine = fake_engine()
    async with served(engine, tmp_path / "s", Trust.NOBODY, TokenFiles([file])):
        stranger = HttpEngine(str(tmp_path / "s"))
        with pytest.raises(NotAdmitted, match="token"):
            await stranger.snapshot()
        await stranger.close()
        known = HttpEngine(str(tmp_path / "s"), "secret")
        assert (await known.snapshot()).number == engine.number
        await known.close()


async def test_an_engine_that_is_not_there_is_away(tmp_path: Path) -> None:
    client = HttpEngine(str(tmp_path / "nothing"))
    with pytest.raises(EngineAway):
        await client.snapshot()
    await client.close()
