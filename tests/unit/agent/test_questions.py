"""Short programs that an engine has run on an agent's host."""

import asyncio
from pathlib import Path

import pytest

from engine.agent import process_tree, questions
from engine.agent.questions import ask_host
from engine.errors import CodecError
from tests.support.programs import wait_for

pytestmark = pytest.mark.anyio


async def test_a_program_answers_with_its_output_and_status(tmp_path: Path) -> None:
    answer = await ask_host(tmp_path, {"program": 'echo "$HOME"; exit 3\n'})
    assert answer == {"status": 3, "output": f"{tmp_path}\n"}


async def test_our_secrets_do_not_reach_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POINTSMAN_AGENT_TOKEN", "hush-hush")
    answer = await ask_host(tmp_path, {"program": "env"})
    assert "hush-hush" not in answer["output"]


async def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    program = f"sleep 100 & echo $! > {tmp_path}/pid; sleep 101"
    answer = await ask_host(tmp_path, {"program": program, "timeout": 0.5})
    assert answer == {"status": None, "output": ""}
    child = int((tmp_path / "pid").read_text())
    await asyncio.to_thread(wait_for, "the child to go", lambda: not is_alive(child))


def is_alive(pid: int) -> bool:
    process = process_tree.look(pid)
    return process is not None and not process.is_zombie


async def test_a_program_that_does_not_stop_talking_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "OUTPUT_BYTES_MAX", 100_000)
    answer = await ask_host(tmp_path, {"program": "yes", "timeout": 5})
    assert len(answer["output"]) <= 100_000


@pytest.mark.parametrize(
    "question",
    [{}, {"program": 1}, {"program": "true", "timeout": 0}, {"program": "true", "timeout": True}],
)
async def test_what_is_no_question_is_refused(tmp_path: Path, question: dict[str, object]) -> None:
    with pytest.raises(CodecError):
        await ask_host(tmp_path, question)
