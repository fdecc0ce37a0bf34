"""A run on a host where no folder can be written: attached, and told apart by its token alone.

Without a folder there is nothing that makes a start happen only once, so the job waits on the host
until the journal knows who it is. Its exit status comes over the channel, return values do not
come at all, and what a lost connection cuts off is lost (ssh-and-jitl.md 2.10.6).
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from engine.drivers.ssh_channels import Channel, Purpose
from engine.drivers.ssh_following import TAIL_LENGTH, Followed, Stream
from engine.drivers.ssh_hosts import HostLink
from engine.drivers.ssh_login import lost
from engine.drivers.ssh_wrapper import RunFiles, bare_program, parse_bare, shell_command
from engine.kernel.sessions.identity import RunToken, fields_of
from engine.kernel.signals import signal_number

NOTE = (
    "no folder can be written on the host: the run lives on its connection, "
    "hands back no values, and loses its result when the connection is lost"
)
NOISE_LINES_MAX = 1000
LOOK_S = 0.1
OUTPUT_GRACE_S = 2.0
"""How long output may still come after the run has ended."""


def nowhere(token: RunToken) -> str:
    """Return what stands for the directory of a run that has none."""
    return f"/nowhere/{token}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bare:
    """What is to be run."""

    token: RunToken
    files: RunFiles
    shell: str
    timeout_s: float


async def run_bare(
    link: HostLink, bare: Bare, followed: Followed, launched: Callable[[str, int], Awaitable[None]]
) -> int | None:
    """Run it; returns its exit status, 128 and the number after a signal, None when that is lost.

    `launched` gets the record of the run and its pid; the job begins when it returns.
    """
    program = bare_program(bare.token, files=bare.files, shell=bare.shell)
    async with link.open(shell_command(bare.shell), Purpose.STEP) as channel:
        await channel.write(program, bare.timeout_s)
        record = await _record(link, channel, bare)
        await launched(record, int(fields_of(record)["pid"]))
        await channel.write(b"go\n", bare.timeout_s)
        channel.end_input()
        return await follow_channel(channel, followed)


async def follow_channel(channel: Channel, followed: Followed) -> int | None:
    """Pass on what a program on a channel says, until it has ended; returns as `run_bare`."""

    async def pump(stream: Stream) -> None:
        read = channel.output if stream is Stream.STDOUT else channel.error_output
        while data := await read(TAIL_LENGTH):
            await followed.take(stream, data)

    async with asyncio.TaskGroup() as group:
        pumps = [group.create_task(pump(stream)) for stream in Stream]
        status, signal = await channel.exit(LOOK_S)
        # What it leaves behind may hold its output for as long as it likes.
        _, pending = await asyncio.wait(pumps, timeout=OUTPUT_GRACE_S)
        for each in pending:
            each.cancel()
    number = signal_number(signal) if signal else None
    if number is not None:
        return 128 + number
    return status if status is not None and status >= 0 else None


async def _record(link: HostLink, channel: Channel, bare: Bare) -> str:
    for _ in range(NOISE_LINES_MAX):
        line = await channel.line(bare.timeout_s)
        record = parse_bare(line.decode(errors="replace"), bare.token)
        if record is not None:
            return record
    raise lost(link.target, ValueError("the login shell prints too much"))
