"""Reads a task's log from the engine into a view: the tail at first, then what arrives."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from engine.kernel.ids import TaskId
from tui.client import EngineAway, EngineClient, LogPart, NotAdmitted
from tui.widgets.log import LogView

TAIL_BYTES = 64 * 1024
PIECE_BYTES = 256 * 1024
POLL_S = 0.5
HURRY_S = 0.02
AWAY_POLL_S = 2.0


@dataclass(slots=True)
class Reading:
    """How far a log has been read."""

    task: TaskId
    complete: bool = False
    begins_late: bool = False
    """Only the tail was read; what came before is with the engine."""
    problem: str = ""


async def read_log(
    client: EngineClient, reading: Reading, view: LogView, changed: Callable[[], None]
) -> None:
    """Feed the view until the task is over; goes on after the engine was away."""
    offset, is_first = -TAIL_BYTES, True
    while True:
        pause = AWAY_POLL_S
        try:
            part = await client.task_log(reading.task, offset, PIECE_BYTES)
        except (EngineAway, NotAdmitted) as away:
            reading.problem = str(away)
        else:
            if part is None:
                reading.problem = f"there is no log of task {reading.task} (yet)"
            else:
                reading.problem = ""
                _take(reading, part, view, is_first=is_first)
                offset, is_first = part.next_offset, False
                if part.complete and not part.text:
                    view.finish()
                    reading.complete = True
                    changed()
                    return
                pause = HURRY_S if part.complete or len(part.text) > PIECE_BYTES // 2 else POLL_S
        changed()
        await asyncio.sleep(pause)


def _take(reading: Reading, part: LogPart, view: LogView, *, is_first: bool) -> None:
    text = part.text
    if is_first and part.offset > 0:
        reading.begins_late = True
        # The tail begins in the middle of a line.
        text = text.partition("\n")[2]
    view.feed(text)
