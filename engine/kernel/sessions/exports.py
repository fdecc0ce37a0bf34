"""What the remote side is told in its environment, and what it tells back (1.5, 1.6)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.kernel.sessions.credentials import is_reference
from engine.kernel.sessions.parameters import definition_of, is_secret_name

RETURNED_LENGTH_MAX = 1024 * 1024
"""Bytes of a file of return values."""
VALUE_LENGTH_MAX = 64 * 1024
"""Bytes of one return value."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_RETURNED = re.compile(r"([^=]+)=(.*)")
_EVENTS = "JOBSCHEDULEREVENTJOB.EVENTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exports:
    """Variables for the remote side."""

    values: Mapping[str, str]
    problems: tuple[str, ...] = ()
    """Values that cannot be delivered; the job must not run without them."""


def exports_of(
    parameters: Mapping[str, str],
    *,
    prefix: str = "SCHEDULER_PARAM_",
    state: str | None = None,
    allowed: frozenset[str] = frozenset(),
) -> Exports:
    """Return the variables for a job's parameters: each as written and in upper case.

    Secrets, and what stands in a credential store, stay here unless `allowed` names them. A name
    with characters that no shell takes is skipped, as in 1.x; a parameter of another node too.
    """
    values: dict[str, str] = {}
    problems: list[str] = []
    for name, value in parameters.items():
        plain = name
        if state is not None and name.startswith(f"{state}/"):
            plain = name[len(state) + 1 :]
        is_secret = is_secret_name(plain) or is_reference(value)
        if plain.upper() == _EVENTS or (is_secret and plain not in allowed):
            continue
        variable = _variable(plain, prefix)
        if variable is None:
            continue
        if "\0" in value:
            problems.append(f"parameter {plain} holds a zero byte and cannot be exported")
            continue
        values[variable] = value
        values.setdefault(_upper(variable, prefix), value)
    return Exports(values=values, problems=tuple(problems))


def environment_file(values: Mapping[str, str]) -> str:
    """Return shell text that exports the values, whatever characters they hold.

    Raises ValueError for a name that no shell accepts and for a value with a zero byte.
    """
    lines = []
    for name, value in values.items():
        if _NAME.match(name) is None or _is_ours(name):
            raise ValueError(f"{name!r} cannot be the name of a variable on the remote side")
        if "\0" in value:
            raise ValueError(f"variable {name} holds a zero byte")
        quoted = value.replace("'", "'\\''")
        lines.append(f"{name}='{quoted}'; export {name}\n")
    return "".join(lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What a job handed back."""

    values: Mapping[str, str]
    warnings: tuple[str, ...] = ()
    error: str | None = None
    """A limit was exceeded: the values do not count."""


def returned_values(text: str) -> Returned:
    """Read return values: `name=value` lines, trimmed, later ones win, other lines ignored."""
    if len(text.encode()) > RETURNED_LENGTH_MAX:
        return Returned(values={}, error=f"more than {RETURNED_LENGTH_MAX} bytes of return values")
    values: dict[str, str] = {}
    warnings: list[str] = []
    for line in text.splitlines():
        found = _RETURNED.match(line)
        if found is None:
            continue
        name, value = found[1].strip(), found[2].strip()
        if len(value.encode()) > VALUE_LENGTH_MAX:
            return Returned(
                values={}, error=f"return value {name} is longer than {VALUE_LENGTH_MAX} bytes"
            )
        definition = definition_of(name)
        if name.startswith("SCHEDULER_") or (definition is not None and definition.connects):
            warnings.append(f"return value {name} is not accepted: it would redirect the job")
            continue
        values[name] = value
    return Returned(values=values, warnings=tuple(warnings))


def _is_ours(name: str) -> bool:
    """Tell whether the wrapper on the host has this name for itself."""
    return name.casefold().startswith("js_")


def _variable(name: str, prefix: str) -> str | None:
    plain = re.sub(r"%%|[.()]", "_", name)
    if _NAME.match("_" + plain) is None:
        return None
    if plain.startswith("SCHEDULER_"):
        reserved = plain.startswith(("SCHEDULER_PARAM_", "SCHEDULER_MASTER_"))
        return plain if reserved else "SCHEDULER_MASTER_" + plain
    variable = prefix + plain
    return variable if _NAME.match(variable) and not _is_ours(variable) else None


def _upper(variable: str, prefix: str) -> str:
    if prefix and variable.startswith(prefix):
        return prefix + variable[len(prefix) :].upper()
    return variable.upper()
