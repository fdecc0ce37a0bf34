"""What the engines of a world have to do: a few jobs and chains with most of what the kernel knows.

Nothing starts by itself for ever: when nobody asks for anything any more, everything ends.
"""

import random
from collections.abc import Sequence

from engine.kernel.definitions import (
    AgentReference,
    Definition,
    ErrorDelay,
    ExitCommands,
    Job,
    JobNode,
    Lock,
    LockUse,
    OnError,
    ProcessClass,
    Select,
    SetbackDelay,
)
from engine.kernel.ids import AgentUri, ClassPath, LockPath
from engine.kernel.instants import Duration, seconds
from tests.support.simulator.book import FOLLOW_UP
from tests.support.world import chain, node, shell_job

JOBS = 3
CHAINS = 2
PROCESSES_MAX = 10
LOCK = LockPath("/one")


def definitions(
    rng: random.Random, agents: Sequence[AgentUri], period: int, timeout: int
) -> list[Definition]:
    """Return the definitions of one engine."""
    classes = [process_class(rng, f"class-{number}", agents, period, timeout) for number in (0, 1)]
    found: list[Definition] = [Lock(path=LOCK), *classes]
    found += [_job(rng, number) for number in range(JOBS)]
    found += [shell_job("after", tasks=2, process_class=ClassPath("/class-0"))]
    found += [_chain(rng, number) for number in range(CHAINS)]
    found += [chain(FOLLOW_UP.strip("/"), node("100", "after"))]
    return found


def process_class(
    rng: random.Random, name: str, agents: Sequence[AgentUri], period: int, timeout: int
) -> ProcessClass:
    """Return a class with some of the agents, in some order."""
    chosen = rng.sample(agents, rng.randint(1, len(agents)))
    return ProcessClass(
        path=ClassPath(f"/{name}"),
        max_processes=rng.choice((1, 2, 5, PROCESSES_MAX)),
        select=rng.choice(list(Select)),
        timeout=rng.choice((None, None, None, seconds(40))),
        agents=tuple(
            AgentReference(
                uri=uri, heartbeat_period=Duration(period), heartbeat_timeout=Duration(timeout)
            )
            for uri in chosen
        ),
    )


def _job(rng: random.Random, number: int) -> Job:
    exit_commands: tuple[ExitCommands, ...] = ()
    if rng.random() < 0.3:
        command = f'<add_order job_chain="{FOLLOW_UP}"/>'
        exit_commands = (ExitCommands(codes=("success",), xml=(command,)),)
    return shell_job(
        f"job-{number}",
        tasks=rng.choice((1, 2, 3)),
        process_class=ClassPath(f"/class-{rng.randrange(2)}"),
        stop_on_error=rng.random() < 0.1,
        timeout=rng.choice((None, None, None, seconds(15))),
        locks=(LockUse(lock=LOCK, exclusive=rng.random() < 0.5),) if rng.random() < 0.2 else (),
        setback_delays=(SetbackDelay(count=1, delay=seconds(rng.randint(0, 8))),),
        setback_max=rng.randint(1, 3),
        error_delays=(ErrorDelay(count=2, delay=seconds(5)),) if rng.random() < 0.2 else (),
        exit_commands=exit_commands,
    )


def _chain(rng: random.Random, number: int) -> Definition:
    nodes: list[JobNode] = []
    for place in range(rng.randint(1, 3)):
        on_error = rng.choice((None, None, OnError.SETBACK, OnError.SUSPEND))
        job = f"job-{rng.randrange(JOBS)}"
        nodes.append(node(str(100 * (place + 1)), job, on_error=on_error))
    return chain(f"walk-{number}", *nodes)
