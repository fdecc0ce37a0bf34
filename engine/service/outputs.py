"""Output of tasks on its way into the task logs, with how much of it is stored already."""

from collections.abc import Callable
from typing import Literal

from engine.drivers.ssh_following import Stream
from engine.kernel.ids import TaskId
from engine.kernel.instants import Instant
from engine.kernel.state import State
from engine.store.task_logs import Channel, TaskLogs

ChannelName = Literal["stdout", "stderr"]


class TaskOutputs:
    """Writes output by offset; a piece that comes again changes nothing."""

    def __init__(self, logs: TaskLogs) -> None:
        self._logs = logs
        self._stored: dict[TaskId, tuple[int, int]] = {}

    async def recover(self, state: State) -> None:
        """Learn how much output of the open tasks is stored, before drivers ask."""
        for task in state.tasks.values():
            if task.key is not None:
                offsets = await self._logs.output_offsets(task.id)
                self._stored[task.id] = (offsets.stdout, offsets.stderr)

    def offsets(self, task: TaskId) -> tuple[int, int]:
        """Return the stored bytes of stdout and stderr."""
        return self._stored.get(task, (0, 0))

    async def write(self, task: TaskId, channel: ChannelName, offset: int, data: bytes) -> None:
        """Store a piece of output; returns when the disk has it."""
        reached = await self._logs.append_output(task, Channel(channel), offset, data)
        if reached < offset:
            # Bytes in between are gone for good: the producer has nothing older to offer.
            await self._logs.skip_output(task, Channel(channel), offset)
            reached = await self._logs.append_output(task, Channel(channel), offset, data)
        stdout, stderr = self.offsets(task)
        self._stored[task] = (reached, stderr) if channel == "stdout" else (stdout, reached)

    def forget(self, task: TaskId) -> None:
        """Drop what is known of a task that has been closed."""
        self._stored.pop(task, None)


class SshOutputs:
    """Task logs as the SSH driver writes them."""

    def __init__(self, outputs: TaskOutputs, logs: TaskLogs, now: Callable[[], Instant]) -> None:
        self._outputs = outputs
        self._logs = logs
        self._now = now

    async def kept(self, task: TaskId, stream: Stream) -> int:
        """Return how many bytes of this stream are there already."""
        offsets = await self._logs.output_offsets(task)
        return offsets.of(Channel(stream.value))

    async def write(self, task: TaskId, stream: Stream, offset: int, data: bytes) -> None:
        """Keep bytes that begin at this offset of the stream."""
        channel: ChannelName = "stdout" if stream is Stream.STDOUT else "stderr"
        await self._outputs.write(task, channel, offset, data)

    async def note(self, task: TaskId, text: str) -> None:
        """Append a line of the engine's own."""
        await self._logs.append_line(task, self._now(), "info", text)
