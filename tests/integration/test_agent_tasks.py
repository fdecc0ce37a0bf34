"""A real agent program on loopback: what a task gets, gives back, and how it is ended."""

import functools
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.kernel.effects import KillMode
from engine.kernel.reports import AgentStatus, EndReason, TaskExited, TaskNotLaunched
from tests.support.agent_program import AgentProgram, Engine, agent_program, engine_of, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def agent(tmp_path: Path) -> AsyncIterator[AgentProgram]:
    async with agent_program(tmp_path / "agent") as agent:
        yield agent


@pytest.fixture
async def engine(agent: AgentProgram) -> AsyncIterator[Engine]:
    async with engine_of(agent) as engine:
        yield engine


async def test_a_task_gets_its_environment_and_gives_back_output_values_and_code(
    agent: AgentProgram, engine: Engine
) -> None:
    key = engine.run(
        agent.uri,
        """
        echo first line
        echo "$SCHEDULER_HTTP_PORT $SCHEDULER_PARAM_X $1"
        echo complaint >&2
        echo "result = 17" >> "$SCHEDULER_RETURN_VALUES"
        exit 3
        """,
        environment={"SCHEDULER_PARAM_X": "äöü"},
    )
    end = await engine.exited(key)
    assert (end.exit_code, end.signal, end.reason) == (3, None, EndReason.EXITED)
    assert end.first_line == "first line"
    assert end.returned == {"result": "17"}
    lines = engine.text(1).splitlines()
    assert lines[0] == "first line"
    port, parameter, argument = lines[1].split(" ")
    assert (port, parameter) == (str(agent.port), "äöü")
    assert argument.startswith("-agent-task-id=1-")
    assert engine.text(1, "stderr") == "complaint\n"
    await until(lambda: not agent.runs_left(), "the run's files are removed")


async def test_the_environment_of_this_program_does_not_reach_the_task(
    agent: AgentProgram, engine: Engine
) -> None:
    key = engine.run(agent.uri, "env")
    await engine.exited(key)
    names = {line.partition("=")[0] for line in engine.text(1).splitlines()}
    assert not {name for name in names if name.startswith("PYTHON") or name == "VIRTUAL_ENV"}
    assert "PATH" in names


async def test_a_script_chooses_its_interpreter_in_its_first_line(
    agent: AgentProgram, engine: Engine
) -> None:
    key = engine.run(agent.uri, "\n  #!/bin/echo chosen\nnot for a shell\n")
    await engine.exited(key)
    assert engine.text(1).startswith("chosen ")


async def test_an_interpreter_that_is_not_there_is_an_exit_code_and_a_message(
    agent: AgentProgram, engine: Engine
) -> None:
    end = await engine.exited(engine.run(agent.uri, "#!/no/such/interpreter\n"))
    assert end.exit_code in {126, 127}
    assert "not found" in engine.text(1, "stderr") or "No such" in engine.text(1, "stderr")


async def test_a_task_for_an_unknown_user_is_refused(agent: AgentProgram, engine: Engine) -> None:
    key = engine.run(agent.uri, "true", login_user="nobody-has-this-name")
    await until(lambda: engine.end_of(key), "an end")
    end = engine.end_of(key)
    assert isinstance(end, TaskNotLaunched)
    assert "nobody-has-this-name" in end.text


async def test_a_child_that_keeps_the_output_open_does_not_delay_the_end(
    agent: AgentProgram, engine: Engine
) -> None:
    end = await engine.exited(engine.run(agent.uri, "sleep 600 &\necho $!"))
    assert end.exit_code == 0
    os.kill(int(end.first_line), signal.SIGKILL)


async def test_output_is_seen_while_the_task_runs(agent: AgentProgram, engine: Engine) -> None:
    key = engine.run(agent.uri, "echo early; sleep 60")
    await until(lambda: engine.text(1) == "early\n", "the first line")
    assert engine.end_of(key) is None


async def test_much_output_arrives_whole(agent: AgentProgram, engine: Engine) -> None:
    key = engine.run(agent.uri, "seq 1 400000")
    await engine.exited(key)
    assert engine.text(1) == "".join(f"{number}\n" for number in range(1, 400_001))


async def test_terminate_goes_to_the_script_alone_and_its_own_code_counts(
    agent: AgentProgram, engine: Engine
) -> None:
    key = engine.run(agent.uri, "trap 'echo trapped; exit 7' TERM; echo up; sleep 60 & wait")
    await until(lambda: engine.text(1) == "up\n", "the script to run")
    engine.end(key, KillMode.TERMINATE)
    end = await engine.exited(key)
    assert (end.exit_code, end.signal, end.reason) == (7, None, EndReason.KILLED)
    assert engine.text(1) == "up\ntrapped\n"


async def test_a_signal_is_told_apart_from_an_exit_code(
    agent: AgentProgram, engine: Engine
) -> None:
    one = engine.run(agent.uri, "kill -TERM $$", number=1)
    other = engine.run(agent.uri, "exit 143", number=2)
    ends = [await engine.exited(key) for key in (one, other)]
    assert [(end.exit_code, end.signal) for end in ends] == [(143, 15), (143, None)]


async def test_kill_ends_the_whole_tree_also_what_left_the_session(
    agent: AgentProgram, engine: Engine
) -> None:
    script = """
    sleep 300 & echo $!
    setsid sleep 300 & sleep 0.2; pgrep -P $$ sleep | tail -1
    trap '' TERM
    wait
    """
    key = engine.run(agent.uri, script)
    await until(lambda: len(engine.text(1).splitlines()) == 2, "two children")
    children = [int(line) for line in engine.text(1).splitlines()]
    engine.end(key, KillMode.KILL)
    end = await engine.exited(key)
    assert (end.exit_code, end.signal, end.reason) == (137, 9, EndReason.KILLED)
    for child in children:
        await until(functools.partial(_has_gone, child), f"the end of {child}")


async def test_a_script_that_signals_its_own_group_does_not_take_its_supervisor_along(
    agent: AgentProgram, engine: Engine
) -> None:
    end = await engine.exited(engine.run(agent.uri, "kill -TERM 0; sleep 10"))
    assert (end.exit_code, end.signal) == (143, 15)


async def test_a_script_that_kills_its_supervisor_ends_all_the_same(
    agent: AgentProgram, engine: Engine
) -> None:
    end = await engine.exited(engine.run(agent.uri, "kill -KILL $PPID; sleep 0.3; exit 5"))
    assert (end.exit_code, end.signal) == (137, 9)


async def test_a_task_that_shall_end_before_it_was_started_never_starts(
    agent: AgentProgram, tmp_path: Path
) -> None:
    engine = Engine(keeps=[agent.uri])
    engine.start()
    marker = tmp_path / "marker"
    key = engine.run(agent.uri, f"touch {marker}")
    engine.end(key, KillMode.KILL, may_start=False)
    await until(lambda: engine.end_of(key), "an end")
    assert isinstance(engine.end_of(key), TaskNotLaunched)
    await engine.kill()
    assert not marker.exists()


async def test_an_agent_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    agent = AgentProgram(tmp_path / "agent")
    async with engine_of(agent) as engine:
        key = engine.run(agent.uri, "true")
        await until(lambda: engine.end_of(key), "an end")
        end = engine.end_of(key)
        assert isinstance(end, TaskNotLaunched)
        assert end.failure.value == "unreachable"
        await engine.status(agent.uri, AgentStatus.LOST)


async def test_a_hundred_tasks_run_side_by_side(agent: AgentProgram, engine: Engine) -> None:
    keys = [engine.run(agent.uri, f"echo {number}", number=number) for number in range(100)]
    for number, key in enumerate(keys):
        assert (await engine.exited(key, patience_s=60)).first_line == str(number)
    await until(lambda: not agent.runs_left(), "the files are removed")


async def test_a_session_that_nobody_needs_ends_and_the_next_task_opens_another(
    agent: AgentProgram,
) -> None:
    async with engine_of() as engine:
        for number in range(20):
            key = engine.run(agent.uri, f"echo {number}", number=number)
            assert (await engine.exited(key)).first_line == str(number)
            if number % 3 == 0:
                await until(lambda: not engine.driver.pulses(), "the session to end")  # type: ignore[union-attr]


async def test_events_wait_for_the_journal(agent: AgentProgram, engine: Engine) -> None:
    key = engine.run(agent.uri, "sleep 0.3; echo done")
    await engine.launched(key)
    engine.commit.clear()
    await until(lambda: engine.text(1) == "done\n", "the output")
    await until(lambda: any(isinstance(each, TaskExited) for each in engine.held), "its end")
    assert agent.runs_left(), "the agent keeps what is not committed"
    engine.commit.set()
    assert (await engine.exited(key)).exit_code == 0
    await until(lambda: not agent.runs_left(), "the files are removed")


def _has_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


@pytest.mark.parametrize("script", ["", "#!/bin/sh\n"])
async def test_parameters_whose_names_no_shell_can_hold_reach_the_program_all_the_same(
    agent: AgentProgram, engine: Engine, script: str
) -> None:
    names = {"SCHEDULER_PARAM_A.B": "dot", "SCHEDULER_PARAM_100/X": "ä\nslash", "PLAIN": "plain"}
    script += "echo $PLAIN; tr '\\0' '\\n' </proc/$$/environ; kill -0 $$; exit 4"
    end = await engine.exited(engine.run(agent.uri, script, environment=names))
    assert (end.exit_code, end.first_line) == (4, "plain")
    text = engine.text(1)
    assert "SCHEDULER_PARAM_A.B=dot\n" in text
    assert "SCHEDULER_PARAM_100/X=ä\nslash\n" in text


async def test_signals_are_not_ignored_in_programs_with_such_parameters(
    agent: AgentProgram, engine: Engine
) -> None:
    script = "grep SigIgn /proc/$$/status | cut -f2"
    await engine.exited(engine.run(agent.uri, script, environment={"A.B": "1"}))
    ignored = int(engine.text(1), 16)
    ours = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
    assert not [number for number in ours if ignored >> (number - 1) & 1]
