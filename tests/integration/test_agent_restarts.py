"""Agents and engines that are killed, stopped and started again, with real processes."""

import asyncio
import functools
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.agent.begun_log import BEGUN, read_begun
from engine.agent.main import STOP_KILL_S
from engine.agent.service import boot_time
from engine.agent.session_files import SessionFiles
from engine.codec.agent_messages import TakeOver
from engine.drivers.agent_link import AgentDriverSettings
from engine.drivers.link_parts import LinkSettings
from engine.kernel.effects import KillMode
from engine.kernel.reports import AgentStatus, EndReason, TaskLost
from tests.support.agent_program import AgentProgram, Engine, agent_program, engine_of, until

pytestmark = pytest.mark.anyio

COUNTING = """
echo start >> {trace}
for number in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do echo $number; sleep 0.1; done
echo end >> {trace}
exit 4
"""
NUMBERS = "".join(f"{number}\n" for number in range(1, 21))


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentProgram]:
    async with agent_program(tmp_path / "agent") as agent:
        yield agent


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def is_over(agent: AgentProgram, engine: Engine) -> bool:
    """Return whether the lease of the engine's tasks is over."""
    lease = SessionFiles(agent.data).lease(engine.id)
    assert lease is not None
    return lease.base + engine.timeout < boot_time()


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


# --- the agent -------------------------------------------------------------------------------------


async def test_a_killed_agent_takes_its_running_task_over_when_it_is_back(
    agent: AgentProgram, trace: Path
) -> None:
    async with engine_of(agent, timeout=20_000) as engine:
        key = engine.run(agent.uri, COUNTING.format(trace=trace))
        await until(lambda: "3\n" in engine.text(1), "some output")
        agent.kill()
        (output,) = (agent.data / "runs").glob("*/stdout")
        await until(lambda: "6\n" in output.read_text(), "the script to go on alone")
        await agent.start()
        end = await engine.exited(key)
    assert (end.exit_code, end.reason) == (4, EndReason.EXITED)
    assert engine.text(1) == NUMBERS
    assert lines(trace) == ["start", "end"]


async def test_a_result_from_while_the_agent_was_away_is_delivered(
    agent: AgentProgram, trace: Path
) -> None:
    async with engine_of(agent, timeout=20_000) as engine:
        key = engine.run(agent.uri, COUNTING.format(trace=trace))
        await engine.launched(key)
        agent.kill()
        await until(lambda: lines(trace) == ["start", "end"], "the task to end")
        await agent.start()
        assert (await engine.exited(key)).exit_code == 4
    assert engine.text(1) == NUMBERS


async def test_a_task_of_an_agent_that_stays_away_is_dead_before_it_is_called_lost(
    agent: AgentProgram,
) -> None:
    async with engine_of(agent, period=1_000, timeout=3_000) as engine:
        key = engine.run(agent.uri, "sleep 100")
        pid = (await engine.launched(key)).pid
        agent.kill()
        await engine.status(agent.uri, AgentStatus.LOST)
        await until(lambda: engine.end_of(key), "the loss")
        assert isinstance(engine.end_of(key), TaskLost)
        assert not is_there(pid)
        await agent.start()
        await until(lambda: not agent.runs_left(), "the agent to be asked to forget it")


async def test_sigterm_ends_the_tasks_and_then_the_agent(agent: AgentProgram, trace: Path) -> None:
    async with engine_of(agent) as engine:
        key = engine.run(
            agent.uri, "trap 'sleep 1; exit 9' TERM; echo up; while :; do sleep 0.1; done"
        )
        await until(lambda: engine.text(1) == "up\n", "the script to run")
        began = time.monotonic()
        stopping = asyncio.create_task(agent.stop())
        end = await engine.exited(key)
        assert (end.exit_code, end.reason) == (9, EndReason.AGENT_STOPPED)
        assert await stopping == 0
        assert time.monotonic() - began < 7.5


async def test_sigterm_kills_what_does_not_end(agent: AgentProgram) -> None:
    async with engine_of(agent) as engine:
        key = engine.run(agent.uri, "trap '' TERM; echo up; while :; do sleep 0.1; done")
        await until(lambda: engine.text(1) == "up\n", "the script to run")
        began = time.monotonic()
        stopping = asyncio.create_task(agent.stop())
        assert await stopping == 0
        assert STOP_KILL_S - 0.5 < time.monotonic() - began < 8
        await agent.start()
        end = await engine.exited(key)
        assert (end.exit_code, end.reason) == (137, EndReason.AGENT_STOPPED)


async def test_an_agent_that_leaves_its_tasks_finds_them_again(tmp_path: Path, trace: Path) -> None:
    async with (
        agent_program(tmp_path / "agent", leaves_tasks=True) as agent,
        engine_of(agent, timeout=20_000) as engine,
    ):
        key = engine.run(agent.uri, COUNTING.format(trace=trace))
        await engine.launched(key)
        assert await agent.stop() == 0
        await agent.start()
        assert (await engine.exited(key)).exit_code == 4
    assert lines(trace) == ["start", "end"]


async def test_an_agent_may_kill_what_it_finds(tmp_path: Path) -> None:
    async with (
        agent_program(tmp_path / "agent", ends_found_tasks=True) as agent,
        engine_of(agent, timeout=20_000) as engine,
    ):
        key = engine.run(agent.uri, "sleep 100")
        await engine.launched(key)
        agent.kill()
        await agent.start()
        end = await engine.exited(key)
    assert (end.exit_code, end.reason) == (137, EndReason.AGENT_STOPPED)


async def test_terminate_waits_for_the_tasks_and_takes_no_new_ones(agent: AgentProgram) -> None:
    async with engine_of(agent) as engine:
        key = engine.run(agent.uri, "echo up; while [ ! -e done ]; do sleep 0.05; done", number=1)
        await until(lambda: engine.text(1) == "up\n", "the script to run")
        unclear = {"$TYPE": "Terminate", "sigkillProcessesAfter": "soon"}
        assert (await agent.command(**unclear)).status_code == 400
        late = {"$TYPE": "Terminate", "sigkillProcessesAfter": "PT1H"}
        assert (await agent.command(**late)).status_code == 200
        assert (await agent.get("/")).json()["isTerminating"] is True
        assert (await agent.command(**{"$TYPE": "Terminate"})).status_code == 400
        assert await engine.driver.probe(agent.uri) is False  # type: ignore[union-attr]
        await engine.status(agent.uri, AgentStatus.TERMINATING)
        other = engine.run(agent.uri, "true", number=2)
        await until(lambda: engine.end_of(other), "a refusal")
        engine.end(key, KillMode.KILL)
        assert (await engine.exited(key)).exit_code == 137
        assert await agent.wait() == 0


async def test_abort_kills_everything_and_ends_with_status_one(agent: AgentProgram) -> None:
    async with engine_of(agent, timeout=20_000) as engine:
        key = engine.run(agent.uri, "sleep 100")
        pid = (await engine.launched(key)).pid
        with pytest.raises(Exception, match="disconnect"):
            await agent.command(**{"$TYPE": "AbortImmediately"})
        assert await agent.wait() == 1
        await until(lambda: not is_there(pid), "the end of the task")
        await agent.start()
        assert (await engine.exited(key)).reason is EndReason.AGENT_STOPPED


async def test_a_second_agent_on_the_same_folder_is_refused(agent: AgentProgram) -> None:
    other = AgentProgram(agent.data)
    with pytest.raises(AssertionError, match="has ended"):
        await other.start()


# --- the engine ------------------------------------------------------------------------------------


async def test_a_new_life_of_the_engine_takes_running_tasks_over(
    agent: AgentProgram, trace: Path
) -> None:
    engine = Engine(keeps=[agent.uri], timeout=20_000)
    engine.start()
    key = engine.run(agent.uri, COUNTING.format(trace=trace))
    await until(lambda: "3\n" in engine.text(1), "some output")
    await engine.kill()
    engine.start()
    assert (await engine.exited(key)).exit_code == 4
    assert engine.text(1) == NUMBERS
    assert lines(trace) == ["start", "end"]
    await engine.kill()


async def test_a_result_from_while_the_engine_was_away_is_delivered_even_after_the_lease(
    agent: AgentProgram, trace: Path
) -> None:
    engine = Engine(keeps=[agent.uri], period=500, timeout=2_500)
    engine.start()
    key = engine.run(agent.uri, f"echo start >> {trace}; sleep 0.5; echo done")
    await engine.launched(key)
    await engine.kill()
    await until(lambda: is_over(agent, engine), "the lease to be over")
    engine.start()
    assert (await engine.exited(key)).exit_code == 0
    assert engine.text(1) == "done\n"
    assert lines(trace) == ["start"]
    await engine.kill()


async def test_an_engine_that_stays_away_loses_its_tasks_and_nobody_elses(
    agent: AgentProgram,
) -> None:
    gone = Engine(id="gone", keeps=[agent.uri], period=500, timeout=2_000)
    gone.start()
    lost = gone.run(agent.uri, "sleep 100")
    pid = (await gone.launched(lost)).pid
    async with engine_of(agent, timeout=20_000) as there:
        key = there.run(agent.uri, "sleep 5; exit 6")
        await there.launched(key)
        await gone.kill()
        await until(lambda: not is_there(pid), "the lease to be over")
        gone.start()
        end = await gone.exited(lost)
        assert (end.exit_code, end.reason) == (137, EndReason.LEASE_OVER)
        await gone.kill()
        assert (await there.exited(key)).exit_code == 6


async def test_a_new_life_of_the_engine_may_end_the_tasks_of_the_former(
    agent: AgentProgram,
) -> None:
    settings = AgentDriverSettings(link=LinkSettings(take_over=TakeOver.KILL))
    engine = Engine(keeps=[agent.uri], settings=settings)
    engine.start()
    key = engine.run(agent.uri, "sleep 100")
    await engine.launched(key)
    await engine.kill()
    engine.start()
    end = await engine.exited(key)
    assert (end.exit_code, end.reason) == (137, EndReason.TAKEN_OVER)
    await engine.kill()


async def test_a_former_life_of_the_engine_has_nothing_to_say_any_more(
    agent: AgentProgram,
) -> None:
    former = Engine(keeps=[agent.uri])
    former.start()
    await former.status(agent.uri, AgentStatus.COUPLED)
    newer = Engine(keeps=[agent.uri], epoch=1)
    newer.start()
    await newer.status(agent.uri, AgentStatus.COUPLED)
    await former.status(agent.uri, AgentStatus.LOST)
    key = former.run(agent.uri, "true")
    await until(lambda: former.end_of(key), "a refusal")
    await former.kill()
    await newer.kill()


async def test_a_task_that_nobody_demands_any_more_is_ended(agent: AgentProgram) -> None:
    async with engine_of(agent) as engine:
        key = engine.run(agent.uri, "sleep 100")
        pid = (await engine.launched(key)).pid
        engine.runs.clear()
        engine.demand()
        await until(lambda: not is_there(pid), "its end")
        await until(lambda: not agent.runs_left(), "its files to go")


async def test_an_engine_away_for_longer_than_results_are_kept_starts_nothing_again(
    tmp_path: Path, trace: Path
) -> None:
    async with agent_program(tmp_path / "agent", result_retention_s=0.5) as agent:
        engine = Engine(keeps=[agent.uri], period=500, timeout=1_500)
        engine.start()
        told = engine.run(agent.uri, f"echo told >> {trace}; exec sleep 100", number=1)
        await engine.launched(told)
        engine.commit.clear()
        untold = engine.run(agent.uri, f"echo untold >> {trace}; exec sleep 100", number=2)
        await until(lambda: lines(trace) == ["told", "untold"], "both to be started")
        await engine.kill()
        # Their leases end them, and the agent forgets them.
        await until(lambda: not agent.runs_left(), "their files to go")
        agent.kill()
        await agent.start()
        engine.commit.set()
        engine.start()
        await until(lambda: engine.end_of(told) and engine.end_of(untold), "the ends")
        assert isinstance(engine.end_of(told), TaskLost)
        assert isinstance(engine.end_of(untold), TaskLost)
        assert lines(trace) == ["told", "untold"]
        await until(lambda: not read_begun(agent.data / BEGUN), "the keys to go")
        await engine.kill()


async def test_an_agent_with_a_new_data_folder_starts_nothing_again(
    tmp_path: Path, trace: Path
) -> None:
    async with agent_program(tmp_path / "agent") as agent:
        engine = Engine(keeps=[agent.uri], timeout=3_000)
        engine.start()
        await engine.status(agent.uri, AgentStatus.COUPLED)
        engine.commit.clear()
        key = engine.run(agent.uri, f"echo start >> {trace}")
        await until(lambda: lines(trace), "its start")
        agent.kill()
        await engine.kill()
        agent.data = tmp_path / "another"
        await agent.start()
        engine.start()
        engine.commit.set()
        await until(lambda: engine.end_of(key), "its end")
        assert isinstance(engine.end_of(key), TaskLost)
        assert lines(trace) == ["start"]
        await engine.kill()


# --- tasks on the engine's own host ------------------------------------------------------------------


async def test_a_local_task_outlives_its_engine(tmp_path: Path, trace: Path) -> None:
    engine = Engine(local_folder=tmp_path / "local")
    engine.start()
    key = engine.run("", COUNTING.format(trace=trace))  # type: ignore[arg-type]
    await until(lambda: "3\n" in engine.text(1), "some output")
    await engine.kill()
    engine.start()
    end = await engine.exited(key)
    assert (end.exit_code, end.reason) == (4, EndReason.EXITED)
    assert engine.text(1) == NUMBERS
    assert lines(trace) == ["start", "end"]
    await engine.kill()


async def test_a_local_task_whose_files_are_gone_is_lost_not_started_again(
    tmp_path: Path, trace: Path
) -> None:
    engine = Engine(local_folder=tmp_path / "local")
    engine.start()
    key = engine.run("", f"echo start >> {trace}; exec sleep 100")  # type: ignore[arg-type]
    pid = (await engine.launched(key)).pid
    await until(lambda: lines(trace), "its start")
    await engine.kill()
    engine.local_folder = tmp_path / "another"
    engine.start()
    await until(lambda: engine.end_of(key), "its end")
    assert isinstance(engine.end_of(key), TaskLost)
    assert lines(trace) == ["start"]
    await engine.kill()
    os.kill(pid, signal.SIGKILL)


async def test_a_local_signal_is_a_negative_exit_code(tmp_path: Path) -> None:
    engine = Engine(local_folder=tmp_path / "local")
    engine.start()
    key = engine.run("", "sleep 100")  # type: ignore[arg-type]
    await engine.launched(key)
    engine.end(key, KillMode.KILL)
    end = await engine.exited(key)
    assert (end.exit_code, end.signal, end.reason) == (-9, 9, EndReason.KILLED)
    key = engine.run("", "echo $# $SCHEDULER_HTTP_PORT", number=2)  # type: ignore[arg-type]
    assert (await engine.exited(key)).first_line == "0 4444"
    await engine.kill()


KILLED_ENGINE = """
import asyncio, sqlite3, sys
from pathlib import Path
from engine.drivers.local import LocalDriver
from engine.kernel.effects import ForgetExecution, ProcessSpec, RunProcess
from engine.kernel.reports import TaskExited

async def main(folder, epoch):
    journal = sqlite3.connect(folder / "journal", isolation_level=None)
    journal.execute("create table if not exists ends (key text primary key, code integer)")
    async def report(reports):
        gone = []
        for report in reports:
            if isinstance(report, TaskExited):
                journal.execute("insert or ignore into ends values (?, ?)", (report.key, report.exit_code))
                gone.append(ForgetExecution(key=report.key, agent=""))
        driver.demands([], wanted())
        driver.forget(gone)
    async def output(*_):
        pass
    def wanted():
        ended = {key for key, in journal.execute("select key from ends")}
        keys = [f"e/{number}.1" for number in range(60)]
        return [run for run in runs if run.key not in ended]
    runs = [
        RunProcess(key=f"e/{number}.1", task=number, agent="", heartbeat_period=1, heartbeat_timeout=1,
            spec=ProcessSpec(job="j", script=f"echo {number} >> {folder}/trace; sleep 0.0{number}", environment={}))
        for number in range(60)
    ]
    driver = LocalDriver(engine_id="e", epoch=epoch, folder=folder / "local", report=report,
        output=output, output_offsets=lambda task: (0, 0))
    driver.demands([], wanted())
    work = asyncio.create_task(driver.run())
    while wanted():
        await asyncio.sleep(0.01)
    work.cancel()

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_an_engine_killed_again_and_again_starts_no_local_task_twice(
    tmp_path: Path,
) -> None:
    lives = 0
    while lives < 10:
        lives += 1
        engine = subprocess.Popen(  # noqa: ASYNC220 - it is to be killed
            [sys.executable, "-c", KILLED_ENGINE, tmp_path, str(lives)]
        )
        started = functools.partial(_is_over_or_wrote, engine, tmp_path / "trace", 9 * lives)
        await until(started, "some tasks to be started")
        if engine.poll() is not None:
            assert engine.returncode == 0
            break
        engine.kill()
        engine.wait()
    with sqlite3.connect(tmp_path / "journal") as journal:
        ends = journal.execute("select count(*), max(code) from ends").fetchone()
    journal.close()
    assert ends == (60, 0)
    assert sorted(lines(tmp_path / "trace"), key=int) == [str(number) for number in range(60)]
    assert lives > 2, "nothing was killed"


def _is_over_or_wrote(engine: "subprocess.Popen[bytes]", trace: Path, enough: int) -> bool:
    return engine.poll() is not None or len(lines(trace)) >= enough
