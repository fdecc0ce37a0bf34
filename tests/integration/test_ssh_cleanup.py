"""The visible cleanup chain: its two jobs on a real host."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from engine.drivers.ssh_cleanup import (
    MEMORY,
    PIDS,
    CleanupAnswer,
    CleanupJobs,
    CleanupMemory,
    Watched,
    memory_of,
)
from engine.kernel.ids import ExecutionKey
from engine.kernel.instants import Instant, seconds
from engine.kernel.sessions.decisions import ComeAgain, Deed, GoToError, MoveOn, StepState
from engine.kernel.sessions.identity import token_of
from engine.kernel.sessions.parameters import SshJob, ssh_job
from engine.kernel.sessions.verdicts import Alive
from tests.support.ssh_world import SshWorld, login, ssh_world
from tests.support.sshd import SshServer, free_port, missing, ssh_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server() as running:
        if not running.has_own_uid:
            pytest.skip("needs made-up accounts: root and libnss-wrapper")
        yield running


def clock() -> Instant:
    return Instant(time.time_ns() // 1_000_000)


@dataclass
class CleanupOrder:
    """A cleanup order: visits its two jobs and keeps its parameters between them."""

    jobs: CleanupJobs
    watched: Watched
    parameters: dict[str, str] = field(default_factory=dict)
    launched_at: Instant = field(default_factory=clock)

    @property
    def memory(self) -> CleanupMemory:
        return memory_of(self.parameters, launched_at=self.launched_at)

    async def read(self) -> CleanupAnswer:
        answer = await self.jobs.read_record(self.watched, self.memory)
        self.parameters |= answer.parameters
        return answer

    async def check(self) -> CleanupAnswer:
        answer = await self.jobs.check_and_kill(self.watched, self.memory)
        self.parameters |= answer.parameters
        return answer


def order(world: SshWorld, server: SshServer, key: str, **parameters: str) -> CleanupOrder:
    job = ssh_job(login(server) | {"command": "x"} | parameters)
    assert isinstance(job, SshJob)
    watched = Watched(
        token=token_of(ExecutionKey(key)),
        target=job.target,
        session=job.session,
        step=StepState.OPEN,
    )
    return CleanupOrder(CleanupJobs(world.hosts, now=clock), watched)


async def test_a_healthy_run_is_watched_without_using_up_setbacks(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("e/1.1", login(server) | {"command": "sleep 800"})
        launched = await world.launched("e/1.1")
        cleanup = order(world, server, "e/1.1")
        first = await cleanup.read()
        assert first.decision.order == MoveOn()
        assert str(launched.pid) in first.parameters[PIDS].split(",")
        for _ in range(3):
            answer = await cleanup.check()
            assert answer.decision.row == 2
            assert answer.decision.order == ComeAgain(after=seconds(30))
        server.end_all_processes()


async def test_an_orphan_is_ended_politely_first_and_its_directory_removed(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        command = "trap '' TERM; echo on; setsid sleep 801 & while :; do sleep 0.1; done"
        world.start("e/2.1", login(server) | {"command": command})
        await world.wait_for(lambda: world.text("e/2.1") == "on\n")
        await world.stop()
        await world.restart_hosts()
        cleanup = order(world, server, "e/2.1", ssh_job_timeout_kill_after="1")
        cleanup.watched = replace(cleanup.watched, step=StepState.OVER)
        assert (await cleanup.check()).decision.deed is Deed.TERMINATE
        assert (await cleanup.check()).decision.row == 6
        assert server.processes()
        await world.wait_for(lambda: clock() > (cleanup.memory.terminated_at or 0) + 1000)
        answer = await cleanup.check()
        assert (answer.decision.row, answer.decision.deed) == (7, Deed.KILL)
        await world.wait_for(lambda: not server.processes())
        answer = await cleanup.check()
        assert (answer.decision.row, answer.decision.order) == (11, MoveOn())
        assert not list((server.home() / ".jobscheduler" / "run").glob(cleanup.watched.token))


async def test_a_host_out_of_reach_makes_the_order_wait_and_finally_fail(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        cleanup = order(world, server, "e/3.1", ssh_session_unreachable_limit="1")
        away = replace(cleanup.watched.target, port=free_port())
        cleanup.watched = replace(cleanup.watched, target=away)
        answer = await cleanup.read()
        assert answer.decision.order == ComeAgain(after=seconds(30))
        since = cleanup.memory.unreachable_since
        assert since is not None
        await world.wait_for(lambda: clock() >= since + 1000)
        answer = await cleanup.check()
        assert answer.decision.order == GoToError()
        assert not isinstance(answer.verdict, Alive)


async def test_a_run_that_never_began_is_waited_for_only_as_long_as_a_start_takes(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        cleanup = order(world, server, "e/4.1")
        assert isinstance((await cleanup.read()).decision.order, ComeAgain)
        late = CleanupOrder(cleanup.jobs, cleanup.watched, launched_at=Instant(clock() - 61_000))
        assert (await late.read()).decision.order == MoveOn()
        assert (await late.check()).decision.deed is Deed.CLOSE_AS_VANISHED


def test_the_memory_survives_in_a_parameter_and_forgets_nonsense() -> None:
    memory = CleanupMemory(launched_at=Instant(5), failures=3, killed_at=Instant(9))
    assert memory_of({MEMORY: memory.text()}, launched_at=Instant(1)) == memory
    strange = {MEMORY: "failures=x killed_at=-1 other=4 launched_at=7;"}
    assert memory_of(strange, launched_at=Instant(1)) == CleanupMemory(launched_at=Instant(1))
