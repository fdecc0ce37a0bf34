"""The service carries out on-exit commands: each once, in order, whatever the others do."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from lxml import etree

from engine.codec.xml.findings import Element
from engine.kernel.commands import Request, StartJob
from engine.kernel.definitions import ExitCommands as Definition
from engine.kernel.ids import JobKey
from engine.kernel.params import Params
from engine.server.engine_port import EngineStopping
from engine.service.exit_commands import ExitCommands
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

    async def execute(self, command: bytes, copied: Mapping[str, Params]) -> Element:
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
    # The first was carried out, but nobody knew: it is done again.
    assert [text for text, _ in carried.done] == ["<a/>", "<a/>", "<b/>"]
    running.cancel()
