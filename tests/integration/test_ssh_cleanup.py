"""The visible cleanup chain: its two jobs on a real host."""

import os
import shutil
import signal
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
from tests.support.sshd import SshServer, free_port, missing, needs_own_accounts, ssh_server

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(missing("sshd") is not None, reason=str(missing("sshd"))),
]


@pytest.fixture(scope="module")
def server() -> Iterator[SshServer]:
    with ssh_server() as running:
        needs_own_accounts(running)
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


@pytest.mark.parametrize("taken", ["id", ""], ids=["the record", "the whole directory"])
async def test_row_13_a_step_whose_record_was_taken_away_is_given_up_after_its_grace(
    server: SshServer, tmp_path: Path, taken: str
) -> None:
    key = f"e/11.{len(taken) + 1}"
    directory = server.home() / ".jobscheduler" / "run" / token_of(ExecutionKey(key))
    async with ssh_world(tmp_path, server) as world:
        grace = {"ssh_session_start_grace": "2"}
        world.start(key, login(server) | grace | {"command": "sleep 809"})
        await world.launched(key)
        await world.stop()
        server.end_all_processes()
        (directory / taken).unlink() if taken else shutil.rmtree(directory)
        began = clock()
        await world.restart()
        # The cleanup order has the same before it and still as much time as it likes.
        decision = (await order(world, server, key).check()).decision
        assert (decision.row, decision.deed) == (13, Deed.NOTHING)
        assert isinstance(decision.order, ComeAgain)
        lost = await world.lost(key)
        assert "vanished" in lost.text
        assert clock() - began >= 2_000
        late = order(world, server, key)
        late.launched_at = Instant(clock() - 61_000)
        decision = (await late.check()).decision
        assert (decision.row, decision.deed, decision.order) == (
            13,
            Deed.CLOSE_AS_VANISHED,
            MoveOn(),
        )


def over(cleanup: CleanupOrder) -> CleanupOrder:
    cleanup.watched = replace(cleanup.watched, step=StepState.OVER)
    return cleanup


async def test_row_3_nothing_is_concluded_while_the_engine_restores_its_state(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("e/5.1", login(server) | {"command": "sleep 802"})
        await world.launched("e/5.1")
        cleanup = order(world, server, "e/5.1")
        cleanup.watched = replace(cleanup.watched, step=StepState.UNKNOWN)
        decision = (await cleanup.check()).decision
        assert (decision.row, decision.deed) == (3, Deed.NOTHING)
        assert isinstance(decision.order, ComeAgain)
        assert server.processes()
        server.end_all_processes()


async def test_row_4_without_a_time_for_term_an_orphan_is_killed_at_once(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("e/6.1", login(server) | {"command": "setsid sleep 803 & sleep 804"})
        await world.wait_for(lambda: len(server.processes()) >= 3)
        await world.stop()
        await world.restart_hosts()
        cleanup = over(order(world, server, "e/6.1"))
        answer = await cleanup.check()
        assert (answer.decision.row, answer.signal, answer.after) == (4, "KILL", "gone")
        assert answer.decision.order == ComeAgain(after=seconds(2))
        await world.wait_for(lambda: not server.processes())


async def test_row_8_what_outlives_kill_for_half_a_minute_is_given_up(
    server: SshServer, tmp_path: Path
) -> None:
    """No process can do that in a test, but a kill command of the job's own can do nothing."""
    async with ssh_world(tmp_path, server) as world:
        world.start("e/7.1", login(server) | {"command": "sleep 805"})
        await world.launched("e/7.1")
        await world.stop()
        await world.restart_hosts()
        cleanup = over(order(world, server, "e/7.1", ssh_job_kill_pid_command="true"))
        cleanup.jobs = CleanupJobs(world.hosts, now=clock, allow_custom_commands=True)
        assert (await cleanup.check()).decision.row == 4
        assert server.processes()
        earlier = replace(cleanup.memory, killed_at=Instant(clock() - 30_000))
        cleanup.parameters[MEMORY] = earlier.text()
        answer = await cleanup.check()
        assert (answer.decision.row, answer.decision.order) == (8, GoToError())
        assert "cannot be killed" in answer.decision.text
        assert not answer.signal
        server.end_all_processes()


async def test_rows_9_and_10_a_result_closes_the_step_and_its_absence_fails_it(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        world.start("e/8.1", login(server) | {"command": "exit 7"})
        await world.exited("e/8.1")
        world.start("e/8.2", login(server) | {"command": "sleep 806"})
        await world.launched("e/8.2")
        await world.stop()
        await world.restart_hosts()
        server.end_all_processes()
        for key, row, deed in (
            ("e/8.1", 9, Deed.CLOSE_WITH_RESULT),
            ("e/8.2", 10, Deed.CLOSE_AS_VANISHED),
        ):
            cleanup = order(world, server, key)
            first = (await cleanup.check()).decision
            assert (first.row, first.deed) == (row, Deed.NOTHING), "ten seconds of grace"
            earlier = replace(cleanup.memory, first_gone_at=Instant(clock() - 10_000))
            cleanup.parameters[MEMORY] = earlier.text()
            later = (await cleanup.check()).decision
            assert (later.row, later.deed, later.order) == (row, deed, MoveOn())


async def test_row_12_what_may_belong_to_strangers_is_left_to_a_person(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        # The children give their token away, and their leader is killed.
        command = "env -u JS_TOKEN sleep 807 & env -u JS_TOKEN sleep 808 & wait"
        world.start("e/9.1", login(server) | {"command": command})
        leader = await world.launched("e/9.1")
        asleep = {"sleep 807", "sleep 808"}
        await world.wait_for(lambda: asleep <= set(server.processes().values()))
        await world.stop()
        await world.restart_hosts()
        for pid, text in server.processes().items():
            if not text.startswith("sleep 80"):
                os.kill(pid, signal.SIGKILL)
        await world.wait_for(lambda: set(server.processes().values()) == asleep)
        await world.wait_for(
            lambda: not Path("/proc", str(leader.pid)).exists()
        )  # no zombie either
        answer = await over(order(world, server, "e/9.1")).check()
        assert (answer.decision.row, answer.decision.deed) == (12, Deed.NOTHING)
        assert isinstance(answer.decision.order, ComeAgain)
        assert answer.decision.order.is_setback
        assert "needs decision" in answer.decision.text
        assert len(server.processes()) == 2
        server.end_all_processes()


async def test_row_14_a_run_that_left_nothing_and_whose_step_is_over_is_done(
    server: SshServer, tmp_path: Path
) -> None:
    async with ssh_world(tmp_path, server) as world:
        decision = (await over(order(world, server, "e/10.1")).check()).decision
        assert (decision.row, decision.deed, decision.order) == (14, Deed.NOTHING, MoveOn())


def test_the_memory_survives_in_a_parameter_and_forgets_nonsense() -> None:
    memory = CleanupMemory(launched_at=Instant(5), failures=3, killed_at=Instant(9))
    assert memory_of({MEMORY: memory.text()}, launched_at=Instant(1)) == memory
    strange = {MEMORY: "failures=x killed_at=-1 other=4 launched_at=7;"}
    assert memory_of(strange, launched_at=Instant(1)) == CleanupMemory(launched_at=Instant(1))
