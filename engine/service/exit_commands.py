"""Carries out the on-exit commands of tasks, one after the other (orders-and-jobs.md 3.12).

What is to be done stands in the state until it was done, so a crash loses nothing; a command that
was under way then is carried out again. A refused command does not keep the others from theirs.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping

from engine.codec.xml.findings import Element
from engine.kernel.commands import ConfirmExitCommand, Request
from engine.kernel.events import Event
from engine.kernel.events.files import ExitCommandsChosen
from engine.kernel.ids import TaskId
from engine.kernel.params import Params
from engine.kernel.pending import PendingCommands
from engine.kernel.state import State
from engine.server.engine_port import EngineStopping

log = logging.getLogger(__name__)

Execute = Callable[[bytes, Mapping[str, Params]], Awaitable[Element]]
"""Carries out a command's XML with the parameter sets that it may copy; returns the answer."""
Submit = Callable[[Request, str], Awaitable[object]]


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
            problem = await self._carry_out(pending)
            done = ConfirmExitCommand(task=task, index=pending.done, problem=problem)
            await self._submit(done, "on-exit command")

    async def _carry_out(self, pending: PendingCommands) -> str:
        """Carry out the next command of a task; returns why it was refused."""
        copied = {"task": pending.task_params, "order": pending.order_params}
        command = pending.commands[pending.done]
        answer = await self._execute(command.encode(), copied)
        error = answer.find(".//ERROR")
        if error is None:
            return ""
        problem = f"{error.get('code', '')} {error.get('text', '')}".strip()
        log.error(
            "SCHEDULER-327 An on-exit command of the task %d of %s failed: %s",
            pending.task,
            pending.job,
            problem,
        )
        return problem
