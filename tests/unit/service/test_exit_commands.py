"""The service carries out on-exit commands: each once, in order, whatever the others do."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast
from zoneinfo import ZoneInfo

import pytest
from lxml import etree

from engine.codec.xml.findings import Element
from engine.codec.xml.reading import Context
from engine.codec.xml.substitution import Variables
from engine.kernel.commands import ConfirmExitCommand, ModifyOrder, Request, StartJob
from engine.kernel.definitions import ExitCommands as Definition
from engine.kernel.ids import EventNumber, JobKey, TaskId
from engine.kernel.instants import Instant
from engine.kernel.params import Params
from engine.kernel.problems import Problem
from engine.kernel.state import State
from engine.server.engine_port import Accepted, EngineStopping
from engine.service.engine import Engine
from engine.service.exit_commands import ExitCommands, executed_by
from tests.support.world import World, shell_job

pytestmark = pytest.mark.anyio

LIMIT_S = 20.0


class Carried:
    """A world whose commands are carried out by a service, and what it was told to do."""

    def __init__(self, *commands: str, refused: str = "") -> None:
        choice = Definition(codes=("success",), xml=commands)
        self.world = World(
            shell_job("a", is_order_job=False, exit_commands=(choice,), params={"p": "1"})
        )
        self.done: list[tuple[str, Mapping[str, Params]]] = []
        self.is_stopping = False
        self._refused = refused
        self.service = self.new_service()

    def new_service(self) -> ExitCommands:
        return ExitCommands(self.world.state, self.execute, self.submit)

    def ends_a_task(self) -> None:
        self.world.does(StartJob(job=JobKey("/a")))
        self.world.ends()
        self.service.committed(self.world.last)

    async def execute(
        self, command: bytes, copied: Mapping[str, Params], _: ConfirmExitCommand
    ) -> Element:
        text = command.decode()
        self.done.append((text, copied))
        error = (
            f'<ERROR code="SCHEDULER-161" text="no {text[1]}"/>' if text == self._refused else ""
        )
        return etree.fromstring(f"<spooler><answer>{error}</answer></spooler>")

    async def submit(self, request: Request, by: str) -> None:
        assert by
        if self.is_stopping:
            raise EngineStopping
        self.world.does(request)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(LIMIT_S):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)


async def test_commands_are_carried_out_in_their_order() -> None:
    carried = Carried("<a/>", "<b/>")
    running = asyncio.create_task(carried.service.run())
    carried.ends_a_task()
    await carried.until(lambda: not carried.world.state.exit_commands)
    assert [text for text, _ in carried.done] == ["<a/>", "<b/>"]
    assert carried.done[0][1] == {"task": {"p": "1"}, "order": {}}
    running.cancel()


async def test_a_refused_command_does_not_keep_the_others_from_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    carried = Carried("<a/>", "<b/>", refused="<a/>")
    carried.ends_a_task()
    running = asyncio.create_task(carried.service.run())
    await carried.until(lambda: not carried.world.state.exit_commands)
    assert [text for text, _ in carried.done] == ["<a/>", "<b/>"]
    assert "SCHEDULER-327" in caplog.text
    running.cancel()


async def test_what_a_former_life_has_left_is_carried_out_from_there_on() -> None:
    carried = Carried("<a/>", "<b/>")
    carried.ends_a_task()
    carried.is_stopping = True
    running = asyncio.create_task(carried.service.run())
    await carried.until(lambda: len(carried.done) == 1)
    running.cancel()
    carried.is_stopping = False
    running = asyncio.create_task(carried.new_service().run())
    await carried.until(lambda: not carried.world.state.exit_commands)
    # The first was carried out and has changed nothing, so nobody knew: it is done again.
    assert [text for text, _ in carried.done] == ["<a/>", "<a/>", "<b/>"]
    running.cancel()


@dataclass
class CommitBoundEngine:
    """Notes what would be committed together."""

    refusal: Problem | None = None
    commits: list[Sequence[Request]] = field(default_factory=list)

    async def submit(
        self, request: Request, by: str, also: Request | None = None
    ) -> Accepted | Problem:
        assert by
        if self.refusal is not None:
            return self.refusal
        self.commits.append((request,) if also is None else (request, also))
        return Accepted(number=EventNumber(len(self.commits)), subject="1")

    def command_context(self) -> Context:
        return Context(zone=ZoneInfo("UTC"), environment=Variables({}))

    def now(self) -> Instant:
        return Instant(0)

    @property
    def state(self) -> State:
        return State()


async def test_what_a_command_changes_is_committed_with_the_note_that_it_is_done() -> None:
    engine = CommitBoundEngine()
    execute = executed_by(cast("Engine", engine))
    done = ConfirmExitCommand(task=TaskId(7), index=0)
    command = b'<modify_order job_chain="c" order="o" title="t"/>'
    assert (await execute(command, {}, done)).find(".//ERROR") is None
    assert [type(each) for each in engine.commits[0]] == [ModifyOrder, ConfirmExitCommand]
    assert engine.commits[0][1] is done


async def test_a_refused_command_is_noted_by_itself_with_its_problem() -> None:
    engine = CommitBoundEngine(refusal=Problem(code="SCHEDULER-161", text="no such order"))
    execute = executed_by(cast("Engine", engine))
    done = ConfirmExitCommand(task=TaskId(7), index=0)
    answer = await execute(b'<modify_order job_chain="c" order="o" title="t"/>', {}, done)
    assert answer.find(".//ERROR") is not None
    assert not engine.commits
