"""Outside programs on keys of a person's own: what they are given, and how they are run."""

import asyncio
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from engine.kernel.ids import OrderKey, TaskId
from tui.client import EngineAway, EngineClient, NotAdmitted
from tui.habits import write_private
from tui.key_files import replaced, wants_log
from tui.remote import Identity
from tui.views.rows import RowKey
from tui.views.scene import Scene

LOG_BYTES_MAX = 64 * 1024 * 1024
PIECE_BYTES = 1024 * 1024


class ToolProblem(Exception):  # what the person is told
    """A program that cannot be run for this row."""


def values_of(scene: Scene, noun: str, key: RowKey | None) -> dict[str, str]:
    """Return what a row is about, under the names that a program's words may have."""
    match key:
        case OrderKey():
            return _of_order(scene, key)
        case Identity():
            return _of_process(scene, key)
        case int() if noun in {"tasks", "log"}:
            return _of_task(scene, TaskId(key))
        case str() if noun == "chains":
            return {"CHAIN": key}
        case str() if noun in {"agents", "hosts"}:
            return {"HOST": key}
        case _:
            return {}


def _of_order(scene: Scene, key: OrderKey) -> dict[str, str]:
    found = {"ORDER": str(key.id), "CHAIN": str(key.chain)}
    order = scene.state.orders.get(key)
    task = order.task if order is not None else None
    if task is None:
        ended = (one.task for one in reversed(scene.mirror.ended_tasks) if one.order == key)
        task = next(ended, None)
    if task is not None:
        found["TASK"] = str(task)
    return found


def _of_process(scene: Scene, key: Identity) -> dict[str, str]:
    host = scene.mirror.remote.hosts.get(key.host)
    found = {"HOST": key.host if host is None else host.address}
    run = None if host is None else host.runs.get(key.token)
    if run is not None and run.task is not None:
        found["TASK"] = str(run.task)
    if run is not None and run.order:
        chain, _, order = run.order.rpartition(",")
        found |= {"ORDER": order, "CHAIN": chain}
    return found


def _of_task(scene: Scene, key: TaskId) -> dict[str, str]:
    found = {"TASK": str(key)}
    task = scene.state.tasks.get(key)
    order = task.order if task is not None else None
    if task is None:
        ended = (one.order for one in scene.mirror.ended_tasks if one.task == key)
        order = next(ended, None)
    if order is not None:
        found |= {"ORDER": str(order.id), "CHAIN": str(order.chain)}
    return found


async def run_tool(
    words: Sequence[str],
    values: Mapping[str, str],
    *,
    client: EngineClient,
    folder: Path | None,
    aside: Callable[[], AbstractContextManager[None]],
) -> int:
    """Run a program in the terminal, which it has for itself until it ends; return its status.

    Raises ToolProblem when the row lacks what it needs, or it cannot be started.
    """
    given = dict(values)
    if wants_log(words):
        given["LOG"] = str(await _log_file(given, client, folder))
    try:
        command = replaced(words, given)
    except KeyError as missing:
        raise ToolProblem(f"this row has no ${missing.args[0]}") from missing
    try:
        with aside():
            # The words are the person's own, and go to no shell.
            return subprocess.run(command, check=False).returncode  # noqa: ASYNC221
    except OSError as error:
        raise ToolProblem(f"{command[0]}: {error.strerror or error}") from error


async def _log_file(values: Mapping[str, str], client: EngineClient, folder: Path | None) -> Path:
    if "TASK" not in values:
        raise ToolProblem("this row has no task, so there is no $LOG")
    if folder is None:
        raise ToolProblem("there is no folder to put the log into")
    task = TaskId(int(values["TASK"]))
    pieces: list[str] = []
    offset = 0
    try:
        while offset < LOG_BYTES_MAX:
            part = await client.task_log(task, offset, PIECE_BYTES)
            if part is None:
                raise ToolProblem(f"there is no log of task {task}")
            if not part.text:
                break
            pieces.append(part.text)
            offset = part.next_offset
    except (EngineAway, NotAdmitted) as away:
        raise ToolProblem(str(away)) from away
    path = folder / "logs" / f"task-{task}.log"
    try:
        await asyncio.to_thread(write_private, path, "".join(pieces))
    except OSError as error:
        raise ToolProblem(f"{path}: {error}") from error
    return path
