"""The task logs of an engine, as `engine.store.task_logs.TaskLogs` shows them.

They may: be slow; keep only a part of the piece that was being written when the engine was killed.

They may never: lose what `append_output` has confirmed, or write a byte twice.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.codec.agent_messages import Channel
from engine.errors import StoreUnavailable
from engine.kernel.ids import TaskId
from engine.store.task_logs import Offsets

Logged = Callable[[TaskId, Channel, int, bytes], None]
"""Told of task, channel, offset and the bytes that are new there."""


@dataclass(slots=True)
class LogDisk:
    """What survives the engine."""

    rng: random.Random
    logged: Logged
    sizes: dict[tuple[TaskId, Channel], int] = field(default_factory=dict)
    delay_ms: int = 5
    writing: list[tuple[TaskId, Channel, int, bytes]] = field(default_factory=list)

    def size(self, task: TaskId, channel: Channel) -> int:
        return self.sizes.get((task, channel), 0)

    def append(self, task: TaskId, channel: Channel, offset: int, data: bytes) -> int:
        """Add what is new and return where the channel ends."""
        size = self.size(task, channel)
        if offset <= size < offset + len(data):
            self.sizes[task, channel] = offset + len(data)
            self.logged(task, channel, size, data[size - offset :])
        return self.size(task, channel)

    def crash(self) -> None:
        """Keep a part of what is being written."""
        for task, channel, offset, data in self.writing:
            self.append(task, channel, offset, data[: self.rng.randrange(len(data) + 1)])
        self.writing.clear()


class TaskLogsTwin:
    """The logs of one life of the engine."""

    def __init__(self, disk: LogDisk) -> None:
        self._disk = disk
        self.is_dead = False

    async def output_offsets(self, task: TaskId) -> Offsets:
        """See TaskLogs."""
        disk = self._disk
        return Offsets(
            stdout=disk.size(task, Channel.STDOUT), stderr=disk.size(task, Channel.STDERR)
        )

    async def append_output(self, task: TaskId, channel: Channel, offset: int, data: bytes) -> int:
        """See TaskLogs."""
        piece = (task, channel, offset, data)
        self._disk.writing.append(piece)
        await asyncio.sleep(self._disk.delay_ms / 1000)
        if self.is_dead:
            raise StoreUnavailable("the machine has died")
        if piece in self._disk.writing:  # not after the crash of another life
            self._disk.writing.remove(piece)
        return self._disk.append(*piece)

    async def skip_output(self, task: TaskId, channel: Channel, offset: int) -> None:
        """See TaskLogs; the book finds the gap when the task's end is committed."""
        self._disk.sizes[task, channel] = max(self._disk.size(task, channel), offset)
