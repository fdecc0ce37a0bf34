"""How an SSH job's parameter gets its value (ssh-and-jitl.md 1.2).

Job parameters come first, those of a task next, those of an order win; what is meant for one node
or one job beats what is meant for all. Names are compared as the job compares them, so that `host`
of an order wins over `ssh_host` of its job. Values may hold sealed secrets: they are copied and
pasted like any other text.
"""

import re
from collections.abc import Mapping, Sequence

from engine.kernel.sessions.parameters import definition_of, is_secret_name, substitute

_JOB_PREFIX = "job::"


def resolved(sources: Sequence[Mapping[str, str]], *, job: str, node: str | None) -> dict[str, str]:
    """Return one set from several, the later ones winning; nothing is substituted yet.

    `job` is the job's path. `NODE/name`, `job::JOB/name` and `job::JOB.NODE/name` become `name`
    where they fit and stay as they are elsewhere.
    """
    found: dict[str, tuple[str, str]] = {}
    special: list[tuple[int, str, str]] = []
    for params in sources:
        for name, value in params.items():
            rank, plain = _meant_for(name, job, node)
            if rank:
                special.append((rank, plain, value))
            else:
                _put(found, name, value)
    for _, name, value in sorted(special, key=lambda each: each[0]):
        _put(found, name, value)
    return dict(found.values())


def substituted(params: Mapping[str, str], special: Mapping[str, str]) -> dict[str, str]:
    """Replace `${NAME}` and `%NAME%` in the values by other parameters and special variables."""
    values = {**special, **params}
    return {name: substitute(value, values) for name, value in params.items()}


def connection_of(params: Mapping[str, str]) -> dict[str, str]:
    """Return what belongs to connection and session, under the documented names.

    This is what has to be remembered of a run to find it again, and to end it.
    """
    chosen = {}
    for name, value in params.items():
        definition = definition_of(name)
        if definition is not None and definition.connects and value:
            chosen[definition.name] = value
    return chosen


def without_secrets(params: Mapping[str, str]) -> dict[str, str]:
    """Return the set less passwords and the like."""
    return {name: value for name, value in params.items() if not is_secret_name(name)}


def _meant_for(name: str, job: str, node: str | None) -> tuple[int, str]:
    """Return how specific a name is (0: for all, or for others) and the name itself."""
    prefix, slash, plain = name.rpartition("/")
    if not slash or not plain:
        return 0, name
    if node is not None and prefix == node:
        return 1, plain
    if not prefix.startswith(_JOB_PREFIX):
        return 0, name
    meant = prefix.removeprefix(_JOB_PREFIX).casefold()
    names = {job.casefold(), job.strip("/").casefold(), job.rpartition("/")[2].casefold()}
    if meant in names:
        return 2, plain
    if node is not None and meant in {f"{each}.{node.casefold()}" for each in names}:
        return 3, plain
    return 0, name


def _put(found: dict[str, tuple[str, str]], name: str, value: str) -> None:
    definition = definition_of(name)
    key = re.sub(r"\s+", "", name).casefold() if definition is None else definition.name
    spelled, _ = found.get(key, (name, ""))
    found[key] = (spelled, value)
