"""The operator's own script that is called before a task is killed (agents.md 5.7)."""

import asyncio
import contextlib
import logging
from pathlib import Path

from engine.agent.run_folder import AboutRun

log = logging.getLogger(__name__)

KILL_SCRIPT_S_MAX = 30.0
"""A script that hangs must not keep a task from being killed."""


class KillScript:
    """A program called with the task's names; whatever it does, the task is killed afterwards."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def call(self, about: AboutRun, pid: int) -> None:
        """Run the script for one task and wait for its end."""
        arguments = [
            f"-kill-agent-task-id={about.number}",
            f"-pid={pid}",
            f"-master-task-id={about.task}",
            f"-job={about.job}",
        ]
        try:
            process = await asyncio.create_subprocess_exec(
                self._file, *arguments, stdin=asyncio.subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            log.error("The kill script cannot be started: %s", error)
            return
        try:
            code = await asyncio.wait_for(process.wait(), KILL_SCRIPT_S_MAX)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            log.warning("The kill script took too long and was killed", extra={"pid": pid})
            return
        if code:
            log.warning("The kill script ended with exit code %d", code, extra={"pid": pid})
