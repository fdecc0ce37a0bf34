"""Carries out the on-exit commands of tasks, one after the other (orders-and-jobs.md 3.12).

What is to be done stands in the state until it was done, so a crash loses nothing. What a command
changes is committed together with the note that it is done, so a crash repeats nothing either; only
a command that makes several requests may lose the later ones, and one that changes nothing in the
state (such as a file's removal) is carried out again. A refused command does not keep the others
from theirs.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

from engine import __version__
from engine.codec.xml.facts import EngineFacts
from engine.codec.xml.findings import Element
from engine.codec.xml.queries import Permission
from engine.kernel.commands import ConfirmExitCommand, Request
from engine.kernel.events import Event
from engine.kernel.events.files import ExitCommandsChosen
from engine.kernel.ids import TaskId
from engine.kernel.params import Params
from engine.kernel.pending import PendingCommands
from engine.kernel.problems import Problem
from engine.kernel.state import State
from engine.server.engine_port import Accepted, EnginePort, EngineStopping
from engine.server.xml_execution import Aborted, Client, XmlCommands
from engine.service.engine import Engine

log = logging.getLogger(__name__)

Execute = Callable[[bytes, Mapping[str, Params], ConfirmExitCommand], Awaitable[Element]]
"""Carries out a command's XML with the parameter sets that it may copy; returns the answer.

What it changes is committed with the note that it is done."""
Submit = Callable[[Request, str], Awaitable[object]]
_BY = "on-exit command"


class _Port:
    """The engine as an on-exit command sees it: its first change takes the note along."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.done: ConfirmExitCommand | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    async def submit(self, request: Request, by: str) -> Accepted | Problem:
        """Carry out a request; returns when its events are durable. Raises EngineStopping."""
        reply = await self._engine.submit(request, by, self.done)
        if isinstance(reply, Accepted):
            self.done = None
        return reply


def executed_by(engine: Engine) -> Execute:
    """Return what carries out on-exit commands, which come one after the other."""
    port = _Port(engine)
    executor = XmlCommands(cast("EnginePort", port), EngineFacts(version=__version__))
    client = Client(name=_BY, permission=Permission.ALL)

    async def execute(
        command: bytes, copied: Mapping[str, Params], done: ConfirmExitCommand
    ) -> Element:
        port.done = done
        context = replace(engine.command_context(), copied=copied)
        try:
            return await executor.execute(command, client, context=context)
        except Aborted:
            raise EngineStopping from None
        finally:
            port.done = None

    return execute


class ExitCommands:
    """The commands that wait to be carried out."""

    def __init__(self, state: State, execute: Execute, submit: Submit) -> None:
        self._state = state
        self._execute = execute
        self._submit = submit
        self._waiting: deque[TaskId] = deque(state.exit_commands)
        self._wake = asyncio.Event()

    def committed(self, events: Iterable[Event]) -> None:
        """Take note of commands that have durably been chosen."""
        for event in events:
            if isinstance(event, ExitCommandsChosen):
                self._waiting.append(event.task)
                self._wake.set()

    async def run(self) -> None:
        """Carry out what waits, until cancelled or until the engine takes no more requests."""
        try:
            while True:
                while self._waiting:
                    await self._carry_out_all(self._waiting.popleft())
                self._wake.clear()
                await self._wake.wait()
        except EngineStopping:
            log.info("On-exit commands that are left are carried out at the next start")
            await asyncio.Event().wait()

    async def _carry_out_all(self, task: TaskId) -> None:
        while (pending := self._state.exit_commands.get(task)) is not None:
            done = ConfirmExitCommand(task=task, index=pending.done)
            problem = await self._carry_out(pending, done)
            # The second time it counts only if nothing was changed, or it was refused.
            await self._submit(replace(done, problem=problem), _BY)

    async def _carry_out(self, pending: PendingCommands, done: ConfirmExitCommand) -> str:
        """Carry out the next command of a task; returns why it was refused."""
        copied = {"task": pending.task_params, "order": pending.order_params}
        command = pending.commands[pending.done]
        answer = await self._execute(command.encode(), copied, done)
        error = answer.find(".//ERROR")
        if error is None:
            return ""
        problem = str(error.get("text") or error.get("code") or "it is not known why")
        log.error(
            "SCHEDULER-327 An on-exit command of the task %d of %s failed: %s",
            pending.task,
            pending.job,
            problem,
        )
        return problem
