"""Hosts with Windows: commands run there as in 1.x, and nothing tracks them (ssh-and-jitl.md 2.12).

There is no POSIX shell that could tell who a run is, so it lives on its channels, one for each
command; what a lost connection or a restart of the engine cuts off is lost.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.drivers.ssh_bare import follow_channel
from engine.drivers.ssh_channels import Purpose
from engine.drivers.ssh_following import Followed, Stream
from engine.drivers.ssh_hosts import HostLink
from engine.drivers.ssh_run_files import variables_of
from engine.kernel.sessions.effects import RunSsh
from engine.kernel.sessions.parameters import Commands, ResultRules, SshJob

NOTE = (
    "the host runs Windows: the run lives on its connection, is not tracked, hands back no values, "
    "and loses its result when the connection is lost"
)
UNKNOWN = "the host runs Windows, where nothing tells what has become of the run"
NO_SCRIPT = "the host runs Windows: scripts are not run there over SSH; write commands"
NOT_WANTED = "ended before it was started"
LOOK_S = 0.2
"""How soon an order to end is noticed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Untracked:
    """What is to be run, each command in a session of its own."""

    commands: Sequence[str]
    variables: Mapping[str, str]
    """Offered to the server, which takes those it is told to accept."""
    rules: ResultRules


def untracked(run: RunSsh, job: SshJob, engine_environment: Mapping[str, str]) -> Untracked | str:
    """Return what is to be run, or why it is not. Raises SshError as `variables_of`."""
    if not run.may_start:
        return run.refusal or NOT_WANTED
    if not isinstance(job.work, Commands):
        return NO_SCRIPT
    variables = variables_of(run, job, engine_environment)
    return Untracked(commands=job.work.texts, variables=variables, rules=job.rules)


async def run_untracked(
    link: HostLink, work: Untracked, followed: Followed, is_unwanted: Callable[[], bool]
) -> int | None:
    """Run the commands one after the other until one fails; returns the last one's exit status.

    None: the connection was lost, or nobody wants the result any more.
    """
    running = asyncio.create_task(_run(link, work, followed))
    try:
        while not running.done():
            if is_unwanted():
                return None
            await asyncio.wait([running], timeout=LOOK_S)
        return running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _run(link: HostLink, work: Untracked, followed: Followed) -> int | None:
    status: int | None = None
    for command in work.commands:
        async with link.open(command, Purpose.STEP, environment=work.variables) as channel:
            channel.end_input()
            status = await follow_channel(channel, followed)
        if status is None or _stops(status, work.rules, followed):
            break
    return status


def _stops(status: int, rules: ResultRules, followed: Followed) -> bool:
    if followed.has(Stream.STDERR) and not rules.ignore_stderr:
        return True
    return status != 0 and not rules.ignore_error and status not in rules.ignored_codes
